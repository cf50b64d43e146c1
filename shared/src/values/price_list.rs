//! The price list: the models that an operator offers, each with its fare.

mod read;

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::without_byte_order_mark;
use super::{CountsAs, Fare, Money};

/// The models that an operator offers. The first model of each kind is the kind's default.
///
/// ```
/// use shared::values::PriceList;
///
/// let list = r#"{"models": [{"name": "quick", "via": ["echo"], "fare": {"message": 100}}]}"#;
/// let list: PriceList = list.parse().unwrap();
/// assert_eq!(list.model("quick").unwrap().via[0].provider, "echo");
///
/// let wrong = r#"{"models": [{"name": "quick", "via": ["echo"], "fare": {"message": -1}}]}"#;
/// assert_eq!(wrong.parse::<PriceList>().unwrap_err()[0].field, "models[0].fare.message");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceList {
    /// The currency of all money in the list, in three capital letters
    /// ([ISO 4217](https://www.iso.org/iso-4217-currency-codes.html)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The operator's price per million credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub million_tokens: Option<Money>,
    /// The operator's system prompt for all models. Users never see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The models.
    pub models: Vec<Model>,
}

/// A model in the price list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// The name that clients use to select the model.
    pub name: String,
    /// The requests that the model answers.
    #[serde(skip_serializing_if = "ModelKind::is_chat")]
    pub kind: ModelKind,
    /// Other names for the model. A name that ends with `*` matches all names with this beginning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The providers for this model, in order. If a provider fails, the next one is called.
    pub via: Vec<Via>,
    /// The model's fare, regardless of which provider answers.
    pub fare: Fare,
    /// The maximum number of model tokens in an answer. `None` if the configured maximum applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// The maximum total number of model tokens in a prompt and its answer. Clients can read this
    /// number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// The maximum number of model tokens in a picture. If it isn't set, a model that is charged by
    /// usage doesn't accept pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<u32>,
    /// How many more model tokens the model counts than public tokenizers. `None` if the names of
    /// the providers' models decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_as: Option<CountsAs>,
    /// The maximum length of a prompt, in bytes. `None` if the configured maximum applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_limit: Option<u32>,
    /// The maximum length of an answer, in bytes. `None` if the configured maximum applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_limit: Option<u32>,
    /// A one-line description of the model, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The operator's system prompt for this model, which replaces the list's system prompt. Users
    /// never see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The provider's prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<ProviderCost>,
}

/// The kind of requests that a model answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Messages.
    #[default]
    Chat,
    /// Texts, for which the model returns vectors.
    Embedding,
}

impl ModelKind {
    /// Returns true for models that answer messages.
    // Takes a reference, because serde calls the function with one.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn is_chat(&self) -> bool {
        *self == Self::Chat
    }
}

/// A provider and the model that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The name of the provider in `AI_PROVIDER`.
    pub provider: String,
    /// The provider's name for the model. `None` if the provider's configured model is used.
    pub model: Option<String>,
}

/// A provider's prices per million model tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderCost {
    /// For tokens in the prompt.
    pub input: Money,
    /// For tokens in the prompt that were read from the cache.
    pub cached: Money,
    /// For tokens in the prompt that were written to the cache. `None` if they cost the same as
    /// [`ProviderCost::input`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Money>,
    /// For tokens in the answer.
    pub output: Money,
}

/// A problem with a field in a price list or in other JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `models[0].fare.input`. Empty for the list itself.
    pub field: String,
    /// A sentence that says what to change.
    pub sentence: String,
}

/// A field of a price list that earlier releases can't read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewField {
    /// The field, such as `models[0].aliases`.
    pub field: String,
    /// The first release that can read it.
    pub since: &'static str,
}

/// The version of a stored list, with its author and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListVersion {
    /// The list's version.
    pub version: String,
    /// The id of the administrator's account, or `manage` for the command line.
    pub author: String,
    /// The time in milliseconds since 1970.
    pub time: u64,
}

impl PriceList {
    /// Returns the model with this name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    /// Returns the models of this kind, with their indexes.
    pub fn of_kind(&self, kind: ModelKind) -> impl Iterator<Item = (usize, &Model)> {
        self.models.iter().enumerate().filter(move |(_, model)| model.kind == kind)
    }

    /// Returns the model of this kind that a client means by this name, with its index. A model
    /// with exactly this name or alias takes precedence. Some programs write names in capital
    /// letters, or prefix them with a provider, as in `openai/deep`; such a name must match the
    /// names and aliases of exactly one model. Otherwise, the longest matching alias with a `*`
    /// decides.
    pub fn chosen(&self, name: &str, kind: ModelKind) -> Option<(usize, &Model)> {
        let bare = name.split_once('/').map_or(name, |(_, bare)| bare);
        let has_alias = |model: &Model| model.aliases.iter().any(|alias| alias == name);
        self.of_kind(kind)
            .find(|(_, model)| model.name == name)
            .or_else(|| self.of_kind(kind).find(|(_, model)| has_alias(model)))
            .or_else(|| self.only(name, kind))
            .or_else(|| self.only(bare, kind))
            .or_else(|| self.with_prefix_of(name, kind))
            .or_else(|| self.with_prefix_of(bare, kind))
    }

    /// Returns the model whose name or alias matches, ignoring case. `None` unless exactly one
    /// model matches.
    fn only(&self, name: &str, kind: ModelKind) -> Option<(usize, &Model)> {
        let mut named = self.of_kind(kind).filter(|(_, model)| model.is_called(name));
        named.next().filter(|_| named.next().is_none())
    }

    /// Returns the model with the longest alias with a `*` that matches, ignoring case.
    fn with_prefix_of(&self, name: &str, kind: ModelKind) -> Option<(usize, &Model)> {
        let longest = |(_, model): &(usize, &Model)| model.longest_prefix_of(name);
        self.of_kind(kind).filter(|model| longest(model).is_some()).max_by_key(longest)
    }

    /// Returns the system prompt for a model in the list: the model's own prompt, otherwise the
    /// list's prompt, otherwise the configured prompt.
    pub fn system_prompt<'t>(
        &'t self,
        model: &'t Model,
        setting: Option<&'t str>,
    ) -> Option<&'t str> {
        model.system.as_deref().or(self.system.as_deref()).or(setting)
    }

    /// Returns true if the list or one of its models has a system prompt.
    pub fn has_system_prompt(&self) -> bool {
        self.system.is_some() || self.models.iter().any(|model| model.system.is_some())
    }

    /// Returns the fields that releases since 0.18.0 have added, the newest ones first.
    pub fn new_fields(&self) -> Vec<NewField> {
        let mut fields = Vec::new();
        for (index, model) in self.models.iter().enumerate() {
            let mut note = |field: &str, since: &'static str| {
                fields.push(NewField { field: format!("models[{index}].{field}"), since });
            };
            if model.counts_as.is_some() {
                note("counts_as", "0.22.0");
            }
            for (place, via) in model.via.iter().enumerate() {
                if via.provider == "anthropic" {
                    note(&format!("via[{place}]"), "0.18.0");
                }
            }
            if model.kind == ModelKind::Embedding {
                note("kind", "0.18.0");
            }
            if model.most.is_some_and(|most| most > 65_536) {
                note("most", "0.18.0");
            }
            for (field, is_set) in [
                ("aliases", !model.aliases.is_empty()),
                ("fare.write", matches!(model.fare, Fare::Usage(rates) if rates.write.is_some())),
                ("cost.write", model.cost.is_some_and(|cost| cost.write.is_some())),
                ("prompt_limit", model.prompt_limit.is_some()),
                ("answer_limit", model.answer_limit.is_some()),
            ] {
                if is_set {
                    note(field, "0.18.0");
                }
            }
        }
        // The sort is stable, so each release's fields keep the order of the list.
        fields.sort_by_key(|field| Reverse(field.since));
        fields
    }

    /// Returns the list as JSON with its fields in a fixed order.
    pub fn canonical(&self) -> String {
        // This can't fail, because a list contains only strings and numbers.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the version, which is the beginning of the canonical JSON's hash. Lists with the
    /// same content have the same version.
    pub fn version(&self) -> String {
        hash_of(&self.canonical())
    }
}

/// Returns the version of a list with this JSON.
pub(super) fn hash_of(canonical: &str) -> String {
    let hash = digest(&SHA256, canonical.as_bytes());
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Model {
    /// Returns true if a prompt may contain pictures. Charging by usage requires an upper bound on
    /// the number of model tokens in a picture, and only the price list can set this bound.
    pub fn takes_pictures(&self) -> bool {
        self.kind.is_chat() && (self.picture.is_some() || matches!(self.fare, Fare::Message(_)))
    }

    /// Returns true if this is the model's name or one of its aliases, ignoring case.
    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }

    /// Returns the length of the longest alias with a `*` that `name` begins with, ignoring case.
    fn longest_prefix_of(&self, name: &str) -> Option<usize> {
        let prefixes = self.aliases.iter().filter_map(|alias| alias.strip_suffix('*'));
        let is_prefix = |prefix: &&str| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        prefixes.filter(is_prefix).map(str::len).max()
    }
}

impl FromStr for PriceList {
    type Err = Vec<Problem>;

    /// Reads a list from JSON, and reports every problem. A byte order mark is ignored.
    fn from_str(json: &str) -> Result<Self, Vec<Problem>> {
        let list = serde_json::from_str(without_byte_order_mark(json)).map_err(|error| {
            vec![Problem { field: String::new(), sentence: format!("This isn't JSON: {error}.") }]
        })?;
        Self::read(&list)
    }
}

impl ProviderCost {
    /// Returns the price of the given model token counts, in millionths of the currency's unit.
    /// `prompt` includes the `cached` and the `written` tokens.
    pub fn micros(&self, prompt: u64, cached: u64, written: u64, output: u64) -> u64 {
        let each = [
            self.input.of_millions(prompt.saturating_sub(cached).saturating_sub(written)),
            self.cached.of_millions(cached),
            self.write.unwrap_or(self.input).of_millions(written),
            self.output.of_millions(output),
        ];
        each.into_iter().fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            None => f.write_str(&self.provider),
            Some(model) => write!(f, "{}:{model}", self.provider),
        }
    }
}

impl Serialize for Via {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.sentence),
            field => write!(f, "{field}: {}", self.sentence),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_mean_one_model_in_any_case_and_with_a_provider() {
        let models = ["quick", "Deep", "qwen/tiny", "Tiny", "big", "BIG"].map(|name| {
            format!(r#"{{"name": "{name}", "via": ["echo"], "fare": {{"message": 1}}}}"#)
        });
        let list: PriceList = format!(r#"{{"models": [{}]}}"#, models.join(",")).parse().unwrap();
        for (name, chosen) in [
            ("quick", Some((0, "quick"))),
            ("QUICK", Some((0, "quick"))),
            ("openai/deep", Some((1, "Deep"))),
            ("OpenAI/DEEP", Some((1, "Deep"))),
            ("qwen/tiny", Some((2, "qwen/tiny"))),
            ("Qwen/Tiny", Some((2, "qwen/tiny"))),
            ("openai/tiny", Some((3, "Tiny"))),
            ("tiny", Some((3, "Tiny"))),
            ("BIG", Some((5, "BIG"))),
            ("Big", None),
            ("openai/big", None),
            ("router/openai/deep", None),
            ("deep/", None),
            ("/deep", Some((1, "Deep"))),
            ("dee", None),
            ("", None),
        ] {
            let found = list.chosen(name, ModelKind::Chat);
            let found = found.map(|(index, model)| (index, model.name.as_str()));
            assert_eq!(found, chosen, "{name}");
        }
    }

    #[test]
    fn cache_writes_cost_the_provider_their_own_price() {
        let [input, cached, write, output] =
            ["3", "0.3", "3.75", "15"].map(|price| Money::parse(price).unwrap());
        let cost = ProviderCost { input, cached, write: Some(write), output };
        assert_eq!(cost.micros(1000, 400, 500, 10), 300 + 120 + 1875 + 150);
        let cost = ProviderCost { write: None, ..cost };
        assert_eq!(cost.micros(1000, 400, 500, 10), 1800 + 120 + 150);
        assert_eq!(cost.micros(1, 1, 1, 0), 3);
    }

    #[test]
    fn aliases_mean_models_and_the_longest_prefix_decides() {
        let list = r#"{"models": [
            {"name": "quick", "aliases": ["gpt-4o", "claude-*", "openai/*"], "via": ["echo"],
             "fare": {"message": 1}},
            {"name": "deep", "aliases": ["claude-opus-*", "Claude-Sonnet-5-5", "gpt-4o-mini"],
             "via": ["echo"], "fare": {"message": 1}},
            {"name": "claude-3", "via": ["echo"], "fare": {"message": 1}}
        ]}"#;
        let list: PriceList = list.parse().unwrap();
        for (name, chosen) in [
            ("gpt-4o", Some("quick")),
            ("gpt-4o-mini", Some("deep")),
            ("GPT-4O", Some("quick")),
            ("azure/GPT-4o-mini", Some("deep")),
            ("gpt-4", None),
            ("claude-haiku-5-5", Some("quick")),
            ("claude-opus-5-5", Some("deep")),
            ("Claude-Opus-5-5", Some("deep")),
            ("anthropic/claude-opus-5-5", Some("deep")),
            ("claude-sonnet-5-5", Some("deep")),
            ("claude-sonnet-5-5-1m", Some("quick")),
            ("claude-3", Some("claude-3")),
            ("CLAUDE-3", Some("claude-3")),
            ("claude-", Some("quick")),
            ("claude", None),
            ("openai/claude-opus-5-5", Some("quick")),
            ("openai/gpt-4o-mini", Some("deep")),
            ("anthropic/x/claude-opus", None),
            ("cl\u{e9}ude-opus", None),
        ] {
            let found = list.chosen(name, ModelKind::Chat);
            assert_eq!(found.map(|(_, model)| model.name.as_str()), chosen, "{name}");
        }
    }

    #[test]
    fn models_of_other_kinds_are_not_found() {
        let list = r#"{"models": [
            {"name": "small", "kind": "embedding", "aliases": ["text-*"], "via": ["echo"],
             "fare": {"input": 20}},
            {"name": "quick", "aliases": ["gpt-*"], "via": ["echo"], "fare": {"message": 1}},
            {"name": "Small", "via": ["echo"], "fare": {"message": 1}}
        ]}"#;
        let list: PriceList = list.parse().unwrap();
        for (name, chat, embedding) in [
            ("small", Some(2), Some(0)),
            ("SMALL", Some(2), Some(0)),
            ("text-embedding-3-small", None, Some(0)),
            ("gpt-5", Some(1), None),
            ("quick", Some(1), None),
        ] {
            let found = |kind| list.chosen(name, kind).map(|(index, _)| index);
            let both = (found(ModelKind::Chat), found(ModelKind::Embedding));
            assert_eq!(both, (chat, embedding), "{name}");
        }
        let first = |kind| list.of_kind(kind).next().map(|(index, _)| index);
        assert_eq!((first(ModelKind::Chat), first(ModelKind::Embedding)), (Some(1), Some(0)));
    }

    #[test]
    fn a_models_system_prompt_comes_before_the_lists() {
        let model = |name: &str, more: &str| {
            format!(r#"{{"name": "{name}", "via": ["echo"], "fare": {{"message": 1}}{more}}}"#)
        };
        let models = [model("quick", ""), model("deep", r#", "system": "Be bold.""#)].join(",");
        for (of_list, [quick, deep]) in [
            ("", [Some("Be kind."), Some("Be bold.")]),
            (r#""system": "Be brief.", "#, [Some("Be brief."), Some("Be bold.")]),
        ] {
            let list: PriceList = format!(r#"{{{of_list}"models": [{models}]}}"#).parse().unwrap();
            let of = |index: usize| list.system_prompt(&list.models[index], Some("Be kind."));
            assert_eq!([of(0), of(1)], [quick, deep]);
            let again: PriceList = list.canonical().parse().unwrap();
            assert_eq!((&again, again.version()), (&list, list.version()));
        }
        let list: PriceList = format!(r#"{{"models": [{models}]}}"#).parse().unwrap();
        assert_eq!(list.system_prompt(&list.models[0], None), None);
    }

    #[test]
    fn fields_that_earlier_releases_lack_are_named() {
        let list = json!({
            "currency": "USD",
            "models": [
                {
                    "name": "quick", "via": ["echo"], "fare": { "message": 1 }, "kind": "chat",
                    "most": 65_536, "aliases": [],
                },
                {
                    "name": "deep", "via": ["bedrock", "anthropic:claude-sonnet-5-5", "anthropic"],
                    "aliases": ["claude-*"], "most": 65_537,
                    "fare": { "input": 1, "cached": 1, "write": 2, "output": 1 },
                    "cost": { "input": "1", "cached": "1", "write": "1.25", "output": "1" },
                    "prompt_limit": 2_097_152, "answer_limit": 131_072,
                    "counts_as": { "text": 1.2, "functions": 1.5 },
                },
                { "name": "small", "via": ["echo"], "kind": "embedding", "fare": { "input": 1 } },
            ],
        });
        let list = PriceList::read(&list).unwrap();
        let fields: Vec<(String, &str)> =
            list.new_fields().into_iter().map(|new| (new.field, new.since)).collect();
        let of_deep = [
            "via[1]",
            "via[2]",
            "most",
            "aliases",
            "fare.write",
            "cost.write",
            "prompt_limit",
            "answer_limit",
        ];
        let mut expected = vec![("models[1].counts_as".to_owned(), "0.22.0")];
        expected.extend(of_deep.map(|field| (format!("models[1].{field}"), "0.18.0")));
        expected.push(("models[2].kind".to_owned(), "0.18.0"));
        assert_eq!(fields, expected);
    }
}
