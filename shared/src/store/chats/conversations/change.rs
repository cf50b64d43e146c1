//! Changes that a conversation's owner makes: title, instructions, and pin.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use crate::Error;
use crate::store::chats::conversations::{Conversation, EXISTS};
use crate::store::schema::{conversation_place, pinned_place};
use crate::store::{Outcome, Result, Store, StoreError, from_item, n, s};
use crate::values::{Instructions, Title};

/// How many times unpinning a conversation is attempted while chats keep using it.
const UNPINNINGS: usize = 10;

/// A change to a conversation. At least one field is set; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationChange {
    /// The new title.
    pub title: Option<Title>,
    /// The new instructions.
    pub instructions: Option<Instructions>,
    /// True to pin the conversation, false to unpin it.
    pub pinned: Option<bool>,
}

/// The parts of an update expression.
#[derive(Clone, Default)]
struct Parts {
    set: Vec<&'static str>,
    removed: Vec<&'static str>,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Parts {
    /// Returns the parts that change the title and the instructions.
    fn of(change: &ConversationChange) -> Self {
        let mut parts = Self::default();
        if let Some(title) = &change.title {
            parts.sets("title = :title", (":title", s(title.text())));
        }
        match change.instructions.as_ref().map(Instructions::text) {
            Some(Some(text)) => {
                parts.sets("instructions = :instructions", (":instructions", s(text)));
            }
            Some(None) => parts.removed.push("instructions"),
            None => {}
        }
        parts
    }

    fn sets(&mut self, part: &'static str, value: (&'static str, AttributeValue)) {
        self.set.push(part);
        self.values.push(value);
    }

    fn are_none(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    fn expression(&self) -> String {
        let clause = |verb: &str, parts: &[&str]| format!("{verb} {}", parts.join(", "));
        match (self.set.as_slice(), self.removed.as_slice()) {
            (set, []) => clause("SET", set),
            ([], removed) => clause("REMOVE", removed),
            (set, removed) => [clause("SET", set), clause("REMOVE", removed)].join(" "),
        }
    }
}

impl Store {
    /// Applies either all changes in `change` or none of them. New instructions take effect with
    /// the conversation's next chat. Pinning a pinned conversation doesn't move it in the list.
    /// `now` is in milliseconds. Idempotent.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`] if the conversation doesn't exist, and
    /// [`StoreError::Unavailable`] if the conversation couldn't be unpinned because chats kept
    /// using it.
    pub async fn change_conversation(
        &self,
        user_id: &str,
        id: &str,
        change: &ConversationChange,
        now: u64,
    ) -> Result<Conversation> {
        let mut parts = Parts::of(change);
        match change.pinned {
            Some(false) => return self.unpin_conversation(user_id, id, parts).await,
            Some(true) => parts.sets(
                "pinned = if_not_exists(pinned, :pin), thread = if_not_exists(pinned, :pin)",
                (":pin", s(pinned_place(id, now))),
            ),
            None => {}
        }
        self.write_conversation(user_id, id, parts).await
    }

    /// Moves a pinned conversation back to its position among the conversations sorted by last use.
    /// The same write makes the other changes in `parts`. The write requires that the last use
    /// hasn't changed since it was read.
    async fn unpin_conversation(
        &self,
        user_id: &str,
        id: &str,
        parts: Parts,
    ) -> Result<Conversation> {
        let mut known = self.conversation(user_id, id).await?;
        for _ in 0..UNPINNINGS {
            let conversation = known.ok_or(StoreError::Refused(Error::NoSuchConversation))?;
            let Some(pinned) = &conversation.pinned else {
                if parts.are_none() {
                    return Ok(conversation);
                }
                return self.write_conversation(user_id, id, parts).await;
            };
            let mut unpins = parts.clone();
            let place = conversation_place(id, conversation.used);
            unpins.sets("thread = :place", (":place", s(place)));
            unpins.removed.push("pinned");
            let unpin = self
                .update_conversation(user_id, id, &unpins.expression())
                .condition("attribute_not_exists(deleted) AND pinned = :pinned AND used = :used")
                .values(unpins.values)
                .values([(":pinned", s(pinned)), (":used", n(conversation.used))])
                .shows_item()
                .returns(ReturnValue::AllNew);
            let found: Option<Conversation> = match self.send(&unpin).await? {
                Outcome::Applied(changed) => return from_item(changed),
                Outcome::Refused(shown) => self.item_that_refused(&unpin, shown).await?,
            };
            known = found.filter(|conversation| !conversation.deleted);
        }
        Err(StoreError::Unavailable("the conversation was used while it was unpinned".into()))
    }

    async fn write_conversation(
        &self,
        user_id: &str,
        id: &str,
        parts: Parts,
    ) -> Result<Conversation> {
        let write = self
            .update_conversation(user_id, id, &parts.expression())
            .condition(EXISTS)
            .values(parts.values)
            .returns(ReturnValue::AllNew);
        match self.send(&write).await? {
            Outcome::Applied(changed) => from_item(changed),
            Outcome::Refused(_) => Err(StoreError::Refused(Error::NoSuchConversation)),
        }
    }
}
