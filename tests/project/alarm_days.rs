//! Simulated days of a deployment. The tests make up a day's metrics, and use them to evaluate
//! every alarm in `alarms.yaml` and `template.yaml` the way CloudWatch does
//! ([evaluation](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html)).

use std::collections::BTreeSet;

use serde_norway::Value as Yaml;

use crate::support::metric_math;

const FILES: [&str; 2] = [include_str!("../../alarms.yaml"), include_str!("../../template.yaml")];

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// The `ConcurrencyAlarm` parameter in the `prod` profile.
const CONCURRENCY: f64 = 800.0;

/// A query for a metric's value in the period that begins at this second of the day.
#[derive(Clone, Debug)]
struct Asked {
    name: String,
    /// The values of the dimensions.
    of: Vec<String>,
    statistic: String,
    period: u32,
    at: u32,
}

/// The metrics of a day. `None` means that nothing was recorded in the period.
type Metrics<'d> = dyn Fn(&Asked) -> Option<f64> + 'd;

/// A day with this many users, who each send five messages. Only the usual failures occur.
fn normal_day(users: f64) -> impl Fn(&Asked) -> Option<f64> {
    move |asked| {
        let Asked { name, of, statistic, period, at, .. } = asked;
        let share = f64::from(*period) / f64::from(DAY);
        let happens = |a_day: f64| {
            // Rare events occur only in some of the periods.
            let expected = a_day * share;
            if expected >= 1.0 {
                return expected.round();
            }
            let nth = (1.0 / expected.max(1e-9)).round();
            if (f64::from(at / period) % nth) == 0.0 { 1.0 } else { 0.0 }
        };
        let own = |a_day: f64| Some(happens(a_day)).filter(|count| *count > 0.0);
        let messages = 5.0 * users;
        match (name.as_str(), statistic.as_str()) {
            ("Chats", _) => own(messages),
            ("Refunds", _) => own(messages / 200.0),
            ("AiFailures", _) => own(messages).map(|_| 0.02),
            ("MailsFailed", _) => own(users / 10_000.0),
            // Anyone can send garbage to the webhook.
            ("SignaturesRefused", _) => Some(1000.0),
            ("Failures", _) => own(messages / 100_000.0),
            ("SweptAccounts" | "ErasedAccounts", "SampleCount") => Some(f64::from(period / 300)),
            ("PaymentsChecked", "SampleCount") => Some(f64::from(period / HOUR)),
            ("OrdersToLookAt", _) => Some(0.0),
            ("MissedPayments" | "Disputes", _) => Some(0.0),
            ("Duration", _) => own(messages).map(|_| 1200.0),
            ("ConcurrentExecutions", _) => {
                own(messages).map(|_| (messages * 4.0 / f64::from(DAY)).max(1.0))
            }
            ("IteratorAge", _) => own(users).map(|_| 800.0),
            ("Invocations", _) => own(messages),
            ("Count", _) => own(20.0 * users),
            ("Errors" | "Throttles", _) if of.iter().any(|of| of.contains("Function")) => Some(0.0),
            ("ReadThrottleEvents" | "WriteThrottleEvents", _) => None,
            ("ApproximateNumberOfMessagesVisible", _) => Some(0.0),
            _ => None,
        }
    }
}

/// Returns the names of the alarms that fire at any time on a day.
fn raised(day: &Metrics<'_>) -> BTreeSet<String> {
    let mut raised = BTreeSet::new();
    for file in FILES {
        let yaml = emulator::template::parse(file).unwrap();
        for (name, resource) in yaml["Resources"].as_mapping().unwrap() {
            if resource["Type"] == "AWS::CloudWatch::Alarm"
                && Alarm(&resource["Properties"]).fires(day)
            {
                raised.insert(name.as_str().unwrap().to_owned());
            }
        }
    }
    raised
}

/// The properties of an alarm.
struct Alarm<'y>(&'y Yaml);

impl Alarm<'_> {
    fn fires(&self, day: &Metrics<'_>) -> bool {
        let Self(yaml) = self;
        let period = self.period();
        let number = |name: &str| yaml[name].as_u64().unwrap();
        let (some, every) = (number("DatapointsToAlarm"), number("EvaluationPeriods"));
        let threshold = match &yaml["Threshold"] {
            Yaml::Tagged(parameter) => {
                assert_eq!(parameter.value, "ConcurrencyAlarm");
                CONCURRENCY
            }
            threshold => threshold.as_f64().unwrap(),
        };
        let missing = yaml["TreatMissingData"].as_str().unwrap();
        let breaches = |at: u32| match self.value(day, at) {
            Some(value) => Some(match yaml["ComparisonOperator"].as_str().unwrap() {
                "GreaterThanOrEqualToThreshold" => value >= threshold,
                "LessThanThreshold" => value < threshold,
                other => panic!("{other}"),
            }),
            None if missing == "ignore" => None,
            None => Some(missing == "breaching"),
        };
        let points: Vec<bool> = (0..DAY / period).filter_map(|n| breaches(n * period)).collect();
        let (some, every) = (usize::try_from(some).unwrap(), usize::try_from(every).unwrap());
        points
            .windows(every.min(points.len()).max(1))
            .any(|window| window.iter().filter(|breaches| **breaches).count() >= some)
    }

    fn period(&self) -> u32 {
        let Self(yaml) = self;
        let metrics = yaml["Metrics"].as_sequence().into_iter().flatten();
        let mut periods = metrics.filter_map(|metric| metric["MetricStat"]["Period"].as_u64());
        let period = yaml["Period"].as_u64().or_else(|| periods.next()).unwrap();
        assert!(periods.all(|other| other == period));
        u32::try_from(period).unwrap()
    }

    /// Returns the value that the alarm compares, in the period that begins at this second.
    fn value(&self, day: &Metrics<'_>, at: u32) -> Option<f64> {
        let Self(yaml) = self;
        let period = self.period();
        let asked = |metric: &Yaml, statistic: &Yaml| Asked {
            name: text(&metric["MetricName"]),
            of: metric["Dimensions"]
                .as_sequence()
                .into_iter()
                .flatten()
                .flat_map(|dimension| [text(&dimension["Name"]), text(&dimension["Value"])])
                .collect(),
            statistic: text(statistic),
            period,
            at,
        };
        let Some(metrics) = yaml["Metrics"].as_sequence() else {
            return day(&asked(yaml, &yaml["Statistic"]));
        };
        metric_math::value(metrics, |metric| {
            let of = &metric["MetricStat"];
            day(&asked(&of["Metric"], &of["Stat"]))
        })
    }
}

fn text(value: &Yaml) -> String {
    match value {
        Yaml::Tagged(tagged) => format!("{:?}", tagged.value),
        value => value.as_str().unwrap_or_default().to_owned(),
    }
}

/// Returns the alarms that fire on a normal day with a thousand users, except that `differs`
/// replaces some values.
fn raised_if(differs: impl Fn(&Asked) -> Option<Option<f64>>) -> Vec<String> {
    let normal = normal_day(1000.0);
    let day = |asked: &Asked| differs(asked).unwrap_or_else(|| normal(asked));
    raised(&day).into_iter().collect()
}

/// Replaces the value of a metric in the hour after noon.
fn at_noon(metric: &'static str, value: f64) -> impl Fn(&Asked) -> Option<Option<f64>> {
    move |asked| (asked.name == metric && asked.at / HOUR == 12).then_some(Some(value))
}

#[test]
fn a_normal_day_raises_no_alarm() {
    for users in [10.0, 1000.0, 1_000_000.0] {
        assert_eq!(raised(&normal_day(users)), BTreeSet::new(), "{users} users");
    }
}

#[test]
fn garbage_at_the_webhook_raises_no_alarm() {
    let flood = |asked: &Asked| match asked.name.as_str() {
        "SignaturesRefused" => Some(Some(1_000_000.0)),
        "Failures" if asked.of.iter().any(|code| code == "invalid_signature") => {
            Some(Some(1_000_000.0))
        }
        _ => None,
    };
    assert_eq!(raised_if(flood), [""; 0]);
}

#[test]
fn one_failure_of_money_raises_its_alarm() {
    assert_eq!(raised_if(at_noon("MissedPayments", 1.0)), ["MissedPayments"]);
    assert_eq!(raised_if(at_noon("StripeKeyRefused", 1.0)), ["StripeKeyRefused"]);
    assert_eq!(raised_if(at_noon("Disputes", 1.0)), ["Disputes"]);
    assert_eq!(raised_if(at_noon("OrdersToLookAt", 1.0)), ["OrdersToLookAt"]);
    assert_eq!(raised_if(at_noon("StrandedOrders", 1.0)), ["StrandedOrders"]);
    assert_eq!(raised_if(at_noon("Uncovered", 1.0)), ["Uncovered"]);
    assert_eq!(raised_if(at_noon("EventsFailed", 1.0)), ["PaymentErrors"]);
    assert_eq!(raised_if(at_noon("AuditDifferences", 1.0)), ["AuditDifferences"]);
}

#[test]
fn prices_above_the_holds_raise_their_alarm() {
    for (underheld, charged, raised) in [
        (10_000.0, 1_000_000.0, &["Underheld"][..]),
        (9_999.0, 1_000.0, &[]),
        (10_000.0, 1_000_001.0, &[]),
    ] {
        let metrics = move |asked: &Asked| match asked.name.as_str() {
            "Underheld" => Some(Some(underheld)),
            "Charged" => Some(Some(charged)),
            _ => None,
        };
        assert_eq!(raised_if(metrics), raised, "{underheld} of {charged}");
    }
}

#[test]
fn a_check_of_payments_that_stays_away_raises_its_alarm() {
    let away_for = |hours: u32| {
        move |asked: &Asked| {
            let is_away = (12..12 + hours).contains(&(asked.at / HOUR));
            (asked.name == "PaymentsChecked" && is_away).then_some(None)
        }
    };
    assert_eq!(raised_if(away_for(2)), [""; 0]);
    assert_eq!(raised_if(away_for(3)), ["PaymentsUnchecked"]);
}

#[test]
fn one_crash_of_a_function_for_payments_raises_its_alarm() {
    for function in ["stripe_webhook", "purchase_create", "payments_check"] {
        let reference = reference(function);
        let crashes = |asked: &Asked| {
            let is_it = asked.name == "Errors" && asked.of.contains(&reference);
            (is_it && asked.at == 12 * HOUR).then_some(Some(1.0))
        };
        assert_eq!(raised_if(crashes), ["PaymentErrors"], "{function}");
    }
}

/// Returns the expression by which `alarms.yaml` refers to a function: the function's index in a
/// list that `template.yaml` passes.
fn reference(function: &str) -> String {
    let template = emulator::template::parse(FILES[1]).unwrap();
    let resources = template["Resources"].as_mapping().unwrap();
    let is_it = |resource: &Yaml| resource["Metadata"]["BuildProperties"]["Binary"] == function;
    let (id, _) = resources.iter().find(|(_, resource)| is_it(resource)).unwrap();
    let parameters = template["Resources"]["AlarmStack"]["Properties"]["Parameters"].as_mapping();
    for (list, functions) in parameters.unwrap() {
        let Yaml::Tagged(join) = functions else { continue };
        let Some(functions) = join.value.get(1).and_then(Yaml::as_sequence) else { continue };
        let place = functions.iter().position(|each| text(each) == text(&tagged(id)));
        if let Some(place) = place
            && list != "QuickFunctions"
        {
            return format!("{:?}", select(place, list));
        }
    }
    panic!("no list has {function}");
}

/// A `!Ref` to a resource.
fn tagged(id: &Yaml) -> Yaml {
    serde_norway::from_str(&format!("!Ref {}", id.as_str().unwrap())).unwrap()
}

/// The value of `!Select [place, !Ref list]`.
fn select(place: usize, list: &Yaml) -> Yaml {
    let text = format!("[{place}, !Ref {}]", list.as_str().unwrap());
    serde_norway::from_str(&text).unwrap()
}
