//! `POST /api/admin/grants` - grant many users tokens at once, or take some. For administrators.
//!
//! In: `{id, reason, grants}`; each of `grants` is `{user, amount, reason}` for a user by id,
//! username or e-mail address, at most 50. Without `id` it is a preview, which changes nothing and
//! whose reply has an `id`. The same request with that `id` makes the grants, each as an adjustment
//! of its own. Out: what came of each grant. Under an `id`, a user is granted something once,
//! however often the request is sent and by whom: it can be sent for twelve hours, and what it did
//! is remembered for longer. After a failure, the grants before it may have been made.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::auth::Administrator;
use shared::clock::millis_of;
use shared::error::{FieldErrors, required};
use shared::idempotency::{Key, Kind, REMEMBERED, fingerprint};
use shared::openapi::{Given, ReasonOrNone};
use shared::store::{Adjusted, Adjustment, Reason, Record};
use shared::user::Account;
use shared::{App, Change, Error, Reply, Request, Result, Tokens, auth, http};
use utoipa::ToSchema;

use crate::admin_adjustment;

/// The most grants of a request: as many as fit into a body, and into the time of a request.
const MOST: usize = 50;

/// How far the time of an id may be from now, in seconds. Every record of the id lasts longer than
/// the id itself, even if the clocks of two instances differ.
const LASTS: u64 = REMEMBERED / 2;

/// The part of the function's time that is kept for the reply and for the grant that is being made.
const TIME_TO_REPLY: Duration = Duration::from_secs(8);

#[derive(Deserialize, ToSchema)]
#[schema(as = GrantsToMake)]
struct Body {
    /// The `id` in the reply to a preview, whose grants are to be made. Without it, this is a
    /// preview.
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: Option<String>,
    #[schema(value_type = Reason)]
    reason: Option<String>,
    /// One grant for each user.
    #[schema(required, value_type = Vec<GrantToMake>)]
    grants: Option<Vec<GrantToMake>>,
}

#[derive(Deserialize, ToSchema)]
struct GrantToMake {
    /// The user's id, username or e-mail address.
    #[schema(value_type = Given, examples("ann"))]
    user: Option<String>,
    #[schema(value_type = Change, inline)]
    amount: Option<f64>,
    /// A reason of its own.
    #[schema(value_type = Option<ReasonOrNone>)]
    reason: Option<String>,
}

/// Makes one grant after the other: all of them check the administrator's account, and DynamoDB
/// refuses transactions at once over one item.
#[utoipa::path(
    post,
    path = "/api/admin/grants",
    tag = "Administration",
    summary = "Adjust many balances",
    description = "Grants many users tokens, or takes some, never below zero: at most 50 in a request. Without `id` it is a preview, which changes nothing and whose reply has an `id`. The same request with that `id` makes the grants. Under an `id`, each user is granted something once, however often requests are sent; it can be used for twelve hours, and for several requests of one file. The users' statements and the audit log list each grant. If a request fails, send it again.",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The result of each grant, in the order of the request.", body = GrantsMade)),
    extensions(
        ("x-narrow" = json!({ "properties": { "grants": { "minItems": 1, "maxItems": MOST } } })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let now = app.clock.millis();
    let until = Instant::now() + http::time_left(&req, now).saturating_sub(TIME_TO_REPLY);
    let (administrator, file) =
        auth::administrator(&app, &req, async { body.validate(now) }).await?;
    let File { id, grants } = file;
    let users = grants.iter().map(|grant| grant.user.clone()).collect();
    let found = app.store.accounts_meant(users).await?;

    let (mut seen, mut shown) = (HashSet::new(), Vec::new());
    for (grant, mut accounts) in grants.into_iter().zip(found) {
        let several = accounts.len() > 1;
        let account = accounts.pop().filter(|_| !several);
        let came = match (&account, &id) {
            (None, _) if several => Came::of(Outcome::Ambiguous),
            (None, _) => Came::of(Outcome::NoSuchUser),
            (Some(account), _) if !seen.insert(account.id.clone()) => Came::of(Outcome::Repeated),
            (Some(account), None) => Came::of(grant.foreseen(account, app.clock.seconds())),
            (Some(_), Some(_)) if Instant::now() >= until => {
                return Err(Error::Unavailable("there was no time for every grant".into()));
            }
            (Some(account), Some(id)) => grant.make(&app, &administrator, id, account).await?,
        };
        shown.push(GrantMade::of(grant, account.as_ref(), came, app.clock.seconds()));
    }
    let preview = id.is_none();
    let id = id.unwrap_or_else(|| app.clock.id().to_string());
    http::ok(&GrantsMade { id, preview, grants: shown })
}

/// A request that was checked.
struct File {
    id: Option<String>,
    grants: Vec<Grant>,
}

/// What is to be done to one account.
struct Grant {
    user: String,
    change: Change,
    reason: Reason,
}

impl Body {
    /// The failure names all invalid fields.
    fn validate(self, now: u64) -> Result<File> {
        let mut invalid = FieldErrors::default();
        let id = self.id.and_then(|id| invalid.check("id", usable(&id, now)));
        let reason = invalid
            .check("reason", required(self.reason).and_then(|reason| Reason::parse(&reason)));
        let asked = self.grants.unwrap_or_default();
        if !(1..=MOST).contains(&asked.len()) {
            invalid.note("grants", format!("A request must have 1 to {MOST} grants."));
        }
        let mut grants = Vec::new();
        for (place, asked) in asked.into_iter().take(MOST).enumerate() {
            let field = |name: &str| format!("grants[{place}].{name}");
            let user = invalid.check(&field("user"), required(asked.user));
            let change = invalid.check(&field("amount"), admin_adjustment::change(asked.amount));
            let own = asked
                .reason
                .filter(|reason| !reason.trim().is_empty())
                .and_then(|reason| invalid.check(&field("reason"), Reason::parse(&reason)));
            if let (Some(user), Some(change), Some(reason)) =
                (user, change, own.or_else(|| reason.clone()))
            {
                grants.push(Grant { user, change, reason });
            }
        }
        if invalid.is_empty() { Ok(File { id, grants }) } else { Err(invalid.into_error()) }
    }
}

/// The id of a preview, if what was done under it is certainly remembered; `now` is in
/// milliseconds.
fn usable(id: &str, now: u64) -> Result<String, String> {
    let lasts = |id: &String| millis_of(id).is_some_and(|made| made.abs_diff(now) < LASTS * 1000);
    let hours = LASTS / 3600;
    http::id(id).filter(lasts).ok_or_else(|| {
        format!("This isn't the id of a preview of the last {hours} hours. Make a preview first.")
    })
}

impl Grant {
    /// What would come of it now.
    fn foreseen(&self, account: &Account, now: u64) -> Outcome {
        match self.change {
            Change::Take(tokens) if account.balance(now) < tokens => Outcome::BalanceTooLow,
            Change::Give(tokens) if account.granted.checked_add(tokens).is_none() => {
                Outcome::GrantTooLarge
            }
            _ => Outcome::Ready,
        }
    }

    /// Makes it, unless something was done for this account under the same id.
    async fn make(
        &self,
        app: &App,
        administrator: &Administrator,
        id: &str,
        account: &Account,
    ) -> Result<Came> {
        let now = app.clock.seconds();
        let key = Key::parse(&account.id)
            .ok_or_else(|| Error::Internal("the id of an account is no key".into()))?
            .id(Kind::Grant, id);
        let asked = json!(["grant", account.id, self.change.amount(), self.reason.text()]);
        let fingerprint = fingerprint(asked.to_string());
        let earlier = |record: Record| match record.fingerprint == fingerprint {
            true => Came { outcome: Outcome::MadeBefore, ledger_id: Some(record.result_id) },
            false => Came::of(Outcome::OtherMade),
        };
        if let Some(record) = app.store.record(&key, now).await? {
            return Ok(earlier(record));
        }
        let adjustment = Adjustment::new(account, self.change, self.reason.clone(), "", &app.clock)
            .by(administrator)
            .keyed(&key, &fingerprint, now + REMEMBERED);
        Ok(match app.store.adjust(&adjustment, now).await? {
            Adjusted::Applied => {
                admin_adjustment::log(&adjustment);
                let ledger_id = Some(adjustment.entry().entry_id.clone());
                Came { outcome: Outcome::Made, ledger_id }
            }
            Adjusted::TooLittle(_) => Came::of(Outcome::BalanceTooLow),
            Adjusted::TooMuch => Came::of(Outcome::GrantTooLarge),
            Adjusted::Gone => Came::of(Outcome::NoSuchUser),
            Adjusted::KeyUsed => match app.store.record(&key, now).await? {
                Some(record) => earlier(record),
                None => {
                    let cause = "the record of a key appeared and disappeared";
                    return Err(Error::Unavailable(cause.into()));
                }
            },
        })
    }
}

/// What came of a grant.
struct Came {
    outcome: Outcome,
    ledger_id: Option<String>,
}

impl Came {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, ledger_id: None }
    }
}

/// What came of a grant. `ready`: it can be made, and this is a preview. `made`: it was made now.
/// `made_before`: an earlier request with the same `id` made it. In all other cases nothing was
/// changed. `other_made`: under this `id`, the user was granted something else. `no_such_user`: no
/// account has this id, username or address. `ambiguous`: one account has this username, and
/// another one this address. `repeated`: an earlier grant of this request is for the same user.
/// `balance_too_low`: the balance is less than the amount to take. `grant_too_large`: the account
/// would have been granted too much in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OutcomeOfGrant)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ready,
    Made,
    MadeBefore,
    OtherMade,
    NoSuchUser,
    Ambiguous,
    Repeated,
    BalanceTooLow,
    GrantTooLarge,
}

/// What came of the grants of a request.
#[derive(Serialize, ToSchema)]
struct GrantsMade {
    /// With it, the same request makes the grants, for twelve hours.
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: String,
    /// Whether this is a preview: nothing was changed.
    preview: bool,
    /// The result of each grant, in the order of the request.
    grants: Vec<GrantMade>,
}

/// What came of one grant.
#[derive(Serialize, ToSchema)]
struct GrantMade {
    /// The user as the request says it.
    #[schema(examples("ann@example.com"))]
    user: String,
    /// The account's id. Null if there is no account, or more than one.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: Option<String>,
    /// The name as it was typed.
    #[schema(required, examples("ann"))]
    username: Option<String>,
    /// Whether the account is active. A deactivated account can't be used.
    #[schema(required)]
    active: Option<bool>,
    /// Whether the owner has verified the account's address.
    #[schema(required)]
    email_verified: Option<bool>,
    /// The balance before this request.
    #[schema(required)]
    tokens: Option<Tokens>,
    /// How many tokens are added, or taken if negative.
    #[schema(examples(50))]
    amount: i64,
    /// The reason.
    #[schema(examples("a gift"))]
    reason: String,
    outcome: Outcome,
    /// The id of its row in the user's statement, if it was made.
    #[schema(required, format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    ledger_id: Option<String>,
}

impl GrantMade {
    fn of(grant: Grant, account: Option<&Account>, came: Came, now: u64) -> Self {
        Self {
            user: grant.user,
            user_id: account.map(|account| account.id.clone()),
            username: account.map(|account| account.name.clone()),
            active: account.map(|account| account.active),
            email_verified: account.map(|account| account.email_verified),
            tokens: account.map(|account| account.balance(now)),
            amount: grant.change.amount(),
            reason: grant.reason.text().to_owned(),
            outcome: came.outcome,
            ledger_id: came.ledger_id,
        }
    }
}
