//! Sends spans to the collector, as OTLP over HTTP. A failing or slow collector delays requests by
//! at most [`WAIT`].

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_types::body::SdkBody;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Limited};
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::http::{Request, Uri};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::aws;
use crate::aws::http::Https;

/// The maximum time that an invocation waits for its spans to be sent. A collector on the same
/// machine needs about a millisecond.
const WAIT: Duration = Duration::from_millis(100);

/// The time-out for sending spans. Lambda freezes a function's process between two invocations.
const SEND: Duration = Duration::from_secs(5);

/// How long sending is suspended after a failure.
const PAUSE: Duration = Duration::from_secs(30);

/// The maximum number of concurrent requests to the collector.
const AT_ONCE: usize = 16;

/// The maximum number of bytes that are read from the collector's reply. The connection can be
/// reused only after the reply is read.
const REPLY: usize = 65_536;

/// A function that posts a body. It is boxed, so that binaries without traces, such as the one that
/// serves the pages, don't contain the HTTP client and its TLS code.
type Post = Box<dyn Fn(String) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Sends spans to a collector. Cloning is cheap.
#[derive(Clone)]
pub struct Exporter(Arc<Collector>);

struct Collector {
    post: Post,
    /// Becomes true when the collector doesn't answer an invocation in time, and false when it
    /// answers again. While this field is true, invocations don't wait.
    is_slow: AtomicBool,
    sending: AtomicUsize,
    /// When sending will be retried, or `None` if the last request succeeded.
    failed: Mutex<Option<Instant>>,
}

impl Exporter {
    /// Creates an exporter. Returns `None` if `endpoint` isn't a URL or TLS can't be configured.
    pub fn for_endpoint(endpoint: &str) -> Option<Self> {
        let url: Uri = format!("{}/v1/traces", endpoint.trim_end_matches('/')).parse().ok()?;
        let http = aws::client(aws::http::IDLE).ok()?;
        Some(Self::with_post(Box::new(move |body| post(http.clone(), url.clone(), body).boxed())))
    }

    fn with_post(post: Post) -> Self {
        Self(Arc::new(Collector {
            post,
            is_slow: AtomicBool::new(false),
            sending: AtomicUsize::new(0),
            failed: Mutex::new(None),
        }))
    }

    /// Sends a body in a separate task, and waits for it for at most [`WAIT`]. A slower task
    /// continues while the reply is sent, or in the next invocation.
    pub async fn send(&self, body: String) {
        if self.0.is_pausing() || self.0.sending.load(Ordering::Relaxed) >= AT_ONCE {
            return;
        }
        self.0.sending.fetch_add(1, Ordering::Relaxed);
        let collector = self.0.clone();
        let sent = tokio::spawn(async move { collector.take(body).await });
        if !self.0.is_slow.load(Ordering::Relaxed) && timeout(WAIT, sent).await.is_err() {
            self.0.is_slow.store(true, Ordering::Relaxed);
        }
    }

    /// Like [`send`](Self::send), but for callers that can't wait.
    pub fn send_later(&self, body: String) {
        if let Ok(runtime) = Handle::try_current() {
            let exporter = self.clone();
            runtime.spawn(async move { exporter.send(body).await });
        }
    }
}

impl Collector {
    async fn take(&self, body: String) {
        let sent = timeout(SEND, (self.post)(body)).await;
        let cause = match sent {
            Ok(Ok(())) => None,
            Ok(Err(cause)) => Some(cause),
            Err(_) => Some("no answer in time".to_owned()),
        };
        self.sending.fetch_sub(1, Ordering::Relaxed);
        match cause {
            None => {
                self.is_slow.store(false, Ordering::Relaxed);
                *self.failed() = None;
            }
            Some(cause) => {
                let before = self.failed().replace(Instant::now() + PAUSE);
                if before.is_none() {
                    tracing::warn!(cause, "traces can't be sent and are dropped");
                }
            }
        }
    }

    fn is_pausing(&self) -> bool {
        self.failed().is_some_and(|until| Instant::now() < until)
    }

    fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn post(http: Https, url: Uri, body: String) -> Result<(), String> {
    let request = Request::post(url).header(CONTENT_TYPE, "application/json");
    let request = request.body(SdkBody::from(body)).map_err(|error| error.to_string())?;
    let response = http.request(request).await.map_err(|error| innermost(&error))?;
    let status = response.status();
    let _ = Limited::new(response.into_body(), REPLY).collect().await;
    if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
}

/// Returns the innermost cause of an error. The outer errors only say that something failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::task::yield_now;

    use super::*;

    /// Returns an exporter for a collector that sends this `reply`, and a counter of the requests
    /// to it.
    fn exporter<F>(reply: impl Fn() -> F + Send + Sync + 'static) -> (Exporter, Arc<AtomicUsize>)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let posted = Arc::new(AtomicUsize::new(0));
        let count = posted.clone();
        let post = move |_: String| {
            count.fetch_add(1, Ordering::Relaxed);
            reply().boxed()
        };
        (Exporter::with_post(Box::new(post)), posted)
    }

    #[tokio::test]
    async fn exports_stop_waiting_for_a_slow_collector() {
        let answered = Arc::new(AtomicBool::new(false));
        let answer = answered.clone();
        let (quick, _) = exporter(move || {
            let answer = answer.clone();
            async move {
                yield_now().await;
                answer.store(true, Ordering::Relaxed);
                Ok(())
            }
        });
        quick.send(String::new()).await;
        assert!(answered.load(Ordering::Relaxed));

        let (hanging, _) = exporter(pending);
        hanging.send(String::new()).await;
        for _ in 0..AT_ONCE {
            assert!(hanging.send(String::new()).now_or_never().is_some(), "no other one waits");
        }
        assert_eq!(hanging.0.sending.load(Ordering::Relaxed), AT_ONCE);
    }

    #[tokio::test]
    async fn failing_collectors_are_paused() {
        let (refusing, posted) = exporter(|| ready(Err("status 503".to_owned())));
        for _ in 0..3 {
            refusing.send(String::new()).await;
        }
        assert_eq!(posted.load(Ordering::Relaxed), 1);
        assert_eq!(refusing.0.sending.load(Ordering::Relaxed), 0);
    }
}
