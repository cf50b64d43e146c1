//! Users: their names, e-mail addresses, profiles, instructions and accounts.

mod account;
mod email;
mod instructions;
mod name;
mod profile;
mod text;

pub use self::account::{Account, Reservation, Role};
pub(crate) use self::email::EMAIL_LENGTH;
pub use self::email::Email;
pub(crate) use self::instructions::INSTRUCTIONS_LENGTH;
pub use self::instructions::Instructions;
pub(crate) use self::name::NAME_LENGTH;
pub use self::name::Username;
pub use self::profile::{GivenName, ProfileChange};
pub(crate) use self::text::{is_blank, key, turns_text};

/// The key that finds the account of `login`, a username or an e-mail address. `None` if it can be
/// neither.
pub fn login_key(login: &str) -> Option<String> {
    let name = Username::parse(login).map(|name| name.key().to_owned());
    name.or_else(|_| Email::parse(login).map(|email| email.key().to_owned())).ok()
}
