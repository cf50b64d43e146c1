//! Mistakes in the protocol, which tests must find. The product makes none of them: the wire
//! between it and the store sends what a product with the mistake would send.

use serde_json::{Value, json};

use crate::support::client::PRICE;

/// What the wire does to calls.
#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    /// This rewrites the body of a call before the store receives it.
    Sends(fn(operation: &str, body: &mut String)),
    /// A call for which this is true is answered as done before the store receives it. It is sent
    /// on after that, and the product doesn't learn its outcome.
    Confirms(fn(operation: &str, body: &str) -> bool),
}

/// A mistake that the product could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A reserve doesn't check whether it was applied before.
    DeductWithoutGuard,
    /// A release doesn't check whether its hold exists.
    RefundUnconditionally,
    /// A chat is reported as stored before it is.
    ReplyBeforeSettling,
    /// A refresh token becomes invalid when it is presented, instead of when its successor is.
    RotateStrictly,
    /// A settle takes any hold with its id, even after the end of its lease.
    SettleWithoutOwner,
}

impl Mistake {
    pub const ALL: [Self; 5] = [
        Self::DeductWithoutGuard,
        Self::RefundUnconditionally,
        Self::ReplyBeforeSettling,
        Self::RotateStrictly,
        Self::SettleWithoutOwner,
    ];

    /// What the wire does to make it look like the product's mistake.
    pub fn sabotage(self) -> Sabotage {
        match self {
            Self::DeductWithoutGuard => Sabotage::Sends(deducts_without_guard),
            Self::RefundUnconditionally => Sabotage::Sends(refunds_unconditionally),
            Self::ReplyBeforeSettling => Sabotage::Confirms(is_settle),
            Self::RotateStrictly => Sabotage::Sends(rotates_strictly),
            Self::SettleWithoutOwner => Sabotage::Sends(settles_without_owner),
        }
    }
}

/// Drops the two conditions by which a reserve acts once: that its hold does not exist yet, and
/// that its id is not closed. A copy of the reserve takes the credits again.
fn deducts_without_guard(operation: &str, body: &mut String) {
    if operation == "UpdateItem" {
        const GUARD: &str =
            " AND attribute_not_exists(reservations.#rid) AND attribute_not_exists(closed.#rid)";
        *body = body.replace(GUARD, "");
    }
}

/// Has a release add a chat's price to the balance, and not the cost of its hold, so
/// that it can be applied when the hold is gone. The condition on the hold becomes
/// one that is always true: DynamoDB refuses a call with names or values that no expression uses.
fn refunds_unconditionally(operation: &str, body: &mut String) {
    const GIVES_BACK: &str = "tokens + reservations.#rid.#cost";
    if operation != "UpdateItem" || !body.contains(GIVES_BACK) {
        return;
    }
    *body = body.replace(GIVES_BACK, "tokens + :cost").replace(
        "reservations.#rid.#owner = :owner",
        "(attribute_not_exists(reservations.#rid.#owner) OR reservations.#rid.#cost <> :owner)",
    );
    edit(body, |call| call["ExpressionAttributeValues"][":cost"] = number(PRICE));
}

/// Whether it is a settle. Confirmed too soon, it has the product serve an answer that may never be
/// stored, as if the product settled in the background and did not wait for the outcome.
fn is_settle(operation: &str, body: &str) -> bool {
    operation == "TransactWriteItems" && body.contains("spent = spent + reservations.#rid.#cost")
}

/// Has a refresh advance the session to the next generation at once. The product records the
/// presented generation only, so that a client whose reply was lost can present its refresh token
/// again until it presents the next one.
fn rotates_strictly(operation: &str, body: &mut String) {
    if operation != "UpdateItem" || !body.contains("generation = :presented") {
        return;
    }
    edit(body, |call| {
        call["UpdateExpression"] = json!("SET generation = :next, used = :now");
        call["ConditionExpression"] =
            json!("user_id = :user AND ends > :now AND generation = :presented");
        let values = call["ExpressionAttributeValues"].as_object_mut().unwrap();
        let presented: u64 = values[":presented"]["N"].as_str().unwrap().parse().unwrap();
        values.remove(":before");
        values.insert(":next".into(), number(presented + 1));
    });
}

/// Has a settle spend the hold under its id even where that is another chat's, or its lease
/// is over. The comparisons that are left are always true: DynamoDB refuses a call with names or
/// values that no expression uses.
fn settles_without_owner(operation: &str, body: &mut String) {
    if operation == "TransactWriteItems" {
        *body = body.replace(
            "reservations.#rid.#owner = :owner AND reservations.#rid.expires_at > :now",
            "attribute_exists(reservations.#rid) AND (reservations.#rid.#owner = :owner OR reservations.#rid.expires_at <> :now)",
        );
    }
}

fn edit(body: &mut String, change: impl FnOnce(&mut Value)) {
    let mut call = serde_json::from_str(body).unwrap();
    change(&mut call);
    *body = call.to_string();
}

fn number(number: u64) -> Value {
    json!({ "N": number.to_string() })
}
