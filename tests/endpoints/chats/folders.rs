//! Folders of conversations, with instructions of their own: `GET /api/folders`,
//! `POST /api/folders`, `PATCH /api/folders/{id}` and `DELETE /api/folders/{id}`. Messages begin
//! conversations in folders with `POST /api/chat`, `PATCH /api/conversations/{id}` moves
//! conversations, and `GET /api/conversations` lists those of a folder.

use functions::background::erase::TIME;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::clock::least_id;

use crate::endpoints::chats::fares::{RATES, held, scripted};
use crate::endpoints::chats::instructions::OF_USER;
use crate::support::client::{Answer, Api, GRANT, PRICE, Person};
use crate::support::world::put;

/// An id that no folder has.
const ABSENT: &str = "01a1f7d1-6f00-7a31-8d2c-5be2a1f0c9d4";

impl Person {
    async fn begins_chat(&self, message: &str) -> String {
        self.chat(message).await.is(200)["conversation_id"].as_str().unwrap().to_owned()
    }

    /// The prompt that the scripted AI gets with a message in this conversation.
    async fn recalls_in(&self, conversation: &str) -> String {
        let body = json!({ "message": "!recall", "conversation_id": conversation });
        self.post("/api/chat/", body).await.is(200)["response"].as_str().unwrap().to_owned()
    }

    /// Creates a folder. Returns its id.
    async fn has_folder(&self, name: &str, instructions: &str) -> String {
        let body = json!({ "name": name, "instructions": instructions });
        let folder = self.post("/api/folders/", body).await.is(201);
        folder["id"].as_str().unwrap().to_owned()
    }

    async fn moves_to_folder(&self, conversation: &str, folder: &str) -> Answer {
        let path = format!("/api/conversations/{conversation}/");
        self.patch(&path, json!({ "folder_id": folder })).await
    }

    /// The names of the folders, in their order.
    async fn folder_names(&self) -> Vec<String> {
        let folders = self.get("/api/folders/").await.is(200);
        let name = |folder: &Value| folder["name"].as_str().unwrap().to_owned();
        folders.as_array().unwrap().iter().map(name).collect()
    }

    /// The ids of the conversations in a folder.
    async fn chats_in_folder(&self, folder: &str) -> Vec<String> {
        let list = self.get(&format!("/api/conversations/?folder_id={folder}")).await.is(200);
        let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(id).collect()
    }
}

/// A server whose AI gets no earlier messages, so a prompt shows only the instructions.
async fn forgetful() -> Api {
    Api::own(&[("CONTEXT_CHATS", "0")]).await
}

/// The prompt for `!recall` with these instructions.
fn told(instructions: &[&str]) -> String {
    let quoted: Vec<String> = instructions.iter().map(|text| format!("> {text}")).collect();
    format!("system: {OF_USER}\n\n{}\nuser: !recall", quoted.join("\n\n"))
}

#[tokio::test]
async fn folders_give_their_instructions_to_their_chats() {
    let api = forgetful().await;
    let ann = api.person("ann").await;
    let (inside, outside) = (ann.begins_chat("inside").await, ann.begins_chat("outside").await);
    let folder = ann.has_folder("Travel", "Be brief.").await;
    ann.moves_to_folder(&inside, &folder).await.is(200);
    assert_eq!(ann.recalls_in(&inside).await, told(&["Be brief."]));
    assert_eq!(ann.recalls_in(&outside).await, "user: !recall");

    ann.patch("/api/user/profile/", json!({ "instructions": "Be kind." })).await.is(200);
    let path = format!("/api/conversations/{inside}/");
    let changed = ann.patch(&path, json!({ "instructions": "Use metres." })).await.is(200);
    assert_eq!(changed["folder_id"], folder.as_str());
    assert_eq!(ann.recalls_in(&inside).await, told(&["Be kind.", "Be brief.", "Use metres."]));
}

#[tokio::test]
async fn ids_of_deleted_folders_mean_no_folder() {
    let api = forgetful().await;
    let ann = api.person("ann").await;
    let (one, other) = (ann.begins_chat("one").await, ann.begins_chat("other").await);
    let folder = ann.has_folder("Travel", "Be brief.").await;
    let gone = ann.has_folder("Gone", "Be long.").await;
    ann.moves_to_folder(&one, &gone).await.is(200);
    ann.delete(&format!("/api/folders/{gone}/")).await.is(200);
    ann.moves_to_folder(&other, &folder).await.is(200);
    assert_eq!(ann.recalls_in(&one).await, "user: !recall");
    let shown = ann.get("/api/conversations/").await.is(200);
    let of = |id: &str| shown.as_array().unwrap().iter().find(|chat| chat["id"] == id).cloned();
    assert_eq!(of(&one).unwrap()["folder_id"], Value::Null);
    assert_eq!(of(&other).unwrap()["folder_id"], folder.as_str());
    let path = format!("/api/conversations/{one}/");
    assert_eq!(ann.get(&path).await.is(200)["folder_id"], Value::Null);
}

#[tokio::test]
async fn folders_are_exported_and_erased_with_the_account() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let inside = ann.begins_chat("inside").await;
    let folder = ann.has_folder("Travel", "Be brief.").await;
    ann.moves_to_folder(&inside, &folder).await.is(200);
    let exported = ann.get("/api/user/export").await.is(200);
    let expected = json!([{ "id": folder, "name": "Travel", "instructions": "Be brief." }]);
    assert_eq!(exported["folders"], expected);
    assert_eq!(exported["conversations"][0]["folder_id"], folder.as_str());

    ann.deletes_the_account().await.is(202);
    let erase = &api.server().apps["erase"];
    erase.store.erase(erase.clock.seconds(), TIME).await.unwrap();
    let left = api.items(&ann.id).await;
    assert!(left["TokensTable"].iter().all(|item| item["pk"] != format!("folders:{}", ann.id)));
}

#[tokio::test]
async fn folders_are_created_changed_moved_and_deleted() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    assert_eq!(ann.folder_names().await, Vec::<String>::new());
    let one = ann.has_folder("One", "").await;
    let two = ann.has_folder(" Two ", "Be brief.").await;
    ann.post("/api/folders/", json!({ "name": "Three" })).await.is(201);
    assert_eq!(ann.folder_names().await, ["One", "Two", "Three"]);

    let path = format!("/api/folders/{two}/");
    let changed = ann.patch(&path, json!({ "name": "Zwei", "position": 0 })).await.is(200);
    assert_eq!(changed, json!({ "id": two, "name": "Zwei", "instructions": "Be brief." }));
    assert_eq!(ann.folder_names().await, ["Zwei", "One", "Three"]);
    ann.patch(&path, json!({ "position": 29 })).await.is(200);
    assert_eq!(ann.folder_names().await, ["One", "Three", "Zwei"]);
    let emptied = ann.patch(&path, json!({ "instructions": "" })).await.is(200);
    assert_eq!(emptied["instructions"], "");

    ben.patch(&path, json!({ "name": "Mine" })).await.expect(404, "not_found");
    ben.delete(&path).await.expect(404, "not_found");
    assert_eq!(ben.folder_names().await, Vec::<String>::new());
    ann.delete(&format!("/api/folders/{one}/")).await.is(200);
    ann.delete(&format!("/api/folders/{one}/")).await.expect(404, "not_found");
    assert_eq!(ann.folder_names().await, ["Three", "Zwei"]);
}

#[tokio::test]
async fn folders_are_limited_in_number_name_and_instructions() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for (bad, field) in [
        (json!({}), "name"),
        (json!({ "name": " " }), "name"),
        (json!({ "name": "x".repeat(61) }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "name": 7 }), "name"),
        (json!({ "name": "Ok", "instructions": "x".repeat(2001) }), "instructions"),
    ] {
        let refused = ann.post("/api/folders/", bad).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{refused}");
    }
    for number in 0..30 {
        ann.has_folder(&format!("Folder {number}"), &"x".repeat(2000)).await;
    }
    let more = ann.post("/api/folders/", json!({ "name": "One more" })).await;
    more.expect(409, "too_many_folders");
    assert_eq!(ann.folder_names().await.len(), 30);
    let last = ann.get("/api/folders/").await.is(200)[29]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/folders/{last}/");
    for bad in [json!({}), json!({ "position": 30 }), json!({ "position": -1 })] {
        ann.patch(&path, bad).await.expect(400, "invalid_fields");
    }
    assert_eq!(ann.folder_names().await.len(), 30);
}

#[tokio::test]
async fn parallel_changes_of_folders_are_all_kept() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let names: Vec<String> = (0..5).map(|number| format!("Folder {number}")).collect();
    join_all(names.iter().map(|name| ann.has_folder(name, ""))).await;
    let mut folders = ann.folder_names().await;
    folders.sort();
    assert_eq!(folders, names);
}

#[tokio::test]
async fn conversations_move_between_folders_and_begin_in_them() {
    let api = forgetful().await;
    let ann = api.person("ann").await;
    let folder = ann.has_folder("Travel", "Be brief.").await;
    let body = json!({ "message": "!recall", "folder_id": folder });
    let begun = ann.post("/api/chat/", body.clone()).await.is(200);
    assert_eq!(begun["response"], told(&["Be brief."]));
    let inside = begun["conversation_id"].as_str().unwrap().to_owned();
    let streamed = ann.post("/api/chat/stream", body).await.is(200);
    assert!(streamed.as_str().unwrap().contains("Be brief."), "{streamed}");
    let moved = ann.begins_chat("moved").await;
    assert_eq!(ann.moves_to_folder(&moved, &folder).await.is(200)["folder_id"], folder.as_str());
    let filed = ann.chats_in_folder(&folder).await;
    assert_eq!((filed.len(), filed.contains(&inside), &filed[0]), (3, true, &moved));
    assert_eq!(ann.recalls_in(&inside).await, told(&["Be brief."]));

    assert_eq!(ann.moves_to_folder(&moved, "").await.is(200)["folder_id"], Value::Null);
    assert!(!ann.chats_in_folder(&folder).await.contains(&moved));
    ann.moves_to_folder(&moved, ABSENT).await.expect(404, "not_found");
    ann.moves_to_folder(&moved, "travel").await.expect(400, "invalid_fields");
    let both = json!({ "message": "hi", "conversation_id": moved, "folder_id": folder });
    ann.post("/api/chat/", both).await.expect(400, "invalid_fields");
    let pinned = json!({ "pinned": true, "folder_id": folder });
    ann.patch(&format!("/api/conversations/{moved}/"), pinned).await.is(200);
    let unpinned = json!({ "pinned": false, "folder_id": "" });
    let path = format!("/api/conversations/{moved}/");
    assert_eq!(ann.patch(&path, unpinned).await.is(200)["folder_id"], Value::Null);
}

#[tokio::test]
async fn messages_in_missing_folders_cost_nothing() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let of_ben = ben.has_folder("Ben's", "Be mine.").await;
    for folder in [ABSENT, &of_ben] {
        let body = json!({ "message": "hi", "folder_id": folder });
        ann.post("/api/chat/", body.clone()).await.expect(404, "not_found");
        ann.post("/api/chat/stream", body).await.expect(404, "not_found");
    }
    assert_eq!(ann.balance().await, GRANT);
    assert_eq!(ann.get("/api/conversations/").await.is(200), json!([]));
    ann.chat("hi").await.is(200);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn holds_cover_the_instructions_of_the_folder() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let folder = ann.has_folder("Travel", &"é".repeat(1000)).await;
    let mut holds = Vec::new();
    for folder in [folder.as_str(), ""] {
        let begins = json!({ "message": "hi", "model": "deep", "folder_id": folder });
        let begun = ann.post("/api/chat/", begins).await.is(200);
        let id = &begun["conversation_id"];
        let continues = json!({ "message": "hi", "model": "deep", "conversation_id": id });
        let more = ann.post("/api/chat/", continues).await.is(200);
        holds.push([held(&begun), held(&more)]);
    }
    let most = |prompt: u64| prompt * RATES.input / 1_000_000;
    for (inside, outside) in holds[0].into_iter().zip(holds[1]) {
        assert!(inside >= outside + most(6000), "{holds:?}");
    }
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn a_folders_list_continues_past_other_conversations() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let folder = ann.has_folder("Travel", "").await;
    let inside = ann.begins_chat("inside").await;
    ann.moves_to_folder(&inside, &folder).await.is(200);
    // A list reads at most a hundred conversations per request.
    let other = |number: u64| {
        let id = least_id(api.server().clock.millis() + 60_000 + number);
        let place = format!("c#{:013}#{id}", api.server().clock.millis() + 60_000 + number);
        json!({
            "user_id": ann.id, "chat_id": format!("c#{id}"), "thread": place, "title": "other",
            "created": 1, "used": 1,
        })
    };
    put(&api.dynamodb, "ChatsTable", &(0..100).map(other).collect::<Vec<_>>()).await;
    let path = format!("/api/conversations/?folder_id={folder}&limit=5");
    let first = ann.get(&path).await;
    let next = first.next_page().unwrap();
    assert_eq!(first.is(200), json!([]));
    let second = ann.get(&format!("/api/conversations/{next}")).await;
    assert_eq!(second.is(200)[0]["id"], inside.as_str());
}
