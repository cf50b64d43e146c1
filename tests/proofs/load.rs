//! Tests a server that gets too many requests, or unfinished requests. Checks its memory use, and
//! which clients still get replies. Also tests one account's largest messages, all at once, over a
//! store that limits each partition key.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;
use shared::aws;
use shared::values::file::{FILE_BYTES, PICTURES_IN_PROMPT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Api, GRANT, PRICE, http};
use crate::support::function::{self, ask};
use crate::support::mistakes::Sabotage;
use crate::support::program::RunningServer;
use crate::support::proxy::Proxy;

/// How many MiB the server may use. The test's unfinished messages, which may be 2 MB long, take 80
/// MB, and their growing buffers up to twice as much.
const MOST: u64 = 300;

/// How long the server may take to close idle connections while the machine is busy receiving 400
/// MB of bodies.
const OVER: Duration = Duration::from_secs(120);

/// How long the server may take to close all connections on an idle machine. The server waits ten
/// seconds for the head of a request, and for each further piece of its body.
const ENDED: Duration = Duration::from_secs(20);

/// Endpoints that get bodies that are too large.
const PATHS: [&str; 3] = ["/api/chat", "/v1/messages", "/v1/completions"];

/// The largest body that the server reads to its end.
const LARGEST: usize = 10 * 1024 * 1024;

/// The reply of a server that reads the body of a request with `Expect: 100-continue`.
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// Connects, and begins a request. Returns once the server reads the request's body. Otherwise the
/// operating system could drop the connection later, because its queue of new connections is full.
async fn begun(address: &str, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; CONTINUE.len()];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(said, CONTINUE.as_bytes());
    stream
}

/// Sends a part of the body, and returns the server's reply once the server has stopped waiting.
async fn unfinished_body(mut stream: TcpStream, body: usize) -> String {
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..body / piece.len() {
        stream.write_all(&piece).await.unwrap();
    }
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

/// Sends an incomplete head, and returns the server's reply once the server has stopped waiting.
async fn unfinished_head(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // The operating system resets a connection that the server closes with unread bytes. If its
    // queue of new connections was full, it dropped the connection before the server accepted it. A
    // client notices a dropped connection only when it sends something, so it sends again once the
    // server should have closed all connections.
    if tokio::time::timeout(ENDED, stream.read_to_end(&mut said)).await.is_err()
        && stream.write_all(b"x").await.is_ok()
    {
        let _ = stream.read_to_end(&mut said).await;
    }
    String::from_utf8(said).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bursts_and_unfinished_requests_use_little_memory_and_end() {
    rlimit::increase_nofile_limit(4096).unwrap();
    let server = RunningServer::start(&["--port", "0", "--memory"]);
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let client = http();
    let ann = json!({ "username": "ann", "password": "secret123" });
    assert_eq!(
        client
            .post(format!("{}/api/register", server.url))
            .json(&ann)
            .send()
            .await
            .unwrap()
            .status(),
        201
    );

    // A network from which a user has logged in before may start many log-ins at once.
    assert_eq!(
        client.post(format!("{}/api/login", server.url)).json(&ann).send().await.unwrap().status(),
        200
    );
    let log_ins = join_all(
        (0..24).map(|_| client.post(format!("{}/api/login", server.url)).json(&ann).send()),
    )
    .await;
    assert!(log_ins.into_iter().all(|answer| answer.unwrap().status() == 200));
    assert!(server.memory() < MOST, "{} MiB after the log-ins", server.memory());

    let began = Instant::now();
    let head = format!(
        "POST /api/chat HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {LARGEST}\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut begun_bodies = Vec::new();
    for _ in 0..40 {
        begun_bodies.push(begun(&address, &head).await);
    }
    let bodies = begun_bodies.into_iter().map(|stream| {
        tokio::spawn(async move { unfinished_body(stream, LARGEST - 64 * 1024).await })
    });
    let bodies: Vec<_> = bodies.collect();
    let heads = (0..600).map(|number| {
        let (address, head) = (
            address.clone(),
            if number % 2 == 0 { "" } else { "POST /api/chat HTTP/1.1\r\nHost: local" },
        );
        tokio::spawn(async move { unfinished_head(&address, head).await })
    });
    let heads: Vec<_> = heads.collect();

    // All other clients, including new ones, still get replies.
    let mut most = 0;
    while began.elapsed() < Duration::from_secs(5) {
        let answered = Client::new()
            .get(format!("{}/api/health", server.url))
            .timeout(Duration::from_secs(30))
            .send()
            .await
            .unwrap();
        assert_eq!(answered.status(), 200);
        most = most.max(server.memory());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(most < MOST, "{most} MiB in between");

    let said =
        tokio::time::timeout(OVER, async { (join_all(bodies).await, join_all(heads).await) }).await;
    let (bodies, heads) =
        said.unwrap_or_else(|_| panic!("connections are still open after {:?}", began.elapsed()));
    assert!(bodies.into_iter().all(|said| said.unwrap().starts_with("HTTP/1.1 408 ")));
    assert!(heads.into_iter().all(|said| said.unwrap().is_empty()));
    assert!(server.memory() < MOST, "{} MiB at the end", server.memory());

    // The server refuses a complete body that is too large.
    for path in PATHS {
        let whole = client
            .post(format!("{}{path}", server.url))
            .header("content-type", "application/json")
            .body(vec![b' '; LARGEST]);
        assert_eq!(whole.send().await.unwrap().status(), 413, "{path}");
    }
}

/// Makes the product store files among their user's chats, in a partition to which settles write.
fn stores_files_with_chats(_: &str, body: &mut String) {
    if body.contains(r#""TableName":"FilesTable""#) {
        *body = body.replace("FilesTable", "ChatsTable").replace(r#""pk":"#, r#""chat_id":"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_messages_with_large_pictures_throttle_no_settle() {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.resize(FILE_BYTES, 0);
    let picture = json!({ "name": "a", "data": BASE64_STANDARD.encode(png) });
    let body = json!({ "message": "hi", "attachments": vec![picture; PICTURES_IN_PROMPT] });
    for is_mistaken in [false, true] {
        // The default on AWS.
        let api = Api::own(&[("PARALLEL_CHATS", "8")]).await;
        let ann = api.person("ann").await;
        let mistake = is_mistaken.then_some(Sabotage::Sends(stores_files_with_chats));
        let proxy = Proxy::sabotaged(&api.dynamodb, mistake).await;
        let lane = proxy.lane();
        lane.limits_partitions();
        // Without time-outs, each further attempt follows a refusal.
        let client = function::client(&aws::emulated()).timeout_config(TimeoutConfig::disabled());
        let server = api.server();
        let app = function::app_with_store(&server.apps["chat"], &lane.url, client);
        let (chat, bearer) = (server.functions["chat"].with_app(app), ann.bearer());
        let headers = [("authorization", bearer.as_str())];
        let sent = (0..8).map(|_| ask(&chat, "chat", "/api/chat", &headers, body.clone()));
        let replies = join_all(sent).await;

        let answered = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(answered, if is_mistaken { 0 } else { 8 }, "{replies:?}");
        assert_eq!(ann.balance().await, GRANT - PRICE * answered as u64);
        assert_eq!(lane.times_struck() > 0, is_mistaken, "{:?}", lane.calls());
        let calls = lane.calls().into_iter();
        let settles = calls.filter(|call| call.operation == "TransactWriteItems");
        let attempts: Vec<usize> = settles.map(|call| call.attempts).collect();
        assert_eq!(attempts, vec![1; answered], "each settle is accepted at once");
    }
}
