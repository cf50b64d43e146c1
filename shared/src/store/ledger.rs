//! The table Ledger: an immutable row for every change of a balance.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::read::page;
use super::schema::{DAY_SHARDS, STANDING, day_partition, entry_key};
use super::timeline::Timeline;
use super::{Place, Span, Store, Write, from_item, s, to_item};
use crate::chat::Chat;
use crate::clock::{Day, millis_of, month};
use crate::user::{Role, is_blank, turns_text};
use crate::{Result, Tokens};

/// Sorts after every entry id.
const AFTER_ALL: &str = "~";

/// The longest reason, in characters.
pub(crate) const REASON_LENGTH: usize = 200;

/// What changed a balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The first tokens of a new account.
    Grant,
    /// A settled chat.
    Chat,
    /// A correction by an administrator.
    Adjustment,
    /// A change of a role or state, or an intervention, which moves no tokens. Its row isn't in the
    /// user's own partition, and so in no statement.
    Standing,
    /// A kind that only later releases know.
    #[serde(untagged)]
    Other(String),
}

impl EntryKind {
    /// The stored and displayed word.
    pub fn word(&self) -> &str {
        match self {
            Self::Grant => "grant",
            Self::Chat => "chat",
            Self::Adjustment => "adjustment",
            Self::Standing => "standing",
            Self::Other(word) => word,
        }
    }
}

/// A change of a role or state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// The account is active again.
    Activation,
    /// The account is deactivated.
    Deactivation,
    /// The account has this role now.
    Role(Role),
    /// An act that only later releases know.
    #[serde(untagged, deserialize_with = "word_of")]
    Other(String),
}

impl Act {
    /// Every displayed word of an administrator's act: that of adjustments, and those of changes of
    /// roles and states and of interventions.
    pub fn words() -> impl Iterator<Item = String> {
        let changes = [Self::Activation, Self::Deactivation, Self::Role(Role::Admin)];
        let changes = changes.map(|change| change.word().to_owned());
        let interventions = Intervention::ALL.map(|what| what.word().to_owned());
        [EntryKind::Adjustment.word().to_owned()].into_iter().chain(changes).chain(interventions)
    }

    /// The displayed word.
    pub fn word(&self) -> &str {
        match self {
            Self::Activation => "activation",
            Self::Deactivation => "deactivation",
            Self::Role(_) => "role",
            Self::Other(word) => word,
        }
    }
}

/// The word of a stored act: a text, or the key of a map with the act's values.
fn word_of<'de, D: Deserializer<'de>>(act: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Word(String),
        WithValues(BTreeMap<String, IgnoredAny>),
    }

    Ok(match Stored::deserialize(act)? {
        Stored::Word(word) => word,
        Stored::WithValues(values) => values.into_keys().next().unwrap_or_default(),
    })
}

/// What an administrator did to an account beside changing its role, state or balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intervention {
    /// It was created.
    Creation,
    /// It was created, and its address was sent a link that sets the password.
    Invitation,
    /// All its sessions were ended.
    Sessions,
    /// One of its API keys was revoked.
    ApiKey,
    /// All its API keys were revoked.
    ApiKeys,
    /// It was sent a link that resets its password.
    PasswordReset,
    /// It was deleted.
    Deletion,
    /// An intervention that only later releases know.
    #[serde(untagged, deserialize_with = "word_of")]
    Other(String),
}

impl Intervention {
    /// Every intervention that this release makes.
    pub const ALL: [Self; 7] = [
        Self::Creation,
        Self::Invitation,
        Self::Sessions,
        Self::ApiKey,
        Self::ApiKeys,
        Self::PasswordReset,
        Self::Deletion,
    ];

    /// The stored and displayed word.
    pub fn word(&self) -> &str {
        match self {
            Self::Creation => "creation",
            Self::Invitation => "invitation",
            Self::Sessions => "sessions",
            Self::ApiKey => "api_key",
            Self::ApiKeys => "api_keys",
            Self::PasswordReset => "password_reset",
            Self::Deletion => "deletion",
            Self::Other(word) => word,
        }
    }

    /// Whether it created the account.
    pub(super) fn creates(&self) -> bool {
        matches!(self, Self::Creation | Self::Invitation)
    }

    /// The nearest act that a release knows which knows no interventions: it shows that one in the
    /// trail. `role` is the account's.
    pub(super) fn nearest(&self, role: &Role) -> Act {
        match self {
            Self::Sessions
            | Self::ApiKey
            | Self::ApiKeys
            | Self::PasswordReset
            | Self::Other(_) => Act::Role(role.clone()),
            Self::Creation | Self::Invitation if *role == Role::Admin => Act::Role(role.clone()),
            Self::Creation | Self::Invitation => Act::Activation,
            Self::Deletion => Act::Deactivation,
        }
    }
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The account's id; with the prefix `standing#` for an act that moves no tokens.
    pub user_id: String,
    /// A UUIDv7; a chat's row has the chat's id, so that a chat is charged once, even after its
    /// deletion.
    pub entry_id: String,
    /// The change of the balance; negative if tokens were taken.
    pub amount: i64,
    /// What changed the balance.
    pub kind: EntryKind,
    /// The reason, for people.
    pub reason: String,
    /// The id of the account that made the change, or `manage` for the command line.
    pub actor: String,
    /// The chat that was paid, or whose price was returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// How many times the price of a message was paid, if it is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u32>,
    /// The id of the API key with which the chat was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The change of a role or state; of an intervention the nearest one, for earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// The intervention, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervention: Option<Intervention>,
    /// What an administrator's new account was granted, for the trail: the account's own ledger has
    /// the row that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Tokens>,
    /// The time in milliseconds since 1970.
    pub time: u64,
}

impl Entry {
    /// The row of a settled chat.
    pub(super) fn of_chat(chat: &Chat) -> Self {
        Self {
            user_id: chat.user_id.clone(),
            entry_id: chat.chat_id.clone(),
            amount: -chat.cost.signed(),
            kind: EntryKind::Chat,
            reason: if chat.stopped { "stopped" } else { "chat" }.into(),
            actor: chat.user_id.clone(),
            chat_id: Some(chat.chat_id.clone()),
            units: chat.units,
            act: None,
            key_id: None,
            intervention: None,
            granted: None,
            time: chat.time,
        }
    }

    /// The id of the account that the row is about.
    pub fn subject(&self) -> &str {
        self.user_id.strip_prefix(STANDING).unwrap_or(&self.user_id)
    }

    /// Whether it is a row of the account's own ledger, whose amount changed the balance. The others
    /// are acts of administrators that move no tokens.
    pub fn moves_tokens(&self) -> bool {
        moves_tokens(&self.user_id)
    }

    /// Whether it charges for a message, so that its amount counts as spent. The amounts of all other
    /// rows that move tokens count as granted.
    pub fn charges(&self) -> bool {
        charges(&self.kind, &self.entry_id, self.chat_id.as_deref())
    }

    /// The displayed word of an administrator's act.
    pub fn word(&self) -> &str {
        match (&self.kind, &self.intervention, &self.act) {
            (EntryKind::Other(word), ..) => word,
            (_, Some(intervention), _) => intervention.word(),
            (_, None, Some(act)) => act.word(),
            (kind, None, None) => kind.word(),
        }
    }

    /// The role that the act has given the account. `None` for a new ordinary user.
    pub fn role(&self) -> Option<&Role> {
        match &self.act {
            Some(Act::Role(role))
                if self.intervention.as_ref().is_none_or(Intervention::creates) =>
            {
                Some(role)
            }
            _ => None,
        }
    }

    /// Its partition in the index `trail`: administrators' acts by month, everything else by day.
    /// The time is the id's, which readers search by.
    fn place(&self) -> String {
        let millis = millis_of(&self.entry_id).unwrap_or(self.time);
        match self.kind {
            EntryKind::Adjustment | EntryKind::Standing => month(millis),
            EntryKind::Grant | EntryKind::Chat | EntryKind::Other(_) => {
                day_partition(Day::of(millis), &self.user_id)
            }
        }
    }
}

/// Whether a row with this partition key changed a balance.
fn moves_tokens(user_id: &str) -> bool {
    !user_id.starts_with(STANDING)
}

/// Whether a row charges for a message. A row of an unknown kind does if its id is that of its
/// message, as in the rows of chats; a refund has an id of its own.
fn charges(kind: &EntryKind, entry_id: &str, chat_id: Option<&str>) -> bool {
    match kind {
        EntryKind::Chat => true,
        EntryKind::Other(_) => chat_id == Some(entry_id),
        EntryKind::Grant | EntryKind::Adjustment | EntryKind::Standing => false,
    }
}

/// The attributes of a row from which figures are counted.
#[derive(Deserialize)]
pub(super) struct CountedRow {
    pub(super) user_id: String,
    entry_id: String,
    pub(super) kind: EntryKind,
    pub(super) amount: i64,
    #[serde(default)]
    chat_id: Option<String>,
}

impl CountedRow {
    /// Its attributes.
    pub(super) const ATTRIBUTES: &str = "user_id, entry_id, kind, amount, chat_id";

    /// As [`Entry::moves_tokens`].
    pub(super) fn moves_tokens(&self) -> bool {
        moves_tokens(&self.user_id)
    }

    /// As [`Entry::charges`].
    pub(super) fn charges(&self) -> bool {
        charges(&self.kind, &self.entry_id, self.chat_id.as_deref())
    }
}

/// Which acts of administrators a list has. The default has all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// Only those of this [word](Entry::word).
    pub act: Option<String>,
    /// Only those that affect the account with this id.
    pub user_id: Option<String>,
    /// Only those of the account with this id, or of `manage`.
    pub actor: Option<String>,
    /// Only those of these days.
    pub span: Span,
}

impl ActFilter {
    fn accepts(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        is(&self.act, entry.word())
            && is(&self.user_id, entry.subject())
            && is(&self.actor, &entry.actor)
    }
}

/// The reason of an administrator's act, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// One line of 1 to 200 characters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if is_blank(text) {
            return Err("A reason must not be empty.".into());
        }
        if text.chars().count() > REASON_LENGTH {
            return Err(format!("A reason can have at most {REASON_LENGTH} characters."));
        }
        if text.chars().any(char::is_control) {
            return Err("A reason must be on one line.".into());
        }
        if text.chars().any(turns_text) {
            return Err(
                "A reason must not have characters that change the direction of text.".into()
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Store {
    /// Writes a row, with its partition in the index `trail`.
    pub(super) fn enter(&self, entry: &Entry) -> Result<Write> {
        let mut row = to_item(entry)?;
        row.insert("trail".into(), s(entry.place()));
        Ok(Write::put(&self.tables.ledger, row).when("attribute_not_exists(entry_id)").shows_item())
    }

    /// Whether a user has this row.
    pub(super) async fn has_entry(&self, user_id: &str, entry_id: &str) -> Result<bool> {
        let get = self
            .client
            .get_item()
            .table_name(&self.tables.ledger)
            .set_key(Some(entry_key(user_id, entry_id)));
        Ok(get.projection_expression("entry_id").consistent_read(true).send().await?.item.is_some())
    }

    /// One row of a user.
    pub async fn entry(&self, user_id: &str, entry_id: &str) -> Result<Option<Entry>> {
        self.get(&self.tables.ledger, entry_key(user_id, entry_id)).await
    }

    /// At most `count` acts of administrators, newest first, from `place`; and where the next page
    /// begins. `now` is in milliseconds. With a filter, a page may have few acts or none.
    pub async fn acts(
        &self,
        filter: &ActFilter,
        place: Option<&Place>,
        now: u64,
        count: usize,
    ) -> Result<(Vec<Entry>, Option<Place>)> {
        let list = Timeline { shards: 1, ..self.trail() };
        if *filter == ActFilter::default() {
            let (found, next) = self.newest(list, place, now, count).await?;
            return Ok((found.into_iter().map(from_item).collect::<Result<_>>()?, next));
        }
        let (begin, least) = (filter.span.begin(now), filter.span.least());
        let place = place.or(begin.as_ref());
        self.newest_of(list, place, now, &least, count, |entry| filter.accepts(entry)).await
    }

    /// Some rows of a day that changed a balance, oldest first, after the id `after`; and the last
    /// id, if there may be more.
    pub async fn entries_of_day(
        &self,
        day: Day,
        after: Option<&str>,
    ) -> Result<(Vec<Entry>, Option<String>)> {
        let (entries, next): (Vec<Entry>, _) =
            self.of_day(self.trail(), &self.places_of(day), day, after).await?;
        Ok((entries.into_iter().filter(Entry::moves_tokens).collect(), next))
    }

    /// The partitions of the index `trail` that hold the rows of a day.
    pub(super) fn places_of(&self, day: Day) -> Vec<String> {
        let mut places = self.partitions_of(day);
        places.push(day.month());
        places
    }

    /// Those that hold all of them but administrators' acts.
    pub(super) fn partitions_of(&self, day: Day) -> Vec<String> {
        self.trail().partitions(&day.to_string())
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

    /// At most `count` rows of a user, newest first, older than the row `before`; and whether there
    /// may be more. DynamoDB stops at 1 MB too.
    pub async fn entries(
        &self,
        user_id: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<Entry>, bool)> {
        let (keys, before) =
            ("user_id = :user AND entry_id < :before", before.unwrap_or(AFTER_ALL));
        page(self.newest_first(&self.tables.ledger, keys, user_id, before, count)).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
    fn the_word_of_a_kind_and_of_an_intervention_is_the_one_that_is_stored() {
        for kind in [EntryKind::Grant, EntryKind::Chat, EntryKind::Adjustment, EntryKind::Standing]
        {
            assert_eq!(serde_json::to_value(&kind).unwrap(), kind.word());
        }
        for intervention in Intervention::ALL {
            assert_eq!(serde_json::to_value(&intervention).unwrap(), intervention.word());
        }
    }

    #[test]
    fn a_row_of_an_unknown_kind_keeps_its_words() {
        let row = json!({
            "user_id": "u", "entry_id": "e", "amount": 5, "kind": "gift", "reason": "a test",
            "actor": "manage", "intervention": "quota", "time": 1, "of_a_later_release": [1],
        });
        let with = |act: Value| {
            let mut row = row.clone();
            row["act"] = act;
            serde_json::from_value::<Entry>(row).unwrap()
        };
        let role = |word: &str| Role::Other(word.to_owned());
        for (act, expected) in [
            (json!("freeze"), Act::Other("freeze".into())),
            (json!({ "limit": { "tokens": 5 } }), Act::Other("limit".into())),
            (json!({ "role": "support" }), Act::Role(role("support"))),
        ] {
            let entry = with(act.clone());
            assert_eq!(entry.act, Some(expected), "{act}");
            assert_eq!((entry.kind.word(), entry.word()), ("gift", "gift"));
            assert_eq!(entry.intervention, Some(Intervention::Other("quota".into())));
            assert_eq!(serde_json::to_value(&entry.kind).unwrap(), "gift");
        }
        let standing = Entry { kind: EntryKind::Standing, ..with(json!("freeze")) };
        assert_eq!((standing.word(), standing.role()), ("quota", None));
        let act = Entry { intervention: None, ..standing };
        assert_eq!(act.word(), "freeze");
    }

    #[test]
    fn a_row_of_an_unknown_kind_charges_for_its_own_message() {
        let charges = |kind, chat_id| charges(&kind, "e", chat_id);
        let other = || EntryKind::Other("voice".into());
        assert!(charges(other(), Some("e")) && charges(EntryKind::Chat, None));
        assert!(!charges(other(), None) && !charges(other(), Some("another")));
        assert!(!charges(EntryKind::Adjustment, Some("e")));
        assert!(moves_tokens("u") && !moves_tokens(&format!("{STANDING}u")));
    }
}
