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
use shared::config::ClientStatuses;
use shared::error::TokenFault;
use shared::http::{self, Failures, Problem, StatusCode};
use shared::view::Balance;
use shared::{Error, Result};

/// The format for routes on which clients register or exchange credentials for tokens.
pub(crate) const SIMPLEJWT: &dyn Failures = &Simplejwt { is_guarded: false };

/// The format for routes that clients call with an access token.
pub(crate) const SIMPLEJWT_GUARDED: &dyn Failures = &Simplejwt { is_guarded: true };

struct Simplejwt {
    /// True if the routes require an access token.
    is_guarded: bool,
}

impl Failures for Simplejwt {
    fn name(&self) -> &'static str {
        if self.is_guarded { "SimplejwtGuarded" } else { "Simplejwt" }
    }

    fn document(
        &self,
        error: &Error,
        request_id: &str,
        statuses: ClientStatuses,
    ) -> Result<String> {
        let problem = Problem::of(error, self.status(error, statuses), request_id);
        if self.is_guarded { guarded(problem, error) } else { document(problem, error) }
    }

    fn status(&self, error: &Error, statuses: ClientStatuses) -> StatusCode {
        let other = match (self.is_guarded, error) {
            // Django refuses a taken name like any other invalid field.
            (false, Error::UsernameTaken | Error::EmailTaken) => 400,
            (false, Error::InvalidCredentials) => statuses.login,
            (true, Error::InsufficientTokens { .. }) => statuses.balance,
            _ => return error.status(),
        };
        StatusCode::from_u16(other).unwrap_or(error.status())
    }

    fn lists_fields(&self) -> bool {
        true
    }
}

/// The members that only some problem documents contain. Using one of these names for a list would
/// change the member's type.
const OF_SOME: [&str; 7] =
    ["errors", "tokens_left", "tokens_held", "cost", "prompt", "most", "max_cost"];

/// The djangorestframework-simplejwt code for [`TokenFault::Header`].
const BAD_HEADER: &str = "bad_authorization_header";

/// Renders a failure for a route on which clients register or exchange credentials for tokens.
fn document(mut problem: Problem<'_>, error: &Error) -> Result<String> {
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
    http::to_json(&document)
}

/// Renders a failure for a route that requires an access token in the `Authorization` header.
fn guarded(mut problem: Problem<'_>, error: &Error) -> Result<String> {
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
    http::to_json(&whole(&problem, error, members))
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

#[cfg(test)]
mod tests {
    use shared::Credits;
    use shared::error::FieldErrors;
    use shared::http::PROBLEMS;
    use utoipa::PartialSchema;

    use super::*;
    use crate::dialects::completions;

    const STATUSES: ClientStatuses = ClientStatuses { message: 201, balance: 403, login: 400 };

    fn read(format: &dyn Failures, error: &Error) -> Value {
        let document = format.document(error, "r", ClientStatuses::default());
        serde_json::from_str(&document.unwrap()).unwrap()
    }

    fn status(format: &'static dyn Failures, error: &Error, statuses: ClientStatuses) -> u16 {
        format.reply(error, "r", statuses).status().as_u16()
    }

    #[test]
    fn simplejwt_clients_get_its_code_and_invalid_fields() {
        let read = |error: &Error| read(SIMPLEJWT, error);
        let of = Error::InvalidToken;
        let invalid = read(&of(TokenFault::Unknown));
        for (fault, detail) in [
            (TokenFault::Unknown, "Token is invalid"),
            (TokenFault::Expired, "Token is expired"),
            (TokenFault::OtherType, "Token has wrong type"),
            (TokenFault::Ended, "Token is blacklisted"),
        ] {
            let refused = read(&of(fault));
            assert_eq!([&refused["code"], &refused["detail"]], ["token_not_valid", detail]);
        }
        let wrong = read(&Error::InvalidCredentials);
        assert_eq!(wrong["detail"], "No active account found with the given credentials");
        assert_eq!([&invalid["request_id"], &invalid["title"]], ["r", "Unauthorized"]);
        let missing = read(&Error::field("token", "This field is required."));
        assert_eq!(missing["token"], json!(["This field is required."]));
        assert_eq!(missing["errors"]["token"], missing["token"]);
        let ended = read(&Error::TokenBlacklisted);
        assert_eq!(ended["non_field_errors"], json!(["Token is blacklisted"]));
        for (error, expected) in [(of(TokenFault::Unknown), 401), (Error::TokenBlacklisted, 400)] {
            assert_eq!(status(SIMPLEJWT, &error, STATUSES), expected);
        }
    }

    #[test]
    fn django_clients_read_lists_that_replace_nothing() {
        let problem = serde_json::to_value(<Problem as PartialSchema>::schema()).unwrap();
        let members = problem["properties"].as_object().unwrap().keys().map(String::as_str);
        let mut fields = FieldErrors::default();
        for name in members.clone().chain(["message", "error", "messages"]) {
            fields.note(name, "This is wrong.");
        }
        let invalid = fields.into_error();
        for format in [SIMPLEJWT, SIMPLEJWT_GUARDED] {
            let document = read(format, &invalid);
            assert_eq!(document["message"], json!(["This is wrong."]));
            assert_eq!(document["error"], document["detail"]);
            for name in members.clone().filter(|name| *name != "errors") {
                assert!(!document[name].is_array(), "{name} of {document}");
            }
            assert_eq!([&document["title"], &document["code"]], ["Bad Request", "invalid_fields"]);
            assert_eq!(
                (&document["status"], &document["type"]),
                (&400.into(), &"about:blank".into())
            );
            assert_eq!(document["errors"]["title"], json!(["This is wrong."]));
        }
        let taken = read(SIMPLEJWT, &Error::UsernameTaken);
        assert_eq!(taken["username"], json!([taken["detail"]]));
        assert_eq!((&taken["status"], &taken["code"]), (&400.into(), &"username_taken".into()));
        let refused = read(SIMPLEJWT, &Error::InvalidCredentials);
        assert_eq!(refused["non_field_errors"], json!([refused["detail"]]));
    }

    #[test]
    fn client_statuses_change_only_what_the_setting_names() {
        let out = Error::InsufficientTokens {
            cost: Credits::new(100).unwrap(),
            balance: Credits::ZERO,
            held: Credits::ZERO,
            by_usage: None,
            next: None,
            advice: None,
        };
        for (format, error, usual, set) in [
            (SIMPLEJWT_GUARDED, &out, 402, 403),
            (PROBLEMS, &out, 402, 402),
            (completions::FAILURES, &out, 402, 402),
            (SIMPLEJWT, &Error::InvalidCredentials, 401, 400),
            (SIMPLEJWT, &Error::EmailTaken, 400, 400),
            (SIMPLEJWT_GUARDED, &Error::EmailTaken, 409, 409),
            (SIMPLEJWT_GUARDED, &Error::NotAuthenticated, 401, 401),
        ] {
            assert_eq!(status(format, error, ClientStatuses::default()), usual, "{error:?}");
            assert_eq!(status(format, error, STATUSES), set, "{error:?}");
        }
        let document = SIMPLEJWT_GUARDED.document(&out, "r", STATUSES).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!((&document["status"], &document["title"]), (&403.into(), &"Forbidden".into()));
    }

    #[test]
    fn simplejwt_clients_get_its_refusals_of_access_tokens() {
        let read = |error: &Error| read(SIMPLEJWT_GUARDED, error);
        let expired = read(&Error::InvalidToken(TokenFault::Expired));
        assert_eq!(expired["code"], "token_not_valid");
        assert_eq!(expired["detail"], "Given token not valid for any token type");
        let access = json!({ "token_class": "AccessToken", "token_type": "access", "message": "Token is expired" });
        assert_eq!(expired["messages"], json!([access]));
        let header = read(&Error::InvalidToken(TokenFault::Header));
        assert_eq!(header["code"], "bad_authorization_header");
        let two = "Authorization header must contain two space-delimited values";
        assert_eq!((&header["detail"], header.get("messages")), (&two.into(), None));
        let missing = read(&Error::NotAuthenticated);
        assert_eq!(missing["detail"], "Authentication credentials were not provided.");
    }
}
