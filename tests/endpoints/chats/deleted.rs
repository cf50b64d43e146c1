//! Deleted conversations: no reader shows their messages, although `erase` deletes them later.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Api, Person};
use crate::support::random::Random;

const WORD: &str = "zebra";

/// The API's readers of one message, by its id, its file's id and its conversation's id.
struct Readers<'r> {
    ann: &'r Person,
    root: &'r Person,
    chat: String,
    file: String,
    conversation: String,
}

impl Readers<'_> {
    /// Asserts that no endpoint shows the message.
    async fn find_nothing(&self) {
        let Self { ann, root, chat, file, conversation } = self;
        ann.get(&format!("/api/chat/{chat}/")).await.expect(404, "not_found");
        ann.get(&format!("/api/files/{file}")).await.expect(404, "not_found");
        ann.get(&format!("/api/conversations/{conversation}")).await.expect(404, "not_found");
        ann.delete(&format!("/api/chat/{chat}/")).await.expect(404, "not_found");
        let named = json!({ "title": WORD });
        ann.patch(&format!("/api/conversations/{conversation}"), named)
            .await
            .expect(404, "not_found");
        ann.post(&format!("/api/conversations/{conversation}/title"), json!({}))
            .await
            .expect(404, "not_found");
        let shared = json!({ "conversation_id": conversation });
        ann.post("/api/user/shares/", shared).await.expect(404, "not_found");
        let edited = json!({ "message": "hi", "conversation_id": conversation, "after": "start" });
        ann.post("/api/chat/", edited).await.expect(404, "not_found");
        ann.post_once("key", "/api/chat/", message()).await.expect(410, "chat_deleted");
        let mine = format!("?user_id={}", ann.id);
        for (person, path) in [
            (ann, "/api/chat/".to_owned()),
            (ann, format!("/api/chat/?q={WORD}")),
            (ann, format!("/api/chat/?conversation_id={conversation}")),
            (ann, "/api/conversations/".to_owned()),
            (ann, "/api/user/export/".to_owned()),
            (ann, "/api/user/ledger/?limit=100".to_owned()),
            (root, format!("/api/admin/chats{mine}")),
            (root, format!("/api/admin/chats{mine}&q={WORD}")),
            (root, format!("/api/admin/chats?q={WORD}")),
            (root, "/api/admin/chats?limit=100".to_owned()),
        ] {
            let read = person.get(&path).await.is(200).to_string();
            assert!(!read.contains(WORD), "{path}: {read}");
        }
        let exported = root.get("/api/admin/export/chats.csv").await.is(200).to_string();
        assert!(exported.contains("kept") && !exported.contains(WORD), "{exported}");
    }

    /// Returns the paths of the endpoints that show the message.
    fn paths(&self) -> [(&Person, String); 7] {
        let Self { ann, root, chat, file, conversation } = self;
        [
            (ann, format!("/api/chat/{chat}/")),
            (ann, format!("/api/files/{file}")),
            (ann, format!("/api/chat/?q={WORD}")),
            (ann, format!("/api/chat/?conversation_id={conversation}")),
            (ann, "/api/user/export/".to_owned()),
            (root, format!("/api/admin/chats?q={WORD}")),
            (root, "/api/admin/export/chats.csv".to_owned()),
        ]
    }

    /// Reads the message at random endpoints. Asserts that a request that ends before the deletion
    /// finds the message, and that a request that begins after the deletion's reply doesn't.
    async fn read_beside(&self, deletion: &Deletion, mut random: Random) {
        for _ in 0..8 {
            let (person, path) = random.pick(&self.paths());
            let was_deleted = deletion.is_done.load(SeqCst);
            let found = person.get(&path).await.body.to_string().contains(WORD);
            if was_deleted {
                assert!(!found, "{path} shows a deleted message");
            } else if !deletion.has_begun.load(SeqCst) {
                assert!(found, "{path} lacks the message");
            }
        }
    }
}

/// How far a conversation's deletion is.
#[derive(Default)]
struct Deletion {
    has_begun: AtomicBool,
    is_done: AtomicBool,
}

fn message() -> Value {
    let file = json!({ "name": "a.txt", "text": format!("A {WORD} has stripes.") });
    json!({ "message": format!("What is a {WORD}?"), "attachments": [file] })
}

/// Sends the message. Returns its readers.
async fn sent<'r>(ann: &'r Person, root: &'r Person) -> Readers<'r> {
    ann.chat("kept").await.is(200);
    let said = ann.post_once("key", "/api/chat/", message()).await.is(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Readers {
        ann,
        root,
        chat: text(&said["id"]),
        file: text(&said["files"][0]["id"]),
        conversation: text(&said["conversation_id"]),
    }
}

#[tokio::test]
async fn a_deleted_conversation_is_gone_for_every_reader_at_once() {
    let api = Api::own(&[("ADMIN_CHATS", "search")]).await;
    let (ann, root) = (api.person("ann").await, api.administrator("root").await);
    let readers = sent(&ann, &root).await;
    for (person, path) in readers.paths() {
        let read = person.get(&path).await.is(200).to_string();
        assert!(read.contains(WORD), "{path}: {read}");
    }
    ann.delete(&format!("/api/conversations/{}", readers.conversation)).await.is(202);
    readers.find_nothing().await;
    let erased = api.server().apps["erase"].store.erase(api.now(), Duration::from_secs(60));
    assert!(erased.await.unwrap().items > 0);
    readers.find_nothing().await;
    let history = ann.history("").await.is(200);
    assert_eq!((history.as_array().unwrap().len(), &history[0]["message"]), (1, &json!("kept")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_a_deletion_follow_it_at_once() {
    let api = Api::own(&[("ADMIN_CHATS", "search")]).await;
    let root = api.administrator("root").await;
    for seed in 0..12 {
        let ann = api.person(&format!("ann{seed}")).await;
        let readers = sent(&ann, &root).await;
        let kept = ann.history("").await.is(200)[1]["conversation_id"].clone();
        let (deletion, mut random) = (Deletion::default(), Random(seed));
        let delete = async {
            for _ in 0..random.below(6) {
                ann.get("/api/conversations/").await.is(200);
            }
            deletion.has_begun.store(true, SeqCst);
            ann.delete(&format!("/api/conversations/{}", readers.conversation)).await.is(202);
            deletion.is_done.store(true, SeqCst);
            let stores = ["erase", "sweep"].map(|name| &api.server().apps[name].store);
            stores[0].erase(api.now(), Duration::from_secs(60)).await.unwrap();
            stores[1].sweep(api.now()).await.unwrap();
        };
        let share = async {
            ann.post("/api/user/shares/", json!({ "conversation_id": kept })).await.is(201);
        };
        let read = |number: u64| readers.read_beside(&deletion, Random(!(4 * seed + number)));
        tokio::join!(delete, share, read(0), read(1), read(2));
        readers.find_nothing().await;
    }
}
