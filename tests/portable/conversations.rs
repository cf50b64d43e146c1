//! `GET /api/conversations`, `GET /api/conversations/{id}`, `PATCH /api/conversations/{id}`,
//! `DELETE /api/conversations/{id}`, and individual chats: `GET /api/chat/{id}`,
//! `DELETE /api/chat/{id}`. Conversations are continued, listed, renamed, pinned and deleted. A
//! chat is charged even if its conversation is deleted.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::endpoints::chats::chat_history::exported;
use crate::support::client::{Answer, Api, GRANT, PRICE, Person};
use crate::support::world::scan;

impl Person {
    async fn says_in(&self, message: &str, conversation: &Value) -> Answer {
        self.post("/api/chat/", json!({ "message": message, "conversation_id": conversation }))
            .await
    }
}

#[tokio::test]
async fn conversations_remember_only_their_own_messages() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let first = ann.chat("I am Ann.").await.is(200);
    ann.chat("I am somebody else.").await.is(200);
    let id = &first["conversation_id"];
    assert_eq!(*id, first["id"], "it is named after its first chat");
    ann.says_in("I like trains.", id).await.is(200);
    let answer = ann.says_in("!recall", id).await.is(200);
    let remembered = "user: I am Ann.\nassistant: You said: I am Ann.\nuser: I like trains.\nassistant: You said: I like trains.\nuser: !recall";
    assert_eq!(answer["response"], remembered);
    assert_eq!(answer["conversation_id"], *id);
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn the_settings_limit_what_is_remembered() {
    let api = Api::own(&[("CONTEXT_CHATS", "2"), ("CONTEXT_BYTES", "60")]).await;
    let ann = api.person("ann").await;
    let id = ann.chat("one").await.is(200)["conversation_id"].clone();
    for message in ["two", "three"] {
        ann.says_in(message, &id).await.is(200);
    }
    let two = "user: two\nassistant: You said: two\nuser: three\nassistant: You said: three\nuser: !recall";
    assert_eq!(ann.says_in("!recall", &id).await.is(200)["response"], two);
    assert_eq!(
        ann.says_in("!recall", &id).await.is(200)["response"],
        "user: !recall",
        "the last chat alone is over the bytes"
    );
}

#[tokio::test]
async fn foreign_conversations_are_refused_before_the_hold() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let bens = ben.chat("hi").await.is(200)["conversation_id"].clone();
    for id in [&bens, &json!("01a1f7d1-6dd1-703a-9600-a369c76325b7")] {
        ann.says_in("hi", id).await.expect(404, "not_found");
    }
    for id in [json!("c#x"), json!("x".repeat(5000)), json!(7)] {
        let refused = ann.says_in("hi", &id).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["conversation_id"].is_array(), "{refused}");
    }
    for none in [json!(null), json!("")] {
        ann.says_in("hi", &none).await.is(200);
    }
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn parallel_chats_in_a_conversation_are_stored_and_paid() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let id = ann.chat("hi").await.is(200)["conversation_id"].clone();
    for answer in join_all((0..10).map(|_| ann.says_in("hi", &id))).await {
        answer.is(200);
    }
    assert_eq!(ann.balance().await, GRANT - 11 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn chats_of_a_deleted_conversation_are_still_charged() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let id = ann.chat("hi").await.is(200)["conversation_id"].clone();
    let slow = tokio::spawn({
        let (ann, id) = (ann.clone(), id.clone());
        async move { ann.says_in("!slow 4000", &id).await }
    });
    ann.is_waiting().await;
    ann.delete(&format!("/api/conversations/{}/", id.as_str().unwrap())).await.is(202);
    let kept = slow.await.unwrap().is(200);
    assert_eq!(
        (&kept["response"], &kept["conversation_id"]),
        (&json!("You said: !slow 4000"), &Value::Null)
    );
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    ann.says_in("hi", &id).await.expect(404, "not_found");

    let app = &api.server().apps["erase"];
    let erased = app.store.erase(api.now(), Duration::from_secs(60)).await.unwrap();
    assert_eq!((erased.accounts, erased.items), (1, 2), "the chat and the conversation");
    let left = ann.history("").await.is(200);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &kept["id"]));
    assert_eq!(
        app.store.erase(api.now() + 10_000, Duration::from_secs(60)).await.unwrap().accounts,
        0
    );
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

impl Person {
    async fn begins_with(&self, message: &str) -> String {
        self.chat(message).await.is(200)["conversation_id"].as_str().unwrap().to_owned()
    }

    async fn conversations(&self, query: &str) -> Answer {
        self.get(&format!("/api/conversations/{query}")).await
    }

    async fn erased(&self) -> usize {
        self.api.server().apps["erase"]
            .store
            .erase(self.api.now(), Duration::from_secs(60))
            .await
            .unwrap()
            .items
    }
}

fn titles(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|conversation| conversation["title"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn conversations_are_listed_by_last_use_page_by_page() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ben.begins_with("not hers").await;
    let mut ids = Vec::new();
    for title in ["one", "two", "three", "four", "five"] {
        ids.push(ann.begins_with(title).await);
        api.server().clock.advance(Duration::from_secs(1));
    }
    ann.says_in("again", &json!(ids[1])).await.is(200);
    let all = ann.conversations("").await.is(200);
    assert_eq!(titles(&all), ["two", "five", "four", "three", "one"]);
    assert!(all[0]["last_used"].as_str() > all[0]["created"].as_str(), "{all}");
    assert_eq!((&all[1]["id"], &all[1]["last_used"]), (&json!(ids[4]), &all[1]["created"]));

    let (mut seen, mut next) = (Vec::new(), Some("?limit=2".to_owned()));
    while let Some(query) = next {
        let page = ann.conversations(&query).await;
        seen.extend(titles(&page.body).into_iter().map(str::to_owned));
        next = page.next_page();
    }
    assert_eq!(seen, ["two", "five", "four", "three", "one"]);
    let first = ann.conversations("?limit=2").await.next_page().unwrap();
    ben.conversations(&first).await.expect(400, "invalid_cursor");
    for bad in ["?limit=0", "?limit=101"] {
        ann.conversations(bad).await.expect(400, "invalid_fields");
    }
}

#[tokio::test]
async fn pinned_conversations_stay_first_until_unpinned() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let mut ids = Vec::new();
    for title in ["one", "two", "three", "four", "five"] {
        ids.push(ann.begins_with(title).await);
        api.server().clock.advance(Duration::from_secs(1));
    }
    let pins = async |index: usize, pinned: bool| {
        api.server().clock.advance(Duration::from_secs(1));
        let path = format!("/api/conversations/{}", ids[index]);
        let changed = ann.patch(&path, json!({ "pinned": pinned })).await.is(200);
        assert_eq!((&changed["pinned"], &changed), (&json!(pinned), &ann.get(&path).await.is(200)));
    };
    pins(0, true).await;
    pins(2, true).await;
    let order = ["three", "one", "five", "four", "two"];
    let all = ann.conversations("").await.is(200);
    assert_eq!(titles(&all), order);
    let pinned = all.as_array().unwrap().iter().map(|one| one["pinned"] == true);
    assert_eq!(pinned.collect::<Vec<_>>(), [true, true, false, false, false]);
    assert_eq!(ann.get("/api/user/export/").await.is(200)["conversations"], all);

    // Neither a second pin nor a new chat moves a pinned conversation.
    pins(0, true).await;
    api.server().clock.advance(Duration::from_secs(1));
    ann.says_in("again", &json!(ids[0])).await.is(200);
    let all = ann.conversations("").await.is(200);
    assert_eq!(titles(&all), order);
    assert!(all[1]["last_used"].as_str() > all[0]["last_used"].as_str(), "{all}");
    let (mut seen, mut next) = (Vec::new(), Some("?limit=1".to_owned()));
    while let Some(query) = next {
        let page = ann.conversations(&query).await;
        seen.extend(titles(&page.body).into_iter().map(str::to_owned));
        next = page.next_page();
    }
    assert_eq!(seen, order);

    for _ in 0..2 {
        pins(2, false).await;
        pins(0, false).await;
        let order = ["one", "five", "four", "three", "two"];
        assert_eq!(titles(&ann.conversations("").await.is(200)), order, "by the last use");
    }
}

#[tokio::test]
async fn unpinning_during_a_chat_keeps_the_last_use() {
    let api = Api::own(&[("CHAT_PRICE", "1")]).await;
    let ann = api.person("ann").await;
    let id = ann.begins_with("hi").await;
    let (path, within) = (format!("/api/conversations/{id}"), json!(id));
    for _ in 0..20 {
        ann.patch(&path, json!({ "pinned": true })).await.is(200);
        let uses = async {
            for _ in 0..3 {
                ann.says_in("again", &within).await.is(200);
            }
        };
        let (unpinned, ()) = tokio::join!(ann.patch(&path, json!({ "pinned": false })), uses);
        assert_eq!(unpinned.is(200)["pinned"], false);
        let items: Vec<Value> = scan(&api.dynamodb, "ChatsTable").await;
        let item = items.iter().find(|item| item["chat_id"] == format!("c#{id}")).unwrap();
        let place = format!("c#{:013}#{id}", item["used"].as_u64().unwrap());
        assert_eq!((&item["thread"], item.get("pinned")), (&json!(place), None));
    }
}

#[tokio::test]
async fn one_request_renames_instructs_and_pins_a_conversation() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let path = format!("/api/conversations/{}/", ann.begins_with("hi").await);
    for (title, instructions, pinned) in
        [("Fares", "Be brief.", true), ("Tickets", "Be kind.", false), ("Seats", "", false)]
    {
        let change = json!({ "title": title, "instructions": instructions, "pinned": pinned });
        let mut changed = ann.patch(&path, change.clone()).await.is(200);
        assert_eq!(changed, ann.get(&path).await.is(200));
        changed.as_object_mut().unwrap().retain(|name, _| change.get(name).is_some());
        assert_eq!(changed, change);
    }
    for (bad, field) in [
        (json!({ "pinned": "yes" }), "pinned"),
        (json!({ "pinned": 1 }), "pinned"),
        (json!({ "pinned": null }), "title"),
        (json!({ "pinned": true, "title": "" }), "title"),
        (json!({ "pinned": true, "title": "\u{2060}" }), "title"),
    ] {
        let refused = ann.patch(&path, bad).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{refused}");
    }
    assert_eq!(ann.get(&path).await.is(200)["pinned"], false);
    for pinned in [true, false] {
        ben.patch(&path, json!({ "pinned": pinned })).await.expect(404, "not_found");
    }
    ann.patch(&path, json!({ "pinned": true })).await.is(200);
    ann.delete(&path).await.is(202);
    for pinned in [true, false] {
        ann.patch(&path, json!({ "pinned": pinned })).await.expect(404, "not_found");
    }
    assert_eq!(ann.conversations("").await.is(200), json!([]));
}

#[tokio::test]
async fn titles_are_searched_in_any_case_across_pages() {
    let api = Api::own(&[("CHAT_PRICE", "1")]).await;
    let ann = api.person("ann").await;
    let id = ann.begins_with("The Needle in Genève").await;
    for _ in 0..105 {
        ann.begins_with("hay").await;
    }
    ann.says_in("no title has this needle", &json!(id)).await.is(200);
    let renamed = ann.begins_with("hay").await;
    let path = format!("/api/conversations/{renamed}");
    ann.patch(&path, json!({ "title": "two NEEDLES" })).await.is(200);
    let pages = async |query: &str| {
        let (mut pages, mut next) = (Vec::new(), Some(query.to_owned()));
        while let Some(query) = next {
            let page = ann.conversations(&query).await;
            next = page.next_page();
            let titles: Vec<String> = titles(&page.body).into_iter().map(str::to_owned).collect();
            pages.push(titles);
        }
        pages
    };
    let (one, other) = ("The Needle in Genève".to_owned(), "two NEEDLES".to_owned());
    assert_eq!(pages("?q=needle").await, [vec![other.clone(), one.clone()], vec![]]);
    let one_each = [vec![other], vec![one.clone()], vec![], vec![]];
    assert_eq!(pages("?q=needle&limit=1").await, one_each);
    assert_eq!(pages("?q=gen%C3%88ve").await, [vec![one], vec![]]);
    assert_eq!(pages("?q=zebra").await, [vec![""; 0], vec![]]);
    assert_eq!(pages("?q=").await.concat().len(), 107);

    let long = format!("?q={}", "x".repeat(201));
    let refused = ann.conversations(&long).await.expect(400, "invalid_fields");
    assert!(refused["errors"]["q"].is_array(), "{refused}");
    let next = ann.conversations("?q=needle&limit=1").await.next_page().unwrap();
    let other = next.replace("q=needle", "q=hay");
    ann.conversations(&other).await.expect(400, "invalid_cursor");
    let plain = ann.conversations("?limit=1").await.next_page().unwrap();
    ann.conversations(&format!("{plain}&q=needle")).await.expect(400, "invalid_cursor");
}

#[tokio::test]
async fn titles_come_from_the_first_message_until_renamed() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let id = ann.begins_with(&format!("  {}\nand more", "é".repeat(100))).await;
    let path = format!("/api/conversations/{id}/");
    assert_eq!(ann.get(&path).await.is(200)["title"], format!("{}…", "é".repeat(79)));
    let renamed = ann.patch(&path, json!({ "title": " Fares " })).await.is(200);
    assert_eq!((&renamed["title"], &renamed), (&json!("Fares"), &ann.get(&path).await.is(200)));
    for bad in [
        json!({}),
        json!({ "title": "" }),
        json!({ "title": "a\nb" }),
        json!({ "title": "x".repeat(101) }),
        json!({ "title": 5 }),
    ] {
        let refused = ann.patch(&path, bad).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["title"].is_array(), "{refused}");
    }
    ben.patch(&path, json!({ "title": "mine" })).await.expect(404, "not_found");
    ben.get(&path).await.expect(404, "not_found");
    ben.delete(&path).await.expect(404, "not_found");
    ann.says_in("hi", &json!(id)).await.is(200);
    assert_eq!(
        titles(&ann.conversations("").await.is(200)),
        ["Fares"],
        "a chat leaves the title as it is"
    );
    for nothing in ["x", "c%23x", "01a1f7d1-6dd1-703a-9600-a369c76325b7"] {
        ann.get(&format!("/api/conversations/{nothing}")).await.expect(404, "not_found");
        ann.patch(&format!("/api/conversations/{nothing}"), json!({ "title": "x" }))
            .await
            .expect(404, "not_found");
        ann.delete(&format!("/api/conversations/{nothing}")).await.expect(404, "not_found");
    }
}

#[tokio::test]
async fn titles_from_messages_end_between_words() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let words = |count: usize| vec!["words"; count].join(" ");
    for (message, title) in [
        (words(13), words(13)),
        (words(14), format!("{}…", words(13))),
        (format!("a {}", "x".repeat(99)), format!("a {}…", "x".repeat(77))),
        ("  A\ttab,   and spaces \n\nand more".into(), "A tab, and spaces".into()),
    ] {
        let id = ann.begins_with(&message).await;
        let path = format!("/api/conversations/{id}/");
        assert_eq!(ann.get(&path).await.is(200)["title"], title.as_str(), "{message}");
        ann.delete(&format!("/api/chat/{id}/")).await.is(200);
        assert_eq!(ann.get(&path).await.is(200)["title"], "Untitled", "{message}");
    }
}

#[tokio::test]
async fn pasted_code_gives_a_title_without_its_fence() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for (message, title) in [
        ("```python\n\nimport os\n```\nWhy?", "import os"),
        ("~~~~\na b\n~~~~", "a b"),
        ("```one``` and two", "```one``` and two"),
        ("```\n```", "```"),
    ] {
        let id = ann.begins_with(message).await;
        let path = format!("/api/conversations/{id}/");
        assert_eq!(ann.get(&path).await.is(200)["title"], title, "{message}");
        ann.delete(&format!("/api/chat/{id}/")).await.is(200);
        assert_eq!(ann.get(&path).await.is(200)["title"], "Untitled", "{message}");
    }
    // Earlier releases used the opening fence of a code block as the title. When the chat is
    // deleted, such a title is also removed.
    let id = ann.begins_with("```python\nimport os\n```").await;
    let path = format!("/api/conversations/{id}/");
    ann.patch(&path, json!({ "title": "```python" })).await.is(200);
    ann.delete(&format!("/api/chat/{id}/")).await.is(200);
    assert_eq!(ann.get(&path).await.is(200)["title"], "Untitled");
}

#[tokio::test]
async fn conversation_histories_have_only_its_chats_and_a_search() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let id = ann.begins_with("first").await;
    ann.begins_with("of another one").await;
    for message in ["second", "third", "fourth"] {
        ann.says_in(message, &json!(id)).await.is(200);
    }
    let mut seen = Vec::new();
    let mut next = Some(format!("?conversation_id={id}&limit=3"));
    while let Some(query) = next {
        let page = ann.history(&query).await;
        seen.extend(
            page.body
                .as_array()
                .unwrap()
                .iter()
                .map(|chat| chat["message"].as_str().unwrap().to_owned()),
        );
        next = page.next_page();
    }
    assert_eq!(seen, ["fourth", "third", "second", "first"]);
    let found = ann.history(&format!("?conversation_id={id}&q=IR")).await.is(200);
    let found: Vec<&Value> =
        found.as_array().unwrap().iter().map(|chat| &chat["message"]).collect();
    assert_eq!(found, ["third", "first"]);
    assert_eq!(
        ann.history("?conversation_id=01a1f7d1-6dd1-703a-9600-a369c76325b7").await.is(200),
        json!([])
    );
    ann.history("?conversation_id=x").await.expect(400, "invalid_fields");
    let cursor = ann.history("?limit=1").await.next_page().unwrap();
    ann.history(&format!("{cursor}&conversation_id={id}")).await.expect(400, "invalid_cursor");
}

#[tokio::test]
async fn deleted_conversations_are_gone_with_their_chats() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (id, kept) = (ann.begins_with("hi").await, ann.begins_with("kept").await);
    for _ in 0..30 {
        ann.says_in("hi", &json!(id)).await.is(200);
    }
    let path = format!("/api/conversations/{id}");
    ann.delete(&path).await.is(202);
    ann.delete(&path).await.expect(404, "not_found");
    ann.get(&path).await.expect(404, "not_found");
    ann.patch(&path, json!({ "title": "x" })).await.expect(404, "not_found");
    assert_eq!(titles(&ann.conversations("").await.is(200)), ["kept"]);
    assert_eq!((ann.erased().await, ann.erased().await), (32, 0));
    let left = ann.history("").await.is(200);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["conversation_id"]), (1, &json!(kept)));
    assert_eq!(ann.balance().await, GRANT - 32 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    assert_eq!(ann.get("/api/user/ledger/?limit=100").await.is(200).as_array().unwrap().len(), 33);
}

#[tokio::test]
async fn deleted_chats_disappear_from_the_title() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let [secret, renamed] =
        [ann.begins_with("my secret").await, ann.begins_with("another secret").await];
    ann.patch(&format!("/api/conversations/{renamed}/"), json!({ "title": "Fares" })).await.is(200);
    for id in [&secret, &renamed] {
        let later = ann.says_in("later", &json!(id)).await.is(200);
        ann.delete(&format!("/api/chat/{}/", later["id"].as_str().unwrap())).await.is(200);
    }
    assert_eq!(
        ann.get(&format!("/api/conversations/{secret}/")).await.is(200)["title"],
        "my secret"
    );
    for (id, title) in [(&secret, "Untitled"), (&renamed, "Fares")] {
        ann.delete(&format!("/api/chat/{id}/")).await.is(200);
        assert_eq!(ann.get(&format!("/api/conversations/{id}/")).await.is(200)["title"], title);
    }
    let said =
        api.items(&ann.id).await["ChatsTable"].iter().map(Value::to_string).collect::<String>();
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn only_owners_read_and_delete_chats_and_the_row_remains() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let id = ann.chat_once("k1", "hi").await.is(200)["id"].as_str().unwrap().to_owned();
    let path = format!("/api/chat/{id}/");
    assert_eq!(ann.get(&path).await.is(200), exported(ann.history("").await.is(200))[0]);
    ben.get(&path).await.expect(404, "not_found");
    ben.delete(&path).await.expect(404, "not_found");
    ann.delete(&path).await.is(200);
    for answer in [ann.get(&path).await, ann.delete(&path).await, ann.get("/api/chat/c%23x").await]
    {
        answer.expect(404, "not_found");
    }
    assert_eq!(ann.history("").await.is(200), json!([]));
    ann.chat_once("k1", "hi").await.expect(410, "chat_deleted");
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    ann.says_in("hi", &json!(id)).await.is(200);
}
