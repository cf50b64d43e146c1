//! What administrators do to accounts, beside adjusting balances.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::{EntryKind, Role};
use crate::Credits;

/// The stored kind of every act of this release.
pub(crate) const STANDING: &str = "standing";

/// An administrator's act. It moves no credits, and is in no statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminAct {
    /// The affected account's id.
    pub user_id: String,
    /// A UUIDv7.
    #[serde(rename = "entry_id")]
    pub id: String,
    /// `standing`; later releases may have others.
    pub kind: String,
    /// The change of a role or state; for an intervention the closest one, which earlier releases
    /// show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// The intervention, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervention: Option<Intervention>,
    /// The reason, for people.
    pub reason: String,
    /// The id of the administrator's account, or `manage` for the command line.
    pub actor: String,
    /// The first credits of an account that an administrator created. The account's own ledger has
    /// the row that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Credits>,
    /// The time in milliseconds since 1970.
    pub time: u64,
}

impl AdminAct {
    /// The displayed word.
    pub fn word(&self) -> &str {
        match (&self.intervention, &self.act) {
            _ if self.is_of_later_release() => &self.kind,
            (Some(intervention), _) => intervention.word(),
            (None, Some(act)) => act.word(),
            (None, None) => &self.kind,
        }
    }

    /// Whether its kind is one that only later releases know.
    fn is_of_later_release(&self) -> bool {
        let known = [EntryKind::Grant, EntryKind::Chat, EntryKind::Adjustment];
        self.kind != STANDING && known.iter().all(|kind| kind.word() != self.kind)
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
    pub(crate) fn creates(&self) -> bool {
        matches!(self, Self::Creation | Self::Invitation)
    }

    /// The nearest act that a release knows which knows no interventions: it shows that one in the
    /// trail. `role` is the account's.
    pub(crate) fn nearest(&self, role: &Role) -> Act {
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
