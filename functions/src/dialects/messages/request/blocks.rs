//! The blocks of a message: texts, pictures, documents, reasoning, calls of functions, and their
//! results.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use shared::error::{REQUIRED, required};
use shared::values::call_id::decoded;
use shared::values::{CacheTtl, Invalid, Part, Picture, Reasoning, ToolCall};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::tools::checked_name;
use crate::dialects::programs::cache::CacheControl;
use crate::dialects::programs::json::{object, raw_object, text_or_list, text_or_object};
use crate::dialects::programs::turns::{PARTS, joined};

/// The maximum number of characters of a block's type in an error message.
const KIND: usize = 100;

/// A string, or a list of blocks.
#[derive(ToSchema)]
#[schema(as = AnthropicInputContent)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Blocks(Vec<InputBlock>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_list(json, (PARTS, "blocks"), Self::Text, Self::Blocks)
    }
}

impl Content {
    pub(super) fn blocks(self) -> Vec<InputBlock> {
        match self {
            Self::Text(text) => vec![InputBlock { block: Block::Text(Some(text)), cache: None }],
            Self::Blocks(blocks) => blocks,
        }
    }

    /// Returns true if a block asks for citations.
    pub(super) fn cites(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Blocks(blocks) => blocks.iter().any(|block| block.block.cites()),
        }
    }

    /// Returns the text of content in which only texts are allowed.
    fn text(self) -> Result<String, Invalid> {
        let blocks = self.blocks().into_iter();
        let texts: Result<Vec<String>, Invalid> = blocks.map(|block| block.block.text()).collect();
        Ok(texts?.join("\n"))
    }
}

/// A block of a message, with its cache breakpoint. Values are small, because a body may contain
/// very many short blocks.
#[derive(Deserialize)]
#[serde(from = "AnyBlock")]
pub(super) struct InputBlock {
    pub(super) block: Block,
    pub(super) cache: Option<CacheTtl>,
}

/// A block of a message.
pub(super) enum Block {
    Text(Option<String>),
    Picture(Option<Box<Source>>),
    Document(Box<Document>),
    SearchResult(Box<SearchResult>),
    Call(Box<CallBlock>),
    Result(Box<ResultBlock>),
    Thinking(Box<ThinkingBlock>),
    /// Reasoning that only the provider can read.
    Redacted(Option<String>),
    /// The name of a function that the client has loaded.
    Reference(Option<String>),
    /// A block of another kind, which has this name.
    Other(String),
}

/// Texts and pictures with a title and a description.
pub(super) struct Document {
    source: Option<Box<Source>>,
    title: Option<String>,
    context: Option<String>,
    /// True if the answer should cite the document.
    cites: bool,
}

/// A result of the client's own search.
pub(super) struct SearchResult {
    title: Option<String>,
    source: Option<String>,
    content: Option<Content>,
    /// True if the answer should cite the result.
    cites: bool,
}

/// A call of a function.
pub(super) struct CallBlock {
    id: Option<String>,
    name: Option<String>,
    input: Option<Box<RawValue>>,
}

/// The result of a call.
pub(super) struct ResultBlock {
    pub(super) tool_use_id: Option<String>,
    pub(super) content: Option<Content>,
    pub(super) has_failed: bool,
}

/// The model's reasoning.
pub(super) struct ThinkingBlock {
    thinking: Option<String>,
    signature: Option<String>,
}

/// A block of a message: `text`; in a user's message also `image`, `document`, `search_result` or
/// `tool_result`, and in the assistant's `tool_use`, `thinking` or `redacted_thinking`. A result
/// may contain `text`, `image`, `document`, `search_result` and `tool_reference`. Other fields are
/// ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicInputBlock)]
struct AnyBlock {
    #[serde(rename = "type")]
    #[schema(examples("text"))]
    kind: String,
    #[schema(examples("Hello!"))]
    text: Option<String>,
    /// The picture of an `image`, the text of a `document`, or the origin of a `search_result`,
    /// which is a string.
    source: Option<AnySource>,
    /// The title of a `document` or a `search_result`.
    title: Option<String>,
    /// The description of a `document`.
    context: Option<String>,
    /// The id of a call. A result contains the id of the call that it belongs to.
    id: Option<String>,
    /// The name of the called function.
    name: Option<String>,
    /// The arguments of a call.
    #[serde(default, deserialize_with = "raw_object")]
    #[schema(value_type = Option<Object>)]
    input: Option<Box<RawValue>>,
    /// The id of the call whose result the block contains.
    tool_use_id: Option<String>,
    /// The result of a call, which is a string or a list of blocks, or the texts of a
    /// `search_result`.
    #[schema(value_type = Option<Value>)]
    content: Option<Content>,
    /// True if the call failed.
    is_error: Option<bool>,
    /// The model's reasoning, as in an earlier answer.
    thinking: Option<String>,
    /// The signature of the reasoning, as in an earlier answer.
    signature: Option<String>,
    /// The data of `redacted_thinking`, as in an earlier answer.
    data: Option<String>,
    /// The name of a function that the client has loaded.
    tool_name: Option<String>,
    /// Whether the answer should cite a `document` or a `search_result`: refused if `enabled` is
    /// true, because answers contain no citations. In an earlier answer, the citations of a `text`,
    /// which are left out.
    #[schema(value_type = Option<Value>)]
    citations: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "object")]
    cache_control: Option<CacheControl>,
}

/// Whether the answer should cite a document or a search result.
#[derive(Deserialize)]
struct Citations {
    #[serde(default)]
    enabled: Option<bool>,
}

impl Citations {
    /// Returns true if the JSON asks for citations.
    fn are_enabled(json: &RawValue) -> bool {
        let citations: Option<Self> = serde_json::from_str(json.get()).ok();
        citations.is_some_and(|citations| citations.enabled == Some(true))
    }
}

/// The name of a source, or its data.
#[derive(ToSchema)]
#[schema(as = AnthropicAnySource)]
#[serde(untagged)]
enum AnySource {
    Name(String),
    Data(Box<Source>),
}

impl<'de> Deserialize<'de> for AnySource {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_object(json, "a string or an object", Self::Name, Self::Data)
    }
}

/// The data of a picture or document, or a picture's URL.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicSource)]
pub(super) struct Source {
    /// For a picture `base64` or `url`, and for a document `text` or `content`.
    #[serde(rename = "type")]
    #[schema(examples("base64"))]
    kind: String,
    #[schema(examples("image/png"))]
    media_type: Option<String>,
    /// The Base64 of a PNG, JPEG, GIF or WebP file, or the text of a document.
    data: Option<String>,
    /// An `https` URL with a public host name, which the model's provider opens.
    #[schema(examples("https://example.com/cat.png"))]
    url: Option<String>,
    /// The content of a document: a string, or a list of texts and pictures.
    #[schema(value_type = Option<Value>)]
    content: Option<Content>,
}

impl PartialSchema for InputBlock {
    fn schema() -> RefOr<Schema> {
        AnyBlock::schema()
    }
}

impl ToSchema for InputBlock {
    fn name() -> Cow<'static, str> {
        AnyBlock::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        AnyBlock::schemas(schemas);
    }
}

impl From<AnyBlock> for InputBlock {
    fn from(block: AnyBlock) -> Self {
        let AnyBlock { kind, text, source, title, context, id, name, input, .. } = block;
        let AnyBlock {
            tool_use_id,
            content,
            is_error,
            thinking,
            signature,
            data,
            tool_name,
            citations,
            cache_control,
            ..
        } = block;
        let cites = || citations.as_deref().is_some_and(Citations::are_enabled);
        let (source, origin) = match source {
            Some(AnySource::Data(source)) => (Some(source), None),
            Some(AnySource::Name(name)) => (None, Some(name)),
            None => (None, None),
        };
        let block = match kind.as_str() {
            "text" => Block::Text(text),
            "image" => Block::Picture(source),
            "document" => {
                let cites = cites();
                Block::Document(Box::new(Document { source, title, context, cites }))
            }
            "search_result" => {
                let (source, cites) = (origin, cites());
                Block::SearchResult(Box::new(SearchResult { title, source, content, cites }))
            }
            "tool_use" => Block::Call(Box::new(CallBlock { id, name, input })),
            "tool_result" => {
                let has_failed = is_error == Some(true);
                Block::Result(Box::new(ResultBlock { tool_use_id, content, has_failed }))
            }
            "thinking" => Block::Thinking(Box::new(ThinkingBlock { thinking, signature })),
            "redacted_thinking" => Block::Redacted(data),
            "tool_reference" => Block::Reference(tool_name),
            _ => Block::Other(kind),
        };
        Self { block, cache: cache_control.and_then(CacheControl::ttl) }
    }
}

impl Block {
    /// Returns true if the answer should cite the block, or a block in it.
    fn cites(&self) -> bool {
        match self {
            Self::Document(document) => document.cites,
            Self::SearchResult(result) => result.cites,
            Self::Result(result) => result.content.as_ref().is_some_and(Content::cites),
            _ => false,
        }
    }

    /// Returns the text of a block in which only texts are allowed.
    pub(super) fn text(self) -> Result<String, Invalid> {
        match self {
            Self::Text(text) => text.ok_or_else(|| REQUIRED.into()),
            other => Err(other.refusal()),
        }
    }

    /// Returns the content of a block in a user's message, or in the result of a call.
    pub(super) fn parts(self) -> Result<Vec<Part>, Invalid> {
        match self {
            Self::Document(document) => document.parts(),
            Self::SearchResult(result) => Ok(vec![Part::Text(result.text()?)]),
            Self::Reference(name) => {
                let name = required(name)?;
                Ok(vec![Part::Text(format!("The function {name} is available."))])
            }
            other => Ok(vec![other.text_or_picture()?]),
        }
    }

    fn text_or_picture(self) -> Result<Part, Invalid> {
        match self {
            Self::Picture(source) => source.ok_or(REQUIRED)?.picture().map(Part::Picture),
            other => other.text().map(Part::Text),
        }
    }

    /// Returns the error message for a block in the wrong place.
    pub(super) fn refusal(&self) -> Invalid {
        let kind: &str = match self {
            Self::Text(_) => "text",
            Self::Picture(_) => "image",
            Self::Document(_) => "document",
            Self::SearchResult(_) => "search_result",
            Self::Call(_) => "tool_use",
            Self::Result(_) => "tool_result",
            Self::Thinking(_) => "thinking",
            Self::Redacted(_) => "redacted_thinking",
            Self::Reference(_) => "tool_reference",
            Self::Other(kind) => kind,
        };
        if kind == "compaction" {
            return "Only Anthropic can read blocks of the type compaction. Send the conversation, or its summary as text.".into();
        }
        let kind: String = kind.chars().take(KIND).collect();
        format!("Blocks of the type {kind} aren't supported here. Send their content as text.")
            .into()
    }
}

impl Document {
    /// Returns the texts and pictures after the title and the description.
    fn parts(self) -> Result<Vec<Part>, Invalid> {
        let Self { source, title, context, .. } = self;
        let content = source.ok_or(REQUIRED)?.document()?;
        let before = [title, context].into_iter().flatten().filter(|text| !text.is_empty());
        Ok(joined(before.map(Part::Text).chain(content).collect()))
    }
}

impl SearchResult {
    /// Returns the texts after their title and their origin.
    fn text(self) -> Result<String, Invalid> {
        let Self { title, source, content, .. } = self;
        let texts = content.ok_or(REQUIRED)?.text()?;
        let before = [title, source].into_iter().flatten().filter(|text| !text.is_empty());
        Ok(before.chain([texts]).collect::<Vec<_>>().join("\n"))
    }
}

impl CallBlock {
    /// Returns the call.
    ///
    /// # Errors
    /// Returns an error if the id is missing or the name is invalid. No provider would accept them.
    pub(super) fn read(self) -> Result<ToolCall, Invalid> {
        let Self { id, name, input } = self;
        let (id, name) = (required(id)?, checked_name(name.unwrap_or_default())?);
        let arguments = input.map_or_else(|| "{}".to_owned(), |input| input.get().to_owned());
        Ok(ToolCall { id: decoded(&id).into_owned(), name, arguments })
    }
}

impl ThinkingBlock {
    pub(super) fn read(self) -> Reasoning {
        let text = self.thinking.unwrap_or_default();
        // An answer without a signature has an empty one.
        let signature = self.signature.filter(|signature| !signature.is_empty());
        Reasoning { text, signature, encrypted: None }
    }
}

impl Source {
    fn picture(self) -> Result<Picture, Invalid> {
        let Self { kind, media_type, data, url, .. } = self;
        let url = match kind.as_str() {
            "base64" => format!("data:{};base64,{}", required(media_type)?, required(data)?),
            "url" => required(url)?,
            _ => {
                let kinds =
                    "The source of a picture must be base64 or url. This API stores no files.";
                return Err(kinds.into());
            }
        };
        Picture::parse(url, None)
    }

    /// Returns the texts and pictures of a document.
    fn document(self) -> Result<Vec<Part>, Invalid> {
        match self.kind.as_str() {
            "text" => Ok(vec![Part::Text(self.data.ok_or(REQUIRED)?)]),
            "content" => {
                let blocks = self.content.ok_or(REQUIRED)?.blocks().into_iter();
                blocks.map(|InputBlock { block, .. }| block.text_or_picture()).collect()
            }
            _ => {
                Err("Only documents of text are supported. Send the text of a PDF instead.".into())
            }
        }
    }
}
