//! Chats are charged once or not at all.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use functions::Function;
use functions::chats::chat::ChatApp;
use futures_util::future::{Either, select};
use lambda_http::http::header::RETRY_AFTER;
use serde_json::{Value, json};
use shared::ai::Ai;
use shared::app::AiApp;
use shared::config::{AiConfig, AiProvider};
use shared::values::{Account, Allowances, Chat};
use tokio::task::JoinHandle;

use super::{Case, Matrix, Scenario, none, side_by_side};
use crate::portable::chat_stop::free_work;
use crate::support::client::{GRANT, PRICE, Person};
use crate::support::counting_ai::CountingAi;
use crate::support::function::{Reply, ask, ask_for_all, changed_chat, chat_with};
use crate::support::proxy::{Fault, Plan};
use crate::support::rig::Rig;
use crate::support::world::World;

/// The allowance of [`Paying::ChatWithAllowance`]. It lasts longer than the test.
const ALLOWANCE: &str = "1000/month";

/// The session's id of [`Paying::SessionMessage`].
const SESSION: &str = "01a20f2e-df49-7d50-9892-dddfbb391acf";

/// The chat under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paying {
    Chat,
    KeyedChat,
    /// The AI fails.
    FailingChat,
    KeyedFailingChat,
    /// Expired holds contain the whole balance.
    ChatBehindExpired,
    /// An earlier request with the same idempotency key has finished.
    Replay,
    StreamedChat,
    /// The connection to the AI breaks after a part of its answer was delivered.
    StreamThatBreaks,
    /// The AI reports at the end of its answer that it has failed.
    StreamThatFails,
    /// The AI's filter cuts the answer off.
    FilteredStream,
    /// The first provider fails, and the second one answers.
    FailedOver,
    /// The chat follows an earlier one in its conversation, and reads it.
    ChatInConversation,
    /// The chat follows the first chat of a conversation that has later chats. The AI repeats its
    /// prompt.
    Branch,
    /// The account has instructions, which the AI repeats.
    InstructedChat,
    /// The message has a text and a picture.
    ChatWithFiles,
    /// The message has a text and a picture, and follows a message with a text.
    ChatWithMoreFiles,
    /// The message has a text and a picture, and the AI fails.
    FailingChatWithFiles,
    /// One of OpenAI's client libraries requests a completion. The client sends no idempotency key,
    /// but counts its retries.
    Completion,
    /// One of OpenAI's client libraries requests a completion, and the answer calls a function.
    CallOfTool,
    /// One of OpenAI's client libraries requests a response instead of a completion.
    Response,
    /// The AI reasons, but its answer is empty.
    ReasonedStream,
    /// One of OpenAI's client libraries requests a text completion.
    TextCompletion,
    StreamedTextCompletion,
    /// A program requests a text completion, and the AI fails.
    FailingTextCompletion,
    /// The connection to the AI breaks after a part of its answer was delivered.
    StreamedTextCompletionThatBreaks,
    /// A program requests a completion, with an API key for which equal bodies are retries.
    EqualBodies,
    /// One of Anthropic's client libraries requests a message, with an API key in `x-api-key`.
    Message,
    StreamedMessage,
    /// One of Anthropic's client libraries requests a message, and the AI fails.
    FailingMessage,
    /// The connection to the AI breaks after a part of its answer was delivered.
    StreamedMessageThatBreaks,
    /// Claude Code requests a message. It doesn't count its retries, but sends its session's id.
    SessionMessage,
    /// A program with a limited API key requests a completion.
    LimitedCompletion,
    /// A program with a limited API key requests a completion, and the AI fails.
    LimitedFailingCompletion,
    /// A chat that first tops up the balance to the account's allowance.
    ChatWithAllowance,
    /// A stream with an idempotency key. The client stops the stream, over the same wire, once the
    /// AI has been called.
    StoppedStream,
}

impl Paying {
    /// The scenarios whose calls have a fixed order. This list doesn't contain `StoppedStream`,
    /// because its function may check at any time whether the client has stopped the stream.
    const ALL: [Self; 34] = [
        Self::Chat,
        Self::KeyedChat,
        Self::FailingChat,
        Self::KeyedFailingChat,
        Self::ChatBehindExpired,
        Self::Replay,
        Self::StreamedChat,
        Self::StreamThatBreaks,
        Self::StreamThatFails,
        Self::FilteredStream,
        Self::FailedOver,
        Self::ChatInConversation,
        Self::Branch,
        Self::InstructedChat,
        Self::ChatWithFiles,
        Self::ChatWithMoreFiles,
        Self::FailingChatWithFiles,
        Self::Completion,
        Self::CallOfTool,
        Self::Response,
        Self::ReasonedStream,
        Self::TextCompletion,
        Self::StreamedTextCompletion,
        Self::FailingTextCompletion,
        Self::StreamedTextCompletionThatBreaks,
        Self::EqualBodies,
        Self::Message,
        Self::StreamedMessage,
        Self::FailingMessage,
        Self::StreamedMessageThatBreaks,
        Self::SessionMessage,
        Self::LimitedCompletion,
        Self::LimitedFailingCompletion,
        Self::ChatWithAllowance,
    ];

    fn has_a_key(self) -> bool {
        matches!(
            self,
            Self::KeyedChat
                | Self::KeyedFailingChat
                | Self::Replay
                | Self::StoppedStream
                | Self::ChatWithFiles
        )
    }

    /// Returns true if the product recognizes a retry of this scenario's request.
    fn is_known_again(self) -> bool {
        self.has_a_key() || self.is_of_a_program()
    }

    /// Returns true if the product also recognizes a retry that is sent after the lease has ended.
    fn is_known_later(self) -> bool {
        self.is_known_again() && self != Self::EqualBodies
    }

    fn has_files(self) -> bool {
        matches!(self, Self::ChatWithFiles | Self::ChatWithMoreFiles | Self::FailingChatWithFiles)
    }

    fn is_of_a_program(self) -> bool {
        matches!(
            self,
            Self::Completion
                | Self::EqualBodies
                | Self::CallOfTool
                | Self::Response
                | Self::TextCompletion
                | Self::StreamedTextCompletion
                | Self::FailingTextCompletion
                | Self::StreamedTextCompletionThatBreaks
                | Self::LimitedCompletion
                | Self::LimitedFailingCompletion
        ) || self.is_anthropic()
    }

    /// Returns true if the client is one of Anthropic's.
    fn is_anthropic(self) -> bool {
        self.endpoint().0 == "messages"
    }

    /// Returns true if a program gets the answer as a stream.
    fn streams_to_a_program(self) -> bool {
        matches!(
            self,
            Self::StreamedTextCompletion
                | Self::StreamedTextCompletionThatBreaks
                | Self::StreamedMessage
                | Self::StreamedMessageThatBreaks
        )
    }

    fn endpoint(self) -> (&'static str, &'static str) {
        match self {
            Self::StreamedChat
            | Self::StreamThatBreaks
            | Self::StreamThatFails
            | Self::FilteredStream
            | Self::ReasonedStream
            | Self::StoppedStream => ("chat_stream", "/api/chat/stream"),
            Self::Completion
            | Self::CallOfTool
            | Self::EqualBodies
            | Self::LimitedCompletion
            | Self::LimitedFailingCompletion => ("completions", "/v1/chat/completions"),
            Self::Response => ("responses", "/v1/responses"),
            Self::TextCompletion
            | Self::StreamedTextCompletion
            | Self::FailingTextCompletion
            | Self::StreamedTextCompletionThatBreaks => ("text_completions", "/v1/completions"),
            Self::Message
            | Self::StreamedMessage
            | Self::FailingMessage
            | Self::StreamedMessageThatBreaks
            | Self::SessionMessage => ("messages", "/v1/messages"),
            _ => ("chat", "/api/chat"),
        }
    }

    /// A message that no other case sends.
    fn message(self, who: &Person) -> String {
        let message = match self {
            Self::FailingChat
            | Self::KeyedFailingChat
            | Self::FailingChatWithFiles
            | Self::LimitedFailingCompletion
            | Self::FailingTextCompletion
            | Self::FailingMessage
            | Self::FailedOver => "!fail",
            Self::StreamThatBreaks
            | Self::StreamedTextCompletionThatBreaks
            | Self::StreamedMessageThatBreaks => "!cut one",
            Self::ReasonedStream => "!think",
            Self::StreamThatFails => "!ends error 30 0 20",
            Self::FilteredStream => "!ends content_filter 30 0 20",
            Self::CallOfTool => "!call get_weather",
            Self::StoppedStream => "!hold one two",
            Self::InstructedChat | Self::Branch => "!recall",
            _ => "hi",
        };
        format!("{message} {}", who.name)
    }

    /// Returns true if each refund also counts as free work, because a part of the answer was
    /// delivered or the message's files were stored.
    fn wastes_work(self) -> bool {
        matches!(
            self,
            Self::FailingChatWithFiles
                | Self::StreamThatBreaks
                | Self::StreamThatFails
                | Self::StreamedTextCompletionThatBreaks
                | Self::StreamedMessageThatBreaks
        )
    }

    /// The expected replies if there is no fault.
    fn usual(self) -> Vec<(u16, &'static str)> {
        match self {
            Self::StoppedStream => vec![(200, ""), (410, "stopped")],
            _ if self.succeeds() == 200 => vec![(200, "")],
            _ => vec![(502, "ai_failed")],
        }
    }

    /// The expected status if there is no fault.
    fn succeeds(self) -> u16 {
        match self {
            Self::FailingChat
            | Self::KeyedFailingChat
            | Self::FailingChatWithFiles
            | Self::LimitedFailingCompletion
            | Self::FailingTextCompletion
            | Self::StreamedTextCompletionThatBreaks
            | Self::FailingMessage
            | Self::StreamThatBreaks
            | Self::StreamThatFails
            | Self::StreamedMessageThatBreaks => 502,
            _ => 200,
        }
    }
}

/// The idempotency key and the conversation of a case, and the AI that the tested function calls.
#[derive(Clone)]
pub struct Own {
    ai: CountingAi,
    key: Option<String>,
    conversation: Option<String>,
    /// The chat that the new chat follows.
    after: Option<String>,
    /// The endpoint that stops chats, and its replies.
    stop: Option<Function>,
    stops: Arc<Mutex<Vec<Reply>>>,
}

impl Scenario for Paying {
    type Reply = Reply;
    type Own = Own;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let key = self.has_a_key().then(|| "k1".to_owned());
        let (ai, stops) = (rig.ai.clone(), Arc::default());
        let own = Own { ai, key, conversation: None, after: None, stop: None, stops };
        let mut case = Case::new(rig, self.endpoint().0, self, plan, retries, who, own);
        match self {
            Self::ChatInConversation | Self::ChatWithMoreFiles => {
                case.asks().await;
                case.own.conversation =
                    case.replies[0].body["conversation_id"].as_str().map(str::to_owned);
            }
            Self::Branch => {
                // If only one chat may be used as context, the function's first read of the
                // conversation is too short to include the first chat.
                let chat = chat_with(case.function(), |ai| ai.context_chats = 1);
                case.function = Some(chat);
                case.asks().await;
                let first = case.replies[0].body["id"].as_str().map(str::to_owned);
                (case.own.conversation, case.own.after) = (first.clone(), first);
                case.asks().await;
            }
            Self::FailedOver => {
                let asking = &case.function().needs::<ChatApp>().unwrap().asking;
                let mut config = (*asking.ai.config).clone();
                config.providers.push(AiProvider::Echo);
                let ai = Ai::connect(config, &asking.app.clock).await.unwrap();
                case.function = Some(changed_chat(case.function(), |asking| asking.ai = ai));
            }
            Self::StoppedStream => {
                let function = case.function();
                let mut asking = function.needs::<AiApp>().unwrap().clone();
                // A shorter pause between two checks for a stop shortens the test.
                let config = AiConfig {
                    stop_pace: Duration::from_millis(250),
                    timeout: Duration::from_secs(2),
                    ..(*asking.ai.config).clone()
                };
                asking.ai.config = Arc::new(config);
                let (edge, handle) = (function.edge.clone(), functions::chats::chat_stream::handle);
                case.function = Some(Function::new(function.routes, edge, asking, handle));
                case.own.stop = Some(rig.api.function_over("chat_stop", &case.lane));
            }
            Self::ChatBehindExpired => case.who.holds_everything().await,
            Self::InstructedChat => {
                case.who.change(json!({ "instructions": "Be brief." })).await.is(200);
            }
            Self::ChatWithAllowance => {
                let allowances = Allowances::parse(ALLOWANCE).unwrap();
                case.function = Some(changed_chat(case.function(), |asking| {
                    Arc::make_mut(&mut asking.app.config).allowances = allowances;
                }));
                let all = -i64::try_from(GRANT).unwrap();
                rig.api.adjust(&case.who, all, "for the test").await;
            }
            Self::LimitedCompletion | Self::LimitedFailingCompletion => {
                let limit = json!({ "tokens": 2 * PRICE, "per": "month" });
                let key = json!({ "name": "a program", "limit": limit });
                let key = case.who.post("/api/user/api-keys", key).await.is(201);
                case.who = case.who.using(key["key"].as_str().unwrap());
            }
            Self::EqualBodies => {
                let key = json!({ "name": "a program", "retries": "equal_bodies" });
                let key = case.who.post("/api/user/api-keys", key).await.is(201);
                case.who = case.who.using(key["key"].as_str().unwrap());
            }
            Self::Replay => case.asks().await,
            _ if self.is_anthropic() => {
                let key = case.who.makes_a_key("a program").await.is(201);
                case.who = case.who.using(key["key"].as_str().unwrap());
            }
            _ => {}
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let message = case.scenario.message(&case.who);
        if case.scenario == Self::StoppedStream {
            case.says_and_stops(&message).await
        } else {
            case.says(&message).await
        }
    }

    fn is_usual(self, reply: &Reply) -> bool {
        // On a busy machine a stop may be noticed before the first word.
        let is_early = self == Self::StoppedStream && reply.code() == "stopped";
        reply.status == self.succeeds() || is_early
    }
}

impl Case<Paying> {
    fn says(&self, message: &str) -> impl Future<Output = Reply> + Send + use<> {
        let (function, bearer, scenario) =
            (self.function().clone(), self.who.bearer(), self.scenario);
        let Own { key, conversation, after, .. } = self.own.clone();
        let counts = !matches!(scenario, Paying::EqualBodies | Paying::SessionMessage);
        let count = if counts { self.replies.len().to_string() } else { "0".into() };
        let message = message.to_owned();
        let mut body = json!({ "message": message, "conversation_id": conversation, "after": after, "messages": [{ "role": "user", "content": message }], "input": message });
        if self.scenario.endpoint().0 == "text_completions" {
            body["prompt"] = json!(message);
        }
        if self.scenario.is_anthropic() {
            body["max_tokens"] = json!(1000);
        }
        if self.scenario.streams_to_a_program() {
            body["stream"] = json!(true);
        }
        if scenario.has_files() {
            let picture = BASE64_STANDARD.encode(b"\x89PNG\r\n\x1a\n");
            let text = json!({ "name": "a.txt", "text": "one" });
            body["attachments"] = json!([text, { "name": "b.png", "data": picture }]);
        }
        if scenario == Paying::CallOfTool {
            body["tools"] = json!([{ "type": "function", "function": { "name": "get_weather" } }]);
        }
        async move {
            let credential = match bearer.strip_prefix("Bearer ") {
                Some(key) if scenario.is_anthropic() => ("x-api-key", key),
                _ => ("authorization", bearer.as_str()),
            };
            let mut headers = vec![credential];
            if scenario == Paying::SessionMessage {
                headers.push(("x-claude-code-session-id", SESSION));
            }
            if scenario != Paying::EqualBodies {
                headers.push(("x-stainless-retry-count", count.as_str()));
            }
            headers.extend(key.as_deref().map(|key| ("idempotency-key", key)));
            let (endpoint, path) = scenario.endpoint();
            let reply = ask_for_all(&function, endpoint, path, &headers, body).await;
            match scenario.is_of_a_program() {
                true => of_program(reply, &message),
                false => reply.at_its_end(),
            }
        }
    }

    /// Returns the violations in chats that all follow the first chat. The prompt of a chat that
    /// follows the first chat must contain only the first chat as context.
    fn is_apart(&self, chats: &[Chat]) -> Vec<String> {
        let (mut wrong, first) = (Vec::new(), self.own.after.as_deref());
        let message = self.scenario.message(&self.who);
        let once = format!("user: {message}");
        let twice = format!("{once}\nassistant: {once}\n{once}");
        for chat in chats.iter().filter(|chat| Some(chat.chat_id.as_str()) != first) {
            if chat.response != twice {
                wrong.push(format!("the AI was told more than the first message: {chat:?}"));
            }
        }
        let in_main_line = chats.iter().filter(|chat| chat.after().is_none()).count();
        let others = chats.iter().filter(|chat| chat.after().is_some() && chat.after() != first);
        if in_main_line != 2 || others.count() > 0 {
            wrong.push(format!("these don't follow the first message: {chats:?}"));
        }
        wrong
    }

    /// Sends a message, and stops the chat once the AI has been called.
    async fn says_and_stops(&self, message: &str) -> Reply {
        let Own { ai, key, stop, stops, .. } = &self.own;
        let before = ai.times(message);
        let asked = pin!(async {
            while ai.times(message) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut reply = pin!(self.says(message));
        if let Either::Left((reply, _)) = select(reply.as_mut(), asked).await {
            // The request ended before the function called the AI.
            return reply;
        }
        let stopped = async {
            let (bearer, body) = (self.who.bearer(), json!({ "idempotency_key": key }));
            let headers = [("authorization", bearer.as_str())];
            let stop = stop.as_ref().expect("a function that stops messages");
            ask(stop, "chat_stop", "/api/chat/stop", &headers, body).await
        };
        let (reply, stopped) = tokio::join!(reply, stopped);
        stops.lock().unwrap().push(stopped);
        reply
    }

    /// Starts a chat that the AI answers slowly, and returns once the AI has been called.
    async fn falls_asleep(&self) -> JoinHandle<Reply> {
        let message = slow_message(&self.who);
        let before = self.own.ai.times(&message);
        let asleep = tokio::spawn(self.says(&message));
        while self.own.ai.times(&message) == before {
            assert!(!asleep.is_finished(), "a chat did not wait");
            tokio::task::yield_now().await;
        }
        asleep
    }

    /// Checks the rules that hold whenever no request is running.
    fn audit(&mut self, moment: &str, world: &World, now: u64) {
        let audit = Audit {
            case: &*self,
            after_the_request: moment == "after the request",
            world,
            chats: world.chats(&self.who.id),
            account: &world.accounts[&self.who.id],
            now,
        };
        let wrong = audit.violations();
        self.notes(moment, wrong);
    }
}

/// A case, and the data that the store contains for its account.
struct Audit<'a> {
    case: &'a Case<Paying>,
    /// True if the client hasn't sent its request again yet.
    after_the_request: bool,
    world: &'a World,
    chats: &'a [Chat],
    account: &'a Account,
    now: u64,
}

impl Audit<'_> {
    /// Returns the violations of all rules.
    fn violations(&self) -> Vec<String> {
        let mut wrong = self.world.audit(&self.case.who.id);
        if self.case.lane.overdrawn() {
            wrong.push("the balance was negative".into());
        }
        wrong.extend(self.wrong_replies());
        wrong.extend(self.wrong_answers());
        wrong.extend(self.wrong_stops());
        wrong.extend(self.wrong_prompts());
        wrong.extend(self.wrong_charges());
        wrong.extend(self.wrong_questions());
        wrong.extend(self.wrong_refunds());
        wrong.extend(self.wrong_holds());
        wrong.extend(self.wrong_allowances());
        wrong
    }

    /// Each reply has a status and a code that a client may get.
    fn wrong_replies(&self) -> Vec<String> {
        let is_stopped = self.case.scenario == Paying::StoppedStream;
        let mut expected = vec![
            (200, ""),
            (409, "idempotency_key_running"),
            (502, "ai_failed"),
            (503, "unavailable"),
            (503, "not_charged"),
        ];
        expected.extend(is_stopped.then_some((410, "stopped")));
        let replies = self.case.replies.iter().flat_map(|reply| reply.audit(&expected));
        let expected = [(200, ""), (404, "not_found"), (503, "unavailable")];
        let stops = self.case.own.stops.lock().unwrap();
        replies.chain(stops.iter().flat_map(|reply| reply.audit(&expected))).collect()
    }

    /// Each answer is stored as its client received it, and all replies to the same request are
    /// equal.
    fn wrong_answers(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for reply in self.answered() {
            let Some(chat) = self.chats.iter().find(|chat| reply.body["id"] == chat.chat_id) else {
                wrong.push(format!("an answer was served and no chat is stored: {}", reply.body));
                continue;
            };
            let left = match self.case.scenario.is_of_a_program() {
                true => Value::Null,
                false => json!(chat.tokens_left),
            };
            let reason = &reply.body["finish_reason"];
            if reply.body["response"] != *chat.answer()
                || reply.body["message"] != chat.message
                || reply.body["tokens_left"] != left
                || !(reason.is_null() || *reason == json!(chat.finish_reason()))
            {
                wrong.push(format!("{} is not the chat {chat:?}", reply.body));
            }
            if reply.replayed() && self.answered().any(|other| other.body != reply.body) {
                wrong.push(format!("a replay differs: {}", reply.body));
            }
        }
        wrong
    }

    /// An answer is stopped only by a request, and is stored once it has ended.
    fn wrong_stops(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let stops = self.case.own.stops.lock().unwrap();
        let mut ended = stops.iter().filter(|reply| reply.body["status"] == "ended");
        if ended.any(|reply| !self.chats.iter().any(|chat| reply.body["id"] == chat.chat_id)) {
            wrong.push("a stop says that an answer has ended that is not stored".into());
        }
        if self.chats.iter().any(|chat| chat.stopped && stops.is_empty()) {
            wrong.push("an answer was stopped, and no request did it".into());
        }
        wrong
    }

    /// For each chat, the AI gets the account's instructions and the preceding chats.
    fn wrong_prompts(&self) -> Vec<String> {
        let is_told = |chat: &Chat| chat.response.contains("> Be brief.");
        match self.case.scenario {
            Paying::InstructedChat if !self.chats.iter().all(is_told) => {
                vec!["the AI was asked without the instructions".into()]
            }
            Paying::Branch => self.case.is_apart(self.chats),
            _ => Vec::new(),
        }
    }

    /// A request whose retries the product recognizes is charged at most once; any other request is
    /// charged once for each answer. A request with an unknown outcome may have been charged.
    fn wrong_charges(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let is_known_again = self.case.scenario.is_known_again();
        let (known, unknown) = (self.known(), self.unknown());
        if !is_known_again && known != self.answered().count() {
            wrong.push("two chats have one id".into());
        }
        let charged = self.chats.len();
        let most = if is_known_again { 1 } else { known + unknown };
        if charged < known || charged > most || charged > known + unknown {
            wrong.push(format!(
                "{charged} chats were charged, {known} were answered and {unknown} are unknown"
            ));
        }
        wrong
    }

    /// The product calls the AI once for each answered chat, but not for a replay or a refusal.
    fn wrong_questions(&self) -> Option<String> {
        let messages = [self.case.scenario.message(&self.case.who), slow_message(&self.case.who)];
        let asked: usize = messages.iter().map(|message| self.case.own.ai.times(message)).sum();
        let is_right = (self.known()..=self.known() + self.failed()).contains(&asked);
        (!is_right).then(|| format!("the AI was asked {asked} times"))
    }

    /// Each failure of the AI is counted as a refund, and as free work if a part of the answer was
    /// delivered.
    fn wrong_refunds(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let minutes = self.account.minutes.iter().flatten();
        let refunds = minutes.filter(|(minute, _)| minute.starts_with('r'));
        let refunds = usize::try_from(refunds.map(|(_, refunds)| *refunds).sum::<u32>()).unwrap();
        let of_release =
            |reply: &&Reply| reply.status == 502 && !reply.detail().contains("tokens held");
        let least = match self.after_the_request {
            true => self.case.replies.iter().filter(of_release).count(),
            false => 0,
        };
        // If late copies of a reserve and of its release are applied, one more refund is counted.
        let most = if self.has_late_copies() { usize::MAX } else { self.failed() };
        if !(least..=most).contains(&refunds) {
            wrong.push(format!("{refunds} refunds are counted, and {least} to {most} were made"));
        }
        let work = free_work(self.account, "") + free_work(self.account, "k");
        // The account forgets the refunds of earlier minutes, which no longer limit it, but not the
        // work of these chats.
        let of_each = if self.case.scenario.wastes_work() { PRICE } else { 0 };
        // A message whose files couldn't be stored is refunded, but is no free work.
        let of_files = self.case.scenario == Paying::FailingChatWithFiles;
        let counted = if of_files { least } else { refunds };
        let (wasted, made) = (counted as u64 * of_each, self.failed() as u64 * of_each);
        // The answer of a function that wakes up too late is free work, if its hold still exists.
        let replies = self.case.replies.iter();
        let late = replies.filter(|reply| reply.code() == "not_charged").count();
        let most = made.max(wasted) + late as u64 * PRICE;
        if work > most || self.after_the_request && work < wasted {
            wrong.push(format!("{work} of free work are counted after {refunds} refunds"));
        }
        wrong
    }

    /// Only requests with an unknown outcome may have holds. The balance that users see includes
    /// neither held nor spent credits.
    fn wrong_holds(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let (account, now) = (self.account, self.now);
        let is_open = |reply: &&Reply| reply.is_unknown() || reply.detail().contains("tokens held");
        let open = self.case.replies.iter().filter(is_open).count();
        // The wire's copy of a reserve may place one more hold, which the sweep releases. The SDK
        // itself would never send a reserve again after the store's reply.
        let copied = usize::from(self.has_late_copies());
        let live = account.reservations.values().filter(|held| held.expires_at > now).count();
        if live > open + copied {
            wrong.push(format!(
                "{live} reservations exist and {open} requests have an unknown outcome"
            ));
        }
        let shown = account.balance(now);
        let free = shown.get() + u64::try_from(live).unwrap() * PRICE + account.spent.get();
        if free != account.granted.get() {
            wrong.push(format!("the balance that is shown, {shown}, is not what is free"));
        }
        wrong
    }

    /// The account gets its allowance once, before its first chat.
    fn wrong_allowances(&self) -> Option<String> {
        let rows = self.world.ledger(&self.case.who.id).iter();
        let allowances = rows.filter(|row| row.allowance.is_some()).count();
        let is_missing = self.case.scenario == Paying::ChatWithAllowance
            && allowances == 0
            && !self.chats.is_empty();
        (allowances > 1 || is_missing).then(|| format!("the account got {allowances} allowances"))
    }

    fn answered(&self) -> impl Iterator<Item = &Reply> {
        self.case.replies.iter().filter(|reply| reply.status == 200)
    }

    /// Returns the number of chats whose answers the client got.
    fn known(&self) -> usize {
        let ids = self.answered().map(|reply| reply.body["id"].as_str().unwrap());
        ids.collect::<HashSet<_>>().len()
    }

    /// Returns the number of requests whose outcome the client doesn't know.
    fn unknown(&self) -> usize {
        self.case.replies.iter().filter(|reply| reply.is_unknown()).count()
    }

    /// Returns the number of requests that failed or were stopped.
    fn failed(&self) -> usize {
        let replies = self.case.replies.iter();
        replies.filter(|reply| matches!(reply.status, 410 | 502 | 503)).count()
    }

    /// Returns true if late copies of the case's calls may arrive.
    fn has_late_copies(&self) -> bool {
        self.case.plan.is_some_and(|plan| plan.fault == Fault::Again)
    }
}

/// A message that the AI answers slowly.
fn slow_message(who: &Person) -> String {
    format!("!slow 2500 {}", who.name)
}

/// The failures that programs may get: the statuses, the codes, and the first words. Anthropic's
/// format contains no code, and a failure in a stream contains no status.
const FAILURES: [(u16, &str, &str); 4] = [
    (409, "idempotency_key_running", "A request with this Idempotency-Key is still running"),
    (502, "ai_failed", "The AI did not answer"),
    (503, "not_charged", "The answer came too late"),
    (503, "unavailable", "The database did not confirm"),
];

/// Returns the status and the code of a failure.
fn failure(error: &Value) -> Option<(u16, &'static str)> {
    let words = error["message"].as_str().unwrap_or_default();
    let is_it = |(_, code, first): &&(u16, &str, &str)| {
        error["code"] == *code || error["code"].is_null() && words.starts_with(first)
    };
    FAILURES.iter().find(is_it).map(|(status, code, _)| (*status, *code))
}

/// Converts a program's reply into a chat's reply. A stream becomes the reply that would contain
/// the same answer, or its failure.
fn of_program(mut reply: Reply, message: &str) -> Reply {
    if let Some(stream) = reply.body.as_str() {
        reply.body = joined(stream);
        if let Some((status, _)) = failure(&reply.body["error"]) {
            reply.status = status;
            // Streams have no field for the time to try again.
            reply.headers.insert(RETRY_AFTER, 1.into());
        }
    }
    reply.body = of_chat(&reply.body, message);
    reply
}

/// Joins the events of a text completion or of a message.
fn joined(stream: &str) -> Value {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
    if let Some(failed) = events.iter().find(|event| event["error"].is_object()) {
        return failed.clone();
    }
    let first = &events[0];
    let parts = |path: &str| -> String {
        events.iter().filter_map(|event| event.pointer(path)?.as_str()).collect()
    };
    match first["message"]["id"].as_str() {
        Some(id) => json!({ "id": id, "content": [{ "text": parts("/delta/text") }] }),
        None => json!({ "id": first["id"], "choices": [{ "text": parts("/choices/0/text") }] }),
    }
}

/// Converts a reply in OpenAI's or Anthropic's format into the format of a chat's reply. The result
/// doesn't contain the remaining credits, because these APIs have no field for them.
fn of_chat(reply: &Value, message: &str) -> Value {
    let Some(id) = reply["id"].as_str() else {
        let error = &reply["error"];
        let code = failure(error).map_or_else(|| error["code"].clone(), |(_, code)| json!(code));
        return json!({ "code": code, "detail": error["message"] });
    };
    if let Some(id) = id.strip_prefix("msg_") {
        let response = &reply["content"][0]["text"];
        return json!({ "id": id, "response": response, "message": message });
    }
    if let Some(id) = id.strip_prefix("resp_") {
        let response = &reply["output"][0]["content"][0]["text"];
        return json!({ "id": id, "response": response, "message": message });
    }
    if let Some(id) = id.strip_prefix("cmpl-") {
        let response = &reply["choices"][0]["text"];
        return json!({ "id": id, "response": response, "message": message });
    }
    let id = id.strip_prefix("chatcmpl-").unwrap();
    let answer = &reply["choices"][0]["message"];
    let response = match &answer["tool_calls"][0]["function"] {
        Value::Null => answer["content"].clone(),
        call => {
            let [name, arguments] =
                ["name", "arguments"].map(|field| call[field].as_str().unwrap());
            json!(format!("Calls {name}({arguments})"))
        }
    };
    json!({ "id": id, "response": response, "message": message })
}

impl Person {
    /// Puts the whole balance into a hold whose lease ended long ago.
    pub async fn holds_everything(&self) {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let fields = [
            ("cost", number(GRANT)),
            ("owner", AttributeValue::S("a-chat".into())),
            ("expires_at", number(1)),
        ];
        let held = AttributeValue::M(fields.map(|(name, value)| (name.to_owned(), value)).into());
        self.api.set(self, "due", number(1)).await;
        self.api
            .set(self, "reservations", AttributeValue::M([("dead".to_owned(), held)].into()))
            .await;
        self.has_left(0).await;
    }
}

/// Runs the matrix. Returns the number of cases, and the violations.
pub async fn run(rig: &Rig, matrix: Matrix<Paying>) -> (usize, Vec<String>) {
    let mut cases = matrix.cases(rig).await;
    side_by_side(&mut cases, async |case| {
        if case.plan.is_some() {
            case.runs().await;
        }
    })
    .await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("after the request", &world, rig.now());
        case.lane.calm();
    }

    // A different payload with a used idempotency key is refused, and changes nothing.
    let before = world;
    side_by_side(&mut cases, async |case| {
        let id = &case.who.id;
        if case.retries
            && case.scenario.has_a_key()
            && (!before.chats(id).is_empty() || !before.accounts[id].reservations.is_empty())
        {
            let other = case.says("something else").await;
            case.notes("another payload", other.audit(&[(422, "idempotency_key_reused")]));
        }
    })
    .await;
    let world = rig.world().await;
    for case in &mut cases {
        case.notes(
            "another payload",
            (before.of(&case.who.id) != world.of(&case.who.id)).then(|| "something changed".into()),
        );
    }

    side_by_side(&mut cases, async |case| {
        if case.retries {
            let running = if case.scenario.is_known_again() {
                (409, "idempotency_key_running")
            } else {
                (200, "")
            };
            case.runs_again(&[&case.scenario.usual()[..], &[running]].concat()).await;
        }
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world, rig.now()));

    rig.after_the_lease();
    side_by_side(&mut cases, async |case| {
        if case.retries && case.scenario.is_known_later() {
            case.runs_again(&case.scenario.usual()).await;
        }
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the lease", &world, rig.now()));

    rig.sweep().await;
    let rest = rig.world().await;
    for case in &mut cases {
        case.audit("after the sweep", &rest, rig.now());
        case.notes("after the sweep", rest.at_rest(&case.who.id));
    }

    // After all requests and leases have ended, late copies of calls arrive. The late copies may
    // place a hold, but change nothing permanently.
    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &world, rig.now()));
    // The sweep looks at a message's files for the last time an hour after the message began.
    rig.after_the_lease();
    rig.after_an_hour();
    rig.sweep().await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("at the end", &world, rig.now());
        case.notes("at the end", world.at_rest(&case.who.id));
        let same = |of: &World| {
            (
                of.accounts[&case.who.id].tokens,
                of.accounts[&case.who.id].spent,
                of.chats(&case.who.id).len(),
            )
        };
        let changed = same(&rest) != same(&world);
        case.notes("at the end", changed.then(|| "a late copy changed something for good".into()));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

/// Lets functions sleep past their leases and wake up. Returns the number of cases, and the
/// violations: a function must not store a chat, or return credits that were already returned.
pub async fn sleepers(rig: &Rig) -> (usize, Vec<String>) {
    let [mut swept, mut retaken, mut unswept] = [
        Paying::Chat.begin(rig, None, false).await,
        Paying::KeyedChat.begin(rig, None, true).await,
        Paying::Chat.begin(rig, None, false).await,
    ];
    let swept_wakes = swept.falls_asleep().await;
    let retaken_wakes = retaken.falls_asleep().await;
    rig.after_the_lease();
    rig.sweep().await;
    let unswept_wakes = unswept.falls_asleep().await;
    rig.after_the_lease();
    // A different run with the same idempotency key has a hold when the first run wakes up.
    let second_run = retaken.falls_asleep().await;

    for (case, wakes) in
        [(&mut swept, swept_wakes), (&mut retaken, retaken_wakes), (&mut unswept, unswept_wakes)]
    {
        let woken = wakes.await.unwrap();
        case.notes("the sleeper", woken.audit(&[(503, "not_charged")]));
        case.replies.push(woken);
    }
    let second = second_run.await.unwrap();
    retaken.notes("the second run", second.audit(&[(200, "")]));
    retaken.replies.push(second);
    let mut cases = [swept, retaken, unswept];
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after they woke", &world, rig.now()));
    rig.after_the_lease();
    rig.sweep().await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("at the end", &world, rig.now());
        case.notes("at the end", world.at_rest(&case.who.id));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_are_charged_at_most_once_under_any_fault() {
    let rig = Rig::start().await;
    none(run(&rig, Matrix::of(&Paying::ALL)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_chats_are_charged_at_most_once_under_any_fault() {
    let rig = Rig::start().await;
    // The chat reads its record, reserves, checks for a stop and settles. The stop request reads
    // the account, before or after one of the chat's checks, and marks the chat as stopped.
    let calls = ["GetItem", "UpdateItem", "GetItem", "GetItem", "UpdateItem", "TransactWriteItems"];
    let calls = Some(calls.map(str::to_owned).to_vec());
    none(run(&rig, Matrix { calls, ..Matrix::of(&[Paying::StoppedStream]) }).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_past_their_lease_store_nothing_and_refund_once() {
    let rig = Rig::start().await;
    none(sleepers(&rig).await);
}
