//! Accepts connections for the gateway, the embedded DynamoDB and the simulated Stripe. Checks the
//! host of each request, and limits the number and the duration of connections.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lambda_http::http::{HeaderMap, HeaderValue, header};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// The time within which a new connection must send the head of its first request.
const FIRST_HEAD: Duration = Duration::from_secs(10);

/// The time within which a connection must send the head of a later request, including idle time.
const NEXT_HEAD: Duration = Duration::from_secs(30);

/// How many connections may wait for their first request. If more connections wait, a connection is
/// closed when it has waited for [`SHORT_OF_ROOM`].
const WITHOUT_A_REQUEST: usize = 512;

/// How long a connection may wait for its first request if too many connections are waiting.
const SHORT_OF_ROOM: Duration = Duration::from_secs(1);

/// The maximum pause between two pieces of a body.
const BODY_PAUSE: Duration = Duration::from_secs(10);

/// The maximum time for reading a body. API Gateway waits just as long for a function.
const BODY_TIME: Duration = Duration::from_secs(29);

/// The maximum number of open connections. Additional connections wait until an open connection
/// closes.
const CONNECTIONS: usize = 1024;

/// The pause after the system fails to accept a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 until `stop`, and then waits for running requests to end. Closes idle
/// connections after a while.
pub async fn serve<A, F>(listener: TcpListener, answer: A, stop: oneshot::Receiver<()>)
where
    A: Fn(Request, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    serve_at_most(CONNECTIONS, listener, answer, stop).await;
}

async fn serve_at_most<A, F>(
    most: usize,
    listener: TcpListener,
    answer: A,
    stop: oneshot::Receiver<()>,
) where
    A: Fn(Request, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let (stopping, stopped) = watch::channel(());
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < most => accepted,
            _ = &mut stop => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, address)) => {
                let answer = answer.clone();
                connections.spawn(connection(
                    stream,
                    move |req| answer(req, address),
                    waiting.clone(),
                    stopped.clone(),
                ));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
    drop((listener, stopping));
    while connections.join_next().await.is_some() {}
}

async fn connection<F>(
    stream: TcpStream,
    answer: impl Fn(Request) -> F + Send + Sync,
    waiting: Arc<AtomicUsize>,
    mut stopped: watch::Receiver<()>,
) where
    F: Future<Output = Response> + Send + 'static,
{
    // Send each piece of a streamed reply immediately.
    let _ = stream.set_nodelay(true);
    let place = WaitingConnection::new(waiting);
    let service = service_fn(|req: hyper::Request<hyper::body::Incoming>| {
        place.leave();
        let answered = answer(req.map(Body::new));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // A request that arrived in time is answered, even if a busy machine reads it too late.
            biased;
            // Don't log a failed connection, because its client notices the failure.
            _ = &mut served => return,
            () = place.has_no_more_time() => return,
            _ = stopped.changed(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A connection that counts as waiting until its first request arrives.
struct WaitingConnection {
    all: Arc<AtomicUsize>,
    waits: AtomicBool,
    since: tokio::time::Instant,
}

impl WaitingConnection {
    fn new(all: Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self { all, waits: AtomicBool::new(true), since: tokio::time::Instant::now() }
    }

    fn leave(&self) {
        if self.waits.swap(false, Ordering::Relaxed) {
            self.all.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns when the first request has taken too long. Never returns if the first request
    /// arrives in time.
    async fn has_no_more_time(&self) {
        tokio::time::sleep_until(self.since + SHORT_OF_ROOM).await;
        if self.waits.load(Ordering::Relaxed)
            && self.all.load(Ordering::Relaxed) <= WITHOUT_A_REQUEST
        {
            tokio::time::sleep_until(self.since + FIRST_HEAD).await;
        }
        if !self.waits.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    }
}

impl Drop for WaitingConnection {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The reason why a body couldn't be read.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The body exceeds the limit.
    TooLarge,
    /// The body was cut off, or took too long.
    Stopped,
}

/// Reads a body of at most `most` bytes. Returns the body's first `keep` bytes, and drops the rest.
///
/// # Errors
/// Fails if the body is larger, is cut off, pauses for too long, or takes too long in total.
pub async fn read(body: Body, keep: usize, most: usize) -> Result<Bytes, BodyError> {
    read_within(BODY_TIME, body, keep, most).await
}

async fn read_within(
    time: Duration,
    body: Body,
    keep: usize,
    most: usize,
) -> Result<Bytes, BodyError> {
    tokio::time::timeout(time, read_pieces(body, keep, most))
        .await
        .map_err(|_| BodyError::Stopped)?
}

async fn read_pieces(body: Body, keep: usize, most: usize) -> Result<Bytes, BodyError> {
    let mut pieces = body.into_data_stream();
    let (mut kept, mut length) = (BytesMut::new(), 0);
    while let Some(piece) =
        tokio::time::timeout(BODY_PAUSE, pieces.next()).await.map_err(|_| BodyError::Stopped)?
    {
        let piece = piece.map_err(|_| BodyError::Stopped)?;
        length += piece.len();
        if length > most {
            return Err(BodyError::TooLarge);
        }
        kept.extend_from_slice(piece.get(..keep - kept.len()).unwrap_or(&piece));
    }
    Ok(kept.freeze())
}

/// Returns the name and the port in the `Host` header. `None` if the header is missing, repeated or
/// invalid.
///
/// Each server accepts only certain hosts, as a defence against DNS rebinding: an attacker can make
/// a domain resolve to this machine, and browsers would then treat the attacker's page as one from
/// this server.
pub fn host(headers: &HeaderMap) -> Option<(&str, Option<u16>)> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    let host = host.to_str().ok()?;
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => Some((name, Some(port.parse().ok()?))),
        _ => Some((host, None)),
    }
}

/// Returns true if the request comes from a page on this server or on an allowed origin, or from a
/// client that isn't a page. The check is necessary because browsers send some requests on behalf
/// of pages from any origin, and then only hide the reply from the page.
pub fn may_change(headers: &HeaderMap, allowed: &[String]) -> bool {
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let is_welcome = |origin: &HeaderValue| {
        let Ok(origin) = origin.to_str() else { return false };
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        own.map(str::as_bytes) == host || allowed.iter().any(|allowed| allowed == origin)
    };
    headers.get_all(header::ORIGIN).iter().all(is_welcome)
}

/// Returns true if a host can only be this machine: `localhost`, its subdomains, and loopback
/// addresses.
pub fn is_loopback(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    address(&name).map_or_else(
        || name == "localhost" || name.ends_with(".localhost"),
        |address| address.is_loopback(),
    )
}

/// Returns the host's IP address, if the host is an address and not a name.
pub fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => name.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking_for(host: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, host.parse().unwrap())])
    }

    #[test]
    fn only_local_hosts_are_loopback() {
        for (host, port) in [
            ("localhost:3000", Some(3000)),
            ("127.0.0.1", None),
            ("[::1]:80", Some(80)),
            ("[::1]", None),
            ("LOCALHOST", None),
            ("a.localhost:1", Some(1)),
        ] {
            let headers = asking_for(host);
            let (name, found) = super::host(&headers).unwrap();
            assert!(is_loopback(name) && found == port, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "203.0.113.7",
            "notlocalhost",
            "::1",
            "[::2]",
            "",
            "@localhost",
            "[localhost]",
        ] {
            assert!(
                !super::host(&asking_for(host)).is_some_and(|(name, _)| is_loopback(name)),
                "{host}"
            );
        }
        for host in ["localhost:", "localhost:x", "localhost:99999"] {
            assert_eq!(super::host(&asking_for(host)), None, "{host}");
        }
        assert_eq!(super::host(&HeaderMap::new()), None);
        let mut two = asking_for("localhost");
        two.append(header::HOST, "localhost".parse().unwrap());
        assert_eq!(super::host(&two), None);
    }

    #[tokio::test]
    async fn bodies_are_truncated_or_refused_at_their_limits() {
        let read_all = |keep, most| read(Body::from("0123456789"), keep, most);
        assert_eq!(read_all(4, 10).await.unwrap(), "0123");
        assert_eq!(read_all(10, 10).await.unwrap(), "0123456789");
        assert_eq!(read_all(11, 11).await.unwrap(), "0123456789");
        assert_eq!(read_all(4, 9).await, Err(BodyError::TooLarge));
    }

    /// A body that never ends and never pauses. Only the limit on the total time can end reading
    /// this body.
    #[tokio::test]
    async fn slow_bodies_time_out() {
        let drops = futures_util::stream::repeat(Bytes::from_static(b"x")).then(async |piece| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, Infallible>(piece)
        });
        let body = Body::from_stream(drops);
        let read = read_within(Duration::from_millis(50), body, 9, usize::MAX);
        assert_eq!(read.await, Err(BodyError::Stopped));
    }

    /// All tasks run on this test's thread, so they notice the requests and the end of the time
    /// limit at the same moment.
    #[tokio::test]
    async fn requests_in_time_are_answered_even_if_read_late() {
        use std::io::{Read, Write};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stopping, stopped) = watch::channel(());
        let full = Arc::new(AtomicUsize::new(WITHOUT_A_REQUEST));
        let mut clients = Vec::new();
        for _ in 0..16 {
            clients.push(std::net::TcpStream::connect(address).unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            let answer = async |_: Request| Response::new(Body::empty());
            tokio::spawn(connection(stream, answer, full.clone(), stopped.clone()));
        }
        tokio::task::yield_now().await;
        for client in &mut clients {
            let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            client.write_all(head.as_bytes()).unwrap();
        }
        std::thread::sleep(SHORT_OF_ROOM + Duration::from_millis(50));
        for mut client in clients {
            let mut said = String::new();
            let read = move || client.read_to_string(&mut said).map(|_| said);
            let said = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
            assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        }
    }

    #[tokio::test]
    async fn connections_above_the_limit_wait() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use tokio::sync::Semaphore;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (inside, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let answer = {
            let (inside, gate) = (inside.clone(), gate.clone());
            move |_: Request, _| {
                let (inside, gate) = (inside.clone(), gate.clone());
                async move {
                    inside.fetch_add(1, Ordering::SeqCst);
                    let _opened = gate.acquire().await;
                    Response::new(Body::empty())
                }
            }
        };
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve_at_most(3, listener, answer, stopped));
        let mut clients = JoinSet::new();
        for _ in 0..12 {
            clients.spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                let mut said = String::new();
                stream.read_to_string(&mut said).await.unwrap();
                assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
            });
        }
        while inside.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // By now the other clients have connected. Without the limit, they would have been
        // accepted.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(inside.load(Ordering::SeqCst), 3);
        gate.close();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        assert_eq!(inside.load(Ordering::SeqCst), 12);
        stop.send(()).unwrap();
        server.await.unwrap();
    }
}
