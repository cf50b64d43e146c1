//! The types of the domain: amounts, accounts, credentials, chats and ledger entries. This module
//! doesn't depend on the store, HTTP or the settings.

mod account;
mod admin_act;
mod allowance;
mod answer_blocks;
pub mod api_key;
pub(crate) mod brand;
pub mod call_id;
pub mod chat;
mod counts_as;
mod credential;
mod credits;
mod data_url;
mod email;
mod entry;
mod fare;
pub mod file;
mod folder;
pub mod idempotency;
mod imports;
mod instructions;
mod invalid;
pub(crate) mod limit;
mod link_token;
mod mismatch;
mod model_calls;
mod model_tokens;
pub mod money;
mod order;
mod pack;
mod paid;
mod picture;
mod price_list;
mod profile;
mod quote;
pub(crate) mod restrictions;
mod search;
mod session;
mod share;
mod source;
mod stop_details;
pub(crate) mod text;
mod text_file;
pub mod thoughts;
mod token;
mod turn;
mod usage;
mod username;
mod voucher;
mod whole;

pub use account::{Account, Role, StoredHold};
pub use admin_act::{Act, AdminAct, Intervention};
pub(crate) use admin_act::{
    BRAND_ACT, PACKS_ACT, PRICES, READING_ACT, REPORT_ACT, STANDING, VOUCHER_ACT,
};
pub use allowance::{Allowance, AllowancePeriod, Allowances};
pub use answer_blocks::{AnswerBlock, AnswerMark, BlockOrder};
pub use api_key::{ApiKey, KeyName, StoredApiKey};
pub use brand::Brand;
pub use chat::{Chat, FinishReason, Message, ParentChat, Title};
pub use counts_as::{CountsAs, Factor};
pub use credential::{Administrator, Credential};
pub use credits::{BalanceChange, Credits};
pub(crate) use email::EMAIL_LENGTH;
pub use email::Email;
pub use entry::{Entry, EntryKind, Reason};
pub(crate) use entry::{REASON_LENGTH, charges};
pub use fare::{CacheWrites, Fare, Rates, StoredFare};
pub use file::{Attachment, File, FileContent, FileInfo};
pub(crate) use folder::{FOLDER_NAME_LENGTH, NOT_IN_FOLDER};
pub use folder::{FOLDERS, Folder, FolderChange, FolderName};
pub(crate) use imports::phc_of;
pub use imports::{ImportedHashes, Imports, hash_kind, stand_in};
pub use instructions::Instructions;
pub(crate) use instructions::{INSTRUCTIONS_BOUND, INSTRUCTIONS_LENGTH};
pub use invalid::Invalid;
pub use limit::Limit;
pub use link_token::LinkToken;
pub use mismatch::REQUIRED;
pub use model_calls::ModelCalls;
pub use model_tokens::TokenEstimate;
pub use money::{Money, decimal};
pub(crate) use order::ORDERS_AN_HOUR;
pub use order::{
    Dispute, Payment, PaymentFacts, Progress, RefundState, Refunded, Stranded, credits_for,
};
pub use pack::{Pack, Packs};
pub use paid::Paid;
pub use picture::{PICTURE_BYTES, PRICED_PICTURE, Picture};
pub use price_list::{
    ListVersion, Model, ModelKind, NewField, PriceList, Problem, ProviderCost, Via,
};
pub use profile::{GivenName, ProfileChange};
pub use quote::{Ceiling, CostsMore, MessagePrices, Quote, Receipt};
pub use restrictions::{KeyLimit, LimitPeriod, Restrictions};
pub use search::Search;
pub(crate) use session::unknown_device;
pub use session::{Freshness, Session};
pub use share::{
    REPORTS_AN_HOUR, SHARED_BYTES, SHARED_MESSAGES, SHARES, SHARES_AN_HOUR, ShareLink,
    SharedMessage,
};
pub use source::Source;
pub use stop_details::StopDetails;
pub use text::turns_text;
pub use text_file::TextFile;
pub use thoughts::without_thoughts;
pub(crate) use token::LEEWAY;
pub use token::{AccessToken, DeviceToken, RefreshToken};
pub use turn::{
    BlockKind, BlockMark, CacheTtl, Part, Reasoning, Speaker, ToolCall, Turn, TurnBlock,
    is_json_object, lacks_arguments,
};
pub use usage::{
    CacheCount, CutReason, Estimates, Final, ReportedUsage, Usage, estimate_model_tokens,
};
pub(crate) use username::NAME_LENGTH;
pub use username::{Username, login_key};
pub(crate) use voucher::GUESSES_AN_HOUR;
pub use voucher::VoucherCode;
pub use whole::{Whole, whole};
