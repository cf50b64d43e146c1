//! `GET /api/admin/figures` - daily statistics. For administrators.
//!
//! Reads the stored figures, and counts the days that don't have stored figures yet. A closed day
//! is counted only once, and its counts are stored. If too many days have to be counted first, a
//! retry continues from the stored counts. The function `census` stores the calls to each model.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::app::HistoryApp;
use shared::clock::{self, Day};
use shared::error::Failure;
use shared::openapi::{self, Days};
use shared::store::{Census, CostLine, Costs, DataPeriod, Figures, Spender, is_closed};
use shared::telemetry::model_calls;
use shared::values::{ModelCalls, decimal};
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, ToSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Shows administrators daily statistics").throttled().timeout(28).permits(permits![
        VERIFY_TOKENS,
        query(LedgerTrail),
        query(UsersByTime),
        allow(&[BatchGetItem, PutItem], Tokens(&["figures:*"])),
        get(Tokens(&["census:*", "imports:*", "models:*"])),
    ]);

/// The maximum number of days in a request.
const MOST_DAYS: u64 = 366;

/// The default number of days.
const USUAL: u64 = 30;

/// The number of top users in a reply.
const TOP: usize = 20;

/// The criteria by which top users are selected.
const TOPS: [&str; 2] = ["spent", "chats"];

/// The maximum time for counting.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much of the function's time is reserved for the reply.
const TIME_TO_REPLY: Duration = Duration::from_secs(4);

/// Read statistics by day
#[utoipa::path(
    get,
    path = super::path::admin_figures,
    tag = "Administration",
    description = format!(
        "The statistics of each day in UTC, and their totals: at most {MOST_DAYS} days, by default \
         the last {USUAL}. If many days must be counted for the first time, the reply is 503: \
         retry it."
    ),
    security(("access_token" = [])),
    params(Days, FiguresParams),
    responses((status = 200, description = "Every day, oldest first, and the totals.", body = Range)),
    extensions(("x-fails" = json!([Failure::Invalid]))),
)]
pub async fn handle(app: HistoryApp, req: Request) -> Reply {
    let read = async {
        let period = app.data_period().await?;
        let (first, days) = range(&app, &req)?;
        let accounts = match http::query_flag(&req, "accounts")? {
            Some(true) => Some(app.store.census().await?.map(|census| Accounts::of(&census))),
            _ => None,
        };
        let top = http::query(&req, "top").map(|top| {
            let known = TOPS.into_iter().find(|known| *known == top);
            let sentence = || format!("This must be {}.", TOPS.join(" or "));
            known.ok_or_else(|| Error::field("top", sentence()))
        });
        let with_models = http::query_flag(&req, "models")? == Some(true);
        let with_calls = http::query_flag(&req, "calls")? == Some(true);
        Ok((first, days, accounts, top.transpose()?, (with_models, with_calls), period))
    };
    let (_, (first, days, accounts, top, (with_models, with_calls), period)) =
        auth::administrator(&app, &req, read).await?;
    let now = app.clock.millis();
    let until =
        Instant::now() + http::time_left(&req, now).saturating_sub(TIME_TO_REPLY).min(PATIENCE);
    let users = async {
        match top {
            Some(by) => top_users(&app, by, first, days, period, until).await.map(Some),
            None => Ok(None),
        }
    };
    let figures = async { Ok(app.store.figures(first, days, period, until).await?) };
    let costs = async {
        match with_models {
            true => Ok(Some(app.store.costs(first, days, period, until).await?)),
            false => Ok(None),
        }
    };
    let calls = async {
        let all = (0..days).map(|later| first.after(later));
        let possible: Vec<Day> = all.filter(|day| period.has(*day)).collect();
        match with_calls {
            true => Ok(Some(app.store.model_calls(&possible).await?)),
            false => Ok(None),
        }
    };
    let (figures, top, costs, calls) = tokio::try_join!(figures, users, costs, calls)?;
    let models_of = |day: &Day| {
        let costs = costs.as_ref()?;
        Some(costs.get(day).map(ModelFigures::of_all).unwrap_or_default())
    };
    // The local server keeps the calls of days that aren't stored yet. On AWS, none are kept.
    let calls_on = |day: &Day| {
        let stored = calls.as_ref()?.get(day).cloned();
        Some(stored.unwrap_or_else(|| model_calls::kept(*day)))
    };
    let totals = figures.values().cloned().fold(Figures::default(), Figures::plus);
    let days = figures
        .into_iter()
        .map(|(day, figures)| FiguresOfDay {
            models: models_of(&day),
            calls: calls_on(&day),
            day,
            figures,
            closed: is_closed(day, now),
        })
        .collect();
    let costs = match &costs {
        Some(costs) => Some(CostsOfDays::with_names(&app, &Costs::sum(costs.values())).await?),
        None => None,
    };
    http::ok(&Range { days, totals, accounts, top, costs })
}

/// Returns the users who spent the most tokens or sent the most messages.
async fn top_users(
    app: &App,
    by: &str,
    first: Day,
    days: u64,
    period: DataPeriod,
    until: Instant,
) -> Result<Top> {
    let mut spenders = app.store.spenders(first, days, period, until).await?;
    if by == "chats" {
        spenders.users.sort_by_key(|user| Reverse((user.chats, user.spent)));
    }
    spenders.users.truncate(TOP);
    let ids = spenders.users.iter().map(|user| user.id.as_str());
    let mut names = app.store.usernames(ids).await?;
    let user = |Spender { id, chats, spent }| {
        let username = names.remove(&id);
        TopUser { user_id: id, username, chats, spent }
    };
    Ok(Top { complete: spenders.complete, users: spenders.users.into_iter().map(user).collect() })
}

/// Statistics by day.
#[derive(Serialize, ToSchema)]
#[schema(as = FiguresOfDays)]
pub struct Range {
    /// The statistics of each day.
    pub days: Vec<FiguresOfDay>,
    /// The totals of the requested days.
    pub totals: Figures,
    /// The totals of all accounts, counted once a day. Null before the first count. Only present
    /// with `accounts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Accounts>, required = false)]
    accounts: Option<Option<Accounts>>,
    /// The users who spent the most tokens or sent the most messages. Only present with `top`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    top: Option<Top>,
    /// The costs and income of each model. Only present with `models`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    costs: Option<CostsOfDays>,
}

/// The costs and income of each model. Only messages that were priced by a price list are counted.
#[derive(Serialize, ToSchema)]
struct CostsOfDays {
    /// The statistics of each model.
    models: Vec<ModelFigures>,
    /// At most 20 users, starting with the user who spent the most tokens. Only 250 users are
    /// stored for each day.
    users: Vec<UserCosts>,
}

impl CostsOfDays {
    async fn with_names(app: &App, costs: &Costs) -> Result<Self> {
        let users = costs.users.iter().take(TOP);
        let names = app.store.usernames(users.clone().map(|line| line.key.of.as_str())).await?;
        let user = |line: &CostLine| UserCosts {
            user_id: line.key.of.clone(),
            username: names.get(&line.key.of).cloned(),
            money: MoneyFigures::of(line),
        };
        Ok(Self { models: ModelFigures::of_all(costs), users: users.map(user).collect() })
    }
}

/// A model's statistics.
#[derive(Serialize, ToSchema)]
pub struct ModelFigures {
    /// The model's name in the price list.
    #[schema(examples("echo"))]
    model: String,
    #[serde(flatten)]
    money: MoneyFigures,
}

impl ModelFigures {
    fn of_all(costs: &Costs) -> Vec<Self> {
        let model =
            |line: &CostLine| Self { model: line.key.of.clone(), money: MoneyFigures::of(line) };
        costs.models.iter().map(model).collect()
    }
}

/// A user's statistics.
#[derive(Serialize, ToSchema)]
struct UserCosts {
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: String,
    /// The user's name. Null if the account was deleted.
    #[schema(required, examples("ann"))]
    username: Option<String>,
    #[serde(flatten)]
    money: MoneyFigures,
}

/// Statistics for a group of messages.
#[derive(Serialize, ToSchema)]
struct MoneyFigures {
    /// The number of paid messages.
    chats: u64,
    /// The tokens spent on the messages.
    tokens: u64,
    /// The model tokens in the prompts.
    prompt_tokens: u64,
    /// The prompts' model tokens that the provider read from its cache.
    cached_tokens: u64,
    /// The prompts' model tokens that the provider wrote into its cache.
    written_tokens: u64,
    /// The model tokens in the answers.
    completion_tokens: u64,
    /// The currency of `cost` and `income`. Empty if the price list doesn't contain any prices in
    /// money.
    #[schema(examples("USD"))]
    currency: String,
    /// The provider's price, as a decimal string. Null if the price list doesn't contain it.
    #[schema(required, examples("1.25"))]
    cost: Option<String>,
    /// What buyers pay for these tokens, as a decimal string. Null if the price list doesn't
    /// contain it.
    #[schema(required, examples("2.40"))]
    income: Option<String>,
}

impl MoneyFigures {
    fn of(CostLine { key, figures }: &CostLine) -> Self {
        Self {
            chats: figures.chats,
            tokens: figures.spent,
            prompt_tokens: figures.prompt_tokens,
            cached_tokens: figures.cached_tokens,
            written_tokens: figures.written_tokens,
            completion_tokens: figures.completion_tokens,
            currency: key.currency.clone(),
            cost: figures.cost.map(decimal),
            income: figures.income.map(decimal),
        }
    }
}

/// The users who spent the most tokens or sent the most messages on the requested days.
#[derive(Serialize, ToSchema)]
#[schema(as = TopUsers)]
struct Top {
    /// Whether all users were compared. For each day, only the 250 users who spent the most are
    /// stored.
    complete: bool,
    /// At most 20 users, in descending order.
    users: Vec<TopUser>,
}

/// A user's activity on the requested days.
#[derive(Serialize, ToSchema)]
struct TopUser {
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: String,
    /// The user's name. Null if the account was deleted.
    #[schema(required, examples("ann"))]
    username: Option<String>,
    /// The number of paid messages.
    chats: u64,
    /// The tokens that the user spent on messages.
    spent: u64,
}

/// Totals of all accounts.
#[derive(Serialize, ToSchema)]
#[schema(as = SumsOfAccounts)]
struct Accounts {
    /// When the accounts were counted.
    #[schema(format = "date-time", examples("2026-11-20T03:00:00.000Z"))]
    counted: String,
    /// The number of accounts.
    users: u64,
    /// The number of administrator accounts, active or not.
    administrators: u64,
    /// The number of deactivated accounts.
    deactivated: u64,
    /// The number of accounts that have never sent a message.
    silent: u64,
    /// The sum of all balances.
    tokens: u64,
    /// All tokens ever granted to the counted accounts.
    granted: u64,
    /// All tokens ever spent by the counted accounts.
    spent: u64,
}

impl Accounts {
    fn of(census: &Census) -> Self {
        let Census { made, users, administrators, deactivated, silent, tokens, granted, spent } =
            *census;
        let counted = clock::rfc3339(made);
        Self { counted, users, administrators, deactivated, silent, tokens, granted, spent }
    }
}

/// One day's statistics.
#[derive(Serialize, ToSchema)]
#[schema(as = FiguresOfDay)]
pub struct FiguresOfDay {
    /// The day.
    pub day: Day,
    /// The day's statistics.
    #[serde(flatten)]
    pub figures: Figures,
    /// Whether the numbers are final.
    pub closed: bool,
    /// The costs and income of each model on this day. Only present with `models`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    models: Option<Vec<ModelFigures>>,
    /// The calls to each model on this day, largest number first. Empty until the day's calls are
    /// stored, once a day. Only present with `calls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    calls: Option<Vec<ModelCalls>>,
}

/// Returns the first requested day and the number of requested days.
fn range(app: &App, req: &Request) -> Result<(Day, u64)> {
    let to = http::query_day(req, "to")?.unwrap_or_else(|| Day::from_millis(app.clock.millis()));
    let from = http::query_day(req, "from")?.unwrap_or_else(|| to.before(USUAL - 1));
    match from.days_to(to) {
        0 => Err(Error::field("to", "The last day must not be before the first.")),
        days if days > MOST_DAYS => {
            Err(Error::field("from", format!("A request can have at most {MOST_DAYS} days.")))
        }
        days => Ok((from, days)),
    }
}

/// The `accounts`, `calls`, `models` and `top` query parameters.
#[derive(Debug)]
pub struct FiguresParams;

impl IntoParams for FiguresParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            openapi::parameter(
                "accounts",
                ParameterIn::Query,
                "Whether the reply has the sums of all accounts, which are counted once a day.",
                Object::builder().schema_type(Type::Boolean),
            ),
            openapi::parameter(
                "calls",
                ParameterIn::Query,
                "Whether each day has the calls to each model, with their failures and times. They are stored once a day.",
                Object::builder().schema_type(Type::Boolean),
            ),
            openapi::parameter(
                "models",
                ParameterIn::Query,
                "Whether the reply has what models cost and brought in. Only messages that a price list priced are counted.",
                Object::builder().schema_type(Type::Boolean),
            ),
            openapi::parameter(
                "top",
                ParameterIn::Query,
                "Shows the users who spent the most tokens in these days, or sent the most messages.",
                Object::builder().schema_type(Type::String).enum_values(Some(TOPS)),
            ),
        ]
    }
}
