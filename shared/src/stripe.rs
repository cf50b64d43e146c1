//! Payments with [Stripe Checkout](https://docs.stripe.com/payments/checkout): the pages on which
//! users pay, and the events that Stripe sends about payments.
//!
//! Every object that Stripe sends, in an event or in a list, is converted to a [`StripeReport`]
//! with facts about one payment. Facts are merged in [`PaymentFacts`](crate::values::PaymentFacts),
//! so the order in which events arrive doesn't matter.

mod client;
mod reports;
mod signature;

pub use client::{Listed, Page, Stripe};
pub use reports::{Event, OrderMetadata, PaymentRef, SessionReport, StripeReport};
pub use signature::{Secrets, SignatureError};

/// The Stripe API version that this release uses in requests. The webhook endpoint must be created
/// with the same version, so that its events use it too.
pub const API_VERSION: &str = "2026-10-28.endive";

/// The types of events that the webhook handles. Events of other types are confirmed and ignored.
pub const EVENTS: [&str; 11] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.succeeded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
];
