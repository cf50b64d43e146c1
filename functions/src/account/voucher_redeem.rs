//! `POST /api/user/vouchers` - exchange a voucher's code for tokens.
//!
//! Counts the attempt as a guess, and then looks up the code. After too many guesses, no code is
//! looked up. Grants the tokens in one transaction, which also counts the use of the code.

use serde::{Deserialize, Serialize};
use shared::error::{Failure, TokenFault, required};
use shared::store::{AdjustOutcome, Guess, Voucher};
use shared::values::{Account, Entry, Source, VoucherCode};
use shared::view::AdjustedBalance;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Redeems vouchers").permits(permits![
    VERIFY_TOKENS,
    update(Users(&["user:*"])),
    allow(&[GetItem, PutItem], Ledger),
    COLLECT_OWED,
    get(Tokens(&["voucher:*", "vouchers:*", "source:*", "order:*", "purchase:*"])),
    put(Tokens(&["source:*", "redeemed:*"])),
    update(Tokens(&["voucher:*", "vouchers:*", "attempt:voucher:*", "order:*"])),
]);

#[derive(Deserialize, ToSchema)]
#[schema(as = VoucherRequest)]
struct Body {
    /// The code. Letters may be in lower case, and hyphens and spaces may be left out.
    #[schema(value_type = String, required, min_length = 1, examples("6B8QZ-2N4WT-9XKJ0-HRM3C-VYD76"))]
    code: Option<String>,
}

/// Redeem a voucher
///
/// Exchanges a voucher's code for tokens. An account can use a code once: the same code again adds
/// nothing, and gets the same reply with `already_redeemed` and the current balance. After ten
/// wrong codes within an hour, the reply is 429.
#[utoipa::path(
    post,
    path = super::path::voucher_redeem,
    tag = "Tokens",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The grant, and the current balance.", body = RedeemedVoucher)),
    extensions(("x-fails" = json!([
        Failure::NoSuchVoucher, Failure::VoucherUsed, Failure::VoucherEnded, Failure::OwnBalance,
        Failure::GrantTooLarge, Failure::TooManyGuesses
    ]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { code } = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    let code = required(code)
        .and_then(|code| VoucherCode::parse(&code))
        .map_err(|sentence| Error::field("code", sentence))?;
    let now = app.clock.seconds();
    let guess = Guess::new(&account.id, http::source_network(&req).as_deref(), now);
    app.store.begin_guess(&guess).await?;
    let voucher = app.store.voucher(&code).await?.ok_or(Error::NoSuchVoucher)?;
    let source = voucher.source(&account.id);
    let (row, ()) = tokio::try_join!(app.store.row_of(&source), app.store.forget_guess(&guess))?;
    match row {
        Some(row) => earlier(&app, &account, &row).await,
        None => redeem(&app, &account, &voucher, &source, now).await,
    }
}

async fn redeem(
    app: &App,
    account: &Account,
    voucher: &Voucher,
    source: &Source,
    now: u64,
) -> Reply {
    if voucher.batch.has_ended(now) {
        return Err(Error::VoucherEnded);
    }
    if voucher.is_used_up() {
        return Err(Error::VoucherUsed);
    }
    let adjustment = app.store.redemption(account, voucher, now, &app.clock)?;
    match app.store.adjust(&adjustment, now).await? {
        AdjustOutcome::Applied => {
            let entry = adjustment.entry();
            tracing::info!(user = account.id, row = entry.entry_id, "a voucher was redeemed");
            shown(app, account, entry, false).await
        }
        AdjustOutcome::SourceUsed => {
            let row = app.store.row_of(source).await?;
            earlier(app, account, &row.ok_or_else(|| no_row(account))?).await
        }
        AdjustOutcome::TooMuch => Err(Error::GrantTooLarge),
        AdjustOutcome::Gone => Err(Error::InvalidToken(TokenFault::Unknown)),
        // These outcomes are impossible: adding credits doesn't require a minimum balance, and this
        // adjustment doesn't use an idempotency key.
        AdjustOutcome::TooLittle(_) | AdjustOutcome::KeyUsed => Err(no_row(account)),
    }
}

/// Replies with the row that an earlier request wrote. Writes nothing.
async fn earlier(app: &App, account: &Account, row: &str) -> Reply {
    let entry = app.store.entry(&account.id, row).await?.ok_or_else(|| no_row(account))?;
    shown(app, account, &entry, true).await
}

async fn shown(app: &App, account: &Account, entry: &Entry, already_redeemed: bool) -> Reply {
    let account = app.store.reread(account).await?;
    let grant = AdjustedBalance::of(entry, account.balance(app.clock.seconds()));
    http::ok(&RedeemedVoucher { grant, already_redeemed })
}

/// The grant of a voucher, and the current balance.
#[derive(Serialize, ToSchema)]
struct RedeemedVoucher<'a> {
    /// The grant, and the current balance.
    #[serde(flatten)]
    grant: AdjustedBalance<'a>,
    /// True if an earlier request redeemed the code, so that this request added nothing.
    #[schema(examples(false))]
    already_redeemed: bool,
}

fn no_row(account: &Account) -> Error {
    Error::Internal(format!("a voucher that {} has redeemed has no row", account.id))
}
