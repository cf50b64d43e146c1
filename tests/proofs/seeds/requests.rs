//! Draws the requests that clients send, and the scheduled work.

use std::fmt::Write;
use std::time::Instant;

use futures_util::FutureExt;
use lambda_http::http::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use shared::ai::{EmbeddingInput, EmbeddingRequest, ReasoningPiece};
use shared::app::AiApp;
use shared::cache::Refused;
use shared::charge::{
    self, AnswerForm, BeginOutcome, Charge, ChosenModel, NewEmbeddings, RequestKey,
};
use shared::http;
use shared::store::Adjustment;
use shared::values::idempotency::fingerprint;
use shared::values::{self, Credential, Reason, StoredApiKey};
use shared::view::PaidChat;
use shared::{App, BalanceChange, Credits, Error, Reply, Request, auth};
use tokio::sync::mpsc::unbounded_channel;

use super::prices::{BY_USAGE, EMBEDDER, Instance, LISTS, MODELS, THINKS, USED};
use super::task::{Action, ChatKind, ChatRequest, Outcome, PieceReceiver, Running, Task};
use super::{Client, Schedule};

/// The form of embeddings, as in the endpoint.
const EMBEDDINGS: AnswerForm = AnswerForm { word: "embeddings", is_stored: false };

/// How many credits each of a person's sources grants.
const GRANTS: [u64; 2] = [100, 250];

impl Schedule<'_> {
    /// Starts a client's request, or the sweep.
    pub(super) fn start_something(&mut self) {
        if self.features.till && self.random.percent(15) {
            return self.start_grant_or_balance();
        }
        if self.features.stops {
            return self.start_or_stop_a_chat();
        }
        if self.features.branches && self.random.percent(60) {
            return self.start_in_a_branch();
        }
        // If most requests are refreshes or repetitions, one client sends all of them. With several
        // clients, the schedule would end before a refresh token becomes invalid, or before
        // embeddings are repeated too often.
        let client = match self.options.refreshes > 50 || self.features.repeats {
            true => 0,
            false => self.random.below(self.clients.len()),
        };
        let talks = self.options.talks;
        let chats = if talks { 70 } else { 78 };
        let action = if self.random.below(100) < self.options.refreshes {
            self.draw_refresh(client)
        } else {
            match self.random.below(100) {
                drawn if drawn < chats => self.draw_chat(client),
                70..84 if talks => self.draw_deletion(client),
                78..84 => Action::Balance,
                _ => Action::Sweep,
            }
        };
        self.start(client, action);
    }

    fn start_grant_or_balance(&mut self) {
        let client = self.random.below(self.clients.len());
        let action = match self.random.below(3) {
            0 => Action::Balance,
            _ => Action::Grant { source: self.random.below(2) },
        };
        self.start(client, action);
    }

    /// Lets a client present a refresh token: usually one of its three newest, and sometimes an
    /// older one.
    fn draw_refresh(&mut self, client: usize) -> Action {
        let known = self.clients[client].refresh.len();
        let generation = match self.random.below(20) {
            0..12 => known - 1,
            12..15 => known.saturating_sub(2),
            15..18 => known.saturating_sub(3),
            _ => self.random.below(known),
        };
        Action::Refresh { generation }
    }

    fn draw_chat(&mut self, client: usize) -> Action {
        let person = self.clients[client].person;
        let key = match self.options.one_key {
            _ if self.options.all_count => None,
            true => Some("k1".to_owned()),
            false => {
                self.random.percent(65).then(|| self.random.pick(&["k1", "k1", "k2"]).to_owned())
            }
        };
        if self.random.percent(self.options.embeddings) {
            return self.draw_embeddings(key);
        }
        let in_conversation = self.options.talks && self.random.percent(80);
        let conversation = in_conversation.then(|| self.draw_conversation(person));
        let message = match (&key, self.random.below(100)) {
            (_, fails) if fails < self.options.failures => "!fail".into(),
            (_, 4..6) => "!empty".into(),
            (_, 6..7) => "!hang".into(),
            (Some(key), 7..17) => format!("{key} other"),
            (Some(key), 17..27) => format!("{THINKS}{key} hi"),
            (None, 7..17) => format!("{THINKS}hi {}", self.tasks.len()),
            // An idempotency key belongs to a message and its conversation.
            (Some(key), _) => conversation
                .map_or_else(|| format!("{key} hi"), |index| format!("{key} in {index}")),
            (None, _) => format!("hi {}", self.tasks.len()),
        };
        let kind = match key {
            None if self.options.all_count || self.random.percent(50) => self.call_of(client),
            _ => self.random.pick(&[ChatKind::Whole, ChatKind::Whole, ChatKind::Streamed]),
        };
        let message = if kind.is_call() { self.options.call.into() } else { message };
        // Chats with the same idempotency key and the same message always belong to the same
        // conversation.
        let conversation = conversation
            .filter(|_| !kind.is_call() && (key.is_none() || message.contains(" in ")))
            .map(|index| self.conversations[person][index].0.clone());
        let chat = ChatRequest { conversation, ..ChatRequest::new(key, message, kind) };
        Action::Chat(self.priced(chat))
    }

    /// Draws a request for embeddings. An idempotency key belongs to a text.
    fn draw_embeddings(&mut self, key: Option<String>) -> Action {
        let text = match (key.as_deref(), self.random.below(100)) {
            (_, fails) if fails < self.options.failures => "!fail".into(),
            (_, 4..7) => "!cut".into(),
            (_, 7..8) => "!hang".into(),
            (Some("k1"), _) => "!used 7 k1".into(),
            (Some(key), _) => format!("{key} text"),
            (None, _) => format!("text {}", self.tasks.len()),
        };
        let model = self.features.listed.then_some(EMBEDDER);
        Action::Chat(ChatRequest { model, ..ChatRequest::new(key, text, ChatKind::Embeddings) })
    }

    fn draw_deletion(&mut self, client: usize) -> Action {
        let person = self.clients[client].person;
        let index = self.draw_conversation(person);
        let (id, deleted) = &mut self.conversations[person][index];
        *deleted = true;
        Action::Delete { conversation: id.clone() }
    }

    /// Draws one of the conversations that a person knows. Most chats and deletions are in the
    /// first conversation, so that a chat is likely to run while the conversation is deleted.
    fn draw_conversation(&mut self, person: usize) -> usize {
        let known = self.conversations[person].len();
        if self.random.percent(80) { 0 } else { self.random.below(known) }
    }

    /// Starts a client's chat with an idempotency key, or a request that stops such a chat. The
    /// answer to a chat with the key `k1` delivers its first word before it is complete. The answer
    /// to a chat with the key `k2` delivers nothing, so the chat can be sent again after a stop.
    fn start_or_stop_a_chat(&mut self) {
        let (mut client, mut key) =
            (self.random.below(self.clients.len()), self.random.pick(&["k1", "k2", "k2"]));
        match self.random.below(100) {
            0..55 => {
                let message = if key == "k1" { "!hold k1 hi" } else { "!hold k2" };
                let kinds = [
                    ChatKind::Held,
                    ChatKind::Held,
                    ChatKind::Held,
                    ChatKind::Streamed,
                    ChatKind::Whole,
                ];
                let kind = match self.features.listed {
                    true if self.random.percent(25) => ChatKind::Silent,
                    _ => self.random.pick(&kinds),
                };
                let chat = self.priced(ChatRequest::new(Some(key.into()), message.into(), kind));
                self.start(client, Action::Chat(chat));
            }
            55..95 => {
                let running = self.tasks.iter().filter(|task| task.is_running());
                let held = running.filter_map(|task| {
                    let chat = task.chat().filter(|chat| chat.kind.holds())?;
                    Some((task.client, chat.held_key()))
                });
                let held: Vec<_> = held.collect();
                if !held.is_empty() && self.random.percent(70) {
                    (client, key) = self.random.pick(&held);
                }
                self.stop(client, key);
            }
            _ => {
                self.start(client, Action::Sweep);
            }
        }
    }

    /// Lets a client stop the chat with this idempotency key.
    pub(super) fn stop(&mut self, client: usize, key: &str) {
        let person = self.clients[client].person;
        let known = self.keys.get(&(person, key.to_owned()));
        let known_until = known.map_or(0, |known| known.until);
        self.start(client, Action::Stop { key: key.into(), known_until });
    }

    /// Starts a client's chat in the first conversation of the client's user. The chat follows the
    /// newest chat, begins a new branch, or follows any of the chats.
    fn start_in_a_branch(&mut self) {
        let client = self.random.below(self.clients.len());
        let person = self.clients[client].person;
        let known = &self.messages[person];
        let place = self.random.below(known.len() + 2);
        let after = match place {
            0 => None,
            1 => Some("start".to_owned()),
            place => Some(known[place - 2].clone()),
        };
        let key = self.random.percent(60).then(|| self.random.pick(&["k1", "k2"]).to_owned());
        let message = match &key {
            // An idempotency key belongs to a message and the chat that it follows.
            Some(key) => format!("{key} after {place}"),
            None => format!("{}hi {}", self.random.pick(&["", "", "", THINKS]), self.tasks.len()),
        };
        let kind = self.random.pick(&[ChatKind::Whole, ChatKind::Streamed]);
        let conversation = Some(self.conversations[person][0].0.clone());
        let chat = ChatRequest { conversation, after, ..ChatRequest::new(key, message, kind) };
        let chat = self.priced(chat);
        self.start(client, Action::Chat(chat));
    }

    /// Decides whether a client that counts its retries repeats a call or begins a new call. If
    /// equal requests count as retries, the client doesn't say so.
    fn call_of(&mut self, client: usize) -> ChatKind {
        if self.clients[client].key.as_ref().is_some_and(|key| key.equal_bodies) {
            return ChatKind::Equal;
        }
        let is_first = |task: &Task| task.chat().is_some_and(|chat| chat.kind == ChatKind::First);
        let has_called = self.tasks.iter().any(|task| task.client == client && is_first(task));
        if has_called && self.random.percent(70) { ChatKind::Again } else { ChatKind::First }
    }

    /// Chooses a chat's model and its maximum cost, if there are price lists. An idempotency key
    /// belongs to a message and its model. Clients without an idempotency key whose retries are
    /// recognized always send the same request.
    pub(super) fn priced(&mut self, chat: ChatRequest) -> ChatRequest {
        let (mut model, mut used, mut max_cost) = (None, "", None);
        if self.features.listed {
            let (is_call, poor) = (chat.kind.is_call(), self.features.poor);
            (model, used) = match chat.key.as_deref() {
                None if is_call => self.chosen[2],
                None if poor => (self.random.pick(BY_USAGE), self.random.pick(&USED)),
                None => (self.random.pick(&MODELS), self.random.pick(&USED)),
                Some("k1") => self.chosen[0],
                Some(_) => self.chosen[1],
            };
            let most = [None, None, None, None, Some(10), Some(40), Some(70), Some(100), Some(160)];
            max_cost = self.random.pick(&most).filter(|_| !is_call);
            max_cost = max_cost.filter(|_| !poor || self.random.percent(30));
        }
        let used = if chat.message.starts_with('!') { "" } else { used };
        ChatRequest { message: format!("{used}{}", chat.message), model, max_cost, ..chat }
    }

    /// Lets an administrator replace or remove the price list. Some administrators have read an
    /// older list.
    pub(super) fn change_prices(&mut self) {
        let list = self.random.pick(&[Some(0), Some(1), Some(2), None]);
        let seen = match self.random.below(10) {
            0 => Some(LISTS[0].version()),
            _ => self.current_version(),
        };
        self.start(0, Action::ChangePrices { list, seen });
    }

    /// Returns the version of the price list in the store.
    pub(super) fn current_version(&self) -> Option<String> {
        let list = self.lane.tables().price_list()?;
        Some(values::PriceList::read(&list).unwrap().version())
    }

    /// Starts an action of a client, and returns the number of its task.
    pub(super) fn start(&mut self, client: usize, action: Action) -> usize {
        let id = self.tasks.len();
        let instance = match self.instances.len() {
            1 => 0,
            several => self.random.below(several),
        };
        let words = self.describe(client, instance, &action);
        let receiver = PieceReceiver::default();
        let running = self.running(client, instance, &action, &receiver);
        if let Action::Refresh { generation } = action {
            self.presents(client, generation);
        }
        self.say(format_args!("{id}: {words}"));
        let (started, of) = (self.now(), &self.clients[client]);
        let by_key = matches!(&action, Action::Chat(chat) if of.key_for(chat).is_some());
        let after_the_end = of.ended && !by_key
            || matches!(action, Action::Refresh { generation } if generation < of.taken);
        self.tasks.push(Task {
            action,
            client,
            instance,
            started,
            chat_began: started,
            began: Instant::now(),
            after_the_end,
            faults: 0,
            lost_a_reserve: false,
            lacks_free_work: false,
            was_poor: false,
            has_changed_prices: false,
            has_refused: false,
            owners: Vec::new(),
            rid: None,
            call: None,
            has_repeated: false,
            free_work: None,
            settled_at: None,
            seen: Vec::new(),
            receiver,
            running: Some(running),
            told: None,
            code: String::new(),
        });
        id
    }

    /// Returns the schedule's log line for the start of an action.
    fn describe(&self, client: usize, instance: usize, action: &Action) -> String {
        let of = &self.clients[client];
        let whose = self.people[of.person].name;
        match action {
            Action::Chat(chat) => {
                let ChatRequest { key, message, kind, conversation, after, .. } = chat;
                let key = key.as_deref().unwrap_or("no key");
                let mut words =
                    format!("client {client} of {whose} chats {message:?} under {key}, {kind:?}");
                words += match (conversation, after) {
                    (None, _) => "",
                    (Some(_), None) => " in a conversation",
                    (Some(_), Some(_)) => " in a branch",
                };
                if self.features.listed {
                    let model = chat.model.unwrap_or("any model");
                    let _ = write!(words, ", {model} in instance {instance}");
                }
                if let Some(most) = chat.max_cost {
                    let _ = write!(words, " for at most {most}");
                }
                if of.key_for(chat).is_some() {
                    words += " by API key";
                }
                words
            }
            Action::Stop { key, .. } => format!("client {client} of {whose} stops {key}"),
            Action::Balance => format!("client {client} of {whose} asks for the balance"),
            Action::Delete { .. } => format!("client {client} of {whose} deletes a conversation"),
            Action::Refresh { generation } => {
                format!("client {client} of {whose} presents refresh token {generation}")
            }
            Action::Grant { source } => format!("the source {source} of {whose} grants credits"),
            Action::Sweep => "the sweep begins".into(),
            Action::ChangePrices { list, seen } => {
                format!("the administrator sets {list:?} in place of {seen:?}")
            }
        }
    }

    /// Returns the future that runs an action in a function instance.
    fn running(
        &self,
        client: usize,
        instance: usize,
        action: &Action,
        receiver: &PieceReceiver,
    ) -> Running {
        let Instance { app, refused, .. } = &self.instances[instance];
        let app = app.clone();
        let of = &self.clients[client];
        match action {
            Action::Chat(chat) => self.chatting(app, refused, of, chat, receiver),
            Action::Stop { key, .. } => {
                let request = of.asks(json!({ "idempotency_key": key }), None);
                let reply = functions::chats::chat_stop::handle(app, request);
                Box::pin(reply.map(Outcome::Replied))
            }
            Action::Balance => {
                let reply = functions::account::balance::handle(app, of.asks(json!({}), None));
                Box::pin(reply.map(Outcome::Replied))
            }
            Action::Delete { conversation } => {
                let reply = delete(app, of.asks(json!({}), None), conversation.clone());
                Box::pin(reply.map(Outcome::Replied))
            }
            Action::Refresh { generation } => {
                let request = of.asks(json!({ "refresh": of.refresh[*generation] }), None);
                let issuing = self.lane.issuing(app);
                let reply = functions::auth::token_refresh::handle(issuing, request);
                Box::pin(reply.map(Outcome::Replied))
            }
            Action::Grant { source } => {
                let grant = self.grant(of.person, *source);
                let granting = async move {
                    let now = app.clock.seconds();
                    app.store.adjust(&grant, now).await
                };
                Box::pin(granting.map(Outcome::Granted))
            }
            Action::Sweep => {
                Box::pin(functions::background::sweep::work(app).map(Outcome::SweepReport))
            }
            Action::ChangePrices { list, seen } => {
                let (list, seen) = (list.map(|list| &LISTS[list]), seen.clone());
                let changing = async move {
                    app.store.set_list(None, list, seen.as_deref(), &app.clock).await
                };
                Box::pin(changing.map(Outcome::PricesChanged))
            }
        }
    }

    fn chatting(
        &self,
        app: App,
        refused: &Refused,
        of: &Client,
        chat: &ChatRequest,
        receiver: &PieceReceiver,
    ) -> Running {
        let ChatRequest { key, message, kind, conversation, after, model, max_cost } = chat;
        if kind.embeds() {
            let request = of.asks(json!({ "model": EMBEDDER, "input": message }), key.as_deref());
            let asking = AiApp { app, ai: self.ai.clone(), refused: refused.clone() };
            let reply = embeddings(asking, request, of.key.clone(), message.clone());
            return Box::pin(reply.map(Outcome::Replied));
        }
        let mut body =
            json!({ "message": message, "conversation_id": conversation, "after": after });
        if self.features.listed {
            body["model"] = json!(model);
            body["max_cost"] = json!(max_cost);
        }
        let request = of.asks(body, key.as_deref());
        let ai = if kind.holds() { &self.patient } else { &self.ai };
        let asking = AiApp { app, ai: ai.clone(), refused: refused.clone() };
        if kind.is_whole() {
            let reply = functions::chats::chat::handle(asking.into(), request);
            return Box::pin(reply.map(Outcome::Replied));
        }
        // The form of the answers that this person's clients request if the product recognizes
        // their retries without a key.
        let form = match (of.person, self.options.all_count) {
            (0, false) => "completion",
            (0, true) => "message",
            (_, false) => "response",
            (_, true) => "text_completion",
        };
        let form = AnswerForm::stored(form);
        let reply = in_pieces(asking, request, of.key.clone(), *kind, form, receiver.clone());
        Box::pin(reply.map(Outcome::Replied))
    }

    /// Records that a client presents a refresh token. If a refresh token is presented again after
    /// ten minutes, it counts as stolen, unless it is the session's first refresh token.
    fn presents(&mut self, client: usize, generation: usize) {
        let is_older = |task: &Task| match task.action {
            Action::Refresh { generation: other } => other < generation,
            _ => false,
        };
        let overtaken = self
            .tasks
            .iter()
            .any(|task| task.client == client && task.is_running() && is_older(task));
        let now = self.now();
        let client = &mut self.clients[client];
        let first = *client.first_presented.entry(generation).or_insert(now);
        let late = generation > 0 && now > first + 600;
        client.robbed |= overtaken || late || generation < client.presented;
        client.presented = client.presented.max(generation);
    }

    /// Returns the grant from one of a person's sources.
    pub(super) fn grant(&self, person: usize, source: usize) -> Adjustment {
        let account = &self.accounts[person];
        let change = BalanceChange::Credit(Credits::new(GRANTS[source]).unwrap());
        let reason = Reason::parse("a bad answer").unwrap();
        let grant = Adjustment::new(account, change, reason, "manage", &self.clock);
        grant.refunding(&source.to_string())
    }
}

impl Client {
    /// Returns the API key that the client uses for this chat.
    pub(super) fn key_for(&self, chat: &ChatRequest) -> Option<&StoredApiKey> {
        self.key.as_ref().filter(|_| !chat.kind.is_whole())
    }

    /// Returns a request with the client's access token.
    fn asks(&self, body: Value, key: Option<&str>) -> Request {
        let mut request = Request::new(body.to_string().into());
        let bearer = format!("Bearer {}", self.token);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(bearer).unwrap());
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Some(key) = key {
            headers.insert("idempotency-key", HeaderValue::try_from(key).unwrap());
        }
        request
    }
}

/// Requests embeddings in the same way as the endpoint does, but returns them as a whole.
async fn embeddings(
    app: AiApp,
    req: Request,
    api_key: Option<StoredApiKey>,
    text: String,
) -> Reply {
    let key = http::idempotency_key(&req)?;
    let caller = match api_key {
        Some(key) => Credential::ApiKey(key),
        None => Credential::Session(auth::caller(&app, &req).await?),
    };
    let model = ChosenModel::choose_for_embeddings(&app, EMBEDDER, &caller).await?;
    let payload = fingerprint(req.body());
    let key = key.map(|key| RequestKey::sent(&key, &caller, EMBEDDINGS.fingerprint(&payload)));
    let request =
        EmbeddingRequest { input: EmbeddingInput::Texts(vec![text]), dimensions: Some(8) };
    let asked = NewEmbeddings { request, key, model };
    let paid = charge::embed(&app, &req, &caller, asked).await?;
    let (vectors, tokens) = (paid.embeddings.vectors, paid.embeddings.usage.prompt_tokens);
    let reply = http::ok(&json!({ "vectors": vectors, "tokens": tokens }));
    if paid.is_repeat { reply.map(http::replayed) } else { reply }
}

/// Runs a chat that isn't requested as a whole in the same way as its endpoint does, but in the
/// request's task, so that the schedule decides when the chat continues.
async fn in_pieces(
    app: AiApp,
    req: Request,
    api_key: Option<StoredApiKey>,
    kind: ChatKind,
    form: AnswerForm,
    receiver: PieceReceiver,
) -> Reply {
    let (caller, mut asked) = charge::read(&app, &req).await?;
    let caller = api_key.map_or(caller, Credential::ApiKey);
    if kind.is_call() {
        asked.key =
            Some(RequestKey::of_call(&app, &req, &caller, form, kind == ChatKind::Again).await?);
    }
    match Charge::begin(&app, &req, &caller, asked).await? {
        BeginOutcome::Replayed(chat) => http::ok(&PaidChat::of(&chat)).map(http::replayed),
        BeginOutcome::Charge(charge) => {
            let (listener, pieces) = unbounded_channel();
            *receiver.borrow_mut() = Some(pieces);
            let chat = charge.answer(Some(listener)).await?.chat;
            let (mut heard, mut thought) = (String::new(), String::new());
            if let Some(mut pieces) = receiver.take() {
                while let Some(piece) = pieces.recv().await {
                    heard.push_str(&piece.text);
                    if let Some(ReasoningPiece::Text(text)) = piece.reasoning {
                        thought.push_str(&text);
                    }
                }
            }
            // If the schedule completes an answer, the client doesn't receive the rest of the
            // answer.
            let is_completed = kind == ChatKind::Held && !chat.stopped;
            let is_heard =
                heard == chat.response || is_completed && chat.response.starts_with(&heard);
            if is_heard && thought == chat.reasoning_text() {
                http::ok(&PaidChat::of(&chat))
            } else {
                Err(Error::Internal(format!("{heard:?} was heard after {thought:?}")))
            }
        }
    }
}

/// Deletes a conversation in the same way as the endpoint does.
async fn delete(app: App, req: Request, conversation: String) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    app.store.delete_conversation(&caller, &conversation, app.clock.seconds()).await?;
    http::accepted(&Value::Null)
}
