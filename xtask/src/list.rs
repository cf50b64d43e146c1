//! Prints the functions as JSON, one on each line, for scripts and for `jq`.

use functions::lambda::{Lambda, Trigger};
use serde::Serialize;
use shared::http::Route;

use crate::Failure;
use crate::functions::{Function, all};

/// A function, as its row and its `LAMBDA` describe it.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    room: &'static str,
    routes: Vec<MethodAndPath>,
    /// What invokes a background function: the rate of its schedule, or `outbox`.
    trigger: Option<&'static str>,
    /// The settings that the function reads, in addition to those that every function reads.
    settings: Vec<&'static str>,
    /// The time-out in seconds. `None` for the usual one in `template.yaml`.
    timeout: Option<u32>,
    /// The memory in MB. `None` for the usual one in `template.yaml`.
    memory: Option<u32>,
    /// The alias that API Gateway calls.
    alias: Option<&'static str>,
    streams: bool,
    throttled: bool,
    /// The parameter that sets the reserved concurrency.
    concurrency: Option<&'static str>,
    calls_ai: bool,
    hashes_passwords: bool,
}

#[derive(Serialize)]
struct MethodAndPath {
    method: &'static str,
    path: &'static str,
}

/// Prints every function.
pub fn print() -> Result<(), Failure> {
    let rows: Result<Vec<String>, _> =
        all()?.iter().map(|function| serde_json::to_string(&row(function))).collect();
    println!("[\n{}\n]", rows?.join(",\n"));
    Ok(())
}

fn row(function: &Function) -> Row {
    let Function { name, lambda, calls_ai, concurrency, ref routes, .. } = *function;
    let Lambda { timeout, memory, canary, streams, throttled, hashes_passwords, .. } = lambda;
    let trigger = lambda.trigger.map(|trigger| match trigger {
        Trigger::Schedule(schedule) => schedule.rate(),
        Trigger::Outbox => "outbox",
    });
    let route = |route: &&Route| MethodAndPath { method: route.method, path: route.path };
    Row {
        name,
        room: function.room(),
        routes: routes.iter().map(route).collect(),
        trigger,
        settings: function.settings(),
        timeout,
        memory,
        alias: canary.then_some("live"),
        streams,
        throttled,
        concurrency,
        calls_ai,
        hashes_passwords,
    }
}
