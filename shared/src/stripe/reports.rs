//! The facts that Stripe's objects contain about payments.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::client::is_safe_url;
use crate::values::{Dispute, PaymentFacts, Progress, RefundState, Refunded};

/// An event from Stripe. [`EVENTS`](super::EVENTS) lists the types that are handled.
#[derive(Debug)]
pub struct Event {
    body: Value,
}

/// The parts of an event, if its type is handled.
#[derive(Deserialize)]
struct Snapshot {
    /// When the event happened, in seconds since 1970.
    created: u64,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    /// The object, as it was when the event happened.
    object: Value,
}

/// The facts that an object contains about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StripeReport {
    /// A Checkout Session, which belongs to an order.
    Session(SessionReport),
    /// A charge, a refund or a dispute.
    Facts(PaymentRef, PaymentFacts),
}

/// A reference to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentRef {
    /// The payment of the order with this id.
    Order(String),
    /// The payment with this id.
    Payment(String),
}

/// The facts in a Checkout Session. Whether it counts as paid depends on the order's price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// The order.
    pub order: OrderMetadata,
    /// The session's id.
    pub id: String,
    is_expired: bool,
    is_complete: bool,
    has_failed: bool,
    is_paid: bool,
    total: Option<u64>,
    subtotal: Option<u64>,
    currency: String,
    payment: Option<String>,
    at: u64,
}

/// The order in an object's metadata. A charge's metadata contains only the id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OrderMetadata {
    /// The order's id.
    pub order: String,
    /// The id of the buyer's account.
    #[serde(default)]
    pub account: String,
    /// The id of the pack.
    #[serde(default)]
    pub pack: String,
    /// The name of the pack.
    #[serde(default)]
    pub name: String,
    /// The number of credits.
    #[serde(default)]
    pub tokens: String,
    /// The price, in the currency's smallest unit.
    #[serde(default)]
    pub price: String,
    /// The currency, in three capital letters.
    #[serde(default)]
    pub currency: String,
}

#[derive(Deserialize)]
struct Session {
    id: String,
    client_reference_id: Option<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    status: Option<String>,
    payment_status: String,
    amount_total: Option<u64>,
    amount_subtotal: Option<u64>,
    currency: Option<String>,
    payment_intent: Option<Reference>,
}

#[derive(Deserialize)]
struct Charge {
    #[serde(default)]
    metadata: Value,
    payment_intent: Option<Reference>,
    receipt_url: Option<String>,
}

#[derive(Deserialize)]
struct Refund {
    id: String,
    amount: u64,
    status: Option<String>,
    payment_intent: Option<Reference>,
}

#[derive(Deserialize)]
struct DisputeObject {
    id: String,
    status: String,
    payment_intent: Option<Reference>,
}

/// A reference to a different object: its id, or the object itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Whole { id: String },
}

impl Reference {
    fn id(self) -> String {
        match self {
            Self::Id(id) | Self::Whole { id } => id,
        }
    }
}

impl Event {
    /// Reads the body of a request that Stripe has signed. Accepts any body as an event, even if
    /// its shape is unknown (such as a [thin
    /// event](https://docs.stripe.com/event-destinations#thin-events)), because Stripe disables a
    /// webhook that doesn't confirm its events.
    pub fn read(body: &[u8]) -> Self {
        Self { body: serde_json::from_slice(body).unwrap_or_default() }
    }

    /// Returns the type, such as `checkout.session.completed`, or an empty string if it is missing.
    pub fn kind(&self) -> &str {
        self.body.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns true if payments in the event's mode use real money. Returns `None` if the event
    /// doesn't contain its mode.
    pub fn livemode(&self) -> Option<bool> {
        self.body.get("livemode").and_then(Value::as_bool)
    }

    /// Returns the event's report. Returns `None` if the event's type isn't handled, or if the
    /// event is about a payment that this product didn't create.
    ///
    /// # Errors
    /// Returns an error if the event's type is handled, but its shape differs from Stripe's
    /// documentation. Ignoring such an event could lose a payment. The message is for the log.
    pub fn report(self) -> Result<Option<StripeReport>, String> {
        if !super::EVENTS.contains(&self.kind()) {
            return Ok(None);
        }
        let has_failed = self.kind() == "checkout.session.async_payment_failed";
        let Snapshot { created, data } = read(self.body)?;
        let report = StripeReport::from_object(data.object, created.saturating_mul(1000))?;
        Ok(report.map(|report| match report {
            StripeReport::Session(session) => {
                StripeReport::Session(SessionReport { has_failed, ..session })
            }
            facts => facts,
        }))
    }
}

impl StripeReport {
    /// Returns an object's report as of the time `at`, in milliseconds since 1970. Returns `None`
    /// if the object is about a payment that this product didn't create.
    ///
    /// # Errors
    /// Returns the same errors as [`Event::report`].
    pub fn from_object(object: Value, at: u64) -> Result<Option<Self>, String> {
        let kind = object.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
        let report = match kind.as_str() {
            "checkout.session" => session(read(object)?, at),
            "charge" => charge(read(object)?),
            "refund" => refund(read(object)?),
            "dispute" => dispute(read(object)?),
            _ => None,
        };
        Ok(report)
    }
}

fn read<T: serde::de::DeserializeOwned>(object: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(object).map_err(|error| format!("Stripe's object: {error}"))
}

/// Returns the order in an object's metadata. A different product's metadata may also contain an
/// `order`, but it isn't a UUID.
fn order_metadata(metadata: Value) -> Option<OrderMetadata> {
    let of: OrderMetadata = serde_json::from_value(metadata).ok()?;
    let is_id = Uuid::try_parse(&of.order).is_ok_and(|id| id.to_string() == of.order);
    is_id.then_some(of)
}

fn session(session: Session, at: u64) -> Option<StripeReport> {
    let order = order_metadata(session.metadata)
        .filter(|of| session.client_reference_id.as_deref() == Some(&of.order))?;
    let is_complete = session.status.as_deref() == Some("complete");
    // A promotion code may leave nothing to pay. Such a session is over, like a paid one, and its
    // total differs from the price.
    let needs_no_payment = is_complete && session.payment_status == "no_payment_required";
    Some(StripeReport::Session(SessionReport {
        order,
        id: session.id,
        is_expired: session.status.as_deref() == Some("expired"),
        is_complete,
        has_failed: false,
        is_paid: session.payment_status == "paid" || needs_no_payment,
        total: session.amount_total,
        subtotal: session.amount_subtotal,
        currency: session.currency.unwrap_or_default().to_ascii_uppercase(),
        payment: session.payment_intent.map(Reference::id),
        at,
    }))
}

impl SessionReport {
    /// Returns true if the session ended before the buyer completed the payment page. Nothing has
    /// been paid, and nothing will be.
    pub fn has_expired(&self) -> bool {
        self.is_expired && !self.is_paid
    }

    /// Returns true if the session was paid.
    pub fn is_paid(&self) -> bool {
        self.is_paid
    }

    /// Returns the facts about the payment of an order with this price.
    pub fn facts(&self, price: u64, currency: &str) -> PaymentFacts {
        let is_price = self.total == Some(price) && self.subtotal == Some(price);
        let progress = match self {
            Self { is_paid: true, .. } if is_price && self.currency == currency => Progress::Paid,
            Self { is_paid: true, .. } => Progress::Wrong,
            Self { has_failed: true, .. } => Progress::Failed,
            Self { is_expired: true, .. } => Progress::Expired,
            Self { is_complete: true, .. } => Progress::Pending,
            _ => Progress::Open,
        };
        PaymentFacts {
            progress,
            paid_at: self.is_paid.then_some(self.at),
            total: self.total.filter(|_| self.is_paid),
            payment: self.payment.clone(),
            ..PaymentFacts::default()
        }
    }
}

/// Returns a charge's facts: its payment, and the URL of the buyer's receipt. Returns `None` if the
/// charge isn't for an order.
fn charge(charge: Charge) -> Option<StripeReport> {
    let OrderMetadata { order, .. } = order_metadata(charge.metadata)?;
    let facts = PaymentFacts {
        payment: charge.payment_intent.map(Reference::id),
        // The pages link to this URL, so it must be safe.
        receipt: charge.receipt_url.filter(|url| is_safe_url(url)),
        ..PaymentFacts::default()
    };
    Some(StripeReport::Facts(PaymentRef::Order(order), facts))
}

fn refund(refund: Refund) -> Option<StripeReport> {
    let payment = refund.payment_intent.map(Reference::id)?;
    let state = match refund.status.as_deref() {
        Some("failed" | "canceled") => RefundState::Failed,
        _ => RefundState::Made,
    };
    let refunds = BTreeMap::from([(refund.id, Refunded { amount: refund.amount, state })]);
    let facts = PaymentFacts { refunds, ..PaymentFacts::default() };
    Some(StripeReport::Facts(PaymentRef::Payment(payment), facts))
}

fn dispute(dispute: DisputeObject) -> Option<StripeReport> {
    let payment = dispute.payment_intent.map(Reference::id)?;
    let state = match dispute.status.as_str() {
        "lost" => Dispute::Lost,
        // If an inquiry is closed, no money has been returned.
        "won" | "prevented" | "warning_closed" => Dispute::Won,
        _ => Dispute::Open,
    };
    let disputes = BTreeMap::from([(dispute.id, state)]);
    let facts = PaymentFacts { disputes, ..PaymentFacts::default() };
    Some(StripeReport::Facts(PaymentRef::Payment(payment), facts))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORDER: &str = "01a21599-d153-7264-af99-44d0c4f5f166";

    fn event(kind: &str, object: Value) -> Result<Option<StripeReport>, String> {
        let event = json!({ "type": kind, "created": 5, "data": { "object": object } });
        Event::read(event.to_string().as_bytes()).report()
    }

    fn session(changes: Value) -> Value {
        let mut session = json!({
            "object": "checkout.session", "id": "cs_1", "client_reference_id": ORDER,
            "metadata": { "order": ORDER }, "status": "complete", "payment_status": "paid",
            "amount_total": 499, "amount_subtotal": 499, "currency": "eur", "payment_intent": "pi_1",
        });
        for (name, value) in changes.as_object().unwrap() {
            session[name] = value.clone();
        }
        session
    }

    #[test]
    fn sessions_are_paid_with_the_very_price() {
        let progress = |kind: &str, changes| match event(kind, session(changes)).unwrap() {
            Some(StripeReport::Session(session)) => Some(session.facts(499, "EUR").progress),
            _ => None,
        };
        let completed = "checkout.session.completed";
        for (changes, expected) in [
            (json!({}), Progress::Paid),
            (
                json!({ "payment_intent": { "id": "pi_1", "object": "payment_intent" } }),
                Progress::Paid,
            ),
            (json!({ "amount_total": 399 }), Progress::Wrong),
            (json!({ "amount_subtotal": 500 }), Progress::Wrong),
            (json!({ "currency": "usd" }), Progress::Wrong),
            (json!({ "payment_status": "unpaid" }), Progress::Pending),
            (
                json!({ "payment_status": "no_payment_required", "amount_total": 0 }),
                Progress::Wrong,
            ),
            (json!({ "payment_status": "no_payment_required", "status": "open" }), Progress::Open),
            (json!({ "payment_status": "unpaid", "status": "expired" }), Progress::Expired),
            (json!({ "payment_status": "unpaid", "status": "open" }), Progress::Open),
        ] {
            assert_eq!(progress(completed, changes.clone()), Some(expected), "{changes}");
        }
        let failed = "checkout.session.async_payment_failed";
        assert_eq!(progress(failed, json!({ "payment_status": "unpaid" })), Some(Progress::Failed));
        for foreign in [
            json!({ "client_reference_id": null, "metadata": {} }),
            json!({ "client_reference_id": "another" }),
            json!({ "metadata": null }),
        ] {
            assert_eq!(progress(completed, foreign), None);
        }
        assert_eq!(progress("invoice.paid", json!({})), None);
    }

    #[test]
    fn unknown_shapes_say_nothing_unless_their_type_is_handled() {
        let report = |body: &str| Event::read(body.as_bytes()).report();
        for body in ["", "event", "[]", "{}", r#"{"type": 5}"#, r#"{"type": "invoice.paid"}"#] {
            assert_eq!(report(body), Ok(None), "{body}");
        }
        let without = r#"{"type": "checkout.session.completed", "created": 5}"#;
        assert!(report(without).unwrap_err().contains("data"));
    }

    #[test]
    fn refunds_and_disputes_name_their_payment() {
        let refund = |status| {
            let object = json!({ "object": "refund", "id": "re_1", "amount": 5, "status": status, "payment_intent": "pi_1" });
            match event("refund.created", object).unwrap() {
                Some(StripeReport::Facts(PaymentRef::Payment(payment), facts))
                    if payment == "pi_1" =>
                {
                    facts.refunded()
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            ["pending", "requires_action", "succeeded", "failed", "canceled"].map(refund),
            [5, 5, 5, 0, 0]
        );
        let dispute = |status| {
            let object = json!({ "object": "dispute", "id": "dp_1", "status": status, "payment_intent": "pi_1" });
            match event("charge.dispute.closed", object).unwrap() {
                Some(StripeReport::Facts(_, facts)) => (facts.is_lost(), facts.is_disputed()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            ["needs_response", "warning_needs_response", "lost", "won", "warning_closed"]
                .map(dispute),
            [(false, true), (false, true), (true, false), (false, false), (false, false)]
        );
        let without = json!({ "object": "refund", "id": "re_1", "amount": 5, "status": null, "payment_intent": null });
        assert_eq!(event("refund.created", without), Ok(None));
        assert!(event("refund.created", json!({ "object": "refund" })).is_err());
    }

    #[test]
    fn receipts_come_from_charges_of_orders() {
        let charge = |metadata| json!({ "object": "charge", "id": "ch_1", "metadata": metadata, "payment_intent": "pi_1", "receipt_url": "https://pay.stripe.com/receipts/1" });
        let report = event("charge.succeeded", charge(json!({ "order": ORDER }))).unwrap();
        let Some(StripeReport::Facts(payment, facts)) = report else { panic!("no facts") };
        assert_eq!(payment, PaymentRef::Order(ORDER.into()));
        assert_eq!(facts.receipt.as_deref(), Some("https://pay.stripe.com/receipts/1"));
        assert_eq!(event("charge.succeeded", charge(json!({}))), Ok(None));
    }
}
