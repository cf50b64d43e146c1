//! Reads a day's calls to AI models from CloudWatch. Only the `census` function uses this module.
//!
//! CloudWatch accepts [awsJson1_0](https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html)
//! beside its older protocol
//! ([announcement](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-protocols-faq.html)).

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::aws::{self, Call, JsonApi, SdkConfig, Service};
use crate::clock::Day;
use crate::telemetry::metrics::Metric;
use crate::values::ModelCalls;

/// Amazon CloudWatch
/// ([reference](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/Welcome.html)).
const CLOUDWATCH: Service = Service { host: "monitoring", name: "monitoring" };

const LIST_METRICS: &str = "GraniteServiceVersion20100801.ListMetrics";
const GET_METRIC_DATA: &str = "GraniteServiceVersion20100801.GetMetricData";

/// The dimension whose values are the models' names.
const MODEL: &str = "Model";

/// The length of a day in seconds.
const PERIOD: u64 = 86_400;

/// The statistics of each model, in the order in which they are requested.
const STATISTICS: &[(Metric, &str)] = &[
    (Metric::AiFailures, "SampleCount"),
    (Metric::AiFailures, "Sum"),
    (Metric::AiFirstToken, "p50"),
    (Metric::AiFirstToken, "p95"),
    (Metric::AiLatency, "p50"),
    (Metric::AiLatency, "p95"),
];

/// How many metrics one call of `GetMetricData` may request
/// ([quotas](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html)).
const QUERIES: usize = 500;

/// How many models one call of `GetMetricData` covers.
const MODELS: usize = QUERIES / STATISTICS.len();

/// The metrics of a stack's functions. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct CloudWatch {
    client: JsonApi,
    /// The metrics' namespace.
    namespace: String,
}

// The documentation of `crate::mail` explains why these functions are inlined.
impl CloudWatch {
    /// Creates a client for the metrics in this namespace.
    #[inline]
    pub fn new(aws: &SdkConfig, namespace: String) -> Self {
        Self { client: JsonApi::new(&CLOUDWATCH, aws), namespace }
    }

    /// Returns the figures of the calls to each model on this day. A day is complete a few minutes
    /// after its end, because CloudWatch reads the functions' log first.
    ///
    /// # Errors
    /// Returns the cause for the log if CloudWatch refuses a call or doesn't answer.
    #[inline]
    pub async fn calls_on(&self, day: Day) -> Result<Vec<ModelCalls>, String> {
        let models: Vec<String> = self.models().await?.into_iter().collect();
        let mut calls = Vec::new();
        for some in models.chunks(MODELS) {
            calls.extend(self.calls_to(some, day).await?);
        }
        ModelCalls::sort(&mut calls);
        Ok(calls)
    }

    /// Returns the models that were called in the last two weeks
    /// ([`ListMetrics`](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html)).
    /// The price list may no longer name some of them.
    #[inline]
    async fn models(&self) -> Result<BTreeSet<String>, String> {
        let (mut models, mut page) = (BTreeSet::new(), None);
        loop {
            let asked = json!({
                "Namespace": self.namespace,
                "MetricName": Metric::AiFailures.name(),
                "Dimensions": [{ "Name": MODEL }],
            });
            let listed: ListedMetrics = self.ask(LIST_METRICS, asked, page).await?;
            models.extend(listed.metrics.into_iter().filter_map(ListedMetric::model));
            page = listed.next_token;
            if page.is_none() {
                return Ok(models);
            }
        }
    }

    /// Returns the figures of the calls to these models
    /// ([`GetMetricData`](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html)).
    /// Leaves out models without a call.
    #[inline]
    async fn calls_to(&self, models: &[String], day: Day) -> Result<Vec<ModelCalls>, String> {
        let queries: Vec<Value> = models
            .iter()
            .enumerate()
            .flat_map(|(model, name)| {
                let query = move |(number, (metric, statistic)): (usize, &(Metric, &str))| {
                    let metric = json!({
                        "Namespace": self.namespace,
                        "MetricName": metric.name(),
                        "Dimensions": [{ "Name": MODEL, "Value": name }],
                    });
                    let of_day = json!({ "Metric": metric, "Period": PERIOD, "Stat": statistic });
                    json!({ "Id": id(model, number), "MetricStat": of_day })
                };
                STATISTICS.iter().enumerate().map(query)
            })
            .collect();
        let (mut found, mut page) = (HashMap::new(), None);
        loop {
            let asked = json!({
                "StartTime": day.begins() / 1000,
                "EndTime": day.after(1).begins() / 1000,
                "MetricDataQueries": queries,
            });
            let read: MetricData = self.ask(GET_METRIC_DATA, asked, page).await?;
            for MetricResult { id, values, status_code } in read.metric_data_results {
                if let "InternalError" | "Forbidden" = status_code.as_str() {
                    return Err(format!("CloudWatch: {status_code}"));
                }
                found.extend(values.first().map(|value| (id, *value)));
            }
            page = read.next_token;
            if page.is_none() {
                break;
            }
        }
        let calls = models.iter().enumerate().filter_map(|(model, name)| {
            let number = |number: usize| whole(*found.get(&id(model, number))?);
            Some(ModelCalls {
                model: name.clone(),
                calls: number(0).filter(|calls| *calls > 0)?,
                failed: number(1).unwrap_or(0),
                first_token_p50: number(2),
                first_token_p95: number(3),
                answer_p50: number(4),
                answer_p95: number(5),
            })
        });
        Ok(calls.collect())
    }

    /// Calls an operation, for the page with this token.
    #[inline]
    async fn ask<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        mut asked: Value,
        page: Option<String>,
    ) -> Result<T, String> {
        if let (Some(token), Some(fields)) = (page, asked.as_object_mut()) {
            fields.insert("NextToken".to_owned(), Value::from(token));
        }
        let reply = self.client.call(Call::rpc_1_0(operation, asked.to_string())).await;
        let reply = reply.map_err(|error| format!("CloudWatch: {}", aws::cause(&error)))?;
        serde_json::from_slice(&reply).map_err(|error| format!("CloudWatch: {error}"))
    }
}

/// Returns the id of a query for a statistic of a model. Both are numbered from 0.
#[inline]
fn id(model: usize, statistic: usize) -> String {
    format!("m{model}_{statistic}")
}

/// Rounds a statistic. `None` if it is negative or not a number.
#[inline]
fn whole(value: f64) -> Option<u64> {
    (0.0..9e15).contains(&value).then_some(value.round() as u64)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMetrics {
    #[serde(default)]
    metrics: Vec<ListedMetric>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMetric {
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

impl ListedMetric {
    /// Returns the model, if it is the metric's only dimension.
    fn model(mut self) -> Option<String> {
        let dimension = self.dimensions.pop().filter(|_| self.dimensions.is_empty())?;
        (dimension.name == MODEL).then_some(dimension.value)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricData {
    #[serde(default)]
    metric_data_results: Vec<MetricResult>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricResult {
    id: String,
    /// The value of the day. Empty if nothing was recorded.
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    status_code: String,
}
