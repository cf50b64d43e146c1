//! Reads a price list from JSON. Each reported problem names the field.

use std::collections::HashSet;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::{LATER_PROVIDER, Model, PriceList, Problem, ProviderCost, Via};
use crate::Credits;
use crate::values::text::{is_blank, lines, turns_text};
use crate::values::{Fare, Money, Rates};

/// The maximum number of models in a list.
const MODELS: usize = 50;

/// The maximum number of providers for a model.
const VIA: usize = 5;

/// The maximum length of a name, in characters.
const NAME: usize = 64;

/// The maximum length of a provider's name for a model, in characters. The ARN of a Bedrock
/// inference profile is over 100 characters long.
const PROVIDER_MODEL: usize = 256;

/// The maximum length of the line that describes a model, in characters.
const ABOUT: usize = 200;

/// The maximum length of a system prompt, in bytes.
const SYSTEM_PROMPT: usize = 8192;

/// The maximum length of a list as JSON, in bytes. The length is limited because DynamoDB items
/// can't exceed 400 KB. Only system prompts can make a list this long.
const LIST: usize = 262_144;

/// The maximum price of a message. For a long prompt, the price is charged up to 4,096 times, and
/// the product must be below [`Credits::MAX`].
const PRICE: u64 = 200_000_000;

/// The maximum rate. At this rate, the highest price of the longest prompt is below
/// [`Credits::MAX`].
const RATE: u64 = 10_000_000_000;

/// The maximum number of model tokens in an answer, which is the same as for the `AI_MAX_TOKENS`
/// setting.
const MOST: u64 = 65_536;

/// The maximum number of model tokens in a picture.
const PICTURE: u64 = 1_000_000;

/// The providers that this release sets, by their names in `AI_PROVIDER`.
const PROVIDERS: [&str; 4] = ["openai", "openai2", "bedrock", "echo"];

/// The provider for tests, which error messages don't mention.
const SCRIPTED: &str = "scripted";

impl PriceList {
    /// Reads a list, and reports every problem.
    pub fn read(list: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let read = problems.list(list);
        match read {
            Some(read) if problems.0.is_empty() => Ok(read),
            _ => Err(problems.0),
        }
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn note(&mut self, field: &str, sentence: impl Into<String>) {
        self.0.push(Problem { field: field.to_owned(), sentence: sentence.into() });
    }

    fn list(&mut self, list: &Value) -> Option<PriceList> {
        let known = ["currency", "million_tokens", "system", "models"];
        let fields = self.object(list, "", &known)?;
        let currency = fields.get("currency").and_then(|value| self.currency(value));
        let million_tokens =
            fields.get("million_tokens").and_then(|value| self.money(value, "million_tokens"));
        let system = fields.get("system").and_then(|value| self.system_prompt(value, "system"));
        let models = match fields.get("models").and_then(Value::as_array) {
            Some(models) if (1..=MODELS).contains(&models.len()) => models,
            _ => {
                self.note("models", format!("This must be a list of 1 to {MODELS} models."));
                return None;
            }
        };
        let models: Vec<Model> = (0..)
            .zip(models)
            .filter_map(|(index, model): (usize, _)| self.model(model, &format!("models[{index}]")))
            .collect();
        let mut names = HashSet::new();
        for (index, model) in models.iter().enumerate() {
            if !names.insert(model.name.as_str()) {
                let field = format!("models[{index}].name");
                self.note(&field, "Another model in the list has this name.");
            }
        }
        let has_money = million_tokens.is_some() || models.iter().any(|model| model.cost.is_some());
        if has_money && !fields.contains_key("currency") {
            self.note("currency", "A list with money needs its currency, such as USD.");
        }
        let list = PriceList { currency, million_tokens, system, models };
        let bytes = list.canonical().len();
        if bytes > LIST {
            let (bytes, most) = (Grouped(bytes), Grouped(LIST));
            self.note(
                "",
                format!("As JSON, a list has at most {most} bytes, and this one {bytes}."),
            );
        }
        Some(list)
    }

    fn model(&mut self, model: &Value, at: &str) -> Option<Model> {
        let known =
            ["name", "via", "fare", "most", "context", "picture", "about", "system", "cost"];
        let fields = self.object(model, at, &known)?;
        let of = |name: &str| format!("{at}.{name}");
        let name = self.name(fields.get("name"), &of("name"));
        let via = self.via(fields.get("via"), &of("via"));
        let fare = self.fare(fields.get("fare"), &of("fare"));
        let mut number = |name: &str, least: u64, most: u64| {
            let value = fields.get(name)?;
            let number = self.number(value, &of(name), least, most)?;
            u32::try_from(number).ok()
        };
        let most = number("most", 1, MOST);
        let context = number("context", 1, u32::MAX.into());
        let picture = number("picture", 0, PICTURE);
        let about = fields.get("about").and_then(|value| self.about(value, &of("about")));
        let system = fields.get("system");
        let system = system.and_then(|value| self.system_prompt(value, &of("system")));
        let cost = fields.get("cost").and_then(|value| self.cost(value, &of("cost")));
        let (name, via, fare) = (name?, via?, fare?);
        Some(Model { name, via, fare, most, context, picture, about, system, cost })
    }

    fn name(&mut self, name: Option<&Value>, at: &str) -> Option<String> {
        let is_name = |name: &&str| {
            (1..=NAME).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
        };
        let name = name.and_then(Value::as_str).filter(is_name);
        if name.is_none() {
            self.note(
                at,
                format!("A name has 1 to {NAME} letters, digits and characters of `. _ : / -`."),
            );
        }
        name.map(str::to_owned)
    }

    fn via(&mut self, via: Option<&Value>, at: &str) -> Option<Vec<Via>> {
        let list = via.and_then(Value::as_array).filter(|via| (1..=VIA).contains(&via.len()));
        let Some(list) = list else {
            self.note(at, format!("This must be a list of 1 to {VIA} providers."));
            return None;
        };
        let read: Vec<Via> = list
            .iter()
            .enumerate()
            .filter_map(|(index, one)| self.provider(one, &format!("{at}[{index}]")))
            .collect();
        (read.len() == list.len()).then_some(read)
    }

    fn provider(&mut self, text: &Value, at: &str) -> Option<Via> {
        let text = text.as_str().unwrap_or_default();
        let (provider, model) = match text.split_once(':') {
            Some((provider, model)) => (provider, Some(model)),
            None => (text, None),
        };
        let is_known =
            PROVIDERS.contains(&provider) || [LATER_PROVIDER, SCRIPTED].contains(&provider);
        if !is_known {
            let known = PROVIDERS.join(", ");
            self.note(at, format!("This must begin with a provider: one of {known}."));
            return None;
        }
        let is_model = |model: &str| {
            (1..=PROVIDER_MODEL).contains(&model.len())
                && model.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if model.is_some_and(|model| !is_model(model)) {
            self.note(
                at,
                format!("A provider's model has 1 to {PROVIDER_MODEL} visible ASCII characters."),
            );
            return None;
        }
        Some(Via { provider: provider.to_owned(), model: model.map(str::to_owned) })
    }

    fn fare(&mut self, fare: Option<&Value>, at: &str) -> Option<Fare> {
        let Some(fare) = fare else {
            self.note(at, "A model needs a fare: `message`, or `input`, `cached` and `output`.");
            return None;
        };
        let fields = self.object(fare, at, &["message", "input", "cached", "output"])?;
        if let Some(price) = fields.get("message") {
            if fields.len() > 1 {
                self.note(at, "A fare has either `message`, or `input`, `cached` and `output`.");
                return None;
            }
            let price = self.number(price, &format!("{at}.message"), 0, PRICE)?;
            return Credits::new(price).map(Fare::Message);
        }
        let mut rate = |name: &str| {
            let at = format!("{at}.{name}");
            match fields.get(name) {
                Some(rate) => self.number(rate, &at, 0, RATE),
                None => {
                    self.note(&at, "This rate is missing. Write 0 if these tokens are free.");
                    None
                }
            }
        };
        let (input, cached, output) = (rate("input"), rate("cached"), rate("output"));
        Some(Fare::Usage(Rates { input: input?, cached: cached?, output: output? }))
    }

    fn cost(&mut self, cost: &Value, at: &str) -> Option<ProviderCost> {
        let fields = self.object(cost, at, &["input", "cached", "output"])?;
        let mut money = |name: &str| {
            let value = fields.get(name).unwrap_or(&Value::Null);
            self.money(value, &format!("{at}.{name}"))
        };
        let (input, cached, output) = (money("input"), money("cached"), money("output"));
        Some(ProviderCost { input: input?, cached: cached?, output: output? })
    }

    fn currency(&mut self, currency: &Value) -> Option<String> {
        let is_code =
            |code: &&str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let code = currency.as_str().filter(is_code);
        if code.is_none() {
            self.note("currency", "A currency has three capital letters, such as USD.");
        }
        code.map(str::to_owned)
    }

    fn about(&mut self, about: &Value, at: &str) -> Option<String> {
        let is_line = |text: &&str| {
            text.chars().count() <= ABOUT && !text.chars().any(|c| c.is_control() || turns_text(c))
        };
        let about = about.as_str().filter(is_line);
        if about.is_none() {
            self.note(at, format!("This must be a line of at most {ABOUT} characters."));
        }
        about.map(str::trim).filter(|text| !is_blank(text)).map(str::to_owned)
    }

    /// Reads a system prompt, which may have several lines. Removes white space around it.
    fn system_prompt(&mut self, system: &Value, at: &str) -> Option<String> {
        let Some(text) = system.as_str().filter(|text| !is_blank(text)) else {
            self.note(at, "Write a text, or leave this out.");
            return None;
        };
        let Some(text) = lines(text) else {
            self.note(at, "A system prompt must not have control characters.");
            return None;
        };
        let bytes = text.len();
        if bytes > SYSTEM_PROMPT {
            let (bytes, most) = (Grouped(bytes), Grouped(SYSTEM_PROMPT));
            self.note(
                at,
                format!("A system prompt has at most {most} bytes, and this one {bytes}."),
            );
            return None;
        }
        Some(text)
    }

    fn money(&mut self, money: &Value, at: &str) -> Option<Money> {
        let money = money.as_str().and_then(Money::parse);
        if money.is_none() {
            self.note(at, "Write money as a text with at most six decimals, such as \"0.25\".");
        }
        money
    }

    fn number(&mut self, number: &Value, at: &str, least: u64, most: u64) -> Option<u64> {
        let number = number.as_u64().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let most = Grouped(most);
            self.note(at, format!("This must be a whole number from {least} to {most}."));
        }
        number
    }

    /// Returns an object's fields, and reports unknown fields as problems.
    fn object<'v>(
        &mut self,
        value: &'v Value,
        at: &str,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Some(fields) = value.as_object() else {
            self.note(at, "This must be a JSON object.");
            return None;
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let field = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            self.note(&field, format!("No such field. The fields are {}.", known.join(", ")));
        }
        Some(fields)
    }
}

/// A number with a comma between groups of three digits.
struct Grouped<N>(N);

impl<N: Display> Display for Grouped<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list() -> Value {
        json!({
            "currency": "USD",
            "million_tokens": "20",
            "models": [
                { "name": "quick", "via": ["openai:gpt-5-mini", "echo"], "fare": { "message": 100 } },
                {
                    "name": "deep", "via": ["bedrock:amazon.nova-lite-v1:0"],
                    "fare": { "input": 50_000, "cached": 5_000, "output": 400_000 },
                    "most": 4096, "context": 400_000, "picture": 4784, "about": "Slow, thorough",
                    "cost": { "input": "1.25", "cached": "0.125", "output": "10" },
                },
            ],
        })
    }

    /// Reads the list with this value at `pointer`, and returns the fields with problems.
    fn fields(pointer: &str, value: Value) -> Vec<String> {
        let mut changed = list();
        *changed.pointer_mut(pointer).unwrap() = value;
        let problems = PriceList::read(&changed).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_list_is_read_and_written() {
        let read = PriceList::read(&list()).unwrap();
        assert_eq!(read.models[1].via[0].model.as_deref(), Some("amazon.nova-lite-v1:0"));
        let again: PriceList = read.canonical().parse().unwrap();
        assert_eq!((&again, again.version()), (&read, read.version()));
        assert_eq!(read.version().len(), 16);
        assert_eq!(format!("\u{feff}{}", list()).parse(), Ok(read));
    }

    #[test]
    fn the_provider_of_the_next_release_is_only_read() {
        let mut list = list();
        list["models"][1]["via"] = json!(["bedrock", "anthropic:claude-sonnet-5-5", "anthropic"]);
        let read = PriceList::read(&list).unwrap();
        assert_eq!(read.models[1].via[1].provider, "anthropic");
        assert_eq!(read.models[1].via[1].model.as_deref(), Some("claude-sonnet-5-5"));
        let again: PriceList = read.canonical().parse().unwrap();
        assert_eq!((&again, again.version()), (&read, read.version()));
        let fields: Vec<String> =
            read.only_read().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["models[1].via[1]", "models[1].via[2]"]);
    }

    #[test]
    fn every_problem_names_its_field() {
        for (pointer, value, field) in [
            ("/currency", json!("usd"), "currency"),
            ("/million_tokens", json!(20), "million_tokens"),
            ("/models", json!([]), "models"),
            ("/models/0", json!("quick"), "models[0]"),
            ("/models/0/name", json!(""), "models[0].name"),
            ("/models/0/name", json!("a b"), "models[0].name"),
            ("/models/1/name", json!("quick"), "models[1].name"),
            ("/models/0/via", json!([]), "models[0].via"),
            ("/models/0/via/0", json!("azure:gpt"), "models[0].via[0]"),
            ("/models/0/via/0", json!("openai:"), "models[0].via[0]"),
            ("/models/0/fare", json!({}), "models[0].fare.input"),
            ("/models/0/fare/message", json!(-1), "models[0].fare.message"),
            ("/models/0/fare/message", json!(1.5), "models[0].fare.message"),
            ("/models/0/fare/message", json!("100"), "models[0].fare.message"),
            ("/models/1/fare/output", json!(-5), "models[1].fare.output"),
            ("/models/1/fare/output", json!(10_000_000_001_u64), "models[1].fare.output"),
            ("/models/1/fare", json!({ "input": 1, "output": 1 }), "models[1].fare.cached"),
            ("/models/1/fare", json!({ "input": 1, "message": 1 }), "models[1].fare"),
            ("/models/1/most", json!(0), "models[1].most"),
            ("/models/1/picture", json!(-1), "models[1].picture"),
            ("/models/1/about", json!("a\nb"), "models[1].about"),
            ("/models/1/cost", json!({ "input": "1", "cached": "1" }), "models[1].cost.output"),
            ("/models/1/cost/input", json!(1.25), "models[1].cost.input"),
        ] {
            let found = fields(pointer, value.clone());
            assert_eq!(found.first().map(String::as_str), Some(field), "{pointer} {value}");
        }
    }

    #[test]
    fn system_prompts_have_lines_and_are_limited_in_bytes() {
        for (pointer, field) in [("", "system"), ("/models/0", "models[0].system")] {
            let read = |system: Value| {
                let mut list = list();
                list.pointer_mut(pointer).unwrap()["system"] = system;
                PriceList::read(&list)
            };
            let text = |system: &str| {
                let list = read(json!(system)).unwrap();
                list.system_prompt(&list.models[0], None).map(str::to_owned)
            };
            let trimmed = text(" Be brief.\r\n\tUse metres.\rThanks. \n");
            assert_eq!(trimmed.as_deref(), Some("Be brief.\n\tUse metres.\nThanks."));
            let longest = "é".repeat(SYSTEM_PROMPT / 2);
            assert_eq!(text(&longest), Some(longest.clone()));
            for wrong in [
                json!(""),
                json!(" \n"),
                json!("\u{200b}"),
                json!(null),
                json!(7),
                json!(["Be brief."]),
                json!("a\u{0}b"),
                json!("a\u{1b}[2Jb"),
                json!(format!("{longest}x")),
            ] {
                let problems = read(wrong.clone()).unwrap_err();
                let fields: Vec<&str> =
                    problems.iter().map(|problem| problem.field.as_str()).collect();
                assert_eq!(fields, [field], "{wrong}");
            }
        }
    }

    #[test]
    fn long_system_prompts_of_many_models_are_refused_together() {
        let read = |bytes: usize| {
            let models = (0..MODELS).map(|index| {
                json!({
                    "name": format!("m{index}"), "via": ["echo"], "fare": { "message": 1 },
                    "system": "x".repeat(bytes),
                })
            });
            PriceList::read(&json!({ "models": models.collect::<Vec<Value>>() }))
        };
        assert!(read(5000).is_ok());
        let problems: Vec<String> =
            read(SYSTEM_PROMPT).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with("As JSON, a list has at most 262,144 bytes, and this one 4"),
            "{problems:?}"
        );
    }

    #[test]
    fn the_longest_list_without_system_prompts_is_accepted() {
        let via = format!("bedrock:{}", "\"".repeat(PROVIDER_MODEL));
        let models = (0..MODELS).map(|index| {
            json!({
                "name": format!("{index:m>NAME$}"), "via": vec![&via; VIA],
                "fare": { "input": RATE, "cached": RATE, "output": RATE },
                "most": MOST, "context": u32::MAX, "picture": PICTURE,
                "about": "\u{10348}".repeat(ABOUT),
                "cost": {
                    "input": "999999.999999", "cached": "999999.999999", "output": "999999.999999",
                },
            })
        });
        let models: Vec<Value> = models.collect();
        let list =
            json!({ "currency": "USD", "million_tokens": "999999.999999", "models": models });
        assert_eq!(PriceList::read(&list).err(), None);
    }

    #[test]
    fn unknown_fields_and_missing_currencies_are_problems() {
        let mut unknown = list();
        unknown["models"][0]["price"] = json!(1);
        let problems = PriceList::read(&unknown).unwrap_err();
        assert_eq!(problems[0].field, "models[0].price");
        let mut without = list();
        without.as_object_mut().unwrap().remove("currency");
        assert_eq!(PriceList::read(&without).unwrap_err()[0].field, "currency");
    }
}
