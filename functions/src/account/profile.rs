//! `GET /api/user/profile` - the caller's data and balance, and what a message costs.
//!
//! Reads the account with strong consistency. First tops up the balance if an allowance is due.

use serde::Serialize;
use shared::config::TopUp;
use shared::values::{Account, Instructions};
use shared::view::{OwnBalance, User};
use shared::{App, Credits, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows profiles").permits(permits![
    VERIFY_TOKENS,
    get(Tokens(&["instructions:*"])),
    update(Users(&["user:*"])).when("GivesAllowances"),
    put(Ledger).when("GivesAllowances"),
]);

/// Read the profile
///
/// The account and its balance, what a message costs and how long it may be, how to get more
/// tokens, and the instructions that the AI gets with each message.
#[utoipa::path(
    get,
    path = super::path::profile,
    tag = "Accounts",
    security(("access_token" = [])),
    responses((status = 200, description = "The profile.", body = Profile)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller_of_old_client(&app, &req).await?;
    let (of, now) = (app.config.allowances, app.clock.seconds());
    let account = app.store.filled_account_of(&caller, of, now).await?;
    let instructions = app.store.instructions_of(&account).await?;
    http::ok(&Profile::of(&app, &account, &instructions))
}

/// A user's account and balance.
#[derive(Serialize, ToSchema)]
pub struct Profile<'a> {
    /// The account.
    #[serde(flatten)]
    user: User<'a>,
    /// The current balance, and the allowance.
    #[serde(flatten)]
    balance: OwnBalance,
    /// The price of a message and its answer.
    chat_price: Credits,
    /// The maximum length of a message, in characters.
    #[schema(examples(32_000))]
    message_limit: usize,
    /// How to get more tokens.
    top_up: MoreTokens<'a>,
    /// The instructions that the AI gets with each message, except with messages from OpenAI's
    /// clients.
    #[schema(value_type = Instructions)]
    instructions: &'a str,
}

/// How to get more tokens, as the operator describes it.
#[derive(Serialize, ToSchema)]
struct MoreTokens<'a> {
    /// Human-readable instructions. Empty if the operator hasn't set any.
    #[schema(examples("Buy more in our shop."))]
    text: &'a str,
    /// The URL for getting more tokens: a web page, or an e-mail address (`mailto:`).
    #[schema(required, examples("https://shop.example.com/tokens"))]
    url: Option<&'a str>,
}

impl<'a> Profile<'a> {
    /// Returns an account's profile. The store keeps the `instructions` in a separate item.
    pub fn of(app: &'a App, account: &'a Account, instructions: &'a str) -> Self {
        Self {
            user: User::of(account),
            balance: OwnBalance::of(account, app.config.allowances, app.clock.seconds()),
            chat_price: app.config.chat_price,
            message_limit: app.config.message_limit,
            top_up: MoreTokens::of(app.config.top_up.as_ref()),
            instructions,
        }
    }
}

impl<'a> MoreTokens<'a> {
    fn of(top_up: Option<&'a TopUp>) -> Self {
        let text = top_up.map_or("", |top_up| top_up.text.as_str());
        Self { text, url: top_up.and_then(|top_up| top_up.url.as_deref()) }
    }
}
