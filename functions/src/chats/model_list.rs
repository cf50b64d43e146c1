//! `GET /api/models` - the models that users can choose from, and their prices.
//!
//! Out: the price list's `version`, the word for the product's tokens (`currency`), the limits on a
//! conversation's context, and the `models`, the default one first. Without a price list, the list
//! contains a single model, and `version` is null.
//!
//! Pages use `prompt_overhead` to compute the highest possible price of a message. The prompt
//! consists of `prompt_overhead` model tokens, plus the model tokens of the message and the
//! conversation. The answer consists of at most `most` model tokens. A string never has more model
//! tokens than bytes. The number of bytes is that of the unnormalized, NFC or NFKC form, whichever
//! is longest.
//!
//! A request without an access token gets the prices for a new account.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use shared::app::{HandlerState, UsesSettings};
use shared::charge::prompt_overhead;
use shared::clock::Clock;
use shared::config::{self, AiConfig, CatalogConfig, ConfigError, Names, Settings};
use shared::values::{self, AccessToken, Fare, ModelKind, PriceList, StoredFare};
use shared::{App, Reply, Request, Result, auth, extends, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lists the models and their prices").permits(permits![
        VERIFY_TOKENS,
        get(Tokens(&["models:*"])),
        get(Tokens(&["instructions:*"])),
    ]);

/// Reads the account, if there is one, and the price list.
#[utoipa::path(
    get,
    path = super::path::model_list,
    tag = "Chat",
    summary = "List the models and their prices",
    description = "The models of the price list, the default one first. Without a price list there is one model, whose fare is the price of a message. A request without an access token gets the prices for a new account.",
    security((), ("access_token" = [])),
    responses((status = 200, description = "The models.", body = ModelList)),
)]
pub async fn handle(PriceApp { app, config, currency }: PriceApp, req: Request) -> Reply {
    let caller = auth::caller_or_visitor(&app, &req).await?;
    let (instructions, prices) =
        tokio::join!(instructions_of(&app, caller.as_ref()), app.prices.current());
    let (instructions, prices) = (instructions?, prices?);
    let instructions = Some(instructions.as_str()).filter(|text| !text.is_empty());
    let setting = config.system_prompt.as_deref();
    let unlisted = config.models.first().map_or("", String::as_str);
    let models = match prices.as_deref() {
        None => vec![Model {
            name: unlisted,
            kind: ModelKind::Chat,
            about: "",
            default: true,
            fare: Fare::Message(app.config.chat_price),
            most: config.max_tokens,
            context_length: None,
            pictures: true,
            prompt_overhead: prompt_overhead(setting, instructions),
        }],
        Some(prices) => {
            let list = &prices.list;
            // Most models share the list's system prompt, which may be long, so its overhead is
            // computed once.
            let mut overheads = HashMap::new();
            let models = list.models.iter().map(|model| {
                let system = list.system_prompt(model, setting);
                let overhead = overheads
                    .entry(system)
                    .or_insert_with(|| prompt_overhead(system, instructions));
                Model::of(list, model, config.max_tokens, *overhead)
            });
            models.collect()
        }
    };
    http::ok(&ModelList {
        version: prices.as_deref().map(|prices| prices.of.version.as_str()),
        currency: &currency,
        context: Context { chats: config.context_chats, bytes: config.context_bytes },
        models,
    })
}

/// Returns the instructions of the caller's account. A visitor has none.
async fn instructions_of(app: &App, caller: Option<&AccessToken>) -> Result<String> {
    let Some(caller) = caller else { return Ok(String::new()) };
    let account = app.store.account_of(caller).await?;
    Ok(app.store.instructions_of(&account).await?)
}

/// An [`App`], together with the word that the pages use for the product's tokens, and the settings
/// that are used to compute the highest possible price of a message.
#[derive(Clone)]
pub struct PriceApp {
    app: App,
    config: Arc<CatalogConfig>,
    currency: Arc<str>,
}

extends!(PriceApp, app: App);

impl UsesSettings for PriceApp {
    const SETTINGS: &'static [Names] =
        &[AiConfig::MODELS, CatalogConfig::SETTINGS, &[config::rows::CURRENCY.name]];
}

impl HandlerState for PriceApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let config = CatalogConfig::read(settings)?.into();
        let currency = config::currency(settings)?.into();
        Ok(Self { app: App::start(settings, clock).await?, config, currency })
    }
}

/// The available models, and their prices.
#[derive(Serialize, ToSchema)]
struct ModelList<'a> {
    /// The version of the price list. Null if there is no price list.
    #[schema(required, examples("3f2a9c0d51b7e684"))]
    version: Option<&'a str>,
    /// The pages' word for the product's tokens, in the plural.
    #[schema(examples("tokens"))]
    currency: &'a str,
    /// The limits on the earlier messages that the AI gets with a message.
    context: Context,
    /// The models, the default one first.
    models: Vec<Model<'a>>,
}

/// The limits on the earlier messages that the AI gets with a message.
#[derive(Serialize, ToSchema)]
#[schema(as = ContextLimits)]
struct Context {
    /// The maximum number of earlier messages.
    #[schema(examples(20))]
    chats: usize,
    /// The maximum total length of the earlier messages and answers, in bytes.
    #[schema(examples(32_768))]
    bytes: usize,
}

/// A model, and its prices.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedModel)]
struct Model<'a> {
    /// The name that a message uses to select the model.
    #[schema(examples("echo"))]
    name: &'a str,
    /// The requests that the model answers. Missing for a model that answers messages.
    #[serde(skip_serializing_if = "ModelKind::is_chat")]
    #[schema(required = false)]
    kind: ModelKind,
    /// A one-line description of the model, from the price list. May be empty.
    #[schema(examples(""))]
    about: &'a str,
    /// True for the default model of its kind, which answers requests that don't select a model.
    default: bool,
    /// The model's fare.
    #[schema(value_type = StoredFare)]
    fare: Fare,
    /// The maximum number of model tokens in an answer. 0 for embeddings.
    #[schema(examples(1024))]
    most: u32,
    /// The maximum number of model tokens in a prompt and its answer combined. Missing if the price
    /// list doesn't contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(400_000))]
    context_length: Option<u32>,
    /// True if requests under `/v1` may contain pictures.
    pictures: bool,
    /// The maximum number of model tokens in a prompt with an empty message in a new conversation.
    /// The account's instructions are included. 0 for embeddings.
    #[schema(examples(1057))]
    prompt_overhead: u64,
}

impl<'a> Model<'a> {
    fn of(list: &PriceList, model: &'a values::Model, most: u32, prompt_overhead: u64) -> Self {
        let first = list.of_kind(model.kind).next();
        let is_chat = model.kind.is_chat();
        Self {
            name: &model.name,
            kind: model.kind,
            about: model.about.as_deref().unwrap_or_default(),
            default: first.is_some_and(|(_, first)| first.name == model.name),
            fare: model.fare,
            most: if is_chat { model.most.unwrap_or(most) } else { 0 },
            context_length: model.context,
            pictures: model.takes_pictures(),
            prompt_overhead: if is_chat { prompt_overhead } else { 0 },
        }
    }
}
