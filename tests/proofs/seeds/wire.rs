//! The wire between the SDK and a DynamoDB. The schedule decides when each call reaches the store,
//! when its reply reaches the SDK, and whether the call or the reply is lost.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    AsyncSleep, BehaviorVersion, Builder, Config, HttpClient, Region, RuntimeComponents,
    SharedAsyncSleep, SharedHttpClient, Sleep, StalledStreamProtectionConfig,
};
use aws_sdk_dynamodb::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::tables::{PRICE_LIST, Tables};
use crate::support::mistakes::Sabotage;

/// A request, with the task that sent it and the time when it was sent.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The number of the task that sent the request.
    pub task: usize,
    /// The operation's name.
    pub operation: String,
    pub body: String,
    /// When the request was sent, in seconds.
    pub sent: u64,
}

impl Packet {
    pub fn is_write(&self) -> bool {
        !matches!(self.operation.as_str(), "GetItem" | "BatchGetItem" | "Query" | "Scan")
    }

    pub fn is_transaction(&self) -> bool {
        self.operation == "TransactWriteItems"
    }

    pub fn is_reserve(&self) -> bool {
        self.operation == "UpdateItem" && self.body.contains(":reservation")
    }

    /// Returns true if the request adds the map of free work to an account.
    pub fn begins_free_work(&self) -> bool {
        self.operation == "UpdateItem" && self.body.contains("SET free_work = if_not_exists")
    }

    /// Returns true if the request reads the price list.
    pub fn is_list_read(&self) -> bool {
        self.operation == "GetItem" && self.body.contains(PRICE_LIST)
    }

    /// Returns the credits that a reserve takes.
    pub fn cost(&self) -> i64 {
        text_after(&self.body, r#"":cost":{"N":""#).unwrap().parse().unwrap()
    }

    /// Returns the idempotency key that a write stores for a new call, and when the call's request
    /// arrived, in seconds. `None` for other writes.
    pub fn new_call(&self) -> Option<(String, u64)> {
        if !self.body.contains(":forgotten") {
            return None;
        }
        let key = text_after(&self.body, r#"":key":{"S":""#)?;
        let came: u64 = text_after(&self.body, r#"":came":{"N":""#)?.parse().unwrap();
        Some((key.to_owned(), came / 1000))
    }

    /// Returns the id of the chat that a release or settle belongs to. Empty for other writes.
    pub fn owner(&self) -> &str {
        text_after(&self.body, r#"":owner":{"S":""#).unwrap_or_default()
    }

    pub fn table(&self) -> &str {
        text_after(&self.body, r#""TableName":""#).unwrap_or_default()
    }

    /// Returns the key and the credits of the free work that a write counts. The first free work
    /// creates the map.
    pub fn free_work(&self) -> Option<(String, i64)> {
        let (_, value) = self.body.split_once(r#"":work":"#)?;
        let value = serde_json::Deserializer::from_str(value).into_iter::<Value>().next();
        let value = value.unwrap().unwrap();
        let number = |value: &Value| value["N"].as_str().unwrap().parse().unwrap();
        match value["M"].as_object() {
            Some(days) => days.iter().next().map(|(key, credits)| (key.clone(), number(credits))),
            None => {
                let key = text_after(&self.body, r##""#free_work":""##).unwrap();
                Some((key.to_owned(), number(&value)))
            }
        }
    }
}

/// Returns the part of the body between `mark` and the next quotation mark.
pub fn text_after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark)?.1.split('"').next()
}

/// A status and a body.
pub type HttpReply = (u16, String);

/// Describes a reply's outcome in one word.
pub fn in_words((status, body): &HttpReply) -> &'static str {
    match status {
        200 => "done",
        400 if body.contains("ConditionalCheckFailed") => "refused",
        _ => "failed",
    }
}

/// How a call ends without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    Reset,
    TimedOut,
}

/// A waiting call.
#[derive(Debug)]
pub struct Call {
    pub id: u64,
    pub packet: Packet,
    /// The store's reply, once the call was applied.
    pub reply: Option<HttpReply>,
    /// The outcome that the SDK gets.
    answer: Option<Result<HttpReply, Broken>>,
}

impl Call {
    /// Returns true if the call is a transaction that the store hasn't applied yet: a settle, or
    /// another transaction, such as a grant.
    pub fn is_waiting_transaction(&self) -> bool {
        self.reply.is_none() && self.packet.is_transaction()
    }
}

/// All requests in transit.
pub struct Wire {
    pub tables: Arc<Tables>,
    /// The task that is being polled. If no task is being polled, the wire doesn't hold calls back.
    pub current: Option<usize>,
    pub now: u64,
    pub calls: Vec<Call>,
    /// Stray requests, which may still arrive although their senders have given up.
    pub adrift: Vec<Packet>,
    /// Tasks that pause before they retry an operation.
    pub pausing: Vec<(usize, String)>,
    /// Rewrites calls, so that the schedules have a mistake to find.
    sabotage: Option<Sabotage>,
    next: u64,
}

/// A handle to the wire. Cloning it is cheap.
#[derive(Clone)]
pub struct Connection(Arc<Mutex<Wire>>);

impl Connection {
    pub fn to(tables: Arc<Tables>, sabotage: Option<Sabotage>) -> Self {
        let (calls, adrift, pausing) = Default::default();
        Self(Arc::new(Mutex::new(Wire {
            tables,
            current: None,
            now: 0,
            calls,
            adrift,
            pausing,
            sabotage,
            next: 0,
        })))
    }

    pub fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap()
    }

    /// Returns the configuration of a client with the same number of attempts as in production, no
    /// pauses between attempts, and no time-outs except those that the schedule decides.
    pub fn client(&self) -> Builder {
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .allow_no_auth()
            .auth_scheme_preference([aws_smithy_runtime_api::client::auth::AuthSchemeId::from(
                "noAuth",
            )])
            .http_client(SharedHttpClient::new(self.clone()))
            .sleep_impl(SharedAsyncSleep::new(NoPause))
            .retry_config(RetryConfig::standard())
            .retry_partition(
                RetryPartition::custom("seeds").token_bucket(TokenBucket::unlimited()).build(),
            )
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
    }
}

impl Wire {
    /// Returns the waiting call with this id.
    pub fn call(&mut self, id: u64) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == id)
    }

    /// Returns true if a task is only waiting for the store.
    pub fn waits(&self, task: usize) -> bool {
        let mut own = self.calls.iter().filter(|call| call.packet.task == task).peekable();
        own.peek().is_some()
            && own.all(|call| call.answer.is_none())
            && !self.pausing.iter().any(|(who, _)| *who == task)
    }

    /// Lets a request through to the store.
    pub fn apply(&mut self, packet: &Packet) -> HttpReply {
        let mut body = packet.body.clone();
        match self.sabotage {
            Some(Sabotage::Sends(rewrite) | Sabotage::Exchanges { sends: rewrite, .. }) => {
                rewrite(&packet.operation, &mut body);
            }
            Some(Sabotage::Reprices(rewrite)) => {
                if let Some(list) = self.tables.price_list() {
                    rewrite(&packet.operation, &mut body, &list);
                }
            }
            Some(Sabotage::Confirms(_)) | None => {}
        }
        let (status, mut reply) = self.tables.execute(&packet.operation, &body);
        if let Some(Sabotage::Exchanges { receives, .. }) = self.sabotage {
            receives(&packet.body, &mut reply);
        }
        (status, reply)
    }

    /// Gives a waiting call its reply.
    pub fn answer(&mut self, id: u64, answer: Result<HttpReply, Broken>) {
        if let Some(call) = self.call(id) {
            call.answer = Some(answer);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl HttpClient for Connection {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap();
        let mut wire = self.wire();
        let Some(task) = wire.current else {
            return HttpConnectorFuture::ready(Ok(response(
                wire.tables.execute(&operation, &body),
            )));
        };
        if let Some(index) =
            wire.pausing.iter().position(|(who, what)| *who == task && *what == operation)
        {
            wire.pausing.remove(index);
        }
        let id = wire.next;
        wire.next += 1;
        let packet = Packet { task, operation, body, sent: wire.now };
        if let Some(Sabotage::Confirms(too_soon)) = wire.sabotage
            && too_soon(&packet.operation, &packet.body)
        {
            wire.adrift.push(packet);
            return HttpConnectorFuture::ready(Ok(response((200, "{}".into()))));
        }
        wire.calls.push(Call { id, packet, reply: None, answer: None });
        HttpConnectorFuture::new(Waiting { connection: self.clone(), id })
    }
}

/// The SDK's side of a call.
struct Waiting {
    connection: Connection,
    id: u64,
}

impl Future for Waiting {
    type Output = Result<HttpResponse, ConnectorError>;

    // The schedule polls each task whose call it has answered, so the task needs no wake-up.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let mut wire = self.connection.wire();
        match wire.call(self.id).and_then(|call| call.answer.take()) {
            None => Poll::Pending,
            Some(Ok(reply)) => Poll::Ready(Ok(response(reply))),
            Some(Err(Broken::Reset)) => {
                Poll::Ready(Err(ConnectorError::io("connection reset".into())))
            }
            Some(Err(Broken::TimedOut)) => {
                Poll::Ready(Err(ConnectorError::timeout("no reply in time".into())))
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut wire = self.connection.wire();
        wire.calls.retain(|call| call.id != self.id);
    }
}

fn response((status, body): HttpReply) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().unwrap(), body.into());
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}

/// Skips the SDK's pauses between two attempts.
#[derive(Debug)]
struct NoPause;

impl AsyncSleep for NoPause {
    fn sleep(&self, _: std::time::Duration) -> Sleep {
        Sleep::new(std::future::ready(()))
    }
}
