//! `POST /api/admin/grants` - grant many users tokens at once, or take some away. For
//! administrators.
//!
//! Makes the grants one after the other, because each grant's transaction checks the
//! administrator's account, and DynamoDB rejects concurrent transactions on the same item. Each
//! grant is a separate adjustment. If a request fails, some of its grants may already have been
//! made.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::clock::{self, millis_of};
use shared::error::{FieldErrors, required};
use shared::openapi::{Given, ReasonOrNone};
use shared::store::{AdjustOutcome, Adjustment, Record};
use shared::values::idempotency::{Key, Kind, REMEMBERED, fingerprint};
use shared::values::{Account, Administrator, Invalid, Reason};
use shared::{App, BalanceChange, Credits, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use super::admin_adjustment;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators adjust many balances").timeout(28).permits(permits![
        VERIFY_TOKENS,
        allow(&[UpdateItem, ConditionCheckItem], Users(&["user:*"])),
        query(UsersByTime),
        get(Users(&["email:*"])),
        allow(&[GetItem, PutItem], Ledger),
        COLLECT_OWED,
        get(Tokens(&["idem:*", "order:*", "purchase:*"])),
        put(Tokens(&["idem:*", "source:*"])),
        update(Tokens(&["order:*"])),
    ]);

/// The maximum number of grants in a request. More grants might exceed the body limit or the
/// function's time-out.
const MOST_GRANTS: usize = 50;

/// The maximum difference between the time in a preview's id and the current time, in seconds.
/// Grants are remembered for twice as long, so their records outlast the preview's id even if the
/// clocks of two instances differ.
const LASTS: u64 = REMEMBERED / 2;

/// How long a grant's user, amount and reason are remembered, in seconds: 90 days.
const SAME_REMEMBERED: u64 = 90 * 24 * 3600;

/// How much of the function's time is reserved for finishing the current grant and sending the
/// reply.
const TIME_TO_REPLY: Duration = Duration::from_secs(8);

#[derive(Deserialize, ToSchema)]
#[schema(as = GrantsToMake, examples(json!({ "reason": "for the outage", "grants": [{ "user": "ann", "amount": 500 }] })))]
struct Body {
    /// The `id` in the reply to a preview. A request with this `id` makes the previewed grants. A
    /// request without `id` is a preview.
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: Option<String>,
    #[schema(value_type = Reason)]
    reason: Option<String>,
    /// The grants, one for each user.
    #[schema(required, value_type = Vec<GrantToMake>)]
    grants: Option<Vec<GrantToMake>>,
}

#[derive(Deserialize, ToSchema)]
struct GrantToMake {
    /// The user's id, username or e-mail address.
    #[schema(value_type = Given, examples("ann"))]
    user: Option<String>,
    #[schema(value_type = BalanceChange, inline)]
    amount: Option<f64>,
    /// The reason for this grant, if it differs from the reason for all grants.
    #[schema(value_type = Option<ReasonOrNone>)]
    reason: Option<String>,
}

/// Adjust many balances
#[utoipa::path(
    post,
    path = super::path::admin_grants,
    tag = "Administration",
    description = format!(
        "Grants many users tokens, or takes some, never below zero: at most {MOST_GRANTS} in a \
         request. Without `id` it is a preview, which changes nothing and whose reply has an `id`. \
         The same request with that `id` makes the grants. Under an `id`, each user is granted \
         something once, however often requests are sent; it can be used for twelve hours, and for \
         several requests of one file. Under any `id`, and for any administrator, a user isn't \
         granted the same amount with the same reason again for 90 days: to do so, change the \
         reason. Administrators can't adjust their own balance. The users' statements and the \
         audit log list each grant. If a request fails, send it again."
    ),
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The result of each grant, in the order of the request.", body = GrantsMade)),
    extensions(
        ("x-narrow" = json!({ "properties": {
            "grants": { "minItems": 1, "maxItems": MOST_GRANTS },
        } })),
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
    let found = app.store.accounts_matching_each(users).await?;

    let (mut seen, mut meant) = (HashSet::new(), Vec::new());
    for (grant, mut accounts) in grants.into_iter().zip(found) {
        let several = accounts.len() > 1;
        let account = accounts.pop().filter(|_| !several);
        let refused = match &account {
            None if several => Some(Outcome::Ambiguous),
            None => Some(Outcome::NoSuchUser),
            Some(account) if !seen.insert(account.id.clone()) => Some(Outcome::Repeated),
            Some(account) if account.id == administrator.account().id => Some(Outcome::OwnAccount),
            Some(_) => None,
        };
        meant.push((grant, account, refused));
    }
    let mut earlier = Vec::new();
    if id.is_none() {
        let keys = meant.iter().filter(|(.., refused)| refused.is_none());
        let keys =
            keys.filter_map(|(grant, account, _)| Some(grant.content_key(account.as_ref()?)));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        earlier = app.store.records(keys, app.clock.seconds()).await?;
    }
    let (mut earlier, mut came) = (earlier.into_iter(), Vec::new());
    for (grant, account, refused) in &meant {
        came.push(match (account, refused, &id) {
            (Some(account), None, None) => match earlier.next().flatten() {
                Some(record) => granted_before(&app, account, record).await?,
                None => GrantResult::of(grant.preview(account, app.clock.seconds())),
            },
            (Some(_), None, Some(_)) if Instant::now() >= until => {
                return Err(Error::Unavailable("there was no time for every grant".into()));
            }
            (Some(account), None, Some(id)) => {
                grant.make(&app, &administrator, id, account).await?
            }
            (_, refused, _) => GrantResult::of(refused.unwrap_or(Outcome::NoSuchUser)),
        });
    }
    let actors = came.iter().filter_map(|came| Some(came.earlier.as_ref()?.actor.as_str()));
    let names = app.store.usernames(actors).await?;
    let now = app.clock.seconds();
    let shown = meant.into_iter().zip(came);
    let shown = shown.map(|((grant, account, _), came)| {
        GrantMade::of(grant, account.as_ref(), came, &names, now)
    });
    let preview = id.is_none();
    let id = id.unwrap_or_else(|| app.clock.id().to_string());
    http::ok(&GrantsMade { id, preview, grants: shown.collect() })
}

/// A validated request.
struct File {
    id: Option<String>,
    grants: Vec<Grant>,
}

/// A requested change to one account's balance.
struct Grant {
    user: String,
    change: BalanceChange,
    reason: Reason,
}

impl Body {
    /// Validates the body. An error lists every invalid field.
    fn validate(self, now: u64) -> Result<File> {
        let mut invalid = FieldErrors::default();
        let id = self.id.and_then(|id| invalid.check("id", usable(&id, now)));
        let reason = invalid
            .check("reason", required(self.reason).and_then(|reason| Reason::parse(&reason)));
        let asked = self.grants.unwrap_or_default();
        if !(1..=MOST_GRANTS).contains(&asked.len()) {
            invalid.note("grants", format!("A request must have 1 to {MOST_GRANTS} grants."));
        }
        let mut grants = Vec::new();
        for (place, asked) in asked.into_iter().take(MOST_GRANTS).enumerate() {
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

/// Returns `id` if it is the id of a recent preview. The id of an older preview is rejected,
/// because the records of its grants may have expired. `now` is in milliseconds.
fn usable(id: &str, now: u64) -> Result<String, Invalid> {
    let lasts = |id: &String| millis_of(id).is_some_and(|made| made.abs_diff(now) < LASTS * 1000);
    let hours = LASTS / 3600;
    http::id(id).filter(lasts).ok_or_else(|| {
        format!("This isn't the id of a preview of the last {hours} hours. Make a preview first.")
            .into()
    })
}

impl Grant {
    /// Returns the outcome that the grant would currently have. Earlier grants aren't looked up.
    fn preview(&self, account: &Account, now: u64) -> Outcome {
        match self.change {
            BalanceChange::Debit(tokens) if account.balance(now) < tokens => Outcome::BalanceTooLow,
            BalanceChange::Credit(tokens) if account.granted.checked_add(tokens).is_none() => {
                Outcome::GrantTooLarge
            }
            _ => Outcome::Ready,
        }
    }

    /// Returns an id that is derived from the grant's user, amount and reason. The grant is
    /// remembered under this id, so every request for the same grant finds it.
    fn content_key(&self, account: &Account) -> Result<String> {
        let content = json!([self.change.amount(), self.reason.text()]).to_string();
        Ok(key_of(account)?.id(Kind::SameGrant, &content))
    }

    /// Makes the grant. Does nothing if this account already got a grant under the same id, or the
    /// same amount for the same reason under a different id.
    async fn make(
        &self,
        app: &App,
        administrator: &Administrator,
        id: &str,
        account: &Account,
    ) -> Result<GrantResult> {
        let now = app.clock.seconds();
        let (key, same) = (key_of(account)?.id(Kind::Grant, id), self.content_key(account)?);
        let asked = json!(["grant", account.id, self.change.amount(), self.reason.text()]);
        let fingerprint = fingerprint(asked.to_string());
        let earlier = async || {
            let (made, same) =
                tokio::try_join!(app.store.record(&key, now), app.store.record(&same, now))?;
            // Between the two reads, a concurrent copy of this request may have stored both
            // records.
            let made = match (made, &same) {
                (None, Some(_)) => app.store.record(&key, now).await?,
                (made, _) => made,
            };
            match (made, same) {
                (Some(record), _) if record.fingerprint == fingerprint => {
                    Ok(Some(GrantResult::with_row(Outcome::MadeBefore, record.result_id)))
                }
                (Some(_), _) => Ok(Some(GrantResult::of(Outcome::OtherMade))),
                (None, Some(record)) => granted_before(app, account, record).await.map(Some),
                (None, None) => Ok::<_, Error>(None),
            }
        };
        if let Some(came) = earlier().await? {
            return Ok(came);
        }
        let adjustment = Adjustment::new(account, self.change, self.reason.clone(), "", &app.clock)
            .made_by(administrator)?
            .keyed(&key, &fingerprint, now + REMEMBERED)
            .keyed(&same, "", now + SAME_REMEMBERED);
        Ok(match app.store.adjust(&adjustment, now).await? {
            AdjustOutcome::Applied => {
                admin_adjustment::log(&adjustment);
                GrantResult::with_row(Outcome::Made, adjustment.entry().entry_id.clone())
            }
            AdjustOutcome::TooLittle(_) => GrantResult::of(Outcome::BalanceTooLow),
            AdjustOutcome::TooMuch => GrantResult::of(Outcome::GrantTooLarge),
            AdjustOutcome::Gone => GrantResult::of(Outcome::NoSuchUser),
            // Of these outcomes, only `KeyUsed` can occur, because the adjustment doesn't contain a
            // source.
            AdjustOutcome::KeyUsed | AdjustOutcome::SourceUsed => {
                earlier().await?.ok_or_else(|| {
                    Error::Unavailable("the record of a key appeared and disappeared".into())
                })?
            }
        })
    }
}

/// Returns the account's id as an idempotency key. The ids under which the account's grants are
/// remembered are derived from this key.
fn key_of(account: &Account) -> Result<Key> {
    Key::parse(&account.id).ok_or_else(|| Error::Internal("the id of an account is no key".into()))
}

/// Returns the outcome for a grant that was already made under a different id. `record` contains
/// the id of that grant's ledger row.
async fn granted_before(app: &App, account: &Account, record: Record) -> Result<GrantResult> {
    // After a restore, the ledger may no longer contain the earlier grant's row.
    let row = app.store.entry(&account.id, &record.result_id).await?;
    let earlier = EarlierRow {
        timestamp: clock::rfc3339(millis_of(&record.result_id).unwrap_or_default()),
        actor: row.map(|row| row.actor).unwrap_or_default(),
    };
    Ok(GrantResult {
        earlier: Some(earlier),
        ..GrantResult::with_row(Outcome::GrantedBefore, record.result_id)
    })
}

/// The outcome of a grant, with the ledger row.
struct GrantResult {
    outcome: Outcome,
    ledger_id: Option<String>,
    earlier: Option<EarlierRow>,
}

impl GrantResult {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, ledger_id: None, earlier: None }
    }

    fn with_row(outcome: Outcome, ledger_id: String) -> Self {
        Self { ledger_id: Some(ledger_id), ..Self::of(outcome) }
    }
}

/// The time of an earlier grant with the same amount and reason, and the account that made it.
struct EarlierRow {
    timestamp: String,
    actor: String,
}

/// The outcome of a grant. `ready`: this is a preview, and the grant can be made. `made`: this
/// request made the grant. `made_before`: an earlier request with the same `id` made the grant. All
/// other outcomes change nothing. `granted_before`: in the last 90 days the user was granted the
/// same amount for the same reason, under a different `id`; `earlier` says when and by whom.
/// `other_made`: under this `id`, the user got a different grant. `own_account`: the account is the
/// administrator's own. `no_such_user`: no account has this id, username or address. `ambiguous`:
/// one account has this username, and another account has this address. `repeated`: an earlier
/// grant in this request is for the same user. `balance_too_low`: the balance is less than the
/// amount to be taken. `grant_too_large`: the account would have been granted too much in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OutcomeOfGrant)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ready,
    Made,
    MadeBefore,
    GrantedBefore,
    OtherMade,
    OwnAccount,
    NoSuchUser,
    Ambiguous,
    Repeated,
    BalanceTooLow,
    GrantTooLarge,
}

/// The outcomes of the grants in a request.
#[derive(Serialize, ToSchema)]
struct GrantsMade {
    /// The `id` for the request that makes these grants. The `id` is valid for twelve hours.
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: String,
    /// Whether this is a preview. A preview changes nothing.
    preview: bool,
    /// The result of each grant, in the order of the request.
    grants: Vec<GrantMade>,
}

/// The outcome of one grant.
#[derive(Serialize, ToSchema)]
struct GrantMade {
    /// The user as named in the request.
    #[schema(examples("ann@example.com"))]
    user: String,
    /// The account's id. Null if no account or several accounts match.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: Option<String>,
    /// The username as the owner typed it.
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
    tokens: Option<Credits>,
    /// The number of tokens added, or taken away if negative.
    #[schema(examples(50))]
    amount: i64,
    /// The reason for the grant.
    #[schema(examples("a gift"))]
    reason: String,
    outcome: Outcome,
    /// The id of the grant's row in the user's statement, if the grant was made.
    #[schema(required, format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    ledger_id: Option<String>,
    /// The earlier grant, if it was made under a different `id`.
    #[schema(required)]
    earlier: Option<EarlierGrant>,
}

/// When the same grant was made before, and by whom.
#[derive(Serialize, ToSchema)]
struct EarlierGrant {
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    timestamp: String,
    /// The administrator's name. Null if the account was deleted.
    #[schema(required, examples("root"))]
    actor_name: Option<String>,
}

impl GrantMade {
    fn of(
        grant: Grant,
        account: Option<&Account>,
        came: GrantResult,
        names: &HashMap<String, String>,
        now: u64,
    ) -> Self {
        let earlier = came.earlier.map(|EarlierRow { timestamp, actor }| EarlierGrant {
            timestamp,
            actor_name: names.get(&actor).cloned(),
        });
        Self {
            earlier,
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
