//! The parts of `template.yaml` and `alarms.yaml` that cost money or set a limit.

use std::collections::HashMap;
use std::ops::Add;

use serde_norway::Value;

use super::assumptions::{DAYS_PER_MONTH, INSTANCES};
use emulator::template::{TEXT, Template, parse};
use functions::lambda::Trigger;
use functions::{ENDPOINTS, background};

const ALARMS: &str = include_str!("../../../alarms.yaml");

const PROFILES: &str = include_str!("../../../samconfig.toml");

/// The stack that the template creates. The numbers come from the `prod` profile, or else from the
/// parameters' defaults.
#[derive(Debug)]
pub struct Stack {
    functions: HashMap<String, Deployed>,
    /// The AWS account's quota of function instances.
    pub quota: f64,
    /// The number of secrets.
    pub secrets: f64,
    /// How many metrics the alarms read.
    pub alarms: f64,
    /// The number of dashboards.
    pub dashboards: f64,
    /// How many times the schedules invoke each function in a month.
    pub scheduled: Vec<(String, f64)>,
    /// True if the gateway publishes metrics for each method.
    pub metrics_per_method: bool,
    /// True if X-Ray records requests and scheduled runs.
    pub recorded_by_x_ray: bool,
    /// The rate limits in requests per second, by method and path. The limit for `*` applies to all
    /// other methods and paths.
    rates: HashMap<(String, String), f64>,
}

/// A function in the stack.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// The function's memory in MB.
    pub memory: f64,
    /// The function's time-out in seconds.
    pub timeout: f64,
    /// True if the function asks the AI for a caller.
    pub asks_ai: bool,
    /// The maximum number of seconds that the function waits for the AI. `None` if the function
    /// doesn't call the AI.
    pub asks_for: Option<f64>,
    /// How many chats an account may begin per minute.
    pub chats_per_minute: f64,
    /// The reserved instances. `None` if no instances are reserved.
    pub reserved: Option<Reservation>,
    /// The maximum number of model tokens in an answer, for models without a maximum in the price
    /// list. Zero if the function doesn't call the AI.
    pub longest_answer: u32,
}

/// The instances reserved for a function. Their number is also the function's limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// The name of the template parameter.
    pub parameter: String,
    /// The number of instances.
    pub instances: f64,
}

impl Deployed {
    /// Returns the share of a processor that Lambda gives the function.
    pub fn processors(&self) -> f64 {
        (self.memory / 1769.0).min(1.0)
    }
}

impl Stack {
    /// Reads the stack from the compiled-in `template.yaml` and `alarms.yaml`, in an account with
    /// the usual quota.
    ///
    /// # Errors
    /// Fails with an error message that names the part of the template that can't be read.
    pub fn load() -> Result<Self, String> {
        Self::read(TEXT, ALARMS)
    }

    /// Reads the stack from the content of `template.yaml` and `alarms.yaml`, in an account with
    /// the usual quota.
    ///
    /// # Errors
    /// Fails with an error message that names the part of the template that can't be read.
    pub fn read(template: &str, alarms: &str) -> Result<Self, String> {
        let document = parse(template).map_err(|error| format!("template.yaml: {error}"))?;
        let watching = parse(alarms).map_err(|error| format!("alarms.yaml: {error}"))?;
        let resources = document
            .get("Resources")
            .and_then(Value::as_mapping)
            .ok_or("template.yaml has no resources")?;
        let of = |kind: &'static str| {
            let nested = watching.get("Resources").and_then(Value::as_mapping);
            resources
                .values()
                .chain(nested.into_iter().flat_map(|resources| resources.values()))
                .filter(move |resource| text(resource, &["Type"]) == Some(kind))
                .filter_map(|resource| resource.get("Properties"))
        };
        // The sum of an empty iterator of floats is -0, so these sums start from 0.
        let alarms = of("AWS::CloudWatch::Alarm").map(metrics).fold(0.0, f64::add);
        let dashboards = of("AWS::CloudWatch::Dashboard").map(|_| 1.0).fold(0.0, f64::add);
        let secrets = of("AWS::SecretsManager::Secret").map(|_| 1.0).fold(0.0, f64::add);
        let parameter = |name: &str| {
            of_prod(name)
                .or_else(|| number(&document, &["Parameters", name, "Default"]))
                .ok_or_else(|| format!("template.yaml: the default of {name} is not a number"))
        };

        let usual = number(&document, &["Globals", "Function", "MemorySize"])
            .ok_or("template.yaml states no MemorySize")?;
        let endpoints = ENDPOINTS.iter().map(|endpoint| (endpoint.name, endpoint.lambda));
        let background = background::FUNCTIONS.iter().map(|each| (each.name, each.lambda));
        let (mut lambdas, mut scheduled) = (HashMap::new(), Vec::new());
        for (name, lambda) in endpoints.chain(background) {
            lambdas.insert(name, lambda);
            if let Some(Trigger::Schedule(schedule)) = lambda.trigger {
                let runs = DAYS_PER_MONTH * 86_400.0 / schedule.interval().as_secs_f64();
                scheduled.push((name.to_owned(), runs));
            }
        }
        let reserving: HashMap<&str, &str> = resources.values().filter_map(reservation).collect();
        let mut functions = HashMap::new();
        for function in &Template::read(document.clone(), &[])?.functions {
            let setting = |name: &str| {
                function.environment.get(name).and_then(|value| value.parse::<f64>().ok())
            };
            let name = function.name.as_str();
            let lambda = lambdas.get(name).ok_or_else(|| format!("{name} has no row"))?;
            let reserved = match reserving.get(name) {
                Some(named) => Some(Reservation {
                    parameter: (*named).to_owned(),
                    instances: parameter(named)?,
                }),
                None => None,
            };
            let reserved = reserved.filter(|reserved| reserved.instances > 0.0);
            let asks_for = setting("AI_TIMEOUT_SECONDS");
            let longest = function.environment.get("AI_MAX_TOKENS").filter(|_| asks_for.is_some());
            let deployed = Deployed {
                memory: lambda.memory.map_or(usual, f64::from),
                timeout: f64::from(u32::try_from(function.timeout).unwrap_or(u32::MAX)),
                asks_ai: lambda.asks_ai,
                asks_for,
                chats_per_minute: setting("CHATS_PER_MINUTE").unwrap_or_default(),
                reserved,
                longest_answer: longest.and_then(|value| value.parse().ok()).unwrap_or_default(),
            };
            functions.insert(name.to_owned(), deployed);
        }

        let methods: Vec<&Value> = of("AWS::Serverless::Api")
            .filter_map(|api| api.get("MethodSettings")?.as_sequence())
            .flatten()
            .collect();
        let metrics_per_method = methods.iter().any(|settings| {
            settings.get("MetricsEnabled").and_then(Value::as_bool).unwrap_or_default()
        });
        let mut rates = HashMap::new();
        for settings in methods {
            let (Some(method), Some(path), Some(rate)) = (
                text(settings, &["HttpMethod"]),
                text(settings, &["ResourcePath"]),
                settings.get("ThrottlingRateLimit"),
            ) else {
                continue;
            };
            let rate = match rate {
                Value::Tagged(named) => parameter(named.value.as_str().unwrap_or_default())?,
                stated => stated.as_f64().ok_or("template.yaml has a rate that is not a number")?,
            };
            // In the template's method settings, the path /api/login is written as "/~1api~1login".
            let path = path.strip_prefix('/').unwrap_or(path).replace("~1", "/");
            rates.insert((method.to_owned(), path), rate);
        }
        let recorded_by_x_ray =
            text(&document, &["Parameters", "XRay", "Default"]) == Some("Active");
        Ok(Self {
            functions,
            quota: INSTANCES,
            secrets,
            alarms,
            dashboards,
            scheduled,
            metrics_per_method,
            recorded_by_x_ray,
            rates,
        })
    }

    /// Returns the function with this binary.
    ///
    /// # Errors
    /// Fails with an error message if the template has no such function.
    pub fn function(&self, name: &str) -> Result<&Deployed, String> {
        self.functions.get(name).ok_or_else(|| format!("template.yaml has no function {name}"))
    }

    /// Returns how many functions reserve the number of instances in this parameter.
    pub fn functions_reserving(&self, parameter: &str) -> f64 {
        let of_it = self.reservations().filter(|reserved| reserved.parameter == parameter);
        of_it.map(|_| 1.0).fold(0.0, f64::add)
    }

    /// Returns how many instances all functions reserve together.
    pub fn reserved_instances(&self) -> f64 {
        self.reservations().map(|reserved| reserved.instances).fold(0.0, f64::add)
    }

    fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.functions.values().filter_map(|function| function.reserved.as_ref())
    }

    /// Returns how many requests per second the gateway accepts for this method and path.
    pub fn rate(&self, method: &str, path: &str) -> f64 {
        let key = |method: &str, path: &str| (method.to_owned(), path.to_owned());
        let own = self.rates.get(&key(method, path));
        own.or_else(|| self.rates.get(&key("*", "*"))).copied().unwrap_or(f64::INFINITY)
    }
}

/// Returns the number to which the `prod` profile sets a parameter.
fn of_prod(parameter: &str) -> Option<f64> {
    let prod = PROFILES.split("\n[").find(|section| section.starts_with("prod."))?;
    let (_, given) = prod.split_once(&format!("\"{parameter}="))?;
    given.split('"').next()?.parse().ok()
}

/// Returns a function's binary, and the parameter that contains the number of its reserved
/// instances. `None` if the resource reserves none.
fn reservation(resource: &Value) -> Option<(&str, &str)> {
    let binary = text(resource, &["Metadata", "BuildProperties", "Binary"])?;
    // !If [HasAskConcurrency, !Ref AskConcurrency, !Ref AWS::NoValue]
    let Value::Tagged(choice) = path(resource, &["Properties", "ReservedConcurrentExecutions"])?
    else {
        return None;
    };
    let Value::Tagged(reference) = choice.value.get(1)? else { return None };
    Some((binary, reference.value.as_str()?))
}

fn path<'v>(value: &'v Value, keys: &[&str]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| value.get(*key))
}

fn text<'v>(value: &'v Value, keys: &[&str]) -> Option<&'v str> {
    path(value, keys)?.as_str()
}

fn number(value: &Value, keys: &[&str]) -> Option<f64> {
    path(value, keys)?.as_f64()
}

/// Returns the number of metrics that an alarm reads. For each metric, AWS charges the price of an
/// alarm on one metric.
fn metrics(alarm: &Value) -> f64 {
    let queries = alarm.get("Metrics").and_then(Value::as_sequence).into_iter().flatten();
    queries.filter(|query| query.get("MetricStat").is_some()).map(|_| 1.0).sum::<f64>().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimated_stack_matches_the_template() {
        let stack = Stack::load().unwrap();
        assert_eq!(stack.function("chat").unwrap().memory, 256.0);
        assert_eq!(stack.function("chat").unwrap().asks_for, Some(20.0));
        assert_eq!(stack.function("chat").unwrap().longest_answer, 1024);
        assert_eq!(stack.function("chat_stream").unwrap().asks_for, Some(100.0));
        assert_eq!(stack.function("messages").unwrap().asks_for, Some(580.0));
        assert_eq!(stack.function("login").unwrap().memory, 1769.0);
        assert_eq!(stack.function("balance").unwrap().asks_for, None);
        let reserved = |function| {
            let reserved = stack.function(function).unwrap().reserved.as_ref()?;
            Some((reserved.parameter.as_str(), reserved.instances))
        };
        let in_prod = |parameter| Some((parameter, of_prod(parameter).unwrap()));
        assert_eq!(reserved("chat_stream"), in_prod("AskConcurrency"));
        assert_eq!(reserved("conversation_title"), in_prod("AskConcurrency"));
        assert_eq!(reserved("messages"), in_prod("ProgramConcurrency"));
        assert_eq!(reserved("login"), in_prod("HashConcurrency"));
        assert_eq!(reserved("balance"), None);
        assert!(stack.secrets >= 1.0);
        assert!(stack.scheduled.contains(&("sweep".into(), 8640.0)), "{:?}", stack.scheduled);
        assert!(stack.rate("POST", "/api/login") < stack.rate("POST", "/api/chat"));
        assert!(stack.rate("POST", "/api/chat").is_finite());
    }

    #[test]
    fn alarms_cost_as_much_as_the_metrics_they_read() {
        let alarm = |text| metrics(&serde_norway::from_str(text).unwrap());
        assert_eq!(alarm("MetricName: Errors"), 1.0);
        let two = "Metrics: [{Expression: a + b}, {MetricStat: {}}, {MetricStat: {}}]";
        assert_eq!(alarm(two), 2.0);
    }
}
