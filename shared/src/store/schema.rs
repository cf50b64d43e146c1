//! The keys of all items and the partitions of all indexes, table by table. No other file spells
//! one. `template.yaml` has the tables and indexes, ARCHITECTURE.md their contents.

use std::collections::HashMap;

use crate::clock::{Day, millis_of, month};
use crate::store::{Item, s};

/// The whole key of an item in the tables Users and Tokens.
pub(in crate::store) fn pk(key: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), s(key))])
}

// The table Users, by `pk`.

/// The prefix of accounts.
pub(in crate::store) const ACCOUNT: &str = "user:";

/// The item that holds the ids of active administrators.
pub(in crate::store) const ADMINISTRATORS: &str = "admins";

/// An account, by the key of its username.
pub(in crate::store) fn account_pk(name_key: &str) -> String {
    format!("{ACCOUNT}{name_key}")
}

/// The prefix of claims of addresses.
pub(in crate::store) const CLAIM: &str = "email:";

/// The claim of an address, by the address's key.
pub(in crate::store) fn claim_pk(address_key: &str) -> String {
    format!("{CLAIM}{address_key}")
}

/// The number of partitions of the index `by_time` per month, and of the index `by_label`.
pub const USER_SHARDS: u8 = 4;

/// The shard of an account in both indexes.
pub(in crate::store) fn user_shard(user_id: &str) -> u8 {
    shard(user_id, USER_SHARDS)
}

/// The partition of the index `by_time` for an account that was created then (milliseconds):
/// `<yyyy-mm>#<shard>`.
pub(in crate::store) fn user_month(user_id: &str, registered: u64) -> String {
    format!("{}#{}", month(registered), user_shard(user_id))
}

// The table Tokens, by `pk`; the index `by_user` has those that belong to a user.

/// The prefix of sessions.
pub(in crate::store) const SESSION: &str = "session:";

/// The prefix of API keys.
pub(in crate::store) const API_KEY: &str = "apikey:";

/// The prefix of finished idempotency keys.
pub(in crate::store) const IDEMPOTENCY: &str = "idem:";

/// The prefix of e-mailed links.
pub(in crate::store) const LINK: &str = "link:";

/// The prefix of outgoing e-mails.
pub const OUTBOX: &str = "outbox:";

/// The prefix of closed days' figures.
const FIGURES: &str = "figures:";

/// The prefix of users' instructions for the AI.
pub(in crate::store) const INSTRUCTIONS: &str = "instructions:";

/// The instructions of a user.
pub(in crate::store) fn instructions_pk(user_id: &str) -> String {
    format!("{INSTRUCTIONS}{user_id}")
}

/// The sums of the latest census.
pub(in crate::store) const CENSUS: &str = "census:latest";

/// The prefix of the users that are the first of an order.
const RANKING: &str = "ranking:";

/// A part of the users of an order.
pub(in crate::store) fn ranking_pk(order: &str, part: usize) -> String {
    format!("{RANKING}{order}#{part}")
}

/// A session.
pub(in crate::store) fn session_pk(id: &str) -> String {
    format!("{SESSION}{id}")
}

/// An API key.
pub(in crate::store) fn api_key_pk(id: &str) -> String {
    format!("{API_KEY}{id}")
}

/// An outgoing e-mail.
pub(in crate::store) fn outbox_pk(id: &str) -> String {
    format!("{OUTBOX}{id}")
}

/// The figures of a day.
pub(in crate::store) fn figures_pk(day: Day) -> String {
    format!("{FIGURES}{day}")
}

/// The users who spent the most on a day.
pub(in crate::store) fn spenders_pk(day: Day) -> String {
    format!("{FIGURES}{day}#users")
}

/// The record of an idempotency key.
pub(in crate::store) fn record_pk(key_id: &str) -> String {
    format!("{IDEMPOTENCY}{key_id}")
}

/// The idempotency key of a client's call without one, by a hash of the user and the request.
pub(in crate::store) fn call_pk(hash: &str) -> String {
    format!("{IDEMPOTENCY}call-{hash}")
}

/// An e-mailed link, by the hash of its link token.
pub(in crate::store) fn link_pk(hash: &str) -> String {
    format!("{LINK}{hash}")
}

/// The pause after an e-mail to this address or account.
pub(in crate::store) fn pause_pk(whom: &str) -> String {
    format!("mailed:{whom}")
}

/// Attempts of unknown clients, by the hash of the login.
pub(in crate::store) fn login_attempts_pk(hash: &str) -> String {
    format!("attempt:login:{hash}")
}

/// Checks of the current password for holders of an access token of this session.
pub(in crate::store) fn owner_attempts_pk(user_id: &str, session: &str) -> String {
    format!("attempt:login:owner:{user_id}#{session}")
}

/// Attempts of a client that logged in before.
pub(in crate::store) fn known_attempts_pk(mark: &str) -> String {
    format!("attempt:known:{mark}")
}

/// Failed attempts from a network in an hour (since 1970).
pub(in crate::store) fn network_attempts_pk(network: &str, hour: u64) -> String {
    format!("attempt:address:{network}#{hour}")
}

/// Registrations from a network in an hour (since 1970).
pub(in crate::store) fn registrations_pk(network: &str, hour: u64) -> String {
    format!("attempt:register:{network}#{hour}")
}

/// E-mails to an address in an hour (since 1970).
pub(in crate::store) fn mails_pk(address_hash: &str, hour: u64) -> String {
    pause_pk(&format!("{address_hash}#{hour}"))
}

/// Reset e-mails to an address in an hour (since 1970).
pub(in crate::store) fn resets_of_hour_pk(address_hash: &str, hour: u64) -> String {
    pause_pk(&format!("{address_hash}#reset#h{hour}"))
}

/// Reset e-mails to an address on a day (since 1970).
pub(in crate::store) fn resets_of_day_pk(address_hash: &str, day: u64) -> String {
    pause_pk(&format!("{address_hash}#reset#d{day}"))
}

// The table Keys, by `kid`.

/// The whole key of a public signing key.
pub(in crate::store) fn signing_key(kid: &str) -> Item {
    HashMap::from([("kid".to_owned(), s(kid))])
}

// The table Chats, by `user_id` and `chat_id`: a chat's id, or a conversation's key.

/// The prefix of conversations, in keys and in the index `by_conversation`; it sorts after every
/// chat id.
pub(in crate::store) const CONVERSATION: &str = "c#";

/// The prefix of conversations that are to be erased, in that index.
pub(in crate::store) const DELETED_CONVERSATION: &str = "d#";

/// The whole key of a chat, or of a conversation by [`conversation_key`].
pub(in crate::store) fn chat_key(user_id: &str, chat_id: &str) -> Item {
    HashMap::from([("user_id".to_owned(), s(user_id)), ("chat_id".to_owned(), s(chat_id))])
}

/// The sort key of a conversation.
pub(in crate::store) fn conversation_key(id: &str) -> String {
    format!("{CONVERSATION}{id}")
}

/// The place of a conversation in the index `by_conversation`, by its last use in milliseconds,
/// which has 13 digits for the next 250 years.
pub(in crate::store) fn conversation_place(id: &str, used: u64) -> String {
    format!("{CONVERSATION}{used:013}#{id}")
}

/// The place in that index of a conversation that was pinned then (milliseconds): after the places of
/// all others, so that a list in descending order begins with it.
pub(in crate::store) fn pinned_place(id: &str, pinned: u64) -> String {
    format!("{CONVERSATION}p{pinned:013}#{id}")
}

/// The prefix of a conversation's chats in that index; the chat's id follows.
pub(in crate::store) fn places_of_chats(conversation_id: &str) -> String {
    format!("{conversation_id}#")
}

/// The place in that index of a conversation that is to be erased.
pub(in crate::store) fn deleted_place(id: &str) -> String {
    format!("{DELETED_CONVERSATION}{id}")
}

/// The number of partitions of the index `by_time` per month.
pub const CHAT_SHARDS: u8 = 16;

/// The partition of the index `by_time` for a chat: `<yyyy-mm>#<shard>`.
pub fn chat_month(user_id: &str, chat_id: &str) -> String {
    format!("{}#{}", month(millis_of(chat_id).unwrap_or_default()), shard(user_id, CHAT_SHARDS))
}

// The table Ledger, by `user_id` and `entry_id`.

/// The whole key of a row.
pub(in crate::store) fn entry_key(user_id: &str, entry_id: &str) -> Item {
    HashMap::from([("user_id".to_owned(), s(user_id)), ("entry_id".to_owned(), s(entry_id))])
}

/// The prefix of partitions with the changes of an account's role and state.
pub(in crate::store) const STANDING: &str = "standing#";

/// The partition with the changes of an account's role and state.
pub(in crate::store) fn standing_of(user_id: &str) -> String {
    format!("{STANDING}{user_id}")
}

/// The number of partitions of the index `trail` per day, for rows that aren't administrators'
/// acts.
pub const DAY_SHARDS: u8 = 8;

/// The partition of such a row.
pub(in crate::store) fn day_partition(day: Day, user_id: &str) -> String {
    format!("{day}#{}", shard(user_id, DAY_SHARDS))
}

/// The partition of an index, of `shards`, that an account's items are in.
fn shard(user_id: &str, shards: u8) -> u8 {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, user_id.as_bytes());
    hash.as_ref().first().map_or(0, |byte| byte % shards)
}
