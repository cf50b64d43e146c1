//! Deleted conversations: no reader shows their messages, although `erase` deletes them later.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Api, Person};

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

    /// Asserts that all endpoints show the message.
    async fn find_it(&self) {
        let Self { ann, root, chat, file, conversation } = self;
        for (person, path) in [
            (ann, format!("/api/chat/{chat}/")),
            (ann, format!("/api/files/{file}")),
            (ann, format!("/api/chat/?q={WORD}")),
            (ann, format!("/api/chat/?conversation_id={conversation}")),
            (ann, "/api/user/export/".to_owned()),
            (root, format!("/api/admin/chats?q={WORD}")),
            (root, "/api/admin/export/chats.csv".to_owned()),
        ] {
            let read = person.get(&path).await.is(200).to_string();
            assert!(read.contains(WORD), "{path}: {read}");
        }
    }
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
    let api = Api::own(&[]).await;
    let (ann, root) = (api.person("ann").await, api.administrator("root").await);
    let readers = sent(&ann, &root).await;
    readers.find_it().await;
    ann.delete(&format!("/api/conversations/{}", readers.conversation)).await.is(202);
    readers.find_nothing().await;
    let erased = api.server().apps["erase"].store.erase(api.now(), Duration::from_secs(60));
    assert!(erased.await.unwrap().items > 0);
    readers.find_nothing().await;
    let history = ann.history("").await.is(200);
    assert_eq!((history.as_array().unwrap().len(), &history[0]["message"]), (1, &json!("kept")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_conversation_stays_gone_while_it_is_erased() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    for round in 0..8 {
        let ann = api.person(&format!("ann{round}")).await;
        let readers = sent(&ann, &root).await;
        let shared =
            json!({ "conversation_id": ann.history("").await.is(200)[1]["conversation_id"] });
        ann.delete(&format!("/api/conversations/{}", readers.conversation)).await.is(202);
        let erase = async {
            // The rounds erase at other moments.
            for _ in 0..round * 50 {
                tokio::task::yield_now().await;
            }
            let store = &api.server().apps["erase"].store;
            store.erase(api.now(), Duration::from_secs(60)).await.unwrap();
        };
        let others = async {
            ann.post("/api/user/shares/", shared).await.is(201);
            ann.get("/api/user/export/").await.is(200);
        };
        tokio::join!(readers.find_nothing(), erase, others, readers.find_nothing());
    }
}
