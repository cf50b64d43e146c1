//! The query parameters for the list of users.

use serde_json::json;
use shared::clock::Day;
use shared::store::{Span, UserFilter, UserOrder, UserSource};
use shared::values::Role;
use shared::{Credits, Error, Request, Result, http, openapi};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, PartialSchema};

/// The query parameters that are copied into the link to the next page.
pub(super) const FILTERS: [&str; 10] = [
    "q",
    "match",
    "sort",
    "role",
    "active",
    "tokens_from",
    "tokens_to",
    "last_message_from",
    "last_message_to",
    "details",
];

/// The parts of a name or address that a search can match.
const MATCHES: [&str; 2] = ["beginning", ANYWHERE];
const ANYWHERE: &str = "anywhere";

/// The maximum length of a search string, in characters.
const SEARCH_LENGTH: usize = 254;

/// The users that a request selects, and how they are listed.
#[derive(Default, PartialEq)]
pub(super) struct UserQuery<'r> {
    /// The search string.
    pub(super) search: Option<&'r str>,
    /// Whether the search string may occur anywhere in a name or address.
    anywhere: bool,
    /// The order. `None` means newest first.
    order: Option<UserOrder>,
    /// The filter for users.
    pub(super) filter: UserFilter,
    /// Whether to show details that are only in the accounts' items.
    pub(super) details: bool,
}

impl<'r> UserQuery<'r> {
    pub(super) fn read(req: &'r Request) -> Result<Self> {
        let search = http::query(req, "q").map(str::trim).filter(|search| !search.is_empty());
        if search.is_some_and(|search| search.chars().count() > SEARCH_LENGTH) {
            let sentence = format!("A search can have at most {SEARCH_LENGTH} characters.");
            return Err(Error::field("q", sentence));
        }
        let anywhere = match http::query(req, "match") {
            None => false,
            Some(how) if MATCHES.contains(&how) => how == ANYWHERE,
            Some(_) => {
                let sentence = format!("This must be {}.", MATCHES.join(" or "));
                return Err(Error::field("match", sentence));
            }
        };
        let order = http::query(req, "sort").map(|word| {
            let words = || UserOrder::ALL.map(UserOrder::word).join(", ");
            let sentence = || format!("An order must be one of {}.", words());
            UserOrder::parse(word).ok_or_else(|| Error::field("sort", sentence()))
        });
        let order = order.transpose()?;
        if order.is_some() && search.is_some() {
            return Err(Error::field("sort", "Search results can't be sorted. Omit this field."));
        }
        let role = http::query(req, "role")
            .map(|role| Role::parse(role).map_err(|sentence| Error::field("role", sentence)));
        let filter = UserFilter {
            role: role.transpose()?,
            active: http::query_flag(req, "active")?,
            least_balance: credits(req, "tokens_from")?,
            most_balance: credits(req, "tokens_to")?,
            last_message: Span {
                first: http::query_day(req, "last_message_from")?,
                last: http::query_day(req, "last_message_to")?,
            },
        };
        let details = http::query_flag(req, "details")?.unwrap_or_default();
        Ok(Self { search, anywhere: anywhere && search.is_some(), order, filter, details })
    }

    /// Returns true if the query doesn't contain an order, a filter or `details`. Such a query
    /// lists all users, or the users whose name or address begins with the search string.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self { search: self.search, ..Self::default() }
    }

    /// Returns true if the index doesn't contain enough data for this query, in which case the
    /// accounts must be read.
    pub(super) fn asks_the_accounts(&self) -> bool {
        let chosen = self.search.is_some() || self.order.is_some();
        self.details || chosen || self.filter.asks_the_account()
    }

    /// Returns the set of accounts that the filter is applied to.
    pub(super) fn source(&self) -> UserSource {
        match (self.search, self.order) {
            (Some(search), _) if self.anywhere => UserSource::Containing(search.to_owned()),
            (Some(search), _) => UserSource::Beginning(search.to_owned()),
            (None, Some(order)) => UserSource::Ranked(order),
            (None, None) => UserSource::All,
        }
    }
}

/// Returns the scope of this list's cursors.
pub(super) fn scope(req: &Request) -> String {
    format!("admin/users?{}", json!(FILTERS.map(|name| http::query(req, name))))
}

/// Reads a number of tokens from the query.
fn credits(req: &Request, name: &str) -> Result<Option<u64>> {
    let amount = http::query(req, name).map(|text| {
        let amount = text.parse().ok().and_then(Credits::new).map(Credits::get);
        let sentence = || format!("An amount must be a whole number from 0 to {}.", Credits::MAX);
        amount.ok_or_else(|| Error::field(name, sentence()))
    });
    amount.transpose()
}

/// The query parameters that filter users.
#[derive(Debug)]
pub struct Filters;

impl IntoParams for Filters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
        let flag = || Object::builder().schema_type(Type::Boolean);
        let query = |name: &str, about: &str, schema| {
            openapi::parameter(name, ParameterIn::Query, about, schema)
        };
        vec![
            openapi::parameter(
                "q",
                ParameterIn::Query,
                "The beginning of names or addresses, in any case; with `match=anywhere` any part of them.",
                text,
            ),
            openapi::parameter(
                "match",
                ParameterIn::Query,
                "Where the text of `q` must be: at the beginning, which is the default, or anywhere.",
                Object::builder().schema_type(Type::String).enum_values(Some(MATCHES)),
            ),
            openapi::parameter(
                "sort",
                ParameterIn::Query,
                "The order, instead of newest first: a field, after a `-` if its largest value \
                 comes first. The first 1,000 users of each order are found once a day; their \
                 values are current. Not with `q`.",
                Object::builder()
                    .schema_type(Type::String)
                    .enum_values(Some(UserOrder::ALL.map(UserOrder::word))),
            ),
            query("role", "Only users with this role.", Role::schema()),
            openapi::parameter(
                "active",
                ParameterIn::Query,
                "Only active users, or only deactivated ones.",
                flag(),
            ),
            query("tokens_from", "Only users with at least this balance.", Credits::schema()),
            query("tokens_to", "Only users with at most this balance.", Credits::schema()),
            query(
                "last_message_from",
                "Only users whose last message was sent on this day in UTC, or later.",
                Day::schema(),
            ),
            query(
                "last_message_to",
                "Only users whose last message was sent on this day in UTC or earlier, or who never sent one.",
                Day::schema(),
            ),
            openapi::parameter(
                "details",
                ParameterIn::Query,
                "Whether each user is shown with `tokens`, `spent` and `last_message`.",
                flag(),
            ),
        ]
    }
}
