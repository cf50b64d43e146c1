//! Accounts in administrators' lists.

use serde::Serialize;
use utoipa::ToSchema;

use crate::values::{Account, Role, Username};
use crate::{Credits, clock, store};

/// An account in an administrators' list.
// This type repeats six of `User`'s fields. It can't contain a `User`, because it is created from
// an index with fewer attributes than the account. A shared, flattened struct would change the
// order of `User`'s fields in replies.
#[derive(Serialize, ToSchema)]
pub struct ListedUser<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    id: &'a str,
    /// The username as its owner typed it.
    #[schema(value_type = Username)]
    username: &'a str,
    /// The e-mail address as its owner typed it.
    #[schema(required, examples("ann@example.com"))]
    email: Option<&'a str>,
    /// `user` or `admin`. Later releases may add roles; treat unknown roles as `user`.
    #[schema(examples("user"))]
    role: &'a str,
    /// True if the role is `admin`.
    is_staff: bool,
    /// True if the account is active. A deactivated account can't be used.
    active: bool,
    /// The time at which the account was created.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.921Z"))]
    date_joined: String,
    /// The balance. Present only with `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tokens: Option<Credits>,
    /// All tokens ever spent. Present only with `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    spent: Option<Credits>,
    /// The time at which the last message was sent, rounded down to the minute. Null if the user
    /// hasn't sent a message. Present only with `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, format = "date-time", examples("2026-11-20T07:17:00.000Z"))]
    last_message: Option<Option<String>>,
}

impl<'a> ListedUser<'a> {
    /// Creates the view of this listed account.
    pub fn of(listed: &'a store::ListedAccount) -> Self {
        Self {
            id: &listed.id,
            username: &listed.name,
            email: listed.email.as_deref(),
            role: listed.role.word(),
            is_staff: listed.role == Role::Admin,
            active: listed.active,
            date_joined: listed.joined(),
            tokens: None,
            spent: None,
            last_message: None,
        }
    }

    /// Returns the account's id.
    pub fn id(&self) -> &str {
        self.id
    }

    /// Adds the fields that only the account contains, at the time `now`, in seconds since 1970.
    #[must_use]
    pub fn detailed(self, account: &Account, now: u64) -> Self {
        Self {
            tokens: Some(account.balance(now)),
            spent: Some(account.spent),
            last_message: Some(account.last_message().map(clock::rfc3339)),
            ..self
        }
    }
}
