//! The calls to AI models in the statistics: the census reads them from CloudWatch, and the local
//! server keeps them in memory.

use std::collections::BTreeSet;

use functions::background::census;
use reqwest::Client;
use serde_json::{Value, json};
use shared::app::CensusApp;
use shared::clock::Day;
use shared::telemetry::model_calls::{CallSource, CloudWatch};

use crate::endpoints::admin::administration::at_noon;
use crate::support::amazon::{Amazon, Asked, Does};
use crate::support::client::{Api, DAY, Person};
use crate::support::log;
use crate::support::program::{ADMIN_PASSWORD, Folder, RunningServer};

const LIST: &str = "GraniteServiceVersion20100801.ListMetrics";
const READ: &str = "GraniteServiceVersion20100801.GetMetricData";

/// The namespace of the metrics.
const STACK: &str = "farebox-prod";

/// How many days a census reads if none of them is stored.
const DAYS: usize = 4;

/// Returns a census that reads the metrics from a fake CloudWatch.
fn census_with(api: &Api, cloudwatch: &Amazon) -> CensusApp {
    let metrics = CloudWatch::new(&cloudwatch.config(), STACK.into());
    let app = api.server().apps["census"].clone();
    CensusApp { app, calls: CallSource::CloudWatch(metrics) }
}

/// Lists the metrics of these models, as CloudWatch does.
fn listed(models: &[String]) -> Value {
    let metric = |model: &String| {
        let dimensions = json!([{ "Name": "Model", "Value": model }]);
        json!({ "Namespace": STACK, "MetricName": "AiFailures", "Dimensions": dimensions })
    };
    json!({ "Metrics": models.iter().map(metric).collect::<Vec<_>>() })
}

/// Answers each query with the same values for all models, as CloudWatch does.
fn values(asked: &Asked, status: &str) -> Value {
    let of = |query: &Value| {
        let wanted = &query["MetricStat"];
        let name = wanted["Metric"]["MetricName"].as_str().unwrap();
        let value = match (name, wanted["Stat"].as_str().unwrap()) {
            ("AiFailures", "SampleCount") => json!(40.0),
            ("AiFailures", "Sum") => json!(3),
            ("AiFirstToken", "p50") => json!(410.4),
            ("AiFirstToken", "p95") => json!(1300.6),
            ("AiLatency", "p50") => json!(2800.0),
            ("AiLatency", "p95") => json!(9600.0),
            other => panic!("{other:?}"),
        };
        let times = json!([asked.body["StartTime"]]);
        json!({ "Id": query["Id"], "Timestamps": times, "Values": [value], "StatusCode": status })
    };
    let queries = asked.body["MetricDataQueries"].as_array().unwrap();
    json!({ "MetricDataResults": queries.iter().map(of).collect::<Vec<_>>(), "Messages": [] })
}

/// The calls that [`values`] reports for a model.
fn calls_to(model: &str) -> Value {
    json!({
        "model": model, "calls": 40, "failed": 3, "first_token_p50": 410, "first_token_p95": 1301,
        "answer_p50": 2800, "answer_p95": 9600,
    })
}

async fn cloudwatch(models: &'static [&'static str]) -> Amazon {
    let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
    let answer = move |asked: &Asked| match asked.target.as_str() {
        LIST => Does::Says(200, listed(&models)),
        READ => Does::Says(200, values(asked, "Complete")),
        other => panic!("{other}"),
    };
    Amazon::start("monitoring", answer).await
}

/// Returns the calls to models on a day in the statistics.
async fn shown(root: &Person, day: Day) -> Value {
    let figures = root.admin(&format!("figures?calls=true&from={day}&to={day}")).await.is(200);
    figures["days"][0]["calls"].clone()
}

#[tokio::test]
async fn a_census_stores_the_calls_of_each_day_once() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let today = Day::from_millis(api.server().clock.millis());
    let cloudwatch = cloudwatch(&["deep"]).await;
    let census = census_with(&api, &cloudwatch);
    census::work(census.clone()).await.unwrap();
    for asked in cloudwatch.asked() {
        let protocol = (asked.path.as_str(), asked.content_type.as_str());
        assert_eq!(protocol, ("/", "application/x-amz-json-1.0"));
    }
    let [list, read, ..] = &cloudwatch.asked()[..] else { panic!("{:?}", cloudwatch.asked()) };
    let model = json!([{ "Name": "Model" }]);
    assert_eq!(
        list.body,
        json!({ "Namespace": STACK, "MetricName": "AiFailures", "Dimensions": model })
    );
    let yesterday = today.before(1);
    assert_eq!(read.body["StartTime"], yesterday.begins() / 1000);
    assert_eq!(read.body["EndTime"], today.begins() / 1000);
    let metric = json!({
        "Namespace": STACK, "MetricName": "AiFailures",
        "Dimensions": [{ "Name": "Model", "Value": "deep" }],
    });
    let of_day = json!({ "Metric": metric, "Period": 86_400, "Stat": "SampleCount" });
    assert_eq!(read.body["MetricDataQueries"][0], json!({ "Id": "m0_0", "MetricStat": of_day }));

    assert_eq!(shown(&root, yesterday).await, json!([calls_to("deep")]));
    assert_eq!(shown(&root, today).await, json!([]), "today isn't over");
    let plain = root.admin(&format!("figures?from={yesterday}&to={yesterday}")).await.is(200);
    assert!(plain["days"][0].get("calls").is_none(), "only clients that ask get them");
    root.admin("figures?calls=yes").await.expect(400, "invalid_fields");

    assert_eq!(cloudwatch.times_asked(), 2 * DAYS);
    census::work(census.clone()).await.unwrap();
    assert_eq!(cloudwatch.times_asked(), 2 * DAYS, "the days are stored");
    api.server().clock.advance(DAY);
    census::work(census).await.unwrap();
    assert_eq!(cloudwatch.times_asked(), 2 * DAYS + 2, "one day is new");
}

#[tokio::test]
async fn days_are_read_an_hour_after_their_end() {
    let api = at_noon().await;
    let cloudwatch = cloudwatch(&["deep"]).await;
    let census = census_with(&api, &cloudwatch);
    let starts = || {
        let reads = cloudwatch.asked().into_iter().filter(|asked| asked.target == READ);
        reads.map(|asked| asked.body["StartTime"].as_u64().unwrap()).max().unwrap()
    };
    let today = Day::from_millis(api.server().clock.millis());
    api.server().clock.advance(DAY / 2);
    census::work(census.clone()).await.unwrap();
    assert_eq!(starts(), today.before(1).begins() / 1000, "just after midnight");
    api.server().clock.advance(DAY / 24);
    census::work(census).await.unwrap();
    assert_eq!(starts(), today.begins() / 1000);
}

#[tokio::test]
async fn a_census_does_not_need_cloudwatch() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let yesterday = Day::from_millis(api.server().clock.millis()).before(1);
    let denied = json!({ "__type": "AccessDenied", "message": "no" });
    let refuses = Amazon::start("monitoring", move |_| Does::Says(400, denied.clone())).await;
    let fails = |asked: &Asked| match asked.target.as_str() {
        LIST => Does::Says(200, listed(&["deep".to_owned()])),
        _ => Does::Says(200, values(asked, "InternalError")),
    };
    let broken = Amazon::start("monitoring", fails).await;
    for (unavailable, cause) in
        [(&refuses, "CloudWatch: AccessDenied: no"), (&broken, "CloudWatch: InternalError")]
    {
        log::clear();
        census::work(census_with(&api, unavailable)).await.unwrap();
        let log = log::text();
        assert!(log.contains("the calls to AI models are not stored yet"), "{log}");
        assert!(log.contains(cause), "{log}");
        assert_eq!(shown(&root, yesterday).await, json!([]));
    }
    assert!(root.admin("figures?accounts=true").await.is(200)["accounts"].is_object(), "counted");

    // The run on the next day reads the missing day, too.
    api.server().clock.advance(DAY);
    let root = root.elsewhere("a day later").await;
    let cloudwatch = cloudwatch(&["deep"]).await;
    census::work(census_with(&api, &cloudwatch)).await.unwrap();
    for day in [yesterday, yesterday.after(1)] {
        assert_eq!(shown(&root, day).await, json!([calls_to("deep")]));
    }
}

#[tokio::test]
async fn many_models_are_read_in_several_calls() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let yesterday = Day::from_millis(api.server().clock.millis()).before(1);
    let models: Vec<String> = (0..100).map(|number| format!("model-{number:02}")).collect();
    let pages = [models[..60].to_vec(), models[60..].to_vec()];
    let answer = move |asked: &Asked| match asked.target.as_str() {
        LIST if asked.body["NextToken"] == "more" => Does::Says(200, listed(&pages[1])),
        LIST => {
            let mut page = listed(&pages[0]);
            page["NextToken"] = json!("more");
            // Metrics of a provider and a model at once aren't the model's own.
            let dimensions = [("Model", "other"), ("Provider", "openai")]
                .map(|(name, value)| json!({ "Name": name, "Value": value }));
            let both = json!({ "MetricName": "AiFailures", "Dimensions": dimensions });
            page["Metrics"].as_array_mut().unwrap().push(both);
            Does::Says(200, page)
        }
        _ => Does::Says(200, values(asked, "Complete")),
    };
    let cloudwatch = Amazon::start("monitoring", answer).await;
    census::work(census_with(&api, &cloudwatch)).await.unwrap();
    let asked = cloudwatch.asked();
    let reads = asked.iter().filter(|asked| asked.target == READ);
    let counts: Vec<usize> =
        reads.map(|asked| asked.body["MetricDataQueries"].as_array().unwrap().len()).collect();
    assert!(counts.iter().all(|count| *count <= 500), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), DAYS * 6 * models.len());
    let shown = shown(&root, yesterday).await;
    let names = shown.as_array().unwrap().iter();
    let names: BTreeSet<&str> = names.map(|calls| calls["model"].as_str().unwrap()).collect();
    let expected: BTreeSet<&str> = models.iter().map(String::as_str).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn models_without_a_call_are_left_out() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let yesterday = Day::from_millis(api.server().clock.millis()).before(1);
    let answer = |asked: &Asked| match asked.target.as_str() {
        LIST => Does::Says(200, listed(&["deep".to_owned(), "idle".to_owned()])),
        _ => {
            let mut reply = values(asked, "Complete");
            for result in reply["MetricDataResults"].as_array_mut().unwrap() {
                let id = result["Id"].as_str().unwrap();
                // All calls to the first model failed, and the second model wasn't called.
                if !["m0_0", "m0_1"].contains(&id) {
                    result["Values"] = json!([]);
                }
            }
            Does::Says(200, reply)
        }
    };
    let cloudwatch = Amazon::start("monitoring", answer).await;
    census::work(census_with(&api, &cloudwatch)).await.unwrap();
    let failed = json!({
        "model": "deep", "calls": 40, "failed": 3, "first_token_p50": null,
        "first_token_p95": null, "answer_p50": null, "answer_p95": null,
    });
    assert_eq!(shown(&root, yesterday).await, json!([failed]));
}

#[tokio::test]
async fn the_local_server_shows_the_calls_of_its_own_run() {
    let folder = Folder::with_store();
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    let root = json!({ "username": "root", "password": ADMIN_PASSWORD });
    let access = server.post("/api/login", root).await.1["access"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        let message = json!({ "message": "hi", "token": access });
        assert_eq!(server.post("/api/chat", message).await.0, 200);
    }
    let figures = format!("{}/api/admin/figures/?calls=true", server.url);
    let figures = Client::new().get(figures).bearer_auth(&access).send().await.unwrap();
    let figures: Value = figures.json().await.unwrap();
    let calls = figures["days"].as_array().unwrap().iter();
    let calls: Vec<&Value> = calls.flat_map(|day| day["calls"].as_array().unwrap()).collect();
    let [calls] = calls[..] else { panic!("{figures}") };
    assert_eq!([&calls["model"], &calls["calls"]], [&json!("echo"), &json!(2)]);
    assert_eq!([&calls["failed"], &calls["first_token_p50"]], [&json!(0), &Value::Null]);
    assert!(calls["answer_p50"].is_u64() && calls["answer_p95"].is_u64(), "{calls}");
}
