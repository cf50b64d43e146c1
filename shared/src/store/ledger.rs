//! The table Ledger: an immutable row behind everything that ever moved a balance.

use serde::{Deserialize, Serialize};

use super::schema::{DAY_SHARDS, STANDING, day_partition, entry_key};
use super::timeline::Timeline;
use super::{Place, Record, Store, Write, from_item, s, to_item};
use crate::auth::{AccessToken, Administrator};
use crate::clock::{self, Clock, Day, millis_of, month};
use crate::user::{Account, Role, is_blank, turns_text};
use crate::{Change, Result};

/// Sorts after every entry id.
const AFTER_ALL: &str = "~";

/// The longest reason, in characters.
pub(crate) const REASON_LENGTH: usize = 200;

/// Why a balance moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Tokens that a new account was given.
    Grant,
    /// A settled chat.
    Chat,
    /// A correction: tokens that were given or taken by hand.
    Adjustment,
    /// A change of what somebody may do, which moves nothing. It stands in no user's own partition,
    /// and so in no statement.
    Standing,
}

impl EntryKind {
    /// The kind in one word, as it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Chat => "chat",
            Self::Adjustment => "adjustment",
            Self::Standing => "standing",
        }
    }
}

/// What somebody's standing was changed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// The account may do something again.
    Activation,
    /// It may do nothing any more.
    Deactivation,
    /// It is of this role.
    Role(Role),
}

impl Act {
    /// The act in one word, as it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Deactivation => "deactivation",
            Self::Role(_) => "role",
        }
    }
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The account's id; of a change of somebody's standing `standing#` and it.
    pub user_id: String,
    /// UUIDv7; a chat's row has the chat's id, so that a chat is charged once, even after it was
    /// deleted.
    pub entry_id: String,
    /// What was added to the balance; negative where it was taken.
    pub amount: i64,
    /// Why.
    pub kind: EntryKind,
    /// Why, for people.
    pub reason: String,
    /// The id of the account that did it, or `manage` for a terminal.
    pub actor: String,
    /// The chat that was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// What became of somebody's standing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// When, in milliseconds since 1970.
    pub time: u64,
}

impl Entry {
    /// The id of the account that it is about.
    pub fn subject(&self) -> &str {
        self.user_id.strip_prefix(STANDING).unwrap_or(&self.user_id)
    }

    /// Where it stands in the index `trail`: administrators' acts by month, everything else by day.
    /// The id says when, as it does for whoever looks for the rows of a time.
    fn place(&self) -> String {
        let millis = millis_of(&self.entry_id).unwrap_or(self.time);
        match self.kind {
            EntryKind::Adjustment | EntryKind::Standing => month(millis),
            EntryKind::Grant | EntryKind::Chat => day_partition(Day::of(millis), &self.user_id),
        }
    }
}

/// Why a balance is adjusted, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Something, on one line of at most 200 characters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if is_blank(text) {
            return Err("A reason may not be empty.".into());
        }
        if text.chars().count() > REASON_LENGTH {
            return Err(format!("A reason has at most {REASON_LENGTH} characters."));
        }
        if text.chars().any(char::is_control) {
            return Err("A reason is one line.".into());
        }
        if text.chars().any(turns_text) {
            return Err("A reason has no characters that change the direction of text.".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A change of one account's balance by hand, with everything fixed before the first send: sent
/// again, it is the same one.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// The key of the account's name.
    pub(super) name_key: String,
    pub(super) change: Change,
    pub(super) entry: Entry,
    /// The administrator on whose being one it depends.
    pub(super) by: Option<AccessToken>,
    /// What an idempotency key comes to stand for.
    pub(super) record: Option<Record>,
}

impl Adjustment {
    /// An adjustment of this account; `actor` is the id of the account that does it.
    pub fn new(
        account: &Account,
        change: Change,
        reason: Reason,
        actor: &str,
        clock: &Clock,
    ) -> Self {
        let entry = Entry {
            user_id: account.id.clone(),
            entry_id: clock.id().to_string(),
            amount: change.amount(),
            kind: EntryKind::Adjustment,
            reason: reason.0,
            actor: actor.to_owned(),
            chat_id: None,
            act: None,
            time: clock.millis(),
        };
        Self { name_key: account.label.clone(), change, entry, by: None, record: None }
    }

    /// The same by this administrator, who must be one when it is done.
    #[must_use]
    pub fn by(mut self, administrator: &Administrator) -> Self {
        self.entry.actor.clone_from(&administrator.account().id);
        Self { by: Some(administrator.caller().clone()), ..self }
    }

    /// The same under an idempotency key, which is remembered until the second `until`.
    #[must_use]
    pub fn keyed(self, key_id: &str, fingerprint: &str, until: u64) -> Self {
        Self { record: Some(Record::new(key_id, fingerprint, &self.entry.entry_id, until)), ..self }
    }

    /// Its row.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl Store {
    /// The write of a row, with its place in the index `trail`.
    pub(super) fn enter(&self, entry: &Entry) -> Result<Write> {
        let mut row = to_item(entry)?;
        row.insert("trail".into(), s(entry.place()));
        Ok(Write::put(&self.tables.ledger, row).when("attribute_not_exists(entry_id)").shows_item())
    }

    /// One row of a user.
    pub async fn entry(&self, user_id: &str, entry_id: &str) -> Result<Option<Entry>> {
        self.get(&self.tables.ledger, entry_key(user_id, entry_id)).await
    }

    /// At most `count` acts of administrators, newest first, from `place` on; and where the next
    /// page begins. `now` is in milliseconds.
    pub async fn acts(
        &self,
        place: Option<&Place>,
        now: u64,
        count: usize,
    ) -> Result<(Vec<Entry>, Option<Place>)> {
        let (found, next) =
            self.newest(Timeline { shards: 1, ..self.trail() }, place, now, count).await?;
        Ok((found.into_iter().map(from_item).collect::<Result<_>>()?, next))
    }

    /// Some rows of a day that moved a balance, oldest first, behind the id `after`; and the last
    /// id, where there may be more.
    pub async fn entries_of_day(
        &self,
        day: Day,
        after: Option<&str>,
    ) -> Result<(Vec<Entry>, Option<String>)> {
        let first = clock::least_id(day.begins());
        let (found, next) = self
            .oldest(
                self.trail(),
                &self.places_of(day),
                after.unwrap_or(&first),
                &clock::least_id(day.after(1).begins()),
            )
            .await?;
        let entries: Vec<Entry> =
            found.into_iter().map(from_item::<Entry>).collect::<Result<_>>()?;
        Ok((entries.into_iter().filter(|entry| entry.kind != EntryKind::Standing).collect(), next))
    }

    /// The partitions of the index `trail` that hold the rows of a day.
    pub(super) fn places_of(&self, day: Day) -> Vec<String> {
        let mut places = self.trail().partitions(&day.to_string());
        places.push(day.month());
        places
    }

    fn trail(&self) -> Timeline<'_> {
        Timeline {
            table: &self.tables.ledger,
            index: "trail",
            partition: "trail",
            id: "entry_id",
            shards: DAY_SHARDS,
        }
    }

    /// At most `count` rows of a user, newest first, older than the row `before`; and whether
    /// DynamoDB stopped before the last one, which it does at 1 MB too.
    pub async fn entries(
        &self,
        user_id: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<Entry>, bool)> {
        self.newest_first(
            &self.tables.ledger,
            "user_id = :user AND entry_id < :before",
            user_id,
            before.unwrap_or(AFTER_ALL),
            count,
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_on_one_line() {
        for (bad, sentence) in [
            ("", "empty"),
            (" \t", "empty"),
            ("a\nb", "one line"),
            ("a\0b", "one line"),
            (&"é".repeat(201), "at most 200"),
            ("\u{202e}", "empty"),
            ("\u{200b} \u{ad}\u{3164}\u{2800}", "empty"),
            ("\u{600}", "empty"),
            ("5\u{202e}0", "direction"),
            ("\u{2067}x\u{2069}", "direction"),
        ] {
            assert!(Reason::parse(bad).unwrap_err().contains(sentence), "{bad:?}");
        }
        assert_eq!(Reason::parse(&format!(" {} ", "é".repeat(200))), Ok(Reason("é".repeat(200))));
    }

    #[test]
    fn the_word_of_a_kind_is_the_one_that_is_stored() {
        for kind in [EntryKind::Grant, EntryKind::Chat, EntryKind::Adjustment, EntryKind::Standing]
        {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }
}
