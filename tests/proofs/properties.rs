//! Properties that hold for every input, tested with many random inputs. A failing input is shrunk
//! and printed.

use functions::ROUTES;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use shared::Credits;
use shared::ai::{Prompt, instructions_bound, turn_bound};
use shared::http::{UnverifiedCursor, seal};
use shared::values::idempotency::{Key, Kind};
use shared::values::{CacheWrites, Chat, CountsAs, Email, Factor, Rates, Username, login_key};
use tokio::runtime::Runtime;

use crate::support::client::{Api, Person};

/// The server for one property, and a user with credits for many chats.
struct World {
    runtime: Runtime,
    ann: Person,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let ann = runtime
            .block_on(async { Api::own(&[("FIRST_GRANT", "1000000")]).await.person("ann").await });
        Self { runtime, ann }
    }

    /// Tests `holds` with `cases` random inputs.
    fn check<T: std::fmt::Debug>(
        &self,
        cases: u32,
        inputs: impl Strategy<Value = T>,
        holds: impl AsyncFn(&Person, T) -> TestCaseResult,
    ) {
        check(cases, inputs, |input| self.runtime.block_on(holds(&self.ann, input)));
    }
}

fn check<T: std::fmt::Debug>(
    cases: u32,
    inputs: impl Strategy<Value = T>,
    holds: impl Fn(T) -> TestCaseResult,
) {
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&inputs, holds).unwrap();
}

/// Generates arbitrary strings, often with parts that have a meaning in DynamoDB, JSON, SQL, HTML
/// or logs.
fn text() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        "#name",
        ":value",
        "size",
        "\"",
        "\\u0000",
        "' OR 1=1 --",
        "<script>",
        "\r\nlevel=ERROR",
        "${jndi:x}",
        "\u{202e}",
        "\u{feff}",
        "👩‍👩‍👧",
    ];
    vec(prop_oneof![any::<String>(), prop::sample::select(ODD).prop_map(str::to_owned)], 1..4)
        .prop_map(|parts| parts.concat())
}

/// Generates arbitrary JSON objects, often with fields that endpoints read.
fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|fields| fields.into_iter().collect())
        ]
    });
    const KNOWN: &[&str] = &[
        "username",
        "email",
        "password1",
        "password2",
        "message",
        "token",
        "refresh",
        "role",
        "tokens",
        "id",
        "name",
    ];
    let name = prop_oneof![prop::sample::select(KNOWN).prop_map(str::to_owned), text()];
    vec((name, value), 0..5)
        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
}

#[test]
fn key_forms_of_names_and_addresses_are_idempotent() {
    check(
        2000,
        prop_oneof![any::<String>(), string_regex("[\\pL\\pN@.+_-]{1,20}").unwrap()],
        |text| {
            if let Ok(name) = Username::parse(&text) {
                let key = name.key();
                let again = Username::parse(key).unwrap();
                prop_assert_eq!(again.key(), key);
                let found = login_key(&text);
                prop_assert_eq!(found.as_deref(), Some(key));
            }
            if let Ok(email) = Email::parse(&text) {
                let again = Email::parse(email.key()).unwrap();
                prop_assert_eq!(again.key(), email.key());
            }
            Ok(())
        },
    );
}

#[test]
fn sums_of_credits_are_exact_or_refused() {
    check(2000, (any::<u64>(), any::<u64>()), |(one, other)| {
        let (Some(one), Some(other)) =
            (Credits::new(one % 2_000_000_000_000), Credits::new(other % 2_000_000_000_000))
        else {
            return Ok(());
        };
        if let Some(sum) = one.checked_add(other) {
            prop_assert_eq!(sum.checked_sub(other), Some(one));
            prop_assert!(sum <= Credits::MAX);
        }
        prop_assert_eq!(one.checked_sub(other).is_some(), one >= other);
        Ok(())
    });
}

/// Generates rates and model token counts, most of them small.
fn usage() -> impl Strategy<Value = (Rates, [u64; 4])> {
    let number = || prop_oneof![4 => 0..5000_u64, 1 => any::<u64>()];
    let rates = (number(), number(), proptest::option::of(number()), number());
    let rates =
        rates.prop_map(|(input, cached, write, output)| Rates { input, cached, write, output });
    (rates, [number(), number(), number(), number()])
}

#[test]
fn no_usage_costs_more_than_its_bound() {
    check(2000, usage(), |(rates, [prompt, cached, written, output])| {
        let price = rates.price(prompt, cached, written, output);
        prop_assert!(price <= rates.bound(prompt, output, CacheWrites::Possible));
        let unwritten = rates.price(prompt, cached, 0, output);
        prop_assert!(unwritten <= rates.bound(prompt, output, CacheWrites::Excluded));
        if rates.write.is_none() {
            prop_assert_eq!(price, unwritten);
        }
        Ok(())
    });
}

#[test]
fn credits_buy_an_answer_that_they_cover() {
    check(2000, usage(), |(rates, [credits, prompt, is_possible, _])| {
        let credits = Credits::new(credits % 1_000_000).unwrap();
        let writes = match is_possible % 2 {
            0 => CacheWrites::Possible,
            _ => CacheWrites::Excluded,
        };
        if let Some(output) = rates.affords(credits, prompt, writes) {
            prop_assert!(rates.bound(prompt, output, writes) <= credits);
        }
        Ok(())
    });
}

#[test]
fn the_first_hold_covers_the_high_count_of_every_conversation() {
    let factor = || prop_oneof![Just(1.0), Just(1.35), Just(10.0)];
    let factor = || factor().prop_map(|number| Factor::parse(&json!(number)).unwrap());
    let counts_as = (factor(), factor()).prop_map(|(text, functions)| CountsAs { text, functions });
    let chats = vec((text(), text()), 0..4);
    let inputs = (text(), chats, vec(text(), 0..3), counts_as);
    check(1000, inputs, |(message, chats, instructions, counts_as)| {
        let counts = |prompt: &Prompt| prompt.tokens(None, 0, counts_as);
        let first = counts(&Prompt::after(Vec::new(), &message));
        let chat = |(message, response): &(String, String)| Chat {
            message: message.clone(),
            response: response.clone(),
            ..Chat::default()
        };
        let chats: Vec<Chat> = chats.iter().map(chat).collect();
        let of_chats: usize = chats.iter().map(Chat::bound).sum();
        let turns = 2 * u64::try_from(chats.len()).unwrap();
        let quoted: usize = instructions.iter().map(|text| instructions_bound(text) + 2).sum();
        // The sentence before the instructions.
        let unread = u64::try_from(of_chats + quoted).unwrap() + turns * (turn_bound() + 1) + 200;
        let earlier = chats.iter().flat_map(Chat::turns).collect();
        let prompt = counts(&Prompt { instructions, ..Prompt::after(earlier, &message) });
        prop_assert!(prompt.high <= prompt.bound, "{prompt:?}");
        prop_assert!(prompt.high <= first.high + unread, "{prompt:?} after {first:?}");
        Ok(())
    });
}

#[test]
fn different_idempotency_keys_have_different_ids() {
    let key = || string_regex("[ -~]{1,40}").unwrap();
    let kind = || prop::sample::select(vec![Kind::Chat, Kind::Adjustment, Kind::Registration]);
    check(1000, ((key(), kind(), key()), (key(), kind(), key())), |(one, other)| {
        let id = |(text, kind, owner): &(String, Kind, String)| {
            Key::parse(text).map(|key| key.id(*kind, owner))
        };
        prop_assert_eq!(id(&one) == id(&other), one == other);
        Ok(())
    });
}

#[test]
fn cursors_are_valid_only_unedited_and_in_their_scope() {
    let world = World::new();
    let account = world.runtime.block_on(world.ann.api.account(&world.ann));
    let position = string_regex("[!-~]{1,200}").unwrap();
    check(
        500,
        (position, text(), any::<prop::sample::Index>(), any::<u8>()),
        |(position, scope, at, byte)| {
            let cursor = seal(&account, &scope, &position);
            let parsed = UnverifiedCursor::parse(&cursor).unwrap();
            prop_assert!(parsed.prove(&account, &scope).is_ok());
            prop_assert_eq!(parsed.position(), &position);
            prop_assert!(parsed.prove(&account, &(scope.clone() + "x")).is_err());

            let mut edited = cursor.clone().into_bytes();
            let at = at.index(edited.len());
            edited[at] = byte;
            let edited = String::from_utf8_lossy(&edited).into_owned();
            if let Ok(parsed) = UnverifiedCursor::parse(&edited)
                && edited != cursor
            {
                prop_assert!(parsed.prove(&account, &scope).is_err(), "{} for {}", edited, cursor);
            }
            Ok(())
        },
    );
}

#[test]
fn any_message_is_answered_and_stored_unchanged() {
    World::new().check(60, text(), async |ann, text| {
        let answer = ann.chat(&text).await;
        if text.trim().is_empty() || text.contains('\0') || text.starts_with('!') {
            prop_assert!(answer.status != 500, "{:?}", answer);
            return Ok(());
        }
        prop_assert_eq!(answer.status.as_u16(), 200, "{:?}", answer);
        let newest = &ann.history("?limit=1").await.is(200)[0];
        prop_assert_eq!(newest["message"].as_str(), Some(text.as_str()));
        prop_assert_eq!(&newest["response"], &answer.body["response"]);
        Ok(())
    });
}

#[test]
fn no_body_breaks_an_endpoint() {
    let routes: Vec<_> =
        ROUTES.iter().filter(|route| !matches!(route.method, "GET" | "ANY")).collect();
    World::new().check(
        400,
        (prop::sample::select(routes), object(), any::<bool>()),
        async |ann, (route, body, signed)| {
            let bearer = ann.bearer();
            let headers = [("authorization", bearer.as_str())];
            let method = Method::from_bytes(route.method.as_bytes()).unwrap();
            let answer = ann
                .api
                .send(method, route.path, if signed { &headers } else { &[] }, Some(body))
                .await;
            // The scripted AI fails if the message tells it to.
            prop_assert!(
                !answer.status.is_server_error() || answer.body["code"] == "ai_failed",
                "{:?}",
                answer
            );
            Ok(())
        },
    );
}

#[test]
fn no_headers_or_queries_break_an_endpoint() {
    let routes: Vec<_> = ROUTES.iter().filter(|route| route.method == "GET").collect();
    const KNOWN: &[&str] = &[
        "authorization",
        "accept",
        "content-type",
        "idempotency-key",
        "origin",
        "user-agent",
        "x-forwarded-for",
        "cookie",
        "range",
        "if-none-match",
    ];
    let name = prop_oneof![
        prop::sample::select(KNOWN).prop_map(str::to_owned),
        string_regex("[a-z0-9!#$%&'*+.^_`|~-]{1,30}").unwrap()
    ];
    let value = vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8, Just(b'\t')], 0..60);
    let query = vec((text(), text()), 0..3);
    World::new().check(
        400,
        (prop::sample::select(routes), vec((name, value), 0..12), query),
        async |ann, (route, headers, query)| {
            let mut request =
                reqwest::Client::new().get(format!("{}{}", ann.api.url, route.path)).query(&query);
            for (name, value) in &headers {
                // Headers that frame the body never reach an endpoint.
                let framing = [
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "host",
                    "expect",
                    "te",
                    "upgrade",
                ]
                .contains(&name.as_str());
                if let (Ok(name), Ok(value), false) =
                    (HeaderName::try_from(name), HeaderValue::from_bytes(value), framing)
                {
                    request = request.header(name, value);
                }
            }
            let answer = request.send().await.unwrap();
            prop_assert!(
                !answer.status().is_server_error(),
                "{} to {}",
                answer.status(),
                route.path
            );
            prop_assert!(answer.headers().contains_key("x-content-type-options"));
            Ok(())
        },
    );
}
