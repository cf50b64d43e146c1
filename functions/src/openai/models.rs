//! `GET /v1/models`, `GET /v1/v1/models`, `GET /v1/models/{id}`, `GET /v1/v1/models/{id}`,
//! `GET /v1/key`, `GET /v1/credits` - the configured models, in the format of OpenAI's API
//! ([reference](https://platform.openai.com/docs/api-reference/models)).
//!
//! Returns the models only if the caller's credential is valid for the account.

mod anthropic;

use std::sync::Arc;

use serde::Serialize;
use shared::app::{HandlerState, UsesSettings};
use shared::clock::{self, Clock};
use shared::config::{AiConfig, ConfigError, Names, Settings};
use shared::error::Failure;
use shared::store::{ChatLimits, StoredPrices};
use shared::values::{
    self, Account, Credential, Fare, LimitPeriod, ModelKind, PriceList, Rates, StoredApiKey,
    StoredFare, estimate_model_tokens,
};
use shared::{App, Credits, Error, Reply, Request, auth, extends, http};
use utoipa::ToSchema;

use self::anthropic::{AnthropicModel, AnthropicModels};
use crate::dialects::messages;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lists the models, and shows the caller's key and credits to OpenRouter's clients")
        .permits(permits![VERIFY_TOKENS, get(Tokens(&["apikey:*", "models:*"]))]);

/// The path of one model.
pub(crate) const ONE_PATH: &str = "/v1/models/{id}";

/// The path of the caller's API key.
pub(crate) const KEY_PATH: &str = "/v1/key";

/// The path of the caller's credits.
pub(crate) const CREDITS_PATH: &str = "/v1/credits";

/// List models
///
/// The configured models, in the order in which they are called. If there is a price list, its
/// models, each followed by its aliases without a `*`. An API key that is restricted to certain
/// models gets only those models. With the header `anthropic-version`, the reply has the form of
/// [Anthropic's API](https://docs.anthropic.com/en/api/models-list), and the API key may be in
/// `x-api-key`.
#[utoipa::path(
    get,
    path = super::path::models,
    tag = "OpenAI",
    security(("x_api_key" = []), ("api_key" = []), ("access_token" = [])),
    params((
        "anthropic-version" = Option<String>, Header,
        description = "If this header is present, the reply has the form of Anthropic's API.",
        example = "2023-06-01"
    )),
    responses((status = 200, description = "The models.", body = ModelsReply)),
    extensions(
        ("x-fails" = json!([Failure::ApiKeyExpired, Failure::TwoCredentials])),
        ("x-gives" = json!({ "/v1/models/{id}": "/data/0/id" })),
    ),
)]
pub async fn handle(Catalog { app, models, longest, most }: Catalog, req: Request) -> Reply {
    let is_anthropics = req.headers().contains_key(messages::VERSION_HEADER);
    let caller = match is_anthropics {
        true => auth::program_with_x_api_key(&app, &req).await?,
        false => auth::program(&app, &req).await?,
    };
    let account = app.store.account_with(&caller).await?;
    match http::path(&req).trim_end_matches('/') {
        KEY_PATH => return show_key(&app, &caller, &account),
        CREDITS_PATH => return show_credits(&app, &account),
        _ => {}
    }
    let prices = app.prices.current().await?;
    let mut models: Vec<Model<'_>> = match prices.as_deref() {
        None if caller.models().is_some() => Vec::new(),
        None => models
            .iter()
            .map(|model| Model { max_model_len: longest, ..Model::named(model) })
            .collect(),
        Some(prices) => {
            let listed = prices.list.models.iter().filter(|model| caller.may_use(&model.name));
            let named = |model| Model::listed(model, prices, most, longest);
            listed.flat_map(|model| named(model).with_aliases(&model.aliases)).collect()
        }
    };
    // Anthropic's API doesn't have embeddings.
    models.retain(|model| model.kind.is_chat() || !is_anthropics);
    match (http::path_parameter(&req, "id"), is_anthropics) {
        ("", false) => http::ok(&ModelsReply::OpenAi(Models { object: "list", data: models })),
        ("", true) => http::ok(&ModelsReply::Anthropic(AnthropicModels::of(&models))),
        (id, _) => {
            let list = prices.as_deref().map(|prices| &prices.list);
            find_model(&models, list, &http::unescaped(id), is_anthropics)
        }
    }
}

/// Read a model
///
/// The model that a request with this name gets. The name may be an alias, or begin like an alias
/// with `*`. Unlike in requests, an unknown name is never the first model. An API key that is
/// restricted to certain models finds only those models.
#[utoipa::path(
    get,
    path = ONE_PATH,
    operation_id = "model",
    tag = "OpenAI",
    security(("x_api_key" = []), ("api_key" = []), ("access_token" = [])),
    params(
        ("id" = String, Path, description = "The model's name, or another name by which requests choose it.", example = "echo"),
        (
            "anthropic-version" = Option<String>, Header,
            description = "If this header is present, the reply has the form of Anthropic's API.",
            example = "2023-06-01"
        ),
    ),
    responses((status = 200, description = "The model.", body = OneModel)),
    extensions(("x-fails" = json!([Failure::ApiKeyExpired, Failure::TwoCredentials, Failure::NoSuchModel]))),
)]
pub(crate) fn find_model(
    models: &[Model<'_>],
    list: Option<&PriceList>,
    name: &str,
    is_anthropics: bool,
) -> Reply {
    let listed = |name: &str| models.iter().find(|model| model.id == name);
    let chosen = |kind| {
        let (_, model) = list?.chosen(name, kind)?;
        listed(&model.name).map(|entry| entry.called(name))
    };
    let model = listed(name)
        .cloned()
        .or_else(|| [ModelKind::Chat, ModelKind::Embedding].into_iter().find_map(chosen))
        .ok_or_else(|| Error::NoSuchModel(Some(name.to_owned())))?;
    http::ok(&match is_anthropics {
        true => OneModel::Anthropic(AnthropicModel::of(&model)),
        false => OneModel::OpenAi(Box::new(model)),
    })
}

/// Read the API key's limit
///
/// Shows what the request's API key may spend and has spent, in OpenRouter's fields. Amounts are in
/// tokens. For an access token, shows the account's amounts.
#[utoipa::path(
    get,
    path = KEY_PATH,
    operation_id = "key",
    tag = "OpenAI",
    security(("x_api_key" = []), ("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "The key.", body = CurrentKey)),
    extensions(("x-fails" = json!([Failure::ApiKeyExpired, Failure::TwoCredentials]))),
)]
pub(crate) fn show_key(app: &App, caller: &Credential, account: &Account) -> Reply {
    let now = app.clock.millis();
    let key = caller.api_key();
    let limit = key.and_then(StoredApiKey::limit);
    let usage = match key.filter(|_| limit.is_some()) {
        Some(key) => key.spent(account, &clock::month(now)),
        None => used(account, now),
    };
    let expires = key.and_then(|key| key.restrictions().expires);
    let is_monthly = limit.is_some_and(|limit| limit.per == LimitPeriod::Month);
    http::ok(&CurrentKey {
        data: KeyFacts {
            label: key.map_or(&account.name, |key| &key.label),
            limit: limit.map(|limit| limit.tokens),
            limit_remaining: limit.map(|limit| limit.tokens.checked_sub(usage).unwrap_or_default()),
            limit_reset: is_monthly.then_some("monthly"),
            usage,
            expires_at: expires.map(|second| clock::rfc3339(second * 1000)),
            is_free_tier: false,
            rate_limit: KeyRate {
                requests: ChatLimits::of_caller(&app.config, caller).per_minute,
                interval: "1m",
                note: "All keys of the account share this limit.",
            },
        },
    })
}

/// Read the account's totals
///
/// The tokens that the account was given and has used, in OpenRouter's fields. The balance is the
/// difference. The balance doesn't include an allowance that is due until the next message.
#[utoipa::path(
    get,
    path = CREDITS_PATH,
    operation_id = "credits",
    tag = "OpenAI",
    security(("x_api_key" = []), ("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "The totals.", body = Totals)),
    extensions(("x-fails" = json!([Failure::ApiKeyExpired, Failure::TwoCredentials]))),
)]
pub(crate) fn show_credits(app: &App, account: &Account) -> Reply {
    let total_usage = used(account, app.clock.millis());
    http::ok(&Totals { data: TotalFacts { total_credits: account.granted, total_usage } })
}

/// Returns the credits that the account has spent, plus those that are held.
fn used(account: &Account, now: u64) -> Credits {
    account.granted.checked_sub(account.balance(now / 1000)).unwrap_or_default()
}

/// The caller's API key.
#[derive(Serialize, ToSchema)]
struct CurrentKey<'a> {
    /// The key.
    data: KeyFacts<'a>,
}

/// An API key's limit and spending, in OpenRouter's fields.
#[derive(Serialize, ToSchema)]
struct KeyFacts<'a> {
    /// The key's name. With an access token, the username.
    #[schema(examples("build server"))]
    label: &'a str,
    /// The tokens that the key may spend. Null if it may spend the whole balance.
    #[schema(required)]
    limit: Option<Credits>,
    /// The unused part of the limit.
    #[schema(required)]
    limit_remaining: Option<Credits>,
    /// `monthly` if the limit is reset at the start of each month in UTC.
    #[schema(required, examples("monthly"))]
    limit_reset: Option<&'static str>,
    /// The tokens that the key has spent or holds in the current period of its limit. For a key
    /// without a limit, the tokens that the whole account has spent or holds.
    usage: Credits,
    /// When the key expires.
    #[schema(required, format = "date-time", examples("2027-04-01T00:00:00.000Z"))]
    expires_at: Option<String>,
    /// Always false.
    #[schema(examples(false))]
    is_free_tier: bool,
    /// The number of messages that the account may send.
    rate_limit: KeyRate,
}

/// The limit on an account's messages.
#[derive(Serialize, ToSchema)]
struct KeyRate {
    /// The number of messages.
    #[schema(examples(300))]
    requests: u32,
    /// The period in which the messages may be sent.
    #[schema(examples("1m"))]
    interval: &'static str,
    /// A human-readable sentence.
    #[schema(examples("All keys of the account share this limit."))]
    note: &'static str,
}

/// An account's totals.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountTotals)]
struct Totals {
    /// The totals.
    data: TotalFacts,
}

/// An account's totals, in OpenRouter's fields.
#[derive(Serialize, ToSchema)]
struct TotalFacts {
    /// The tokens that the account has been granted.
    total_credits: Credits,
    /// The tokens that the account has spent, including those held for unfinished answers.
    total_usage: Credits,
}

/// An [`App`], together with the models' names. Listing the models doesn't call a provider.
#[derive(Clone)]
pub struct Catalog {
    app: App,
    models: Arc<[String]>,
    /// The maximum number of tokens in a prompt, if the operator has set it.
    longest: Option<usize>,
    /// The maximum number of tokens in an answer, for models without a maximum in the price list.
    most: u32,
}

extends!(Catalog, app: App);

impl UsesSettings for Catalog {
    const SETTINGS: &'static [Names] = &[AiConfig::MODELS, AiConfig::LIMITS];
}

impl HandlerState for Catalog {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let models = AiConfig::models(settings)?;
        let most = AiConfig::longest_answer(settings)?;
        let longest = AiConfig::chosen_prompt_limit(settings)?.map(estimate_model_tokens);
        let app = App::start(settings, clock).await?;
        Ok(Self { app, models: models.into(), longest, most })
    }
}

/// The configured models, in the form of OpenAI's or Anthropic's API.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ModelsReply<'a> {
    OpenAi(Models<'a>),
    Anthropic(AnthropicModels<'a>),
}

/// A configured model, in the form of OpenAI's or Anthropic's API.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum OneModel<'a> {
    OpenAi(Box<Model<'a>>),
    Anthropic(AnthropicModel<'a>),
}

/// The configured models.
#[derive(Serialize, ToSchema)]
struct Models<'a> {
    /// Always `list`.
    #[schema(pattern = "^list$", examples("list"))]
    object: &'static str,
    /// The models.
    data: Vec<Model<'a>>,
}

/// A configured model.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Model<'a> {
    /// The model's name.
    #[schema(examples("echo"))]
    id: &'a str,
    /// The model's name again, for OpenRouter's clients.
    #[schema(examples("echo"))]
    name: &'a str,
    /// For an alias, the name of the model that answers, in OpenRouter's field. Missing if `id` is
    /// the model's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("deep"))]
    canonical_slug: Option<&'a str>,
    #[serde(skip)]
    kind: ModelKind,
    /// Always `model`.
    #[schema(pattern = "^model$", examples("model"))]
    object: &'static str,
    /// When the price list was set, in seconds since 1970. 0 without a price list.
    #[schema(examples(0))]
    created: u64,
    /// Always `system`.
    #[schema(pattern = "^system$", examples("system"))]
    owned_by: &'static str,
    /// The maximum number of tokens in a prompt, counted as four bytes each. Missing unless the
    /// operator has changed the limit, or the price list sets one for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(32_768))]
    max_model_len: Option<usize>,
    /// The maximum number of tokens in a prompt and its answer combined. Missing if the price list
    /// doesn't contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(400_000))]
    context_length: Option<u32>,
    /// The maximum number of tokens in an answer. Missing without a price list, and for embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(4096))]
    max_output_tokens: Option<u32>,
    /// The kinds of content in prompts and answers.
    architecture: Architecture,
    /// The model's fare. Missing without a price list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<StoredFare>)]
    fare: Option<Fare>,
    /// The price of the model's tokens, in money. Missing unless the price list says what the
    /// product's tokens cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pricing: Option<Pricing>,
}

/// The kinds of content in prompts and answers, in OpenRouter's fields.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ModelArchitecture)]
pub(crate) struct Architecture {
    /// The kinds of input and output, in one string.
    #[schema(pattern = r"^text(\+image)?->(text|embeddings)$", examples("text+image->text"))]
    modality: &'static str,
    /// `text`, and `image` if prompts may contain pictures. The provider may still refuse pictures.
    #[schema(min_items = 1, max_items = 2, examples("text"))]
    input_modalities: &'static [&'static str],
    /// `text` or `embeddings`.
    #[schema(min_items = 1, max_items = 1, examples("text"))]
    output_modalities: [&'static str; 1],
}

impl Architecture {
    fn of(kind: ModelKind, takes_pictures: bool) -> Self {
        let (modality, input_modalities, output): (_, &[_], _) = match kind {
            ModelKind::Embedding => ("text->embeddings", &["text"], "embeddings"),
            ModelKind::Chat if takes_pictures => ("text+image->text", &["text", "image"], "text"),
            ModelKind::Chat => ("text->text", &["text"], "text"),
        };
        Self { modality, input_modalities, output_modalities: [output] }
    }
}

/// The prices of a model, in money, as decimal strings in OpenRouter's fields. The price of a model
/// that is charged by message is in `request`.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Pricing {
    /// The price of a token in the prompt.
    #[schema(examples("0.000002"))]
    prompt: String,
    /// The price of a token in the answer.
    #[schema(examples("0.000016"))]
    completion: String,
    /// The price of a message.
    #[schema(examples("0.0"))]
    request: String,
    /// The price of a prompt token that was read from the cache.
    #[schema(examples("0.0000002"))]
    input_cache_read: String,
    /// The price of a prompt token that was written into the cache. Missing if such a token costs
    /// the same as the other tokens in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("0.0000025"))]
    input_cache_write: Option<String>,
}

impl Pricing {
    fn of(fare: Fare, million_tokens: values::Money) -> Self {
        let price = |millionths: u64| million_tokens.of_millionths(millionths);
        let none = Rates { input: 0, cached: 0, write: None, output: 0 };
        let (message, Rates { input, cached, write, output }) = match fare {
            Fare::Message(price) => (price.get().saturating_mul(1_000_000), none),
            Fare::Usage(rates) => (0, rates),
        };
        Self {
            prompt: price(input),
            completion: price(output),
            request: price(message),
            input_cache_read: price(cached),
            input_cache_write: write.map(price),
        }
    }
}

impl<'a> Model<'a> {
    fn named(id: &'a str) -> Self {
        Self {
            id,
            name: id,
            canonical_slug: None,
            kind: ModelKind::Chat,
            object: "model",
            created: 0,
            owned_by: "system",
            max_model_len: None,
            context_length: None,
            max_output_tokens: None,
            architecture: Architecture::of(ModelKind::Chat, true),
            fare: None,
            pricing: None,
        }
    }

    fn listed(
        model: &'a values::Model,
        prices: &StoredPrices,
        most: u32,
        longest: Option<usize>,
    ) -> Self {
        let million_tokens = prices.list.million_tokens;
        let own = model.prompt_limit.and_then(|bytes| usize::try_from(bytes).ok());
        Self {
            created: prices.of.time / 1000,
            max_model_len: own.map(estimate_model_tokens).or(longest),
            context_length: model.context,
            kind: model.kind,
            max_output_tokens: Some(model.most.unwrap_or(most)).filter(|_| model.kind.is_chat()),
            architecture: Architecture::of(model.kind, model.takes_pictures()),
            fare: Some(model.fare),
            pricing: million_tokens.map(|money| Pricing::of(model.fare, money)),
            ..Self::named(&model.name)
        }
    }

    /// Returns this entry, and an entry for each alias that doesn't end with `*`.
    fn with_aliases(self, aliases: &'a [String]) -> Vec<Self> {
        let whole = aliases.iter().map(String::as_str).filter(|alias| !alias.ends_with('*'));
        let mut entries: Vec<Self> = whole.map(|alias| self.called(alias)).collect();
        entries.insert(0, self);
        entries
    }

    /// Returns this entry under another of the model's names.
    fn called(&self, alias: &'a str) -> Self {
        Self { id: alias, name: alias, canonical_slug: Some(self.id), ..self.clone() }
    }
}
