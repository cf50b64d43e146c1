//! Conversation branches. A chat begins a branch if the user has edited an earlier message or
//! requested another answer to it. Such a chat doesn't follow the newest chat.
//!
//! A chat's sort key in the `by_conversation` index contains its parent: `<conversation>#<chat
//! id>#<after>`, where `after` is a chat's id or `start`. Chats without an `after` form the main
//! line, in which each chat follows the chat before it. Each new chat reads these keys anyway, so
//! finding its branch doesn't cost another read. A conversation without branches doesn't need extra
//! data.
//!
//! If the chat in `after` was deleted, its follower is treated as following the newest main-line
//! chat that is older than the deleted chat. This is correct if the deleted chat was in the main
//! line. Therefore, before a chat in a branch is deleted, its followers get a new `after`.

use futures_util::future::try_join_all;

use crate::store::accounts::deletion::BATCH;
use crate::store::chats::conversations::{IndexedKey, LAST};
use crate::store::schema::{chat_key, places_of_chats};
use crate::store::{Result, Store, Write, s};
use crate::values::chat::place;
use crate::values::{Chat, ParentChat};

/// The maximum number of additional runs that are read for one chat. An additional run is read
/// whenever the branch leads to a chat outside the runs that were already read. Chats that aren't
/// reached within this limit aren't part of the prompt, and the branch can't be shared.
const MORE_RUNS: usize = 8;

/// How many keys are read at a time to find a chat's followers.
const FOLLOWING: usize = 1000;

/// The part of a branch that precedes a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// The ids of the preceding chats, newest first.
    pub ids: Vec<String>,
    /// The chat's parent. `None` if the parent is the newest chat in the main line.
    pub after: Option<ParentChat>,
    /// True if earlier chats weren't reached within the maximum number of additional runs.
    pub is_cut_off: bool,
}

/// Consecutive chats in a conversation, from all its branches, newest first.
#[derive(Clone, Debug, Default)]
pub struct ChatRun {
    chats: Vec<ChatLink>,
    /// The id of the chat at which the run begins. `None` if the run begins at the newest chat.
    from: Option<String>,
    /// True if the conversation may have older chats.
    more: bool,
}

/// A chat's id and its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ChatLink {
    id: String,
    after: Option<ParentChat>,
}

/// The chat that precedes another chat in a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Predecessor {
    /// The chat with this id.
    Chat(String),
    /// The newest chat in the main line that is older than the chat with this id.
    OfMainLine(String),
}

/// The result of searching a run for a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SearchOutcome {
    /// The run contains the chat.
    Found(ChatLink),
    /// The conversation doesn't contain the chat: either the chat was deleted, or it never belonged
    /// to the conversation.
    Missing,
    /// The run doesn't contain the chat, but another part of the conversation may.
    Elsewhere,
}

impl ChatLink {
    /// Returns the chat before this chat. `None` if this chat has no predecessor.
    fn before(&self) -> Option<Predecessor> {
        match &self.after {
            None => Some(Predecessor::OfMainLine(self.id.clone())),
            Some(ParentChat::Start) => None,
            Some(ParentChat::Message(id)) => Some(Predecessor::Chat(id.clone())),
        }
    }
}

impl From<IndexedKey> for ChatLink {
    fn from(key: IndexedKey) -> Self {
        Self { after: ParentChat::of_place(&key.thread), id: key.chat_id }
    }
}

impl ChatRun {
    fn find(&self, sought: &Predecessor) -> SearchOutcome {
        let found = self.chats.iter().find(|chat| match sought {
            Predecessor::Chat(id) => chat.id == *id,
            Predecessor::OfMainLine(before) => chat.after.is_none() && chat.id < *before,
        });
        let reaches = match sought {
            Predecessor::Chat(id) => self.reaches(id),
            Predecessor::OfMainLine(_) => !self.more,
        };
        match found {
            Some(chat) => SearchOutcome::Found(chat.clone()),
            None if reaches => SearchOutcome::Missing,
            None => SearchOutcome::Elsewhere,
        }
    }

    /// Returns true if the run covers the position of this id. If such a run doesn't contain the
    /// chat, the conversation doesn't contain it either.
    fn reaches(&self, id: &str) -> bool {
        let begins = self.from.as_deref().is_none_or(|from| id <= from);
        let ends = !self.more || self.chats.last().is_some_and(|oldest| oldest.id.as_str() < id);
        begins && ends
    }

    /// Returns true if a chat with this parent continues the main line.
    fn is_end_of_main_line(&self, parent: Option<&str>) -> bool {
        match self.chats.iter().find(|chat| chat.after.is_none()) {
            Some(end) => parent == Some(end.id.as_str()),
            // The main line ends outside the run, or doesn't contain any chat.
            None => parent.is_none() && !self.more,
        }
    }
}

impl Store {
    /// Returns the newest `count` chats of a conversation, or the newest chat if `count` is 0, as
    /// input for [`Store::branch`].
    pub async fn newest_chats(
        &self,
        user_id: &str,
        conversation: &str,
        count: usize,
    ) -> Result<ChatRun> {
        let end = format!("{}{LAST}", places_of_chats(conversation));
        self.chat_run(user_id, conversation, None, &end, count).await
    }

    /// Returns at most `count` chats that precede a new chat in its branch. The new chat follows
    /// `after`, or the newest chat in the conversation if `after` is `None`. Returns `None` if the
    /// conversation doesn't contain `after`. Starts with the [newest chats](Store::newest_chats),
    /// and reads other chats only if the branch leads to them.
    pub async fn branch(
        &self,
        user_id: &str,
        conversation: &str,
        newest: ChatRun,
        after: Option<&ParentChat>,
        count: usize,
    ) -> Result<Option<Branch>> {
        let parent = match after {
            Some(ParentChat::Start) => None,
            Some(ParentChat::Message(id)) => Some(id.clone()),
            None => newest.chats.first().map(|chat| chat.id.clone()),
        };
        let continues = newest.is_end_of_main_line(parent.as_deref());
        let named = || parent.clone().map_or(ParentChat::Start, ParentChat::Message);
        let after = (!continues).then(named);
        let mut branch = Branch { ids: Vec::new(), after, is_cut_off: false };
        let (mut known, mut read) = (newest, 0);
        let mut sought = parent.map(Predecessor::Chat);
        while let Some(wanted) = sought.take() {
            sought = match known.find(&wanted) {
                SearchOutcome::Found(chat) => {
                    let before = chat.before();
                    branch.ids.push(chat.id);
                    before.filter(|_| branch.ids.len() < count)
                }
                SearchOutcome::Elsewhere if read == MORE_RUNS => {
                    branch.is_cut_off = true;
                    None
                }
                SearchOutcome::Elsewhere => {
                    read += 1;
                    known =
                        self.next_chat_run(user_id, conversation, &known, &wanted, count).await?;
                    Some(wanted)
                }
                // The new chat's parent is missing.
                SearchOutcome::Missing if branch.ids.is_empty() => return Ok(None),
                SearchOutcome::Missing => match wanted {
                    Predecessor::Chat(id) => Some(Predecessor::OfMainLine(id)),
                    Predecessor::OfMainLine(_) => None,
                },
            };
        }
        branch.ids.truncate(count);
        Ok(Some(branch))
    }

    /// Returns the next run that may contain the chat that is being looked for. The run begins at
    /// that chat's id, or where the known run ends.
    async fn next_chat_run(
        &self,
        user_id: &str,
        conversation: &str,
        known: &ChatRun,
        wanted: &Predecessor,
        count: usize,
    ) -> Result<ChatRun> {
        let (from, before) = match (wanted, known.chats.last()) {
            (Predecessor::OfMainLine(_), Some(oldest)) => {
                (&oldest.id, place(conversation, &oldest.id, None))
            }
            // Begin at the chat's own key, which may end with any parent.
            (Predecessor::Chat(id) | Predecessor::OfMainLine(id), _) => {
                (id, format!("{}{LAST}", place(conversation, id, None)))
            }
        };
        self.chat_run(user_id, conversation, Some(from.clone()), &before, count).await
    }

    async fn chat_run(
        &self,
        user_id: &str,
        conversation: &str,
        from: Option<String>,
        before: &str,
        count: usize,
    ) -> Result<ChatRun> {
        let first = places_of_chats(conversation);
        // Read at least one key, because otherwise a new chat's parent would be unknown.
        // `CONTEXT_CHATS` is 20 by default. Twenty keys are shorter than 4 KB, even with parents,
        // so reading them costs one read unit.
        let (keys, more) = self.indexed(user_id, &first, before, count.max(1)).await?;
        Ok(ChatRun { chats: keys.into_iter().map(ChatLink::from).collect(), from, more })
    }

    /// Prepares the deletion of a chat in a branch: the chat's parent becomes the parent of its
    /// followers. The followers of a chat in the main line don't need to change. Idempotent.
    pub(in crate::store) async fn relink_followers(&self, chat: &Chat) -> Result<()> {
        let after = chat.after().and_then(ParentChat::parse);
        let (Some(conversation), Some(after)) = (&chat.conversation, after) else { return Ok(()) };
        let this = Some(ParentChat::Message(chat.chat_id.clone()));
        let first = place(conversation, &chat.chat_id, None);
        let mut before = format!("{}{LAST}", places_of_chats(conversation));
        loop {
            let (keys, more) = self.indexed(&chat.user_id, &first, &before, FOLLOWING).await?;
            let follows = |key: &&IndexedKey| ParentChat::of_place(&key.thread) == this;
            let following: Vec<&IndexedKey> = keys.iter().filter(follows).collect();
            for some in following.chunks(BATCH) {
                let moved =
                    some.iter().map(|key| self.follow(&chat.user_id, conversation, key, &after));
                try_join_all(moved).await?;
            }
            match keys.into_iter().next_back() {
                Some(oldest) if more => before = oldest.thread,
                _ => return Ok(()),
            }
        }
    }

    /// Changes a chat's parent, unless the chat was moved or deleted since its key was read.
    async fn follow(
        &self,
        user_id: &str,
        conversation: &str,
        key: &IndexedKey,
        after: &ParentChat,
    ) -> Result<()> {
        let to = place(conversation, &key.chat_id, Some(after));
        let update = "SET thread = :to";
        let follow = Write::update(&self.tables.chats, chat_key(user_id, &key.chat_id), update)
            .condition("thread = :from")
            .values([(":from", s(&key.thread)), (":to", s(to))]);
        self.send(&follow).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a run from chats, given as ids with parents, newest first.
    fn run(chats: &[(&str, Option<ParentChat>)], from: Option<&str>, more: bool) -> ChatRun {
        let linked = |(id, after): &(&str, Option<ParentChat>)| ChatLink {
            id: (*id).to_owned(),
            after: after.clone(),
        };
        ChatRun { chats: chats.iter().map(linked).collect(), from: from.map(str::to_owned), more }
    }

    fn message(id: &str) -> Option<ParentChat> {
        Some(ParentChat::Message(id.into()))
    }

    #[test]
    fn predecessors_are_found_missing_or_elsewhere() {
        let known = run(&[("e", message("b")), ("d", None), ("c", message("a"))], None, true);
        let found = |look: SearchOutcome| match look {
            SearchOutcome::Found(chat) => chat.id,
            other => format!("{other:?}"),
        };
        let chat = |id: &str| found(known.find(&Predecessor::Chat(id.into())));
        assert_eq!(
            ["e", "c", "cc", "f", "b"].map(chat),
            ["e", "c", "Missing", "Missing", "Elsewhere"]
        );
        let main = |id: &str| found(known.find(&Predecessor::OfMainLine(id.into())));
        assert_eq!(["e", "dd", "d"].map(main), ["d", "d", "Elsewhere"]);

        let last = run(&[("b", message("x"))], Some("b"), false);
        assert_eq!(last.find(&Predecessor::Chat("a".into())), SearchOutcome::Missing);
        assert_eq!(last.find(&Predecessor::Chat("c".into())), SearchOutcome::Elsewhere);
        assert_eq!(last.find(&Predecessor::OfMainLine("b".into())), SearchOutcome::Missing);
    }

    #[test]
    fn only_the_last_chat_continues_the_main_line() {
        let known = run(&[("c", message("a")), ("b", None), ("a", None)], None, false);
        let continues = [Some("c"), Some("b"), Some("a"), None];
        assert_eq!(
            continues.map(|parent| known.is_end_of_main_line(parent)),
            [false, true, false, false]
        );
        for (more, continues) in [(true, false), (false, true)] {
            let known = run(&[("c", Some(ParentChat::Start))], None, more);
            assert_eq!(known.is_end_of_main_line(None), continues);
            assert!(!known.is_end_of_main_line(Some("c")));
        }
        assert!(run(&[], None, false).is_end_of_main_line(None));
    }

    #[test]
    fn predecessors_are_explicit_or_on_the_main_line() {
        let before = |after| ChatLink { id: "b".into(), after }.before();
        assert_eq!(before(None), Some(Predecessor::OfMainLine("b".into())));
        assert_eq!(before(Some(ParentChat::Start)), None);
        assert_eq!(before(message("a")), Some(Predecessor::Chat("a".into())));
    }
}
