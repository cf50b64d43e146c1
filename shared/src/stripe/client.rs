//! Requests to Stripe's API.

use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use form_urlencoded::Serializer;
use http_body_util::{BodyExt, Limited};
use lambda_http::http::header::{AUTHORIZATION, CONTENT_TYPE};
use lambda_http::http::{Request, Uri, request};
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::Value;

use super::API_VERSION;
use crate::aws;
use crate::aws::http::Https;
use crate::clock::Clock;
use crate::config::{ConfigError, StripeConfig, StripeMode};
use crate::secrets::{CachedSecret, ServiceKey};
use crate::store::Order;
use crate::telemetry::metrics::{self, Metric};
use crate::{Error, Result};

/// The time-out for one attempt.
const ATTEMPT: Duration = Duration::from_secs(7);

/// The maximum number of attempts. A second attempt is safe, because both contain the same
/// idempotency key.
const ATTEMPTS: u32 = 2;

/// The maximum size of a reply, in bytes. A list of a hundred sessions is half a megabyte long.
const LIMIT: usize = 4 << 20;

/// A client for Stripe's API. Cloning is cheap.
#[derive(Clone)]
pub struct Stripe {
    http: Https,
    url: String,
    mode: StripeMode,
    key: CachedSecret<ServiceKey>,
}

/// A payment page: a Stripe Checkout Session.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The session's id.
    pub id: String,
    /// The URL of the page.
    pub url: String,
}

/// A page of one of Stripe's lists.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// The objects, newest first.
    pub data: Vec<Value>,
    /// True if there are older objects.
    pub has_more: bool,
}

impl Stripe {
    /// Reads the API key. Returns `None` if the operator hasn't set an API key.
    ///
    /// # Errors
    /// Returns an error if the API key can't be read or a setting is invalid.
    pub async fn connect(config: &StripeConfig, clock: Clock) -> Result<Option<Self>, ConfigError> {
        let Some(key) = config.key.clone() else { return Ok(None) };
        let aws = aws::amazon().await?;
        let key = CachedSecret::read("STRIPE_API_KEY", key, &aws, clock).await?;
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        let (url, mode) = (config.url.clone(), config.mode);
        Ok(Some(Self { http: aws::http::client(roots, aws::http::IDLE)?, url, mode, key }))
    }

    /// Reads the API key again if it is due for renewal. Call this in parallel with other work.
    pub async fn renew_key(&self) {
        self.key.renew().await;
    }

    /// Creates the page on which the buyer pays for the order. The same order always gets the same
    /// page. After the payment, the page sends the buyer to `back`.
    ///
    /// # Errors
    /// Returns [`Error::PaymentsUnavailable`] if Stripe refuses the request or doesn't answer.
    pub async fn open_page(&self, order: &Order, back: &str) -> Result<Page> {
        let form = form_of(order, back);
        let build = |key: &ServiceKey| {
            with_key(Request::post(format!("{}/v1/checkout/sessions", self.url)), key)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("Idempotency-Key", format!("order-{}", order.id()))
                .body(SdkBody::from(form.as_str()))
        };
        self.send(build).await
    }

    /// Returns a page of a list, such as `refunds`. The page contains objects that were created at
    /// or after `since` (in seconds since 1970) and are older than the object `after`.
    ///
    /// # Errors
    /// Returns the same errors as [`Stripe::open_page`].
    pub async fn list(&self, what: &str, since: u64, after: Option<&str>) -> Result<Listed> {
        let url = format!("{}/v1/{what}?{}", self.url, page_query(since, after));
        let build = |key: &ServiceKey| with_key(Request::get(&url), key).body(SdkBody::empty());
        self.send(build).await
    }

    /// Sends a request, and retries it if there was no reply. If Stripe refuses the API key and the
    /// secret now contains a different key, retries the request with that key.
    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        build: impl Fn(&ServiceKey) -> Result<Request<SdkBody>, lambda_http::http::Error>,
    ) -> Result<T> {
        let (mut key, mut attempts) = (self.key.current(), ATTEMPTS);
        let mut cause = String::new();
        while attempts > 0 {
            attempts -= 1;
            let request = build(&key).map_err(|error| Error::Internal(error.to_string()))?;
            let answered = match self.accepts(&key) {
                Ok(()) => tokio::time::timeout(ATTEMPT, self.answer(request)).await,
                Err(error) => Ok(Err((Fault::Key, error))),
            };
            let fault = match answered {
                Ok(Ok(body)) => {
                    return serde_json::from_slice(&body)
                        .map_err(|error| Error::PaymentsUnavailable(format!("Stripe: {error}")));
                }
                Ok(Err((fault, error))) => {
                    cause = error;
                    fault
                }
                Err(_) => {
                    cause = "no answer in time".into();
                    Fault::Moment
                }
            };
            match fault {
                Fault::Moment => {}
                Fault::Request => break,
                Fault::Key => match self.key.renew_refused(&key).await {
                    Some(renewed) => (key, attempts) = (renewed, attempts.max(1)),
                    None => {
                        metrics::record(&[(Metric::StripeKeyRefused, 1)]);
                        break;
                    }
                },
            }
        }
        Err(Error::PaymentsUnavailable(format!("Stripe: {cause}")))
    }

    /// Returns an error for an API key that belongs to the other mode.
    fn accepts(&self, key: &ServiceKey) -> Result<(), String> {
        let key = key.bare.to_str().unwrap_or_default();
        match self.mode {
            mode if mode.accepts_key(key) => Ok(()),
            StripeMode::Live => Err("a test key, and STRIPE_MODE is live".into()),
            StripeMode::Test => Err("a live key, and STRIPE_MODE is test".into()),
        }
    }

    /// Returns the body of a successful reply. Otherwise returns the kind of failure, with the
    /// cause for the log.
    async fn answer(&self, request: Request<SdkBody>) -> Result<Vec<u8>, (Fault, String)> {
        let moment = |cause: String| (Fault::Moment, cause);
        let sent = self.http.request(request).await;
        let answer = sent.map_err(|error| moment(format!("no connection: {error}")))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LIMIT).collect().await;
        let body = body.map_err(|error| moment(format!("a reply that was cut off: {error}")))?;
        let body = body.to_bytes().to_vec();
        let fault = match status.as_u16() {
            200 => return Ok(body),
            401 | 403 => Fault::Key,
            409 | 429 | 500.. => Fault::Moment,
            _ => Fault::Request,
        };
        Err((fault, description(status.as_u16(), &body)))
    }
}

/// Why a request failed.
enum Fault {
    /// Stripe was overloaded or couldn't be reached. A retry may succeed.
    Moment,
    /// The API key is invalid, has expired or lacks a permission
    /// ([Stripe](https://docs.stripe.com/api/errors)).
    Key,
    /// Stripe doesn't accept the request.
    Request,
}

fn with_key(request: request::Builder, key: &ServiceKey) -> request::Builder {
    request.header(AUTHORIZATION, key.bearer.clone()).header("Stripe-Version", API_VERSION)
}

/// Returns the query for a page of a list.
fn page_query(since: u64, after: Option<&str>) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", "100").append_pair("created[gte]", &since.to_string());
    if let Some(after) = after {
        query.append_pair("starting_after", after);
    }
    query.finish()
}

/// Returns the form that creates a Checkout Session
/// ([Stripe](https://docs.stripe.com/api/checkout/sessions/create)). A lost order can be recreated
/// from the metadata.
///
/// An order is paid only with its own price in its own currency, so the form turns off what an
/// account's settings could otherwise turn on: other currencies (`adaptive_pricing`) and taxes on
/// top (`automatic_tax`). Left out, because they are off unless the form asks for them:
/// `allow_promotion_codes`, `discounts`, `shipping_options`, `tax_id_collection` and
/// `optional_items`. Left to the account's settings, because they don't change the amount:
/// `payment_method_types`, `locale`, `branding_settings`, `phone_number_collection`,
/// `billing_address_collection`, `consent_collection` and `invoice_creation`.
fn form_of(order: &Order, back: &str) -> String {
    let (id, price) = (order.id(), order.price.to_string());
    let tokens = order.tokens.to_string();
    let mark = if back.contains('?') { '&' } else { '?' };
    let currency = order.currency.to_ascii_lowercase();
    let mut form = Serializer::new(String::new());
    form.append_pair("mode", "payment")
        .append_pair("client_reference_id", id)
        .append_pair("success_url", &format!("{back}{mark}order={id}"))
        .append_pair("cancel_url", back)
        .append_pair("adaptive_pricing[enabled]", "false")
        .append_pair("automatic_tax[enabled]", "false")
        .append_pair("line_items[0][quantity]", "1")
        .append_pair("line_items[0][price_data][currency]", &currency)
        .append_pair("line_items[0][price_data][unit_amount]", &price)
        .append_pair("line_items[0][price_data][product_data][name]", &order.name);
    let about = [
        ("order", id),
        ("account", &order.account),
        ("pack", &order.pack),
        ("name", &order.name),
        ("tokens", &tokens),
        ("price", &price),
        ("currency", &order.currency),
    ];
    for (name, value) in about {
        form.append_pair(&format!("metadata[{name}]"), value);
    }
    form.append_pair("payment_intent_data[metadata][order]", id);
    form.finish()
}

/// Returns Stripe's type and code for a failure, for the log. The message is left out, because it
/// may contain part of the API key.
fn description(status: u16, body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| {
        body.pointer(&format!("/error/{name}")).and_then(Value::as_str).unwrap_or("none").to_owned()
    };
    format!(
        "status {status}, type {}, code {}, parameter {}",
        field("type"),
        field("code"),
        field("param")
    )
}

/// Returns true if the string is an `https` URL, or the URL of a server on this machine.
pub(crate) fn is_safe_url(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    uri.is_some_and(|uri| match uri.scheme_str() {
        Some("https") => true,
        Some("http") => matches!(uri.host(), Some("127.0.0.1" | "localhost")),
        _ => false,
    })
}
