//! The pages of the simulated Stripe.

use axum::response::Response;
use lambda_http::http::StatusCode;
use serde_json::Value;

use super::fields::{escaped, money, text};
use super::{Stripe, page};

const STYLE: &str = "body{font:16px/1.5 system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}\
button{font:inherit;padding:.4rem .9rem;margin:.2rem}td{padding:.3rem .6rem}\
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#9cf}}";

impl Stripe {
    /// The page on which a buyer pays.
    pub(super) fn payment_page(&self, id: &str, note: Option<&str>) -> Response {
        let objects = self.objects();
        let Some(session) = objects.sessions.get(id) else {
            return page(StatusCode::NOT_FOUND, "This payment page doesn't exist.".into());
        };
        let name = session.pointer("/simulated/name").and_then(Value::as_str).unwrap_or_default();
        let (name, sum) = (escaped(name), money(session));
        let cancel = escaped(&text(session, "cancel_url"));
        let note = note.map(|note| format!("<p role=alert>{note}</p>")).unwrap_or_default();
        let buttons = match text(session, "status").as_str() {
            "open" => format!(
                "<form method=post>{}{}{}</form>",
                button("pay", "Pay"),
                button("later", "Pay later"),
                button("decline", "Decline")
            ),
            status => format!("<p>This page is {status}.</p>"),
        };
        html(
            "Simulated payment",
            &format!(
                "<p>{sum} for <b>{name}</b>. No money moves: this page simulates Stripe Checkout.</p>\
                 {note}{buttons}<p><a href=\"{cancel}\">Cancel</a></p>"
            ),
        )
    }

    /// The page with all payments, as in Stripe's dashboard.
    pub(super) fn all_payments(&self) -> Response {
        let objects = self.objects();
        let row = |session: &Value| {
            let (id, payment) = (text(session, "id"), text(session, "payment_intent"));
            let name =
                session.pointer("/simulated/name").and_then(Value::as_str).unwrap_or_default();
            let refunded = objects.refunded(&payment);
            let disputes = objects.disputes.values();
            let dispute = disputes
                .filter(|dispute| text(dispute, "payment_intent") == payment)
                .map(|dispute| text(dispute, "status"))
                .next_back();
            let (status, paid) = (text(session, "status"), text(session, "payment_status"));
            let actions: &[(&str, &str)] = match (status.as_str(), paid.as_str(), &dispute) {
                ("open", ..) => &[("expire", "Expire")],
                ("complete", "unpaid", _) => {
                    &[("arrive", "Money arrives"), ("fail", "Money doesn't arrive")]
                }
                (_, "paid", Some(open)) if open == "needs_response" => {
                    &[("won", "Win the dispute"), ("lost", "Lose the dispute")]
                }
                (_, "paid", _) => {
                    &[("refund", "Refund"), ("half", "Refund half"), ("dispute", "Dispute")]
                }
                _ => &[],
            };
            let buttons: String =
                actions.iter().map(|(action, label)| button(action, label)).collect();
            let (name, sum) = (escaped(name), money(session));
            let dispute = dispute.map(|state| format!(", dispute {state}")).unwrap_or_default();
            format!(
                "<tr><td>{name}<td>{sum}<td>{status}, {paid}, {refunded} refunded{dispute}\
                 <td><form method=post action=\"act/{id}\">{buttons}</form>"
            )
        };
        let rows: String = objects.sessions.values().rev().map(row).collect();
        html(
            "Simulated payments",
            &format!(
                "<p>All payments of this run, newest first. No money moves.</p><table>{rows}</table>"
            ),
        )
    }

    /// The receipt of a payment.
    pub(super) fn receipt(&self, payment: &str) -> Response {
        match self.objects().receipts.get(payment) {
            Some(receipt) => html("Receipt", &format!("<p>{receipt}. No money moved.</p>")),
            None => page(StatusCode::NOT_FOUND, "This receipt doesn't exist.".into()),
        }
    }
}

fn html(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style><h1>{title}</h1>{body}"
    );
    page(StatusCode::OK, html)
}

fn button(action: &str, label: &str) -> String {
    format!("<button name=action value={action}>{label}</button>")
}
