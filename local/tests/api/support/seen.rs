//! What each test gets from the front door and asks of the store. By it `scripts/repeated-tests`
//! finds the tests that show nothing more of another front door or another store than the rest do.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{LazyLock, Mutex};
use std::thread;

use functions::ROUTES;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::Value;

static FILE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let path = std::env::var_os("TESTS_SEEN")?;
    Some(Mutex::new(OpenOptions::new().create(true).append(true).open(path).unwrap()))
});

/// `scripts/repeated-tests` looks for it.
const FRONT_DOOR: &str = "front door";

/// The parts of a call that say what it does. The values in it are left out.
const SHAPE: [&str; 8] = [
    "TableName",
    "IndexName",
    "ConditionExpression",
    "UpdateExpression",
    "KeyConditionExpression",
    "FilterExpression",
    "ProjectionExpression",
    "ReturnValuesOnConditionCheckFailure",
];

/// The test would use the front door that `API_URL` names.
pub fn front_door() {
    note(|| FRONT_DOOR.to_owned());
}

/// A reply of the front door.
pub fn reply(method: &Method, path: &str, status: StatusCode, headers: &HeaderMap, body: &Value) {
    note(|| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let route = shared::http::pattern(ROUTES.iter().map(|route| route.path), path);
        let slash = if path.ends_with('/') { "/" } else { "" };
        let media_type = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
        let has_query = !query.is_empty();
        let (route, code) = (route.unwrap_or("?"), &body["code"]);
        let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        format!("{method} {route}{slash} {has_query} {status} {media_type} {code} {names:?}")
    });
}

/// A call of the store and its outcome.
pub fn call(operation: &str, body: &[u8], status: u16, reply: &[u8]) {
    note(|| {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let reply: Value = serde_json::from_slice(reply).unwrap_or_default();
        let mut shape = Vec::new();
        shapes(&body, &mut shape);
        let reasons = reply["CancellationReasons"].as_array().into_iter().flatten();
        let reasons: Vec<&Value> = reasons.map(|reason| &reason["Code"]).collect();
        format!("{operation} {shape:?} {status} {} {reasons:?}", reply["__type"])
    });
}

fn shapes(call: &Value, found: &mut Vec<String>) {
    match call {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if SHAPE.contains(&name.as_str()) => {
                        found.push(format!("{name}={text}"));
                    }
                    Value::Object(_) | Value::Array(_) if !is_of_items(name) => {
                        found.push(name.clone());
                        shapes(value, found);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| shapes(part, found)),
        _ => {}
    }
}

/// Whether this part of a call has attributes and values of items.
fn is_of_items(name: &str) -> bool {
    name.starts_with("ExpressionAttribute")
        || ["Item", "Key", "Keys", "ExclusiveStartKey"].contains(&name)
}

fn note(what: impl FnOnce() -> String) {
    if let Some(file) = &*FILE {
        // Each test and its servers run on a thread that has the test's name.
        let line = format!("{}\t{}\n", thread::current().name().unwrap_or_default(), what());
        file.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }
}
