//! What the chats of a conversation were charged.
//!
//! Each settle adds the chat's cost to the conversation's `charged`. A release that doesn't count
//! may have settled earlier chats, so `charged` alone can be too low. `charged_before` contains the
//! rest. As long as it is missing, the sum isn't known. When such a conversation is opened, the costs
//! of its stored chats are added up. A deleted chat was charged, so it stays counted, but chats
//! that were deleted before the first count are missing.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use serde::Deserialize;

use crate::Credits;
use crate::store::chats::conversations::{Conversation, EXISTS};
use crate::store::read::names;
use crate::store::schema::chat_key;
use crate::store::{Outcome, Result, Store, flag, from_item, n};

/// How many chats' ids are read at a time, and the most chats whose costs are added up. A
/// conversation with more chats is marked, so that they aren't read again.
const PAGE_CHATS: usize = 100;
const MOST_CHATS: usize = 2_000;

/// How many times the costs are added up while chats keep using the conversation.
const COUNTS: usize = 3;

/// Within this time, all items of a transaction become visible.
const PAUSE: Duration = Duration::from_millis(50);

/// The attributes of a chat that are read to add up the costs.
#[derive(Deserialize)]
struct ChatCost {
    cost: Credits,
    time: u64,
}

impl Conversation {
    /// Returns the credits that were charged for the conversation's chats, before refunds. `None`
    /// if they [haven't been counted](Store::count_charged) yet.
    pub fn charged(&self) -> Option<Credits> {
        self.charged_before?.checked_add(self.charged.unwrap_or_default())
    }
}

impl Store {
    /// Adds up the costs of the conversation's stored chats, and stores the sum, if they haven't
    /// been counted yet. A chat that is settled in the meantime prevents the write, because it
    /// changes the conversation's last use. Returns the conversation, without a sum if it has too
    /// many chats or is used all the time. Idempotent.
    pub async fn count_charged(&self, mut conversation: Conversation) -> Result<Conversation> {
        for _ in 0..COUNTS {
            if conversation.charged_before.is_some() || conversation.uncounted {
                break;
            }
            let (user_id, id) = (&conversation.user_id, conversation.id());
            let Some(stored) = self.stored_costs(&conversation).await? else {
                let mark = self.update_conversation(user_id, id, "SET uncounted = :true");
                let mark = mark.condition(EXISTS).values([(":true", flag(true))]);
                self.send(&mark).await?;
                break;
            };
            let charged = conversation.charged.unwrap_or_default();
            let before = stored.checked_sub(charged).unwrap_or_default();
            let count = self
                .update_conversation(user_id, id, "SET charged_before = :before")
                .values([(":before", n(before)), (":used", n(conversation.used))])
                .shows_item()
                .returns(ReturnValue::AllNew);
            let is_unchanged = "attribute_not_exists(deleted) AND used = :used \
                AND attribute_not_exists(charged_before)";
            let count = match conversation.charged {
                None => {
                    count.condition(format!("{is_unchanged} AND attribute_not_exists(charged)"))
                }
                Some(charged) => count
                    .condition(format!("{is_unchanged} AND charged = :charged"))
                    .values([(":charged", n(charged))]),
            };
            let found: Option<Conversation> = match self.send(&count).await? {
                Outcome::Applied(changed) => return from_item(changed),
                Outcome::Refused(shown) => self.item_that_refused(&count, shown).await?,
            };
            let Some(found) = found.filter(|found| !found.deleted) else { break };
            conversation = found;
        }
        Ok(conversation)
    }

    /// Returns the sum of the costs of the conversation's stored chats. `None` if there are too
    /// many.
    async fn stored_costs(&self, conversation: &Conversation) -> Result<Option<Credits>> {
        let costs = self.costs_of_chats(conversation).await?;
        let has_last = |costs: &[ChatCost]| costs.iter().any(|one| one.time == conversation.used);
        let costs = match costs {
            // The last chat was deleted, or its item isn't visible yet.
            Some(costs) if !has_last(&costs) => {
                tokio::time::sleep(PAUSE).await;
                self.costs_of_chats(conversation).await?
            }
            costs => costs,
        };
        let sum = |costs: Vec<ChatCost>| {
            let add = |sum: Credits, one: &ChatCost| sum.checked_add(one.cost);
            costs.iter().try_fold(Credits::ZERO, add)
        };
        Ok(costs.and_then(sum))
    }

    async fn costs_of_chats(&self, conversation: &Conversation) -> Result<Option<Vec<ChatCost>>> {
        let (user_id, id) = (conversation.user_id.as_str(), conversation.id());
        let (mut costs, mut before) = (Vec::new(), None);
        loop {
            let (ids, more) = self.thread(user_id, id, before.as_deref(), PAGE_CHATS).await?;
            let wanted = ids.iter().map(|id| chat_key(user_id, id)).collect();
            let attributes = names([("#cost", "cost"), ("#time", "time")]);
            let table = &self.tables.chats;
            let found =
                self.named_parts_of_items(table, wanted, Some("#cost, #time"), attributes).await?;
            for item in found {
                costs.push(from_item(item)?);
            }
            before = ids.into_iter().next_back();
            if !more || before.is_none() {
                return Ok(Some(costs));
            }
            if costs.len() >= MOST_CHATS {
                return Ok(None);
            }
        }
    }

    /// Removes the counted credits of a restored conversation, if they don't match its stored chats,
    /// whose `cost` is given. A restore may have split the last settle. Chats that were deleted
    /// are no longer counted then. Returns true if the credits were removed. Idempotent.
    pub(in crate::store) async fn recount(
        &self,
        conversation: &Conversation,
        cost: u64,
    ) -> Result<bool> {
        let Some(charged) = conversation.charged else { return Ok(false) };
        let matches = match conversation.charged_before {
            Some(before) => charged.get() + before.get() == cost,
            None => charged.get() <= cost,
        };
        if matches {
            return Ok(false);
        }
        let (user_id, id) = (&conversation.user_id, conversation.id());
        let remove = self
            .update_conversation(user_id, id, "REMOVE charged, charged_before")
            .condition("charged = :charged")
            .values([(":charged", n(charged))]);
        Ok(self.send(&remove).await?.is_applied())
    }
}
