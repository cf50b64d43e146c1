//! Reads a price list from JSON. Each reported problem names the field.

use std::collections::HashSet;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::{Model, ModelKind, PriceList, Problem, ProviderCost, Via};
use crate::Credits;
use crate::values::text::{is_blank, lines, turns_text};
use crate::values::{CountsAs, Factor, Fare, Money, Rates};

/// The maximum number of models in a list.
const MODELS: usize = 50;

/// The maximum number of a model's aliases.
const ALIASES: usize = 20;

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
/// can't exceed 400 KB. Only system prompts and aliases can make a list this long.
const LIST: usize = 262_144;

/// The maximum price of a message. For a long prompt, the price is charged up to 4,096 times, and
/// the product must be below [`Credits::MAX`].
const PRICE: u64 = 200_000_000;

/// The maximum rate. At this rate, [`Credits::MAX`] pays for 100 million model tokens, which is
/// more than the longest text and the longest answer have.
const RATE: u64 = 10_000_000_000;

/// The maximum number of model tokens in an answer.
const MOST: u64 = 262_144;

/// The maximum number of model tokens in a picture.
const PICTURE: u64 = 1_000_000;

/// The shortest maximum length of a prompt or an answer, in bytes.
const LEAST_LIMIT: u64 = 1024;

/// The highest maximum length of a prompt, in bytes, which is the same as for the `PROMPT_LIMIT`
/// setting.
const PROMPT_LIMIT: u64 = 4_194_304;

/// The highest maximum length of an answer, in bytes.
const ANSWER_LIMIT: u64 = 262_144;

/// The providers, by their names in `AI_PROVIDER`.
const PROVIDERS: [&str; 5] = ["openai", "openai2", "bedrock", "anthropic", "echo"];

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
        self.names(&models);
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

    /// Reports names and aliases that match two models. Lists of earlier releases may contain names
    /// that differ only in case, but an alias must also differ in other characters.
    fn names(&mut self, models: &[Model]) {
        let mut names = HashSet::new();
        for (index, model) in models.iter().enumerate() {
            if !names.insert(model.name.as_str()) {
                let field = format!("models[{index}].name");
                self.note(&field, "Another model in the list has this name.");
            }
        }
        let mut taken: HashSet<String> =
            models.iter().map(|model| model.name.to_ascii_lowercase()).collect();
        for (index, model) in models.iter().enumerate() {
            for (place, alias) in model.aliases.iter().enumerate() {
                if !taken.insert(alias.to_ascii_lowercase()) {
                    let field = format!("models[{index}].aliases[{place}]");
                    self.note(&field, "The list already has this name or alias.");
                }
            }
        }
        if models.iter().all(|model| model.kind == ModelKind::Embedding) && !models.is_empty() {
            self.note("models", "A list needs a model that isn't for embeddings.");
        }
    }

    fn model(&mut self, model: &Value, at: &str) -> Option<Model> {
        let known = [
            "name",
            "kind",
            "aliases",
            "via",
            "fare",
            "most",
            "context",
            "picture",
            "counts_as",
            "prompt_limit",
            "answer_limit",
            "about",
            "system",
            "cost",
        ];
        let fields = self.object(model, at, &known)?;
        let of = |name: &str| format!("{at}.{name}");
        let name = self.name(fields.get("name"), &of("name"));
        let kind = self.kind(fields, at);
        let aliases = fields.get("aliases");
        let aliases = aliases.map(|value| self.aliases(value, &of("aliases")));
        let via = self.via(fields.get("via"), &of("via"));
        let fare = self.fare(fields.get("fare"), &of("fare"), kind);
        let mut number = |name: &str, least: u64, most: u64| {
            let value = fields.get(name)?;
            let number = self.number(value, &of(name), least, most)?;
            u32::try_from(number).ok()
        };
        let most = number("most", 1, MOST);
        let context = number("context", 1, u32::MAX.into());
        let picture = number("picture", 0, PICTURE);
        let prompt_limit = number("prompt_limit", LEAST_LIMIT, PROMPT_LIMIT);
        let answer_limit = number("answer_limit", LEAST_LIMIT, ANSWER_LIMIT);
        let counts_as = fields.get("counts_as");
        let counts_as = counts_as.and_then(|value| self.counts_as(value, &of("counts_as")));
        let about = fields.get("about").and_then(|value| self.about(value, &of("about")));
        let system = fields.get("system");
        let system = system.and_then(|value| self.system_prompt(value, &of("system")));
        let cost = fields.get("cost").and_then(|value| self.cost(value, &of("cost"), kind));
        let (name, via, fare, aliases) = (name?, via?, fare?, aliases.unwrap_or_default());
        Some(Model {
            name,
            kind,
            aliases,
            via,
            fare,
            most,
            context,
            picture,
            counts_as,
            prompt_limit,
            answer_limit,
            about,
            system,
            cost,
        })
    }

    /// Reads the kind of a model, and reports fields that models of this kind don't have.
    fn kind(&mut self, fields: &Map<String, Value>, at: &str) -> ModelKind {
        let kind = match fields.get("kind").map(Value::as_str) {
            None | Some(Some("chat")) => ModelKind::Chat,
            Some(Some("embedding")) => ModelKind::Embedding,
            Some(_) => {
                self.note(&format!("{at}.kind"), "This must be chat or embedding.");
                ModelKind::Chat
            }
        };
        for name in ["most", "picture", "counts_as", "answer_limit", "system"] {
            if kind == ModelKind::Embedding && fields.contains_key(name) {
                self.note(&format!("{at}.{name}"), "Models for embeddings don't have this field.");
            }
        }
        kind
    }

    fn aliases(&mut self, aliases: &Value, at: &str) -> Vec<String> {
        let Some(list) = aliases.as_array().filter(|list| list.len() <= ALIASES) else {
            self.note(at, format!("This must be a list of at most {ALIASES} names."));
            return Vec::new();
        };
        let mut read = Vec::with_capacity(list.len());
        for (index, alias) in list.iter().enumerate() {
            let alias = alias.as_str().unwrap_or_default();
            if !is_name(alias.strip_suffix('*').unwrap_or(alias)) {
                self.note(
                    &format!("{at}[{index}]"),
                    format!(
                        "An alias has 1 to {NAME} letters, digits and characters of `. _ : / -`, \
                         and may end with `*`."
                    ),
                );
            }
            read.push(alias.to_owned());
        }
        read
    }

    fn name(&mut self, name: Option<&Value>, at: &str) -> Option<String> {
        let name = name.and_then(Value::as_str).filter(|name| is_name(name));
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
        if !PROVIDERS.contains(&provider) && provider != SCRIPTED {
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

    fn fare(&mut self, fare: Option<&Value>, at: &str, kind: ModelKind) -> Option<Fare> {
        let Some(fare) = fare else {
            self.note(at, format!("A model needs a fare: {}.", fares(kind)));
            return None;
        };
        let fields = self.object(fare, at, &["message", "input", "cached", "write", "output"])?;
        if let Some(price) = fields.get("message") {
            if fields.len() > 1 {
                self.note(at, format!("A fare has either {}.", fares(kind)));
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
        let input = rate("input");
        if kind == ModelKind::Embedding {
            let input = input?;
            let is = |name: &str, rate: u64| fields.get(name).and_then(Value::as_u64) == Some(rate);
            let has = |name: &str| fields.contains_key(name);
            // This release writes the fare with all three rates.
            let is_whole = is("cached", input) && is("output", 0);
            if has("write") || (has("cached") || has("output")) && !is_whole {
                self.note(at, format!("A fare for embeddings has either {}.", fares(kind)));
                return None;
            }
            return Some(Fare::Usage(Rates { input, cached: input, write: None, output: 0 }));
        }
        let (cached, output) = (rate("cached"), rate("output"));
        let write = fields.contains_key("write").then(|| rate("write"));
        let write = write.map_or(Some(None), |write| write.map(Some));
        Some(Fare::Usage(Rates { input: input?, cached: cached?, write: write?, output: output? }))
    }

    fn counts_as(&mut self, counts_as: &Value, at: &str) -> Option<CountsAs> {
        let fields = self.object(counts_as, at, &["text", "functions"])?;
        let mut factor = |name: &str| {
            let factor = fields.get(name).and_then(Factor::parse);
            if factor.is_none() {
                self.note(
                    &format!("{at}.{name}"),
                    "This must be a number from 1 to 10 with at most two decimals.",
                );
            }
            factor
        };
        let (text, functions) = (factor("text"), factor("functions"));
        Some(CountsAs { text: text?, functions: functions? })
    }

    fn cost(&mut self, cost: &Value, at: &str, kind: ModelKind) -> Option<ProviderCost> {
        let fields = self.object(cost, at, &["input", "cached", "write", "output"])?;
        let mut money = |name: &str| {
            let value = fields.get(name).unwrap_or(&Value::Null);
            self.money(value, &format!("{at}.{name}"))
        };
        let input = money("input");
        let write = fields.contains_key("write").then(|| money("write"));
        // The cost of embeddings has only `input`.
        let mut unless_embedding = |name: &str, otherwise: Option<Money>| match kind {
            ModelKind::Embedding if !fields.contains_key(name) => otherwise,
            _ => money(name),
        };
        let cached = unless_embedding("cached", input);
        let output = unless_embedding("output", Some(Money::default()));
        let write = write.map_or(Some(None), |write| write.map(Some));
        Some(ProviderCost { input: input?, cached: cached?, write: write?, output: output? })
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

/// Returns true if the text has the length and the characters of a model's name.
fn is_name(text: &str) -> bool {
    (1..=NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
}

/// Describes the fares of a kind, for error messages.
fn fares(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Chat => "`message`, or `input`, `cached` and `output`",
        ModelKind::Embedding => "`message`, or only `input`",
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
                    "counts_as": { "text": 1.35, "functions": 2 },
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
    fn every_field_is_written_as_it_was_read() {
        let list = json!({
            "currency": "USD",
            "models": [
                {
                    "name": "deep", "aliases": ["claude-*", "gpt-5"],
                    "via": ["anthropic:claude-sonnet-5-5", "anthropic"],
                    "fare": { "input": 100, "cached": 10, "write": 125, "output": 500 },
                    "most": 262_144, "prompt_limit": 4_194_304, "answer_limit": 262_144,
                    "cost": { "input": "3", "cached": "0.3", "write": "3.75", "output": "15" },
                },
                {
                    "name": "small", "kind": "embedding", "via": ["openai:text-embedding-3-small"],
                    "fare": { "input": 20 }, "context": 8192, "prompt_limit": 1024,
                    "cost": { "input": "0.02" },
                },
                { "name": "tiny", "kind": "embedding", "via": ["echo"], "fare": { "message": 1 } },
            ],
        });
        let read = PriceList::read(&list).unwrap();
        let [deep, small, tiny] = read.models.as_slice() else { panic!("three models") };
        let rates = Rates { input: 100, cached: 10, write: Some(125), output: 500 };
        assert_eq!(deep.fare, Fare::Usage(rates));
        assert_eq!(deep.via[0].model.as_deref(), Some("claude-sonnet-5-5"));
        assert_eq!(deep.cost.unwrap().write, Money::parse("3.75"));
        assert_eq!((deep.most, deep.answer_limit), (Some(262_144), Some(262_144)));
        let rates = Rates { input: 20, cached: 20, write: None, output: 0 };
        assert_eq!(small.fare, Fare::Usage(rates));
        assert_eq!(small.cost.unwrap().cached, small.cost.unwrap().input);
        assert_eq!(tiny.kind, ModelKind::Embedding);
        let again: PriceList = read.canonical().parse().unwrap();
        assert_eq!((&again, again.version()), (&read, read.version()));
    }

    #[test]
    fn a_list_without_new_fields_is_written_as_before() {
        let list = r#"{"models":[{"name":"deep","via":["echo"],"fare":{"input":1,"cached":1,"output":1},"cost":{"input":"1.00","cached":"1.00","output":"1.00"}}],"currency":"USD"}"#;
        let model = r#"{"name":"deep","via":["echo"],"fare":{"input":1,"cached":1,"output":1},"cost":{"input":"1.00","cached":"1.00","output":"1.00"}}"#;
        let canonical = list.parse::<PriceList>().unwrap().canonical();
        assert_eq!(canonical, format!(r#"{{"currency":"USD","models":[{model}]}}"#));
    }

    #[test]
    fn names_and_aliases_are_different_in_any_case() {
        for (aliases, fields) in [
            (json!([[], ["claude-*", "claude-"]]), vec![]),
            (json!([["gpt-5"], ["deep-2", "GPT-5"]]), vec!["models[1].aliases[1]"]),
            (json!([["Deep"], []]), vec!["models[0].aliases[0]"]),
            (json!([["quick"], []]), vec!["models[0].aliases[0]"]),
            (json!([["claude-*"], ["Claude-*"]]), vec!["models[1].aliases[0]"]),
            (json!([["*"], ["a b"]]), vec!["models[0].aliases[0]", "models[1].aliases[0]"]),
            (json!([["a*b"], [7]]), vec!["models[0].aliases[0]", "models[1].aliases[0]"]),
            (json!([["m".repeat(65)], []]), vec!["models[0].aliases[0]"]),
            (json!([vec!["m"; 21], []]), vec!["models[0].aliases"]),
            (json!(["gpt-5", []]), vec!["models[0].aliases"]),
        ] {
            let mut list = list();
            for index in 0..2 {
                list["models"][index]["aliases"] = aliases[index].clone();
            }
            let problems = PriceList::read(&list).err().unwrap_or_default();
            let found: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
            assert_eq!(found, fields, "{aliases}");
        }
    }

    #[test]
    fn embeddings_have_a_price_of_texts_alone() {
        let read = |field: &str, value: Value| {
            let mut list = list();
            let (name, via) = ("small", ["openai:text-embedding-3-small"]);
            list["models"][0] =
                json!({ "name": name, "via": via, "kind": "embedding", "fare": { "input": 20 } });
            list["models"][0][field] = value;
            let problems = PriceList::read(&list).err().unwrap_or_default();
            problems.into_iter().next().map(|problem| problem.field)
        };
        for (field, value) in [
            ("fare", json!({ "input": 20, "cached": 20, "output": 0 })),
            ("fare", json!({ "message": 7 })),
            ("cost", json!({ "input": "0.02", "cached": "0.01", "output": "0" })),
            ("prompt_limit", json!(65_536)),
        ] {
            assert_eq!(read(field, value.clone()), None, "{field} {value}");
        }
        for (field, value) in [
            ("kind", json!("image")),
            ("fare", json!({ "input": 20, "cached": 10, "output": 0 })),
            ("fare", json!({ "input": 20, "output": 0 })),
            ("fare", json!({ "input": 20, "cached": 20, "write": 25, "output": 0 })),
            ("fare", json!({ "input": 20, "message": 7 })),
            ("most", json!(1)),
            ("picture", json!(0)),
            ("counts_as", json!({ "text": 1, "functions": 1 })),
            ("system", json!("Be brief.")),
            ("answer_limit", json!(65_536)),
            ("prompt_limit", json!(1023)),
        ] {
            let found = read(field, value.clone());
            assert_eq!(found, Some(format!("models[0].{field}")), "{field} {value}");
        }
        let only =
            json!([{ "name": "a", "via": ["echo"], "kind": "embedding", "fare": { "input": 1 } }]);
        assert_eq!(fields("/models", only), ["models"]);
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
            ("/models/1/fare/cached", json!(null), "models[1].fare.cached"),
            ("/models/1/most", json!(0), "models[1].most"),
            ("/models/1/most", json!(262_145), "models[1].most"),
            ("/models/1/picture", json!(-1), "models[1].picture"),
            ("/models/1/counts_as", json!(1.35), "models[1].counts_as"),
            ("/models/1/counts_as", json!({ "text": 1.2 }), "models[1].counts_as.functions"),
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
