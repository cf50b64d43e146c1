//! The keys of all items and the partitions of all indexes, table by table. Nothing else spells
//! one; template.yaml has the tables and indexes themselves, ARCHITECTURE.md what they hold.

use std::collections::HashMap;

use super::{Item, s};
use crate::clock::{Day, millis_of, month};

/// The whole key of an item in the tables Users and Tokens.
pub(super) fn pk(key: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), s(key))])
}

// The table Users, by `pk`.

/// What the key of every account begins with.
pub(super) const ACCOUNT: &str = "user:";

/// The item that holds the ids of active administrators.
pub(super) const ADMINISTRATORS: &str = "admins";

/// The account with this key of a name.
pub(super) fn account_key(name_key: &str) -> String {
    format!("{ACCOUNT}{name_key}")
}

/// The claim of the address with this key.
pub(super) fn claim_key(address_key: &str) -> String {
    format!("email:{address_key}")
}

/// How many partitions the indexes `by_time` and `by_label` have for a month's accounts, or for all
/// of them.
pub(super) const USER_SHARDS: u8 = 4;

/// The shard of an account in both indexes.
pub(super) fn user_shard(user_id: &str) -> u8 {
    shard(user_id, USER_SHARDS)
}

/// The partition of the index `by_time` that holds an account that was registered then:
/// `<yyyy-mm>#<shard>`.
pub(super) fn user_month(user_id: &str, registered: u64) -> String {
    format!("{}#{}", month(registered), user_shard(user_id))
}

// The table Tokens, by `pk`; the index `by_user` has those that belong to a user.

/// What the key of every session begins with.
pub(super) const SESSION: &str = "session:";

/// What the key of every API key begins with.
pub(super) const API_KEY: &str = "apikey:";

/// What the key of every finished idempotency key begins with.
pub(super) const IDEMPOTENCY: &str = "idem:";

/// What the key of every letter begins with.
pub const OUTBOX: &str = "outbox:";

/// What the key of every closed day's figures begins with.
pub(super) const FIGURES: &str = "figures:";

/// The session with this id.
pub(super) fn session_key(id: &str) -> String {
    format!("{SESSION}{id}")
}

/// The API key with this id.
pub(super) fn api_key_key(id: &str) -> String {
    format!("{API_KEY}{id}")
}

/// The letter with this id.
pub(super) fn letter_key(id: &str) -> String {
    format!("{OUTBOX}{id}")
}

/// The figures of this day.
pub(super) fn figures_key(day: Day) -> String {
    format!("{FIGURES}{day}")
}

/// The item of an idempotency key with this id.
pub(super) fn record_key(key_id: &str) -> String {
    format!("{IDEMPOTENCY}{key_id}")
}

/// The random idempotency key of a call that its client doesn't name, by a hash of who asks what.
pub(super) fn call_key(hash: &str) -> String {
    format!("{IDEMPOTENCY}call-{hash}")
}

/// A mailed link, by the hash of its token.
pub(super) fn link_key(hash: &str) -> String {
    format!("link:{hash}")
}

/// The pause after a mail to this address or account.
pub(super) fn pause_key(whom: &str) -> String {
    format!("mailed:{whom}")
}

/// Attempts at a login by strangers, by its hash.
pub(super) fn login_attempts_key(hash: &str) -> String {
    format!("attempt:login:{hash}")
}

/// Attempts at the password of an account by a holder of its token.
pub(super) fn owner_attempts_key(user_id: &str) -> String {
    format!("attempt:login:owner:{user_id}")
}

/// Attempts by a client that has logged in before.
pub(super) fn known_attempts_key(mark: &str) -> String {
    format!("attempt:known:{mark}")
}

/// Failed attempts from a network in an hour since 1970.
pub(super) fn network_attempts_key(network: &str, hour: u64) -> String {
    format!("attempt:address:{network}#{hour}")
}

/// Registrations from a network in an hour since 1970.
pub(super) fn registrations_key(network: &str, hour: u64) -> String {
    format!("attempt:register:{network}#{hour}")
}

/// Mails to an address in an hour since 1970.
pub(super) fn mails_key(address_hash: &str, hour: u64) -> String {
    pause_key(&format!("{address_hash}#{hour}"))
}

// The table Keys, by `kid`.

/// The whole key of a public signing key.
pub(super) fn signing_key(kid: &str) -> Item {
    HashMap::from([("kid".to_owned(), s(kid))])
}

// The table Chats, by `user_id` and `chat_id`: a chat's id, or a conversation's key.

/// What the key of every conversation begins with, and its place in the index `by_conversation`; it
/// sorts after every chat id.
pub(super) const CONVERSATION: &str = "c#";

/// What the place of a conversation begins with that is to be erased.
pub(super) const DELETED_CONVERSATION: &str = "d#";

/// The whole key of a chat, or of a conversation by [`conversation_key`].
pub(super) fn chat_key(user_id: &str, chat_id: &str) -> Item {
    HashMap::from([("user_id".to_owned(), s(user_id)), ("chat_id".to_owned(), s(chat_id))])
}

/// The sort key of a conversation.
pub(super) fn conversation_key(id: &str) -> String {
    format!("{CONVERSATION}{id}")
}

/// The place of a conversation in the index `by_conversation`, by when it was used last
/// (milliseconds); the time has as many digits for the next 250 years.
pub(super) fn conversation_place(id: &str, used: u64) -> String {
    format!("{CONVERSATION}{used:013}#{id}")
}

/// What the places in that index begin with of a conversation's chats; the chat's id follows.
pub(super) fn places_of_chats(conversation_id: &str) -> String {
    format!("{conversation_id}#")
}

/// The place in that index of a conversation that is to be erased.
pub(super) fn deleted_place(id: &str) -> String {
    format!("{DELETED_CONVERSATION}{id}")
}

/// How many partitions the index `by_time` has for a month's chats.
pub(super) const CHAT_SHARDS: u8 = 16;

/// The partition of the index `by_time` that holds a user's chat of this id: `<yyyy-mm>#<shard>`.
pub fn chat_month(user_id: &str, chat_id: &str) -> String {
    format!("{}#{}", month(millis_of(chat_id).unwrap_or_default()), shard(user_id, CHAT_SHARDS))
}

// The table Ledger, by `user_id` and `entry_id`.

/// The whole key of a row.
pub(super) fn entry_key(user_id: &str, entry_id: &str) -> Item {
    HashMap::from([("user_id".to_owned(), s(user_id)), ("entry_id".to_owned(), s(entry_id))])
}

/// What the partition begins with that holds the changes of an account's standing.
pub(super) const STANDING: &str = "standing#";

/// The partition of the changes of this account's standing.
pub(super) fn standing_of(user_id: &str) -> String {
    format!("{STANDING}{user_id}")
}

/// How many partitions of the index `trail` hold the rows of a day that are no administrator's
/// acts.
pub(super) const DAY_SHARDS: u8 = 8;

/// The partition of the index `trail` that holds such a row.
pub(super) fn day_partition(day: Day, user_id: &str) -> String {
    format!("{day}#{}", shard(user_id, DAY_SHARDS))
}

/// Which of `shards` partitions of an index this account's items go to.
fn shard(user_id: &str, shards: u8) -> u8 {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, user_id.as_bytes());
    hash.as_ref().first().map_or(0, |byte| byte % shards)
}
