//! Requests for embeddings as providers get them, and the providers' replies.

use serde_json::{Value, json};

use crate::ai::providers::{Does, KEY, Provider, bedrock};
use crate::endpoints::openai::completions::Program;
use crate::portable::chat_stop::free_work;
use crate::support::client::{Api, GRANT, PRICE};

/// A price list with a model for embeddings, through these providers.
fn list(via: &[&str], rate: u64) -> Value {
    json!({ "models": [
        { "name": "quick", "via": via, "fare": { "message": PRICE } },
        { "name": "small", "kind": "embedding", "via": via, "fare": { "input": rate } },
    ]})
}

fn texts(input: impl Into<Value>) -> Value {
    json!({ "model": "small", "input": input.into() })
}

/// A server's reply with these vectors.
fn vectors(vectors: &[Value], tokens: u64) -> Value {
    let data = vectors.iter().enumerate().map(
        |(index, vector)| json!({ "object": "embedding", "index": index, "embedding": vector }),
    );
    json!({
        "object": "list", "model": "small-1", "data": data.collect::<Vec<_>>(),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })
}

/// Starts an API with this price list, and returns a program that uses it.
async fn program(api: Api, list: &Value) -> Program {
    api.prices(list).await;
    Program::of(&api.person("ann").await).await
}

#[tokio::test]
async fn servers_get_texts_or_tokens_with_the_key_and_the_model() {
    let provider = Provider::start().await;
    let list = list(&["openai:small-embed"], 1_000_000);
    let program = program(provider.api("").await, &list).await;
    for (input, sent) in [
        (json!("a"), json!(["a"])),
        (json!(["a"]), json!(["a"])),
        (json!([1, 2]), json!([[1, 2]])),
        (json!([[7]]), json!([[7]])),
    ] {
        provider.does(Does::Says(200, vectors(&[json!([0.5, -1])], 3)));
        let mut body = texts(input);
        body["dimensions"] = json!(2);
        body["user"] = json!("ann");
        let reply = program.embeds(&[], body).await.is(200);
        assert_eq!(reply["data"][0]["embedding"], json!([0.5, -1.0]));
        assert_eq!(
            (&reply["model"], &reply["usage"]["prompt_tokens"]),
            (&json!("small"), &json!(3))
        );
        let (path, authorization, asked) = provider.last_asked();
        assert_eq!((path.as_str(), authorization), ("/v1/embeddings", format!("Bearer {KEY}")));
        assert_eq!(asked, json!({ "model": "small-embed", "input": sent, "dimensions": 2 }));
    }
}

#[tokio::test]
async fn replies_may_be_in_base64_and_out_of_order() {
    let provider = Provider::start().await;
    let program = program(provider.api("").await, &list(&["openai"], 1)).await;
    let reply = json!({ "data": [
        { "index": 1, "embedding": "AAAAPw==" },
        { "index": 0, "embedding": [1] },
    ]});
    provider.does(Does::Says(200, reply));
    let reply = program.embeds(&[], texts(json!(["a", "b"]))).await.is(200);
    let found = [0, 1].map(|index: usize| reply["data"][index]["embedding"][0].as_f64().unwrap());
    assert_eq!(found, [1.0, 0.5]);
}

#[tokio::test]
async fn refusals_say_what_to_change_and_cost_nothing() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    api.prices(&list(&["openai"], 1_000_000)).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let refuses = |words: &str| {
        provider.does(Does::Says(400, json!({ "error": { "message": words } })));
    };
    refuses("This model's maximum context length is 8192 tokens.");
    let failure = program.embeds(&[], texts("a")).await.expect(400, "context_length_exceeded");
    let failure = &failure["error"];
    assert_eq!(failure["param"], "input");
    assert!(!failure.to_string().contains("messages"), "{failure}");
    let batch = json!({ "message": "batch size 100 > maximum allowed batch size 32", "type": "Validation" });
    provider.does(Does::Says(413, batch));
    let failure = program.embeds(&[], texts(json!(["a", "b"]))).await.expect(400, "invalid_fields");
    assert_eq!(failure["error"]["param"], "input");
    assert!(failure.to_string().contains("Send fewer texts."), "{failure}");
    refuses("invalid input type");
    let failure = program.embeds(&[], texts(json!([1]))).await.is(400);
    assert!(failure.to_string().contains("check_embedding_ctx_length"), "{failure}");
    refuses("This model does not support specifying dimensions.");
    let mut body = texts("a");
    body["dimensions"] = json!(2);
    let failure = program.embeds(&[], body.clone()).await.is(400);
    assert!(failure.to_string().contains("dimensions"), "{failure}");
    // Some servers ignore the field.
    provider.does(Does::Says(200, vectors(&[json!([1, 2, 3])], 1)));
    assert_eq!(program.embeds(&[], body).await.is(400), failure);
    for reply in [json!({}), vectors(&[], 1), vectors(&[json!([])], 1), vectors(&[json!("?")], 1)] {
        provider.does(Does::Says(200, reply.clone()));
        assert_eq!(program.embeds(&[], texts("a")).await.status, 502, "{reply}");
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn a_server_that_writes_floats_never_locks_its_users_out() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    api.prices(&list(&["openai"], 1_000_000)).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut reply = vectors(&[json!([1])], 1);
    for usage in [
        json!({ "prompt_tokens": 7.0, "total_tokens": 7.0 }),
        json!({ "prompt_tokens": "7" }),
        json!({ "prompt_tokens": -1, "total_tokens": 7 }),
    ] {
        reply["usage"] = usage;
        (reply["data"][0]["index"], reply["model"]) = (json!(0.0), json!(7));
        provider.does(Does::Says(200, reply.clone()));
        for _ in 0..6 {
            let reply = program.embeds(&[], texts("a")).await.is(200);
            assert_eq!(reply["usage"]["prompt_tokens"], 7);
        }
    }
    assert_eq!(free_work(&api.account(&ann).await, ""), 0);
    assert_eq!(ann.balance().await, GRANT - 3 * 6 * 7);
}

#[tokio::test]
async fn the_next_provider_is_called_after_a_failure() {
    let (api, first, second) = Provider::two(("AI_TIMEOUT_SECONDS", "20")).await;
    let program = program(api, &list(&["openai:a", "openai2:b"], 1)).await;
    first.does(Does::Says(503, Value::Null));
    second.does(Does::Says(200, vectors(&[json!([1])], 1)));
    program.embeds(&[], texts("a")).await.is(200);
    assert_eq!((first.times_asked(), second.times_asked()), (1, 1));
    assert_eq!(second.last_asked().2["model"], "b");
}

#[tokio::test]
async fn titan_takes_one_text_a_call() {
    let provider = Provider::start().await;
    let list = list(&["bedrock:amazon.titan-embed-text-v2:0"], 1_000_000);
    let program = program(bedrock(&provider, "").await, &list).await;
    provider.does(Does::Says(200, json!({ "embedding": [1, 2], "inputTextTokenCount": 4 })));
    let mut body = texts(json!(["a", "b", "c"]));
    body["dimensions"] = json!(2);
    let reply = program.embeds(&[], body).await.is(200);
    assert_eq!(reply["usage"]["prompt_tokens"], 12);
    assert_eq!(reply["data"].as_array().unwrap().len(), 3);
    assert_eq!(provider.times_asked(), 3);
    let (path, _, asked) = provider.last_asked();
    assert!(path.starts_with("/model/amazon.titan-embed-text-v2"), "{path}");
    assert_eq!(asked, json!({ "inputText": asked["inputText"], "dimensions": 2 }));
}

#[tokio::test]
async fn programs_wait_as_long_as_bedrock_says() {
    let provider = Provider::start().await;
    let list = list(&["bedrock:amazon.titan-embed-text-v2:0"], 1);
    let program = program(bedrock(&provider, "").await, &list).await;
    provider.does(Does::Limits("42"));
    let refused = program.embeds(&[], texts("a")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "42"));
}

#[tokio::test]
async fn calls_beside_a_refused_one_are_free_work() {
    let provider = Provider::start().await;
    let list = list(&["bedrock:amazon.titan-embed-text-v2:0"], 1_000_000);
    let api = bedrock(&provider, "").await;
    api.prices(&list).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let refusal = json!({
        "__type": "ValidationException",
        "message": "400 Bad Request: Too many input tokens. Max input tokens: 8192",
    });
    let says = json!({ "embedding": [1, 2], "inputTextTokenCount": 400 });
    provider.does(Does::Refuses("too long", refusal, says));
    let mut input = vec!["word ".repeat(100); 8];
    input[0] = "too long".into();
    program.embeds(&[], texts(json!(input))).await.expect(400, "context_length_exceeded");
    assert_eq!(provider.times_asked(), 8);
    assert_eq!(free_work(&api.account(&ann).await, ""), 7 * 400);
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn a_repetition_that_was_never_made_is_not_counted() {
    let provider = Provider::start().await;
    let program = program(provider.api("").await, &list(&["openai"], 1)).await;
    let key = [("idempotency-key", "one")];
    let works = Does::Says(200, vectors(&[json!([1])], 1));
    provider.does(works.clone());
    program.embeds(&key, texts("a")).await.is(200);
    provider.does(Does::Says(503, Value::Null));
    for _ in 0..3 {
        program.embeds(&key, texts("a")).await.expect(503, "ai_overloaded");
    }
    provider.does(works);
    for _ in 0..2 {
        program.embeds(&key, texts("a")).await.is(200);
    }
    program.embeds(&key, texts("a")).await.expect(410, "repeated_too_often");
}

#[tokio::test]
async fn cohere_takes_ninety_six_texts_a_call() {
    let provider = Provider::start().await;
    let list = list(&["bedrock:cohere.embed-multilingual-v3"], 1_000_000);
    let program = program(bedrock(&provider, "").await, &list).await;
    provider.does(Does::Says(200, json!({ "embeddings": vec![[1.5]; 96] })));
    let reply = program.embeds(&[], texts(json!(vec!["a"; 192]))).await.is(200);
    assert_eq!(reply["data"].as_array().unwrap().len(), 192);
    assert_eq!(provider.times_asked(), 2);
    let asked = provider.last_asked().2;
    let texts_of_call = vec!["a"; 96];
    let expected = json!({
        "texts": texts_of_call, "input_type": "search_document", "truncate": "NONE",
    });
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn bedrock_takes_texts_and_known_models_only() {
    let provider = Provider::start().await;
    let list = list(&["bedrock:cohere.embed-english-v3"], 1);
    let program = program(bedrock(&provider, "").await, &list).await;
    let failure = program.embeds(&[], texts(json!([1, 2]))).await.is(400);
    assert!(failure.to_string().contains("token ids"), "{failure}");
    let mut body = texts("a");
    body["dimensions"] = json!(256);
    let failure = program.embeds(&[], body).await.is(400);
    assert!(failure.to_string().contains("dimensions"), "{failure}");
    assert_eq!(provider.times_asked(), 0);
    let chats = self::list(&["bedrock:amazon.nova-lite-v1:0"], 1);
    program.api.prices(&chats).await;
    assert_eq!(program.embeds(&[], texts("a")).await.status, 502);
    assert_eq!(provider.times_asked(), 0);
}
