//! How AWS runs a function, and which permissions the function has.
//!
//! Each function's file declares these facts in the `LAMBDA` constant. `cargo xtask generate`
//! writes them into `template.yaml`. The functions' binaries don't contain them.

#[macro_use]
pub mod permit;

use std::time::Duration;

use permit::Permit;

/// A Lambda function in `template.yaml`.
#[derive(Clone, Copy, Debug)]
pub struct Lambda {
    /// The function's purpose, in a few words.
    pub about: &'static str,
    /// True if a new version first gets only a share of the requests, and is rolled back if an
    /// alarm fires. API Gateway then calls the function's `live` alias.
    pub canary: bool,
    /// The time-out in seconds, or `None` for the usual time-out.
    pub timeout: Option<u32>,
    /// The memory in MB. It also determines the function's share of a processor. `None` for the
    /// usual memory.
    pub memory: Option<u32>,
    /// True if the function asks the AI for a caller, who waits for the answer and pays for it.
    pub asks_ai: bool,
    /// True if the function hashes users' passwords.
    pub hashes_passwords: bool,
    /// True if API Gateway streams the reply.
    pub streams: bool,
    /// True if the function's routes are limited to `AccountRate` requests per second.
    pub throttled: bool,
    /// What invokes the function, if it doesn't have routes.
    pub trigger: Option<Trigger>,
    /// The permissions for the store and for AWS services.
    pub permits: &'static [Permit],
}

/// The trigger of a background function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A schedule.
    Schedule(Schedule),
    /// The Tokens table's stream, which reports new e-mails in the outbox.
    Outbox,
}

/// How often a schedule invokes a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum Schedule {
    FiveMinutes,
    Hourly,
    Daily,
}

impl Schedule {
    /// Returns the time between two runs.
    pub const fn interval(self) -> Duration {
        Duration::from_secs(match self {
            Self::FiveMinutes => 300,
            Self::Hourly => 3600,
            Self::Daily => 24 * 3600,
        })
    }

    /// Returns the schedule as an EventBridge [rate
    /// expression](https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html).
    pub const fn rate(self) -> &'static str {
        match self {
            Self::FiveMinutes => "rate(5 minutes)",
            Self::Hourly => "rate(1 hour)",
            Self::Daily => "rate(1 day)",
        }
    }

    /// Returns the rule's logical id in the template. The id must not change, because a new rule
    /// would begin a new interval.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::FiveMinutes => "SweepFunctionOften",
            Self::Hourly => "PaymentsCheckFunctionHourly",
            Self::Daily => "CensusFunctionDaily",
        }
    }
}

impl Lambda {
    /// Creates a function with the usual time-out and memory, and without permissions.
    pub const fn new(about: &'static str) -> Self {
        Self {
            about,
            canary: false,
            timeout: None,
            memory: None,
            asks_ai: false,
            hashes_passwords: false,
            streams: false,
            throttled: false,
            trigger: None,
            permits: &[],
        }
    }

    /// Shifts requests to a new version step by step, because money, log-ins or most requests
    /// depend on this function.
    pub const fn canary(self) -> Self {
        Self { canary: true, ..self }
    }

    /// Sets the time-out in seconds. API Gateway waits at most 29 seconds for a reply that isn't
    /// streamed.
    pub const fn timeout(self, seconds: u32) -> Self {
        Self { timeout: Some(seconds), ..self }
    }

    /// Sets the memory in MB.
    pub const fn memory(self, megabytes: u32) -> Self {
        Self { memory: Some(megabytes), ..self }
    }

    /// Gives the function a whole processor, and the [reserved
    /// concurrency](crate::Endpoint::concurrency) for functions that hash passwords.
    pub const fn hashes_passwords(self) -> Self {
        Self { memory: Some(1769), hashes_passwords: true, ..self }
    }

    /// Lets an alarm watch how long callers wait for the AI.
    ///
    /// `conversation_title` also [calls the AI](crate::Endpoint::calls_ai), but no user waits for a
    /// title or pays for it.
    pub const fn asks_ai(self) -> Self {
        Self { asks_ai: true, ..self }
    }

    /// Streams the reply. API Gateway closes the stream when the function times out, after this
    /// many seconds.
    pub const fn streams(self, seconds: u32) -> Self {
        Self { streams: true, ..self.timeout(seconds) }
    }

    /// Limits the request rate of the function's routes to the `AccountRate` parameter, because the
    /// routes are expensive, or check no credential.
    pub const fn throttled(self) -> Self {
        Self { throttled: true, ..self }
    }

    /// Invokes the function on a schedule. Lambda doesn't retry a failed run, because the next run
    /// does the same work.
    pub const fn scheduled(self, schedule: Schedule) -> Self {
        Self { trigger: Some(Trigger::Schedule(schedule)), ..self }
    }

    /// Invokes the function for each new e-mail in the outbox.
    pub const fn reads_outbox(self) -> Self {
        Self { trigger: Some(Trigger::Outbox), ..self }
    }

    /// Sets the function's permissions.
    pub const fn permits(self, permits: &'static [Permit]) -> Self {
        Self { permits, ..self }
    }
}
