//! The keys of all items and the partitions of all indexes, table by table. No other file contains
//! keys or partitions. `template.yaml` defines the tables and indexes; `ARCHITECTURE.md` describes
//! their contents.

use std::collections::HashMap;

use crate::clock::{Day, millis_of, month};
use crate::store::{Item, s};
use crate::values::Source;

/// The primary key of an item in the Users or Tokens table.
pub(in crate::store) fn pk(key: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), s(key))])
}

// The Users table, keyed by `pk`.

/// The prefix of an account's pk.
pub(in crate::store) const ACCOUNT: &str = "user:";

/// The pk of the item that lists the ids of active administrators.
pub(in crate::store) const ADMINISTRATORS: &str = "admins";

/// Returns the pk of an account. `name_key` is the key form of its username.
pub(in crate::store) fn account_pk(name_key: &str) -> String {
    format!("{ACCOUNT}{name_key}")
}

/// The prefix of an address claim's pk.
pub(in crate::store) const CLAIM: &str = "email:";

/// Returns the pk of an address claim. `address_key` is the key form of the address.
pub(in crate::store) fn claim_pk(address_key: &str) -> String {
    format!("{CLAIM}{address_key}")
}

/// How many partitions the Users table's `by_time` index has for each month, and how many
/// partitions its `by_label` index has in total.
pub const USER_SHARDS: u8 = 4;

/// The shard of an account in the `by_time` and `by_label` indexes.
pub(in crate::store) fn user_shard(user_id: &str) -> u8 {
    shard(user_id, USER_SHARDS)
}

/// The partition of an account in the `by_time` index: `<yyyy-mm>#<shard>`. `registered` is when
/// the account was created, in milliseconds.
pub(in crate::store) fn user_month(user_id: &str, registered: u64) -> String {
    format!("{}#{}", month(registered), user_shard(user_id))
}

// The Tokens table, keyed by `pk`. The `by_user` index contains the items that belong to a user.
//
// These kinds expire by TTL: `session:`, `idem:`, `attempt:`, `link:`, `outbox:`, `mailed:`,
// `report:`, and `payment:` as long as the payment's order is unknown. The other kinds don't expire.

/// The prefix of a session's pk.
pub(in crate::store) const SESSION: &str = "session:";

/// The prefix of an API key's pk.
pub(in crate::store) const API_KEY: &str = "apikey:";

/// The prefix of an idempotency record's pk.
pub(in crate::store) const IDEMPOTENCY: &str = "idem:";

/// The prefix of a used source's pk.
pub(in crate::store) const SOURCE: &str = "source:";

/// The prefix of a voucher's pk.
pub(in crate::store) const VOUCHER: &str = "voucher:";

/// The prefix of a voucher batch's pk, and the partition that contains all batches in the `by_user`
/// index.
pub(in crate::store) const VOUCHERS: &str = "vouchers:";

/// The prefix of the pks of a shared chat and its parts. Only a part's pk contains a `#`.
pub(in crate::store) const SHARE: &str = "share:";

/// The pk prefix of the lists that contain the ids of each author's shared chats.
pub(in crate::store) const SHARES_OF: &str = "shares:";

/// The prefix of a report's pk, and the partition that contains all reports in the `by_user` index.
pub(in crate::store) const REPORT: &str = "report:";
/// The pk prefix of the items that list redemptions of vouchers, and the prefix of each batch's
/// partition in the `by_user` index.
pub(in crate::store) const REDEEMED: &str = "redeemed:";

/// The pk of the item that lists a redemption. `row` is the id of its ledger row.
pub(in crate::store) fn redeemed_pk(row: &str) -> String {
    format!("{REDEEMED}{row}")
}

/// The partition of the `by_user` index that lists the redemptions of a batch of vouchers. The
/// redemptions aren't in their users' partitions, because they aren't erased with the accounts.
pub(in crate::store) fn redemptions_of(batch: &str) -> String {
    format!("{REDEEMED}{batch}")
}

/// The prefix of an e-mailed link's pk.
pub(in crate::store) const LINK: &str = "link:";

/// The prefix of an outgoing e-mail's pk.
pub const OUTBOX: &str = "outbox:";

/// The pk prefix of closed days' figures.
const FIGURES: &str = "figures:";

/// The pk prefix of users' instructions for the AI.
pub(in crate::store) const INSTRUCTIONS: &str = "instructions:";

/// The pk of a user's instructions for the AI.
pub(in crate::store) fn instructions_pk(user_id: &str) -> String {
    format!("{INSTRUCTIONS}{user_id}")
}

/// The pk of the item with all of a user's folders.
pub(in crate::store) fn folders_pk(user_id: &str) -> String {
    format!("folders:{user_id}")
}

/// The pk prefix of the current price list and all its versions. A version never changes.
pub(in crate::store) const MODELS: &str = "models:";

/// The pk prefix of the current packs and all their versions. A version never changes.
pub(in crate::store) const PACKS: &str = "packs:";

/// The pk prefix of the current brand and all its versions. A version never changes.
pub(in crate::store) const BRANDS: &str = "brand:";

/// The prefix of an order's pk, and the partition that contains all orders in the `by_user` index.
/// Orders that are still unpaid after a week are deleted.
pub(in crate::store) const ORDER: &str = "order:";

/// The prefix of a buyer listing's pk. The listing is erased with the account.
pub(in crate::store) const PURCHASE: &str = "purchase:";

/// The pk prefix of the items that list orders in need of attention, and the partition that
/// contains all such items in the `by_user` index.
pub(in crate::store) const ATTENTION: &str = "attention:";

/// The prefix of the pks of messages whose files are stored although the messages aren't, or whose
/// files may be stored again after the messages were deleted. Also the partition that contains all
/// such items in the `by_user` index. They don't belong to their users there, so that the sweep
/// deletes the files even if the account is deleted.
pub(in crate::store) const PENDING: &str = "pending:";

/// The pk of the item that lists the files of a message until the message is stored.
pub(in crate::store) fn pending_pk(chat_id: &str) -> String {
    format!("{PENDING}{chat_id}")
}

/// The pk of an order.
pub(in crate::store) fn order_pk(id: &str) -> String {
    format!("{ORDER}{id}")
}

/// The pk of the item that lists an order under its buyer.
pub(in crate::store) fn purchase_pk(order: &str) -> String {
    format!("{PURCHASE}{order}")
}

/// The pk of the item that lists this order as needing attention.
pub(in crate::store) fn attention_pk(order: &str) -> String {
    format!("{ATTENTION}{order}")
}

/// The pk of the item that contains the id of a payment's order, or the payment's facts until the
/// order is known.
pub(in crate::store) fn payment_pk(payment: &str) -> String {
    format!("payment:{payment}")
}

/// The pk of the item that counts an account's new orders in one hour. Hours are numbered from
/// 1970.
pub(in crate::store) fn orders_of_pk(user_id: &str, hour: u64) -> String {
    format!("attempt:order:{user_id}#{hour}")
}

/// The pk of the latest census, which contains the totals of all accounts.
pub(in crate::store) const CENSUS: &str = "census:latest";

/// The pk of the item that contains how many model tokens messages usually use.
pub(in crate::store) const USUAL: &str = "usual:latest";

/// The pk of the import record.
pub(in crate::store) const IMPORTS: &str = "imports:all";

/// The prefix of a ranking's pk. A ranking contains the first users in a sort order.
const RANKING: &str = "ranking:";

/// The pk of one part of the ranking in this sort order.
pub(in crate::store) fn ranking_pk(order: &str, part: usize) -> String {
    format!("{RANKING}{order}#{part}")
}

/// The pk of a session.
pub(in crate::store) fn session_pk(id: &str) -> String {
    format!("{SESSION}{id}")
}

/// The pk of an API key.
pub(in crate::store) fn api_key_pk(id: &str) -> String {
    format!("{API_KEY}{id}")
}

/// The pk of an outgoing e-mail.
pub(in crate::store) fn outbox_pk(id: &str) -> String {
    format!("{OUTBOX}{id}")
}

/// The pk of a day's figures.
pub(in crate::store) fn figures_pk(day: Day) -> String {
    format!("{FIGURES}{day}")
}

/// The pk of a day's list of top spenders.
pub(in crate::store) fn spenders_pk(day: Day) -> String {
    format!("{FIGURES}{day}#users")
}

/// The pk of the item with a day's model costs and income.
pub(in crate::store) fn costs_pk(day: Day) -> String {
    format!("{FIGURES}{day}#costs")
}

/// The pk of the item with a day's calls to AI models.
pub(in crate::store) fn calls_pk(day: Day) -> String {
    format!("{FIGURES}{day}#calls")
}

/// The pk of an idempotency key's record.
pub(in crate::store) fn record_pk(key_id: &str) -> String {
    format!("{IDEMPOTENCY}{key_id}")
}

/// The pk of a call that the client sent without an idempotency key. `hash` covers the user, the
/// request and, if equal requests count as retries, the API key.
pub(in crate::store) fn call_pk(hash: &str) -> String {
    format!("{IDEMPOTENCY}call-{hash}")
}

/// The pk of a source that has granted credits.
pub(in crate::store) fn source_pk(source: &Source) -> String {
    format!("{SOURCE}{source}")
}

/// The pk of a voucher batch.
pub(in crate::store) fn vouchers_pk(id: &str) -> String {
    format!("{VOUCHERS}{id}")
}

/// The pk of a voucher. `hash` is the hash of its code.
pub(in crate::store) fn voucher_pk(hash: &str) -> String {
    format!("{VOUCHER}{hash}")
}

/// The pk of the item that counts an account's guesses at voucher codes in one hour. Hours are
/// numbered from 1970.
pub(in crate::store) fn guesses_of_pk(user_id: &str, hour: u64) -> String {
    format!("attempt:voucher:{user_id}#{hour}")
}

/// The pk of the item that counts a network's guesses at voucher codes in one hour. Hours are
/// numbered from 1970.
pub(in crate::store) fn guesses_from_pk(network: &str, hour: u64) -> String {
    format!("attempt:voucher:address:{network}#{hour}")
}

/// The pk of a shared chat.
pub(in crate::store) fn share_pk(id: &str) -> String {
    format!("{SHARE}{id}")
}

/// The pk of one part of a shared chat's messages. Parts are numbered from 0.
pub(in crate::store) fn share_part_pk(id: &str, part: u32) -> String {
    format!("{SHARE}{id}#{part}")
}

/// The pk of the list that contains the ids of a user's shared chats.
pub(in crate::store) fn shares_of_pk(user_id: &str) -> String {
    format!("{SHARES_OF}{user_id}")
}

/// The pk of a report about a shared chat.
pub(in crate::store) fn report_pk(id: &str) -> String {
    format!("{REPORT}{id}")
}

/// The pk of the item that counts the chats that an account shares in one hour. Hours are numbered
/// from 1970.
pub(in crate::store) fn shares_in_hour_pk(user_id: &str, hour: u64) -> String {
    format!("attempt:share:{user_id}#{hour}")
}

/// The pk of the item that counts a network's reports in one hour. Hours are numbered from 1970.
pub(in crate::store) fn reports_from_pk(network: &str, hour: u64) -> String {
    format!("attempt:report:{network}#{hour}")
}

/// The pk of an e-mailed link. `hash` is the hash of its link token.
pub(in crate::store) fn link_pk(hash: &str) -> String {
    format!("{LINK}{hash}")
}

/// The pk of the pause that follows an e-mail to this address or account.
pub(in crate::store) fn pause_pk(whom: &str) -> String {
    format!("mailed:{whom}")
}

/// The pk of the item that counts log-in attempts by unknown clients. `hash` is the hash of the
/// login.
pub(in crate::store) fn login_attempts_pk(hash: &str) -> String {
    format!("attempt:login:{hash}")
}

/// The pk of the item that counts checks of the current password in this session.
pub(in crate::store) fn owner_attempts_pk(user_id: &str, session: &str) -> String {
    format!("attempt:login:owner:{user_id}#{session}")
}

/// The pk of the item that counts log-in attempts by a client that has logged in before.
pub(in crate::store) fn known_attempts_pk(mark: &str) -> String {
    format!("attempt:known:{mark}")
}

/// The pk of the item that counts a network's failed attempts in one hour. Hours are numbered from
/// 1970.
pub(in crate::store) fn network_attempts_pk(network: &str, hour: u64) -> String {
    format!("attempt:address:{network}#{hour}")
}

/// The pk of the item that counts registrations from a network in one hour. Hours are numbered from
/// 1970.
pub(in crate::store) fn registrations_pk(network: &str, hour: u64) -> String {
    format!("attempt:register:{network}#{hour}")
}

/// The pk of the item that counts the titles that a model writes for an account on one day. Days are
/// numbered from 1970.
pub(in crate::store) fn titles_pk(user_id: &str, day: u64) -> String {
    format!("attempt:title:{user_id}#{day}")
}

/// The pk of the item that counts e-mails to an address in one hour. Hours are numbered from 1970.
pub(in crate::store) fn mails_pk(address_hash: &str, hour: u64) -> String {
    pause_pk(&format!("{address_hash}#{hour}"))
}

/// The pk of the item that counts reset e-mails to an address in one hour. Hours are numbered from
/// 1970.
pub(in crate::store) fn resets_of_hour_pk(address_hash: &str, hour: u64) -> String {
    pause_pk(&format!("{address_hash}#reset#h{hour}"))
}

/// The pk of the item that counts reset e-mails to an address on one day. Days are numbered from
/// 1970.
pub(in crate::store) fn resets_of_day_pk(address_hash: &str, day: u64) -> String {
    pause_pk(&format!("{address_hash}#reset#d{day}"))
}

// The Keys table, keyed by `kid`.

/// The primary key of a public key's item.
pub(in crate::store) fn signing_key(kid: &str) -> Item {
    HashMap::from([("kid".to_owned(), s(kid))])
}

// The Chats table, keyed by `user_id` and `chat_id`. The sort key `chat_id` is a chat's id or a
// conversation's key.

/// The prefix of conversations' sort keys, both in the table and in the `by_conversation` index.
/// The prefix sorts after every chat id.
pub(in crate::store) const CONVERSATION: &str = "c#";

/// The prefix of the `by_conversation` sort keys of conversations that await erasure.
pub(in crate::store) const DELETED_CONVERSATION: &str = "d#";

/// The prefix of the `by_conversation` sort keys of temporary conversations.
pub(in crate::store) const TEMPORARY: &str = "t#";

/// A temporary conversation's sort key in the `by_conversation` index. `expires_at` is when it is
/// deleted, in seconds.
pub(in crate::store) fn temporary_place(id: &str, expires_at: u64) -> String {
    format!("{TEMPORARY}{expires_at:011}#{id}")
}

/// The primary key of a chat, or of a conversation if `chat_id` is a [`conversation_key`].
pub(in crate::store) fn chat_key(user_id: &str, chat_id: &str) -> Item {
    HashMap::from([("user_id".to_owned(), s(user_id)), ("chat_id".to_owned(), s(chat_id))])
}

/// The sort key of a conversation.
pub(in crate::store) fn conversation_key(id: &str) -> String {
    format!("{CONVERSATION}{id}")
}

/// A conversation's sort key in the `by_conversation` index. `used` is the time of its last use in
/// milliseconds, which will have 13 digits for the next 250 years.
pub(in crate::store) fn conversation_place(id: &str, used: u64) -> String {
    format!("{CONVERSATION}{used:013}#{id}")
}

/// A pinned conversation's sort key in the `by_conversation` index. `pinned` is when it was pinned,
/// in milliseconds. Pinned conversations sort after all others, so a descending list begins with
/// them.
pub(in crate::store) fn pinned_place(id: &str, pinned: u64) -> String {
    format!("{CONVERSATION}p{pinned:013}#{id}")
}

/// The prefix of the sort keys that a conversation's chats have in the `by_conversation` index. A
/// chat's id follows the prefix.
pub(in crate::store) fn places_of_chats(conversation_id: &str) -> String {
    format!("{conversation_id}#")
}

/// The sort key that a conversation has in the `by_conversation` index while it awaits erasure.
pub(in crate::store) fn deleted_place(id: &str) -> String {
    format!("{DELETED_CONVERSATION}{id}")
}

/// How many partitions the Chats table's `by_time` index has for each month.
pub const CHAT_SHARDS: u8 = 16;

/// A chat's partition in the `by_time` index: `<yyyy-mm>#<shard>`.
pub fn chat_month(user_id: &str, chat_id: &str) -> String {
    format!("{}#{}", month(millis_of(chat_id).unwrap_or_default()), shard(user_id, CHAT_SHARDS))
}

/// A temporary chat's partition in the `by_time` index. No list reads it, so administrators don't
/// find temporary chats.
pub fn temporary_chats(user_id: &str) -> String {
    format!("temporary#{}", shard(user_id, CHAT_SHARDS))
}

// The Files table, keyed by `pk`, which is a file's id: `<chat id>.<number>`.

/// The primary key of a file.
pub(in crate::store) fn file_key(id: &str) -> Item {
    pk(id)
}

// The Ledger table, keyed by `user_id` and `entry_id`.

/// The primary key of a ledger row.
pub(in crate::store) fn entry_key(user_id: &str, entry_id: &str) -> Item {
    HashMap::from([("user_id".to_owned(), s(user_id)), ("entry_id".to_owned(), s(entry_id))])
}

/// The prefix of the partitions that record changes to accounts' roles and states.
pub(in crate::store) const STANDING: &str = "standing#";

/// The partition that records changes to this account's role and state.
pub(in crate::store) fn standing_of(user_id: &str) -> String {
    format!("{STANDING}{user_id}")
}

/// How many partitions the `trail` index has for each day. They contain all rows except
/// administrators' actions.
pub const DAY_SHARDS: u8 = 8;

/// The partition in the `trail` index that contains this account's rows from this day.
pub(in crate::store) fn day_partition(day: Day, user_id: &str) -> String {
    format!("{day}#{}", shard(user_id, DAY_SHARDS))
}

/// Returns the shard, out of `shards`, that contains an account's items.
fn shard(user_id: &str, shards: u8) -> u8 {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, user_id.as_bytes());
    hash.as_ref().first().map_or(0, |byte| byte % shards)
}
