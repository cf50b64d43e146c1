//! `POST /v1/messages/count_tokens`, and the same at `POST /v1/v1/messages/count_tokens`.

use serde_json::{Value, json};

use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::support::client::{Api, GRANT};

const PATH: &str = "/v1/messages/count_tokens";

#[tokio::test]
async fn counts_are_estimates_that_cost_and_write_nothing() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let before = api.items(&ann.id).await;
    let count = async |path: &str, body: Value| {
        client.send_to(path, &[], body).await.is(200)["input_tokens"].as_u64().unwrap()
    };
    let short = count(PATH, json!({ "messages": [{ "role": "user", "content": "hi" }] })).await;
    let long = count("/v1/v1/messages/count_tokens", asking(&"word ".repeat(1000))).await;
    assert!((1..10).contains(&short) && (500..3000).contains(&long), "{short} {long}");
    let tool = json!({ "name": "f", "description": "word ".repeat(1000), "input_schema": {} });
    let offering = count(PATH, with(asking("hi"), "tools", json!([tool]))).await;
    assert!(offering > 500, "{offering}");
    assert_eq!(api.items(&ann.id).await, before);
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn counting_needs_a_valid_key_and_request() {
    let api = Api::start().await;
    let client = Client::of(&api.person("ann").await).await;
    client.send_to(PATH, &[], json!({ "messages": [] })).await.expect_anthropic(400);
    let values = json!([null, null]);
    let text = json!([{ "type": "text", "text": "hi", "input": values }]);
    let tool = json!([{ "name": "get_weather", "cache_control": values }]);
    for (field, value) in [("cache_control", values), ("system", text), ("tools", tool)] {
        let mut body = asking("hi");
        body[field] = value;
        let refused = client.send_to(PATH, &[], body).await.expect_anthropic(400);
        assert!(refused["error"]["message"].as_str().unwrap().contains("an object"), "{refused}");
    }
    let stranger = Client { api: api.clone(), key: "sk-x".into() };
    stranger.send_to(PATH, &[], asking("hi")).await.expect_anthropic(401);
}
