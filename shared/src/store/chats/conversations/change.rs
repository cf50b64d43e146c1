//! Changes that a conversation's owner makes: title, instructions, folder, pin, and the files in its
//! context.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use crate::Error;
use crate::store::chats::conversations::{Conversation, EXISTS};
use crate::store::schema::{conversation_place, pinned_place};
use crate::store::{Outcome, Result, Store, StoreError, from_item, n, s};
use crate::values::{FileInfo, Instructions, NOT_IN_FOLDER, Title};

/// How many times unpinning a conversation is attempted while chats keep using it.
const UNPINNINGS: usize = 10;

/// The error message for a temporary conversation that is to be pinned.
const NOT_PINNED: &str = "A temporary chat can't be pinned, because it is deleted after a day.";

/// A change to a conversation. At least one field is set; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationChange {
    /// The new title.
    pub title: Option<Title>,
    /// The new instructions.
    pub instructions: Option<Instructions>,
    /// The id of the new folder. An empty string takes the conversation out of its folder.
    pub folder: Option<String>,
    /// True to pin the conversation, false to unpin it.
    pub pinned: Option<bool>,
    /// The ids of the files that leave the conversation's context.
    pub remove_files: Vec<String>,
}

impl ConversationChange {
    /// Returns the field that a temporary conversation refuses, and why. `None` if temporary
    /// conversations accept the change.
    fn refused_if_temporary(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self { pinned: Some(true), .. } => Some(("pinned", NOT_PINNED)),
            Self { folder: Some(id), .. } if !id.is_empty() => Some(("folder_id", NOT_IN_FOLDER)),
            _ => None,
        }
    }
}

/// The parts of an update expression.
#[derive(Clone, Default)]
struct Parts {
    set: Vec<&'static str>,
    removed: Vec<&'static str>,
    values: Vec<(&'static str, AttributeValue)>,
    /// The strings that list files that leave the context.
    leaving: Vec<String>,
    /// The field that a temporary conversation refuses, and why.
    refused_if_temporary: Option<(&'static str, &'static str)>,
}

impl Parts {
    /// Returns the parts that change the title, the instructions and the folder.
    fn of(change: &ConversationChange) -> Self {
        let refused_if_temporary = change.refused_if_temporary();
        let mut parts = Self { refused_if_temporary, ..Self::default() };
        if let Some(title) = &change.title {
            parts.sets("title = :title", (":title", s(title.text())));
            // No model replaces this title, even if it is the one from the first chat.
            parts.sets("title_asked = :chosen", (":chosen", n(0)));
            parts.removed.push("ai_title");
        }
        match change.instructions.as_ref().map(Instructions::text) {
            Some(Some(text)) => {
                parts.sets("instructions = :instructions", (":instructions", s(text)));
            }
            Some(None) => parts.removed.push("instructions"),
            None => {}
        }
        match change.folder.as_deref() {
            Some("") => parts.removed.push("folder"),
            Some(folder) => parts.sets("folder = :folder", (":folder", s(folder))),
            None => {}
        }
        parts
    }

    fn sets(&mut self, part: &'static str, value: (&'static str, AttributeValue)) {
        self.set.push(part);
        self.values.push(value);
    }

    fn are_none(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty() && self.leaving.is_empty()
    }

    fn expression(&self) -> String {
        let leaving: &[&str] = if self.leaving.is_empty() { &[] } else { &["files :leaving"] };
        let clauses = [
            ("SET", self.set.as_slice()),
            ("REMOVE", self.removed.as_slice()),
            ("DELETE", leaving),
        ];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses = clauses.map(|(verb, parts)| format!("{verb} {}", parts.join(", ")));
        clauses.collect::<Vec<_>>().join(" ")
    }

    fn values(self) -> Vec<(&'static str, AttributeValue)> {
        let leaving = Some(self.leaving).filter(|leaving| !leaving.is_empty());
        let leaving = leaving.map(|leaving| (":leaving", AttributeValue::Ss(leaving)));
        self.values.into_iter().chain(leaving).collect()
    }
}

impl Store {
    /// Applies either all changes in `change` or none of them. New instructions take effect with
    /// the conversation's next chat. Pinning a pinned conversation doesn't move it in the list.
    /// `now` is in milliseconds. Idempotent.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`] if the conversation doesn't exist, [`Error::Invalid`] if a
    /// temporary conversation is to be pinned or moved to a folder, and [`StoreError::Unavailable`]
    /// if the conversation couldn't be unpinned because chats kept using it.
    pub async fn change_conversation(
        &self,
        user_id: &str,
        id: &str,
        change: &ConversationChange,
        now: u64,
    ) -> Result<Conversation> {
        let mut parts = Parts::of(change);
        if !change.remove_files.is_empty() {
            let known = self.conversation(user_id, id).await?;
            let known = known.filter(|known| !known.is_expired(now / 1000));
            let known = known.ok_or(StoreError::Refused(Error::NoSuchConversation))?;
            let leaves = |file: &FileInfo| change.remove_files.contains(&file.id);
            let leaving = known.listed_files().filter(|(file, _)| leaves(file));
            parts.leaving = leaving.map(|(_, listed)| listed.to_owned()).collect();
            if change.pinned.is_none() && parts.are_none() {
                return Ok(known);
            }
        }
        match change.pinned {
            Some(false) => return self.unpin_conversation(user_id, id, parts, now / 1000).await,
            Some(true) => parts.sets(
                "pinned = if_not_exists(pinned, :pin), thread = if_not_exists(pinned, :pin)",
                (":pin", s(pinned_place(id, now))),
            ),
            None => {}
        }
        self.write_conversation(user_id, id, parts, now / 1000).await
    }

    /// Moves a pinned conversation back to its position among the conversations sorted by last use.
    /// The same write makes the other changes in `parts`. The write requires that the last use
    /// hasn't changed since it was read.
    async fn unpin_conversation(
        &self,
        user_id: &str,
        id: &str,
        parts: Parts,
        now: u64,
    ) -> Result<Conversation> {
        let mut known = self.conversation(user_id, id).await?;
        for _ in 0..UNPINNINGS {
            let conversation = known.filter(|known| !known.is_expired(now));
            let conversation =
                conversation.ok_or(StoreError::Refused(Error::NoSuchConversation))?;
            let Some(pinned) = &conversation.pinned else {
                if parts.are_none() {
                    return Ok(conversation);
                }
                return self.write_conversation(user_id, id, parts, now).await;
            };
            let mut unpins = parts.clone();
            let place = conversation_place(id, conversation.used);
            unpins.sets("thread = :place", (":place", s(place)));
            unpins.removed.push("pinned");
            let unpin = self
                .update_conversation(user_id, id, &unpins.expression())
                .condition("attribute_not_exists(deleted) AND pinned = :pinned AND used = :used")
                .values(unpins.values())
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

    /// Makes the changes in `parts`. `now` is in seconds.
    async fn write_conversation(
        &self,
        user_id: &str,
        id: &str,
        parts: Parts,
        now: u64,
    ) -> Result<Conversation> {
        let write = self.update_conversation(user_id, id, &parts.expression());
        let refused = parts.refused_if_temporary;
        let write = match refused {
            Some(_) => write.condition(format!("{EXISTS} AND attribute_not_exists(expires_at)")),
            None => write
                .condition(format!(
                    "{EXISTS} AND (attribute_not_exists(expires_at) OR expires_at > :now)"
                ))
                .values([(":now", n(now))]),
        };
        let write = write.values(parts.values()).shows_item().returns(ReturnValue::AllNew);
        let shown = match self.send(&write).await? {
            Outcome::Applied(changed) => return from_item(changed),
            Outcome::Refused(shown) => shown,
        };
        let Some((field, why)) = refused else {
            return Err(StoreError::Refused(Error::NoSuchConversation));
        };
        let found: Option<Conversation> = self.item_that_refused(&write, shown).await?;
        match found.filter(|found| !found.deleted && !found.is_expired(now)) {
            Some(_) => Err(StoreError::Refused(Error::field(field, why))),
            None => Err(StoreError::Refused(Error::NoSuchConversation)),
        }
    }
}
