//! Protocol mistakes that the tests must find. The product doesn't make these mistakes. The wire
//! changes calls to the store, so that the store receives the calls of a product with the mistake.

use serde_json::{Value, json};

use crate::support::client::PRICE;

/// A way in which the wire changes calls.
#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    /// Rewrites the body of each call before the store receives it.
    Sends(fn(operation: &str, body: &mut String)),
    /// If this variant's function returns true for a call, the wire replies at once as if the store
    /// had applied the call. The wire then sends the call to the store, but doesn't pass the
    /// store's reply to the product.
    Confirms(fn(operation: &str, body: &str) -> bool),
}

/// A mistake that the product could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A reserve doesn't check whether the store has already applied it.
    DeductWithoutGuard,
    /// A release of a hold doesn't check whether the hold still exists.
    RefundUnconditionally,
    /// The product reports a chat as stored before the store has it.
    ReplyBeforeSettling,
    /// A refresh token becomes invalid as soon as it is presented. In the product, a refresh token
    /// stays valid until its successor is presented.
    RotateStrictly,
    /// A settle accepts any hold under its id, even after the end of the lease.
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

    /// Returns the sabotage that imitates this mistake.
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

/// Drops the two conditions that make a reserve take effect only once: the reserve's hold must not
/// exist yet, and the hold's id must not be closed. Without these conditions, a copy of the reserve
/// takes the credits again.
fn deducts_without_guard(operation: &str, body: &mut String) {
    if operation == "UpdateItem" {
        const GUARD: &str =
            " AND attribute_not_exists(reservations.#rid) AND attribute_not_exists(closed.#rid)";
        *body = body.replace(GUARD, "");
    }
}

/// Makes a release add a chat's price to the balance instead of the hold's cost, so that the store
/// applies the release even if the hold no longer exists. DynamoDB rejects calls with names or
/// values that no expression uses, so the call keeps a condition that is always true.
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

/// Returns true if a call is a settle. If the wire confirms settles too soon, the product behaves
/// as if it settled in the background, and sends answers that may never be stored.
fn is_settle(operation: &str, body: &str) -> bool {
    operation == "TransactWriteItems" && body.contains("spent = spent + reservations.#rid.#cost")
}

/// Makes a refresh immediately advance the session to the next generation. An unchanged refresh
/// only records the generation of the presented refresh token. A client that lost a reply can
/// present its refresh token again until it presents the next refresh token.
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

/// Makes a settle spend the hold under its id even if another chat owns the hold or the lease has
/// ended. DynamoDB rejects calls with names or values that no expression uses, so the call keeps
/// comparisons that are always true.
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
