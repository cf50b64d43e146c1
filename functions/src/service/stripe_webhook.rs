//! `POST /api/stripe/webhook` - receive an event that Stripe has signed.
//!
//! Checks the signature before anything is parsed or read, and merges the event's facts into the
//! order. The reply is 500 if an event about a payment can't be read, and 503 if the event couldn't
//! be processed.

use serde::Serialize;
use shared::app::WebhookApp;
use shared::error::Failure;
use shared::payments;
use shared::secrets::CachedSecret;
use shared::stripe::{Event, Secrets, SignatureError};
use shared::telemetry::metrics::{self, Metric};
use shared::{App, Error, Reply, Request, Result, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Receives events of payments").timeout(28).permits(permits![
        read_secret("StripeWebhookSecretArn"),
        get(Users(&["user:*"])),
        update(Users(&["user:*"])),
        COLLECT_OWED,
        put(Ledger),
        get(Tokens(&["order:*", "purchase:*", "payment:*"])),
        put(Tokens(&["source:*", "attention:*"])),
        update(Tokens(&["order:*", "payment:*"])),
    ]);

/// Receive an event of Stripe
///
/// Stripe reports payments, refunds and disputes here. Events can come several times and in any
/// order. Nothing is read before the header `Stripe-Signature` is checked. A signed event of
/// another type, of an unknown shape such as a thin event, or of Stripe's other mode, is confirmed
/// and ignored. After a failure, Stripe sends the event again, for three days.
#[utoipa::path(
    post,
    path = super::path::stripe_webhook,
    tag = "Service",
    request_body(content = Object, description = "The event, as Stripe sends it."),
    responses((status = 200, description = "The event was handled, or says nothing about a purchase.", body = EventReceipt)),
    extensions(("x-fails" = json!([Failure::InvalidSignature, Failure::NothingSold, Failure::UnknownOrder]))),
)]
pub async fn handle(webhook: WebhookApp, req: Request) -> Reply {
    let WebhookApp { app, secrets, mode } = webhook;
    http::require_json(&req)?;
    let secrets = secrets.ok_or(Error::NothingSold)?;
    verify(&app, &secrets, &req).await?;
    let event = Event::read(req.body());
    if event.livemode().is_some_and(|livemode| !mode.accepts(livemode)) {
        // Don't grant tokens, because a test card must not buy real ones. Confirm the event,
        // because a retry wouldn't help.
        tracing::error!(kind = event.kind(), "an event of Stripe's other mode was ignored");
        metrics::record(&[(Metric::EventsFailed, 1)]);
        return http::ok(&EventReceipt { received: true });
    }
    receive(&app, event).await.inspect_err(|_| {
        metrics::record(&[(Metric::EventsFailed, 1)]);
    })?;
    http::ok(&EventReceipt { received: true })
}

/// Processes an event after its signature was verified.
async fn receive(app: &App, event: Event) -> Result<()> {
    let kind = event.kind().to_owned();
    let Some(report) = event.report().map_err(Error::Internal)? else {
        tracing::info!(kind, "an event says nothing about an order");
        return Ok(());
    };
    if let Some(order) = payments::merge(app, report).await? {
        let (id, account) = (order.id(), &order.account);
        tracing::info!(order = id, user = account, kind, "a payment has changed");
        if let Some(stranded) = order.stranded {
            tracing::warn!(order = id, reason = stranded.word(), "an order is stranded");
            metrics::record(&[(Metric::StrandedOrders, 1)]);
        }
    }
    Ok(())
}

/// Verifies the signature. A replaced secret must not be accepted for long. Therefore, if it is
/// time to reread the secrets, the check waits for them. An invalid signature may be due to a new
/// secret or to an attacker, so it causes at most one read per minute.
async fn verify(app: &App, secrets: &CachedSecret<Secrets>, req: &Request) -> Result<()> {
    let header = req.headers().get("Stripe-Signature").and_then(|header| header.to_str().ok());
    let check = |secrets: &Secrets| {
        secrets.verify(header.unwrap_or_default(), req.body(), app.clock.seconds())
    };
    secrets.renew().await;
    let used = secrets.current();
    let mut verified = check(&used);
    if verified == Err(SignatureError::Wrong)
        && let Some(renewed) = secrets.renew_refused(&used).await
    {
        verified = check(&renewed);
    }
    verified.map_err(|error| {
        tracing::warn!(?error, "an event's signature was refused");
        metrics::record(&[(Metric::SignaturesRefused, 1)]);
        Error::InvalidSignature
    })
}

/// The confirmation of an event.
#[derive(Serialize, ToSchema)]
struct EventReceipt {
    /// Always true.
    received: bool,
}
