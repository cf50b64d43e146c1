//! Reads a message, whole or streamed
//! ([events](https://docs.anthropic.com/en/docs/build-with-claude/streaming)), from the pieces in
//! which it arrives.
//!
//! The reply's first character determines its form. Each field is read separately, so unknown
//! fields, blocks and events never make the rest of an answer unreadable.

use crate::ai::blocks::{AnswerIn, Blocks};
use crate::ai::ending::Ending;
use crate::ai::events::{DONE, Event, EventReader};
use crate::ai::failure::Reason;
use crate::ai::json::{Json, Object, without_blanks};
use crate::ai::server::BodyReader;
use crate::ai::server::refusal::reason_in_error;
use crate::ai::{AnswerBuilder, Failure};
use crate::values::{CacheCount, ReportedUsage, StopDetails};

/// The maximum length of a model's name, in bytes. Longer names are ignored.
const MODEL: usize = 200;

/// Reads a reply. The answer doesn't depend on how the reply was split into pieces.
pub struct ReplyReader {
    form: Form,
    blocks: Blocks,
    /// The number of the block that is being streamed, if it is a call of a function.
    call: Option<u64>,
    /// True after the last event. The rest of the reply is ignored.
    is_done: bool,
    /// The reason in an error that the provider has sent instead of an answer.
    reason: Option<Reason>,
}

enum Form {
    /// No visible character has arrived.
    Unknown,
    /// A whole message.
    Json(Vec<u8>),
    Events(EventReader),
}

impl ReplyReader {
    pub fn new(answer: AnswerIn) -> Self {
        Self {
            form: Form::Unknown,
            blocks: Blocks::new(answer),
            call: None,
            is_done: false,
            reason: None,
        }
    }

    fn read_events(
        &mut self,
        events: Vec<Event>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        for Event { data, .. } in events {
            match data.trim() {
                _ if self.is_done => break,
                "" => {}
                // Some gateways end a stream as OpenAI does.
                DONE => self.is_done = true,
                data => self.read_event(data, builder)?,
            }
        }
        Ok(())
    }

    fn read_event(&mut self, data: &str, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        let Some(event) = Json::parse(data).and_then(Json::object) else {
            return unless_ended(unreadable(), builder);
        };
        let number = event.get("index").and_then(Json::count).unwrap_or_default();
        match text(&event, "type").as_str() {
            "message_start" => {
                let message = object(&event, "message");
                read_model(&message, builder);
                builder.begin_reply();
                count(&message, builder);
            }
            "content_block_start" => {
                self.begin_block(number, &object(&event, "content_block"), builder)?;
            }
            "content_block_delta" => {
                self.read_delta(number, &object(&event, "delta"), builder)?;
            }
            "content_block_stop" => self.end_block(builder)?,
            "message_delta" => {
                let delta = object(&event, "delta");
                read_details(&delta, builder);
                self.end(Ending::from_word(&text(&delta, "stop_reason")), &event, builder)?;
            }
            "message_stop" => self.is_done = true,
            "error" => unless_ended(self.fail(&event), builder)?,
            // Pings, and events of later versions.
            _ => {}
        }
        Ok(())
    }

    /// Reads a whole message.
    fn read_message(
        &mut self,
        json: &[u8],
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let json = String::from_utf8_lossy(json);
        let message = Json::parse(&json).and_then(Json::object).ok_or_else(unreadable)?;
        if text(&message, "type") == "error" {
            return Err(self.fail(&message));
        }
        read_model(&message, builder);
        let content = message.get("content").and_then(Json::list).unwrap_or_default();
        for (number, block) in (0..).zip(content) {
            self.begin_block(number, &block.object().unwrap_or_default(), builder)?;
            self.end_block(builder)?;
        }
        read_details(&message, builder);
        let ending = match Ending::from_word(&text(&message, "stop_reason")) {
            // A whole message is complete even without a reason.
            None if !builder.is_empty() => Some(Ending::Complete),
            ending => ending,
        };
        self.end(ending, &message, builder)
    }

    /// Records the reason in an error
    /// ([types](https://docs.anthropic.com/en/api/errors#http-errors)), and returns a failure.
    fn fail(&mut self, reply: &Object<'_>) -> Failure {
        self.reason = reply.get("error").map(reason_in_error);
        Failure::failed("an error in the stream")
    }

    /// Reads the start of a block, or a whole block.
    fn begin_block(
        &mut self,
        number: u64,
        block: &Object<'_>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        self.call = None;
        match text(block, "type").as_str() {
            "text" => self.blocks.text(&text(block, "text"), builder)?,
            "thinking" => {
                builder.push_reasoning(&text(block, "thinking"));
                sign(&text(block, "signature"), builder);
            }
            "redacted_thinking" => builder.push_encrypted(&text(block, "data")),
            "tool_use" => {
                self.call = Some(number);
                let (id, name) = (text(block, "id"), text(block, "name"));
                self.blocks.begin(number, &id, &name, builder)?;
                // At the start of a streamed block, the arguments are an empty object.
                if let Some(input) = block.get("input").filter(|input| !input.is_nothing()) {
                    self.blocks.push_arguments(number, input.source(), builder)?;
                }
            }
            // The calls and results of functions that Anthropic runs, which no request asks for.
            _ => {}
        }
        Ok(())
    }

    /// Reads a part of a block.
    fn read_delta(
        &mut self,
        number: u64,
        delta: &Object<'_>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        match text(delta, "type").as_str() {
            "text_delta" => self.blocks.text(&text(delta, "text"), builder)?,
            "thinking_delta" => builder.push_reasoning(&text(delta, "thinking")),
            "signature_delta" => sign(&text(delta, "signature"), builder),
            "input_json_delta" if self.call == Some(number) => {
                self.blocks.push_arguments(number, &text(delta, "partial_json"), builder)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end_block(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        self.call = None;
        self.blocks.end(builder)
    }

    /// Reads the end of the answer, if it has ended, and the token counts in `counted`.
    fn end(
        &mut self,
        ending: Option<Ending>,
        counted: &Object<'_>,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let ending = ending.filter(|_| !builder.has_ended());
        if ending.is_some_and(|ending| !matches!(ending, Ending::Failed(_))) {
            self.blocks.finish(builder)?;
        }
        count(counted, builder);
        match ending {
            Some(ending) => builder.end_turn(ending),
            None => Ok(()),
        }
    }
}

impl BodyReader for ReplyReader {
    fn push(&mut self, mut piece: &[u8], builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        if matches!(self.form, Form::Unknown) {
            piece = without_blanks(piece);
            self.form = match piece.first() {
                None => return Ok(()),
                Some(b'{') => Form::Json(Vec::new()),
                Some(_) => Form::Events(EventReader::default()),
            };
        }
        match &mut self.form {
            Form::Events(reader) => {
                let mut events = Vec::new();
                reader.push(piece, &mut events);
                self.read_events(events, builder)
            }
            Form::Json(json) => {
                json.extend_from_slice(piece);
                Ok(())
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
                // A stream that reaches its last event is complete even without a reason.
                if self.is_done && !builder.has_ended() && !builder.is_empty() {
                    self.blocks.finish(builder)?;
                    return builder.end(Ending::Complete);
                }
            }
            Form::Json(json) => {
                let json = std::mem::take(json);
                self.read_message(&json, builder)?;
            }
            Form::Unknown => {}
        }
        match builder.has_ended() {
            true => Ok(()),
            false => Err(Failure::failed("cut off")),
        }
    }
}

/// Returns the failure, unless the answer has ended.
fn unless_ended(failure: Failure, builder: &AnswerBuilder<'_>) -> Result<(), Failure> {
    if builder.has_ended() { Ok(()) } else { Err(failure) }
}

fn unreadable() -> Failure {
    Failure::failed("an answer that can't be read")
}

fn read_model(message: &Object<'_>, builder: &mut AnswerBuilder<'_>) {
    let model = text(message, "model");
    if !model.is_empty() && model.len() <= MODEL {
        builder.model = model;
    }
}

/// Reads the stop sequence that has ended the answer, and the details of a refusal.
fn read_details(of: &Object<'_>, builder: &mut AnswerBuilder<'_>) {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let details = object(of, "stop_details");
    builder.detail_stop(StopDetails {
        sequence: some(text(of, "stop_sequence")),
        category: some(text(&details, "category")),
        explanation: some(text(&details, "explanation")),
        is_context_full: false,
    });
}

fn sign(signature: &str, builder: &mut AnswerBuilder<'_>) {
    if !signature.is_empty() {
        builder.sign_reasoning(signature);
    }
}

/// Reads the token counts in the field `usage`. Anthropic doesn't include the tokens that it reads
/// from its cache or writes to it in the prompt's count. The count for the answer includes the
/// reasoning.
fn count(of: &Object<'_>, builder: &mut AnswerBuilder<'_>) {
    let counted = object(of, "usage");
    let number = |name: &str| counted.get(name).and_then(Json::count);
    // Gateways that don't count the cache at the end of a stream send zeros there.
    let beside = |name: &str| number(name).filter(|number| *number > 0);
    let usage = ReportedUsage {
        prompt: number("input_tokens"),
        cached: beside("cache_read_input_tokens"),
        written: beside("cache_creation_input_tokens"),
        completion: number("output_tokens"),
        reasoning: object(&counted, "output_tokens_details")
            .get("thinking_tokens")
            .and_then(Json::count),
        total: None,
        cache_count: CacheCount::BesidePrompt,
    };
    if usage.prompt.is_some() || usage.completion.is_some() {
        builder.count(usage);
    }
}

/// Returns a string. Empty if the field is missing.
fn text(of: &Object<'_>, name: &str) -> String {
    of.get(name).and_then(Json::text).unwrap_or_default()
}

/// Returns an object. Empty if the field is missing.
fn object<'a>(of: &Object<'a>, name: &str) -> Object<'a> {
    of.get(name).and_then(Json::object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use serde_json::{Value, json};

    use super::*;
    use crate::ai::answer_builder::{Close, Progress};
    use crate::ai::{Answer, Prompt, Tool};
    use crate::values::{CutReason, Reasoning};

    /// Reads a reply in pieces of `size` bytes.
    fn read_in(size: usize, answer: AnswerIn, reply: &str) -> Result<Answer, Failure> {
        let tool = Tool { name: "f".into(), ..Tool::default() };
        let prompt = Prompt { tools: vec![tool], ..Prompt::after(vec![], "hi") };
        let progress = Progress::default();
        let mut builder = AnswerBuilder::new(&prompt, "model", 1000, None, &progress);
        let mut reader = ReplyReader::new(answer);
        let mut pieces = reply.as_bytes().chunks(size);
        let read = pieces.try_for_each(|piece| reader.push(piece, &mut builder));
        let read = read.and_then(|()| reader.finish(&mut builder));
        let read = read.map_err(|failure| match reader.take_reason() {
            Some(reason) => reason.failure_of_reply(|_, cause| Failure::Denied(cause.into())),
            None => failure,
        });
        let answer = builder.answer(Close::Read(read), &prompt);
        answer.map_err(|unanswered| unanswered.failure)
    }

    /// Reads a reply. Asserts that the answer doesn't depend on the pieces.
    fn read(reply: &str) -> Result<Answer, Failure> {
        let whole = read_in(reply.len(), AnswerIn::Blocks, reply);
        for size in [1, 7] {
            assert_eq!(read_in(size, AnswerIn::Blocks, reply), whole);
        }
        whole
    }

    fn stream(events: &[Value]) -> String {
        let event = |data: &Value| {
            format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
        };
        events.iter().map(event).collect()
    }

    fn start(block: &Value) -> Value {
        json!({ "type": "content_block_start", "index": 0, "content_block": block })
    }

    fn delta(delta: &Value) -> Value {
        json!({ "type": "content_block_delta", "index": 0, "delta": delta })
    }

    fn ends(reason: &str) -> Value {
        json!({
            "type": "message_delta", "delta": { "stop_reason": reason },
            "usage": { "output_tokens": 9 },
        })
    }

    #[test]
    fn streams_and_whole_messages_contain_the_same_answer() {
        let usage = json!({
            "input_tokens": 3, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 100,
            "output_tokens": 1,
        });
        let message =
            json!({ "type": "message", "model": "claude-1", "content": [], "usage": usage });
        let stop = json!({ "type": "content_block_stop", "index": 0 });
        let streamed = stream(&[
            json!({ "type": "message_start", "message": message }),
            json!({ "type": "ping" }),
            start(&json!({ "type": "thinking", "thinking": "", "signature": "" })),
            delta(&json!({ "type": "thinking_delta", "thinking": "Hm" })),
            delta(&json!({ "type": "thinking_delta", "thinking": "." })),
            delta(&json!({ "type": "signature_delta", "signature": "s" })),
            stop.clone(),
            start(&json!({ "type": "redacted_thinking", "data": "e" })),
            stop.clone(),
            start(&json!({ "type": "text", "text": "" })),
            delta(&json!({ "type": "text_delta", "text": "Hel" })),
            delta(&json!({ "type": "text_delta", "text": "lo." })),
            stop.clone(),
            start(&json!({ "type": "server_tool_use", "id": "b", "name": "web", "input": {} })),
            delta(&json!({ "type": "input_json_delta", "partial_json": "{}" })),
            stop.clone(),
            start(&json!({ "type": "tool_use", "id": "a", "name": "f", "input": {} })),
            delta(&json!({ "type": "input_json_delta", "partial_json": "{\"x\":" })),
            delta(&json!({ "type": "input_json_delta", "partial_json": "1}" })),
            stop,
            ends("tool_use"),
            json!({ "type": "message_stop" }),
        ]);
        let answer = read(&streamed).unwrap();
        assert_eq!((answer.text.as_str(), answer.model.as_str()), ("Hello.", "claude-1"));
        assert_eq!(answer.calls.len(), 1);
        assert_eq!(answer.calls[0].to_string(), r#"Calls f({"x":1})"#);
        let signed = Reasoning { text: "Hm.".into(), signature: Some("s".into()), encrypted: None };
        let redacted = Reasoning { encrypted: Some("e".into()), ..Reasoning::default() };
        assert_eq!(answer.reasoning, [signed, redacted]);
        let counted = [
            answer.usage.prompt_tokens,
            answer.usage.cached_tokens,
            answer.usage.written_tokens,
            answer.usage.completion_tokens,
        ];
        assert_eq!((counted, answer.usage.estimated), ([123, 20, 100, 9], false));

        let whole = json!({
            "type": "message", "model": "claude-1", "stop_reason": "tool_use",
            "content": [
                { "type": "thinking", "thinking": "Hm.", "signature": "s" },
                { "type": "redacted_thinking", "data": "e" },
                { "type": "text", "text": "Hello." },
                { "type": "tool_use", "id": "a", "name": "f", "input": { "x": 1 } },
            ],
            "usage": {
                "input_tokens": 3, "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 100, "output_tokens": 9,
            },
        });
        assert_eq!(read(&whole.to_string()), Ok(answer));
    }

    #[test]
    fn every_reason_for_the_end_is_understood() {
        let text = delta(&json!({ "type": "text_delta", "text": "Hello." }));
        for (reason, cut) in [
            ("end_turn", None),
            ("stop_sequence", None),
            ("tool_use", None),
            ("max_tokens", Some(CutReason::Length)),
            ("pause_turn", Some(CutReason::Length)),
            ("model_context_window_exceeded", Some(CutReason::Length)),
            ("refusal", Some(CutReason::ContentFilter)),
        ] {
            let streamed = stream(&[text.clone(), ends(reason)]);
            let content = json!([{ "type": "text", "text": "Hello." }]);
            let whole = json!({ "type": "message", "content": content, "stop_reason": reason });
            for reply in [streamed, whole.to_string()] {
                let answer = read(&reply).unwrap();
                assert_eq!((answer.text.as_str(), answer.cut), ("Hello.", cut), "{reason}");
            }
        }
    }

    #[test]
    fn errors_in_a_stream_are_distinguished() {
        let begin = delta(&json!({ "type": "text_delta", "text": "Hello." }));
        let error =
            |kind: &str| json!({ "type": "error", "error": { "type": kind, "message": "" } });
        for (kind, expected) in [
            ("overloaded_error", Failure::Overloaded(None)),
            ("rate_limit_error", Failure::Overloaded(None)),
            ("timeout_error", Failure::TimedOut),
            ("billing_error", Failure::Unfunded),
            ("api_error", Failure::failed("an error in the reply")),
        ] {
            assert_eq!(read(&stream(&[begin.clone(), error(kind)])), Err(expected.clone()));
            assert_eq!(read(&error(kind).to_string()), Err(expected));
            let late = stream(&[begin.clone(), ends("end_turn"), error(kind)]);
            assert_eq!(read(&late).unwrap().text, "Hello.");
        }
    }

    #[test]
    fn incomplete_replies_are_failures() {
        let text = delta(&json!({ "type": "text_delta", "text": "Hello." }));
        let stop = json!({ "type": "message_stop" });
        assert_eq!(read(&stream(from_ref(&text))), Err(Failure::failed("cut off")));
        assert_eq!(read(&stream(from_ref(&stop))), Err(Failure::failed("cut off")));
        assert_eq!(read(&stream(&[text, stop])).unwrap().text, "Hello.");
        assert_eq!(read("{}"), Err(Failure::failed("cut off")));
        assert_eq!(read("{\"content\": ["), Err(unreadable()));
        assert_eq!(read("data: Hello.\n\n"), Err(unreadable()));
    }

    #[test]
    fn an_answer_by_a_function_becomes_text() {
        let input = json!({ "answer": [1] });
        let content = json!([{ "type": "tool_use", "id": "a", "name": "f", "input": input }]);
        let whole = json!({ "type": "message", "content": content, "stop_reason": "tool_use" });
        let text = |answer| read_in(9, answer, &whole.to_string()).unwrap().text;
        assert_eq!(text(AnswerIn::Field), "[1]");
        assert_eq!(text(AnswerIn::Arguments), r#"{"answer":[1]}"#);
    }
}
