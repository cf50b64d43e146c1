//! A request for Bedrock's Converse API.

use std::collections::HashMap;

use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::types::{
    self, AnyToolChoice, CachePointBlock, CachePointType, CacheTtl as Ttl, ContentBlock,
    ConversationRole, ImageBlock, ImageFormat, ImageSource, InferenceConfiguration,
    JsonSchemaDefinition, Message, OutputConfig, OutputFormat, OutputFormatStructure,
    OutputFormatType, ReasoningContentBlock, ReasoningTextBlock, SpecificToolChoice,
    SystemContentBlock, ToolConfiguration, ToolInputSchema, ToolResultBlock,
    ToolResultContentBlock, ToolResultStatus, ToolSpecification, ToolUseBlock,
};
use aws_smithy_types::{Blob, Document};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::ai::bedrock::document::object;
use crate::ai::bedrock::is_by;
use crate::ai::blocks::AnswerIn;
use crate::ai::breakpoints::Breakpoints;
use crate::ai::call_ids::{AcceptedIds, CallIds};
use crate::ai::{
    AnswerSchema, Failure, Format, JsonSchema, Prompt, Refusal, Thinking, Tool, ToolChoice,
};
use crate::values::{
    CacheTtl, Part, Picture, Reasoning, Speaker, ToolCall, Turn, TurnBlock, lacks_arguments,
};

pub struct ConverseRequest {
    pub system: Vec<SystemContentBlock>,
    pub messages: Vec<Message>,
    pub inference: InferenceConfiguration,
    /// The parameters in the model's own form.
    pub more: Option<Document>,
    pub tools: Option<ToolConfiguration>,
    pub output: Option<OutputConfig>,
    /// The part of the reply that will contain the answer.
    pub answer: AnswerIn,
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::failed(error.to_string())
    }
}

impl ConverseRequest {
    /// Creates a request for this prompt. Converse can't forbid function calls, and refuses a
    /// conversation with earlier calls unless functions are declared. Therefore, if the prompt
    /// forbids calls, its functions are dropped, and earlier calls are converted to text.
    pub fn of(prompt: &Prompt, model: &str) -> Result<Self, Failure> {
        if prompt.has_tools() && !prompt.offers_calls() {
            return Self::of(&prompt.without_tools(), model);
        }
        if let (Some(Format::JsonObject), Some(asked)) =
            (&prompt.format, Self::by_function(prompt, model)?)
        {
            return Ok(asked);
        }
        let mut cache = CachePoints::of(prompt, model);
        let tools = tools(prompt, &mut cache)?;
        let (system, mut messages) = split(prompt, &mut cache)?;
        let is_point = |block: &ContentBlock| matches!(block, ContentBlock::CachePoint(_));
        let point = cache.next(prompt.cache)?.map(ContentBlock::CachePoint);
        if let Some(last) = messages.last_mut()
            && !last.content.last().is_some_and(is_point)
        {
            last.content.extend(point);
        }
        let (inference, more) = (inference(prompt, model), model_parameters(prompt, model));
        let output = output(prompt)?;
        Ok(Self { system, messages, inference, more, tools, output, answer: AnswerIn::Blocks })
    }

    /// Creates a request in which the model answers by calling a function. Returns `None` if the
    /// answer is plain text or may call other functions.
    pub fn by_function(prompt: &Prompt, model: &str) -> Result<Option<Self>, Failure> {
        let Some((prompt, answer)) = prompt.by_function()? else { return Ok(None) };
        Ok(Some(Self { answer, ..Self::of(&prompt, model)? }))
    }
}

/// The cache points of a request
/// ([models](https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html)). Only some
/// makers' models accept them. Other models get none, because cache points don't change the answer.
struct CachePoints {
    /// `None` if the model doesn't accept cache points.
    left: Option<Breakpoints>,
    /// True for Anthropic's models, which also cache functions, and for an hour.
    is_anthropic: bool,
}

impl CachePoints {
    fn of(prompt: &Prompt, model: &str) -> Self {
        let is_anthropic = is_by(model, "anthropic");
        let is_nova = is_by(model, "amazon") && model.contains("amazon.nova");
        let left = (is_anthropic || is_nova).then(|| Breakpoints::of(prompt));
        Self { left, is_anthropic }
    }

    /// Returns the cache point after a function.
    fn after_tool(&mut self, tool: &Tool) -> Result<Option<CachePointBlock>, BuildError> {
        Ok(self.next(tool.cache)?.filter(|_| self.is_anthropic))
    }

    /// Returns the next cache point.
    fn next(&mut self, cache: Option<CacheTtl>) -> Result<Option<CachePointBlock>, BuildError> {
        let Some(cache) = self.left.as_mut().and_then(|left| left.next(cache)) else {
            return Ok(None);
        };
        let ttl = match cache {
            CacheTtl::OneHour if self.is_anthropic => Some(Ttl::OneHour),
            // The default.
            CacheTtl::OneHour | CacheTtl::FiveMinutes => None,
        };
        CachePointBlock::builder().r#type(CachePointType::Default).set_ttl(ttl).build().map(Some)
    }
}

/// Splits turns into the instructions and the conversation. Bedrock requires that the user speaks
/// first and that speakers alternate, so turns before the user's first message are left out.
/// Results of calls count as user turns.
fn split(
    prompt: &Prompt,
    cache: &mut CachePoints,
) -> Result<(Vec<SystemContentBlock>, Vec<Message>), Failure> {
    let mut system = Vec::new();
    let mut messages: Vec<(ConversationRole, Vec<ContentBlock>)> = Vec::new();
    let mut ids = CallIds::of(prompt, AcceptedIds::PlainAndUnique);
    for turn in &prompt.turns {
        let role = match turn.role {
            Speaker::System => {
                system.extend(instructions(turn, cache)?);
                continue;
            }
            Speaker::Assistant | Speaker::Tool if messages.is_empty() => continue,
            Speaker::Assistant => ConversationRole::Assistant,
            Speaker::User | Speaker::Tool => ConversationRole::User,
        };
        let blocks = blocks(turn, &mut ids, cache)?;
        match messages.last_mut() {
            Some((last, before)) if *last == role => join(before, blocks),
            _ => messages.push((role, blocks)),
        }
    }
    // Models refuse an answer to be continued that ends with white space.
    if let Some((ConversationRole::Assistant, blocks)) = messages.last_mut()
        && let Some(ContentBlock::Text(text)) = blocks.last_mut()
    {
        text.truncate(text.trim_end().len());
    }
    let message = |(role, blocks)| Message::builder().role(role).set_content(Some(blocks)).build();
    let messages: Result<Vec<Message>, BuildError> = messages.into_iter().map(message).collect();
    Ok((system, messages?))
}

/// Converts instructions. The texts up to each cache point form one block.
fn instructions(
    turn: &Turn,
    cache: &mut CachePoints,
) -> Result<Vec<SystemContentBlock>, BuildError> {
    let mut blocks = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    for (block, ttl) in turn.blocks() {
        let TurnBlock::Part(Part::Text(text)) = block else { continue };
        texts.push(text);
        if let Some(point) = cache.next(ttl)? {
            blocks.push(SystemContentBlock::Text(texts.join("\n")));
            blocks.push(SystemContentBlock::CachePoint(point));
            texts.clear();
        }
    }
    if !texts.is_empty() {
        blocks.push(SystemContentBlock::Text(texts.join("\n")));
    }
    Ok(blocks)
}

/// Appends content blocks to a message by the same speaker. Adjacent text blocks are merged.
fn join(before: &mut Vec<ContentBlock>, blocks: Vec<ContentBlock>) {
    for block in blocks {
        match (before.last_mut(), block) {
            (Some(ContentBlock::Text(before)), ContentBlock::Text(text)) => {
                *before = format!("{before}\n\n{text}");
            }
            (_, block) => before.push(block),
        }
    }
}

/// Converts a turn's blocks, in order.
fn blocks<'p>(
    turn: &'p Turn,
    ids: &mut CallIds<'p>,
    cache: &mut CachePoints,
) -> Result<Vec<ContentBlock>, Failure> {
    if let Some(call) = &turn.answers {
        let mut result = ToolResultBlock::builder().tool_use_id(ids.of_result(call));
        // The texts between two pictures form one block. Bedrock refuses blank text blocks, and
        // results without content.
        let are_texts = |one: &Part, other: &Part| {
            [one, other].into_iter().all(|part| part.as_picture().is_none())
        };
        for parts in turn.content.chunk_by(are_texts) {
            let mut texts = Vec::new();
            for part in parts {
                match part {
                    Part::Text(text) => texts.push(text.as_str()),
                    Part::Picture(picture) => {
                        result = result.content(ToolResultContentBlock::Image(image(picture)?));
                    }
                }
            }
            let text = texts.join("\n");
            if !text.trim().is_empty() {
                result = result.content(ToolResultContentBlock::Text(text));
            }
        }
        if result.get_content().is_none() {
            result = result.content(ToolResultContentBlock::Text("nothing".into()));
        }
        if turn.has_failed {
            result = result.status(ToolResultStatus::Error);
        }
        let point = cache.next(turn.cache())?.map(ContentBlock::CachePoint);
        return Ok([ContentBlock::ToolResult(result.build()?)].into_iter().chain(point).collect());
    }
    let mut blocks = Vec::new();
    for (block, ttl) in turn.blocks() {
        let point = cache.next(ttl)?.map(ContentBlock::CachePoint);
        let block = match block {
            TurnBlock::Reasoning(part) => reasoning(part)?,
            TurnBlock::Part(Part::Text(text)) if text.trim().is_empty() => continue,
            TurnBlock::Part(Part::Text(text)) => Some(ContentBlock::Text(text.clone())),
            TurnBlock::Part(Part::Picture(picture)) => Some(ContentBlock::Image(image(picture)?)),
            TurnBlock::Call(call) => {
                let id = ids.of_call(&call.id);
                let call_block = ToolUseBlock::builder().tool_use_id(id).name(&call.name);
                Some(ContentBlock::ToolUse(call_block.input(arguments(call)).build()?))
            }
        };
        blocks.extend(block.into_iter().chain(point));
    }
    Ok(blocks)
}

/// Converts the reasoning that a provider has signed or encrypted. `None` for other reasoning,
/// which models refuse.
fn reasoning(part: &Reasoning) -> Result<Option<ContentBlock>, BuildError> {
    let block = match (&part.signature, &part.encrypted) {
        (Some(signature), _) => {
            let text = ReasoningTextBlock::builder().text(&part.text).signature(signature);
            ReasoningContentBlock::ReasoningText(text.build()?)
        }
        (None, Some(encrypted)) => match BASE64_STANDARD.decode(encrypted) {
            Ok(bytes) => ReasoningContentBlock::RedactedContent(Blob::new(bytes)),
            Err(_) => return Ok(None),
        },
        (None, None) => return Ok(None),
    };
    Ok(Some(ContentBlock::ReasoningContent(block)))
}

/// Converts a picture. Bedrock accepts pictures only as bytes.
fn image(picture: &Picture) -> Result<ImageBlock, Failure> {
    let (kind, bytes) = picture.bytes().ok_or(Failure::Refused(Refusal::PicturesByUrl))?;
    let source = ImageSource::Bytes(Blob::new(bytes));
    Ok(ImageBlock::builder().format(ImageFormat::from(kind)).source(source).build()?)
}

/// Converts a call's arguments to an object, because Bedrock requires one.
fn arguments(call: &ToolCall) -> Document {
    let whole = || HashMap::from([("arguments".into(), call.arguments.as_str().into())]);
    Document::Object(match object(&call.arguments) {
        Some(fields) => fields,
        None if lacks_arguments(&call.arguments) => HashMap::new(),
        None => whole(),
    })
}

fn tools(prompt: &Prompt, cache: &mut CachePoints) -> Result<Option<ToolConfiguration>, Failure> {
    if !prompt.offers_calls() {
        return Ok(None);
    }
    let choice = match &prompt.tool_choice {
        ToolChoice::Auto | ToolChoice::None => None,
        ToolChoice::Required => Some(types::ToolChoice::Any(AnyToolChoice::builder().build())),
        ToolChoice::Function(name) => Some(required_function(name)?),
    };
    let mut tools = Vec::new();
    for offered in &prompt.tools {
        let point = cache.after_tool(offered)?.map(types::Tool::CachePoint);
        tools.extend([tool(offered)?].into_iter().chain(point));
    }
    let tools = ToolConfiguration::builder().set_tools(Some(tools)).set_tool_choice(choice);
    Ok(Some(tools.build()?))
}

/// Returns the output configuration for an answer with a schema.
fn output(prompt: &Prompt) -> Result<Option<OutputConfig>, Failure> {
    let Some(format) = &prompt.format else { return Ok(None) };
    // The other format, which allows any JSON object, isn't supported by any model.
    let Format::JsonSchema(AnswerSchema { name, description, schema, .. }) = format else {
        return Err(Failure::Refused(Refusal::Format));
    };
    let schema = schema.as_ref().map_or(ANY_OBJECT, |schema| schema.json().get());
    let schema = JsonSchemaDefinition::builder()
        .name(name)
        .set_description(description.clone())
        .schema(schema);
    let format = OutputFormat::builder()
        .r#type(OutputFormatType::JsonSchema)
        .structure(OutputFormatStructure::JsonSchema(schema.build()?));
    Ok(Some(OutputConfig::builder().text_format(format.build()?).build()))
}

const ANY_OBJECT: &str = r#"{"type":"object"}"#;

fn required_function(name: &str) -> Result<types::ToolChoice, BuildError> {
    SpecificToolChoice::builder().name(name).build().map(types::ToolChoice::Tool)
}

fn tool(tool: &Tool) -> Result<types::Tool, BuildError> {
    let schema = of_object(fields(tool.parameters.as_ref()));
    specification(&tool.name, tool.described().as_deref(), schema)
}

fn specification(
    name: &str,
    description: Option<&str>,
    schema: Document,
) -> Result<types::Tool, BuildError> {
    let description = description.filter(|text| !text.trim().is_empty());
    let specification = ToolSpecification::builder()
        .name(name)
        .set_description(description.map(str::to_owned))
        .input_schema(ToolInputSchema::Json(schema));
    specification.build().map(types::Tool::ToolSpec)
}

type Fields = HashMap<String, Document>;

fn fields(schema: Option<&JsonSchema>) -> Fields {
    schema.and_then(|schema| object(schema.json().get())).unwrap_or_default()
}

/// Adds the type `object` to a schema without a type, because Converse requires a type.
fn of_object(mut schema: Fields) -> Document {
    schema.entry("type".into()).or_insert_with(|| "object".into());
    Document::Object(schema)
}

/// Returns the parameters that Converse passes to the model unchanged, in the form of the model's
/// maker: [Anthropic](https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html),
/// or [OpenAI](https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html).
fn model_parameters(prompt: &Prompt, model: &str) -> Option<Document> {
    let options = &prompt.options;
    let mut fields = Fields::new();
    if is_by(model, "openai") {
        let effort = options.effort_alone().map(|(_, effort)| <&str>::from(effort));
        fields.extend(effort.map(|effort| ("reasoning_effort".into(), effort.into())));
    } else if is_by(model, "anthropic") {
        let thinking = prompt.anthropic_thinking().map(|chosen| thinking(chosen, prompt));
        fields.extend(thinking.map(|thinking| ("thinking".into(), thinking)));
        let effort = options.anthropic_effort().map(<&str>::from);
        fields.extend(effort.map(|effort| {
            ("output_config".into(), object_of([("effort", Document::from(effort))]))
        }));
        let top_k = options.top_k.filter(|_| !prompt.thinks());
        fields.extend(top_k.map(|most| ("top_k".into(), u64::from(most).into())));
    }
    (!fields.is_empty()).then_some(Document::Object(fields))
}

/// Writes whether one of Anthropic's models thinks, in the form of Anthropic's API.
fn thinking(thinking: Thinking, prompt: &Prompt) -> Document {
    let mut fields = Fields::from([("type".into(), thinking.kind().into())]);
    if let Thinking::Enabled { budget } = thinking {
        fields.insert("budget_tokens".into(), u64::from(budget).into());
    }
    let display = prompt.options.display.filter(|_| prompt.thinks()).map(<&str>::from);
    fields.extend(display.map(|display| ("display".into(), display.into())));
    Document::Object(fields)
}

fn object_of<const N: usize>(fields: [(&str, Document); N]) -> Document {
    Document::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn inference(prompt: &Prompt, model: &str) -> InferenceConfiguration {
    let most = prompt.max_tokens.map(|most| i32::try_from(most).unwrap_or(i32::MAX));
    let stop = Some(prompt.stop.clone()).filter(|stop| !stop.is_empty());
    // Bedrock accepts temperatures up to 1, whereas other providers accept temperatures up to 2.
    let temperature = prompt.temperature.map(|temperature| temperature.min(1.0) as f32);
    let temperature = temperature.filter(|_| !is_by(model, "anthropic") || !prompt.thinks());
    let inference =
        InferenceConfiguration::builder().set_max_tokens(most).set_temperature(temperature);
    inference.set_top_p(prompt.top_p.map(|top_p| top_p as f32)).set_stop_sequences(stop).build()
}
