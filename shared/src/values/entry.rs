//! Ledger entries: an immutable row for every balance change.

use serde::{Deserialize, Serialize};

use super::text::{is_blank, turns_text};
use super::{Account, Chat, Invalid, Paid, Payment, Receipt, Source, Usage};

/// The maximum length of a reason, in characters.
pub(crate) const REASON_LENGTH: usize = 200;

/// The reason in the entries for embeddings.
const EMBEDDINGS: &str = "embeddings";

/// The cause of a balance change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The first credits of a new account.
    Grant,
    /// A settled chat.
    Chat,
    /// Any other change to the balance, with a reason.
    Adjustment,
    /// A kind that a later release has added.
    #[serde(untagged)]
    Other(String),
}

impl EntryKind {
    /// Returns the name, as it is stored and shown.
    pub fn word(&self) -> &str {
        match self {
            Self::Grant => "grant",
            Self::Chat => "chat",
            Self::Adjustment => "adjustment",
            Self::Other(word) => word,
        }
    }
}

/// A ledger entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The account's id.
    pub user_id: String,
    /// A UUIDv7. A chat's entry has the same id as the chat, so that a chat is charged only once,
    /// even after its deletion.
    pub entry_id: String,
    /// The amount by which the balance changes. Negative if credits were deducted.
    pub amount: i64,
    /// The cause of the change.
    pub kind: EntryKind,
    /// The reason, for human readers.
    pub reason: String,
    /// The id of the account whose user made the change, or `manage` for the command line,
    /// with a colon and the caller if known.
    pub actor: String,
    /// The id of the chat that was charged or refunded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// How many times the price of a message was charged. `None` if it was charged once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u32>,
    /// How the chat was priced by the price list. `None` if there was no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The model token counts that the price depends on. `None` if there was no price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The provider's name for the model that answered. `None` if there was no price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The id of the API key with which the chat was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The source of credits that can be granted only once. `None` for other entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The first day of the allowance's period, in days since 1970. `None` unless the entry grants
    /// an allowance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<u64>,
    /// The money that was paid by the buyer or returned to the buyer. `None` unless the entry
    /// belongs to an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// The time in milliseconds since 1970.
    pub time: u64,
}

impl Entry {
    /// Creates an entry with only the required fields.
    pub fn new(
        user_id: &str,
        entry_id: String,
        amount: i64,
        kind: EntryKind,
        reason: &str,
        actor: &str,
        time: u64,
    ) -> Self {
        Self {
            user_id: user_id.to_owned(),
            entry_id,
            amount,
            kind,
            reason: reason.to_owned(),
            actor: actor.to_owned(),
            chat_id: None,
            units: None,
            receipt: None,
            usage: None,
            model: None,
            key_id: None,
            source: None,
            allowance: None,
            payment: None,
            time,
        }
    }

    /// Creates the entry for an account's first grant. The entry has the same id as the account.
    pub(crate) fn first_grant(account: &Account, amount: i64, reason: &str, actor: &str) -> Self {
        let Account { id, created, .. } = account;
        Self::new(id, id.clone(), amount, EntryKind::Grant, reason, actor, *created)
    }

    /// Creates the entry for a settled chat.
    pub(crate) fn of_chat(chat: &Chat) -> Self {
        Self::of_charge(chat.paid(), if chat.stopped { "stopped" } else { "chat" })
    }

    /// Creates the entry for embeddings. Earlier releases read it like the entry of a chat that was
    /// deleted.
    pub(crate) fn of_embeddings(paid: &Paid) -> Self {
        Self::of_charge(paid.clone(), EMBEDDINGS)
    }

    fn of_charge(paid: Paid, reason: &str) -> Self {
        let Paid { user_id: user, id, cost, units, usage, model, receipt, time, .. } = paid;
        Self {
            chat_id: Some(id.clone()),
            units,
            usage: usage.filter(|_| receipt.is_some()),
            model: receipt.is_some().then_some(model),
            receipt,
            ..Self::new(&user, id, -cost.signed(), EntryKind::Chat, reason, &user, time)
        }
    }

    /// Returns true if this entry charges for a chat. Its amount then counts as spent; the amounts
    /// of all other entries count as granted.
    pub fn charges(&self) -> bool {
        charges(&self.kind, &self.entry_id, self.chat_id.as_deref())
    }
}

/// Returns true if an entry charges for a chat. An entry of an unknown kind charges for a chat if
/// it has the same id as the chat. A refund's entry also contains the chat's id, but its own id is
/// different.
pub(crate) fn charges(kind: &EntryKind, entry_id: &str, chat_id: Option<&str>) -> bool {
    match kind {
        EntryKind::Chat => true,
        EntryKind::Other(_) => chat_id == Some(entry_id),
        EntryKind::Grant | EntryKind::Adjustment => false,
    }
}

/// The reason for an administrator's action, for human readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Parses a reason of 1 to 200 characters on one line.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if is_blank(text) {
            return Err("A reason must not be empty.".into());
        }
        if text.chars().count() > REASON_LENGTH {
            return Err(format!("A reason can have at most {REASON_LENGTH} characters.").into());
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

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_nonempty_line() {
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
            assert!(Reason::parse(bad).unwrap_err().sentence().contains(sentence), "{bad:?}");
        }
        assert_eq!(Reason::parse(&format!(" {} ", "é".repeat(200))), Ok(Reason("é".repeat(200))));
    }

    #[test]
    fn kinds_are_written_as_stored() {
        let other = EntryKind::Other("gift".into());
        for kind in [EntryKind::Grant, EntryKind::Chat, EntryKind::Adjustment, other] {
            let stored = serde_json::to_value(&kind).unwrap();
            assert_eq!(stored, kind.word());
            assert_eq!(serde_json::from_value::<EntryKind>(stored).unwrap(), kind);
        }
    }

    #[test]
    fn unknown_kinds_charge_only_their_own_message() {
        let charges = |kind, chat_id| charges(&kind, "e", chat_id);
        let other = || EntryKind::Other("voice".into());
        assert!(charges(other(), Some("e")) && charges(EntryKind::Chat, None));
        assert!(!charges(other(), None) && !charges(other(), Some("another")));
        assert!(!charges(EntryKind::Adjustment, Some("e")));
    }
}
