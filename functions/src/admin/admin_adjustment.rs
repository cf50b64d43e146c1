//! `POST /api/admin/users/{id}/adjustments` - grant a user tokens, or take some away. For
//! administrators.
//!
//! Makes the adjustment in one transaction, which also checks that the caller is still an
//! administrator. If the idempotency key was used before, the reply shows the earlier adjustment.

use serde::Deserialize;
use serde_json::json;
use shared::error::{Failure, FieldErrors, REQUIRED, required};
use shared::openapi::{IdempotencyKey, PathId};
use shared::store::{AdjustOutcome, Adjustment, Record};
use shared::values::idempotency::{Key, Kind, REMEMBERED, fingerprint};
use shared::values::{Account, Administrator, Entry, Invalid, Reason};
use shared::view::AdjustedBalance;
use shared::{App, BalanceChange, Credits, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators adjust balances").permits(permits![
        VERIFY_TOKENS,
        allow(&[UpdateItem, ConditionCheckItem], Users(&["user:*"])),
        query(UsersByTime),
        allow(&[GetItem, PutItem], Ledger),
        COLLECT_OWED,
        get(Tokens(&["idem:*", "source:*", "order:*", "purchase:*"])),
        put(Tokens(&["idem:*", "source:*"])),
        update(Tokens(&["order:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = Adjustment, examples(json!({ "amount": 500, "reason": "for the outage" })))]
struct Body {
    #[schema(value_type = BalanceChange, inline, required = false)]
    amount: Option<f64>,
    #[schema(value_type = Reason)]
    reason: Option<String>,
    /// The id of a paid message to refund. Sent instead of `amount`. A message is refunded at most
    /// once, even if several administrators request it.
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    chat_id: Option<String>,
}

/// How long earlier releases remember that a price was refunded, in seconds: ten years. During a
/// deployment, those releases may run alongside this one, and they don't support sources.
const REFUND_REMEMBERED: u64 = 10 * 365 * 24 * 3600;

/// The requested change to the balance.
enum AdjustmentRequest {
    Change(BalanceChange),
    /// Refunds the price of the message with this id.
    Refund(String),
}

/// Adjust a balance
///
/// Grants a user tokens, or takes some, never below zero. Send either `amount`, or `chat_id` to
/// return the price of that message, once. The user's statement and the audit log list it.
/// Administrators can't adjust their own balance. Don't take the tokens of a purchase that you
/// refund at Stripe: the refund takes them itself, and would take them a second time.
#[utoipa::path(
    post,
    path = super::path::admin_adjustment,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId, IdempotencyKey),
    request_body = Body,
    responses((status = 201, description = "The adjustment, and the current balance.", body = AdjustedBalance)),
    extensions(
        ("x-fails" = json!([
            Failure::NoSuchUser, Failure::OwnBalance, Failure::AlreadyRefunded,
            Failure::BalanceTooLow, Failure::GrantTooLarge, Failure::KeyReused
        ])),
        ("x-narrow" = json!({ "properties": { "amount": { "not": { "const": 0 } } } })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let body: Body = http::json(&req)?;
    let id = http::path_id(&req);
    let read = async { Ok(app.store.user_with_id(id.as_deref()).await?) };
    let (administrator, found) = auth::administrator(&app, &req, read).await?;
    let account = app.store.account_of_user(&found).await?;
    let (asked, reason) = body.validate()?;
    let change = asked.change(&app, &account).await?;

    let now = app.clock.seconds();
    let key = key.map(|key| AdjustmentKey::new(&key, &administrator, &account, &asked, &reason));
    let mut adjustment =
        Adjustment::new(&account, change, reason, "", &app.clock).made_by(&administrator)?;
    if let Some(key) = &key {
        if let Some(record) = app.store.record(&key.id, now).await? {
            return replay(&app, &account, key, &record).await;
        }
        adjustment = adjustment.keyed(&key.id, &key.fingerprint, now + REMEMBERED);
    }
    if let AdjustmentRequest::Refund(chat_id) = &asked {
        let refund = Key::parse(chat_id).map(|key| key.id(Kind::Refund, &account.id));
        let refund = refund.ok_or_else(|| Error::Internal("a message's id is no key".into()))?;
        adjustment = adjustment.keyed(&refund, "", now + REFUND_REMEMBERED).refunding(chat_id);
    }
    match app.store.adjust(&adjustment, now).await? {
        AdjustOutcome::Applied => {
            log(&adjustment);
            shown(&app, &account, adjustment.entry()).await
        }
        AdjustOutcome::TooLittle(balance) => Err(Error::BalanceTooLow { balance }),
        AdjustOutcome::TooMuch => Err(Error::GrantTooLarge),
        AdjustOutcome::Gone => Err(Error::NoSuchUser),
        AdjustOutcome::KeyUsed | AdjustOutcome::SourceUsed => {
            if let Some(key) = &key
                && let Some(record) = app.store.record(&key.id, now).await?
            {
                return replay(&app, &account, key, &record).await;
            }
            match asked {
                AdjustmentRequest::Refund(_) => Err(Error::AlreadyRefunded),
                AdjustmentRequest::Change(_) => {
                    let cause = "the record of a key appeared and disappeared";
                    Err(Error::Unavailable(cause.into()))
                }
            }
        }
    }
}

impl AdjustmentRequest {
    /// Returns the change to the balance.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the account didn't pay for the message.
    async fn change(&self, app: &App, account: &Account) -> Result<BalanceChange> {
        let chat_id = match self {
            Self::Change(change) => return Ok(*change),
            Self::Refund(chat_id) => chat_id,
        };
        let charged = app.store.entry(&account.id, chat_id).await?;
        let charged = charged.filter(Entry::charges);
        charged
            .and_then(|entry| BalanceChange::new(entry.amount.saturating_neg()))
            .ok_or_else(|| Error::field("chat_id", "This user paid for no message with this id."))
    }

    /// Returns a string that identifies this adjustment. It is part of the idempotency key's
    /// fingerprint.
    fn text(&self, account: &Account, reason: &Reason) -> String {
        let asked = match self {
            Self::Change(change) => {
                json!(["adjustment", account.id, change.amount(), reason.text()])
            }
            Self::Refund(chat_id) => json!(["refund", account.id, chat_id, reason.text()]),
        };
        asked.to_string()
    }
}

/// Logs a successful adjustment.
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
        asked: &AdjustmentRequest,
        reason: &Reason,
    ) -> Self {
        Self {
            id: key.id(Kind::Adjustment, &administrator.account().id),
            fingerprint: fingerprint(asked.text(account, reason)),
        }
    }
}

/// Replies with the adjustment that an earlier request made with the same idempotency key. Writes
/// nothing.
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
    http::created(&AdjustedBalance::of(entry, account.balance(app.clock.seconds())))
}

impl Body {
    /// Validates the body. An error lists every invalid field.
    fn validate(self) -> Result<(AdjustmentRequest, Reason)> {
        let mut invalid = FieldErrors::default();
        let asked = match self.chat_id {
            None => invalid.check("amount", change(self.amount)).map(AdjustmentRequest::Change),
            Some(_) if self.amount.is_some() => {
                let sentence = "Omit this field: the price of the message is returned.";
                invalid.check("amount", Err(sentence.to_owned()))
            }
            Some(chat_id) => {
                let id = http::id(&chat_id).ok_or("This must be the id of a message.");
                invalid.check("chat_id", id).map(AdjustmentRequest::Refund)
            }
        };
        let reason = invalid
            .check("reason", required(self.reason).and_then(|reason| Reason::parse(&reason)));
        asked.zip(reason).ok_or_else(|| invalid.into_error())
    }
}

/// Reads a balance change from a JSON number. Accepts whole numbers that are written with a zero
/// fraction, such as `5.0`.
pub(crate) fn change(amount: Option<f64>) -> Result<BalanceChange, Invalid> {
    let amount = amount.ok_or(REQUIRED)?;
    let change = if amount.fract() == 0.0 { BalanceChange::new(amount as i64) } else { None };
    change.ok_or_else(|| {
        format!("An amount must be a whole number from -{0} to {0}, other than 0.", Credits::MAX)
            .into()
    })
}
