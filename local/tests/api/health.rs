//! `GET /api/health`.

use serde_json::json;

use crate::support::client::Api;

#[tokio::test]
async fn a_healthy_api_says_so_to_every_caller() {
    assert_eq!(Api::start().await.get("/api/health").await.is(200), json!({ "status": "ok" }));
}

#[tokio::test]
async fn an_api_that_cant_reach_its_store_says_so_and_when_to_try_again() {
    let (api, _) = Api::without_a_store().await;
    let answer = api.get("/api/health").await;
    assert_eq!(answer.header("retry-after"), "5");
    answer.expect(503, "unavailable");
}
