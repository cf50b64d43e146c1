//! `GET /api/health` - checks that the API can reach its store.
//!
//! Reads an item from the smallest table, because a reply without a call to the store wouldn't
//! prove anything.

use std::sync::Arc;

use serde::Serialize;
use shared::app::{HandlerState, PasswordApp, UsesSettings};
use shared::clock::Clock;
use shared::config::{self, AccountConfig, ConfigError, DEFAULT_CURRENCY, Names, Settings};
use shared::values::Allowance;
use shared::{Credits, Reply, Request, VERSION, extends, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Reports whether the store answers").permits(permits![scan(Keys)]);

/// Check the service
///
/// Checks that the API can reach its database, and says the version and what a new account begins
/// with.
#[utoipa::path(
    get,
    path = super::path::health,
    tag = "Service",
    responses((status = 200, description = "The API can reach its database.", body = Healthy)),
)]
pub async fn handle(HealthApp { app, currency, sends_mail }: HealthApp, _req: Request) -> Reply {
    app.store.public_keys().await?;
    let (first_grant, chat_price) = (app.accounts.first_grant, app.config.chat_price);
    let currency = Some(currency.as_ref()).filter(|currency| *currency != DEFAULT_CURRENCY);
    let allowance = app.config.allowances.users;
    http::ok(&Healthy {
        status: "ok",
        version: VERSION,
        first_grant,
        chat_price,
        allowance: allowance.map(|Allowance { tokens, per }| Filling { tokens, per: per.word() }),
        email_verification: sends_mail,
        currency,
    })
}

/// A [`PasswordApp`], the pages' word for the product's tokens, and whether e-mails are sent.
#[derive(Clone)]
pub struct HealthApp {
    app: PasswordApp,
    currency: Arc<str>,
    sends_mail: bool,
}

extends!(HealthApp, app: PasswordApp);

impl UsesSettings for HealthApp {
    const SETTINGS: &'static [Names] =
        &[AccountConfig::SETTINGS, &[config::rows::CURRENCY.name, config::rows::MAIL_FROM.name]];
}

impl HandlerState for HealthApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let currency = config::currency(settings)?.into();
        let sends_mail = config::mail_sender(settings)?.is_some();
        Ok(Self { app: PasswordApp::start(settings, clock).await?, currency, sends_mail })
    }
}

/// The reply from a healthy service.
#[derive(Serialize, ToSchema)]
struct Healthy<'a> {
    /// Always `ok`.
    #[schema(pattern = "^ok$", examples("ok"))]
    status: &'static str,
    /// The version of the release that answered. During a deployment, either of two releases may
    /// answer.
    #[schema(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$", examples("1.2.0"))]
    version: &'static str,
    /// The balance of a new account.
    first_grant: Credits,
    /// The price of a message with its answer, if there is no price list. `GET /api/models` returns
    /// the price list.
    chat_price: Credits,
    /// The allowance of users' accounts. Missing if they don't get an allowance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    allowance: Option<Filling>,
    /// True if a new account with an e-mail address gets an e-mail that verifies the address. False
    /// if the operator has no sender for e-mails.
    #[schema(examples(true))]
    email_verification: bool,
    /// The pages' word for the product's tokens, in the plural. Missing if it is `tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("tokens"))]
    currency: Option<&'a str>,
}

/// An allowance: when an account is first used in a period, a lower balance is topped up to this
/// amount.
#[derive(Serialize, ToSchema)]
#[schema(as = NewAccountAllowance)]
struct Filling {
    /// The number of tokens to which a lower balance is topped up.
    #[schema(examples(1000))]
    tokens: Credits,
    /// The period: `day`, `week` (from Monday) or `month`, in UTC.
    #[schema(examples("day"))]
    per: &'static str,
}
