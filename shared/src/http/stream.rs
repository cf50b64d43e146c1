//! A reply's body, which is either sent as a whole or written piece by piece while the client
//! reads.

use std::convert::Infallible;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{poll_fn, unfold};
use futures_util::{FutureExt, Stream, StreamExt};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::telemetry::trace::{self, Root, Trace};
use crate::{Error, Result};

/// The body of a reply.
pub enum Body {
    /// No body.
    Empty,
    /// A string that is sent as a whole.
    Text(String),
    /// A stream of pieces. A failure cuts the body off, because the status and headers have already
    /// been sent, and the platform doesn't let a function report a failure afterwards.
    Pieces(Pin<Box<dyn Stream<Item = Result<String>> + Send>>),
}

/// The sending end of a reply's stream.
pub struct Pieces(mpsc::Sender<String>);

impl Pieces {
    /// Sends a piece. Waits until the client has received the previous piece, so that at most two
    /// pieces are in memory.
    pub async fn send(&self, piece: impl Into<String>) -> Result<()> {
        self.0
            .send(piece.into())
            .await
            .map_err(|_| Error::Internal("the client has disconnected".into()))
    }
}

impl Body {
    /// Creates a body from the pieces that `write` sends. `write` runs only while the client reads,
    /// and is dropped together with the body.
    pub fn written_by<F>(write: impl FnOnce(Pieces) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut writer = Box::pin(write(Pieces(sender)).fuse());
        let mut failure = None;
        Self::Pieces(Box::pin(poll_fn(move |context| {
            if let Poll::Ready(written) = writer.poll_unpin(context) {
                failure = written.err();
            }
            // Pieces that were sent before a failure are still delivered.
            Poll::Ready(match ready!(receiver.poll_recv(context)) {
                Some(piece) => Some(Ok(piece)),
                None => failure.take().map(Err),
            })
        })))
    }

    /// Sends a sign immediately if the first piece isn't ready, and then whenever `silence` has
    /// passed without a piece. The first sign is for the time before the first piece, and the
    /// second one for the time after it.
    pub(crate) fn kept_alive(self, signs: [&'static str; 2], silence: Duration) -> Self {
        let Self::Pieces(pieces) = self else { return self };
        let [before, after] = signs;
        let state = (pieces, Duration::ZERO, before);
        Self::Pieces(Box::pin(unfold(state, move |(mut pieces, patience, sign)| async move {
            match timeout(patience, pieces.next()).await {
                Ok(piece) => piece.map(|piece| (piece, (pieces, silence, after))),
                Err(_) => Some((Ok(sign.to_owned()), (pieces, silence, sign))),
            }
        })))
    }

    /// Converts panics in the body's writer into failures, and logs failures with this request id.
    pub(crate) fn watched(self, request_id: &str) -> Self {
        let Self::Pieces(pieces) = self else { return self };
        let request_id = request_id.to_owned();
        let pieces = AssertUnwindSafe(pieces).catch_unwind().map(|piece| {
            piece.unwrap_or_else(|_| Err(Error::Internal("the writer panicked".into())))
        });
        let log = move |piece: &Result<String>| {
            if let Err(error) = piece {
                let trace = trace::current();
                tracing::error!(
                    request_id,
                    trace_id = trace.as_ref().map(Trace::id),
                    code = error.code(),
                    cause = error.cause(),
                    "the reply was cut off"
                );
            }
        };
        Self::Pieces(Box::pin(pieces.inspect(log)))
    }

    /// Runs the body's writer as part of a trace. When the body ends, ends the trace and sends it.
    pub(crate) async fn traced(self, trace: Trace, root: Root) -> Self {
        let mut ending = Ending { trace, root: Some(root) };
        let Self::Pieces(pieces) = self else {
            ending.end(None).await;
            return self;
        };
        let state = Some((pieces, ending));
        Self::Pieces(Box::pin(unfold(state, |state| async move {
            let (mut pieces, mut ending) = state?;
            let piece = trace::scope(Some(&ending.trace), pin!(pieces.next())).await;
            match piece {
                Some(Ok(piece)) => Some((Ok(piece), Some((pieces, ending)))),
                Some(Err(error)) => {
                    ending.end(Some(error.code())).await;
                    Some((Err(error), None))
                }
                None => {
                    ending.end(None).await;
                    None
                }
            }
        })))
    }

    /// Returns the body's text, up to the first failure.
    pub async fn text(self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text,
            Self::Pieces(mut pieces) => {
                let mut text = String::new();
                while let Some(Ok(piece)) = pieces.next().await {
                    text.push_str(&piece);
                }
                text
            }
        }
    }
}

/// Ends a trace when the reply's body ends. If the body is dropped before its end, the client has
/// disconnected.
struct Ending {
    trace: Trace,
    root: Option<Root>,
}

impl Ending {
    async fn end(&mut self, failure: Option<&str>) {
        self.close(failure);
        self.trace.send().await;
    }

    fn close(&mut self, failure: Option<&str>) {
        let Some(mut root) = self.root.take() else { return };
        if let Some(code) = failure {
            root.attributes.push(("error.type", code.into()));
            root.has_failed = true;
        }
        self.trace.end(root);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.close(Some("cut_off"));
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        if let Self::Pieces(pieces) = body
            && let Some(Ok(piece)) = ready!(pieces.as_mut().poll_next(context))
        {
            return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
        }
        match mem::replace(body, Self::Empty) {
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(text.into())))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(u64::try_from(text.len()).unwrap_or(u64::MAX)),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn writers_stay_at_most_two_pieces_ahead() {
        let written = Arc::new(AtomicUsize::new(0));
        let counted = written.clone();
        let body = Body::written_by(async move |pieces| {
            for number in 0..100 {
                counted.fetch_add(1, Ordering::Relaxed);
                pieces.send(number.to_string()).await?;
            }
            Ok(())
        });
        let Body::Pieces(mut pieces) = body else { panic!("no stream") };
        assert_eq!(written.load(Ordering::Relaxed), 0, "the client has not read yet");
        for number in 0..100 {
            assert_eq!(pieces.next().await, Some(Ok(number.to_string())));
            assert!(written.load(Ordering::Relaxed) <= number + 3);
        }
        assert_eq!(pieces.next().await, None);
    }

    #[tokio::test]
    async fn silent_bodies_show_that_they_are_alive() {
        let silence = Duration::from_millis(1);
        let (go, gone) = tokio::sync::oneshot::channel();
        let (end, ended) = tokio::sync::oneshot::channel();
        let body = Body::written_by(async move |pieces: Pieces| {
            gone.await.unwrap();
            pieces.send("a").await?;
            ended.await.unwrap();
            pieces.send("b").await
        });
        let Body::Pieces(mut pieces) = body.kept_alive([".", "-"], silence) else {
            panic!("no stream")
        };
        for _ in 0..3 {
            assert_eq!(pieces.next().await, Some(Ok(".".into())));
        }
        go.send(()).unwrap();
        let mut rest = pieces.skip_while(|piece| ready(*piece == Ok(".".into())));
        assert_eq!(rest.next().await, Some(Ok("a".into())));
        assert_eq!(rest.next().await, Some(Ok("-".into())));
        end.send(()).unwrap();
        let rest: Vec<_> = rest.skip_while(|piece| ready(*piece == Ok("-".into()))).collect().await;
        assert_eq!(rest, [Ok("b".into())]);
        let at_once = Body::written_by(async |pieces: Pieces| pieces.send("a").await);
        let long = Duration::from_secs(600);
        assert_eq!(at_once.kept_alive([".", "-"], long).text().await, "a");
    }

    #[tokio::test]
    async fn failures_and_panics_cut_the_body_off() {
        let fails = Body::written_by(async |pieces: Pieces| {
            pieces.send("[1").await?;
            Err(Error::Unavailable("x".into()))
        });
        let panics = Body::written_by(async |pieces: Pieces| {
            pieces.send("[1").await?;
            panic!("for a test")
        });
        assert_eq!(fails.watched("r").text().await, "[1");
        assert!("[1".starts_with(&panics.watched("r").text().await));
    }
}
