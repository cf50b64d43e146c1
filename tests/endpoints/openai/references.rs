//! References to items of earlier answers in `POST /v1/responses`.

use serde_json::{Value, json};

use crate::endpoints::openai::completions::Program;
use crate::endpoints::openai::responses::{in_paris, input, text};
use crate::support::client::{Api, GRANT, PRICE};

fn reference(id: &Value) -> Value {
    json!({ "type": "item_reference", "id": id })
}

/// A request that refers to this item, and continues the conversation.
fn after(id: &Value) -> Value {
    input(json!([reference(id), { "role": "user", "content": "!recall" }]))
}

#[tokio::test]
async fn references_stand_for_the_items() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let said = program.responds(&[], input("Hello!")).await.is(200);
    let call = program.responds(&[], in_paris()).await.is(200)["output"][0].clone();
    let output = json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "It rains." });
    let recalled = async |said: &Value, call: &Value| {
        let mut body = in_paris();
        let recall = json!({ "role": "user", "content": "!recall" });
        body["input"] = json!([said, call, output, recall]);
        text(&program.responds(&[], body).await.is(200)).to_owned()
    };
    let items = recalled(&said["output"][0], &call).await;
    assert!(items.contains("You said: Hello!") && items.contains("It rains."), "{items}");
    let [said, called] = [&said["output"][0]["id"], &call["id"]].map(reference);
    assert_eq!(recalled(&said, &called).await, items);
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn items_that_a_program_may_not_read_are_not_found() {
    let api = Api::start().await;
    let (ann, bob) = (api.person("ann").await, api.person("bob").await);
    let (program, other) = (Program::of(&ann).await, Program::of(&bob).await);
    let said = program.responds(&[], input("Hello!")).await.is(200);
    let id = &said["output"][0]["id"];
    let answered = program.responds(&[("idempotency-key", "once")], after(id)).await.is(200);
    let chat = said["id"].as_str().unwrap().strip_prefix("resp_").unwrap();
    let of_page = ann.chat("Hello!").await.is(200);
    for (program, id) in [
        (&other, id),
        (&program, &json!("msg_1")),
        (&program, &json!("resp")),
        (&program, &json!(null)),
        (&program, &json!(format!("fc_{chat}_0"))),
        (&program, &json!(format!("rs_{chat}_x"))),
        (&program, &json!(format!("ws_{chat}"))),
        (&program, &json!(format!("msg_{}", of_page["id"].as_str().unwrap()))),
    ] {
        let refused = program.responds(&[], after(id)).await.expect(404, "item_not_found");
        assert_eq!(refused["error"]["param"], "input", "{refused}");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("Item with id '") && message.contains("store: false"));
    }
    ann.delete(&format!("/api/chat/{chat}/")).await.is(200);
    program.responds(&[], after(id)).await.expect(404, "item_not_found");
    // A repetition gets the answer that was charged.
    let repeated = program.responds(&[("idempotency-key", "once")], after(id)).await;
    assert!(repeated.is_replay());
    assert_eq!(repeated.body, answered);
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn references_have_a_limit() {
    let api = Api::start().await;
    let program = Program::of(&api.person("ann").await).await;
    let said = program.responds(&[], input("Hello!")).await.is(200);
    let id = &said["output"][0]["id"];
    let many = vec![reference(id); 300];
    let user = json!({ "role": "user", "content": "hi" });
    let items = |references: &[Value]| {
        let items: Value = references.iter().chain([&user]).cloned().collect();
        input(items)
    };
    program.responds(&[], items(&many)).await.is(200);
    let ids = (0..101).map(|number| {
        let last = format!("{number:012}");
        reference(&json!(format!("msg_01a1f7d1-6e2a-7b0e-9c41-{last}")))
    });
    let ids: Vec<Value> = ids.collect();
    program.responds(&[], items(&ids[..100])).await.expect(404, "item_not_found");
    let refused = program.responds(&[], items(&ids)).await.expect(400, "invalid_fields");
    assert_eq!(refused["error"]["param"], "input", "{refused}");
}

#[tokio::test]
async fn keys_read_only_items_of_models_that_they_may_use() {
    let api = Api::own(&[]).await;
    api.prices(&json!({ "models": [
        { "name": "one", "via": ["scripted"], "fare": { "message": PRICE } },
        { "name": "other", "via": ["scripted"], "fare": { "message": PRICE } },
    ] }))
    .await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = input("Hello!");
    body["model"] = json!("other");
    let id = program.responds(&[], body).await.is(200)["output"][0]["id"].clone();
    let key = json!({ "name": "restricted", "models": ["one"] });
    let key = ann.post("/api/user/api-keys", key).await.is(201);
    let restricted = Program { key: key["key"].as_str().unwrap().to_owned(), ..program };
    let mut body = after(&id);
    body["model"] = json!("one");
    restricted.responds(&[], body.clone()).await.expect(404, "item_not_found");
    let program = Program::of(&ann).await;
    program.responds(&[], body).await.is(200);
}
