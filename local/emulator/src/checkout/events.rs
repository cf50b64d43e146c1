//! Changes to payments, and the events that report them.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lambda_http::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use shared::stripe::API_VERSION;

use super::fields::{escaped, money, number, text};
use super::{Objects, Stripe, page};

/// The pauses between attempts to deliver an event, in milliseconds. Stripe itself keeps trying for
/// three days.
const PAUSES: [u64; 6] = [0, 100, 500, 2000, 10_000, 60_000];

/// The buttons on the payment page.
const PAY: &str = "pay";
const LATER: &str = "later";
const DECLINE: &str = "decline";

impl Stripe {
    /// Applies the buyer's choice on the payment page.
    pub(super) fn pay(
        &self,
        id: &str,
        form: &std::collections::BTreeMap<String, String>,
    ) -> Response {
        let action = form.get("action").map(String::as_str).unwrap_or_default();
        if action == DECLINE {
            return self.payment_page(id, Some("Your card was declined. Nothing was paid."));
        }
        let mut objects = self.objects();
        let Some(session) = objects.sessions.get_mut(id) else {
            return page(StatusCode::NOT_FOUND, "This payment page doesn't exist.".into());
        };
        let back = text(session, "success_url");
        if text(session, "status") == "open" && matches!(action, PAY | LATER) {
            let payment = format!("pi_{}", id.trim_start_matches("cs_test_"));
            session["status"] = json!("complete");
            session["payment_intent"] = json!(payment);
            let is_paid = action == PAY;
            if is_paid {
                session["payment_status"] = json!("paid");
            }
            let session = session.clone();
            if is_paid {
                let charge = self.charge(&mut objects, &session);
                self.tell("charge.succeeded", charge);
            }
            self.tell("checkout.session.completed", session);
        }
        see_other(&back)
    }

    /// Applies the operator's choice on the page with all payments.
    pub(super) fn act(
        &self,
        id: &str,
        form: &std::collections::BTreeMap<String, String>,
    ) -> Response {
        let mut objects = self.objects();
        let Some(session) = objects.sessions.get(id).cloned() else {
            return page(StatusCode::NOT_FOUND, "This payment doesn't exist.".into());
        };
        let (payment, total) = (text(&session, "payment_intent"), number(&session, "amount_total"));
        let is = |state: &str| text(&session, "payment_status") == state;
        match form.get("action").map(String::as_str).unwrap_or_default() {
            "expire" if text(&session, "status") == "open" => {
                let session = objects.change(id, "status", "expired");
                self.tell("checkout.session.expired", session);
            }
            "arrive" if is("unpaid") && !payment.is_empty() => {
                let session = objects.change(id, "payment_status", "paid");
                let charge = self.charge(&mut objects, &session);
                self.tell("charge.succeeded", charge);
                self.tell("checkout.session.async_payment_succeeded", session);
            }
            "fail" if is("unpaid") && !payment.is_empty() => {
                self.tell("checkout.session.async_payment_failed", session.clone());
            }
            action @ ("refund" | "half") if is("paid") => {
                let left = total.saturating_sub(objects.refunded(&payment));
                let amount = if action == "half" { (total / 2).min(left) } else { left };
                if amount > 0 {
                    let id = format!("re_{}", self.clock.id().simple());
                    let refund = json!({
                        "id": id, "object": "refund", "amount": amount, "status": "succeeded",
                        "currency": text(&session, "currency"), "payment_intent": payment,
                        "created": self.clock.seconds(), "metadata": {},
                    });
                    objects.refunds.insert(id, refund.clone());
                    self.tell("refund.created", refund);
                }
            }
            "dispute" if is("paid") => {
                let id = format!("dp_{}", self.clock.id().simple());
                let dispute = json!({
                    "id": id, "object": "dispute", "amount": total, "status": "needs_response",
                    "currency": text(&session, "currency"), "payment_intent": payment,
                    "created": self.clock.seconds(), "metadata": {},
                });
                objects.disputes.insert(id, dispute.clone());
                self.tell("charge.dispute.created", dispute);
            }
            action @ ("won" | "lost") => {
                let open = objects.disputes.values_mut().find(|dispute| {
                    text(dispute, "payment_intent") == payment
                        && text(dispute, "status") == "needs_response"
                });
                if let Some(dispute) = open {
                    dispute["status"] = json!(action);
                    self.tell("charge.dispute.closed", dispute.clone());
                }
            }
            _ => {}
        }
        see_other(&format!("/{}/", self.dashboard))
    }

    /// Returns a paid session's charge, including its receipt.
    fn charge(&self, objects: &mut Objects, session: &Value) -> Value {
        let payment = text(session, "payment_intent");
        let name = session.pointer("/simulated/name").and_then(Value::as_str).unwrap_or_default();
        let sum = money(session);
        objects.receipts.insert(payment.clone(), format!("{sum} for {}", escaped(name)));
        json!({
            "id": format!("ch_{}", payment.trim_start_matches("pi_")),
            "object": "charge",
            "amount": session["amount_total"],
            "amount_refunded": 0,
            "currency": text(session, "currency"),
            "created": self.clock.seconds(),
            "metadata": { "order": session.pointer("/simulated/order") },
            "paid": true,
            "payment_intent": payment,
            "receipt_url": format!("{}/receipts/{payment}", self.url),
            "status": "succeeded",
        })
    }

    /// Sends an event to the webhook. Retries after each pause in [`PAUSES`] until the webhook
    /// confirms the event.
    fn tell(&self, kind: &'static str, mut object: Value) {
        if let Some(object) = object.as_object_mut() {
            object.remove("simulated");
        }
        let id = format!("evt_{}", self.clock.id().simple());
        let event = json!({
            "id": id, "object": "event", "api_version": API_VERSION, "type": kind,
            "created": self.clock.seconds(), "livemode": false, "pending_webhooks": 1,
            "data": { "object": object }, "request": { "id": null, "idempotency_key": null },
        });
        let (body, stripe) = (event.to_string(), self.clone());
        tokio::spawn(async move {
            for pause in PAUSES {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if stripe.deliver(&body).await {
                    return;
                }
            }
            tracing::error!(id, kind, "an event of the simulated Stripe was never confirmed");
        });
    }

    async fn deliver(&self, body: &str) -> bool {
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let request = Request::post(&self.webhook)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header("Stripe-Signature", signature(&self.secret, body, self.clock.seconds()))
            .body(Body::from(body.to_owned()));
        let Ok(request) = request else { return false };
        client.request(request).await.is_ok_and(|reply| reply.status().is_success())
    }
}

impl Objects {
    fn change(&mut self, id: &str, field: &str, value: &str) -> Value {
        let Some(session) = self.sessions.get_mut(id) else { return Value::Null };
        session[field] = json!(value);
        session.clone()
    }

    /// Returns the sum of a payment's refunds.
    pub(super) fn refunded(&self, payment: &str) -> u64 {
        let of_it =
            self.refunds.values().filter(|refund| text(refund, "payment_intent") == payment);
        of_it.map(|refund| number(refund, "amount")).sum()
    }
}

/// Returns the `Stripe-Signature` header for a body that is signed at `now`, in seconds since 1970.
pub fn signature(secret: &str, body: &str, now: u64) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, format!("{now}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now},v1={hex}")
}

pub(super) fn see_other(url: &str) -> Response {
    let reply = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, url);
    reply.body(Body::empty()).unwrap_or_default()
}
