//! The alarms in `template.yaml` and `alarms.yaml`. Together they cover every function, table and
//! deployment, and they refer only to metrics that exist. `docs/operate/runbooks.md` says what each
//! alarm means and what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use serde_norway::Value as Yaml;

use crate::support::function::event;
use crate::support::lambda::{Instance, binary};
use crate::support::metric_math;

const TEMPLATE: &str = include_str!("../../template.yaml");
const ALARMS: &str = include_str!("../../alarms.yaml");
const RUNBOOKS: &str = include_str!("../../docs/operate/runbooks.md");
const OBSERVE: &str = include_str!("../../docs/operate/observe.md");
const RELEASE: &str = include_str!("../../docs/operate/release.md");

const FUNCTION: &str = "AWS::Serverless::Function";
const ALARM: &str = "AWS::CloudWatch::Alarm";

fn yaml(source: &str) -> Yaml {
    emulator::template::parse(source).unwrap()
}

/// Returns all resources of a type, keyed by name.
fn of_type<'y>(yaml: &'y Yaml, kind: &str) -> BTreeMap<String, &'y Yaml> {
    let resources = yaml["Resources"].as_mapping().unwrap().iter();
    resources
        .filter(|(_, resource)| resource["Type"].as_str() == Some(kind))
        .map(|(name, resource)| (name.as_str().unwrap().to_owned(), resource))
        .collect()
}

/// Returns a value as a string, or the name in its `!Ref`, `!GetAtt` or `!Sub`.
fn text(value: &Yaml) -> &str {
    match value {
        Yaml::Tagged(tagged) => tagged.value.as_str().unwrap_or_default(),
        value => value.as_str().unwrap_or_default(),
    }
}

/// A metric that an alarm fetches.
struct Watched<'y> {
    namespace: &'y str,
    name: &'y str,
    dimensions: Vec<(&'y str, &'y Yaml)>,
}

impl<'y> Watched<'y> {
    fn of(metric: &'y Yaml) -> Self {
        let dimensions = metric["Dimensions"].as_sequence().into_iter().flatten();
        Self {
            namespace: text(&metric["Namespace"]),
            name: metric["MetricName"].as_str().unwrap(),
            dimensions: dimensions
                .map(|each| (each["Name"].as_str().unwrap(), &each["Value"]))
                .collect(),
        }
    }
}

/// Returns the metrics that an alarm fetches: the metrics in its expression, or its only metric.
fn watched(alarm: &Yaml) -> Vec<Watched<'_>> {
    let properties = &alarm["Properties"];
    match properties["Metrics"].as_sequence() {
        Some(queries) => {
            let metrics = queries.iter().map(|query| &query["MetricStat"]["Metric"]);
            metrics.filter(|metric| !metric.is_null()).map(Watched::of).collect()
        }
        None => vec![Watched::of(properties)],
    }
}

/// Returns the items of a list that `template.yaml` passes to `alarms.yaml`: resource names, or
/// `unused`.
fn passed(template: &Yaml, list: &str) -> Vec<String> {
    let value = &template["Resources"]["AlarmStack"]["Properties"]["Parameters"][list];
    let Yaml::Tagged(joined) = value else { panic!("{list}: {value:?}") };
    assert_eq!(joined.tag, "!Join", "{list}");
    // `!If [condition, reference, other]` selects the stack's own resource or a replacement for it.
    let own = |item: &Yaml| match item {
        Yaml::Tagged(given) if given.tag == "!If" => text(&given.value[1]).to_owned(),
        item => text(item).to_owned(),
    };
    joined.value[1].as_sequence().unwrap().iter().map(own).collect()
}

/// Returns the resource that a dimension in `alarms.yaml` selects: `!Select [index, !Ref list]`.
fn chosen(template: &Yaml, value: &Yaml) -> String {
    let Yaml::Tagged(select) = value else { panic!("{value:?}") };
    assert_eq!(select.tag, "!Select", "{value:?}");
    let index = usize::try_from(select.value[0].as_u64().unwrap()).unwrap();
    let items = passed(template, text(&select.value[1]));
    items.get(index).unwrap_or_else(|| panic!("{value:?} of {items:?}")).clone()
}

/// Returns the resources for which `alarms.yaml` has an alarm on this metric.
fn covered(metric: &str) -> Vec<String> {
    let (template, nested) = (yaml(TEMPLATE), yaml(ALARMS));
    let mut names = Vec::new();
    for alarm in of_type(&nested, ALARM).into_values() {
        for each in watched(alarm) {
            if each.name == metric {
                names.push(chosen(&template, each.dimensions[0].1));
            }
        }
    }
    names.retain(|name| name != "unused");
    names
}

#[test]
fn every_function_has_alarms_for_errors_and_throttles() {
    let template = yaml(TEMPLATE);
    let functions: BTreeSet<String> = of_type(&template, FUNCTION).into_keys().collect();
    // An additional alarm watches the errors of the payment functions.
    let payments = ["PurchaseCreateFunction", "StripeWebhookFunction", "PaymentsCheckFunction"];
    for (metric, again) in [("Errors", &payments[..]), ("Throttles", &[])] {
        let mut names = covered(metric);
        for name in again {
            names.remove(names.iter().position(|other| other == name).unwrap());
        }
        let once: BTreeSet<String> = names.iter().cloned().collect();
        assert_eq!(once, functions, "{metric}: the groups of AlarmStack");
        assert_eq!(once.len(), names.len(), "{metric} of a function are in two groups");
    }
}

#[test]
fn every_table_has_an_alarm_for_its_throttles() {
    let template = yaml(TEMPLATE);
    let tables: BTreeSet<String> = of_type(&template, "AWS::DynamoDB::Table").into_keys().collect();
    for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
        assert_eq!(covered(metric).into_iter().collect::<BTreeSet<_>>(), tables, "{metric}");
    }
}

/// A table's metrics don't include the metrics of its global secondary indexes.
#[test]
fn every_index_has_an_alarm_for_its_throttles() {
    let (template, nested) = (yaml(TEMPLATE), yaml(ALARMS));
    let mut indexes = BTreeSet::new();
    for (table, resource) in of_type(&template, "AWS::DynamoDB::Table") {
        let listed = resource["Properties"]["GlobalSecondaryIndexes"].as_sequence();
        for index in listed.into_iter().flatten() {
            indexes.insert((table.clone(), text(&index["IndexName"]).to_owned()));
        }
    }
    assert!(indexes.len() > 5, "{indexes:?}");
    for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
        let mut watched_indexes = BTreeSet::new();
        for alarm in of_type(&nested, ALARM).into_values() {
            for each in watched(alarm).into_iter().filter(|each| each.name == metric) {
                let [(first, table), (second, index)] = each.dimensions.as_slice() else {
                    continue;
                };
                assert_eq!((*first, *second), ("TableName", "GlobalSecondaryIndexName"));
                watched_indexes.insert((chosen(&template, table), text(index).to_owned()));
            }
        }
        assert_eq!(watched_indexes, indexes, "{metric}");
    }
}

#[test]
fn duration_alarms_watch_ai_functions_and_ten_quick_ones() {
    let template = yaml(TEMPLATE);
    let asking = ["ChatFunction", "ChatStreamFunction", "CompletionsFunction", "ResponsesFunction"];
    assert_eq!(passed(&template, "ChatFunctions")[..4], asking);
    let quick: BTreeSet<String> = passed(&template, "QuickFunctions").into_iter().collect();
    assert_eq!(quick.len(), 10, "{quick:?}");
    assert!(asking.iter().all(|name| !quick.contains(*name)), "{quick:?}");
    let slow: BTreeSet<String> = covered("Duration").into_iter().collect();
    let further = ["EmbeddingsFunction", "MessagesFunction", "TextCompletionsFunction"];
    let asking = asking.into_iter().chain(further).map(str::to_owned);
    assert_eq!(slow, quick.into_iter().chain(asking).collect());
    let background = passed(&template, "BackgroundFunctions");
    assert_eq!(covered("IteratorAge"), ["MailFunction"]);
    let all = [
        "SweepFunction",
        "EraseFunction",
        "MailFunction",
        "CensusFunction",
        "PaymentsCheckFunction",
    ];
    assert_eq!(background, all);
}

#[test]
fn every_product_metric_with_an_alarm_is_in_the_code() {
    let section = OBSERVE.split("\n## ").find(|section| section.starts_with("Metrics\n"));
    let rows = section.expect("docs/operate/observe.md lists the metrics").lines();
    let cell =
        |row: &str, number: usize| row.split('|').nth(number).unwrap().trim().replace('`', "");
    let documented: BTreeMap<String, String> = rows
        .filter(|line| line.starts_with("| `"))
        .map(|row| (cell(row, 1), cell(row, 3)))
        .collect();
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src");
    let code: String = ["error/failures.rs", "config.rs", "config/ai.rs", "telemetry/metrics.rs"]
        .iter()
        .map(|file| fs::read_to_string(shared.join(file)).unwrap())
        .collect();
    let mut names = BTreeSet::new();
    for source in [TEMPLATE, ALARMS] {
        for (alarm, resource) in of_type(&yaml(source), ALARM) {
            for metric in watched(resource) {
                if metric.namespace.starts_with("AWS/") {
                    continue;
                }
                assert!(["Stack", "AWS::StackName"].contains(&metric.namespace), "{alarm}");
                let dimension = match metric.dimensions.as_slice() {
                    [] => "none",
                    [(name, value)] => {
                        let quoted = format!("\"{}\"", text(value));
                        assert!(code.contains(&quoted), "{alarm}: the code has no {quoted}");
                        *name
                    }
                    more => panic!("{alarm}: {} dimensions", more.len()),
                };
                // An alarm that names one dimension doesn't read the metrics of another.
                let mut documented = documented[metric.name].split(", ");
                assert!(documented.any(|name| name == dimension), "{alarm}: {}", metric.name);
                names.insert(metric.name.to_owned());
            }
        }
    }
    let expected = [
        "AiFailures",
        "AiUnfunded",
        "AuditDifferences",
        "Charged",
        "Chats",
        "Disputes",
        "ErasedAccounts",
        "EventsFailed",
        "Failures",
        "MailsFailed",
        "MissedPayments",
        "OrdersToLookAt",
        "PaymentsChecked",
        "Refunds",
        "SettleConflicts",
        "StrandedOrders",
        "StripeKeyRefused",
        "SweptAccounts",
        "Uncovered",
        "Underheld",
    ];
    assert_eq!(names, BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn functions_with_an_alias_are_rolled_back_by_their_alarm() {
    let template = yaml(TEMPLATE);
    let (mut canaries, mut binaries) = (BTreeSet::new(), BTreeSet::new());
    for (name, function) in of_type(&template, FUNCTION) {
        let properties = &function["Properties"];
        let preference = &properties["DeploymentPreference"];
        if properties["AutoPublishAlias"].is_null() {
            assert!(preference.is_null(), "{name} has no alias to move");
            continue;
        }
        assert_eq!(properties["AutoPublishAlias"], "live", "{name}");
        assert!(properties["AutoPublishCodeSha256"].is_null(), "{name}: scripts/deploy adds it");
        assert_eq!(text(&preference["Type"]), "DeploymentPreference", "{name}");
        let canary = format!("{}Canary", name.strip_suffix("Function").unwrap());
        let Yaml::Tagged(alarms) = &preference["Alarms"] else { panic!("{name}") };
        // The alarms have the form `!If [condition, alarms, nothing]`.
        assert_eq!(alarms.value[0], "HasCanary", "{name}");
        let named: Vec<&str> = alarms.value[1].as_sequence().unwrap().iter().map(text).collect();
        assert_eq!(named, [canary.as_str(), "FailedRequests"], "{name}");

        let alarm = &template["Resources"][canary.as_str()];
        assert_eq!(alarm["Condition"], "HasCanary", "{canary}");
        let alias = format!("${{{name}}}:live");
        let mut fetched = BTreeSet::new();
        for metric in watched(alarm) {
            let dimensions: Vec<(&str, &str)> =
                metric.dimensions.iter().map(|(name, value)| (*name, text(value))).collect();
            let expected = [("FunctionName", name.as_str()), ("Resource", alias.as_str())];
            assert_eq!(dimensions, expected, "{canary}");
            fetched.insert(metric.name.to_owned());
        }
        let expected = ["Errors", "Invocations", "Throttles"].map(str::to_owned);
        assert_eq!(fetched, BTreeSet::from(expected), "{canary}");
        canaries.insert(canary);
        binaries.insert(function["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap());
    }
    let critical = [
        "balance",
        "chat",
        "chat_history",
        "chat_stream",
        "completions",
        "login",
        "messages",
        "register",
        "responses",
        "token_refresh",
    ];
    assert_eq!(binaries, BTreeSet::from(critical));
    for binary in critical {
        assert!(RELEASE.contains(&format!("`{binary}`")), "docs/operate/release.md lacks {binary}");
    }
    canaries.insert("FailedRequests".to_owned());
    assert_eq!(canaries, of_type(&template, ALARM).into_keys().collect());
}

/// Returns the alarms' runbooks, and the runbooks that have no alarm, each with its anchor.
fn runbooks() -> [Vec<(String, &'static str)>; 2] {
    let sections = |text: &'static str, mark: &str| {
        let anchor =
            |section: &str| section.lines().next().unwrap().to_lowercase().replace(' ', "-");
        text.split(mark).skip(1).map(|section| (anchor(section), section)).collect()
    };
    let (with, without) = RUNBOOKS.split_once("\n## Without an alarm\n").unwrap();
    [sections(with, "\n## "), sections(without, "\n### ")]
}

#[test]
fn every_runbook_says_what_to_look_at_and_do() {
    let [with, without] = runbooks();
    assert!(without.len() >= 6, "{without:?}");
    for (anchor, section) in with.into_iter().chain(without) {
        for part in ["**Means.** ", "**Look at.** ", "\n```\n", "**Do.**"] {
            assert!(section.contains(part), "{anchor} lacks {part}");
        }
    }
}

#[test]
fn every_alarm_has_a_runbook_and_every_runbook_an_alarm() {
    let [with, _] = runbooks();
    let mut described = BTreeMap::new();
    for (anchor, section) in with {
        let (_, names) = section.split_once("\nAlarms: ").expect("a list of alarms");
        let names = names.split("\n\n").next().unwrap();
        for name in names.split('`').skip(1).step_by(2) {
            let twice = described.insert(name.to_owned(), anchor.clone());
            assert_eq!(twice, None, "{name}");
        }
    }
    let mut known = BTreeMap::new();
    for source in [TEMPLATE, ALARMS] {
        let yaml = yaml(source);
        for (name, alarm) in of_type(&yaml, ALARM) {
            let description = alarm["Properties"]["AlarmDescription"].as_str().unwrap();
            let anchor = description.strip_prefix("docs/operate/runbooks.md#").unwrap();
            known.insert(name, anchor.to_owned());
        }
        for name in of_type(&yaml, "AWS::Budgets::Budget").into_keys() {
            known.insert(name, "budget".to_owned());
        }
    }
    assert_eq!(described, known);
}

/// Returns true if an alarm fires with these values of its metrics. The alarm's other metrics have
/// no samples.
fn fires(alarm: &Yaml, values: &[(&str, f64)]) -> bool {
    let properties = &alarm["Properties"];
    let metrics = properties["Metrics"].as_sequence().unwrap();
    for (id, _) in values {
        let metric = metrics.iter().find(|metric| metric["Id"] == *id);
        let metric = metric.unwrap_or_else(|| panic!("no metric {id}"));
        assert!(!metric["MetricStat"].is_null(), "{id}");
    }
    let sample = |metric: &Yaml| {
        let is_named = |(id, _): &&(&str, f64)| metric["Id"] == *id;
        values.iter().find(is_named).map(|(_, value)| *value)
    };
    let threshold = properties["Threshold"].as_f64().unwrap();
    assert_eq!(properties["ComparisonOperator"], "GreaterThanOrEqualToThreshold");
    metric_math::value(metrics, sample).is_some_and(|value| value >= threshold)
}

#[test]
fn the_failure_alarm_needs_a_minimum_count_and_share() {
    let template = yaml(TEMPLATE);
    let alarm = &template["Resources"]["FailedRequests"];
    let fires = |internal: f64, requests: f64| {
        fires(alarm, &[("internal", internal), ("requests", requests)])
    };
    assert!(!fires(2.0, 2.0), "two failures are too few to judge");
    assert!(fires(3.0, 3.0) && fires(3.0, 300.0));
    // A million users with five chats a day send 441 requests a second.
    assert!(!fires(3.0, 26_460.0) && !fires(264.0, 26_460.0) && fires(265.0, 26_460.0));
    let both = [("internal", 2.0), ("unavailable", 1.0), ("requests", 100.0)];
    assert!(self::fires(alarm, &both), "both codes count");
    assert!(!self::fires(alarm, &[("requests", 100.0)]));
}

#[test]
fn the_refund_alarm_needs_a_minimum_count_and_share() {
    let nested = yaml(ALARMS);
    let alarm = &nested["Resources"]["Refunds"];
    let fires =
        |refunds: f64, chats: f64| self::fires(alarm, &[("refunds", refunds), ("chats", chats)]);
    assert!(!fires(19.0, 0.0), "nineteen refunds are too few to judge");
    assert!(fires(20.0, 0.0) && fires(20.0, 380.0) && !fires(20.0, 381.0));
    assert!(!fires(400.0, 20_000.0) && fires(2_000.0, 20_000.0));
    assert!(self::fires(alarm, &[("refunds", 20.0)]), "no message is answered at all");
}

/// The health endpoint calls the store. In this test, nothing listens at the store's address.
#[tokio::test]
async fn the_failure_alarm_counts_failures_of_the_store() {
    let log = std::env::temp_dir().join(format!("farebox-{}.log", uuid::Uuid::new_v4()));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec \"$0\" >\"$1\""]).arg(binary("health")).arg(&log);
    let nowhere = [("DYNAMODB_ENDPOINT", "http://id:secret@127.0.0.1:1")];
    let mut health = Instance::start(command, "health", &nowhere).await;

    let template = yaml(TEMPLATE);
    let alarm = &template["Resources"]["FailedRequests"];
    // The number of failed requests that makes the alarm fire.
    let requests = 3;
    for _ in 0..requests {
        health.takes(&event("health", "/api/health", &[], &Value::Null));
        assert_eq!(health.answers().await.status, 503);
    }
    drop(health);
    let written = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();

    let lines: Vec<Value> =
        written.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sum = |metric: &Watched<'_>| -> u64 {
        let of_metric = |line: &&Value| {
            metric.dimensions.iter().all(|(name, value)| line[*name].as_str() == Some(text(value)))
        };
        lines.iter().filter(of_metric).filter_map(|line| line[metric.name].as_u64()).sum()
    };
    let own = watched(alarm).into_iter().filter(|metric| !metric.namespace.starts_with("AWS/"));
    assert_eq!(own.map(|metric| sum(&metric)).sum::<u64>(), requests, "{written}");
    assert!(fires(alarm, &[("unavailable", 3.0), ("requests", 3.0)]));
}
