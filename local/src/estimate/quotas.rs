//! What a deployment needs at the peak of a day, and how much of it there is.

use serde::Serialize;
use shared::store::{CHAT_SHARDS, DAY_SHARDS, USER_SHARDS};

use super::assumptions::{PEAK, ROUND_TRIP};
use super::requests::{Requests, SWEEP, units_of_text};
use super::stack::Stack;
use super::{Load, NEW_USERS, SECONDS, Sent};

/// Something of which there is only so much.
#[derive(Debug, Serialize)]
pub struct Quota {
    /// What.
    pub what: String,
    /// How much is needed at the peak.
    pub needs: f64,
    /// How much there is, if that is known.
    pub limit: Option<f64>,
    /// The unit of both.
    pub unit: &'static str,
    /// What moves the limit.
    pub moved_by: MovedBy,
    /// How many users need all of it.
    pub users: Option<f64>,
}

/// What moves a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MovedBy {
    /// A setting of this project.
    Setting,
    /// A request to AWS, or to the provider.
    Request,
    /// Only another design.
    Design,
}

impl Quota {
    /// Whether only another design moves it.
    pub fn of_design(&self) -> bool {
        self.moved_by == MovedBy::Design
    }
}

/// A limit of AWS.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is limited.
    pub what: &'static str,
    /// How much there is.
    pub value: f64,
    /// Its unit, and who can have more.
    pub unit: &'static str,
    /// AWS's page.
    pub source: &'static str,
}

const CONCURRENCY: Limit = Limit {
    what: "Lambda, instances at a time",
    value: 1000.0,
    unit: "a region; new AWS accounts begin with as few as 10; can be raised",
    source: "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
};

const GATEWAY: Limit = Limit {
    what: "API Gateway, requests",
    value: 10_000.0,
    unit: "a second and region; can be raised",
    source: "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html",
};

const PARTITION: Limit = Limit {
    what: "DynamoDB, write units of a partition",
    value: 1000.0,
    unit: "a second; fixed",
    source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
};

const TABLE: Limit = Limit {
    what: "DynamoDB, write units of a table",
    value: 40_000.0,
    unit: "a second; can be raised. A new table begins with 4,000 and grows with its load",
    source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html",
};

const LIMITS: [Limit; 4] = [CONCURRENCY, GATEWAY, PARTITION, TABLE];

/// The table of AWS's limits as docs/cost.md shows it.
pub fn table() -> String {
    let row = |Limit { what, value, unit, source }: &Limit| {
        format!("| [{what}]({source}) | {value} | {unit} |\n")
    };
    let rows: String = LIMITS.iter().map(row).collect();
    format!("| limit | figure | meaning |\n|---|---|---|\n{rows}")
}

/// Where the writes of [`CHAT`](super::requests::CHAT) go: a table (with its local index) or a global index, and write
/// units, for short messages. A test counts them.
pub const PLACES: &[(&str, f64)] = &[
    ("UsersTable", 3.0),
    ("ChatsTable", 7.0),
    ("ChatsTable/by_time", 1.0),
    ("LedgerTable", 2.0),
    ("LedgerTable/trail", 1.0),
    ("TokensTable", 2.0),
];

/// The write units of an account's item for a chat, for each of its kilobytes: one for the reserve,
/// two for the settle.
pub const ACCOUNT_UNITS: f64 = 3.0;

fn units_at(place: &str) -> f64 {
    PLACES.iter().filter(|(name, _)| *name == place).map(|(_, units)| units).sum()
}

impl Load {
    /// What is needed at the peak of a day, in the order in which more users meet the limits.
    pub(super) fn quotas(
        &self,
        stack: &Stack,
        requests: &Requests<'_>,
    ) -> Result<Vec<Quota>, String> {
        let peak = |a_month: f64| a_month / SECONDS * PEAK.value;
        let grows = |what: String, needs: f64, limit: f64, unit, moved_by| Quota {
            what,
            needs,
            limit: Some(limit),
            unit,
            moved_by,
            users: Some(self.users * limit / needs),
        };
        let sent = self.sent();
        let mut instances = 0.0;
        for Sent { request, function, count } in &sent {
            instances += peak(*count) * requests.answered_by(request, function)?.seconds;
        }
        let all: f64 = sent.iter().map(|sent| sent.count).sum();
        let mut quotas = vec![
            grows(CONCURRENCY.what.into(), instances, CONCURRENCY.value, "", MovedBy::Request),
            grows(GATEWAY.what.into(), peak(all), GATEWAY.value, "a second", MovedBy::Request),
        ];
        quotas.extend(
            self.busiest_methods(stack, &sent, peak).into_iter().map(|(what, needs, limit)| {
                grows(what, needs, limit, "a second", MovedBy::Setting)
            }),
        );

        let (chats, visits) = (peak(self.chats()), peak(self.visits()));
        let new_users = peak(self.users * NEW_USERS.value);
        let table = units_at("ChatsTable") + units_of_text();
        quotas.push(grows(
            "table Chats".into(),
            chats * table,
            TABLE.value,
            "units a second",
            MovedBy::Request,
        ));
        let shards = |index: &str, writes: f64, shards: u8| {
            let what = match shards {
                1 => format!("index {index}"),
                shards => format!("index {index}, each of {shards} shards"),
            };
            let needs = writes / f64::from(shards);
            grows(what, needs, PARTITION.value, "units a second", MovedBy::Design)
        };
        quotas.extend([
            shards(
                "trail of Ledger",
                chats * units_at("LedgerTable/trail") + new_users,
                DAY_SHARDS,
            ),
            shards("by_time of Chats", chats * units_at("ChatsTable/by_time"), CHAT_SHARDS),
            shards("by_time, by_label of Users", new_users, USER_SHARDS),
            // Accounts whose leases end at the same second have the same key.
            shards("due of Users", visits, 1),
        ]);

        let sweep = stack.function("sweep")?;
        // Without the reading of the index.
        let steps = f64::from(requests.row(SWEEP)?.round_trips.saturating_sub(1));
        let interval = stack.scheduled.iter().find(|(name, _)| name == "sweep");
        let interval = SECONDS / interval.map(|(_, runs)| *runs).ok_or("sweep has no schedule")?;
        quotas.push(grows(
            "accounts that one sweep visits".into(),
            visits * interval,
            sweep.timeout / (steps * ROUND_TRIP.value / 1000.0),
            "a run",
            MovedBy::Design,
        ));

        let crowded = requests.row("chat while 63 others wait")?.writes;
        let units = ACCOUNT_UNITS + crowded - requests.row("chat")?.writes;
        let limit = stack.function("chat")?.chats_per_minute;
        quotas.push(Quota {
            what: format!("busiest account: {limit} chats a minute, 64 at a time"),
            needs: limit / 60.0 * units,
            limit: Some(PARTITION.value),
            unit: "units a second",
            moved_by: MovedBy::Setting,
            users: None,
        });
        let provider = |what: &str, needs, unit| Quota {
            what: what.into(),
            needs,
            limit: None,
            unit,
            moved_by: MovedBy::Request,
            users: None,
        };
        quotas.extend([
            provider("the provider's requests", chats * 60.0, "a minute"),
            provider("the provider's requests at a time", chats * self.ai_seconds, ""),
            provider("e-mails (SES grants a number)", peak(self.emails()) * 86_400.0, "a day"),
        ]);
        let met = |quota: &Quota| quota.users.unwrap_or(f64::INFINITY);
        quotas.sort_by(|one, other| met(one).total_cmp(&met(other)));
        Ok(quotas)
    }

    /// Of the methods that each setting limits, the one that needs most of it.
    fn busiest_methods(
        &self,
        stack: &Stack,
        sent: &[Sent],
        peak: impl Fn(f64) -> f64,
    ) -> Vec<(String, f64, f64)> {
        let mut busiest: Vec<(String, f64, f64)> = Vec::new();
        for route in functions::ROUTES {
            let first = functions::ROUTES.iter().find(|other| other.endpoint == route.endpoint);
            if first.is_none_or(|first| first.path != route.path) {
                continue;
            }
            let of_it = sent.iter().filter(|sent| sent.function == route.endpoint);
            let needs = peak(of_it.map(|sent| sent.count).sum());
            let limit = stack.rate(route.method, route.path);
            match busiest.iter_mut().find(|(_, _, other)| *other == limit) {
                Some((_, most, _)) if *most >= needs => {}
                found if needs > 0.0 && limit.is_finite() => {
                    let what = format!("{} {} (throttled by the stage)", route.method, route.path);
                    let row = (what, needs, limit);
                    match found {
                        Some(found) => *found = row,
                        None => busiest.push(row),
                    }
                }
                _ => {}
            }
        }
        busiest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Estimate;
    use crate::estimate::requests::CHAT;

    const LOAD: Load =
        Load { users: 100_000.0, chats_per_day: 10.0, ai_seconds: 4.0, streamed: 0.5 };

    fn quota<'e>(estimate: &'e Estimate, what: &str) -> &'e Quota {
        estimate.quotas.iter().find(|quota| quota.what.contains(what)).unwrap()
    }

    #[test]
    fn at_the_users_that_it_names_a_limit_is_met_exactly() {
        let estimate = LOAD.estimate().unwrap();
        for quota in &estimate.quotas {
            let Some(users) = quota.users else { continue };
            let then = Load { users, ..LOAD }.estimate().unwrap();
            let then = self::quota(&then, &quota.what);
            assert!((then.needs / then.limit.unwrap() - 1.0).abs() < 1e-9, "{quota:?} {then:?}");
        }
    }

    #[test]
    fn the_first_that_breaks_has_the_fewest_users() {
        let estimate = LOAD.estimate().unwrap();
        let fewest = estimate.quotas.iter().filter_map(|quota| quota.users).min_by(f64::total_cmp);
        assert_eq!(fewest, Some(estimate.first_that_breaks.users));
        assert!(estimate.first_of_the_design.users >= estimate.first_that_breaks.users);
    }

    #[test]
    fn a_slow_ai_makes_the_instances_the_first_limit() {
        let slow = Load { ai_seconds: 60.0, streamed: 1.0, ..LOAD }.estimate().unwrap();
        assert_eq!(slow.first_that_breaks.what, CONCURRENCY.what);
    }

    #[test]
    fn a_chat_that_is_not_streamed_needs_the_rate_of_another_method() {
        let methods = |streamed: f64| {
            let estimate = Load { streamed, ..LOAD }.estimate().unwrap();
            let first = estimate.quotas.into_iter().find(|quota| quota.what.starts_with("POST /"));
            first.unwrap()
        };
        assert!(methods(0.0).what.starts_with("POST /api/chat "), "{:?}", methods(0.0));
        assert!(methods(1.0).what.starts_with("POST /api/chat/stream"), "{:?}", methods(1.0));
        assert_eq!(methods(0.0).needs, methods(1.0).needs);
    }

    #[test]
    fn each_further_kilobyte_of_an_account_costs_three_units_as_the_table_says() {
        let stack = Stack::load().unwrap();
        let requests = Requests::new(&stack, 4.0).unwrap();
        let writes = |request: &str| requests.row(request).unwrap().writes;
        let more = writes("chat while 63 others wait") - writes("chat");
        assert_eq!((more % ACCOUNT_UNITS, more > 0.0), (0.0, true));
    }

    #[test]
    fn the_places_have_all_units_of_the_row() {
        let stack = Stack::load().unwrap();
        let requests = Requests::new(&stack, 4.0).unwrap();
        let units: f64 = PLACES.iter().map(|(_, units)| units).sum();
        assert_eq!(units, requests.row(CHAT).unwrap().writes);
    }

    #[test]
    fn the_documentation_shows_the_limits() {
        let shown = include_str!("../../../docs/cost.md");
        assert!(shown.contains(&table()), "docs/cost.md needs this table:\n{}", table());
    }
}
