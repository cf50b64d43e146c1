//! Reads a server's reply, whole or streamed, from the pieces in which it arrives.
//!
//! The reply's first character determines its form, because some servers stream replies to requests
//! that don't ask for a stream, and others don't stream when they should. Each field is read
//! separately. A field that is missing, unknown or of an unexpected type never makes the rest of an
//! answer unreadable.

use std::collections::{BTreeMap, BTreeSet};

use crate::ai::ending::Ending;
use crate::ai::events::{DONE, Event, EventReader};
use crate::ai::failure::Reason;
use crate::ai::json::{Json, Object, Wtf8, without_blanks};
use crate::ai::server::BodyReader;
use crate::ai::server::refusal::{reason_in, reason_in_error};
use crate::ai::{AnswerBuilder, Failure};
use crate::values::{CacheCount, ReportedUsage};

/// The maximum length of a model's name, in bytes. Longer names are ignored.
const MODEL: usize = 200;

/// Reads a reply. The answer doesn't depend on how the reply was split into pieces.
#[derive(Default)]
pub struct ReplyReader {
    form: Form,
    /// True after the end marker. The rest of the reply is ignored.
    is_done: bool,
    /// True if a JSON value contained a whole message. Such an answer is complete even if the
    /// server doesn't send a finish reason.
    is_whole: bool,
    /// The first halves of characters that were split between two pieces, in the text and in each
    /// call's arguments.
    halves: BTreeMap<StringPart, u16>,
    /// The fields with an unexpected type. Each is logged once.
    ignored: BTreeSet<&'static str>,
    /// The reason in an error that the server has sent instead of an answer.
    reason: Option<Reason>,
}

#[derive(Default)]
enum Form {
    /// No visible character has arrived yet.
    #[default]
    Unknown,
    Json {
        rest: Vec<u8>,
        brackets: Brackets,
    },
    Events(EventReader),
}

/// Finds the ends of JSON values, so that each byte is parsed only once.
#[derive(Default)]
struct Brackets {
    open: usize,
    in_text: bool,
    after_backslash: bool,
}

impl Brackets {
    /// Reads a piece. Returns true if a value ends in it.
    fn read(&mut self, piece: &[u8]) -> bool {
        let mut ends = false;
        for byte in piece {
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' if self.in_text => self.after_backslash = true,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => self.open += 1,
                b'}' | b']' if !self.in_text => {
                    self.open = self.open.saturating_sub(1);
                    ends |= self.open == 0;
                }
                _ => {}
            }
        }
        ends
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum StringPart {
    Text,
    /// The arguments of the call with this number.
    Arguments(u64),
}

impl BodyReader for ReplyReader {
    fn push(&mut self, mut piece: &[u8], builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        if matches!(self.form, Form::Unknown) {
            piece = without_blanks(piece);
            self.form = match piece.first() {
                None => return Ok(()),
                Some(b'{' | b'[') => Form::Json { rest: Vec::new(), brackets: Brackets::default() },
                Some(_) => Form::Events(EventReader::default()),
            };
        }
        match &mut self.form {
            Form::Events(reader) => {
                let mut events = Vec::new();
                reader.push(piece, &mut events);
                self.read_events(events, builder)
            }
            Form::Json { rest, brackets } => {
                let before = rest.trim_ascii_start();
                if !before.is_empty() && !is_value(before) {
                    return Ok(());
                }
                rest.extend_from_slice(piece);
                // The connection may stay open after the last value.
                if brackets.read(piece) { self.read_values(builder) } else { Ok(()) }
            }
            Form::Unknown => Ok(()),
        }
    }

    fn is_done(&self) -> bool {
        self.is_done
    }

    fn take_reason(&mut self) -> Option<Reason> {
        self.reason.take()
    }

    fn finish(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        match &mut self.form {
            Form::Events(reader) => {
                let mut events = Vec::new();
                reader.finish(&mut events);
                self.read_events(events, builder)?;
            }
            Form::Json { .. } => self.read_values(builder)?,
            Form::Unknown => {}
        }
        // Some servers never say why an answer ends. A reply without a reason and without content
        // isn't an answer.
        match &self.form {
            _ if builder.has_ended() => Ok(()),
            _ if self.is_done && !builder.is_empty() => builder.end(Ending::Complete),
            Form::Json { rest, .. } if !is_value(rest.trim_ascii_start()) => {
                Err(Failure::Empty("no answer"))
            }
            _ => Err(Failure::failed("cut off")),
        }
    }
}

impl ReplyReader {
    fn read_events(
        &mut self,
        events: Vec<Event>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        for Event { name, data } in events {
            match data.trim() {
                _ if self.is_done => break,
                DONE => self.is_done = true,
                data if name == "error" => {
                    self.reason = Some(reason_in_reply(data));
                    fail("an error in the stream", builder)?;
                }
                "" => {}
                data => match Json::parse(data) {
                    Some(value) => self.read_value(value, builder)?,
                    None => fail("an answer that can't be read", builder)?,
                },
            }
        }
        Ok(())
    }

    /// Reads the JSON values that have arrived: a whole reply, or the pieces of an answer. If a
    /// value is followed by text that isn't JSON, the text is ignored, because some servers send
    /// the end marker there.
    fn read_values(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        let Form::Json { rest, .. } = &mut self.form else { return Ok(()) };
        let text = String::from_utf8_lossy(rest).into_owned();
        let mut after = text.trim_ascii_start();
        while is_value(after) {
            match Json::first(after) {
                Ok(Some((value, next))) => {
                    self.read_value(value, builder)?;
                    after = next.trim_ascii_start();
                }
                Ok(None) => break,
                Err(_) => return fail("an answer that can't be read", builder),
            }
        }
        if let Form::Json { rest, .. } = &mut self.form {
            *rest = after.as_bytes().to_vec();
        }
        // A whole message is complete even without a reason.
        if self.is_whole && !builder.is_empty() { builder.end(Ending::Complete) } else { Ok(()) }
    }

    fn read_value(
        &mut self,
        value: Json<'_>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        match (value.object(), value.list()) {
            (Some(chunk), _) => self.read_chunk(value, &chunk, builder),
            (None, Some(chunks)) => {
                let mut chunks = chunks.into_iter().filter_map(|json| Some((json, json.object()?)));
                chunks.try_for_each(|(json, chunk)| self.read_chunk(json, &chunk, builder))
            }
            (None, None) => fail("an answer that can't be read", builder),
        }
    }

    /// Reads a whole reply, or a piece of a streamed reply. `json` is its source.
    fn read_chunk(
        &mut self,
        json: Json<'_>,
        chunk: &Object<'_>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let choice = self.field(chunk, "choices", first_object).unwrap_or_default();
        let model = self.field(chunk, "model", Json::text);
        if let Some(model) = model.filter(|model| !model.is_empty() && model.len() <= MODEL) {
            builder.model = model;
        }
        let reason = self.field(&choice, "finish_reason", word);
        // Some gateways send the original provider's word alongside their own.
        let native = self.field(&choice, "native_finish_reason", word);
        let ends_turn = native.as_deref().is_some_and(Ending::is_of_claude);
        let native = native.and_then(|word| Ending::from_word(&word));
        let ending = reason.and_then(|word| Ending::from_word(&word)).map(|ending| match native {
            Some(failed @ Ending::Failed(_)) => failed,
            _ => ending,
        });
        let error = [chunk, &choice].into_iter().find_map(error_in);
        let is_error = |field| chunk.get(field).and_then(Json::text).as_deref() == Some("error");
        let has_failed = error.is_some() || is_error("object") || is_error("type");
        if has_failed && !builder.has_ended() {
            let reason = error.map(reason_in_error);
            self.reason = Some(reason.unwrap_or_else(|| reason_in_reply(json.source())));
        }
        if !has_failed && !matches!(ending, Some(Ending::Failed(_))) {
            self.read_message(&choice, builder)?;
        }
        // The counts include everything that was sent so far, so they are read last.
        let groq = self.field(chunk, "x_groq", Json::object).unwrap_or_default();
        for place in [&groq, &choice, chunk] {
            if let Some(usage) = self.field(place, "usage", Json::object).and_then(|of| usage(&of))
            {
                builder.count(usage);
            }
        }
        match ending {
            _ if has_failed => fail("an error in the middle", builder),
            Some(ending) if ends_turn => builder.end_turn(ending),
            Some(ending) => builder.end(ending),
            None => Ok(()),
        }
    }

    fn read_message(
        &mut self,
        choice: &Object<'_>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        // Some servers send both the new text and the whole text so far. Only the new text is read.
        let piece = self.field(choice, "delta", Json::object).filter(|piece| !piece.is_empty());
        let message = match piece {
            Some(piece) => piece,
            None if builder.is_empty() => {
                let Some(whole) = self.field(choice, "message", Json::object) else {
                    return Ok(());
                };
                self.is_whole = matches!(self.form, Form::Json { .. });
                whole
            }
            None => return Ok(()),
        };
        // DeepSeek, vLLM and llama.cpp send the first field, OpenRouter and Ollama the second. Some
        // servers send the same text in both.
        let thought = self
            .field(&message, "reasoning_content", Json::text)
            .filter(|thought| !thought.is_empty())
            .or_else(|| self.field(&message, "reasoning", Json::text));
        builder.push_reasoning(thought.as_deref().unwrap_or_default());
        for part in self.field(&message, "content", parts).unwrap_or_default() {
            match part {
                Part::Text(text) => self.push_text(text, builder)?,
                Part::Refusal(refusal) => self.push_refusal(refusal, builder)?,
                Part::Thought(thought) => builder.push_reasoning(&thought),
            }
        }
        // If the model refuses to answer and the request contains an answer schema, OpenAI sends
        // the model's explanation here.
        if let Some(refusal) = self.field(&message, "refusal", Json::wtf8) {
            self.push_refusal(refusal, builder)?;
        }
        let calls = self.field(&message, "tool_calls", objects).unwrap_or_default();
        for (place, call) in (0..).zip(calls) {
            self.read_call(&call, place, builder)?;
        }
        Ok(())
    }

    /// Reads a whole function call, or a part of a streamed call. `place` is the call's index in
    /// the reply. It replaces the call's number, which whole replies and some servers omit.
    fn read_call(
        &mut self,
        call: &Object<'_>,
        place: u64,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let Some(function) = self.field(call, "function", Json::object) else { return Ok(()) };
        let number = self.field(call, "index", Json::count).unwrap_or(place);
        let id = self.field(call, "id", Json::text).unwrap_or_default();
        let name = self.field(&function, "name", Json::text).unwrap_or_default();
        let arguments = match function.get("arguments") {
            None => String::new(),
            Some(value) => match value.wtf8() {
                Some(text) => self.join(StringPart::Arguments(number), text),
                // Some servers send the arguments as JSON instead of a string.
                None => value.source().to_owned(),
            },
        };
        builder.push_call(number, &id, &name, &arguments)
    }

    fn push_text(&mut self, text: Wtf8, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        let text = self.join(StringPart::Text, text);
        builder.push_text(&text)
    }

    fn push_refusal(
        &mut self,
        refusal: Wtf8,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let refusal = self.join(StringPart::Text, refusal);
        builder.push_refusal(&refusal)
    }

    /// Returns the text. If the previous piece of this string ended with half a character, the text
    /// begins with that character.
    fn join(&mut self, part: StringPart, text: Wtf8) -> String {
        let mut half = self.halves.remove(&part);
        let text = text.join(&mut half);
        self.halves.extend(half.map(|half| (part, half)));
        text
    }

    /// Reads a field. A field of an unknown type counts as missing.
    fn field<'a, T>(
        &mut self,
        of: &Object<'a>,
        name: &'static str,
        read: impl FnOnce(Json<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = of.get(name)?;
        let read = read(value);
        // The log must not contain the value.
        if read.is_none() && !value.is_nothing() && self.ignored.insert(name) {
            tracing::warn!(field = name, "a provider's field has an unknown type and is ignored");
        }
        read
    }
}

/// Returns the error in a part of a reply.
fn error_in<'a>(of: &Object<'a>) -> Option<Json<'a>> {
    of.get("error").filter(|error| !error.is_nothing())
}

/// Returns the reason in a reply, or in an event's data, that is an error.
fn reason_in_reply(json: &str) -> Reason {
    let error = Json::parse(json).and_then(Json::object).and_then(|reply| error_in(&reply));
    error.map_or_else(|| reason_in(json.as_bytes()), reason_in_error)
}

/// Returns true if a JSON value begins here.
fn is_value(json: impl AsRef<[u8]>) -> bool {
    matches!(json.as_ref().first(), Some(b'{' | b'['))
}

/// Returns a failure, unless the answer has ended.
fn fail(cause: &str, builder: &AnswerBuilder<'_>) -> Result<(), Failure> {
    match builder.has_ended() {
        true => Ok(()),
        false => Err(Failure::failed(cause)),
    }
}

/// A part of a message's content.
enum Part {
    Text(Wtf8),
    Refusal(Wtf8),
    Thought(String),
}

/// Returns the parts of a message's content: a string, or a list of parts as in Mistral's API
/// ([reference](https://docs.mistral.ai/capabilities/reasoning)). Unknown parts are left out.
fn parts(content: Json<'_>) -> Option<Vec<Part>> {
    match (content.wtf8(), content.list()) {
        (Some(text), _) => Some(vec![Part::Text(text)]),
        (None, Some(list)) => Some(list.into_iter().flat_map(part).collect()),
        (None, None) => content.object().map(|_| part(content).into_iter().collect()),
    }
}

fn part(part: Json<'_>) -> Option<Part> {
    let Some(object) = part.object() else { return part.wtf8().map(Part::Text) };
    let thinking = object.get("thinking").or_else(|| object.get("reasoning"));
    match (thinking, object.get("text"), object.get("refusal")) {
        (Some(thinking), ..) => {
            let of_part = |part: Json<'_>| match part.object() {
                Some(object) => object.get("text").and_then(Json::text),
                None => part.text(),
            };
            let texts = thinking.list().unwrap_or_else(|| vec![thinking]);
            Some(Part::Thought(texts.into_iter().filter_map(of_part).collect()))
        }
        (None, Some(text), _) => text.wtf8().map(Part::Text),
        (None, None, Some(refusal)) => refusal.wtf8().map(Part::Refusal),
        (None, None, None) => None,
    }
}

/// Returns the first element of a list, or an empty object if the first element isn't an object.
fn first_object(list: Json<'_>) -> Option<Object<'_>> {
    let first = list.list()?.into_iter().next();
    Some(first.and_then(Json::object).unwrap_or_default())
}

/// Returns the objects in a list.
fn objects(list: Json<'_>) -> Option<Vec<Object<'_>>> {
    Some(list.list()?.into_iter().filter_map(Json::object).collect())
}

/// Returns a word that is sent as a string, or as the `type` of an object (as in SGLang's own API).
fn word(value: Json<'_>) -> Option<String> {
    value.text().or_else(|| value.object()?.get("type").and_then(Json::text))
}

/// Returns the token counts that the server reports, or `None` if it doesn't report any.
fn usage(counted: &Object<'_>) -> Option<ReportedUsage> {
    let count = |name: &str| counted.get(name).and_then(Json::count);
    let detail = |of: &str, name: &str| counted.get(of)?.object()?.get(name)?.count();
    let usage = ReportedUsage {
        prompt: count("prompt_tokens"),
        // The fields are, in this order, OpenAI's, DeepSeek's, Moonshot's and Mistral's.
        cached: detail("prompt_tokens_details", "cached_tokens")
            .filter(|cached| *cached > 0)
            .or_else(|| count("prompt_cache_hit_tokens"))
            .or_else(|| count("cached_tokens"))
            .or_else(|| count("num_cached_tokens")),
        written: detail("prompt_tokens_details", "cache_write_tokens"),
        completion: count("completion_tokens"),
        reasoning: detail("completion_tokens_details", "reasoning_tokens"),
        total: count("total_tokens"),
        cache_count: CacheCount::InPrompt,
    };
    (usage.prompt.is_some() || usage.completion.is_some()).then_some(usage)
}
