//! Purchases of packs.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::Order;
use crate::values::Progress;
use crate::{Credits, clock};

/// A purchase of a pack.
#[derive(Serialize, ToSchema)]
pub struct Purchase<'a> {
    /// The id, which the statement's rows about this purchase also contain.
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    /// The id of the pack.
    #[schema(examples("small"))]
    pack: &'a str,
    /// The name of the pack.
    #[schema(examples("1,000 tokens"))]
    name: &'a str,
    /// The number of tokens in the pack.
    tokens: Credits,
    /// The price in the currency's smallest unit.
    #[schema(examples(499))]
    price: u64,
    /// The currency, in three capital letters.
    #[schema(examples("EUR"))]
    currency: &'a str,
    /// `open` (the payment page isn't finished), `pending` (the money will arrive later), `expired`
    /// or `failed` (nothing was paid), `paid`, `refunded` (in full or in part), `disputed` (a bank
    /// demands the money back), `lost` (a bank has returned the money), or `wrong_amount` (an
    /// administrator must look at it).
    #[schema(examples("paid"))]
    state: &'static str,
    /// The money that was returned to the buyer, in the currency's smallest unit.
    #[schema(examples(0))]
    refunded: u64,
    /// The tokens that the buyer has received, minus the tokens that were taken back.
    tokens_granted: Credits,
    /// The tokens that the account owes for a refund. They are deducted from the next tokens it
    /// receives.
    tokens_owed: Credits,
    /// When the purchase began.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    created: String,
    /// When the purchase was paid. Null if it wasn't paid.
    #[schema(required, format = "date-time", examples("2026-11-20T07:18:02.000Z"))]
    paid: Option<String>,
    /// The URL of the payment provider's receipt. Null if there is no receipt yet.
    #[schema(required, format = "uri")]
    receipt_url: Option<&'a str>,
}

impl<'a> Purchase<'a> {
    /// All states of purchases.
    pub const STATES: [&'static str; 9] = [
        "open",
        "pending",
        "expired",
        "failed",
        "paid",
        "refunded",
        "disputed",
        "lost",
        "wrong_amount",
    ];

    /// Returns the state.
    pub fn state(&self) -> &'static str {
        self.state
    }

    /// Creates the view of this order.
    pub fn of(order: &'a Order) -> Self {
        let facts = &order.facts;
        let state = match facts.progress {
            Progress::Open => "open",
            Progress::Pending => "pending",
            Progress::Expired => "expired",
            Progress::Failed => "failed",
            Progress::Wrong => "wrong_amount",
            Progress::Paid if facts.is_lost() => "lost",
            Progress::Paid if facts.is_disputed() => "disputed",
            Progress::Paid if facts.refunded() > 0 => "refunded",
            Progress::Paid => "paid",
        };
        Self {
            id: order.id(),
            pack: &order.pack,
            name: &order.name,
            tokens: order.tokens,
            price: order.price,
            currency: &order.currency,
            state,
            refunded: facts.refunded(),
            tokens_granted: order.granted,
            tokens_owed: order.owed,
            created: clock::rfc3339(order.time),
            paid: facts.paid_at.map(clock::rfc3339),
            receipt_url: facts.receipt.as_deref(),
        }
    }
}
