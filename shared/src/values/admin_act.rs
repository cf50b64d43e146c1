//! Administrators' actions on accounts, other than balance adjustments.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::{EntryKind, Role};
use crate::Credits;

/// The stored kind of every action that affects an account.
pub(crate) const STANDING: &str = "standing";

/// The stored kind of a change to the price list. It is also stored in place of an account id,
/// because the change doesn't affect any account. The reason is the list's version, or empty if the
/// list was removed.
pub(crate) const PRICES: &str = "prices";

/// The stored kind of creating or voiding vouchers. It is also stored in place of an account id,
/// because the action doesn't affect any account. The reason contains the batch's name.
pub(crate) const VOUCHER_ACT: &str = "vouchers";

/// The stored kind of a change to the packs. It is also stored in place of an account id, because
/// the change doesn't affect any account. The reason is the packs' version, or empty if they were
/// removed.
pub(crate) const PACKS_ACT: &str = "packs";

/// The stored kind of a change to the brand. It is also stored in place of an account id, because the
/// change doesn't affect any account. The reason is the brand's version, or empty if it was removed.
pub(crate) const BRAND_ACT: &str = "brand";

/// The stored kind of the dismissal of a report about a shared chat. It affects the account that
/// shared the chat. If the chat was erased with this account, the kind is also stored in place of
/// an account id.
pub(crate) const REPORT_ACT: &str = "report_dismissal";

/// The stored kind of reading other users' messages. If the messages belong to more than one user, the
/// kind is also stored in place of an account id.
pub(crate) const READING_ACT: &str = "reading";

/// An administrator's action. Actions don't move credits, and statements don't list them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminAct {
    /// The id of the affected account.
    pub user_id: String,
    /// The action's id, a UUIDv7.
    #[serde(rename = "entry_id")]
    pub id: String,
    /// The stored kind: `standing`, [`PRICES`], [`VOUCHER_ACT`], [`PACKS_ACT`], [`BRAND_ACT`],
    /// [`REPORT_ACT`] or [`READING_ACT`]. Later releases may write other kinds.
    pub kind: String,
    /// The change to a role or state. For an intervention, this is the closest change that earlier
    /// releases can show instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// The intervention. `None` for a change to a role or state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervention: Option<Intervention>,
    /// The reason, for human readers.
    pub reason: String,
    /// The id of the administrator's account, or `manage` for the command line, with a colon and the
    /// caller if known.
    pub actor: String,
    /// The first credits of an account that an administrator created, for display only. A separate
    /// ledger entry grants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Credits>,
    /// The time in milliseconds since 1970.
    pub time: u64,
}

impl AdminAct {
    /// Returns the name that the administrators' pages show for this action.
    pub fn word(&self) -> &str {
        match (&self.intervention, &self.act) {
            _ if self.kind != STANDING && !self.is_like_entry() => &self.kind,
            (Some(intervention), _) => intervention.word(),
            (None, Some(act)) => act.word(),
            (None, None) => &self.kind,
        }
    }

    /// Returns true if the stored kind is that of a ledger entry, as in rows from early releases.
    fn is_like_entry(&self) -> bool {
        let known = [EntryKind::Grant, EntryKind::Chat, EntryKind::Adjustment];
        known.iter().any(|kind| kind.word() == self.kind)
    }

    /// Returns the role that the account received through this action. `None` if an ordinary user
    /// was created.
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
}

/// A change to an account's role or state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// The account was activated again.
    Activation,
    /// The account was deactivated.
    Deactivation,
    /// The account was given this role.
    Role(Role),
    /// A change that a later release has added.
    #[serde(untagged, deserialize_with = "word_of")]
    Other(String),
}

impl Act {
    /// Returns the names of all actions that can be shown: adjustments, changes to roles and
    /// states, interventions, changes to lists and vouchers, dismissals of reports, and readings of
    /// messages.
    pub fn words() -> impl Iterator<Item = String> {
        let changes = [Self::Activation, Self::Deactivation, Self::Role(Role::Admin)];
        let changes = changes.map(|change| change.word().to_owned());
        let interventions = Intervention::ALL.map(|what| what.word().to_owned());
        let adjustment = EntryKind::Adjustment.word();
        let others =
            [adjustment, PRICES, VOUCHER_ACT, PACKS_ACT, BRAND_ACT, REPORT_ACT, READING_ACT];
        let others = others.map(str::to_owned);
        others.into_iter().chain(changes).chain(interventions)
    }

    /// Returns the name that is shown for this change.
    pub fn word(&self) -> &str {
        match self {
            Self::Activation => "activation",
            Self::Deactivation => "deactivation",
            Self::Role(_) => "role",
            Self::Other(word) => word,
        }
    }
}

/// Reads the name of a stored action, which is either a string or the only key in a map that
/// contains the action's values.
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

/// An administrator's action other than a change to the account's role, state or balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intervention {
    /// The account was created.
    Creation,
    /// The account was created, and a link for setting its password was sent to its address.
    Invitation,
    /// All of the account's sessions were ended.
    Sessions,
    /// One of the account's API keys was revoked.
    ApiKey,
    /// All of the account's API keys were revoked.
    ApiKeys,
    /// A link for resetting the password was sent to the account's address.
    PasswordReset,
    /// The account was deleted.
    Deletion,
    /// The day's free work was reset, so that the account can send messages again.
    Unlock,
    /// One of the account's shared chats was ended.
    Share,
    /// The account's e-mail address was exported.
    Addresses,
    /// An intervention that a later release has added.
    #[serde(untagged, deserialize_with = "word_of")]
    Other(String),
}

impl Intervention {
    /// All interventions that this release can record.
    pub const ALL: [Self; 10] = [
        Self::Creation,
        Self::Invitation,
        Self::Sessions,
        Self::ApiKey,
        Self::ApiKeys,
        Self::PasswordReset,
        Self::Deletion,
        Self::Unlock,
        Self::Share,
        Self::Addresses,
    ];

    /// Returns the name, as it is stored and shown.
    pub fn word(&self) -> &str {
        match self {
            Self::Creation => "creation",
            Self::Invitation => "invitation",
            Self::Sessions => "sessions",
            Self::ApiKey => "api_key",
            Self::ApiKeys => "api_keys",
            Self::PasswordReset => "password_reset",
            Self::Deletion => "deletion",
            Self::Unlock => "unlock",
            Self::Share => "share",
            Self::Addresses => "addresses",
            Self::Other(word) => word,
        }
    }

    /// Returns true if this intervention created the account.
    pub(crate) fn creates(&self) -> bool {
        matches!(self, Self::Creation | Self::Invitation)
    }

    /// Returns the closest [`Act`] that earlier releases can show in the list of administrators'
    /// actions. `role` is the account's role.
    pub(crate) fn nearest(&self, role: &Role) -> Act {
        match self {
            Self::Sessions
            | Self::ApiKey
            | Self::ApiKeys
            | Self::PasswordReset
            | Self::Unlock
            | Self::Share
            | Self::Addresses
            | Self::Other(_) => Act::Role(role.clone()),
            Self::Creation | Self::Invitation if *role == Role::Admin => Act::Role(role.clone()),
            Self::Creation | Self::Invitation => Act::Activation,
            Self::Deletion => Act::Deactivation,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn interventions_are_written_as_stored() {
        for intervention in Intervention::ALL {
            assert_eq!(serde_json::to_value(&intervention).unwrap(), intervention.word());
        }
    }

    #[test]
    fn acts_of_later_releases_keep_their_words() {
        let stored = |kind: &str, act: Value| {
            let row = json!({
                "user_id": "u", "entry_id": "e", "amount": 0, "kind": kind, "reason": "a test",
                "actor": "manage", "act": act, "intervention": "quota", "time": 1, "later": [1],
            });
            serde_json::from_value::<AdminAct>(row).unwrap()
        };
        for (act, expected) in [
            (json!("freeze"), Act::Other("freeze".into())),
            (json!({ "limit": { "tokens": 5 } }), Act::Other("limit".into())),
            (json!({ "role": "support" }), Act::Role(Role::Other("support".into()))),
        ] {
            let read = stored("gift", act.clone());
            assert_eq!((read.word(), &read.act), ("gift", &Some(expected)), "{act}");
            assert_eq!(read.intervention, Some(Intervention::Other("quota".into())));
        }
        let intervention = stored(STANDING, json!("freeze"));
        assert_eq!((intervention.word(), intervention.role()), ("quota", None));
        let act = AdminAct { intervention: None, ..intervention };
        assert_eq!(act.word(), "freeze");
    }
}
