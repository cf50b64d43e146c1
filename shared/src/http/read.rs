//! Reads parts of requests: the body, headers, the path and the IP address.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::ready;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::once;
use lambda_http::RequestExt;
use lambda_http::http::header::{self, HeaderName};
use lambda_http::request::RequestContext;
use multer::Multipart;
use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use uuid::Uuid;

use super::cookie::is_loopback;
use super::{HeaderValue, Request};
use crate::error::TokenFault;
use crate::values::Problem;
use crate::values::file::file_id as id_of_file;
use crate::values::idempotency::{Key, LENGTH};
use crate::values::text::without_byte_order_mark;
use crate::{Error, Result};

/// Requires a body with a JSON content type, or an empty body without a content type.
///
/// # Errors
/// Returns [`Error::UnsupportedMediaType`].
pub fn require_json(req: &Request) -> Result<()> {
    // Pages from other origins can send a body without a preflight if its content type is missing
    // or is one of a few simple ones.
    let is_json = |essence: String| {
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    };
    match media_type(req).map_or(req.body().is_empty(), is_json) {
        true => Ok(()),
        false => Err(Error::UnsupportedMediaType),
    }
}

/// Parses the body as JSON. A byte order mark is ignored. If a field's type is wrong, the error
/// contains the field's name.
pub fn json<T: DeserializeOwned>(req: &Request) -> Result<T> {
    require_json(req)?;
    let text = without_byte_order_mark(text_of(req)?);
    if !text.trim_start().starts_with('{') {
        return Err(Error::Malformed("The body is not a JSON object.".into()));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = typed(&mut json, "valid JSON")?;
    json.end().map_err(|_| Error::Malformed("The body must end after its JSON object.".into()))?;
    Ok(value)
}

/// Parses the body as JSON, or as one of the two kinds of forms with text fields. Forms from other
/// origins' pages were already refused at the edge.
pub fn fields<T: DeserializeOwned>(req: &Request) -> Result<T> {
    let fields = match media_type(req).as_deref() {
        Some(URL_ENCODED) => url_encoded(req)?,
        Some(MULTIPART) => multipart(req)?,
        _ => return json(req),
    };
    let fields = fields.into_iter().map(|(name, value)| (name, FormText(value)));
    typed(MapDeserializer::new(fields), "a valid form")
}

/// The text of a form field. For a whole number, the text consists of its digits.
struct FormText(String);

impl IntoDeserializer<'_, serde_json::Error> for FormText {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for FormText {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        visitor.visit_string(self.0)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        let is_number = self.0.bytes().all(|digit| digit.is_ascii_digit());
        match self.0.parse() {
            Ok(number) if is_number => visitor.visit_u64(number),
            _ => visitor.visit_string(self.0),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The media type of ordinary HTML forms
/// ([standard](https://url.spec.whatwg.org/#application/x-www-form-urlencoded)).
const URL_ENCODED: &str = "application/x-www-form-urlencoded";

/// The media type of multipart forms ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)).
const MULTIPART: &str = "multipart/form-data";

fn url_encoded(req: &Request) -> Result<Vec<(String, String)>> {
    let fields: Vec<_> = form_urlencoded::parse(text_of(req)?.as_bytes()).collect();
    // The parser replaces bytes that aren't UTF-8 with U+FFFD.
    if fields.iter().any(|(name, value)| [name, value].iter().any(|text| text.contains('\u{fffd}')))
    {
        return Err(Error::Malformed("The form is not UTF-8.".into()));
    }
    Ok(fields.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

fn multipart(req: &Request) -> Result<Vec<(String, String)>> {
    let broken = |why: &dyn Display| Error::Malformed(format!("The form can't be read: {why}."));
    let content_type = req.headers().get(header::CONTENT_TYPE).map(HeaderValue::to_str);
    let content_type = content_type.and_then(Result::ok).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|error| broken(&error))?;
    let body = Bytes::copy_from_slice(req.body());
    let mut form = Multipart::new(once(ready(Ok::<_, Infallible>(body))), boundary);
    let read = async move {
        let mut fields = Vec::new();
        while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.bytes().await.map_err(|error| broken(&error))?;
            let value = String::from_utf8(value.into())
                .map_err(|_| Error::Malformed("The form is not UTF-8.".into()))?;
            fields.push((name, value));
        }
        Ok(fields)
    };
    // The whole body has arrived, so the future is ready immediately.
    read.now_or_never().unwrap_or_else(|| Err(broken(&"it doesn't end")))
}

/// Deserializes a body. If a field's type is wrong, the error contains the field's name. If the
/// body isn't of its declared type, the error says why.
fn typed<'de, T, D>(body: D, declared: &str) -> Result<T>
where
    T: Deserialize<'de>,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(body).map_err(|error| {
        if !error.inner().is_data() {
            let sentence = error.inner();
            return Error::Malformed(format!("The body is not {declared}: {sentence}."));
        }
        match Problem::of_types(&error) {
            Problem { field, sentence } if field.is_empty() => Error::Malformed(sentence),
            Problem { field, sentence } => Error::field(field, sentence),
        }
    })
}

/// Returns true if the body is declared as a form. HTML forms and Python's requests library send
/// such bodies.
pub(crate) fn is_form(req: &Request) -> bool {
    media_type(req).is_some_and(|essence| [URL_ENCODED, MULTIPART].contains(&essence.as_str()))
}

/// Returns the body's media type in lower case, without parameters. Returns `None` if the header is
/// missing.
fn media_type(req: &Request) -> Option<String> {
    let value = req.headers().get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn text_of(req: &Request) -> Result<&str> {
    std::str::from_utf8(req.body()).map_err(|_| Error::Malformed("The body is not UTF-8.".into()))
}

/// Parses an optional body as JSON, like [`json`]. An empty body of any content type becomes `T`'s
/// default.
pub fn json_or_nothing<T: DeserializeOwned + Default>(req: &Request) -> Result<T> {
    if req.body().is_empty() { Ok(T::default()) } else { json(req) }
}

/// Returns the token in the `Authorization` header, or `None` if the header is missing. The scheme
/// must be `Bearer`, `Token` or `JWT`, in upper or lower case. Any other scheme, a header without a
/// token, or several headers that differ, are an error.
pub fn authorization(req: &Request) -> Result<Option<&str>> {
    let repeated = Error::InvalidToken(TokenFault::Header);
    let Some(value) = credential(req, &header::AUTHORIZATION, repeated)? else { return Ok(None) };
    let mut words = value.to_str().unwrap_or_default().split_ascii_whitespace();
    let scheme = words.next().unwrap_or_default();
    if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Error::InvalidToken(TokenFault::Unknown));
    }
    match (words.next(), words.next()) {
        (Some(token), None) => Ok(Some(token)),
        _ => Err(Error::InvalidToken(TokenFault::Header)),
    }
}

/// Like [`authorization`], but also accepts a header that contains only a JWT, without a scheme,
/// because some clients send it.
pub fn authorization_or_token(req: &Request) -> Result<Option<&str>> {
    let repeated = Error::InvalidToken(TokenFault::Header);
    let value = credential(req, &header::AUTHORIZATION, repeated)?;
    let value = value.and_then(|value| value.to_str().ok());
    match value.map(str::trim).filter(|value| is_jwt(value)) {
        Some(token) => Ok(Some(token)),
        None => authorization(req),
    }
}

/// Returns the API key in the header `x-api-key`. `None` if the header is missing or empty.
///
/// # Errors
/// Returns [`Error::InvalidToken`] if the header contains other characters than visible ASCII, and
/// [`Error::TwoCredentials`] if there are several headers that differ.
pub fn api_key(req: &Request) -> Result<Option<&str>> {
    let name = HeaderName::from_static("x-api-key");
    let Some(value) = credential(req, &name, Error::TwoCredentials)? else { return Ok(None) };
    let key = value.to_str().map_err(|_| Error::InvalidToken(TokenFault::Unknown))?.trim();
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// Returns the value of a header with a credential. If the header is repeated with different values,
/// it isn't clear who calls, so this function fails with `repeated`.
fn credential<'r>(
    req: &'r Request,
    name: &HeaderName,
    repeated: Error,
) -> Result<Option<&'r HeaderValue>> {
    let mut values = req.headers().get_all(name).iter();
    let first = values.next();
    if values.any(|value| Some(value) != first) { Err(repeated) } else { Ok(first) }
}

/// Returns true if the string has the form of a JWT: three parts, separated by dots ([RFC
/// 7515](https://www.rfc-editor.org/rfc/rfc7515#section-3.1)).
fn is_jwt(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// The accepted schemes. Clients of different APIs use different schemes, but all of them mean the
/// same thing.
const SCHEMES: [&str; 3] = ["bearer", "token", "jwt"];

/// Returns the idempotency key in the `Idempotency-Key` header, or `None` if the header is missing.
pub fn idempotency_key(req: &Request) -> Result<Option<Key>> {
    let Some(value) = req.headers().get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().and_then(Key::parse);
    key.map(Some).ok_or_else(|| {
        let sentence =
            format!("An Idempotency-Key must have 1 to {LENGTH} visible ASCII characters.");
        Error::Malformed(sentence)
    })
}

/// Returns when the gateway received the request, in milliseconds since 1970. Returns `now` if the
/// gateway doesn't report this time in milliseconds.
pub fn received_at(req: &Request, now: u64) -> u64 {
    let said = match req.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.request_time_epoch,
        Some(RequestContext::ApiGatewayV2(context)) => context.time_epoch,
        _ => 0,
    };
    u64::try_from(said).ok().filter(|said| said.abs_diff(now) < 24 * 3_600_000).unwrap_or(now)
}

/// Returns the client's `User-Agent` as one line of at most 200 characters, or `None` if the header
/// is missing or blank.
pub fn device(req: &Request) -> Option<String> {
    let header =
        req.headers().get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let text: String = String::from_utf8_lossy(header)
        .chars()
        .filter(|c| !c.is_control())
        .take(DEVICE_LENGTH)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The maximum length of a stored `User-Agent`, in characters.
const DEVICE_LENGTH: usize = 200;

/// Returns the path as the client sent it, but without the stage.
pub fn path(req: &Request) -> &str {
    req.raw_http_path()
}

/// Returns the stage name if the path consists only of it, such as `/live`. The gateway treats
/// `/live` like `/live/`, but browsers resolve relative links differently at these two paths.
pub fn bare_stage(req: &Request) -> Option<&str> {
    let Some(RequestContext::ApiGatewayV1(context)) = req.request_context_ref() else {
        return None;
    };
    let (stage, path) = (context.stage.as_deref()?, context.path.as_deref()?);
    (path.strip_prefix('/') == Some(stage)).then_some(stage)
}

/// Returns a path parameter as the client sent it, undecoded.
pub fn path_parameter<'r>(req: &'r Request, name: &str) -> &'r str {
    req.path_parameters_ref().and_then(|parameters| parameters.first(name)).unwrap_or_default()
}

/// Encodes a string for a URL.
pub fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Decodes a part of a URL's path. Gateways may or may not have decoded it.
pub fn unescaped(text: &str) -> String {
    // These characters have a meaning in forms only.
    let text = text.replace('&', "%26").replace('=', "%3D").replace('+', "%2B");
    form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name).collect()
}

/// Returns the `id` path parameter as a hyphenated lower-case UUID, or `None` if it isn't a UUID.
pub fn path_id(req: &Request) -> Option<String> {
    id(path_parameter(req, "id"))
}

/// Returns the `id` path parameter as the id of a file: the id of its message, and its position in
/// the message. `None` if it isn't one.
pub fn file_id(req: &Request) -> Option<String> {
    let (chat, number) = path_parameter(req, "id").split_once('.')?;
    let number = number.parse::<u8>().ok()?;
    Some(id_of_file(&id(chat)?, number.into()))
}

/// Converts a UUID in any notation to the hyphenated lower-case form. Returns `None` if the string
/// isn't a UUID.
pub fn id(text: &str) -> Option<String> {
    Uuid::try_parse(text).ok().map(|id| id.to_string())
}

/// Returns the prefix of this API's paths at the request's host. Under AWS's host name, the prefix
/// is the stage. Under a custom domain, it is empty.
pub fn base_path(req: &Request) -> &str {
    let whole = match req.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.path.as_deref(),
        _ => None,
    };
    whole.and_then(|whole| whole.strip_suffix(req.raw_http_path())).unwrap_or_default()
}

/// Returns the URL of this API's root, without a trailing slash. The host comes from the gateway,
/// so that a client can't choose it. For a loopback host, where TLS isn't used, the client's `Host`
/// header is used instead. Returns `None` if the host is unknown.
pub fn base_url(req: &Request) -> Option<String> {
    let base = base_path(req);
    if is_loopback(req) {
        let host = req.headers().get(header::HOST)?.to_str().ok()?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        return host.bytes().all(is_host).then(|| format!("http://{host}{base}"));
    }
    let domain = match req.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.domain_name.as_deref(),
        RequestContext::ApiGatewayV2(context) => context.domain_name.as_deref(),
        _ => None,
    }?;
    // SAM CLI reports the `Host` header, which includes the port.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    (!domain.is_empty() && domain.bytes().all(is_name)).then(|| format!("https://{domain}{base}"))
}

/// Returns the time until the invocation's deadline in the Lambda context. A deadline in the past
/// is ignored, because emulators report incorrect deadlines.
pub fn time_left(req: &Request, now_ms: u64) -> Duration {
    let deadline = req.lambda_context_ref().map_or(0, |context| context.deadline);
    deadline.checked_sub(now_ms).map_or(UNLIMITED, Duration::from_millis)
}

/// The time limit for an invocation without a deadline. API Gateway waits at most 29 seconds
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html)).
const UNLIMITED: Duration = Duration::from_secs(29);

/// Returns the id that users quote when they report this request, and that operators search for.
/// The id is API Gateway's `extendedRequestId`, which is also in the gateway's access log, its
/// failures and its `x-amz-apigw-id` header. `requestId` isn't used, because clients can set it
/// with a header. Emulators don't send an `extendedRequestId`, so Lambda's request id is returned
/// instead.
pub(crate) fn request_id(req: &Request) -> String {
    let gateways = match req.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            context.other.get("extendedRequestId").and_then(Value::as_str)
        }
        _ => None,
    };
    match gateways {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => function_request_id(req),
    }
}

/// Returns Lambda's id for this invocation. Lambda's own log lines also contain it.
pub(crate) fn function_request_id(req: &Request) -> String {
    req.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default()
}

/// Returns the name of the Lambda function.
pub(crate) fn function_name(req: &Request) -> String {
    let context = req.lambda_context_ref();
    context.map(|context| context.env_config.function_name.clone()).unwrap_or_default()
}

/// Returns the IP address that API Gateway saw. Headers such as `X-Forwarded-For` aren't read,
/// because clients can forge them.
fn source_address(req: &Request) -> String {
    match req.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
        _ => None,
    }
    .unwrap_or_default()
}

/// Returns the network from which the request was sent: an IPv4 address, or an IPv6 network with a
/// 64-bit prefix. A network of this size usually belongs to a single customer.
pub fn source_network(req: &Request) -> Option<String> {
    network(&source_address(req))
}

fn network(address: &str) -> Option<String> {
    match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Some(address.to_string()),
        IpAddr::V6(address) => {
            Some(format!("{}/64", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::StatusCode;

    fn with_body(content_type: &str, body: &str) -> Request {
        let mut request = Request::new(body.into());
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        request
    }

    #[derive(serde::Deserialize, Debug)]
    struct Body1 {
        #[allow(dead_code)]
        message: Option<String>,
    }

    #[test]
    fn names_in_paths_are_decoded() {
        for name in ["deep", "eu.nova-v1:0", "openai/deep", "a=b&c+d e", ""] {
            assert_eq!(unescaped(&escaped(name).replace('+', "%20")), name);
        }
        assert_eq!(unescaped("eu.nova-v1:0"), "eu.nova-v1:0");
        assert_eq!(unescaped("a=b&c+d"), "a=b&c+d");
    }

    #[test]
    fn fields_of_the_wrong_type_are_named() {
        let error = json::<Body1>(&with_body("application/json", r#"{"message": 5}"#)).unwrap_err();
        assert_eq!(error.code(), "invalid_fields");
        assert_eq!(error.detail(), "message: This must be a text, not the number 5.");
    }

    #[test]
    fn only_json_objects_are_read() {
        for body in ["", " ", "{", "[1]", "null", "\"x\"", "{} {}", r#"{"message": 1e400}"#] {
            let error = json::<Body1>(&with_body("application/json", body)).unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{body}");
        }
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "multipart/form-data",
        ] {
            assert_eq!(
                json::<Body1>(&with_body(content_type, "{}")).unwrap_err(),
                Error::UnsupportedMediaType
            );
        }
        for content_type in
            ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"]
        {
            json::<Body1>(&with_body(content_type, "{}")).unwrap();
        }
    }

    #[test]
    fn byte_order_marks_before_an_object_are_ignored() {
        let read = |body: &str| json::<Body1>(&with_body("application/json", body));
        assert_eq!(read("\u{feff}{\"message\": \"x\"}").unwrap().message.as_deref(), Some("x"));
        assert!(read("{\u{feff}}").is_err() && read("\u{feff}\u{feff}{}").is_err());
    }

    #[test]
    fn forms_are_utf8_without_duplicate_fields() {
        let form = "application/x-www-form-urlencoded";
        let read = |body: &str| fields::<Body1>(&with_body(form, body)).map(|body| body.message);
        for (body, message) in [
            ("", None),
            ("message=", Some("")),
            ("message=a+b%26%C3%A9&other=1&other2", Some("a b&\u{e9}")),
            ("Message=x", None),
        ] {
            assert_eq!(read(body).unwrap().as_deref(), message, "{body}");
        }
        for body in ["message=%FF", "message=a&message=a", "%FF=a"] {
            assert_eq!(read(body).unwrap_err().code(), "malformed_request", "{body}");
        }
        for content_type in ["APPLICATION/x-www-form-urlencoded; charset=utf-8", form] {
            fields::<Body1>(&with_body(content_type, "message=x")).unwrap();
        }
        fields::<Body1>(&with_body("application/json", "{}")).unwrap();
        let neither = fields::<Body1>(&with_body("text/plain", "message=x"));
        assert_eq!(neither.unwrap_err(), Error::UnsupportedMediaType);
    }

    #[test]
    fn forms_in_parts_are_utf8_without_duplicate_fields() {
        let read = |body: &str| {
            let request = with_body("multipart/form-data; boundary=\"--b 1\"", body);
            fields::<Body1>(&request).map(|body| body.message)
        };
        let part = |name: &str, value: &str| {
            format!("----b 1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let (message, other, end) =
            (part("message", "a b&\u{e9}\r\nc"), part("x", "1"), "----b 1--");
        for (body, expected) in [
            (format!("{message}{other}{end}"), Some("a b&\u{e9}\r\nc")),
            (format!("{other}{end}\r\n"), None),
            (end.to_owned(), None),
        ] {
            assert_eq!(read(&body).unwrap().as_deref(), expected, "{body:?}");
        }
        for body in [
            String::new(),
            message.clone(),
            format!("{message}{message}{end}"),
            message.replace("\r\n\r\n", "\r\n"),
            "----b 2--".to_owned(),
        ] {
            assert_eq!(read(&body).unwrap_err().code(), "malformed_request", "{body:?}");
        }
        let without = with_body("multipart/form-data", &format!("{message}{end}"));
        assert_eq!(fields::<Body1>(&without).unwrap_err().code(), "malformed_request");
    }

    #[test]
    fn a_jwt_may_have_no_scheme() {
        for (value, token) in [
            ("a-1.b_2.c", Ok(Some("a-1.b_2.c"))),
            (" a.b.c ", Ok(Some("a.b.c"))),
            ("Bearer x", Ok(Some("x"))),
            ("a.b", Err(Error::InvalidToken(TokenFault::Unknown))),
            ("a..c", Err(Error::InvalidToken(TokenFault::Unknown))),
            ("a.b.c.d", Err(Error::InvalidToken(TokenFault::Unknown))),
            ("a.b.c d", Err(Error::InvalidToken(TokenFault::Unknown))),
        ] {
            let mut request = Request::default();
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(authorization_or_token(&request), token, "{value}");
        }
    }

    #[test]
    fn the_scheme_is_bearer_token_or_jwt_in_any_case() {
        let mut request = Request::default();
        assert_eq!(authorization(&request), Ok(None));
        for (value, token) in [
            ("Bearer x", Ok(Some("x"))),
            ("tOKEN  x ", Ok(Some("x"))),
            ("jwt x", Ok(Some("x"))),
            ("JWTx x", Err(Error::InvalidToken(TokenFault::Unknown))),
            ("Basic x", Err(Error::InvalidToken(TokenFault::Unknown))),
            ("x", Err(Error::InvalidToken(TokenFault::Unknown))),
            ("", Err(Error::InvalidToken(TokenFault::Unknown))),
            ("Bearer", Err(Error::InvalidToken(TokenFault::Header))),
            ("Bearer x y", Err(Error::InvalidToken(TokenFault::Header))),
        ] {
            request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(authorization(&request), token, "{value}");
        }
    }

    #[test]
    fn devices_are_one_line_of_two_hundred_characters() {
        let mut request = Request::new(().into());
        assert_eq!(device(&request), None);
        for (header, shown) in [
            (&b""[..], None),
            (b" \t ", None),
            (b" curl/8.5.0 ", Some("curl/8.5.0")),
            (b"a\tb", Some("ab")),
            ("Gerät 1\u{85}".as_bytes(), Some("Gerät 1")),
            (b"\xff", Some("\u{fffd}")),
            (&[b'x'; 5000], Some("x".repeat(200).as_str())),
        ] {
            request
                .headers_mut()
                .insert(header::USER_AGENT, HeaderValue::from_bytes(header).unwrap());
            assert_eq!(device(&request).as_deref(), shown);
        }
    }

    #[test]
    fn plain_loopback_hosts_are_used_in_urls() {
        let mut request = Request::default();
        for (host, url) in [
            ("localhost:3000", Some("http://localhost:3000")),
            ("[::1]:3000", Some("http://[::1]:3000")),
            ("a.localhost", Some("http://a.localhost")),
            ("x>; rel=\"next\", <http://a.localhost", None),
            ("evil.test/.localhost", None),
            ("ann@a.localhost", None),
            ("evil.test", None),
            ("", None),
        ] {
            request.headers_mut().insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(base_url(&request).as_deref(), url, "{host}");
        }
    }

    #[test]
    fn api_keys_may_be_in_a_header_of_their_own() {
        let mut request = Request::default();
        assert_eq!(api_key(&request), Ok(None));
        for (value, key) in [
            (&b"sk-x"[..], Ok(Some("sk-x"))),
            (b" sk-x ", Ok(Some("sk-x"))),
            (b"", Ok(None)),
            (b"\xff", Err(Error::InvalidToken(TokenFault::Unknown))),
        ] {
            request.headers_mut().insert("x-api-key", HeaderValue::from_bytes(value).unwrap());
            assert_eq!(api_key(&request), key, "{value:?}");
        }
    }

    #[test]
    fn ipv6_networks_have_sixty_four_bits() {
        for (address, expected) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::1", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:3::1", Some("2001:db8:1:3::/64")),
            ("", None),
            ("test-invoke-source-ip", None),
        ] {
            assert_eq!(network(address).as_deref(), expected, "{address}");
        }
    }
}
