//! Generates `alarms.yaml`, which contains the alarms and the dashboard, and the list of alarms in
//! docs/operate/runbooks.md. The table below lists every alarm. Groups of functions, tables and
//! indexes come from `template.yaml`.

use crate::Failure;
use crate::files::Files;
use crate::functions::Function;
use crate::groups::Group;
use crate::tables::Table;

use self::Urgency::{Now, ThisWeek, Today};

/// A CloudWatch alarm.
struct Alarm {
    name: String,
    /// The name in the list of alarms, if one row represents several alarms.
    listed_as: Option<&'static str>,
    urgency: Urgency,
    /// The comment above the alarm.
    about: &'static str,
    /// The section in docs/operate/runbooks.md that says what to do.
    runbook: &'static str,
    watches: Watches,
    breaks: &'static str,
    threshold: &'static str,
    /// `(some, all)`: the alarm fires if `some` of the last `all` periods breach the threshold.
    periods: (u32, u32),
    /// How the alarm treats periods without data.
    missing: &'static str,
}

/// How soon a person must respond to an alarm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// Many users get failures, or will get them soon.
    Now,
    /// Work is late, or a few users are affected. Nothing is lost because of the delay.
    Today,
    /// A person must make a decision within a few days.
    ThisWeek,
}

impl Urgency {
    fn words(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Today => "today",
            Self::ThisWeek => "this week",
        }
    }
}

/// The value that an alarm compares with its threshold.
enum Watches {
    One(Metric),
    /// The value of an expression over several metrics, each with its id.
    Several {
        id: &'static str,
        expression: String,
        metrics: Vec<(String, Metric)>,
    },
}

/// A metric and the statistic that is computed for each period.
struct Metric {
    namespace: &'static str,
    name: &'static str,
    dimensions: Vec<(&'static str, String)>,
    statistic: &'static str,
    /// The length of a period in seconds.
    period: u32,
}

const AT_LEAST: &str = "GreaterThanOrEqualToThreshold";
const BELOW: &str = "LessThanThreshold";
const FIVE_MINUTES: u32 = 300;
const HOUR: u32 = 3600;

/// The namespace of the functions' own metrics.
const OWN: &str = "!Ref Stack";

/// The AI providers that can fail, by their names in `AI_PROVIDER`.
const PROVIDERS: [&str; 4] = ["openai", "openai2", "anthropic", "bedrock"];

const RUNBOOKS: &str = "docs/operate/runbooks.md";

/// The alarms that are missing from the table below, as [`list`] shows them: `template.yaml`
/// contains the alarms for canaries and for failed requests, and [`BUDGET`] isn't a CloudWatch
/// alarm.
const ELSEWHERE: [(&str, &str, Urgency); 3] = [
    ("…Canary", "canaries", Today),
    ("FailedRequests", "failed-requests", Now),
    ("Budget", "budget", Today),
];

impl Alarm {
    /// Creates an alarm with this threshold, for a single period.
    fn at_threshold(
        threshold: &'static str,
        name: &str,
        runbook: &'static str,
        urgency: Urgency,
        watches: Watches,
    ) -> Self {
        Self {
            name: name.to_owned(),
            listed_as: None,
            urgency,
            about: "",
            runbook,
            watches,
            breaks: AT_LEAST,
            threshold,
            periods: (1, 1),
            missing: "notBreaching",
        }
    }

    fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Lists the alarm under this name, together with other alarms that have the same name.
    fn listed_as(self, name: &'static str) -> Self {
        Self { listed_as: Some(name), ..self }
    }

    /// Sets how many of the last `all` periods must breach the threshold.
    fn for_periods(self, some: u32, all: u32) -> Self {
        Self { periods: (some, all), ..self }
    }

    fn missing(self, missing: &'static str) -> Self {
        Self { missing, ..self }
    }

    /// Returns the number of metrics that the alarm reads.
    fn metrics(&self) -> usize {
        match &self.watches {
            Watches::One(_) => 1,
            Watches::Several { metrics, .. } => metrics.len(),
        }
    }
}

impl Metric {
    fn sum(namespace: &'static str, name: &'static str) -> Self {
        Self { namespace, name, dimensions: Vec::new(), statistic: "Sum", period: FIVE_MINUTES }
    }

    fn dimension(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.dimensions.push((name, value.into()));
        self
    }

    fn statistic(self, statistic: &'static str) -> Self {
        Self { statistic, ..self }
    }

    fn every(self, period: u32) -> Self {
        Self { period, ..self }
    }
}

/// The maximum number of metrics that an alarm may read
/// ([limit](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-data-queries.html)).
const METRICS: usize = 10;

/// Applies a function, such as the sum, to metrics with the ids `x0`, `x1` and so on.
fn all(id: &'static str, function: &str, metrics: Vec<(String, Metric)>) -> Watches {
    let ids: Vec<&str> = metrics.iter().map(|(id, _)| id.as_str()).collect();
    Watches::Several { id, expression: format!("{function}([{}])", ids.join(", ")), metrics }
}

/// Returns every alarm, in the order in which the dashboard shows them.
fn alarms(
    functions: &[Function],
    tables: &[Table],
    groups: &[Group],
) -> Result<Vec<Alarm>, Failure> {
    let mut alarms = Vec::new();
    let watched = || groups.iter().filter_map(|group| Some((group, group.alarms.as_ref()?)));
    let of_functions = |group: &Group, letter: &str, metric: fn() -> Metric| {
        let metrics = group.functions.iter().enumerate().map(|(index, _)| {
            let name = format!("!Select [{index}, !Ref {}]", group.parameter);
            (format!("{letter}{index}"), metric().dimension("FunctionName", name))
        });
        metrics.collect::<Vec<_>>()
    };
    for (index, (group, name)) in watched().enumerate() {
        let errors = of_functions(group, "e", || Metric::sum("AWS/Lambda", "Errors"));
        let (errors, name) = (all("errors", "SUM", errors), format!("ErrorsOf{name}"));
        alarms.push(match index {
            _ if group.is_background() => {
                Alarm::at_threshold("1", &name, "errors-of-background-work", Today, errors)
                    .for_periods(2, 3)
                    .about("These functions run every five minutes, so two failures in three runs aren't a coincidence.")
            }
            0 => Alarm::at_threshold("3", &name, "errors", Now, errors)
                .listed_as("ErrorsOf…")
                .about("Invocations that crashed, timed out or couldn't start. Error responses that a function sends itself don't count."),
            _ => Alarm::at_threshold("3", &name, "errors", Now, errors).listed_as("ErrorsOf…"),
        });
    }
    for (index, (group, name)) in watched().enumerate() {
        let throttles = of_functions(group, "t", || Metric::sum("AWS/Lambda", "Throttles"));
        let (throttles, name) = (all("throttles", "SUM", throttles), format!("ThrottlesOf{name}"));
        alarms.push(match index {
            _ if group.is_background() => {
                Alarm::at_threshold("1", &name, "throttles", Today, throttles).for_periods(2, 3)
            }
            0 => Alarm::at_threshold("10", &name, "throttles", Now, throttles)
                .listed_as("ThrottlesOf…")
                .about("Requests that Lambda refused because the function's or the account's concurrency was used up."),
            _ => Alarm::at_threshold("10", &name, "throttles", Now, throttles)
                .listed_as("ThrottlesOf…"),
        });
    }

    let group = |parameter: &str| {
        let group = groups.iter().find(|group| group.parameter == parameter);
        group.ok_or_else(|| format!("there is no group {parameter}"))
    };
    let duration = || Metric::sum("AWS/Lambda", "Duration").statistic("p99");
    let slow = all("milliseconds", "MAX", of_functions(group("QuickFunctions")?, "d", duration));
    alarms.push(
        Alarm::at_threshold("3000", "SlowAnswers", "slow-answers", Today, slow)
            .for_periods(3, 3)
            .about("The response time of the slowest 1 % of requests, for the slowest function."),
    );
    let (mut asking, mut shares) = (Vec::new(), Vec::new());
    for Function { name, lambda, .. } in functions.iter().filter(|each| each.lambda.asks_ai) {
        let reference = Group::any_reference(groups, name)?;
        asking.push(((*name).to_owned(), duration().dimension("FunctionName", reference)));
        let timeout = lambda.timeout.ok_or_else(|| format!("{name} has no time-out of its own"))?;
        // The duration is in milliseconds, and the result is in per cent.
        shares.push(format!("{name} / {}", timeout * 10));
    }
    let slow = Watches::Several {
        id: "percent",
        expression: format!("MAX([{}])", shares.join(", ")),
        metrics: asking,
    };
    alarms.push(
        Alarm::at_threshold("90", "SlowChats", "slow-chats", Today, slow).for_periods(3, 3).about(
            "The slowest answers by the functions that call the AI, as a percentage of their time-outs.",
        ),
    );
    let running = Metric::sum("AWS/Lambda", "ConcurrentExecutions").statistic("Maximum").every(60);
    alarms.push(
        Alarm::at_threshold(
            "!Ref ConcurrencyAlarm",
            "Concurrency",
            "concurrency",
            Now,
            Watches::One(running),
        )
        .for_periods(3, 5)
        .about(
            "All functions in the account and region share the quota, including those of other stacks.",
        ),
    );
    let mail = group("BackgroundFunctions")?.reference("mail")?;
    let age = Metric::sum("AWS/Lambda", "IteratorAge")
        .statistic("Maximum")
        .dimension("FunctionName", mail);
    alarms.push(
        Alarm::at_threshold("900000", "MailIsLate", "late-mail", Today, Watches::One(age)).about(
            "The age of the oldest e-mail that the `mail` function received, in milliseconds.",
        ),
    );
    let runs = |name| Metric::sum(OWN, name).statistic("SampleCount");
    let runs = Watches::Several {
        id: "runs",
        expression: "MIN([FILL(sweeps, 0), FILL(erasures, 0)])".into(),
        metrics: vec![
            ("sweeps".into(), runs("SweptAccounts")),
            ("erasures".into(), runs("ErasedAccounts")),
        ],
    };
    let stopped =
        Alarm::at_threshold("1", "BackgroundStopped", "background-work-stopped", Today, runs);
    alarms.push(
        Alarm { breaks: BELOW, ..stopped }.for_periods(3, 3).missing("breaching").about(
            "No successful run of `sweep` or `erase` for 15 minutes. Both are scheduled every five minutes, and each success is recorded as a sample.",
        ),
    );
    alarms.extend(throttled(tables));
    alarms.push(
        Alarm::at_threshold(
            "5",
            "Refunds",
            "refunds",
            Now,
            Watches::Several {
                id: "percent",
                expression: "IF(refunds >= 20, 100 * refunds / SUM([refunds, chats]), 0)".into(),
                metrics: vec![
                    ("refunds".into(), Metric::sum(OWN, "Refunds")),
                    ("chats".into(), Metric::sum(OWN, "Chats")),
                ],
            },
        )
        .about("The percentage of messages whose tokens were refunded because the AI failed or answered too late. It is zero if there are fewer than twenty refunds."),
    );
    let failures = PROVIDERS.map(|provider| {
        let metric =
            Metric::sum(OWN, "AiFailures").statistic("Average").dimension("Provider", provider);
        (provider.to_owned(), metric)
    });
    let failures = Watches::Several {
        id: "percent",
        expression: format!("100 * MAX([{}])", PROVIDERS.join(", ")),
        metrics: failures.into(),
    };
    alarms.push(
        Alarm::at_threshold("50", "AiFailures", "ai-failures", Now, failures)
            .for_periods(2, 3)
            .about("The percentage of failed calls, for the provider that fails most often. A failed call counts even if a different provider then answers."),
    );
    let unfunded = PROVIDERS.map(|provider| {
        (
            provider.to_owned(),
            Metric::sum(OWN, "AiUnfunded").every(900).dimension("Provider", provider),
        )
    });
    let unfunded = Watches::Several {
        id: "calls",
        expression: format!("SUM([{}])", PROVIDERS.join(", ")),
        metrics: unfunded.into(),
    };
    alarms.push(
        Alarm::at_threshold("1", "AiUnfunded", "empty-ai-account", Now, unfunded)
            .about("A provider refuses calls because your account there has no money."),
    );
    alarms.push(
        Alarm::at_threshold(
            "10",
            "SettleConflicts",
            "settle-conflicts",
            Today,
            Watches::One(Metric::sum(OWN, "SettleConflicts")),
        )
        .about("Answers that the store refused to settle, so the AI's work was lost."),
    );
    let uncovered = Metric::sum(OWN, "Uncovered").every(900);
    alarms.push(
        Alarm::at_threshold("1", "Uncovered", "uncovered-tokens", Today, Watches::One(uncovered))
            .about("Tokens for model tokens that messages can't have. Users don't pay for them."),
    );
    let of_day = |name: &'static str| Metric::sum(OWN, name).every(24 * HOUR);
    let underheld = Watches::Several {
        id: "share",
        // The limit is the default of the setting FREE_WORK.
        expression: "IF(underheld >= 10000, 100 * underheld / charged, 0)".to_owned(),
        metrics: vec![
            ("underheld".to_owned(), of_day("Underheld")),
            ("charged".to_owned(), of_day("Charged")),
        ],
    };
    alarms.push(
        Alarm::at_threshold("1", "Underheld", "underheld-tokens", ThisWeek, underheld)
            .about("The percentage by which the prices of a day's messages exceeded their holds."),
    );
    let failed = Metric::sum(OWN, "MailsFailed").every(900).dimension("Kind", "permanent");
    let failed = Watches::One(failed);
    let failed = Alarm::at_threshold("5", "MailFailures", "mail-failures", Today, failed);
    alarms.push(failed.about(
        "Failed e-mails that aren't retried. A few failures suggest wrong addresses; many suggest a wrong configuration.",
    ));
    let waiting = Metric::sum("AWS/SQS", "ApproximateNumberOfMessagesVisible")
        .statistic("Maximum")
        .dimension("QueueName", "!Ref FailureQueue");
    alarms.push(
        Alarm::at_threshold("1", "FailedWork", "failed-work", Today, Watches::One(waiting))
            .missing("ignore")
            .about("Lambda put a record of failed work into the queue. The alarm stays on until the queue is empty."),
    );
    let stranded = Metric::sum(OWN, "StrandedOrders").every(900);
    alarms.push(
        Alarm::at_threshold(
            "1",
            "StrandedOrders",
            "stranded-purchases",
            Today,
            Watches::One(stranded),
        )
        .about("A payment arrived, but its tokens can't be granted."),
    );
    let waiting = Metric::sum(OWN, "OrdersToLookAt").statistic("Maximum").every(HOUR);
    alarms.push(
        Alarm::at_threshold(
            "1",
            "OrdersToLookAt",
            "purchases-that-need-attention",
            ThisWeek,
            Watches::One(waiting),
        )
        .missing("ignore")
        .about("Purchases are stranded or disputed. The alarm stays on until a check finds none."),
    );
    let disputes = Metric::sum(OWN, "Disputes").every(HOUR);
    alarms.push(
        Alarm::at_threshold("1", "Disputes", "disputes", ThisWeek, Watches::One(disputes))
            .about("A bank demands money back. Each dispute counts once."),
    );
    let missed = Metric::sum(OWN, "MissedPayments").every(HOUR);
    alarms.push(
        Alarm::at_threshold("1", "MissedPayments", "missed-payments", Today, Watches::One(missed))
            .about("Stripe lists a payment, a refund or a dispute that no event has reported."),
    );
    let refused = Metric::sum(OWN, "StripeKeyRefused").every(HOUR);
    alarms.push(
        Alarm::at_threshold(
            "1",
            "StripeKeyRefused",
            "refused-stripe-key",
            Today,
            Watches::One(refused),
        )
        .about("Stripe refuses the API key, so users can't buy tokens, and payments can't be compared."),
    );
    let checks = Metric::sum(OWN, "PaymentsChecked").statistic("SampleCount").every(HOUR);
    let checks = Watches::Several {
        id: "runs",
        expression: "FILL(checks, 0)".into(),
        metrics: vec![("checks".into(), checks)],
    };
    let late = Alarm::at_threshold("1", "PaymentsUnchecked", "late-payments-check", Today, checks);
    alarms.push(
        Alarm { breaks: BELOW, ..late }.for_periods(3, 3).missing("breaching").about(
            "No comparison with Stripe has finished for three hours. A comparison is scheduled every hour, even if nothing is sold.",
        ),
    );
    let mut broken = vec![("events".to_owned(), Metric::sum(OWN, "EventsFailed"))];
    for (id, function) in [
        ("webhook", "stripe_webhook"),
        ("purchase", "purchase_create"),
        ("check", "payments_check"),
    ] {
        let errors = Metric::sum("AWS/Lambda", "Errors");
        let errors = errors.dimension("FunctionName", Group::any_reference(groups, function)?);
        broken.push((id.to_owned(), errors));
    }
    alarms.push(
        Alarm::at_threshold(
            "1",
            "PaymentErrors",
            "payment-errors",
            Today,
            all("errors", "SUM", broken),
        )
        .about("An event couldn't be handled, or a function for payments crashed."),
    );
    let differences = Metric::sum(OWN, "AuditDifferences").statistic("Maximum");
    let differences = Watches::One(differences);
    alarms.push(
        Alarm::at_threshold("1", "AuditDifferences", "audit-differences", Today, differences)
            .missing("ignore")
            .about("`manage audit` found a balance that its ledger doesn't explain. The alarm stays on until an audit finds no such balance."),
    );
    Ok(alarms)
}

/// Returns the alarms for throttled reads and writes of the tables and their indexes.
fn throttled(tables: &[Table]) -> [Alarm; 4] {
    let throttles = |name| Metric::sum("AWS/DynamoDB", name);
    let table = |index: usize| format!("!Select [{index}, !Ref Tables]");
    let (mut of_tables, mut reads, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    for (number, of_table) in tables.iter().enumerate() {
        let metrics = [("r", "ReadThrottleEvents"), ("w", "WriteThrottleEvents")];
        for (letter, name) in metrics {
            let metric = throttles(name).dimension("TableName", table(number));
            of_tables.push((format!("{letter}{number}"), metric));
        }
        for index in &of_table.indexes {
            let id = format!("i{}", reads.len());
            let metric = |name| {
                throttles(name)
                    .dimension("TableName", table(number))
                    .dimension("GlobalSecondaryIndexName", index)
            };
            reads.push((id.clone(), metric("ReadThrottleEvents")));
            writes.push((id, metric("WriteThrottleEvents")));
        }
    }
    let alarm = |name, metrics| {
        Alarm::at_threshold("10", name, "store-throttles", Today, all("throttles", "SUM", metrics))
    };
    // An alarm reads at most ten metrics, and the Files table is the sixth.
    let of_files = of_tables.split_off(METRICS.min(of_tables.len()));
    [
        alarm("StoreThrottles", of_tables).about(
            "Reads and writes that DynamoDB refused. The tables are on demand, so either a single key gets too many requests, or the account's limit is reached.",
        ),
        alarm("FileThrottles", of_files).about("Reads and writes of the Files table that DynamoDB refused."),
        alarm("IndexReadThrottles", reads).about(
            "Throttled reads and writes of the global secondary indexes, which a table's metrics don't include. If an index refuses a write, the whole write fails.",
        ),
        alarm("IndexWriteThrottles", writes),
    ]
}

pub fn generate(
    files: &mut Files,
    functions: &[Function],
    tables: &[Table],
    groups: &[Group],
) -> Result<(), Failure> {
    let alarms = alarms(functions, tables, groups)?;
    if let Some(alarm) = alarms.iter().find(|alarm| alarm.metrics() > METRICS) {
        return Err(format!("{} reads more than {METRICS} metrics.", alarm.name).into());
    }
    let mut text = HEAD.to_owned();
    for Group { parameter, about, .. } in groups {
        text += &format!(
            "  {parameter}:\n    Type: CommaDelimitedList\n    Description: \"{about}\"\n"
        );
    }
    text += RESOURCES;
    for alarm in &alarms {
        text += &alarm.yaml();
    }
    text += BUDGET;
    text += &dashboard(&alarms);
    text += OUTPUTS;
    files.put("alarms.yaml", text);
    let runbooks = files.read(RUNBOOKS)?;
    let sections: Vec<String> =
        runbooks.split("\n## ").map(|section| with_alarms(section, &alarms)).collect();
    let list = list(&sections, &alarms)?;
    files.put(RUNBOOKS, sections.join("\n## "));
    files.put_part(RUNBOOKS, "alarms", &list)
}

/// Returns the list of all alarms, each with its urgency and a link to its section.
fn list(sections: &[String], alarms: &[Alarm]) -> Result<String, Failure> {
    let mut rows: Vec<(&str, &str, Urgency)> = ELSEWHERE.to_vec();
    for Alarm { name, listed_as, runbook, urgency, .. } in alarms {
        let row = (listed_as.unwrap_or(name), *runbook, *urgency);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows.sort_unstable_by_key(|(name, ..)| name.trim_start_matches('…'));
    let mut text = "\n| alarm | section | answer |\n|---|---|---|\n".to_owned();
    for (name, runbook, urgency) in rows {
        let mut headings = sections.iter().map(|section| heading(section));
        let found = headings.find(|heading| anchor(heading) == runbook);
        let found = found.ok_or_else(|| format!("{RUNBOOKS} has no section #{runbook}"))?;
        text += &format!("| `{name}` | [{found}](#{runbook}) | {} |\n", urgency.words());
    }
    Ok(text + "\n")
}

/// Returns the first line of a section.
fn heading(section: &str) -> &str {
    section.lines().next().unwrap_or_default()
}

fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

/// Updates the alarm names in a section of docs/operate/runbooks.md. Keeps the alarms that
/// template.yaml defines.
fn with_alarms(section: &str, alarms: &[Alarm]) -> String {
    const LIST: &str = "\nAlarms: ";
    let anchor = anchor(heading(section));
    let own: Vec<&str> = alarms
        .iter()
        .filter(|alarm| alarm.runbook == anchor)
        .map(|alarm| alarm.name.as_str())
        .collect();
    let Some((before, rest)) = section.split_once(LIST) else { return section.to_owned() };
    let (list, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let is_of_a_group =
        |name: &str| name.starts_with("ErrorsOf") || name.starts_with("ThrottlesOf");
    let others = list
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| !is_of_a_group(name) && alarms.iter().all(|alarm| alarm.name != *name));
    let names: Vec<String> = others.chain(own).map(|name| format!("`{name}`")).collect();
    let mut lines = vec!["Alarms:".to_owned()];
    for name in names.join(", ").split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + name.len() <= 88 => *line += &format!(" {name}"),
            _ => lines.push(name.to_owned()),
        }
    }
    format!("{before}\n{}\n\n{after}", lines.join("\n"))
}

impl Alarm {
    fn yaml(&self) -> String {
        let Self { name, about, runbook, watches, breaks, threshold, periods, missing, .. } = self;
        let mut text = comment(about);
        text += &format!(
            "  {name}:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      AlarmDescription: docs/operate/runbooks.md#{runbook}\n"
        );
        match watches {
            Watches::One(metric) => {
                text += &metric.yaml("      ");
                let Metric { statistic, period, .. } = metric;
                text += &format!("      Statistic: {statistic}\n      Period: {period}\n");
            }
            Watches::Several { id, expression, metrics } => {
                text += &format!(
                    "      Metrics:\n        - Id: {id}\n          Expression: \"{expression}\"\n"
                );
                for (id, metric) in metrics {
                    let Metric { statistic, period, .. } = metric;
                    text += &format!(
                        "        - Id: {id}\n          ReturnData: false\n          MetricStat:\n            Stat: {statistic}\n            Period: {period}\n            Metric:\n{}",
                        metric.yaml("              ")
                    );
                }
            }
        }
        let (some, every) = periods;
        text + &format!(
            "      ComparisonOperator: {breaks}\n      Threshold: {threshold}\n      DatapointsToAlarm: {some}\n      EvaluationPeriods: {every}\n      TreatMissingData: {missing}\n      AlarmActions: !If [HasTopic, [!Ref TopicArn], !Ref AWS::NoValue]\n      OKActions: !If [HasTopic, [!Ref TopicArn], !Ref AWS::NoValue]\n\n"
        )
    }
}

impl Metric {
    /// Writes the metric's name and dimensions, each on a line after `indent`.
    fn yaml(&self, indent: &str) -> String {
        let Self { namespace, name, dimensions, .. } = self;
        let mut text = format!("{indent}Namespace: {namespace}\n{indent}MetricName: {name}\n");
        if !dimensions.is_empty() {
            text += &format!("{indent}Dimensions:\n");
        }
        for (name, value) in dimensions {
            text += &format!("{indent}  - Name: {name}\n{indent}    Value: {value}\n");
        }
        text
    }
}

/// Writes the comment above a resource, in lines of at most 100 characters.
fn comment(about: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in about.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= 100 => *line += &format!(" {word}"),
            _ => lines.push(format!("  # {word}")),
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Writes the dashboard: the state of every alarm, a graph of its metrics, and the latest failures
/// in the log.
fn dashboard(alarms: &[Alarm]) -> String {
    let names = || {
        let arn = |name: &str| (name.to_owned(), format!("${{{name}.Arn}}"));
        let failed = ("FailedRequests".to_owned(), "${FailedRequestsArn}".to_owned());
        std::iter::once(failed).chain(alarms.iter().map(move |alarm| arn(&alarm.name)))
    };
    let all: Vec<String> = names().map(|(_, arn)| format!("              \"{arn}\"")).collect();
    let mut text = DASHBOARD.to_owned() + &all.join(",\n") + "]}},\n";
    for (name, arn) in names() {
        text += &format!(
            "            {{\"type\": \"metric\", \"properties\": {{\"title\": \"{name}\", \"region\": \"${{AWS::Region}}\",\n              \"annotations\": {{\"alarms\": [\"{arn}\"]}}}}}},\n"
        );
    }
    text + SIGNATURES + LATEST
}

const HEAD: &str = "\
# Written by `cargo xtask generate` from xtask/src/alarms.rs. A nested stack of template.yaml, which
# the `Alarms` parameter can turn off. docs/operate/runbooks.md says what each alarm means and what
# to do about it.
AWSTemplateFormatVersion: \"2010-09-09\"
Description: Farebox - alarms and a dashboard

Parameters:
  Stack:
    Type: String
    Description: The name of the stack to watch
  TopicArn:
    Type: String
    Default: \"\"
    Description: The SNS topic that alarms notify; empty for none
  ConcurrencyAlarm:
    Type: Number
    Description: How many function instances may run at once in the account before the alarm fires
  MonthlyBudget:
    Type: Number
    Default: 0
    Description: The account's costs per month, in dollars; 0 for no budget
  LogGroup:
    Type: String
    Description: The log group of all functions
  FailedRequestsArn:
    Type: String
    Description: The ARN of the FailedRequests alarm in template.yaml, for the dashboard
  FailureQueue:
    Type: String
    Description: The name of the queue for failed background work
  Tables:
    Type: CommaDelimitedList
    Description: The tables, in the order of template.yaml
";

const RESOURCES: &str = "
Conditions:
  HasTopic: !Not [!Equals [!Ref TopicArn, \"\"]]
  # A budget notifies the topic. It can't exist without a subscriber.
  HasBudget: !And [!Condition HasTopic, !Not [!Equals [!Ref MonthlyBudget, 0]]]

Resources:
";

const BUDGET: &str = "  Budget:
    Type: AWS::Budgets::Budget
    Condition: HasBudget
    Properties:
      Budget:
        BudgetName: !Ref Stack
        BudgetType: COST
        TimeUnit: MONTHLY
        BudgetLimit:
          Amount: !Ref MonthlyBudget
          Unit: USD
      NotificationsWithSubscribers:
        - Notification:
            NotificationType: ACTUAL
            ComparisonOperator: GREATER_THAN
            Threshold: 80
            ThresholdType: PERCENTAGE
          Subscribers:
            - SubscriptionType: SNS
              Address: !Ref TopicArn
        - Notification:
            NotificationType: FORECASTED
            ComparisonOperator: GREATER_THAN
            Threshold: 100
            ThresholdType: PERCENTAGE
          Subscribers:
            - SubscriptionType: SNS
              Address: !Ref TopicArn

";

const DASHBOARD: &str = "  # The state of every alarm, and a graph of its metrics.
  Dashboard:
    Type: AWS::CloudWatch::Dashboard
    Properties:
      DashboardName: !Ref Stack
      DashboardBody: !Sub |
        {
          \"widgets\": [
            {\"type\": \"alarm\", \"width\": 24, \"height\": 4, \"properties\": {\"title\": \"${Stack}\", \"alarms\": [
";

/// A graph without an alarm: anyone can send a request with an invalid signature.
const SIGNATURES: &str = "            {\"type\": \"metric\", \"properties\": {\"title\": \"Refused signatures of events\", \"region\": \"${AWS::Region}\",
              \"stat\": \"Sum\", \"period\": 300, \"metrics\": [[\"${Stack}\", \"SignaturesRefused\"]]}},
";

const LATEST: &str = "            {\"type\": \"log\", \"width\": 24, \"height\": 8, \"properties\": {\"title\": \"The latest failures\", \"region\": \"${AWS::Region}\",
              \"view\": \"table\",
              \"query\": \"SOURCE '${LogGroup}' | filter level = 'ERROR' | fields @timestamp, @logStream, message, code, cause\"}}
          ]
        }

";

const OUTPUTS: &str = "\
Outputs:
  Dashboard:
    Description: The name of the dashboard
    Value: !Ref Dashboard
";
