//! The fields of objects, and how the pages show them.

use serde_json::Value;

pub(super) fn text(object: &Value, field: &str) -> String {
    object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn number(object: &Value, field: &str) -> u64 {
    object.get(field).and_then(Value::as_u64).unwrap_or_default()
}

/// Formats the price of a session. Assumes that the currency's smallest unit is a hundredth of its
/// main unit.
pub(super) fn money(session: &Value) -> String {
    let (amount, currency) = (number(session, "amount_total"), text(session, "currency"));
    format!("{}.{:02} {}", amount / 100, amount % 100, currency.to_uppercase())
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
