//! `POST /api/conversations/{id}/title`. A model writes at most one title for a conversation, which
//! costs the user nothing, and never replaces the user's own.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::sync::Notify;

use crate::ai::providers::{Does, Provider};
use crate::support::client::{Answer, Api, DAY, GRANT, PRICE, Person};
use crate::support::wait::until;

/// A provider that answers messages and titles, and an API with these further settings.
async fn titled(settings: &[(&str, &str)]) -> (Api, Provider) {
    let provider = Provider::start().await;
    let url = format!("{}/v1", provider.url);
    let of_ai =
        [("AI_PROVIDER", "openai"), ("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "large")];
    let clock = Clock::standing(Clock::default().millis());
    let api = Api::with_clock(clock, &[&of_ai[..], settings].concat()).await;
    (api, provider)
}

impl Person {
    async fn begins_titled(&self, provider: &Provider, message: &str) -> String {
        provider.says("Madrid, Toledo and Segovia.");
        let begun = self.chat(message).await.is(200);
        begun["conversation_id"].as_str().unwrap().to_owned()
    }

    async fn entitles(&self, id: &str) -> Answer {
        self.post(&format!("/api/conversations/{id}/title"), Value::Null).await
    }

    async fn title(&self, id: &str) -> Value {
        self.get(&format!("/api/conversations/{id}")).await.is(200)["title"].clone()
    }
}

#[tokio::test]
async fn a_model_writes_one_title_and_the_operator_pays() {
    let (api, provider) = titled(&[("TITLE_MODEL", "small")]).await;
    let ann = api.person("ann").await;
    let id = ann.begins_titled(&provider, "Which cities near Madrid can I visit by train?").await;
    provider.says("**\"Day trips from Madrid\"**\nA title");
    let after = ann.entitles(&id).await.is(200);
    assert_eq!(after["title"], "Day trips from Madrid");
    assert_eq!(ann.title(&id).await, "Day trips from Madrid");
    let (_, _, asked) = provider.last_asked();
    assert_eq!((&asked["model"], &asked["max_tokens"]), (&json!("small"), &json!(24)));
    let prompt = asked["messages"].to_string();
    assert!(prompt.contains("by train?") && prompt.contains("Segovia"), "{prompt}");
    // A repeated request, such as one whose reply was lost, asks no model again.
    let times = provider.times_asked();
    provider.says("Another title");
    assert_eq!(ann.entitles(&id).await.is(200), after);
    assert_eq!(provider.times_asked(), times);
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    // The title came from the first message.
    ann.delete(&format!("/api/chat/{id}")).await.is(200);
    assert_eq!(ann.title(&id).await, "Untitled");
}

#[tokio::test]
async fn titles_of_models_are_deleted_with_their_message() {
    let (api, provider) = titled(&[("TITLE_MODEL", "small")]).await;
    let ann = api.person("ann").await;
    let kept = ann.begins_titled(&provider, "one").await;
    let renamed = ann.begins_titled(&provider, "two").await;
    provider.says("A secret");
    for id in [&kept, &renamed] {
        assert_eq!(ann.entitles(id).await.is(200)["title"], "A secret");
    }
    let body = json!({ "title": "Mine" });
    ann.patch(&format!("/api/conversations/{renamed}"), body).await.is(200);
    for (id, title) in [(&kept, "Untitled"), (&renamed, "Mine")] {
        ann.delete(&format!("/api/chat/{id}")).await.is(200);
        assert_eq!(ann.title(id).await, title);
        let stored = ann.stored_conversation(id).await.to_string();
        assert!(!stored.contains("secret"), "{stored}");
    }
}

#[tokio::test]
async fn models_of_the_price_list_write_titles_through_their_provider() {
    let (api, provider) = titled(&[("TITLE_MODEL", "cheap")]).await;
    let of = |name: &str, model: &str| {
        let via = json!([format!("openai:{model}")]);
        json!({ "name": name, "via": via, "fare": { "message": PRICE } })
    };
    let models = [of("quick", "large-1"), of("cheap", "tiny-1")];
    api.prices(&json!({ "models": models })).await;
    let ann = api.person("ann").await;
    let id = ann.begins_titled(&provider, "hi").await;
    provider.says("A greeting");
    assert_eq!(ann.entitles(&id).await.is(200)["title"], "A greeting");
    assert_eq!(provider.last_asked().2["model"], "tiny-1");
}

#[tokio::test]
async fn titles_of_users_are_never_replaced() {
    let (api, provider) = titled(&[("TITLE_MODEL", "small")]).await;
    let ann = api.person("ann").await;
    let [early, same, meanwhile] = [
        ann.begins_titled(&provider, "one").await,
        ann.begins_titled(&provider, "two").await,
        ann.begins_titled(&provider, "three").await,
    ];
    let rename = async |id: &str, title: &str| {
        let body = json!({ "title": title });
        ann.patch(&format!("/api/conversations/{id}"), body).await.is(200);
    };
    provider.says("A model's title");
    rename(&early, "Mine").await;
    rename(&same, "two").await;
    let times = provider.times_asked();
    for (id, title) in [(&early, "Mine"), (&same, "two")] {
        assert_eq!(ann.entitles(id).await.is(200)["title"], title);
    }
    assert_eq!(provider.times_asked(), times, "no model is asked in vain");
    // The user changes the title while the model writes.
    let notify = Arc::new(Notify::new());
    let reply = json!({ "model": "s", "choices": [{ "message": { "role": "assistant", "content": "Late" }, "finish_reason": "stop" }] });
    let body = reply.to_string();
    let (begin, rest) = body.split_at(10);
    let pieces = [begin, rest].map(|piece| piece.to_owned().into()).to_vec();
    provider.does(Does::Waits(pieces, notify.clone()));
    let writing = tokio::spawn({
        let (ann, id) = (ann.clone(), meanwhile.clone());
        async move { ann.entitles(&id).await }
    });
    until("the model is asked", async || provider.times_asked() > times).await;
    rename(&meanwhile, "Mine, too").await;
    notify.notify_one();
    assert_eq!(writing.await.unwrap().is(200)["title"], "Mine, too");
    assert_eq!(ann.title(&meanwhile).await, "Mine, too");
}

#[tokio::test]
async fn useless_answers_leave_the_title_of_the_message() {
    let (api, provider) = titled(&[("TITLE_MODEL", "small")]).await;
    let ann = api.person("ann").await;
    let id = ann.begins_titled(&provider, "one").await;
    provider.says(" \n<br>\n\u{200b}");
    assert_eq!(ann.entitles(&id).await.is(200)["title"], "one");
    let id = ann.begins_titled(&provider, "two").await;
    provider.does(Does::Says(500, Value::Null));
    assert_eq!(ann.entitles(&id).await.is(200)["title"], "two");
    let id = ann.begins_titled(&provider, "three").await;
    provider.says(&"<img src=x onerror=alert(1)> word ".repeat(100));
    let title = ann.entitles(&id).await.is(200)["title"].as_str().unwrap().to_owned();
    assert!(title.starts_with("word word") && title.chars().count() <= 80, "{title}");
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn an_account_gets_a_limited_number_of_titles_a_day() {
    let (api, provider) = titled(&[("TITLE_MODEL", "small"), ("TITLES_PER_DAY", "1")]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let [first, second] =
        [ann.begins_titled(&provider, "one").await, ann.begins_titled(&provider, "two").await];
    let bens = ben.begins_titled(&provider, "three").await;
    provider.says("A title");
    ann.entitles(&first).await.is(200);
    let refused = ann.entitles(&second).await;
    assert!(!refused.header("retry-after").is_empty());
    refused.expect(429, "too_many_titles");
    assert_eq!(ben.entitles(&bens).await.is(200)["title"], "A title");
    // A refused request doesn't reserve the conversation.
    api.server().clock.advance(DAY);
    let ann = ann.elsewhere("a day later").await;
    assert_eq!(ann.entitles(&second).await.is(200)["title"], "A title");
}

#[tokio::test]
async fn no_model_is_asked_for_other_conversations() {
    let (api, provider) = titled(&[("TITLE_MODEL", "small")]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let id = ann.begins_titled(&provider, "one").await;
    let temporary = json!({ "message": "two", "temporary": true });
    let temporary = ann.post("/api/chat/", temporary).await.is(200)["id"].clone();
    let times = provider.times_asked();
    ben.entitles(&id).await.expect(404, "not_found");
    ann.entitles("x").await.expect(404, "not_found");
    let kept = ann.entitles(temporary.as_str().unwrap()).await.is(200);
    assert_eq!(kept["title"], "two");
    assert_eq!(ann.get("/api/models/").await.is(200)["titles"], true);
    assert_eq!(provider.times_asked(), times);
}

#[tokio::test]
async fn without_the_setting_titles_stay_as_they_are() {
    let (api, provider) = titled(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.begins_titled(&provider, "one").await;
    let times = provider.times_asked();
    assert_eq!(ann.entitles(&id).await.is(200)["title"], "one");
    assert_eq!(provider.times_asked(), times);
    assert_eq!(ann.get("/api/models/").await.is(200)["titles"], false);
}
