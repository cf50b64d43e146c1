//! All access to DynamoDB goes through this module. Each submodule contains the operations on a few
//! kinds of items. Only [`balance`] and [`orders`] move credits.
//!
//! The SDK repeats a request if the reply was lost, so a write may arrive twice. It still takes
//! effect only once: either a condition rejects the second copy, or both copies write the same
//! bytes.
//!
//! Functions with the prefix `account_` read a whole account with strong consistency. Functions
//! with the prefix `user_` read an account from an index, which may be slightly out of date.

mod accounts;
mod backoff;
mod balance;
mod chats;
mod client;
mod credentials;
mod error;
mod files;
mod imports;
mod item;
mod ledger;
mod lists;
mod model_calls;
mod orders;
mod periods;
mod read;
mod requests;
mod schema;
mod send_counter;
mod shares;
mod sources;
mod timeline;
mod traced;
mod transaction;
mod upkeep;
mod versioned_lists;
mod vouchers;
mod write;

pub use accounts::{
    ErasureReport, ListedAccount, NewAccount, RegisterOutcome, StandingChange, Verifier, nonce,
};
pub use balance::{
    AdjustOutcome, Adjustment, ChatLimits, FreeWork, Hold, Refund, ReserveOutcome, SettleOutcome,
    Shortage, StopOutcome, underheld,
};
pub use chats::{
    Branch, CHATS, ChatFilter, ChatKey, ChatRun, Conversation, ConversationChange, in_context,
};
pub use client::{MANAGE, Store};
pub use credentials::{Ending, Link, OutgoingEmail, PublicKey, Purpose, Rotation};
pub use error::{Result, StoreError};
pub use files::FILES;
pub use imports::{HashCounts, ImportOutcome};
pub use ledger::{
    ActFilter, CostLine, Costs, Figures, PlannedIntervention, Reading, Spender, Spenders,
    TrailEntry, UsualUsage, is_closed,
};
pub use lists::{CENSUS_AT_ONCE, Census, Label, UserFilter, UserOrder, UserSource};
pub use orders::{Order, OrderPages};
pub use requests::{Attempt, Quota, Record, UnkeyedRequest, registered_from};
pub use schema::{CHAT_SHARDS, DAY_SHARDS, OUTBOX, USER_SHARDS, chat_month, temporary_chats};
pub use shares::{MessagesToShare, NewShare, Share, ShareReport};
pub use timeline::{DataPeriod, PageStart, Span};
pub use upkeep::{
    AuditReport, Difference, NewerTables, ReapplyInput, ReapplyReport, ReconcileReport, SweepReport,
};
pub use versioned_lists::{
    SetListOutcome, SetPricesOutcome, StoredBrand, StoredList, StoredPrices, VersionedList,
};
pub use vouchers::{
    CreateVouchersOutcome, Guess, Redemption, VOUCHER_CODES, VOUCHER_USES, Voucher, VoucherBatch,
};

use backoff::Backoff;
use item::{Item, files_of, flag, from_item, is_id, n, no_entries, s, text, to_item};
use transaction::{Refusals, Transaction};
use versioned_lists::PriceVersions;
use write::{NEW, Outcome, Write};
