//! The account fields that the owner can change: first and last name, e-mail address, and
//! instructions for the AI.

use crate::values::text::{is_blank, key, turns_text};
use crate::values::username::NAME_LENGTH;
use crate::values::{Account, Email, Instructions, Invalid};

/// A change that an account's owner makes. Fields that are `None` aren't changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The new first name.
    pub first_name: Option<GivenName>,
    /// The new last name.
    pub last_name: Option<GivenName>,
    /// The new e-mail address.
    pub email: Option<Email>,
    /// The new instructions for the AI.
    pub instructions: Option<Instructions>,
}

impl ProfileChange {
    /// Returns the new address if it differs from the account's address.
    pub fn address_for(&self, account: &Account) -> Option<&Email> {
        self.email
            .as_ref()
            .filter(|new| account.email.as_deref().map(key).as_deref() != Some(new.key()))
    }

    /// Returns the account after this change. If `pending` is true, a new address becomes the
    /// account's pending address; otherwise it replaces the account's address.
    pub(crate) fn applied_to(&self, account: &Account, pending: bool) -> Account {
        let mut after = account.clone();
        if let Some(GivenName(name)) = &self.first_name {
            after.first_name.clone_from(name);
        }
        if let Some(GivenName(name)) = &self.last_name {
            after.last_name.clone_from(name);
        }
        if let Some(instructions) = &self.instructions {
            after.instructions = instructions.mark();
        }
        let Some(email) = &self.email else { return after };
        let shown = Some(email.shown().to_owned());
        if pending {
            after.pending_email = shown;
        } else {
            after.email_verified &= self.address_for(account).is_none();
            after.email = shown;
            after.pending_email = None;
        }
        after
    }
}

/// A first or last name. It doesn't have to be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenName(Option<String>);

impl GivenName {
    /// Returns the name. `None` if the name is removed.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Parses a name of at most 150 characters. A string without visible characters removes the
    /// name. Control characters, and characters that change the text direction, are refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.chars().count() > NAME_LENGTH {
            return Err(format!("A name can have at most {NAME_LENGTH} characters.").into());
        }
        if text.chars().any(char::is_control) {
            return Err("A name must not have control characters.".into());
        }
        if text.chars().any(turns_text) {
            return Err("A name must not have characters that change the direction of text.".into());
        }
        Ok(Self(Some(text.to_owned()).filter(|text| !is_blank(text))))
    }
}
