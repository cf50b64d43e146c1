//! The parts of the OpenAPI document that several endpoints share: strings with their limits, and
//! parameters. The limits are the same constants that the code enforces.
//!
//! Only the `openapi` function uses this module. The linker removes the module from all other
//! binaries.

use serde_json::{Value, json};
use std::borrow::Cow;

use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Required};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::clock::Day;
use crate::http::{LARGEST_PAGE, PAGE, SEARCH_LENGTH};
use crate::passwords::{self, NewPassword};
use crate::values::REASON_LENGTH;
use crate::values::api_key::{self, KeyName, Retries};
use crate::values::brand::{self, BrandAddress, BrandName, BrandUrl};
use crate::values::chat::TITLE_LENGTH;
use crate::values::{
    Act, EMAIL_LENGTH, Email, EntryKind, FOLDER_NAME_LENGTH, FolderName, GivenName, LimitPeriod,
    NAME_LENGTH, Reason, Role, Title, Username, idempotency,
};
use crate::{BalanceChange, Credits};

/// Unicode's white space, written for a regex character class, because regex engines disagree about
/// `\s`.
const BLANK: &str = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// Control characters, written for a regex character class.
const CONTROL: &str = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069";

/// Implements the schema of a type that is a string with limits.
macro_rules! text {
    ($type:ty, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let schema: ObjectBuilder = $schema;
                schema.schema_type(Type::String).into()
            }
        }

        impl ToSchema for $type {}
    };
}

mod prompts;

pub use prompts::AfterOrNone;

fn text(about: &str, example: &str) -> ObjectBuilder {
    Object::builder().description(Some(about)).examples([example])
}

/// Describes one line of `least` to `most` characters. White space around the line isn't counted,
/// so the pattern, and not `maxLength`, limits the line's length. A pattern can't express which
/// characters are visible.
fn line(about: &str, example: &str, least: usize, most: usize) -> ObjectBuilder {
    let inner = most - 2;
    let line = format!("[^{CONTROL}{BLANK}]([^{CONTROL}]{{0,{inner}}}[^{CONTROL}{BLANK}])?");
    let line = if least == 0 { format!("({line})?") } else { line };
    let visible = if least == 0 { "" } else { " At least one of them is visible." };
    text(
        &format!(
            "{about} {least} to {most} characters on one line; white space around them doesn't count.{visible}"
        ),
        example,
    )
    .min_length(Some(least))
    .pattern(Some(format!("^[{BLANK}]*{line}[{BLANK}]*$")))
}

text!(Username, {
    let about = "Letters and digits of any script, with their accents, and `@ . + - _`. Names that \
        differ only in case or in their Unicode form are the same name.";
    // The pattern is exact for ASCII and allows all other characters, because not all regex engines
    // support Unicode classes.
    let pattern = r"^[^\x00-\x2a,/\x3a-\x3f\x5b-\x5e\x60\x7b-\xa9]+$";
    text(about, "ann").min_length(Some(1)).max_length(Some(NAME_LENGTH)).pattern(Some(pattern))
});

text!(Email, {
    let pattern = format!("^[{BLANK}]*{}[{BLANK}]*$", address());
    text("An e-mail address. Case makes no difference.", "ann@example.com")
        .max_length(Some(EMAIL_LENGTH))
        .pattern(Some(pattern))
});

/// An e-mail address or an empty string.
#[derive(Debug)]
pub struct EmailOrNone;

text!(EmailOrNone, {
    let pattern = format!("^[{BLANK}]*({})?[{BLANK}]*$", address());
    text(
        "An e-mail address. Case makes no difference. White space counts as no address.",
        "ann@example.com",
    )
    .max_length(Some(EMAIL_LENGTH))
    .pattern(Some(pattern))
});

fn address() -> String {
    let plain = format!(r#"{BLANK}{CONTROL}<>()\[\],;:\\""#);
    // The pattern is exact for ASCII and allows all other characters.
    let apart = r"\x00-,./\x3a-@\x5b-`\x7b-\x9f\xa0";
    let label = format!("[^{BLANK}{apart}-]([^{BLANK}{apart}]*[^{BLANK}{apart}-])?");
    format!(r"[^{plain}@]+@{label}(\.{label})+")
}

text!(NewPassword, {
    let about = format!(
        "At least {} characters and at most {} bytes. Not one of the most common passwords, the \
         username or the e-mail address. There are no composition rules.",
        passwords::LEAST_CHARS,
        passwords::MOST_BYTES
    );
    let format = SchemaFormat::Custom("password".into());
    text(&about, "secret123")
        .min_length(Some(passwords::LEAST_CHARS))
        .max_length(Some(passwords::MOST_BYTES))
        .format(Some(format))
});

text!(GivenName, line("A first or last name; empty if it is missing.", "Ann", 0, NAME_LENGTH));

text!(FolderName, line("The name of a folder.", "Travel", 1, FOLDER_NAME_LENGTH));

text!(Title, line("The title of a conversation.", "Fares", 1, TITLE_LENGTH));

text!(
    KeyName,
    line(
        "The owner's name for an API key, such as the program that uses it.",
        "build server",
        1,
        api_key::NAME_LENGTH
    )
);

text!(LimitPeriod, {
    let about = "The period of a limit: each `month` in UTC, or `total` for the key's whole life.";
    let words = [LimitPeriod::Month, LimitPeriod::Total].map(|period| period.word().to_owned());
    Object::builder().description(Some(about)).enum_values(Some(words))
});

text!(Retries, {
    let about = "`equal_bodies`: a request with an equal body within a minute is a retry.";
    let words = [Retries::EqualBodies].map(|retries| retries.word().to_owned());
    Object::builder().description(Some(about)).enum_values(Some(words))
});

text!(BrandName, line("The name of a brand.", "Acme Chat", 1, brand::NAME));

text!(BrandAddress, {
    let about = "Lines without control characters.";
    text(about, "Acme Ltd\n1 Main Street\nSpringfield")
        .max_length(Some(brand::ADDRESS))
        .pattern(Some(format!("^([\\t\\n\\r]|[^{CONTROL}])*$")))
});

text!(BrandUrl, {
    text("A URL that begins with `https://`, or an empty text.", "https://www.example.com/terms")
        .max_length(Some(brand::URL))
        .pattern(Some(r"^(https://[0-9A-Za-z\[][!#-;=?-\[\]-_a-~]*)?$"))
});

text!(Reason, line("The reason.", "a mistake", 1, REASON_LENGTH));

/// A reason or an empty string.
#[derive(Debug)]
pub struct ReasonOrNone;

text!(ReasonOrNone, line("The reason.", "spam", 0, REASON_LENGTH));

text!(Day, day());

fn day() -> ObjectBuilder {
    text("A day in UTC.", "2026-11-20").format(Some(SchemaFormat::Custom("date".into())))
}

// An administrator can give these roles to an account.
text!(Role, {
    let roles = [Role::User, Role::Admin].map(|role| role.word().to_owned());
    Object::builder().description(Some("The role of an account.")).enum_values(Some(roles))
});

// Statements don't contain actions that leave the balance unchanged. The schema doesn't contain an
// `enum`, because replies may contain kinds from later releases that write to the same store.
text!(EntryKind, {
    let kinds = [EntryKind::Grant, EntryKind::Chat, EntryKind::Adjustment];
    let kinds = kinds.map(|kind| format!("`{}`", kind.word())).join(", ");
    let about = format!(
        "The cause of a balance change: {kinds}. Later releases may add kinds. Accept unknown kinds, and count their amounts."
    );
    text(&about, EntryKind::Chat.word())
});

text!(
    Act,
    text("An administrator's action.", EntryKind::Adjustment.word())
        .enum_values(Some(Act::words()))
);

impl PartialSchema for Credits {
    fn schema() -> RefOr<Schema> {
        amount("An amount of tokens.", 0, 3900).into()
    }
}

/// The API calls credits tokens.
impl ToSchema for Credits {
    fn name() -> Cow<'static, str> {
        "Tokens".into()
    }
}

// The schema allows zero, but the endpoint that changes a balance refuses it.
impl PartialSchema for BalanceChange {
    fn schema() -> RefOr<Schema> {
        amount(
            "How many tokens are added, or taken if negative. Not zero.",
            -Credits::MAX.signed(),
            -50,
        )
        .into()
    }
}

impl ToSchema for BalanceChange {}

fn amount(about: &str, least: i64, example: i64) -> ObjectBuilder {
    let whole =
        |number: i64| Some(utoipa::Number::Int(isize::try_from(number).unwrap_or_default()));
    let amount = Object::builder()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::Custom("int64".into())));
    amount
        .description(Some(about))
        .minimum(whole(least))
        .maximum(whole(Credits::MAX.signed()))
        .examples([example])
}

/// A UUID or an empty string.
#[derive(Debug)]
pub struct IdOrNone;

text!(IdOrNone, {
    let pattern = "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$";
    text("A UUID. An empty text counts as no id.", "01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342")
        .pattern(Some(pattern))
});

/// A string that must not be empty. It has no other limits, because the endpoint only compares it
/// with stored values.
#[derive(Debug)]
pub struct Given;

text!(Given, Object::builder().min_length(Some(1)));

/// The query parameters for lists that are read page by page.
#[derive(Debug)]
pub struct PageQuery;

impl IntoParams for PageQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        page_parameters(limit().default(Some(PAGE.into())))
    }
}

/// The query parameters for the history. Its `limit` has a default only in searches.
#[derive(Debug)]
pub struct HistoryPage;

impl IntoParams for HistoryPage {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        page_parameters(limit())
    }
}

fn limit() -> ObjectBuilder {
    Object::builder().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(LARGEST_PAGE))
}

fn page_parameters(limit: ObjectBuilder) -> Vec<Parameter> {
    let cursor = Object::builder().schema_type(Type::String);
    vec![
        parameter("limit", ParameterIn::Query, "The maximum number of items per page.", limit),
        parameter(
            "cursor",
            ParameterIn::Query,
            "Where the page begins: from the `Link` header of the previous page.",
            cursor,
        ),
    ]
}

/// The idempotency key of an earlier request.
#[derive(Debug)]
pub struct SentKey;

text!(SentKey, key(text("The `Idempotency-Key` that the message was sent with.", "a-key-7")));

fn key(text: ObjectBuilder) -> ObjectBuilder {
    text.min_length(Some(1)).max_length(Some(idempotency::LENGTH)).pattern(Some("^[ -~]*$"))
}

/// The `Idempotency-Key` header.
#[derive(Debug)]
pub struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = key(Object::builder()).schema_type(Type::String);
        let about = "A key of your choice for this request, such as a UUID, remembered for a day. \
            A request that is repeated with the same key happens once; the reply to the repetition \
            has the header `Idempotent-Replayed`.";
        vec![parameter(
            "Idempotency-Key",
            ParameterIn::Header,
            about,
            key.examples(["0f1c6b0e-3f52-4c8e-9d0a-6a9f0d0c4f11"]),
        )]
    }
}

/// The `x-stainless-retry-count` header.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RetryCount {
    /// How often this request was sent before, as the SDKs of OpenAI and Anthropic count. A retry
    /// is not charged again. Values that aren't numbers are ignored.
    #[param(rename = "x-stainless-retry-count", example = "0")]
    pub count: Option<String>,
}

/// The `X-Refresh-Token` and `X-Page-Key` headers, which pages in browsers send.
#[derive(Debug)]
pub struct KeptInCookie;

impl IntoParams for KeptInCookie {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let kept = Object::builder().schema_type(Type::String).examples(["cookie"]);
        let about = "`cookie` is for pages served from this origin: the browser gets the refresh \
            token in a cookie that no script can read, and the reply has neither `refresh` nor \
            `token`. Other values are ignored.";
        let key = Object::builder()
            .schema_type(Type::String)
            .examples(["0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"]);
        let about_key = "With `X-Refresh-Token: cookie`: a random value of 32 to 128 letters, \
            digits, `-` and `_` that the page keeps in its storage. The tokens in cookies are \
            invalid without it.";
        vec![
            parameter("X-Refresh-Token", ParameterIn::Header, about, kept),
            parameter("X-Page-Key", ParameterIn::Header, about_key, key),
        ]
    }
}

/// The `X-Device-Token` header, for clients that store the device token themselves.
#[derive(Debug)]
pub struct DeviceToken;

impl IntoParams for DeviceToken {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let token = Object::builder().schema_type(Type::String).examples(["eyJ0eXAiOi..."]);
        let about = "The value of this header in the reply to an earlier log-in. Failed log-ins of \
            this client are then counted apart, so that others can't lock it out by guessing \
            passwords. With `X-Refresh-Token: cookie` it is in a cookie instead. Invalid values \
            are ignored.";
        vec![parameter("X-Device-Token", ParameterIn::Header, about, token)]
    }
}

/// The query parameters for a range of days.
#[derive(Debug)]
pub struct Days;

impl IntoParams for Days {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let day = || day().schema_type(Type::String);
        vec![
            parameter("from", ParameterIn::Query, "The first day.", day()),
            parameter("to", ParameterIn::Query, "The last day, included. By default today.", day()),
        ]
    }
}

/// Describes the `model` query parameter of a list of messages.
pub fn of_model() -> Parameter {
    filter_by_model("Only messages that this model answered.")
}

/// Describes the `model` query parameter of a list.
fn filter_by_model(about: &str) -> Parameter {
    let name = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
    parameter("model", ParameterIn::Query, about, name)
}

/// The `model` and `key` query parameters of a statement.
#[derive(Debug)]
pub struct ModelAndKey;

impl IntoParams for ModelAndKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about_model =
            "Only rows for which this model was paid. Without a price list, rows have no model.";
        let about_key = "Only rows of messages that the API key with this id sent, even if the key was revoked.";
        vec![filter_by_model(about_model), parameter("key", ParameterIn::Query, about_key, id())]
    }
}

/// The `{id}` path parameter.
#[derive(Debug)]
pub struct PathId;

impl IntoParams for PathId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![of_path(
            "id",
            "The id, as lists show it.",
            id().examples(["01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"]),
        )]
    }
}

/// The `{id}` path parameter of a file.
#[derive(Debug)]
pub struct FileId;

impl IntoParams for FileId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![of_path(
            "id",
            "The file's id, as its message lists it.",
            Object::builder()
                .schema_type(Type::String)
                .examples(["01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342.0"]),
        )]
    }
}

/// Describes a UUID.
pub fn id() -> ObjectBuilder {
    Object::builder().schema_type(Type::String).format(Some(SchemaFormat::Custom("uuid".into())))
}

/// Describes a path parameter.
pub fn of_path(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    let mut parameter = parameter(name, ParameterIn::Path, about, schema);
    parameter.required = Required::True;
    parameter
}

/// Describes an optional parameter.
pub fn parameter(
    name: &str,
    place: ParameterIn,
    about: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

/// Describes an event in a stream: its name, if any, and its data. The data is JSON that conforms
/// to one of these schemas, or the string `or`.
pub fn event(name: Option<&str>, schemas: &[&str], or: Option<&str>) -> Object {
    let schemas: Vec<Value> = schemas
        .iter()
        .map(|schema| json!({ "$ref": format!("#/components/schemas/{schema}") }))
        .collect();
    let schema = match schemas.as_slice() {
        [one] => one.clone(),
        _ => json!({ "anyOf": schemas }),
    };
    let json = json!({ "contentMediaType": "application/json", "contentSchema": schema });
    let data = match or {
        Some(or) => json!({ "anyOf": [json, { "const": or }] }),
        None => json,
    };
    let data: Extensions = data.as_object().cloned().into_iter().flatten().collect();
    let data = Object::builder().schema_type(Type::String).extensions(Some(data));
    let event = Object::builder().schema_type(Type::Object).property("data", data).required("data");
    match name {
        Some(name) => event
            .property(
                "event",
                Object::builder().schema_type(Type::String).enum_values(Some([name])),
            )
            .required("event")
            .build(),
        None => event.build(),
    }
}
