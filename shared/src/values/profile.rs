//! What the owner of an account can change of it: names, the e-mail address, and instructions for the
//! AI.

use crate::values::text::{key, turns_text};
use crate::values::username::NAME_LENGTH;
use crate::values::{Account, Email, Instructions, Invalid};

/// A change by the owner of an account. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The first name.
    pub first_name: Option<GivenName>,
    /// The last name.
    pub last_name: Option<GivenName>,
    /// The address.
    pub email: Option<Email>,
    /// The instructions for the AI.
    pub instructions: Option<Instructions>,
}

impl ProfileChange {
    /// The new address, if it differs from the account's.
    pub fn address_for(&self, account: &Account) -> Option<&Email> {
        self.email
            .as_ref()
            .filter(|new| account.email.as_deref().map(key).as_deref() != Some(new.key()))
    }

    /// The account after this change. A new address stays `pending`, or becomes the account's own.
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

/// A first or last name, which need not be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenName(Option<String>);

impl GivenName {
    /// At most 150 characters, without control characters and those that change the direction of
    /// text. An empty text is no name.
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
        Ok(Self(Some(text.to_owned()).filter(|text| !text.is_empty())))
    }
}
