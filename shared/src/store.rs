//! The only door to DynamoDB. Each room has the operations on some kinds of items; only [`balance`]
//! moves tokens.
//!
//! Every write can be sent twice and acts once, because the SDK repeats a request whose reply was
//! lost: a condition tells the second copy from the first, or the bytes are the same.
//!
//! `account_..` reads a whole account, strongly consistent; `user_..` reads what an index shows of
//! it, which may be a moment old.

mod accounts;
mod balance;
mod chats;
mod client;
mod credentials;
mod error;
mod item;
mod ledger;
mod lists;
mod read;
mod requests;
mod schema;
mod timeline;
mod traced;
mod transaction;
mod upkeep;
mod write;

pub use accounts::{Erased, NewAccount, Registered, StandingChange, Verifier};
pub use balance::{Adjusted, Adjustment, ChatLimits, Hold, Refund, Reserved, Settled, Stopped};
pub use chats::{Branch, CHATS, ChatFilter, ChatKey, Conversation, ConversationChange, Stretch};
pub use client::Store;
pub use credentials::{API_KEYS, Ending, Letter, Link, PublicKey, Purpose, Rotation};
pub use error::{Result, StoreError};
pub use ledger::{ActFilter, Figures, Intervening, Spender, Spenders, TrailEntry, is_closed};
pub use lists::{Census, Label, Listed, UserFilter, UserOrder, UserSource};
pub use requests::{Attempt, Call, Quota, Record, registered_from};
pub use schema::{CHAT_SHARDS, DAY_SHARDS, OUTBOX, USER_SHARDS, chat_month};
pub use timeline::{Place, Span};
pub use upkeep::{Audited, Difference, Newer, Reapplied, Reconciled, Since, Swept};

use item::{Item, flag, from_item, is_id, n, no_entries, s, to_item};
use transaction::{Refusals, Transaction};
use write::{NEW, Outcome, Patience, Write};
