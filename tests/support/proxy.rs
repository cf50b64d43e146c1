//! A wire between the SDK and any DynamoDB, which breaks on demand. It recognizes each call and its
//! attempts. It disturbs the attempts that a plan selects, before or after the store applies them,
//! and keeps copies of calls to deliver later.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use dynoxide::types::{Item, item_size};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use shared::aws::{self, SdkConfig, ServiceUrl};
use shared::clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::client::http;
use crate::support::mistakes::Sabotage;
use crate::support::permissions::{STACK, key_or_item};

/// Longer than one attempt may take.
const PAST_THE_ATTEMPT: Duration = Duration::from_millis(2000);

/// The maximum time that the wire waits for a call that the store finishes after the sender has
/// given up.
const BEFORE_LONG: Duration = Duration::from_secs(10);

/// How many write units DynamoDB accepts in a second for one partition key.
const PARTITION: usize = 1000;

/// How many times the SDK sends a call before it gives up.
const ATTEMPTS: usize = 3;

/// A fault that the wire injects into a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sender gets a 500, and the store doesn't get the call.
    Fail500Before,
    /// The store applies the call, and the sender gets a 500.
    Fail500After,
    /// The wire drops the connection, and the store doesn't get the call.
    ResetBefore,
    /// The store applies the call, and the wire drops the connection.
    ResetAfter,
    /// The store applies the call, and its reply arrives after the sender has given up.
    DelayPast,
    /// The sender gets a 400: DynamoDB throttles the call (`ThrottlingException`).
    Throttle,
    /// The sender gets a 400: DynamoDB throttles the call
    /// (`ProvisionedThroughputExceededException`).
    Exceeded,
    /// The sender gets a 400: another transaction is writing the item. The store doesn't get the
    /// call.
    Conflict,
    /// The sender gets a 400: a transaction with this request token is still in progress.
    InProgress,
    /// The sender gets a 400: an earlier transaction used this request token for different
    /// contents. The store doesn't get the call.
    Mismatch,
    /// The sender gets a 400: the function's credentials have expired. The store doesn't get the
    /// call.
    Expired,
    /// The store applies the call, and the reply is cut in the middle.
    Garbled,
    /// The store applies the call, and [`Lane::deliver`] delivers a copy later.
    Again,
    /// The wire drops the connection, and [`Lane::deliver`] delivers the call later.
    Late,
    /// The reply lists all requests in a batch as unprocessed, and the store doesn't get the batch.
    Unprocessed,
    /// The store doesn't get the call, and the sender gets no reply. Tests kill the function at
    /// this point.
    StallBefore,
    /// The store applies the call, and the sender gets no reply.
    StallAfter,
}

impl Fault {
    /// All faults except those that stall the sender.
    pub const ALL: [Self; 15] = [
        Self::Fail500Before,
        Self::Fail500After,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::DelayPast,
        Self::Throttle,
        Self::Exceeded,
        Self::Conflict,
        Self::InProgress,
        Self::Mismatch,
        Self::Expired,
        Self::Garbled,
        Self::Again,
        Self::Late,
        Self::Unprocessed,
    ];

    /// Returns true if this operation could fail in this way in DynamoDB.
    pub fn suits(self, operation: &str) -> bool {
        match self {
            // The reply to a batch lists an item as unprocessed if it conflicts with another call.
            Self::Conflict => !matches!(
                operation,
                "GetItem" | "Query" | "Scan" | "BatchGetItem" | "BatchWriteItem"
            ),
            Self::InProgress | Self::Mismatch => operation == "TransactWriteItems",
            Self::Unprocessed => operation.starts_with("Batch"),
            _ => true,
        }
    }

    /// Returns true if a request eventually succeeds when this fault strikes once.
    pub fn is_done(self) -> bool {
        !matches!(self, Self::Mismatch | Self::Expired)
    }

    /// Returns true if the SDK or the product retries the call. The SDK and the product don't retry
    /// a call if the store rejected it permanently, or if its reply can't be read.
    pub fn is_sent_again(self) -> bool {
        !matches!(self, Self::Mismatch | Self::Expired | Self::Garbled)
    }
}

/// The call that a plan strikes, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// The n-th call overall.
    Call(usize),
    /// The n-th call of an operation.
    Operation(&'static str, usize),
}

/// How many times a plan's fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultRepeat {
    /// Strikes one attempt: the SDK's next attempt succeeds.
    Once,
    /// Strikes every attempt of the call.
    EachAttempt,
    /// Strikes the call and all later calls, until [`Lane::calm`].
    FromThenOn,
}

/// A fault, and the call that it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub at: FaultPoint,
    pub fault: Fault,
    pub strikes: FaultRepeat,
}

/// Random faults: each attempt of each call gets a fault with this probability.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// The seed decides which attempts get a fault, as long as the calls arrive in the same order.
    pub seed: u64,
    pub percent: u64,
}

impl Storm {
    /// Returns the fault for an attempt of the `index`-th call.
    fn fault(self, index: usize, attempt: usize, operation: &str) -> Option<Fault> {
        let mut hasher = DefaultHasher::new();
        (self.seed, index, attempt).hash(&mut hasher);
        let random = hasher.finish();
        let faults: Vec<_> =
            Fault::ALL.into_iter().filter(|fault| fault.suits(operation)).collect();
        let picked = usize::try_from(random / 100).unwrap() % faults.len();
        (random % 100 < self.percent).then(|| faults[picked])
    }
}

/// A call of the SDK, with all its attempts.
#[derive(Clone, Debug)]
pub struct Call {
    pub operation: String,
    pub attempts: usize,
    invocation: String,
    /// The call's position among the calls of the same operation.
    nth: usize,
}

/// The wire. Each [`Lane`] of the wire breaks independently.
pub struct Proxy {
    url: String,
    wire: Arc<Wire>,
    server: JoinHandle<()>,
}

struct Wire {
    upstream: ServiceUrl,
    /// A header that replaces each call's `Authorization` header, so that the store sees a
    /// different account.
    authorization: Option<HeaderValue>,
    sabotage: Option<Sabotage>,
    http: reqwest::Client,
    /// The configuration of the lanes' clients, which share their connections. With connections of
    /// its own for each client, thousands of lanes would need too many of them.
    aws: SdkConfig,
    lanes: Mutex<Vec<Arc<Traffic>>>,
    /// The panics of the wire's own tasks.
    panics: Mutex<Vec<String>>,
}

/// One attempt of a call, in transit to the store.
#[derive(Clone)]
struct Attempt {
    wire: Arc<Wire>,
    traffic: Arc<Traffic>,
    operation: String,
    invocation: String,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Default)]
struct Traffic {
    state: Mutex<LaneState>,
    /// How many times the plan's fault has struck. Some faults strike after the store has applied
    /// the call, and are counted only then.
    struck: watch::Sender<usize>,
    /// True once the calls that [`Lane::gathers`] holds back may pass.
    gathered: watch::Sender<bool>,
}

#[derive(Default)]
struct LaneState {
    plan: Option<Plan>,
    storm: Option<Storm>,
    calls: Vec<Call>,
    kept: Vec<(HeaderMap, Bytes)>,
    overdrawn: bool,
    /// The eventually consistent reads so far.
    weak_reads: Vec<String>,
    forgets_tokens: bool,
    records: bool,
    /// The operation and body of each attempt.
    recorded: Vec<(String, Value)>,
    /// Failures that no plan injected.
    mishaps: Vec<String>,
    gathering: Option<Gathering>,
    throttling: Option<Throttling>,
    /// The write units of each table's partition keys, if they are limited.
    partitions: Option<HashMap<String, usize>>,
    /// True if no chat can be stored.
    is_full: bool,
}

/// An operation whose calls are held back until `count` of them are under way.
struct Gathering {
    operation: &'static str,
    count: usize,
    /// The invocation ids of the calls so far.
    calls: HashSet<String>,
}

/// Refuses transaction attempts, as DynamoDB does when they exceed a partition's capacity.
struct Throttling {
    /// Gets the attempt's number, counted from 0, and its number of writes.
    refuses: Box<dyn Fn(usize, usize) -> bool + Send>,
    attempts: Vec<TransactionAttempt>,
}

/// One attempt to execute a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionAttempt {
    /// The second write, which distinguishes transactions that begin with the same check.
    pub write: Value,
    /// True if the attempt was refused.
    pub is_throttled: bool,
}

impl Proxy {
    /// Starts a wire in front of the DynamoDB at `upstream`.
    pub async fn start(upstream: &str) -> Self {
        Self::sabotaged(upstream, None).await
    }

    /// Starts a wire that rewrites calls with `sabotage`.
    pub async fn sabotaged(upstream: &str, sabotage: Option<Sabotage>) -> Self {
        Self::with_upstream(upstream, None, sabotage).await
    }

    /// Starts a wire in front of DynamoDB Local at `upstream`, under a new access key. DynamoDB
    /// Local keeps a separate store for each access key.
    pub async fn account(upstream: &str) -> Self {
        let key = uuid::Uuid::new_v4().simple();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        );
        Self::with_upstream(upstream, Some(authorization.try_into().unwrap()), None).await
    }

    async fn with_upstream(
        upstream: &str,
        authorization: Option<HeaderValue>,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = ServiceUrl::parse(upstream).unwrap();
        // The client signs its calls with the store's access key. The wire signs them again,
        // because it changes the host and the path.
        let key =
            upstream.key.as_ref().map(|(id, secret)| format!("{id}:{secret}@")).unwrap_or_default();
        let url = format!("http://{key}{}", listener.local_addr().unwrap());
        let wire = Arc::new(Wire {
            upstream,
            authorization,
            sabotage,
            http: http(),
            aws: aws::emulated(),
            lanes: Mutex::default(),
            panics: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(wire.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, wire, server }
    }

    /// Creates a lane with its own URL and no faults.
    pub fn lane(&self) -> Lane {
        let mut lanes = self.wire.lanes.lock().unwrap();
        let traffic = Arc::<Traffic>::default();
        lanes.push(traffic.clone());
        Lane { url: format!("{}/{}", self.url, lanes.len() - 1), traffic, wire: self.wire.clone() }
    }
}

impl Drop for Proxy {
    /// Panics if the wire panicked. The senders saw only a closed connection, so a test could
    /// otherwise pass, or fail without showing the cause.
    fn drop(&mut self) {
        self.server.abort();
        let panics = self.wire.panics.lock().unwrap();
        assert!(panics.is_empty() || std::thread::panicking(), "the wire panicked: {panics:?}");
    }
}

/// One user's connection through the wire.
#[derive(Clone)]
pub struct Lane {
    pub url: String,
    traffic: Arc<Traffic>,
    wire: Arc<Wire>,
}

impl Lane {
    /// Returns the configuration of the lane's clients.
    pub fn aws(&self) -> &SdkConfig {
        &self.wire.aws
    }

    /// Sets the plan, and counts calls from 1 again.
    pub fn strike(&self, plan: Option<Plan>) {
        let mut seen = self.traffic.state.lock().unwrap();
        seen.plan = plan;
        seen.calls.clear();
    }

    /// Plans a fault for one attempt of the n-th call of an operation, and counts calls from 1
    /// again.
    pub fn strike_once(&self, operation: &'static str, nth: usize, fault: Fault) {
        let at = FaultPoint::Operation(operation, nth);
        self.strike(Some(Plan { at, fault, strikes: FaultRepeat::Once }));
    }

    /// Sets random faults, and counts calls from 1 again.
    pub fn storm(&self, storm: Storm) {
        self.strike(None);
        self.traffic.state.lock().unwrap().storm = Some(storm);
    }

    /// Ends all faults on this lane.
    pub fn calm(&self) {
        let mut seen = self.traffic.state.lock().unwrap();
        (seen.plan, seen.storm) = (None, None);
    }

    /// Simulates pauses of ten minutes between attempts. From now on, the store doesn't recognize a
    /// transaction that it has already applied.
    pub fn forgets_tokens(&self) {
        self.traffic.state.lock().unwrap().forgets_tokens = true;
    }

    /// Holds back calls of this operation until `count` of them are under way at the same time.
    /// From then on, all calls pass.
    pub fn gathers(&self, operation: &'static str, count: usize) {
        let gathering = Gathering { operation, count, calls: HashSet::new() };
        self.traffic.state.lock().unwrap().gathering = Some(gathering);
    }

    /// Throttles the transaction attempts for which `refuses` returns true. Its arguments are the
    /// attempt's number, counted from 0, and the number of writes.
    pub fn throttles(&self, refuses: impl Fn(usize, usize) -> bool + Send + 'static) {
        let throttling = Throttling { refuses: Box::new(refuses), attempts: Vec::new() };
        self.traffic.state.lock().unwrap().throttling = Some(throttling);
    }

    /// Throttles the writes that exceed the capacity of a partition key, as DynamoDB does if all
    /// calls on this lane arrive within the same second.
    pub fn limits_partitions(&self) {
        self.traffic.state.lock().unwrap().partitions = Some(HashMap::new());
    }

    /// Refuses every transaction that stores a chat, as DynamoDB does if the account's chats have
    /// reached 10 GB.
    pub fn is_full(&self) {
        self.traffic.state.lock().unwrap().is_full = true;
    }

    /// Returns the transaction attempts since [`Lane::throttles`] was called.
    pub fn attempts(&self) -> Vec<TransactionAttempt> {
        let state = self.traffic.state.lock().unwrap();
        state.throttling.as_ref().map(|throttling| throttling.attempts.clone()).unwrap_or_default()
    }

    /// Returns the calls since the last plan was set.
    pub fn calls(&self) -> Vec<Call> {
        self.traffic.state.lock().unwrap().calls.clone()
    }

    /// Starts to keep the calls for [`Lane::recorded`].
    pub fn records(&self) {
        self.traffic.state.lock().unwrap().records = true;
    }

    /// Returns each attempt's operation and body since `recorded` was last called.
    pub fn recorded(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.traffic.state.lock().unwrap().recorded)
    }

    /// Returns true if any reply has shown a negative balance.
    pub fn overdrawn(&self) -> bool {
        self.traffic.state.lock().unwrap().overdrawn
    }

    /// Returns how many faults have struck.
    pub fn times_struck(&self) -> usize {
        *self.traffic.struck.borrow()
    }

    /// Returns the eventually consistent reads of tables. Reads of an index aren't included,
    /// because they are always eventually consistent.
    pub fn weak_reads(&self) -> Vec<String> {
        self.traffic.state.lock().unwrap().weak_reads.clone()
    }

    /// Returns the failures that no plan injected, such as a connection that the store closed. They
    /// explain why a sender saw more faults than the plan contains.
    pub fn mishaps(&self) -> Vec<String> {
        self.traffic.state.lock().unwrap().mishaps.clone()
    }

    /// Waits for the plan's fault, but not forever. Returns true if the fault has struck. The
    /// sender of the call may have given up and retried in the meantime.
    pub async fn strikes(&self) -> bool {
        tokio::time::timeout(BEFORE_LONG, self.struck()).await.is_ok()
    }

    /// Waits until the plan's fault has struck.
    pub async fn struck(&self) {
        self.traffic.struck.subscribe().wait_for(|times| *times > 0).await.unwrap();
    }

    /// Delivers the kept copies in the order in which they were sent.
    pub async fn deliver(&self) {
        let kept = self.traffic.state.lock().unwrap().kept.clone();
        self.send(&kept).await;
    }

    /// Delivers the kept copies twice: in reverse order, and then in the order in which they were
    /// sent. The store doesn't recognize transactions that it has already applied, because it
    /// remembers a request token for only ten minutes.
    pub async fn deliver_much_later(&self) {
        let mut kept = self.traffic.state.lock().unwrap().kept.clone();
        for (_, body) in &mut kept {
            *body = under_another_token(body);
        }
        kept.reverse();
        self.send(&kept).await;
        kept.reverse();
        self.send(&kept).await;
    }

    async fn send(&self, kept: &[(HeaderMap, Bytes)]) {
        for (headers, body) in kept {
            let delivered = self.wire.forward(headers.clone(), body.clone()).await;
            delivered.unwrap_or_else(|cause| {
                let (operation, body) = (operation(headers), String::from_utf8_lossy(body));
                panic!("a late copy of {operation} didn't reach the store: {cause}\n{body}")
            });
        }
    }
}

impl Traffic {
    /// Waits while [`Lane::gathers`] holds the call back.
    async fn gather(&self, operation: &str, invocation: &str) {
        let is_complete = {
            let mut state = self.state.lock().unwrap();
            let gathering = state.gathering.as_mut().filter(|held| held.operation == operation);
            let Some(gathering) = gathering else { return };
            gathering.calls.insert(invocation.to_owned());
            gathering.calls.len() >= gathering.count
        };
        if is_complete {
            self.gathered.send_replace(true);
        } else {
            self.gathered.subscribe().wait_for(|gathered| *gathered).await.unwrap();
        }
    }

    /// Returns DynamoDB's reply to a transaction that [`Lane::throttles`] refuses.
    fn throttled(&self, operation: &str, body: &Bytes) -> Option<Response> {
        let mut state = self.state.lock().unwrap();
        let throttling = state.throttling.as_mut().filter(|_| operation == "TransactWriteItems")?;
        let sent: Value = serde_json::from_slice(body).unwrap();
        let writes = sent["TransactItems"].as_array().unwrap();
        let is_throttled = (throttling.refuses)(throttling.attempts.len(), writes.len());
        let write = writes.get(1).cloned().unwrap_or_default();
        throttling.attempts.push(TransactionAttempt { write, is_throttled });
        let mut reasons = vec![json!({ "Code": "None" }); writes.len()];
        *reasons.last_mut().unwrap() =
            json!({ "Code": "ThrottlingError", "Message": "The table is above its capacity." });
        is_throttled.then(|| cancelled(reasons))
    }

    /// Returns DynamoDB's reply to a transaction that [`Lane::is_full`] refuses.
    fn overfills(&self, operation: &str, body: &Bytes) -> Option<Response> {
        if operation != "TransactWriteItems" || !self.state.lock().unwrap().is_full {
            return None;
        }
        let sent: Value = serde_json::from_slice(body).unwrap();
        let stores = |write: &Value| write["Put"]["TableName"] == "ChatsTable";
        let reason = |write| match stores(write) {
            true => {
                json!({ "Code": "ItemCollectionSizeLimitExceeded", "Message": "Collection size exceeded." })
            }
            false => json!({ "Code": "None" }),
        };
        let writes = sent["TransactItems"].as_array().unwrap();
        writes.iter().any(stores).then(|| cancelled(writes.iter().map(reason).collect()))
    }

    /// Returns true if [`Lane::limits_partitions`] throttles the call. Counts the call otherwise.
    fn exceeds(&self, operation: &str, body: &Bytes) -> bool {
        let mut state = self.state.lock().unwrap();
        let Some(partitions) = &mut state.partitions else { return false };
        let mut used = partitions.clone();
        for (partition, units) in write_units(operation, &serde_json::from_slice(body).unwrap()) {
            *used.entry(partition).or_default() += units;
        }
        let is_over = used.values().any(|units| *units > PARTITION);
        if !is_over {
            *partitions = used;
        }
        is_over
    }

    /// Records an attempt, and returns the fault that it gets.
    fn arrives(&self, operation: &str, invocation: &str) -> Option<Fault> {
        let mut seen = self.state.lock().unwrap();
        let known = seen.calls.iter().position(|call| call.invocation == invocation);
        let index = known.unwrap_or_else(|| {
            let nth = seen.calls.iter().filter(|call| call.operation == operation).count() + 1;
            seen.calls.push(Call {
                operation: operation.to_owned(),
                attempts: 0,
                invocation: invocation.to_owned(),
                nth,
            });
            seen.calls.len() - 1
        });
        seen.calls[index].attempts += 1;
        if let Some(storm) = seen.storm {
            return storm.fault(index, seen.calls[index].attempts, operation);
        }
        let plan = seen.plan?;
        let at = match plan.at {
            FaultPoint::Call(number) => number - 1,
            FaultPoint::Operation(operation, nth) => {
                seen.calls.iter().position(|call| call.operation == operation && call.nth == nth)?
            }
        };
        let meant = match plan.strikes {
            FaultRepeat::Once => index == at && seen.calls[index].attempts == 1,
            FaultRepeat::EachAttempt => index == at,
            FaultRepeat::FromThenOn => index >= at,
        };
        (meant && plan.fault.suits(operation)).then_some(plan.fault)
    }

    fn keep(&self, headers: &HeaderMap, body: &Bytes) {
        self.state.lock().unwrap().kept.push((headers.clone(), body.clone()));
    }

    fn has_struck(&self) {
        self.struck.send_modify(|times| *times += 1);
    }
}

impl Wire {
    /// Sends a call to the store and returns the reply. The store gets the call even if the sender
    /// has given up.
    ///
    /// # Errors
    /// Returns the cause if the store's reply doesn't arrive. The store may have applied the call.
    async fn forward(
        &self,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<(u16, HeaderMap, Bytes), String> {
        if let Some(authorization) = &self.authorization {
            headers.insert("authorization", authorization.clone());
        }
        if let Some((id, secret)) = &self.upstream.key {
            signed(
                &mut headers,
                &body,
                &self.upstream.url,
                Credentials::new(id, secret, None, None, "test"),
            );
        }
        let request = self.http.post(&self.upstream.url).headers(headers).body(body);
        let answered = tokio::spawn(async move {
            let reply = request.send().await?;
            let (status, mut headers) = (reply.status().as_u16(), reply.headers().clone());
            for name in ["content-length", "transfer-encoding", "connection"] {
                headers.remove(name);
            }
            Ok((status, headers, reply.bytes().await?))
        });
        let answered: reqwest::Result<_> = answered.await.map_err(|ended| ended.to_string())?;
        answered.map_err(|error| format!("{error:?}"))
    }
}

/// Signs a call to DynamoDB at `url`, and replaces the call's old signature.
pub fn signed(headers: &mut HeaderMap, body: &[u8], url: &str, credentials: Credentials) {
    let (identity, settings) = (credentials.into(), SigningSettings::default());
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("dynamodb")
        .time(UNIX_EPOCH + clock::system_time())
        .settings(settings);
    for name in ["authorization", "x-amz-date"] {
        headers.remove(name);
    }
    let said = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let request =
        SignableRequest::new("POST", format!("{url}/"), said, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(request, &params.build().unwrap().into()).unwrap().into_parts();
    for (name, value) in instructions.headers() {
        headers.insert(HeaderName::try_from(name).unwrap(), value.try_into().unwrap());
    }
}

/// Executes the plan for a call to its end, even if the client disconnects. On a busy machine, a
/// client may disconnect before the end.
async fn pass(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    match tokio::spawn(carry(wire.clone(), request)).await {
        Ok(Some(response)) => response,
        Ok(None) => drop_connection(),
        Err(panicked) => {
            wire.panics.lock().unwrap().push(panicked.to_string());
            drop_connection()
        }
    }
}

/// Returns the reply to a call. `None` if the connection is dropped without a reply.
async fn carry(wire: Arc<Wire>, request: Request) -> Option<Response> {
    let attempt = receive(wire, request).await?;
    match attempt.wire.sabotage {
        Some(Sabotage::Confirms(too_soon))
            if too_soon(&attempt.operation, str::from_utf8(&attempt.body).unwrap()) =>
        {
            tokio::spawn(deliver_unawaited(attempt));
            Some(Response::new(Body::from("{}")))
        }
        _ => deliver(attempt).await,
    }
}

/// Reads an attempt, and lets the sabotage rewrite it. `None` if the sender has given up.
async fn receive(wire: Arc<Wire>, request: Request) -> Option<Attempt> {
    let (mut parts, body) = request.into_parts();
    let lane: usize = parts.uri.path().trim_matches('/').parse().unwrap();
    let traffic = wire.lanes.lock().unwrap()[lane].clone();
    let mut body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
    if traffic.state.lock().unwrap().forgets_tokens {
        body = under_another_token(&body);
    }
    for name in ["host", "content-length", "connection"] {
        parts.headers.remove(name);
    }
    let operation = operation(&parts.headers).to_owned();
    let invocation = header(&parts.headers, "amz-sdk-invocation-id").to_owned();
    if let Some(Sabotage::Sends(rewrite)) = wire.sabotage {
        let mut sent = String::from_utf8(body.into()).unwrap();
        rewrite(&operation, &mut sent);
        body = sent.into();
    }
    if traffic.state.lock().unwrap().records {
        let sent = serde_json::from_slice(&body).unwrap();
        traffic.state.lock().unwrap().recorded.push((operation.clone(), sent));
    }
    if matches!(operation.as_str(), "GetItem" | "Query" | "Scan" | "BatchGetItem") {
        let sent: Value = serde_json::from_slice(&body).unwrap();
        // In a batch, each table has a separate `ConsistentRead`.
        let reads: Vec<&Value> = sent["RequestItems"]
            .as_object()
            .map_or(vec![&sent], |tables| tables.values().collect());
        if reads.iter().any(|read| read["ConsistentRead"] != true && read["IndexName"].is_null()) {
            traffic.state.lock().unwrap().weak_reads.push(format!("{operation} {sent}"));
        }
    }
    Some(Attempt { wire, traffic, operation, invocation, headers: parts.headers, body })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// Returns the operation that a call's headers select.
fn operation(headers: &HeaderMap) -> &str {
    header(headers, "x-amz-target").rsplit('.').next().unwrap()
}

/// Delivers a call although the product doesn't wait for its outcome. Retries the call as the SDK
/// would.
async fn deliver_unawaited(attempt: Attempt) {
    for _ in 0..ATTEMPTS {
        let delivered = deliver(attempt.clone()).await;
        if delivered.is_some_and(|reply| reply.status().is_success()) {
            break;
        }
    }
}

/// Returns the write units of each write in a call, with its table and partition key. The wire
/// doesn't know the items that are updated, so an update counts as what it sends. Writes to indexes
/// aren't counted.
fn write_units(operation: &str, sent: &Value) -> Vec<(String, usize)> {
    let counted = |write: &Value, per_kb: usize| {
        let (table, item) = (write["TableName"].as_str().unwrap(), key_or_item(write));
        let values = &write["ExpressionAttributeValues"];
        let size: usize = [item, values]
            .into_iter()
            .filter(|part| part.is_object())
            .map(|part| item_size(&serde_json::from_value::<Item>(part.clone()).unwrap()))
            .sum();
        let key = &item[STACK.partition_key(table).as_str()];
        (format!("{table} {key}"), per_kb * size.div_ceil(1024))
    };
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![counted(sent, 1)],
        "TransactWriteItems" => {
            let writes = sent["TransactItems"].as_array().unwrap().iter();
            let writes = writes.flat_map(|write| write.as_object().unwrap().values());
            writes.map(|write| counted(write, 2)).collect()
        }
        "BatchWriteItem" => panic!("the wire doesn't count the units of batches yet"),
        _ => Vec::new(),
    }
}

/// Returns the store's reply to an attempt, or the fault's reply instead. `None` if the connection
/// is dropped without a reply.
async fn deliver(attempt: Attempt) -> Option<Response> {
    let Attempt { wire, traffic, operation, invocation, headers, body } = attempt;
    traffic.gather(&operation, &invocation).await;
    let throttled = traffic.throttled(&operation, &body);
    if let Some(refused) = throttled.or_else(|| traffic.overfills(&operation, &body)) {
        return Some(refused);
    }
    let fault = traffic.arrives(&operation, &invocation);
    let exceeded = traffic.exceeds(&operation, &body).then_some(Fault::Exceeded);
    let fault = exceeded.or(fault);

    // Faults that strike before the store receives the call.
    let refused = match fault {
        Some(Fault::Fail500Before) => Some(internal_error()),
        Some(Fault::Throttle) => {
            Some(failure(400, "com.amazon.coral.availability#ThrottlingException", json!({})))
        }
        Some(Fault::Exceeded) => {
            Some(failure(400, &dynamodb("ProvisionedThroughputExceededException"), json!({})))
        }
        Some(Fault::Conflict) => Some(conflict(&operation, &body)),
        Some(Fault::InProgress) => {
            Some(failure(400, &dynamodb("TransactionInProgressException"), json!({})))
        }
        Some(Fault::Unprocessed) => Some(unprocessed(&body)),
        Some(Fault::Mismatch) => {
            Some(failure(400, &dynamodb("IdempotentParameterMismatchException"), json!({})))
        }
        Some(Fault::Expired) => {
            Some(failure(400, "com.amazon.coral.service#ExpiredTokenException", json!({})))
        }
        _ => None,
    };
    if let Some(refused) = refused {
        traffic.has_struck();
        return Some(refused);
    }
    match fault {
        Some(Fault::ResetBefore | Fault::StallBefore | Fault::Late) => {
            if fault == Some(Fault::Late) {
                traffic.keep(&headers, &body);
            }
            traffic.has_struck();
            return if fault == Some(Fault::StallBefore) { pending().await } else { None };
        }
        Some(Fault::Again) => traffic.keep(&headers, &body),
        _ => {}
    }

    let (status, headers, reply) = match wire.forward(headers, body).await {
        Ok(reply) => reply,
        Err(cause) => {
            let mishap = format!("the store's reply to {operation} didn't arrive: {cause}");
            traffic.state.lock().unwrap().mishaps.push(mishap);
            return None;
        }
    };
    if reply.windows(OVERDRAWN.len()).any(|bytes| bytes == OVERDRAWN) {
        traffic.state.lock().unwrap().overdrawn = true;
    }
    if fault.is_some() {
        traffic.has_struck();
    }
    let mut reply = reply;
    match fault {
        Some(Fault::Fail500After) => return Some(internal_error()),
        Some(Fault::ResetAfter) => return None,
        Some(Fault::StallAfter) => pending().await,
        Some(Fault::DelayPast) => tokio::time::sleep(PAST_THE_ATTEMPT).await,
        Some(Fault::Garbled) => reply.truncate(reply.len() / 2),
        _ => {}
    }
    let mut response = Response::new(Body::from(reply));
    *response.status_mut() = status.try_into().unwrap();
    *response.headers_mut() = headers;
    Some(response)
}

/// Returns a copy of a call. If the call has a request token, the copy has a new one.
fn under_another_token(body: &Bytes) -> Bytes {
    let mut sent: Value = serde_json::from_slice(body).unwrap();
    if let Some(token) = sent.get_mut("ClientRequestToken") {
        *token = json!(uuid::Uuid::new_v4().to_string());
    }
    sent.to_string().into()
}

/// How a negative balance is encoded in a reply.
const OVERDRAWN: &[u8] = br#""tokens":{"N":"-"#;

/// Ends the task that serves the connection, so that the connection closes without a reply. Only
/// that task may call this: the unwinding prints no message, so another task would end for no
/// visible reason.
fn drop_connection() -> ! {
    resume_unwind(Box::new("the connection is dropped"))
}

fn dynamodb(error: &str) -> String {
    format!("com.amazonaws.dynamodb.v20120810#{error}")
}

fn internal_error() -> Response {
    failure(500, &dynamodb("InternalServerError"), json!({}))
}

/// Returns DynamoDB's error for a conflict. In a transaction's error, the first item is the item
/// that conflicts.
fn conflict(operation: &str, body: &Bytes) -> Response {
    if operation != "TransactWriteItems" {
        return failure(400, &dynamodb("TransactionConflictException"), json!({}));
    }
    let sent: Value = serde_json::from_slice(body).unwrap();
    let mut reasons =
        vec![json!({ "Code": "None" }); sent["TransactItems"].as_array().unwrap().len()];
    reasons[0] =
        json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" });
    cancelled(reasons)
}

/// Returns DynamoDB's error for a cancelled transaction, with a reason for each of its writes.
fn cancelled(reasons: Vec<Value>) -> Response {
    let reasons = json!({ "CancellationReasons": reasons });
    failure(400, &dynamodb("TransactionCanceledException"), reasons)
}

/// Returns a reply that lists all requests in a batch as unprocessed.
fn unprocessed(body: &Bytes) -> Response {
    let sent: Value = serde_json::from_slice(body).unwrap();
    let requests = &sent["RequestItems"];
    // A reply to `BatchGetItem` has different fields from a reply to `BatchWriteItem`, so this
    // reply has the fields of both.
    Response::new(Body::from(
        json!({ "UnprocessedKeys": requests, "Responses": {}, "UnprocessedItems": requests })
            .to_string(),
    ))
}

/// Returns an error in DynamoDB's format.
fn failure(status: u16, kind: &str, mut body: Value) -> Response {
    body["__type"] = json!(kind);
    body["message"] = json!("a failure of the wire's own making");
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status.try_into().unwrap();
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0".parse().unwrap());
    response
}
