//! `POST /api/user/purchases` - order a pack of tokens, and open its payment page.
//!
//! Stores the order before the page is opened, so that every payment belongs to a stored order.

use serde::{Deserialize, Serialize};
use shared::app::CheckoutApp;
use shared::error::{Failure, required};
use shared::store::Order;
use shared::view::Purchase;
use shared::{Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Opens payment pages").timeout(28).permits(permits![
    VERIFY_TOKENS,
    read_secret("StripeKeyArn"),
    get(Tokens(&["packs:*"])),
    put(Tokens(&["order:*", "purchase:*"])),
    update(Tokens(&["order:*", "attempt:order:*"])),
]);

#[derive(Deserialize, ToSchema)]
#[schema(as = PurchaseRequest)]
struct Body {
    /// The pack's id.
    #[schema(value_type = String, required, min_length = 1, examples("small"))]
    pack: Option<String>,
}

/// Buy tokens
///
/// Orders a pack, and opens the page of the payment provider on which it is paid. Administrators
/// can't buy packs that they have set. Open `url` in a browser. The tokens are in the balance when
/// the provider confirms the payment, which can take days with some methods of payment. A purchase
/// that is never paid costs nothing.
#[utoipa::path(
    post,
    path = super::path::purchase_create,
    tag = "Tokens",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 201, description = "The purchase, and the URL of the payment page.", body = NewPurchase)),
    extensions(("x-fails" = json!([
        Failure::NoSuchPack, Failure::OwnBalance, Failure::GrantTooLarge, Failure::TooManyOrders,
        Failure::NothingSold, Failure::PaymentsUnavailable
    ]))),
)]
pub async fn handle(checkout: CheckoutApp, req: Request) -> Reply {
    let CheckoutApp { app, stripe, back } = checkout;
    let Body { pack } = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let renew = async {
        if let Some(stripe) = &stripe {
            stripe.renew_key().await;
        }
        Ok(())
    };
    let (account, packs, ()) =
        tokio::try_join!(app.store.account_of(&caller), app.store.packs(), renew)?;
    let id = required(pack).map_err(|sentence| Error::field("pack", sentence))?;
    let (Some(stripe), Some(packs)) = (stripe, packs) else { return Err(Error::NothingSold) };
    let pack = packs.list.pack(&id).ok_or(Error::NoSuchPack)?;
    // Prevents administrators from buying packs at prices that they set themselves.
    if packs.of.author == account.id {
        return Err(Error::OwnBalance);
    }
    if account.granted.checked_add(pack.tokens).is_none() {
        return Err(Error::GrantTooLarge);
    }
    let back = match back {
        Some(back) => back,
        None => {
            let base = http::base_url(&req).unwrap_or_else(|| http::base_path(&req).to_owned());
            format!("{base}/#/buy")
        }
    };
    let order = Order::new(&account, pack, &app.clock);
    app.store.begin_order(&account.id, order.id(), app.clock.seconds()).await?;
    app.store.create_order(&account, &order).await?;
    let page = stripe.open_page(&order, &back).await?;
    app.store.open_payment(&order, &page.id).await?;
    tracing::info!(user = account.id, order = order.id(), "a payment page was opened");
    http::created(&NewPurchase { purchase: Purchase::of(&order), url: &page.url })
}

/// A purchase that hasn't been paid for yet.
#[derive(Serialize, ToSchema)]
struct NewPurchase<'a> {
    #[serde(flatten)]
    purchase: Purchase<'a>,
    /// The payment page for this purchase. It stays open for a day.
    #[schema(format = "uri", examples("https://checkout.stripe.com/c/pay/cs_test_a1"))]
    url: &'a str,
}
