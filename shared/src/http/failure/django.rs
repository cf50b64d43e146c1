//! Problem documents for clients of Django systems. They contain the codes and sentences of
//! [djangorestframework-simplejwt](https://github.com/jazzband/djangorestframework-simplejwt), and
//! the members that Django REST framework's views write
//! ([exceptions](https://www.django-rest-framework.org/api-guide/exceptions/)).
//!
//! | member | meaning |
//! |---|---|
//! | `error` | the sentence, as in `detail` |
//! | `message` | the same sentence, if no field of the request has this name |
//! | a field's name | the sentences about this field. A list never replaces another member |
//! | `non_field_errors` | the reason for the refusal of credentials or of a refresh token |
//! | `messages` | the kinds of tokens that the route accepts |
//! | [`Balance`]'s names | the balance, if it doesn't cover a message |

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Problem;
use crate::Error;
use crate::error::TokenFault;
use crate::http::reply::to_json;
use crate::view::Balance;

/// The members that only some problem documents contain. Using one of these names for a list would
/// change the member's type.
const OF_SOME: [&str; 7] =
    ["errors", "tokens_left", "tokens_held", "cost", "prompt", "most", "max_cost"];

/// The djangorestframework-simplejwt code for [`TokenFault::Header`].
pub const BAD_HEADER: &str = "bad_authorization_header";

/// Renders a failure for a route on which clients register or exchange credentials for tokens.
pub(super) fn document(mut problem: Problem<'_>, error: &Error) -> crate::Result<String> {
    let mut members = Map::new();
    match error {
        Error::InvalidToken(fault) => {
            problem.code = "token_not_valid";
            problem.detail = sentence_of(*fault).into();
        }
        Error::InvalidCredentials => {
            problem.detail = "No active account found with the given credentials".into();
        }
        Error::TokenBlacklisted => {
            members.insert("non_field_errors".into(), json!(["Token is blacklisted"]));
        }
        _ => {}
    }
    let mut document = whole(&problem, error, members);
    document.entry("message").or_insert_with(|| json!(problem.detail));
    to_json(&document)
}

/// Renders a failure for a route that requires an access token in the `Authorization` header.
pub(super) fn guarded(mut problem: Problem<'_>, error: &Error) -> crate::Result<String> {
    let mut members = Map::new();
    match error {
        Error::NotAuthenticated => {
            problem.detail = "Authentication credentials were not provided.".into();
        }
        Error::InvalidToken(TokenFault::Header) => {
            problem.code = BAD_HEADER;
            problem.detail = "Authorization header must contain two space-delimited values".into();
        }
        Error::InvalidToken(fault) => {
            problem.code = "token_not_valid";
            problem.detail = "Given token not valid for any token type".into();
            let kind = ValidKind {
                token_class: "AccessToken",
                token_type: "access",
                message: sentence_of(*fault),
            };
            members.insert("messages".into(), json!([kind]));
        }
        Error::InsufficientTokens { balance, .. } => {
            let balance = json!(Balance::of(*balance));
            members.extend(balance.as_object().cloned().unwrap_or_default());
        }
        _ => {}
    }
    to_json(&whole(&problem, error, members))
}

#[derive(Serialize)]
struct ValidKind {
    token_class: &'static str,
    token_type: &'static str,
    message: &'static str,
}

/// Adds these members to the problem. Adds each invalid field's sentences under the field's name.
fn whole(problem: &Problem<'_>, error: &Error, members: Map<String, Value>) -> Map<String, Value> {
    let mut document = match json!(problem) {
        Value::Object(document) => document,
        // A struct always becomes an object.
        _ => Map::new(),
    };
    document.insert("error".into(), json!(problem.detail));
    document.extend(members);
    let lists = match error {
        Error::Invalid(fields) => json!(fields),
        Error::UsernameTaken => json!({ "username": [problem.detail] }),
        Error::EmailTaken => json!({ "email": [problem.detail] }),
        Error::InvalidCredentials => json!({ "non_field_errors": [problem.detail] }),
        _ => Value::Null,
    };
    if let Value::Object(lists) = lists {
        document.entry("errors").or_insert_with(|| json!(lists));
        for (field, sentences) in lists {
            if OF_SOME.contains(&field.as_str()) {
                continue;
            }
            document.entry(field).or_insert(sentences);
        }
    }
    document
}

/// Returns simplejwt's sentence for an invalid token
/// ([source](https://github.com/jazzband/djangorestframework-simplejwt/blob/master/rest_framework_simplejwt/tokens.py)).
fn sentence_of(fault: TokenFault) -> &'static str {
    match fault {
        TokenFault::Unknown | TokenFault::Header => "Token is invalid",
        TokenFault::Expired => "Token is expired",
        TokenFault::OtherType => "Token has wrong type",
        TokenFault::Ended => "Token is blacklisted",
    }
}
