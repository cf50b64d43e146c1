//! The commands for packs, orders and payments.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;
use shared::clock::Clock;
use shared::config::{CheckoutConfig, Settings};
use shared::store::{Order, SetOfferOutcome};
use shared::stripe::{About, News, OrderOf, Stripe};
use shared::values::{Pack, Packs, Progress};
use shared::view::Purchase;
use shared::{App, Credits, clock};

use super::{close, counted, find, open, sentence};
use crate::offer_file;

/// The lists of Stripe that are compared. Sessions come first, because they name the orders of the
/// payments that refunds and disputes are about.
const LISTS: [&str; 3] = ["checkout/sessions", "refunds", "disputes"];

/// Shows the packs as JSON, with their author and time.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn show_packs(data: &Path) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let stored = app.store.packs().await;
    close(embedded).await;
    let Some(stored) = stored.map_err(sentence)? else {
        return Ok("There are no packs: nothing is sold.".into());
    };
    offer_file::show(&stored)
}

/// Sets the packs from a file, or removes them without a file.
///
/// # Errors
/// Fails with a sentence for the terminal. Each problem in the file is a line.
pub async fn set_packs(data: &Path, file: Option<&Path>) -> Result<String, String> {
    let packs = file.map(offer_file::read::<Packs>).transpose()?;
    let (app, embedded) = open(data).await?;
    let set = offer_file::set(&app, packs.as_ref()).await;
    close(embedded).await;
    match set.map_err(sentence)? {
        SetOfferOutcome::Set(Some(stored)) => Ok(format!(
            "{} can be bought now, version {}.",
            counted(stored.list.packs.len(), "pack"),
            stored.of.version
        )),
        SetOfferOutcome::Set(None) => Ok("Nothing is sold now.".into()),
        SetOfferOutcome::Changed => {
            Err("Someone else has just changed the packs. Nothing was changed.".into())
        }
    }
}

/// Lists the orders, one per line, newest first.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn orders(data: &Path, attention: bool) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let orders = every(&app, attention, 0).await;
    close(embedded).await;
    let line = |order: &Order| {
        let Order { account, price, currency, given, owed, .. } = order;
        let mut line = format!(
            "{}  {}  {price} {currency}, {}, {given} of {} tokens given",
            order.id(),
            clock::rfc3339(order.time),
            Purchase::of(order).state(),
            order.tokens
        );
        if *owed > Credits::ZERO {
            line.push_str(&format!(", {owed} owed"));
        }
        if let Some(stranded) = order.stranded {
            line.push_str(&format!(", stranded: {}", stranded.word()));
        }
        format!("{line}: {account}")
    };
    match orders? {
        orders if orders.is_empty() => Ok("There are no such orders.".into()),
        orders => Ok(orders.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

/// Returns all orders since a time in milliseconds, newest first.
async fn every(app: &App, attention: bool, since: u64) -> Result<Vec<Order>, String> {
    let mut all: Vec<Order> = Vec::new();
    loop {
        let before = all.last().map(|order| order.id().to_owned());
        let page = match attention {
            true => app.store.orders_to_look_at(before.as_deref()).await,
            false => app.store.orders(before.as_deref()).await,
        };
        let (page, more) = page.map_err(sentence)?;
        let is_last = page.last().is_some_and(|order| order.time < since);
        all.extend(page.into_iter().filter(|order| order.time >= since));
        if !more || is_last {
            return Ok(all);
        }
    }
}

/// Takes the tokens that refunded purchases owe, as far as the accounts have them, and deletes old
/// orders that were never paid.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn collect(data: &Path) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let left = app.store.collect(&app.clock).await;
    let expired = app.store.expire_orders(&app.clock).await;
    close(embedded).await;
    let left = match left.map_err(sentence)? {
        0 => "No order owes tokens or is stranded.".to_owned(),
        1 => "1 order still owes tokens or is stranded; `manage till orders --attention` lists it."
            .to_owned(),
        left => format!(
            "{left} orders still owe tokens or are stranded; `manage till orders --attention` lists them."
        ),
    };
    Ok(match expired.map_err(sentence)? {
        0 => left,
        1 => format!("{left} 1 unpaid order was deleted."),
        expired => format!("{left} {expired} unpaid orders were deleted."),
    })
}

/// Compares the orders of the last `days` with Stripe's lists, and merges what events haven't told.
/// Prints a line for each order that was changed, restored, or that Stripe doesn't know.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn reconcile(data: &Path, days: u64) -> Result<String, String> {
    let config =
        CheckoutConfig::read(&Settings::from_env()).map_err(|error| format!("{error}."))?;
    let stripe =
        Stripe::connect(&config, Clock::default()).await.map_err(|error| format!("{error}."))?;
    let stripe = stripe.ok_or("Export STRIPE_API_KEY: the API key, or the ARN of its secret.")?;
    let (app, embedded) = open(data).await?;
    let lines = compare(&app, &stripe, days).await;
    close(embedded).await;
    let lines = lines?;
    for line in &lines {
        println!("{line}");
    }
    Ok(counted(lines.len(), "difference"))
}

/// Compares in both directions. Returns a line for each difference.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn compare(app: &App, stripe: &Stripe, days: u64) -> Result<Vec<String>, String> {
    let now = app.clock.seconds();
    let since = now.saturating_sub(days * 86_400);
    let (mut lines, mut known) = (Vec::new(), HashSet::new());
    for list in LISTS {
        let mut after = None;
        loop {
            let page = stripe.list(list, since, after.as_deref()).await;
            let page = page.map_err(|error| {
                format!("{} {}", error.detail(), error.cause().unwrap_or_default())
            })?;
            after =
                page.data.last().and_then(|object| object.get("id")?.as_str().map(str::to_owned));
            for object in page.data {
                let id = object.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                // Other products may use the same Stripe account.
                lines.extend(match News::of(object, app.clock.millis()) {
                    Ok(Some(news)) => learn(app, news, &mut known).await?,
                    Ok(None) => None,
                    Err(why) => Some(format!("{id}: can't be read: {why}")),
                });
            }
            if !page.has_more || after.is_none() {
                break;
            }
        }
    }
    // An order of the first hour may have a page that is older than the listed ones.
    for order in every(app, false, (since + 3600) * 1000).await? {
        if order.facts.progress == Progress::Paid && !known.contains(order.id()) {
            lines.push(format!("{}: paid here, but Stripe doesn't list the payment", order.id()));
        }
    }
    Ok(lines)
}

/// Merges what one of Stripe's objects says. Returns a line if that changed an order.
async fn learn(
    app: &App,
    news: News,
    known: &mut HashSet<String>,
) -> Result<Option<String>, String> {
    let session = match news {
        News::Session(session) => session,
        News::Facts(About::Order(_), _) => return Ok(None),
        News::Facts(About::Payment(payment), facts) => {
            let before = app.store.order_of_payment(&payment).await.map_err(sentence)?;
            let Some(before) = before else { return Ok(None) };
            let after = app.store.learn(before.clone(), &facts, &app.clock).await;
            return Ok(changed(&before, &after.map_err(sentence)?));
        }
    };
    let id = session.order.order.clone();
    known.insert(id.clone());
    let (before, mut line) = match app.store.order(&id).await.map_err(sentence)? {
        Some(order) => (order, None),
        // Unpaid orders are deleted after a week.
        None if session.has_expired() => return Ok(None),
        None => match restored(app, &session.order).await? {
            Some(order) => (order, Some(format!("{id}: restored from Stripe"))),
            None => {
                return Ok(Some(format!(
                    "{id}: Stripe lists this order, and it can't be restored"
                )));
            }
        },
    };
    let facts = session.facts(before.price, &before.currency);
    let after = app.store.learn(before.clone(), &facts, &app.clock).await.map_err(sentence)?;
    if let Some(change) = changed(&before, &after) {
        line = Some(line.map_or(change.clone(), |line| format!("{line}; {change}")));
    }
    Ok(line)
}

fn changed(before: &Order, after: &Order) -> Option<String> {
    let state = Purchase::of(after).state();
    (before.given != after.given || Purchase::of(before).state() != state)
        .then(|| format!("{}: {state} now, {} tokens given", after.id(), after.given))
}

/// Stores an order again that a restore of the tables has lost. `None` if its account is unknown.
async fn restored(app: &App, of: &OrderOf) -> Result<Option<Order>, String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let (Some(tokens), Some(price)) =
        (number(&of.tokens).and_then(Credits::new), number(&of.price))
    else {
        return Ok(None);
    };
    // Only what this product writes into the metadata is restored.
    let Ok(account) = find(app, &of.account).await else { return Ok(None) };
    if account.id != of.account {
        return Ok(None);
    }
    let pack = Pack {
        id: of.pack.clone(),
        name: of.name.clone(),
        tokens,
        price,
        currency: of.currency.clone(),
    };
    if Packs::new(vec![pack.clone()]).is_err() {
        return Ok(None);
    }
    let order = Order::new(&account, &pack, &app.clock).with_id(&of.order);
    app.store.restore_order(&account, &order).await.map_err(sentence)?;
    app.store.order(order.id()).await.map_err(sentence)
}
