//! A request to Bedrock's Converse.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::types::{
    self, AnyToolChoice, ContentBlock, ConversationRole, ImageBlock, ImageFormat, ImageSource,
    InferenceConfiguration, JsonSchemaDefinition, Message, OutputConfig, OutputFormat,
    OutputFormatStructure, OutputFormatType, SpecificToolChoice, SystemContentBlock,
    ToolConfiguration, ToolInputSchema, ToolResultBlock, ToolResultContentBlock, ToolSpecification,
    ToolUseBlock,
};
use aws_smithy_types::{Blob, Document, Number};
use serde_json::{Value, json};

use crate::ai::{
    AnswerSchema, Failure, Format, Part, Picture, Prompt, Refusal, Speaker, Tool, ToolCall,
    ToolChoice, Turn,
};

/// The most characters of the id of a call
/// ([reference](https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html)).
const ID_LENGTH: usize = 64;

pub struct Asked {
    pub system: Vec<SystemContentBlock>,
    pub messages: Vec<Message>,
    pub inference: InferenceConfiguration,
    pub tools: Option<ToolConfiguration>,
    pub output: Option<OutputConfig>,
    /// Whether the answer is the arguments of a function.
    pub by_function: bool,
}

/// The function that takes an answer without a schema.
const ANSWER: &str = "answer";

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::failed(error.to_string())
    }
}

impl Asked {
    /// Converse has no choice of no function, and refuses earlier calls without functions: they
    /// become texts.
    pub fn of(prompt: &Prompt) -> Result<Self, Failure> {
        if prompt.has_tools() && !prompt.offers_calls() {
            return Self::of(&prompt.without_tools());
        }
        if let (Some(Format::JsonObject), Some(asked)) =
            (&prompt.format, Self::by_function(prompt)?)
        {
            return Ok(asked);
        }
        let (system, messages) = split(&prompt.turns)?;
        let (inference, tools, output) = (inference(prompt), tools(prompt)?, output(prompt)?);
        Ok(Self { system, messages, inference, tools, output, by_function: false })
    }

    /// The same with a function that takes the answer. `None` if the answer is a text, or may call
    /// other functions.
    pub fn by_function(prompt: &Prompt) -> Result<Option<Self>, Failure> {
        let (Some(format), false) = (&prompt.format, prompt.offers_calls()) else {
            return Ok(None);
        };
        let mut prompt = prompt.without_tools();
        let (name, schema, description) = match format {
            Format::JsonObject => (ANSWER.to_owned(), None, None),
            Format::JsonSchema(named) => {
                (named.name.clone(), named.schema.clone(), named.description.clone())
            }
        };
        let description = description.or_else(|| Some("Takes the whole answer.".into()));
        prompt.tools =
            vec![Tool { name: name.clone(), description, parameters: schema, strict: None }];
        prompt.tool_choice = ToolChoice::Function(name);
        prompt.format = None;
        Ok(Some(Self { by_function: true, ..Self::of(&prompt)? }))
    }
}

/// The instructions and the conversation. Bedrock requires that the user begins and that speakers
/// alternate. The results of calls are the user's.
fn split(turns: &[Turn]) -> Result<(Vec<SystemContentBlock>, Vec<Message>), Failure> {
    let mut system = Vec::new();
    let mut messages: Vec<(ConversationRole, Vec<ContentBlock>)> = Vec::new();
    for turn in turns {
        let role = match turn.role {
            Speaker::System => {
                system.push(SystemContentBlock::Text(turn.text().into_owned()));
                continue;
            }
            Speaker::Assistant if messages.is_empty() => continue,
            Speaker::Assistant => ConversationRole::Assistant,
            Speaker::User | Speaker::Tool => ConversationRole::User,
        };
        let blocks = blocks(turn)?;
        match messages.last_mut() {
            Some((last, before)) if *last == role => join(before, blocks),
            _ => messages.push((role, blocks)),
        }
    }
    let message = |(role, blocks)| Message::builder().role(role).set_content(Some(blocks)).build();
    let messages: Result<Vec<Message>, BuildError> = messages.into_iter().map(message).collect();
    Ok((system, messages?))
}

/// Adds blocks to those of the same speaker: two texts become one.
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

fn blocks(turn: &Turn) -> Result<Vec<ContentBlock>, Failure> {
    if let Some(call) = &turn.answers {
        // A text must not be blank.
        let text = Some(turn.text()).filter(|text| !text.trim().is_empty());
        let text = text.map_or_else(|| "nothing".to_owned(), Cow::into_owned);
        let result = ToolResultBlock::builder()
            .tool_use_id(id(call))
            .content(ToolResultContentBlock::Text(text));
        return Ok(vec![ContentBlock::ToolResult(result.build()?)]);
    }
    let mut blocks = Vec::new();
    for part in &turn.content {
        match part {
            Part::Text(text) if text.trim().is_empty() => {}
            Part::Text(text) => blocks.push(ContentBlock::Text(text.clone())),
            Part::Picture(picture) => blocks.push(ContentBlock::Image(image(picture)?)),
        }
    }
    for call in &turn.calls {
        let block = ToolUseBlock::builder().tool_use_id(id(&call.id)).name(&call.name);
        blocks.push(ContentBlock::ToolUse(block.input(arguments(call)).build()?));
    }
    Ok(blocks)
}

/// Bedrock takes pictures only as bytes.
fn image(picture: &Picture) -> Result<ImageBlock, Failure> {
    let (kind, bytes) = picture.bytes().ok_or(Failure::Refused(Refusal::PicturesByUrl))?;
    let source = ImageSource::Bytes(Blob::new(bytes));
    Ok(ImageBlock::builder().format(ImageFormat::from(kind)).source(source).build()?)
}

/// An id of a call as Bedrock accepts it: other providers make ids of other characters.
fn id(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    id.chars().map(plain).take(ID_LENGTH).collect()
}

/// The arguments of a call: always an object.
fn arguments(call: &ToolCall) -> Document {
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(fields)) => document(Value::Object(fields)),
        _ if call.arguments.trim().is_empty() => document(json!({})),
        _ => document(json!({ "arguments": call.arguments })),
    }
}

fn tools(prompt: &Prompt) -> Result<Option<ToolConfiguration>, Failure> {
    if !prompt.offers_calls() {
        return Ok(None);
    }
    let choice = match &prompt.tool_choice {
        ToolChoice::Auto | ToolChoice::None => None,
        ToolChoice::Required => Some(types::ToolChoice::Any(AnyToolChoice::builder().build())),
        ToolChoice::Function(name) => {
            Some(types::ToolChoice::Tool(SpecificToolChoice::builder().name(name).build()?))
        }
    };
    let tools: Result<Vec<types::Tool>, BuildError> = prompt.tools.iter().map(tool).collect();
    let tools = ToolConfiguration::builder().set_tools(Some(tools?)).set_tool_choice(choice);
    Ok(Some(tools.build()?))
}

/// The format of an answer with a schema.
fn output(prompt: &Prompt) -> Result<Option<OutputConfig>, Failure> {
    let Some(format) = &prompt.format else { return Ok(None) };
    // No model has a format for any object.
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

fn tool(tool: &Tool) -> Result<types::Tool, BuildError> {
    let schema = tool
        .parameters
        .as_ref()
        .map_or_else(|| json!({ "type": "object" }), |schema| schema.value());
    let description = tool.description.clone().filter(|text| !text.trim().is_empty());
    let specification = ToolSpecification::builder()
        .name(&tool.name)
        .set_description(description)
        .input_schema(ToolInputSchema::Json(document(schema)));
    Ok(types::Tool::ToolSpec(specification.build()?))
}

fn inference(prompt: &Prompt) -> InferenceConfiguration {
    let most = prompt.max_tokens.map(|most| i32::try_from(most).unwrap_or(i32::MAX));
    let stop = Some(prompt.stop.clone()).filter(|stop| !stop.is_empty());
    // Other providers accept temperatures up to 2, Bedrock up to 1.
    let temperature = prompt.temperature.map(|temperature| temperature.min(1.0) as f32);
    let inference =
        InferenceConfiguration::builder().set_max_tokens(most).set_temperature(temperature);
    inference.set_top_p(prompt.top_p.map(|top_p| top_p as f32)).set_stop_sequences(stop).build()
}

/// JSON in the SDK's form.
fn document(value: Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(bool) => Document::Bool(bool),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Number::PosInt(number),
            (None, Some(number)) => Number::NegInt(number),
            (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Document::String(text),
        Value::Array(items) => Document::Array(items.into_iter().map(document).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, document(value)));
            Document::Object(fields.collect::<HashMap<_, _>>())
        }
    }
}

/// The SDK's form as JSON.
pub fn json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(bool) => Value::Bool(*bool),
        Document::Number(Number::PosInt(number)) => json!(number),
        Document::Number(Number::NegInt(number)) => json!(number),
        Document::Number(Number::Float(number)) => json!(number),
        Document::String(text) => json!(text),
        Document::Array(items) => items.iter().map(json).collect(),
        Document::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
    }
}
