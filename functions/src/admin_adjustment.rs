//! `POST /api/admin/users/{id}/adjustments` - grant a user tokens, or take some. For
//! administrators.
//!
//! In: `{amount, reason}`; a negative amount takes tokens. `Idempotency-Key` makes retries safe.
//! Out: 201 with `id`, `amount`, `reason`, `timestamp` and the current balance under its three
//! names; 409 if the balance is less than the amount to take, or the total of grants would be too
//! large.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::auth::Administrator;
use shared::error::{FieldErrors, REQUIRED, required};
use shared::idempotency::{Key, Kind, REMEMBERED, fingerprint};
use shared::openapi::{IdempotencyKey, PathId};
use shared::store::{Adjusted, Adjustment, Entry, Reason, Record};
use shared::user::Account;
use shared::view::Balance;
use shared::{App, Change, Error, Reply, Request, Result, Tokens, auth, clock, http};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = Adjustment)]
struct Body {
    #[schema(value_type = Change, inline)]
    amount: Option<f64>,
    #[schema(value_type = Reason)]
    reason: Option<String>,
}

/// Makes the adjustment in one transaction, which checks that the caller is still an administrator.
/// With a key that was used before, the reply shows the earlier adjustment.
#[utoipa::path(
    post,
    path = "/api/admin/users/{id}/adjustments",
    tag = "Administration",
    summary = "Adjust a balance",
    description = "Grants a user tokens, or takes some, never below zero. The user's statement and the audit log list it.",
    security(("access_token" = [])),
    params(PathId, IdempotencyKey),
    request_body = Body,
    responses((status = 201, description = "The adjustment, and the current balance.", body = AdjustedBalance)),
    extensions(
        ("x-fails" = json!(["NoSuchUser", "BalanceTooLow", "GrantTooLarge", "KeyReused"])),
        ("x-narrow" = json!({ "properties": { "amount": { "not": { "const": 0 } } } })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let body: Body = http::json(&req)?;
    let id = http::path_id(&req);
    let (administrator, found) =
        auth::administrator(&app, &req, app.store.user_with_id(id.as_deref())).await?;
    let account = app.store.account_of_user(&found).await?;
    let (change, reason) = body.validate()?;

    let now = app.clock.seconds();
    let key = key.map(|key| AdjustmentKey::new(&key, &administrator, &account, change, &reason));
    let mut adjustment =
        Adjustment::new(&account, change, reason, "", &app.clock).by(&administrator);
    if let Some(key) = &key {
        if let Some(record) = app.store.record(&key.id, now).await? {
            return replay(&app, &account, key, &record).await;
        }
        adjustment = adjustment.keyed(&key.id, &key.fingerprint, now + REMEMBERED);
    }
    match (app.store.adjust(&adjustment, now).await?, &key) {
        (Adjusted::Applied, _) => {
            log(&adjustment);
            shown(&app, &account, adjustment.entry()).await
        }
        (Adjusted::TooLittle(balance), _) => Err(Error::BalanceTooLow { balance }),
        (Adjusted::TooMuch, _) => Err(Error::GrantTooLarge),
        (Adjusted::Gone, _) => Err(Error::NoSuchUser),
        (Adjusted::KeyUsed, Some(key)) => match app.store.record(&key.id, now).await? {
            Some(record) => replay(&app, &account, key, &record).await,
            None => Err(Error::Unavailable("the record of a key appeared and disappeared".into())),
        },
        (Adjusted::KeyUsed, None) => {
            Err(Error::Internal("an adjustment without a key was refused by one".into()))
        }
    }
}

/// Logs an adjustment that was made.
pub(crate) fn log(adjustment: &Adjustment) {
    let Entry { user_id: subject, entry_id: row, amount, actor: by, .. } = adjustment.entry();
    tracing::info!(subject, by, amount, row, "a balance was adjusted");
}

/// An idempotency key and its payload.
struct AdjustmentKey {
    id: String,
    fingerprint: String,
}

impl AdjustmentKey {
    fn new(
        key: &Key,
        administrator: &Administrator,
        account: &Account,
        change: Change,
        reason: &Reason,
    ) -> Self {
        let asked = json!(["adjustment", account.id, change.amount(), reason.text()]).to_string();
        Self {
            id: key.id(Kind::Adjustment, &administrator.account().id),
            fingerprint: fingerprint(asked),
        }
    }
}

/// The adjustment that was made with a key. Writes nothing.
async fn replay(app: &App, account: &Account, key: &AdjustmentKey, record: &Record) -> Reply {
    if record.fingerprint != key.fingerprint {
        return Err(Error::KeyReused);
    }
    let entry = app.store.entry(&account.id, &record.result_id).await?;
    let entry =
        entry.ok_or_else(|| Error::Internal("the adjustment of a key has no row".into()))?;
    shown(app, account, &entry).await.map(http::replayed)
}

async fn shown(app: &App, account: &Account, entry: &Entry) -> Reply {
    let account = app.store.reread(account).await?;
    http::created(&AdjustedBalance {
        entry: AdjustmentRow {
            id: &entry.entry_id,
            amount: entry.amount,
            reason: &entry.reason,
            timestamp: clock::rfc3339(entry.time),
        },
        balance: Balance::of(account.balance(app.clock.seconds())),
    })
}

/// An adjustment of a balance.
#[derive(Serialize, ToSchema)]
struct AdjustmentRow<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    /// How many tokens were added, or taken if negative.
    #[schema(examples(-50))]
    amount: i64,
    /// The reason.
    #[schema(examples("a mistake"))]
    reason: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    timestamp: String,
}

/// An adjustment, and the current balance.
#[derive(Serialize, ToSchema)]
struct AdjustedBalance<'a> {
    /// The adjustment.
    #[serde(flatten)]
    entry: AdjustmentRow<'a>,
    /// The balance.
    #[serde(flatten)]
    balance: Balance,
}

impl Body {
    /// The failure names all invalid fields.
    fn validate(self) -> Result<(Change, Reason)> {
        let mut invalid = FieldErrors::default();
        let amount = invalid.check("amount", change(self.amount));
        let reason = invalid
            .check("reason", required(self.reason).and_then(|reason| Reason::parse(&reason)));
        amount.zip(reason).ok_or_else(|| invalid.into_error())
    }
}

/// The change by an amount of JSON, where whole numbers may be written as 5.0.
pub(crate) fn change(amount: Option<f64>) -> Result<Change, String> {
    let amount = amount.ok_or_else(|| REQUIRED.to_owned())?;
    let change = if amount.fract() == 0.0 { Change::new(amount as i64) } else { None };
    change.ok_or_else(|| {
        format!("An amount must be a whole number from -{0} to {0}, other than 0.", Tokens::MAX)
    })
}
