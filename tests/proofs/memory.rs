//! Measures the memory that a function needs for large request bodies under `/v1` with hostile
//! contents.

use serde_json::Value;

use crate::support::function::event;
use crate::support::lambda::Instance;
use crate::support::rig::Rig;

/// The size limit of a body in bytes.
const LIMIT: usize = 2 * 1024 * 1024;

/// How much more memory, in MiB, a hostile body may need than an ordinary body of the same size
/// that contains none of the fields that the function reads. The highest measured difference is 21
/// MiB. Each function has 256 MiB of memory.
const MORE: u64 = 32;

const COMPLETIONS: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const TEXT_COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const MESSAGES: &str = "/v1/messages";

/// Returns a body of the maximum size that repeats one element.
fn filled(head: &str, element: &str, tail: &str) -> String {
    let count = (LIMIT - head.len() - tail.len()) / (element.len() + 1);
    format!("{head}{}{tail}", vec![element; count].join(","))
}

fn nested(levels: usize) -> String {
    format!("{}0{}", r#"{"":"#.repeat(levels), "}".repeat(levels))
}

/// Returns a body for each large field. If a function parsed the field's values into a tree, the
/// tree would need many times the field's size.
fn hostile() -> Vec<(&'static str, String)> {
    let (deep, schema) = (nested(115), nested(40));
    let (deep, schema) = (deep.as_str(), schema.as_str());
    let list = |head: &str, element: &str, count: usize| {
        format!("{head}{}]}}", vec![element; count].join(","))
    };
    let parts = list(r#"{"role":"","content":["#, r#"{"type":""}"#, 85);
    let texts = list(r#"{"role":"user","content":["#, r#"{"type":"text","text":""}"#, 39);
    let calls = list(r#"{"role":"","tool_calls":["#, r#"{"id":""}"#, 100);
    let outputs = list(r#"{"output":["#, r#"{"type":""}"#, 85);
    let results = list(r#"{"type":"tool_result","content":["#, r#"{"type":""}"#, 2000);
    let hi = r#"{"messages":[{"role":"user","content":"hi"}],"input":"hi","max_tokens":9,"#;
    let metadata = (0..180_000).map(|number| format!(r#""{number}":"""#));
    let metadata = metadata.collect::<Vec<_>>().join(",");
    let completions = [
        (r#""audio":["#, deep, "]}"),
        (r#""audio":["#, r#"{"":0}"#, "]}"),
        (r#""tools":["#, r#"{"type":""}"#, "]}"),
        (r#""functions":["#, r#"{"name":""}"#, "]}"),
        (r#""tool_choice":["#, deep, "]}"),
        (r#""tool_choice":{"type":"function","x":["#, deep, "]}}"),
        (
            r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":["#,
            r#"{"function":{"name":""}}"#,
            "]}}}",
        ),
        (r#""function_call":{"name":"f","x":["#, deep, "]}}"),
        (r#""stop":["#, r#""""#, "]}"),
        (r#""stream_options":{"x":["#, deep, "]}}"),
        (
            r#""tools":[{"type":"function","function":{"name":"f","parameters":{"x":["#,
            schema,
            "]}}}]}",
        ),
        (
            r#""response_format":{"type":"json_schema","json_schema":{"name":"f","schema":{"x":["#,
            schema,
            "]}}}}",
        ),
    ];
    let responses = [
        (r#""conversation":["#, deep, "]}"),
        (r#""previous_response_id":["#, r#"{"":0}"#, "]}"),
        (r#""prompt":["#, deep, "]}"),
        (r#""metadata":{"x":["#, deep, "]}}"),
        (r#""tools":["#, r#"{"type":""}"#, "]}"),
        (r#""tool_choice":{"type":"function","x":["#, deep, "]}}"),
        (
            r#""tool_choice":{"type":"allowed_tools","mode":"auto","tools":["#,
            r#"{"type":""}"#,
            "]}}",
        ),
        (r#""tools":[{"type":"function","name":"f","parameters":{"x":["#, schema, "]}}]}"),
        (r#""text":{"format":{"type":"json_schema","name":"f","schema":{"x":["#, schema, "]}}}}"),
    ];
    let messages = [
        (r#""system":["#, r#"{"type":""}"#, "]}"),
        (r#""mcp_servers":["#, deep, "]}"),
        (r#""stop_sequences":["#, r#""""#, "]}"),
        (r#""tools":["#, r#"{"name":""}"#, "]}"),
        (r#""tools":[{"name":"f","input_schema":{"x":["#, schema, "]}}]}"),
        (r#""tool_choice":{"type":"auto","x":["#, deep, "]}}"),
        (r#""thinking":{"type":"adaptive","x":["#, deep, "]}}"),
        (r#""cache_control":{"type":"ephemeral","x":["#, deep, "]}}"),
        (r#""output_config":{"format":{"type":"json_schema","schema":{"x":["#, schema, "]}}}}"),
    ];
    let conversations = [
        (MESSAGES, r#"{"messages":["#, r#"{"role":""}"#, "]}"),
        (MESSAGES, r#"{"messages":["#, parts.as_str(), "]}"),
        (MESSAGES, r#"{"messages":["#, texts.as_str(), "]}"),
        (MESSAGES, r#"{"messages":[{"role":"user","content":["#, "[0]", "]}]}"),
        (MESSAGES, r#"{"messages":[{"role":"user","content":["#, results.as_str(), "]}]}"),
        (MESSAGES, r#"{"messages":[{"role":"user","content":["#, r#"{"type":""}"#, "]}]}"),
        (COMPLETIONS, r#"{"messages":["#, r#"{"role":""}"#, "]}"),
        (COMPLETIONS, r#"{"messages":["#, parts.as_str(), "]}"),
        (COMPLETIONS, r#"{"messages":["#, texts.as_str(), "]}"),
        (COMPLETIONS, r#"{"messages":["#, calls.as_str(), "]}"),
        (COMPLETIONS, r#"{"messages":[{"role":"user","content":["#, "[0]", "]}]}"),
        (COMPLETIONS, r#"{"messages":[{"role":"user","content":["#, r#"{"type":""}"#, "]}]}"),
        (COMPLETIONS, r#"{"messages":[{"role":"","tool_calls":["#, r#"{"id":""}"#, "]}]}"),
        (RESPONSES, r#"{"input":["#, "{}", "]}"),
        (RESPONSES, r#"{"input":["#, parts.as_str(), "]}"),
        (RESPONSES, r#"{"input":["#, outputs.as_str(), "]}"),
        (RESPONSES, r#"{"input":[{"role":"user","content":["#, "[0]", "]}]}"),
        (EMBEDDINGS, r#"{"model":"a","input":["#, r#""""#, "]}"),
        (EMBEDDINGS, r#"{"model":"a","input":["#, "[]", "]}"),
        (EMBEDDINGS, r#"{"model":"a","input":["#, "1", "]}"),
        (EMBEDDINGS, r#"{"model":"a","input":[["#, "1", "]]}"),
        (EMBEDDINGS, r#"{"model":"a","input":["#, deep, "]}"),
        (TEXT_COMPLETIONS, r#"{"prompt":["#, "1", "]}"),
        (TEXT_COMPLETIONS, r#"{"prompt":["#, "[1]", "]}"),
        (TEXT_COMPLETIONS, r#"{"prompt":["#, r#""""#, "]}"),
        (TEXT_COMPLETIONS, r#"{"prompt":["",["#, deep, "]]}"),
        (TEXT_COMPLETIONS, r#"{"prompt":"hi","stop":["#, r#""""#, "]}"),
    ];
    let fields = completions.map(|field| (COMPLETIONS, field)).into_iter();
    let fields = fields.chain(responses.map(|field| (RESPONSES, field)));
    let fields = fields.chain(messages.map(|field| (MESSAGES, field)));
    let fields = fields
        .map(|(path, (head, element, tail))| (path, filled(&format!("{hi}{head}"), element, tail)));
    let conversations = conversations.into_iter();
    let conversations =
        conversations.map(|(path, head, element, tail)| (path, filled(head, element, tail)));
    let pairs = (RESPONSES, format!("{hi}\"metadata\":{{{metadata}}}}}"));
    fields.chain(conversations).chain([pairs]).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn large_bodies_of_any_caller_and_content_take_little_memory() {
    let rig = Rig::of_processes().await;
    let bearer = rig.person().await.bearer();
    let hi = r#"{"messages":[{"role":"user","content":"hi"}],"input":"hi","max_tokens":9,"x":["#;
    let hostile = hostile();
    for (endpoint, path) in [
        ("completions", COMPLETIONS),
        ("responses", RESPONSES),
        ("text_completions", TEXT_COMPLETIONS),
        ("embeddings", EMBEDDINGS),
        ("messages", MESSAGES),
    ] {
        let mut function = Instance::scripted(endpoint, &rig.api.dynamodb).await;
        let mut send = async |credential: Option<&str>, body: &str| {
            let headers = credential.map(|credential| ("authorization", credential));
            let mut event = event(endpoint, path, headers.as_slice(), &Value::Null);
            event["body"] = body.into();
            function.takes(&event);
            (function.answers().await.status, function.peak())
        };
        let hi = match endpoint {
            "text_completions" => r#"{"prompt":"hi","x":["#,
            "embeddings" => r#"{"model":"a","input":"hi","x":["#,
            _ => hi,
        };
        let (status, usual) = send(Some(&bearer), &filled(hi, r#""""#, "]}")).await;
        assert_eq!(status, 200);
        let most = usual + MORE;
        for (_, body) in hostile.iter().filter(|(of, _)| *of == path) {
            let begin = &body[..100];
            assert!(body.len() <= LIMIT, "{begin}");
            let (status, peak) = send(None, body).await;
            assert_eq!(status, 401, "{begin}");
            assert!(peak < most, "{peak} MiB of {most} without a credential: {begin}");
            let (status, peak) = send(Some(&bearer), body).await;
            assert!([200, 400].contains(&status), "{status}: {begin}");
            assert!(peak < most, "{peak} MiB of {most}: {begin}");
        }
    }
}
