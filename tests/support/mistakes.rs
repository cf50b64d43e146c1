//! Protocol mistakes that the tests must find. The product doesn't make these mistakes. The wire
//! changes calls to the store, so that the store receives the calls that a product with the mistake
//! would send.

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
    /// Rewrites the body of each call, and the store's reply to it. Only the wire of `seeds` does
    /// this.
    Exchanges {
        sends: fn(operation: &str, body: &mut String),
        receives: fn(sent: &str, reply: &mut String),
    },
    /// Rewrites the body of each call while there is a price list. The function gets the list as
    /// JSON. Only the wire of `seeds` does this.
    Reprices(fn(operation: &str, body: &mut String, list: &Value)),
}

/// A mistake that the product could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A reserve doesn't check whether the store has already applied it.
    DeductWithoutGuard,
    /// A release of a hold doesn't check whether the hold still exists.
    RefundUnconditionally,
    /// The product reports a chat as stored before it is stored.
    ReplyBeforeSettling,
    /// A refresh token becomes invalid as soon as it is presented. In the product, a refresh token
    /// stays valid until its successor is presented.
    RotateStrictly,
    /// A settle accepts any hold under its id, even after the lease has ended.
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

/// A mistake that the product could make with the amounts of a price list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PricingMistake {
    /// A settle charges the price of the usage even if the price exceeds the hold.
    ChargeAboveHold,
    /// A settle returns the whole hold, as if nothing had been charged.
    ReturnWholeHold,
    /// If a reserve is refused because an earlier reserve of the chat has placed a hold with a
    /// different amount, the chat continues with the amount that it has just requested, not with
    /// the hold's.
    AdoptNoAmount,
    /// A settle charges according to the price list that is current at that moment. In the product,
    /// a chat keeps the fare of its reserve.
    PriceAtSettle,
    /// A refusal because of the balance doesn't close the hold's id, so that a late copy of the
    /// reserve takes credits.
    RefuseWithoutClosing,
}

impl PricingMistake {
    pub const ALL: [Self; 5] = [
        Self::ChargeAboveHold,
        Self::ReturnWholeHold,
        Self::AdoptNoAmount,
        Self::PriceAtSettle,
        Self::RefuseWithoutClosing,
    ];

    /// Returns the sabotage that imitates this mistake.
    pub fn sabotage(self) -> Sabotage {
        match self {
            Self::ChargeAboveHold => Sabotage::Sends(charges_above_the_hold),
            Self::ReturnWholeHold => Sabotage::Sends(returns_the_whole_hold),
            Self::AdoptNoAmount => {
                Sabotage::Exchanges { sends: settles_any_amount, receives: shows_the_asked_amount }
            }
            Self::PriceAtSettle => Sabotage::Reprices(prices_at_the_settle),
            Self::RefuseWithoutClosing => Sabotage::Sends(refuses_without_closing),
        }
    }
}

/// A mistake that the product could make with limits, allowances and grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TillMistake {
    /// A release returns a hold to the balance, but not to the purse of its API key.
    KeepInPurse,
    /// A release or settle returns credits to the purse of a different period.
    ReturnToOtherPurse,
    /// An account gets its allowance twice in a period.
    FillTwice,
    /// A source is stored before the credits that it grants, and some functions die between the two
    /// writes.
    StoreSourceFirst,
}

impl TillMistake {
    pub const ALL: [Self; 4] =
        [Self::KeepInPurse, Self::ReturnToOtherPurse, Self::FillTwice, Self::StoreSourceFirst];

    /// Returns the sabotage that imitates this mistake.
    pub fn sabotage(self) -> Sabotage {
        match self {
            Self::KeepInPurse => Sabotage::Sends(keeps_in_purse),
            Self::ReturnToOtherPurse => Sabotage::Sends(returns_to_other_purse),
            Self::FillTwice => Sabotage::Sends(fills_twice),
            Self::StoreSourceFirst => Sabotage::Sends(stores_source_first),
        }
    }
}

/// A mistake that the product could make with free work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeWorkMistake {
    /// Free work isn't counted.
    CountNothing,
    /// Free work counts twice.
    CountTwice,
    /// A grant earns free work, as if the granted credits had been spent.
    EarnByGrant,
    /// A charge earns nothing.
    EarnNothing,
    /// The free work of an API key with a limit counts as the owner's.
    CountAsOwners,
    /// A reserve doesn't compare the account's free work with the limit.
    CompareNothing,
    /// A failure also counts the way it did in earlier releases, so that accounts stay locked after
    /// a rollback.
    LockEarlierReleases,
}

impl FreeWorkMistake {
    pub const ALL: [Self; 7] = [
        Self::CountNothing,
        Self::CountTwice,
        Self::EarnByGrant,
        Self::EarnNothing,
        Self::CountAsOwners,
        Self::CompareNothing,
        Self::LockEarlierReleases,
    ];

    /// Returns the sabotage that imitates this mistake.
    pub fn sabotage(self) -> Sabotage {
        match self {
            Self::CountNothing => Sabotage::Sends(|_, body| changes_work(body, |_| 0)),
            Self::CountTwice => Sabotage::Sends(|_, body| changes_work(body, |work| 2 * work)),
            Self::EarnByGrant => Sabotage::Sends(earns_by_grant),
            Self::EarnNothing => Sabotage::Sends(earns_nothing),
            Self::CountAsOwners => Sabotage::Sends(|_, body| {
                *body = body.replace("\"#free_work\":\"k", "\"#free_work\":\"");
                *body = body.replace("\":work\":{\"M\":{\"k", "\":work\":{\"M\":{\"");
            }),
            Self::CompareNothing => Sabotage::Sends(|_, body| {
                const COMPARES: &str =
                    "free_work.#free_work < :free_work OR free_work.#free_work < free_work.#earned";
                *body =
                    body.replace(COMPARES, &format!("attribute_exists(free_work) OR {COMPARES}"));
            }),
            Self::LockEarlierReleases => Sabotage::Sends(locks_earlier_releases),
        }
    }
}

/// A mistake that the product could make with prices above the holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderheldMistake {
    /// What exceeds a hold isn't counted.
    ForgetUnderheld,
    /// What exceeds a hold counts twice.
    CountUnderheldTwice,
    /// What exceeds a hold also counts as free work.
    CountUnderheldAsFreeWork,
    /// More counts than the prompt and the answer can have.
    CountAboveCeiling,
}

impl UnderheldMistake {
    pub const ALL: [Self; 4] = [
        Self::ForgetUnderheld,
        Self::CountUnderheldTwice,
        Self::CountUnderheldAsFreeWork,
        Self::CountAboveCeiling,
    ];

    /// Returns the sabotage that imitates this mistake.
    pub fn sabotage(self) -> Sabotage {
        match self {
            Self::ForgetUnderheld => Sabotage::Sends(|_, body| changes_underheld(body, |_| 0)),
            Self::CountUnderheldTwice => {
                Sabotage::Sends(|_, body| changes_underheld(body, |credits| 2 * credits))
            }
            Self::CountUnderheldAsFreeWork => Sabotage::Sends(counts_underheld_as_free_work),
            Self::CountAboveCeiling => {
                Sabotage::Sends(|_, body| changes_underheld(body, |credits| credits + 1000))
            }
        }
    }
}

/// Changes the number of credits that a settle counts above the hold.
fn changes_underheld(body: &mut String, change: fn(u64) -> u64) {
    const CREDITS: &str = "\":underheld\":{\"N\":\"";
    if let Some((before, rest)) = body.split_once(CREDITS)
        && let Some((credits, after)) = rest.split_once('"')
    {
        let credits = change(credits.parse().unwrap());
        *body = format!("{before}{CREDITS}{credits}\"{after}");
    }
}

/// Makes a settle count what exceeds the hold as free work of the day, too.
fn counts_underheld_as_free_work(_: &str, body: &mut String) {
    const COUNTS: &str =
        "free_work.#underheld = if_not_exists(free_work.#underheld, :nothing) + :underheld";
    if body.contains(COUNTS) && !body.contains("free_work.#free_work = ") {
        let today = text_between(body, "\":now\":{\"N\":\"").parse::<u64>().unwrap() / 86_400;
        let both = format!(
            "free_work.#today = if_not_exists(free_work.#today, :nothing) + :underheld, {COUNTS}"
        );
        *body = body.replace(COUNTS, &both);
        *body = body.replace("\"#underheld\":", &format!("\"#today\":\"{today}\",\"#underheld\":"));
    }
}

/// Returns the part of the body between `mark` and the next quotation mark.
fn text_between<'t>(body: &'t str, mark: &str) -> &'t str {
    body.split_once(mark).unwrap().1.split('"').next().unwrap()
}

/// Makes a release that counts free work also count the day's refunds.
fn locks_earlier_releases(operation: &str, body: &mut String) {
    if operation == "UpdateItem" && body.contains("\":work\":") {
        edit(body, |call| {
            let set = call["UpdateExpression"].as_str().unwrap();
            let set = set.replacen("SET ", "SET minutes.d99999 = :lock, ", 1);
            call["UpdateExpression"] = json!(set);
            call["ExpressionAttributeValues"][":lock"] = number(100);
        });
    }
}

/// Changes the amount of free work that a write counts.
fn changes_work(body: &mut String, change: fn(u64) -> u64) {
    const NUMBER: &str = "{\"N\":\"";
    if let Some((before, rest)) = body.split_once("\":work\":")
        && let Some((key, rest)) = rest.split_once(NUMBER)
        && let Some((work, after)) = rest.split_once('"')
    {
        let work = change(work.parse().unwrap());
        *body = format!("{before}\":work\":{key}{NUMBER}{work}\"{after}");
    }
}

/// Makes a settle add nothing to the free work that the account has earned.
fn earns_nothing(operation: &str, body: &mut String) {
    if operation == "TransactWriteItems" {
        const EARNED: &str = "\":earned\":{\"N\":\"";
        if let Some((before, rest)) = body.split_once(EARNED)
            && let Some((_, after)) = rest.split_once('"')
        {
            *body = format!("{before}{EARNED}0\"{after}");
        }
    }
}

/// Makes a grant add to the free work that the account has earned.
fn earns_by_grant(operation: &str, body: &mut String) {
    const GRANTS: &str = "SET tokens = tokens + :amount";
    if operation != "TransactWriteItems" || !body.contains(GRANTS) {
        return;
    }
    edit(body, |call| {
        for item in call["TransactItems"].as_array_mut().unwrap() {
            let update = &mut item["Update"];
            let Some(set) = update["UpdateExpression"].as_str() else { continue };
            if set.contains(GRANTS) {
                update["UpdateExpression"] = json!(format!("{set}, free_work = :earned"));
                let earned = update["ExpressionAttributeValues"][":amount"].clone();
                update["ExpressionAttributeValues"][":earned"] =
                    json!({ "M": { "e99999": earned } });
            }
        }
    });
}

/// A mistake that the product could make with payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentMistake {
    /// A step of an order takes effect whenever it arrives, so a refund takes more credits than
    /// were bought.
    TakeAgain,
    /// An event is stored before the credits that it moves, and the function dies in between.
    StoreEventFirst,
}

impl PaymentMistake {
    pub const ALL: [Self; 2] = [Self::TakeAgain, Self::StoreEventFirst];

    /// Returns the sabotage that imitates this mistake.
    pub fn sabotage(self) -> Sabotage {
        match self {
            Self::TakeAgain => Sabotage::Sends(takes_again),
            Self::StoreEventFirst => Sabotage::Sends(stores_event_first),
        }
    }
}

/// Drops the conditions that make a step of an order take effect only once.
fn takes_again(operation: &str, body: &mut String) {
    if operation == "TransactWriteItems" && body.contains("\"source:stripe:") {
        edit(body, |call| {
            for item in call["TransactItems"].as_array_mut().unwrap() {
                if let Some(put) = item["Put"].as_object_mut() {
                    put.remove("ConditionExpression");
                }
            }
        });
        *body = body.replace("version = :seen", "(version = :seen OR attribute_exists(pk))");
    }
}

/// Removes everything except the order and the source from the transaction of an order's step, so
/// that the credits and their ledger row are missing.
fn stores_event_first(operation: &str, body: &mut String) {
    if operation == "TransactWriteItems" && body.contains("\"source:stripe:") {
        edit(body, |call| {
            let items = call["TransactItems"].as_array_mut().unwrap();
            items.retain(|item| {
                let item = item.to_string();
                !item.contains("\"UsersTable\"") && !item.contains("\"LedgerTable\"")
            });
        });
    }
}

/// Makes a release subtract nothing from the purse.
fn keeps_in_purse(operation: &str, body: &mut String) {
    const RETURNS: &str =
        "if_not_exists(purses.#purse, reservations.#rid.#cost) - reservations.#rid.#cost";
    if operation == "UpdateItem" {
        *body = body.replace(RETURNS, "if_not_exists(purses.#purse, reservations.#rid.#cost)");
    }
}

/// Alters a write that returns credits, so that it returns them to the purse of a different period.
fn returns_to_other_purse(_: &str, body: &mut String) {
    let in_other = |purse: &mut Value| {
        let other = purse.as_str().unwrap().split('#').next().unwrap().to_owned();
        *purse = json!(format!("{other}#1999-12"));
    };
    if body.contains("if_not_exists(purses.#purse, reservations") {
        edit(body, |call| in_other(&mut call["ExpressionAttributeNames"]["#purse"]));
    } else if body.contains("if_not_exists(purses.#purse, :back)") {
        edit(body, |call| {
            let settle = &mut call["TransactItems"][0]["Update"];
            in_other(&mut settle["ExpressionAttributeNames"]["#purse"]);
        });
    }
}

/// Alters the write that tops up a balance, so that it ignores allowances that the account has
/// already received.
fn fills_twice(_: &str, body: &mut String) {
    const KNOWS: &str = "granted = :granted AND spent = :spent AND (attribute_not_exists(allowance) OR allowance < :period)";
    let ignores = format!("(attribute_exists(pk) OR {KNOWS})");
    *body = body.replace(KNOWS, &ignores);
}

/// Removes everything except the source from a grant's transaction, if it is an account's second
/// source.
fn stores_source_first(operation: &str, body: &mut String) {
    if operation != "TransactWriteItems" || !body.contains("\"source:") {
        return;
    }
    edit(body, |call| {
        let items = call["TransactItems"].as_array_mut().unwrap();
        let key = |item: &Value| item["Put"]["Item"]["pk"]["S"].as_str().unwrap_or("").to_owned();
        if items.iter().any(|item| key(item).ends_with(":1")) {
            items.retain(|item| key(item).starts_with("source:"));
        }
    });
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
    operation == "TransactWriteItems" && body.contains("SET spent = spent + ")
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

/// Makes a settle charge the price under the chat's own fare, even if the price exceeds the hold.
fn charges_above_the_hold(operation: &str, body: &mut String) {
    if is_settle_by_usage(operation, body) {
        edit(body, |call| {
            let fare = settled_chat(call)["receipt"]["M"]["fare"]["M"].clone();
            charge(call, price(&fare, &settled_chat(call)["usage"]["M"]));
        });
    }
}

/// Makes a settle charge the price under the fare that its model has in the current list. The
/// charge doesn't exceed the hold.
fn prices_at_the_settle(operation: &str, body: &mut String, list: &Value) {
    if !is_settle_by_usage(operation, body) {
        return;
    }
    edit(body, |call| {
        let receipt = &settled_chat(call)["receipt"]["M"];
        let model = receipt["model"]["S"].clone();
        let mut models = list["models"].as_array().unwrap().iter();
        let current = models.find(|listed| listed["name"] == model);
        if let Some(rates) = current.map(|listed| &listed["fare"])
            && rates["input"].is_u64()
            && receipt["whole"].is_null()
        {
            let rate = |name: &str| number(rates[name].as_u64().unwrap());
            let mut fare = json!({ "input": rate("input"), "cached": rate("cached"), "output": rate("output") });
            if let Some(write) = rates["write"].as_u64() {
                fare["write"] = number(write);
            }
            let held = amount(&receipt["held"]);
            charge(call, price(&fare, &settled_chat(call)["usage"]["M"]).min(held));
        }
    });
}

/// Makes a settle add the whole hold to the balance, although a part of it is spent.
fn returns_the_whole_hold(operation: &str, body: &mut String) {
    if is_settle_by_usage(operation, body) {
        edit(body, |call| {
            let values = &mut call["TransactItems"][0]["Update"]["ExpressionAttributeValues"];
            values[":back"] = values[":held"].clone();
        });
    }
}

/// Makes a settle accept a hold of any amount.
fn settles_any_amount(operation: &str, body: &mut String) {
    if operation == "TransactWriteItems" {
        *body = body.replace(
            "reservations.#rid.#cost = :held",
            "(reservations.#rid.#cost = :held OR attribute_exists(reservations.#rid))",
        );
    }
}

/// Replaces the amount of the hold that a refused reserve finds under its id with the amount that
/// the reserve requested.
fn shows_the_asked_amount(sent: &str, reply: &mut String) {
    if !sent.contains(":reservation") || !reply.contains("ConditionalCheckFailed") {
        return;
    }
    let sent: Value = serde_json::from_str(sent).unwrap();
    let rid = sent["ExpressionAttributeNames"]["#rid"].as_str().unwrap();
    edit(reply, |refusal| {
        let found = &mut refusal["Item"]["reservations"]["M"];
        if found[rid].is_object() {
            found[rid]["M"]["cost"] = sent["ExpressionAttributeValues"][":cost"].clone();
        }
    });
}

/// Alters the write that closes the id of a refused hold, so that it changes a different attribute.
fn refuses_without_closing(operation: &str, body: &mut String) {
    if operation == "UpdateItem" {
        *body = body.replace("\"SET closed.#rid = :closed\"", "\"SET refused = :closed\"");
    }
}

fn is_settle_by_usage(operation: &str, body: &str) -> bool {
    operation == "TransactWriteItems" && body.contains("spent = spent + :charge")
}

/// Returns the chat that a settle stores, or the ledger row of embeddings, in DynamoDB's JSON. Both
/// contain the receipt and the usage.
fn settled_chat(call: &Value) -> &Value {
    &call["TransactItems"][1]["Put"]["Item"]
}

/// Makes a settle charge this amount, in all its items.
fn charge(call: &mut Value, amount: i128) {
    let items = call["TransactItems"].as_array_mut().unwrap();
    let values = &mut items[0]["Update"]["ExpressionAttributeValues"];
    let held = self::amount(&values[":held"]);
    values[":charge"] = number(amount);
    values[":back"] = number(held - amount);
    for item in items {
        for (path, credits) in [("/Put/Item/cost", amount), ("/Put/Item/amount", -amount)] {
            if let Some(stored) = item.pointer_mut(path) {
                *stored = number(credits);
            }
        }
    }
}

/// Computes the price of a usage with a fare. Both are in DynamoDB's JSON.
fn price(fare: &Value, usage: &Value) -> i128 {
    let [input, cached_rate, output] =
        ["input", "cached", "output"].map(|name| self::amount(&fare[name]));
    let write = if fare["write"].is_null() { input } else { self::amount(&fare["write"]) };
    let [prompt, cached, written, completion] =
        ["prompt_tokens", "cached_tokens", "written_tokens", "completion_tokens"]
            .map(|name| self::amount(&usage[name]));
    let cached = cached.min(prompt);
    let written = written.min(prompt - cached);
    let of_cache = cached * cached_rate + written * write;
    let millionths = (prompt - cached - written) * input + of_cache + completion * output;
    (millionths + 999_999) / 1_000_000
}

/// Reads a number in DynamoDB's JSON. 0 if the number is missing.
fn amount(number: &Value) -> i128 {
    number["N"].as_str().map_or(0, |number| number.parse().unwrap())
}

fn edit(body: &mut String, change: impl FnOnce(&mut Value)) {
    let mut call = serde_json::from_str(body).unwrap();
    change(&mut call);
    *body = call.to_string();
}

fn number(number: impl ToString) -> Value {
    json!({ "N": number.to_string() })
}
