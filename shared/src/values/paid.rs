//! Charges for the AI's work.

use crate::Credits;
use crate::values::{Receipt, Usage};

/// The charge for a chat or for embeddings, from which the ledger entry is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The account's id.
    pub user_id: String,
    /// The chat's id, or the id of the request for embeddings.
    pub id: String,
    /// The price that the user paid.
    pub cost: Credits,
    /// The number of times that the price of a message was charged, because the prompt was long.
    /// `None` if it was charged once.
    pub units: Option<u32>,
    /// The model token counts. Older chats may lack these counts.
    pub usage: Option<Usage>,
    /// The model that did the work.
    pub model: String,
    /// How the work was priced by the price list. `None` if there was no list.
    pub receipt: Option<Receipt>,
    /// The balance right after the charge. It doesn't reflect other chats that were in progress.
    pub tokens_left: Credits,
    /// The time of the request, in milliseconds since 1970.
    pub time: u64,
}
