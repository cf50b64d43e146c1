//! `GET /api/models` - the models that users can choose from, and their prices.
//!
//! Reads the account, if there is one, and the price list. The reply contains the brand, so that
//! the pages don't need a request of their own for it.
//!
//! Pages use `prompt_overhead` to compute the highest possible price of a message. The prompt
//! consists of `prompt_overhead` model tokens, plus the model tokens of the message and the
//! conversation. The answer consists of at most `most` model tokens. A string never has more model
//! tokens than bytes. The number of bytes is that of the unnormalized, NFC or NFKC form, whichever
//! is longest. The daily census computes `usual_answer`.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use shared::ai::TokenCounts;
use shared::app::{HandlerState, UsesSettings};
use shared::charge::prompt_overhead;
use shared::clock::Clock;
use shared::config::{
    self, AiConfig, CatalogConfig, ConfigError, Names, Settings, Sharing, TitleConfig,
};
use shared::http::FILES_BODY;
use shared::store::{StoredBrand, UsualUsage};
use shared::values::file::{FILE_BYTES, FILES_IN_CONTEXT, FILES_OF_MESSAGE, PICTURES_IN_PROMPT};
use shared::values::{self, AccessToken, Fare, ModelKind, PRICED_PICTURE, PriceList, StoredFare};
use shared::{App, Reply, Request, Result, auth, extends, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lists the models and their prices").permits(permits![
        VERIFY_TOKENS,
        get(Tokens(&["models:*"])),
        get(Tokens(&["brand:*"])),
        get(Tokens(&["usual:*"])),
        get(Tokens(&["instructions:*"])),
    ]);

/// List the models and their prices
///
/// The models of the price list, the default one first. Without a price list there is one model,
/// whose fare is the price of a message. A request without an access token gets the prices for a
/// new account.
#[utoipa::path(
    get,
    path = super::path::model_list,
    tag = "Chat",
    security((), ("access_token" = [])),
    responses((status = 200, description = "The models.", body = ModelList)),
)]
pub async fn handle(price: PriceApp, req: Request) -> Reply {
    let PriceApp { app, config, currency, sharing, titles } = price;
    let caller = auth::caller_or_visitor(&app, &req).await?;
    let (instructions, prices, brand, usual) = tokio::join!(
        instructions_of(&app, caller.as_ref()),
        app.prices.current(),
        app.brand.usable(),
        app.usual.usable()
    );
    let (instructions, prices, brand, usual) = (instructions?, prices?, brand?, usual?);
    let instructions = Some(instructions.as_str()).filter(|text| !text.is_empty());
    let setting = config.system_prompt.as_deref();
    let unlisted = config.models.first().map_or("", String::as_str);
    let models = match prices.as_deref() {
        None => {
            let overhead = prompt_overhead(setting, instructions);
            vec![Model {
                name: unlisted,
                kind: ModelKind::Chat,
                about: "",
                default: true,
                fare: Fare::Message(app.config.chat_price),
                most: config.max_tokens,
                context_length: None,
                pictures: true,
                picture: None,
                prompt_overhead: overhead.bound,
                usual_overhead: overhead.usual(),
                usual_answer: None,
            }]
        }
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
                Model::of(list, model, config.max_tokens, *overhead, usual.as_deref())
            });
            models.collect()
        }
    };
    http::ok(&ModelList {
        version: prices.as_deref().map(|prices| prices.of.version.as_str()),
        currency: &currency,
        sharing: sharing == Sharing::On,
        titles,
        context: Context { chats: config.context_chats, bytes: config.context_bytes },
        attachments: Attachments::new(config.priced_bytes),
        models,
        brand: brand.as_deref().map(BrandShown::of),
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
    sharing: Sharing,
    titles: bool,
}

extends!(PriceApp, app: App);

impl UsesSettings for PriceApp {
    const SETTINGS: &'static [Names] = &[
        AiConfig::MODELS,
        CatalogConfig::SETTINGS,
        Sharing::SETTINGS,
        TitleConfig::MODEL,
        &[config::rows::CURRENCY.name],
    ];
}

impl HandlerState for PriceApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let config = CatalogConfig::read(settings)?.into();
        let currency = config::currency(settings)?.into();
        let sharing = Sharing::read(settings)?;
        let titles = TitleConfig::are_written(settings);
        let app = App::start(settings, clock).await?;
        tokio::join!(app.brand.read_at_start(), app.usual.read_at_start());
        Ok(Self { app, config, currency, sharing, titles })
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
    /// True if users can share chats.
    #[schema(examples(false))]
    sharing: bool,
    /// True if a model writes the titles of conversations: `POST /api/conversations/{id}/title`.
    titles: bool,
    /// The limits on the earlier messages that the AI gets with a message.
    context: Context,
    /// The limits on the files of messages, and how they count in the price.
    attachments: Attachments,
    /// The models, the default one first.
    models: Vec<Model<'a>>,
    /// The operator's brand. Missing if the operator hasn't set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    brand: Option<BrandShown<'a>>,
}

/// The brand that the pages show.
#[derive(Serialize, ToSchema)]
#[schema(as = ShownBrand)]
struct BrandShown<'a> {
    /// The name.
    #[schema(examples("Acme Chat"))]
    name: &'a str,
    /// The operator's name and address, on several lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("Acme Ltd\n1 Main Street\nSpringfield"))]
    address: Option<&'a str>,
    /// The URL of the page with the operator's legal details.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "uri", examples("https://www.example.com/imprint"))]
    imprint_url: Option<&'a str>,
    /// The URL of the terms of use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "uri", examples("https://www.example.com/terms"))]
    terms_url: Option<&'a str>,
    /// The URL of the privacy policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "uri", examples("https://www.example.com/privacy"))]
    privacy_url: Option<&'a str>,
    /// The colour of buttons and links on light backgrounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("#1a4fa3"))]
    color: Option<&'a str>,
    /// The colour of buttons and links on dark backgrounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("#8ab4f8"))]
    dark_color: Option<&'a str>,
    /// The path of the brand's files, relative to the API's base URL. It contains `logo.svg` and
    /// `app.webmanifest`.
    #[schema(examples("brand/3f2a9c0d51b7e684/"))]
    files: String,
}

impl<'a> BrandShown<'a> {
    fn of(StoredBrand { list, of }: &'a StoredBrand) -> Self {
        Self {
            name: &list.name,
            address: list.address.as_deref(),
            imprint_url: list.imprint_url.as_deref(),
            terms_url: list.terms_url.as_deref(),
            privacy_url: list.privacy_url.as_deref(),
            color: list.color.as_deref(),
            dark_color: list.dark_color.as_deref(),
            files: format!("brand/{}/", of.version),
        }
    }
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

/// The limits on the files of messages, and how they count in the price.
///
/// Under a flat fare, a message costs the fare once for each `priced_bytes`, even if incomplete, of
/// all files that the AI gets with it. A text counts its bytes, and a picture `priced_picture`.
#[derive(Serialize, ToSchema)]
#[schema(as = AttachmentLimits)]
struct Attachments {
    /// The most files of a message.
    #[schema(examples(8))]
    files: usize,
    /// The most pictures of a message. Of a conversation's pictures, the AI gets only this
    /// many, the last ones.
    #[schema(examples(4))]
    pictures: usize,
    /// The maximum size of a file, in bytes.
    #[schema(examples(307_200))]
    bytes: usize,
    /// The most files that the AI gets with a message.
    #[schema(examples(20))]
    context_files: usize,
    /// The maximum size of a request with files, in bytes.
    #[schema(examples(2_097_152))]
    body: usize,
    /// How many bytes of files the flat fare of a message covers.
    #[schema(examples(65_536))]
    priced_bytes: usize,
    /// How many bytes a picture counts under a flat fare.
    #[schema(examples(16_384))]
    priced_picture: usize,
}

impl Attachments {
    fn new(priced_bytes: usize) -> Self {
        Self {
            files: FILES_OF_MESSAGE,
            pictures: PICTURES_IN_PROMPT,
            bytes: FILE_BYTES,
            context_files: FILES_IN_CONTEXT,
            body: FILES_BODY,
            priced_bytes,
            priced_picture: PRICED_PICTURE,
        }
    }
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
    /// True if messages may contain pictures.
    pictures: bool,
    /// The maximum number of model tokens in a picture. Missing if the price list doesn't contain
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(4784))]
    picture: Option<u32>,
    /// The maximum number of model tokens in a prompt with an empty message in a new conversation.
    /// The account's instructions are included. 0 for embeddings.
    #[schema(examples(1057))]
    prompt_overhead: u64,
    /// How many model tokens the prompt with an empty message usually has. 0 for embeddings.
    #[schema(examples(12))]
    usual_overhead: u64,
    /// The mean number of model tokens in an answer: of all users' messages in the last seven days.
    /// Missing for a flat fare, for embeddings, and for a model that answered fewer than 20 messages
    /// in these days.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(250))]
    usual_answer: Option<u64>,
}

impl<'a> Model<'a> {
    fn of(
        list: &PriceList,
        model: &'a values::Model,
        most: u32,
        overhead: TokenCounts,
        usual: Option<&UsualUsage>,
    ) -> Self {
        let first = list.of_kind(model.kind).next();
        let is_chat = model.kind.is_chat();
        let is_by_usage = is_chat && matches!(model.fare, Fare::Usage(_));
        let usual_answer = usual.and_then(|usual| usual.answer(&model.name));
        Self {
            name: &model.name,
            kind: model.kind,
            about: model.about.as_deref().unwrap_or_default(),
            default: first.is_some_and(|(_, first)| first.name == model.name),
            fare: model.fare,
            most: if is_chat { model.most.unwrap_or(most) } else { 0 },
            context_length: model.context,
            pictures: model.takes_pictures(),
            picture: model.picture.filter(|_| is_chat),
            prompt_overhead: if is_chat { overhead.bound } else { 0 },
            usual_overhead: if is_chat { overhead.usual() } else { 0 },
            usual_answer: usual_answer.filter(|_| is_by_usage),
        }
    }
}
