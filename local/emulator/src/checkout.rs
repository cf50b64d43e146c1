//! Simulates Stripe on one machine: the part of its API that Farebox calls, the page on which a
//! buyer pays, and a page that lists all payments, where they can be refunded and disputed.
//! Everything is in memory, and no money moves. Events are signed and sent to the webhook like
//! Stripe's.
//!
//! Other users of the machine can also connect. The page with all payments therefore has a random
//! path, which buyers never see, and the paths of a payment's pages contain the payment's random
//! id.

mod events;
mod fields;
mod pages;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use lambda_http::http::{Method, StatusCode, header};
use serde_json::{Map, Value, json};
use shared::clock::Clock;
use shared::stripe::API_VERSION;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::http_server;

pub use events::signature;

/// The maximum size of a request body, in bytes.
const BODY: usize = 64 * 1024;

/// A running simulation of Stripe.
pub struct Checkout {
    /// The URL of the API and of the buyers' pages.
    pub url: String,
    /// The URL of the page with all payments. It ends with a slash.
    pub dashboard: String,
    /// The API key.
    pub key: String,
    /// The secret that signs events.
    pub secret: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Stripe {
    url: String,
    /// The secret first path segment of the page with all payments.
    dashboard: String,
    key: String,
    secret: String,
    webhook: String,
    clock: Clock,
    objects: Arc<Mutex<Objects>>,
}

/// All objects, by id. The order of ids is chronological.
#[derive(Default)]
struct Objects {
    sessions: BTreeMap<String, Value>,
    /// The request that used each idempotency key, and the session that it created.
    keys: BTreeMap<String, (String, String)>,
    refunds: BTreeMap<String, Value>,
    disputes: BTreeMap<String, Value>,
    /// The receipt for each payment.
    receipts: BTreeMap<String, String>,
}

impl Checkout {
    /// Starts on any free loopback port. Events are sent to `webhook`.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub async fn start(webhook: &str, clock: Clock) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| format!("No port is free: {error}."))?;
        let url = format!("http://{}", listener.local_addr().map_err(|error| error.to_string())?);
        let random = || Uuid::new_v4().simple().to_string();
        let stripe = Stripe {
            url: url.clone(),
            dashboard: random(),
            key: format!("rk_test_{}", random()),
            secret: format!("whsec_{}", random()),
            webhook: webhook.to_owned(),
            clock,
            objects: Arc::default(),
        };
        let (stop, stopped) = oneshot::channel();
        let (key, secret) = (stripe.key.clone(), stripe.secret.clone());
        let dashboard = format!("{url}/{}/", stripe.dashboard);
        let answer = move |req, _| {
            let stripe = stripe.clone();
            async move { stripe.answer(req).await }
        };
        let server = tokio::spawn(http_server::serve(listener, answer, stopped));
        Ok(Self { url, dashboard, key, secret, stop, server })
    }

    /// Waits for running requests to finish, and then stops.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.server.await;
    }
}

/// An API error: the status, the error type, and a message.
struct Refusal(StatusCode, &'static str, String);

impl Stripe {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, req: Request) -> Response {
        let (parts, body) = req.into_parts();
        let is_here = http_server::host(&parts.headers)
            .is_some_and(|(name, _)| http_server::is_loopback(name));
        let body = http_server::read(body, BODY, BODY).await;
        let Ok(body) = body else { return page(StatusCode::BAD_REQUEST, "No body.".into()) };
        if !is_here {
            return page(
                StatusCode::BAD_REQUEST,
                "This server answers only local requests.".into(),
            );
        }
        if parts.method != Method::GET && !http_server::may_change(&parts.headers, &[]) {
            let refusal = "Pages of this origin must not change anything here.";
            return page(StatusCode::FORBIDDEN, refusal.into());
        }
        let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        let query = parts.uri.query().unwrap_or_default();
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = parts.uri.path().to_owned();
        if let Some(path) = path.strip_prefix("/v1/") {
            let header = |name: &str| {
                parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
            };
            let done = match (header("authorization"), header("stripe-version")) {
                (key, _) if key != format!("Bearer {}", self.key) => Err(Refusal(
                    StatusCode::UNAUTHORIZED,
                    "invalid_request_error",
                    "Invalid API key.".into(),
                )),
                (_, version) if version != API_VERSION => Err(invalid("Stripe-Version")),
                _ if parts.method == Method::POST && path == "checkout/sessions" => {
                    self.create_session(header("idempotency-key"), &body, &form)
                }
                _ if parts.method == Method::GET => self.list(path, &query),
                _ => Err(Refusal(
                    StatusCode::NOT_FOUND,
                    "invalid_request_error",
                    "Unrecognized request URL.".into(),
                )),
            };
            return match done {
                Ok(object) => json_reply(StatusCode::OK, &object),
                Err(Refusal(status, kind, message)) => {
                    json_reply(status, &json!({ "error": { "type": kind, "message": message } }))
                }
            };
        }
        match (&parts.method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["", "pay", id]) => self.payment_page(id, None),
            (&Method::POST, ["", "pay", id]) => self.pay(id, &form),
            (&Method::GET, ["", "receipts", id]) => self.receipt(id),
            (&Method::GET, ["", first, ""]) if *first == self.dashboard => self.all_payments(),
            (&Method::POST, ["", first, "act", id]) if *first == self.dashboard => {
                self.act(id, &form)
            }
            _ => page(StatusCode::NOT_FOUND, "This page doesn't exist.".into()),
        }
    }

    /// Creates a session. Validates the parameters that Farebox sends, as Stripe would, and rejects
    /// all other parameters.
    fn create_session(
        &self,
        key: &str,
        body: &[u8],
        form: &BTreeMap<String, String>,
    ) -> Result<Value, Refusal> {
        let body = String::from_utf8_lossy(body).into_owned();
        let mut objects = self.objects();
        if let Some((earlier, session)) = objects.keys.get(key).filter(|_| !key.is_empty()) {
            return match *earlier == body {
                true => Ok(objects.sessions.get(session).cloned().unwrap_or_default()),
                false => Err(Refusal(
                    StatusCode::BAD_REQUEST,
                    "idempotency_error",
                    "Keys for idempotent requests can only be used with the same parameters."
                        .into(),
                )),
            };
        }
        let required = |name: &str| form.get(name).cloned().ok_or_else(|| invalid(name));
        let known = [
            "mode",
            "client_reference_id",
            "success_url",
            "cancel_url",
            "adaptive_pricing[enabled]",
            "automatic_tax[enabled]",
            "line_items[0][quantity]",
            "line_items[0][price_data][currency]",
            "line_items[0][price_data][unit_amount]",
            "line_items[0][price_data][product_data][name]",
            "payment_intent_data[metadata][order]",
        ];
        let metadata: Map<String, Value> = form
            .iter()
            .filter_map(|(name, value)| {
                let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
                Some((name.to_owned(), json!(value)))
            })
            .collect();
        let is_known = |name: &str| known.contains(&name) || name.starts_with("metadata[");
        if let Some(unknown) = form.keys().find(|name| !is_known(name)) {
            return Err(invalid(unknown));
        }
        if required("mode")? != "payment" || required("line_items[0][quantity]")? != "1" {
            return Err(invalid("mode"));
        }
        let amount: u64 = required("line_items[0][price_data][unit_amount]")?
            .parse()
            .ok()
            .filter(|amount| (1..=99_999_999).contains(amount))
            .ok_or_else(|| invalid("line_items[0][price_data][unit_amount]"))?;
        let currency = required("line_items[0][price_data][currency]")?;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(invalid("line_items[0][price_data][currency]"));
        }
        let id = format!("cs_test_{}", self.clock.id().simple());
        let session = json!({
            "id": id,
            "object": "checkout.session",
            "amount_subtotal": amount,
            "amount_total": amount,
            "cancel_url": required("cancel_url")?,
            "client_reference_id": form.get("client_reference_id"),
            "created": self.clock.seconds(),
            "currency": currency,
            "expires_at": self.clock.seconds() + 86_400,
            "livemode": false,
            "metadata": metadata,
            "mode": "payment",
            "payment_intent": null,
            "payment_status": "unpaid",
            "status": "open",
            "success_url": required("success_url")?,
            "url": format!("{}/pay/{id}", self.url),
            "simulated": {
                "name": required("line_items[0][price_data][product_data][name]")?,
                "order": required("payment_intent_data[metadata][order]")?,
            },
        });
        objects.keys.insert(key.to_owned(), (body, id.clone()));
        objects.sessions.insert(id, session.clone());
        Ok(session)
    }

    /// Returns one page of a list, newest first.
    fn list(&self, path: &str, query: &BTreeMap<String, String>) -> Result<Value, Refusal> {
        let objects = self.objects();
        let all = match path {
            "checkout/sessions" => &objects.sessions,
            "refunds" => &objects.refunds,
            "disputes" => &objects.disputes,
            _ => return Err(invalid("path")),
        };
        let number = |name: &str, default: u64| match query.get(name) {
            Some(text) => text.parse().map_err(|_| invalid(name)),
            None => Ok(default),
        };
        let (since, limit) = (number("created[gte]", 0)?, number("limit", 10)?);
        let limit = usize::try_from(limit).unwrap_or(100).clamp(1, 100);
        let after = query.get("starting_after");
        let older = all.iter().rev().filter(|(id, object)| {
            after.is_none_or(|after| *id < after)
                && object.get("created").and_then(Value::as_u64) >= Some(since)
        });
        let mut data: Vec<&Value> = older.map(|(_, object)| object).take(limit + 1).collect();
        let has_more = data.len() > limit;
        data.truncate(limit);
        Ok(
            json!({ "object": "list", "url": format!("/v1/{path}"), "data": data, "has_more": has_more }),
        )
    }
}

fn invalid(parameter: &str) -> Refusal {
    Refusal(
        StatusCode::BAD_REQUEST,
        "invalid_request_error",
        format!("The parameter {parameter} is missing, unknown or invalid."),
    )
}

fn json_reply(status: StatusCode, body: &Value) -> Response {
    let reply = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    reply.body(Body::from(body.to_string())).unwrap_or_default()
}

fn page(status: StatusCode, html: String) -> Response {
    let reply = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")
        // Send only the origin, because the path is secret. With `no-referrer`, the pages' own
        // forms would be sent without an origin.
        .header(header::REFERRER_POLICY, "same-origin");
    reply.body(Body::from(html)).unwrap_or_default()
}
