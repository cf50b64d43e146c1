//! Temporary conversations, which expire a day after they began. Lists don't show them, because
//! their sort keys in the `by_conversation` index have a prefix of their own. The function `erase`
//! deletes them; DynamoDB's TTL deletes items that the function has missed.

use std::time::Instant;

use crate::store::accounts::deletion::BATCH;
use crate::store::chats::conversations::{EXISTS, IndexedKey, LAST};
use crate::store::schema::{CONVERSATION, TEMPORARY};
use crate::store::{Result, Store, flag, from_item};

impl Store {
    /// Like [`Store::conversation_keys`], but returns the user's temporary conversations, the last
    /// one to expire first. They may include conversations that have expired.
    pub async fn temporary_conversation_keys(
        &self,
        user_id: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<String>, bool)> {
        self.index_keys(user_id, TEMPORARY, before, count).await
    }

    /// Erases the user's temporary conversations that have expired at `now`. Returns `false` if the
    /// erasure isn't complete at `until`. Idempotent.
    pub(in crate::store) async fn erase_expired_conversations(
        &self,
        user_id: &str,
        now: u64,
        until: Instant,
        erased: &mut usize,
    ) -> Result<bool> {
        loop {
            let first = self.temporary_from_first(user_id, BATCH).await?;
            let expired: Vec<&str> =
                first.iter().filter(|(_, end)| *end <= now).map(|(id, _)| id.as_str()).collect();
            if expired.is_empty() {
                return Ok(true);
            }
            for id in expired {
                // From now on, no chat under way can be stored in the conversation. A chat that was
                // stored between the last read and the conversation's deletion would be left.
                let end = self.update_conversation(user_id, id, "SET deleted = :true");
                let end = end.condition(EXISTS).values([(":true", flag(true))]);
                self.send(&end).await?;
                if !self.erase_conversation(user_id, id, now, until, erased).await? {
                    return Ok(false);
                }
            }
        }
    }

    /// Returns when the first of the user's temporary conversations expires, in seconds since 1970.
    pub(in crate::store) async fn first_expiry(&self, user_id: &str) -> Result<Option<u64>> {
        Ok(self.temporary_from_first(user_id, 1).await?.first().map(|(_, end)| *end))
    }

    /// Returns the ids of at most `count` temporary conversations and when they expire, beginning
    /// with the first one to expire.
    async fn temporary_from_first(
        &self,
        user_id: &str,
        count: usize,
    ) -> Result<Vec<(String, u64)>> {
        let last = format!("{TEMPORARY}{LAST}");
        let query = self.by_conversation(user_id, TEMPORARY, &last, count);
        let mut found = Vec::new();
        for item in query.send().await?.items.unwrap_or_default() {
            let IndexedKey { chat_id, thread } = from_item(item)?;
            let id = chat_id.strip_prefix(CONVERSATION).unwrap_or_default();
            found.push((id.to_owned(), expiry_of(&thread).unwrap_or_default()));
        }
        Ok(found)
    }
}

/// Returns when the temporary conversation with this sort key expires, in seconds since 1970.
fn expiry_of(place: &str) -> Option<u64> {
    place.strip_prefix(TEMPORARY)?.split('#').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::temporary_place;

    #[test]
    fn places_of_temporary_conversations_sort_by_expiry() {
        let [first, later] = [999_999_999, 1_790_000_000].map(|end| temporary_place("x", end));
        assert!(first < later);
        assert_eq!(expiry_of(&later), Some(1_790_000_000));
        assert_eq!(expiry_of("c#1790000000000#x"), None);
    }
}
