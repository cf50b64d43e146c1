//! `GET /api/admin/figures` - figures by day. For administrators.
//!
//! In: `from` and `to`, days in UTC (`2026-11-20`), at most 366; by default the last 30. Out:
//! `days`, oldest first, with `users` (registered), `chats` (paid messages), `granted` and `spent`
//! (tokens) of each and whether it is `closed`, and `totals`; with `accounts=true` also the sums of
//! all accounts, and with `top=spent` or `top=chats` the users who did the most. A closed day is
//! counted once and stored. If many days must be counted first, the reply is 503; a retry continues
//! with the stored counts.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::clock::{self, Day};
use shared::error::Failure;
use shared::openapi::{self, Days};
use shared::store::{Census, Figures, Spender, is_closed};
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, ToSchema};

/// The most days of a request.
const DAYS: u64 = 366;

/// How many days are shown by default.
const USUAL: u64 = 30;

/// How many users are shown.
const TOP: usize = 20;

/// By what the users may be chosen.
const TOPS: [&str; 2] = ["spent", "chats"];

/// The most time for counting.
const PATIENCE: Duration = Duration::from_secs(20);

/// The part of the function's time that is kept for the reply.
const TIME_TO_REPLY: Duration = Duration::from_secs(4);

/// Reads the stored figures, and counts the others.
#[utoipa::path(
    get,
    path = super::path::admin_figures,
    tag = "Administration",
    summary = "Read statistics by day",
    description = "The statistics of each day in UTC, and their totals: at most 366 days, by default the last 30. If many days must be counted for the first time, the reply is 503: retry it.",
    security(("access_token" = [])),
    params(Days, FiguresParams),
    responses((status = 200, description = "Every day, oldest first, and the totals.", body = Range)),
    extensions(("x-fails" = json!([Failure::Invalid]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
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
        Ok((first, days, accounts, top.transpose()?))
    };
    let (_, (first, days, accounts, top)) = auth::administrator(&app, &req, read).await?;
    let now = app.clock.millis();
    let until =
        Instant::now() + http::time_left(&req, now).saturating_sub(TIME_TO_REPLY).min(PATIENCE);
    let users = async {
        match top {
            Some(by) => top_users(&app, by, first, days, now, until).await.map(Some),
            None => Ok(None),
        }
    };
    let figures = async { Ok(app.store.figures(first, days, now, until).await?) };
    let (figures, top) = tokio::try_join!(figures, users)?;
    let totals = figures.values().copied().fold(Figures::default(), Figures::plus);
    let days = figures
        .into_iter()
        .map(|(day, figures)| FiguresOfDay { day, figures, closed: is_closed(day, now) })
        .collect();
    http::ok(&Range { days, totals, accounts, top })
}

/// The users who spent the most, or sent the most messages.
async fn top_users(
    app: &App,
    by: &str,
    first: Day,
    days: u64,
    now: u64,
    until: Instant,
) -> Result<Top> {
    let mut spenders = app.store.spenders(first, days, now, until).await?;
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

/// Figures of some days.
#[derive(Serialize, ToSchema)]
#[schema(as = FiguresOfDays)]
pub struct Range {
    /// Each day.
    pub days: Vec<FiguresOfDay>,
    /// The totals.
    pub totals: Figures,
    /// The sums of all accounts, as they are counted once a day. Null before the first count. Only
    /// with `accounts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Accounts>, required = false)]
    accounts: Option<Option<Accounts>>,
    /// The users who spent or sent the most. Only with `top`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    top: Option<Top>,
}

/// The users who spent or sent the most in these days.
#[derive(Serialize, ToSchema)]
#[schema(as = TopUsers)]
struct Top {
    /// Whether all users were compared: of each day only the 250 who spent the most are stored.
    complete: bool,
    /// At most 20 users, the first one first.
    users: Vec<TopUser>,
}

/// What a user did in these days.
#[derive(Serialize, ToSchema)]
struct TopUser {
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: String,
    /// The user's name. Null if the account was deleted.
    #[schema(required, examples("ann"))]
    username: Option<String>,
    /// Paid messages.
    chats: u64,
    /// Tokens that were spent on them.
    spent: u64,
}

/// The sums of all accounts.
#[derive(Serialize, ToSchema)]
#[schema(as = SumsOfAccounts)]
struct Accounts {
    /// When they were counted.
    #[schema(format = "date-time", examples("2026-11-20T03:00:00.000Z"))]
    counted: String,
    /// All accounts.
    users: u64,
    /// Accounts of administrators, active or not.
    administrators: u64,
    /// Deactivated accounts.
    deactivated: u64,
    /// Accounts that never sent a message.
    silent: u64,
    /// All balances.
    tokens: u64,
    /// All tokens ever granted to these accounts.
    granted: u64,
    /// All tokens that they ever spent.
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

/// Figures of a day.
#[derive(Serialize, ToSchema)]
#[schema(as = FiguresOfDay)]
pub struct FiguresOfDay {
    /// The day.
    pub day: Day,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Whether the figures are final.
    pub closed: bool,
}

/// The first day of the request, and the number of days.
fn range(app: &App, req: &Request) -> Result<(Day, u64)> {
    let to = http::query_day(req, "to")?.unwrap_or_else(|| Day::from_millis(app.clock.millis()));
    let from = http::query_day(req, "from")?.unwrap_or_else(|| to.before(USUAL - 1));
    match from.days_to(to) {
        0 => Err(Error::field("to", "The last day must not be before the first.")),
        days if days > DAYS => {
            Err(Error::field("from", format!("A request can have at most {DAYS} days.")))
        }
        days => Ok((from, days)),
    }
}

/// The query parameters `accounts` and `top`.
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
                "top",
                ParameterIn::Query,
                "Shows the users who spent the most tokens in these days, or sent the most messages.",
                Object::builder().schema_type(Type::String).enum_values(Some(TOPS)),
            ),
        ]
    }
}
