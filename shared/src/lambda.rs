//! Runs a Lambda function: reads the settings, connects, and then handles one request after
//! another.
//!
//! Every request gets a reply, even after a failure. If the invocation itself failed, API Gateway
//! would send a 503 reply without a code. Invocations without a request report their failures to
//! Lambda.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, IntoResponse, StreamAdapter};
use lambda_runtime::tower::ServiceExt;
use lambda_runtime::tower::util::MapRequest;
use lambda_runtime::{Diagnostic, LambdaEvent, Service, service_fn};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{Instrument, Level, Span};

use crate::app::{self, App, HandlerState, HasApp, MailApp, Scheduled};
use crate::clock::Clock;
use crate::config::{ConfigError, EdgeConfig, LogConfig, Settings};
use crate::http::{Body, Reply, Request, Response, Route, edge};
use crate::telemetry::metrics::{self, Metric, PERMANENT};
use crate::telemetry::trace::{self, Parent, Trace, Traces};
use crate::{Error, Result};

/// Serves one endpoint until Lambda stops the process. Each function's `main` consists of this
/// call. The type of `handle`'s first parameter determines which settings are read and which
/// clients are created.
///
/// If a setting is invalid, the process exits with a failure code, and the log contains the
/// setting's name.
pub fn serve<A: HandlerState, F>(routes: &'static [Route], handle: fn(A, Request) -> F) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    serve_whole(StartedEndpoint::start(routes, handle).boxed_local())
}

/// Like [`serve`], but can stream replies. The endpoint's `LAMBDA` must say that it streams. SAM
/// CLI can't stream, so it gets each reply as a whole.
pub fn serve_streaming<A: HandlerState, F>(
    routes: &'static [Route],
    handle: fn(A, Request) -> F,
) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    serve_pieces(StartedEndpoint::start(routes, handle).boxed_local())
}

/// A future that starts an endpoint. The future is boxed, because otherwise the whole Lambda
/// runtime would be compiled again for each endpoint's types.
type EndpointFuture = LocalBoxFuture<'static, Result<StartedEndpoint, ConfigError>>;

fn serve_whole(endpoint: EndpointFuture) -> ExitCode {
    start(endpoint, StartedEndpoint::whole)
}

fn serve_pieces(endpoint: EndpointFuture) -> ExitCode {
    start(endpoint, async |endpoint| {
        if Settings::from_env().sam_local() {
            return endpoint.whole().await;
        }
        let answer = service_fn(move |req| {
            let endpoint = endpoint.clone();
            async move { Ok::<_, Infallible>(endpoint.answer(req).await) }
        });
        lambda_runtime::run(with_all_headers(StreamAdapter::from(answer))).await
    })
}

/// Keeps all values of repeated headers. An event has a list with all of them, and another one with
/// the last value of each, and `lambda_http` lets the second list replace the first.
pub fn with_repeated_headers(mut request: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV1(event) = &mut request {
        for name in event.multi_value_headers.keys() {
            event.headers.remove(name);
        }
    }
    request
}

/// Lets a service keep all values of repeated headers.
fn with_all_headers<S: Service<LambdaEvent<LambdaRequest>>>(
    service: S,
) -> MapRequest<S, impl FnMut(LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest>> {
    service.map_request(|event: LambdaEvent<LambdaRequest>| LambdaEvent {
        payload: with_repeated_headers(event.payload),
        ..event
    })
}

/// An endpoint that has started.
#[derive(Clone)]
struct StartedEndpoint {
    routes: &'static [Route],
    edge: Arc<EdgeConfig>,
    traces: Option<Traces>,
    handle: Arc<dyn Fn(Request) -> BoxFuture<'static, Reply> + Send + Sync>,
}

impl StartedEndpoint {
    async fn start<A: HandlerState, F>(
        routes: &'static [Route],
        handle: fn(A, Request) -> F,
    ) -> Result<Self, ConfigError>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let settings = Settings::from_env();
        let edge = Arc::new(app::edge_config::<A>(&settings)?);
        let needs = A::start(&settings, Clock::default()).await?;
        let traces = needs.app().and_then(|app| app.traces.clone());
        let handle = Arc::new(move |req| handle(needs.clone(), req).boxed());
        Ok(Self { routes, edge, traces, handle })
    }

    async fn answer(self, req: Request) -> Response<Body> {
        let (edge, traces) = (&self.edge, self.traces.as_ref());
        edge::answer(self.routes, |req| (self.handle)(req), edge, traces, req).await
    }

    async fn whole(self) -> Result<(), lambda_runtime::Error> {
        let answer = service_fn(move |req| {
            let reply = self.clone().answer(req);
            async move {
                let (parts, body) = reply.await.into_parts();
                Ok::<_, Infallible>(TextReply(Response::from_parts(parts, body.text().await)))
            }
        });
        lambda_runtime::run(with_all_headers(Adapter::from(answer))).await
    }
}

/// A reply with a UTF-8 body. For any other reply type, `lambda_http` decodes the body according to
/// its content type, so the binary would contain the tables for all encodings.
struct TextReply(Response<String>);

impl IntoResponse for TextReply {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<lambda_http::Body>> + Send>> {
        Box::pin(std::future::ready(self.0.map(lambda_http::Body::Text)))
    }
}

/// Runs `work` for each scheduled event. If `work` fails, the invocation fails, so Lambda counts
/// the error and reports it to the function's destination. The next scheduled event runs `work`
/// again.
pub fn serve_schedule<A: Scheduled, F>(work: fn(A) -> F) -> ExitCode
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let connect = async { A::connect(&Settings::from_env(), Clock::default()).await };
    start(connect, async move |app| {
        let run = service_fn(move |event: LambdaEvent<IgnoredAny>| {
            let Invocation { function, trace, span } = Invocation::begin(&event, app.app());
            let done = work(app.clone()).instrument(span).boxed();
            async move {
                let what = (function.as_str(), "timer");
                let done = trace::of_work(trace.as_ref(), what, done, Error::code);
                done.await.map_err(|error| Failed { what: "the scheduled work failed", error })
            }
        });
        lambda_runtime::run(run).await
    })
}

/// Runs `work` with the key of each new outbox item that the stream of the Tokens table reports. If
/// `work` fails for an item, Lambda delivers the item again. If it fails for all items in an event,
/// the invocation fails, so that Lambda counts an error.
pub fn serve_outbox<F>(work: fn(MailApp, String) -> F) -> ExitCode
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let connect = async { MailApp::connect(&Settings::from_env(), Clock::default()).await };
    start(connect, async move |mailing| {
        let run = service_fn(move |event: LambdaEvent<StreamEvent>| {
            let Invocation { function, trace, span } = Invocation::begin(&event, mailing.app());
            let done = process(work, mailing.clone(), event.payload.records).instrument(span);
            // Without the box, this future's type is nested too deeply for the compiler.
            let done = done.boxed();
            async move {
                let what = (function.as_str(), "datasource");
                let code = |failed: &Failed| failed.error.code();
                trace::of_work(trace.as_ref(), what, done, code).await
            }
        });
        lambda_runtime::run(run).await
    })
}

async fn process<F>(
    work: fn(MailApp, String) -> F,
    mailing: MailApp,
    records: Vec<Value>,
) -> Result<BatchFailures, Failed>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (all, mut failed, mut last) = (records.len(), Vec::new(), None);
    for record in records {
        let ItemChange { keys, sequence_number } = match serde_json::from_value(record) {
            Ok(StreamRecord { dynamodb }) => dynamodb,
            // Skip the record. It would be just as unreadable in each retry, and would block all
            // later records.
            Err(error) => {
                tracing::error!(%error, "a record of the stream can't be read and is skipped");
                metrics::record_by(PERMANENT, &[(Metric::MailsFailed, 1)]);
                continue;
            }
        };
        if let Err(error) = work(mailing.clone(), keys.pk.s).await {
            tracing::warn!(
                code = error.code(),
                cause = error.cause(),
                "an e-mail could not be sent yet"
            );
            failed.push(BatchFailure { item_identifier: sequence_number });
            last = Some(error);
        }
    }
    match last {
        Some(error) if failed.len() == all => {
            Err(Failed { what: "none of these e-mails could be sent yet", error })
        }
        _ => Ok(BatchFailures { batch_item_failures: failed }),
    }
}

/// An invocation that isn't a request to an endpoint.
struct Invocation {
    function: String,
    trace: Option<Trace>,
    /// The span that adds Lambda's request id to the invocation's log lines.
    span: Span,
}

impl Invocation {
    fn begin<E>(event: &LambdaEvent<E>, app: Option<&App>) -> Self {
        let context = &event.context;
        let parent = Parent::of_lambda(context.xray_trace_id.as_deref());
        let traces = app.and_then(|app| app.traces.as_ref());
        let trace = traces.map(|traces| traces.begin(parent));
        let span = tracing::error_span!(
            "invocation",
            function_request_id = context.request_id,
            trace_id = trace.as_ref().map(Trace::id)
        );
        Self { function: context.env_config.function_name.clone(), trace, span }
    }
}

/// The failure of an invocation that isn't a request to an endpoint. The runtime logs its `Debug`
/// output once.
struct Failed {
    what: &'static str,
    error: Error,
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, error } = self;
        write!(f, "{what}: {}: {}", error.code(), error.cause().unwrap_or_default())
    }
}

/// Creates the error that Lambda adds to its record of the failed invocation.
impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self { error_type: failed.error.code().to_owned(), error_message: format!("{failed:?}") }
    }
}

/// The parts of a stream event that Farebox reads
/// ([format](https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html)).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamEvent {
    /// The records. Each record is parsed separately as a [`StreamRecord`].
    records: Vec<Value>,
}

#[derive(Deserialize)]
struct StreamRecord {
    dynamodb: ItemChange,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ItemChange {
    keys: ItemKeys,
    sequence_number: String,
}

#[derive(Deserialize)]
struct ItemKeys {
    pk: StringAttribute,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StringAttribute {
    s: String,
}

/// The failed records in an event
/// ([format](https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html)).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchFailures {
    batch_item_failures: Vec<BatchFailure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchFailure {
    item_identifier: String,
}

fn start<A>(
    connect: impl Future<Output = Result<A, ConfigError>>,
    serve: impl AsyncFnOnce(A) -> Result<(), lambda_runtime::Error>,
) -> ExitCode {
    let log = LogConfig::read(&Settings::from_env());
    // Log one line of JSON per event, because CloudWatch can query JSON. A filter with patterns
    // isn't used, because its regular expressions would account for a tenth of the binary.
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_max_level(log.as_ref().map_or(Level::INFO, |log| log.level))
        .init();
    match log {
        Ok(LogConfig { metrics: Some(namespace), .. }) => {
            metrics::start(namespace, metrics::to_stdout);
        }
        Ok(LogConfig { metrics: None, .. }) => {}
        Err(error) => return refuse(&error),
    }
    // One thread is enough, because a function handles one request at a time and has fewer than two
    // processors.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    runtime.block_on(async {
        let app = match connect.await {
            Ok(app) => app,
            Err(error) => return refuse(&error),
        };
        // Log the release once per instance, so that the log lines of requests don't have to
        // contain it.
        tracing::info!(version = crate::VERSION, "started");
        match serve(app).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        }
    })
}

fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!("this function can't run: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequest;

    use super::*;

    #[test]
    fn repeated_headers_keep_all_their_values() {
        let event = r#"{"httpMethod": "GET", "path": "/", "requestContext": {"httpMethod": "GET"},
            "headers": {"x-api-key": "b", "accept": "*/*"}, "multiValueHeaders": {"x-api-key": ["a", "b"]}}"#;
        let event: ApiGatewayProxyRequest = serde_json::from_str(event).unwrap();
        let event = with_repeated_headers(LambdaRequest::ApiGatewayV1(event));
        let request = lambda_http::Request::from(event);
        let values: Vec<_> = request.headers().get_all("x-api-key").iter().collect();
        assert_eq!(values, ["a", "b"]);
        assert_eq!(request.headers()["accept"], "*/*");
    }

    #[test]
    fn stream_events_have_keys_and_sequence_numbers() {
        let event = r#"{"Records": [{"eventID": "1", "eventName": "INSERT", "eventSource": "aws:dynamodb", "awsRegion": "eu-central-1", "dynamodb": {
            "ApproximateCreationDateTime": 1795132800, "Keys": {"pk": {"S": "outbox:1"}}, "SequenceNumber": "100", "SizeBytes": 12,
            "StreamViewType": "KEYS_ONLY"}, "eventSourceARN": "arn:aws:dynamodb:eu-central-1:1:table/Tokens/stream/x"}]}"#;
        let stream: StreamEvent = serde_json::from_str(event).unwrap();
        let [record] = stream.records.as_slice() else { panic!("one record") };
        let StreamRecord { dynamodb } = serde_json::from_value(record.clone()).unwrap();
        assert_eq!(
            (dynamodb.keys.pk.s.as_str(), dynamodb.sequence_number.as_str()),
            ("outbox:1", "100")
        );
        let failures = BatchFailures {
            batch_item_failures: vec![BatchFailure { item_identifier: "100".into() }],
        };
        assert_eq!(
            serde_json::to_string(&failures).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"100"}]}"#
        );
    }
}
