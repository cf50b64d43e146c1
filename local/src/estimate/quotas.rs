//! A deployment's needs at its daily peak, and the limits that it can reach.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::store::{CENSUS_AT_ONCE, CHAT_SHARDS, DAY_SHARDS, USER_SHARDS};

use super::assumptions::{BYTE, CENSUS_ITEM, COUNTED, EXPORTED, INSTANCES, PEAK, ROUND_TRIP, TEXT};
use super::requests::{Requests, SWEEP, units_of_text};
use super::stack::{Reservation, Stack};
use super::{Load, NEW_USERS, RequestCount, SECONDS};

/// A resource that a deployment needs, and the limit for that resource.
#[derive(Debug, Serialize)]
pub struct Quota {
    /// The resource's name.
    pub what: String,
    /// The quantity that the deployment needs at its daily peak.
    pub needs: f64,
    /// The limit, if it is known.
    pub limit: Option<f64>,
    /// The unit of `needs` and `limit`.
    pub unit: &'static str,
    /// How the limit can be raised.
    pub moved_by: Remedy,
    /// The number of users at which the limit is reached. `None` if the limit is unknown or applies
    /// to a single account.
    pub users: Option<f64>,
    /// If the resource is a function's reserved instances, the account's quota that they need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationQuota>,
}

/// The account's quota of instances that a reservation needs.
#[derive(Debug, PartialEq, Serialize)]
pub struct ReservationQuota {
    /// The template parameter that sets the number of reserved instances.
    pub parameter: String,
    /// How many functions reserve this number of instances.
    pub functions: f64,
    /// The account's quota.
    pub account: f64,
    /// The largest number for which the account's quota has room, if the other reservations stay.
    pub largest: f64,
    /// The number that the deployment needs at its daily peak.
    pub needs: f64,
    /// The quota that this number needs.
    pub quota: f64,
}

/// How a limit can be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// By changing a setting of this project.
    Setting,
    /// By sending a request to AWS or to the AI provider.
    Request,
    /// Only by a redesign.
    Design,
}

impl Quota {
    /// Returns true if only a redesign can raise the limit.
    pub fn of_design(&self) -> bool {
        self.moved_by == Remedy::Design
    }
}

impl ReservationQuota {
    /// Returns the quota for a reservation. `needs` is the number of instances that the busiest
    /// function with this reservation needs at the daily peak.
    fn new(stack: &Stack, reserved: &Reservation, needs: f64) -> Self {
        let functions = stack.functions_reserving(&reserved.parameter);
        let others = stack.reserved_instances() - functions * reserved.instances + UNRESERVED;
        Self {
            parameter: reserved.parameter.clone(),
            functions,
            account: stack.quota,
            largest: ((stack.quota - others) / functions).floor().max(0.0),
            needs: needs.ceil(),
            quota: functions * needs.ceil() + others,
        }
    }

    /// Returns how the reservation can be raised. The parameter alone can't raise it by much if it
    /// already uses up most of the quota.
    fn remedy(&self, reserved: &Reservation) -> Remedy {
        match self.largest < 2.0 * reserved.instances {
            true => Remedy::Request,
            false => Remedy::Setting,
        }
    }
}

/// An AWS limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The limited quantity.
    pub what: &'static str,
    /// The limit.
    pub value: f64,
    /// The unit, and whether AWS raises the limit on request.
    pub unit: &'static str,
    /// The AWS page that states the limit.
    pub source: &'static str,
}

/// How many instances AWS always keeps for functions without reserved instances
/// ([source](https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html)).
const UNRESERVED: f64 = 100.0;

pub(super) const CONCURRENCY: Limit = Limit {
    what: "Lambda, instances at a time",
    value: INSTANCES,
    unit: "per region; AWS raises it on request; a new AWS account may begin with only 10",
    source: "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
};

const GATEWAY: Limit = Limit {
    what: "API Gateway, requests",
    value: 10_000.0,
    unit: "per second and region; AWS raises it on request",
    source: "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html",
};

const PARTITION: Limit = Limit {
    what: "DynamoDB, write units of a partition",
    value: 1000.0,
    unit: "per second; fixed",
    source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
};

const TABLE: Limit = Limit {
    what: "DynamoDB, write units of a table",
    value: 40_000.0,
    unit: "per second; AWS raises it on request; a new table begins with 4,000 and grows with load",
    source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html",
};

const REPLY: Limit = Limit {
    what: "Lambda, streamed reply",
    value: 200.0,
    unit: "MB; Lambda sends 2 MB a second after the first 6",
    source: "https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html",
};

const LIMITS: [Limit; 5] = [CONCURRENCY, GATEWAY, PARTITION, TABLE, REPLY];

/// Returns the table of AWS's limits as it appears in docs/operate/cost.md.
pub fn table() -> String {
    let row = |Limit { what, value, unit, source }: &Limit| {
        format!("| [{what}]({source}) | {value} | {unit} |\n")
    };
    let rows: String = LIMITS.iter().map(row).collect();
    format!("| limit | figure | meaning |\n|---|---|---|\n{rows}")
}

/// How many write units a [`CHAT`](super::requests::CHAT) with a short message costs, by table
/// (including its local index) and by global index. A test counts them.
pub const PLACES: &[(&str, f64)] = &[
    ("UsersTable", 3.0),
    ("ChatsTable", 7.0),
    ("ChatsTable/by_time", 1.0),
    ("LedgerTable", 2.0),
    ("LedgerTable/trail", 1.0),
    ("TokensTable", 2.0),
];

/// How many write units a chat costs for each kilobyte of its account's item: one when the hold is
/// placed, two when the chat is settled.
pub const ACCOUNT_UNITS: f64 = 3.0;

fn units_at(place: &str) -> f64 {
    PLACES.iter().filter(|(name, _)| *name == place).map(|(_, units)| units).sum()
}

impl Load {
    /// Returns the needs at the daily peak. The limit that is reached with the fewest users comes
    /// first.
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
            reservation: None,
        };
        let sent = self.sent();
        let mut instances: BTreeMap<&str, f64> = BTreeMap::new();
        for RequestCount { request, function, count } in &sent {
            let busy = peak(*count) * requests.answered_by(request, function)?.seconds;
            *instances.entry(function).or_default() += busy;
        }
        let all: f64 = sent.iter().map(|sent| sent.count).sum();
        let mut quotas = vec![
            grows(
                CONCURRENCY.what.into(),
                instances.values().sum(),
                stack.quota,
                "",
                Remedy::Request,
            ),
            grows(GATEWAY.what.into(), peak(all), GATEWAY.value, "a second", Remedy::Request),
        ];
        quotas.extend(
            self.busiest_methods(stack, &sent, peak)
                .into_iter()
                .map(|(what, needs, limit)| grows(what, needs, limit, "a second", Remedy::Setting)),
        );
        let busiest = busiest_functions(stack, &instances)?;
        quotas.extend(busiest.into_iter().map(|(function, needs, reserved)| {
            let what = format!("instances of {function} ({})", reserved.parameter);
            let quota = ReservationQuota::new(stack, &reserved, needs);
            let moved_by = quota.remedy(&reserved);
            Quota {
                reservation: Some(quota),
                ..grows(what, needs, reserved.instances, "", moved_by)
            }
        }));

        let (chats, visits) = (peak(self.chats()), peak(self.visits()));
        let new_users = peak(self.users * NEW_USERS.value);
        let table = units_at("ChatsTable") + units_of_text();
        quotas.push(grows(
            "table Chats".into(),
            chats * table,
            TABLE.value,
            "units a second",
            Remedy::Request,
        ));
        let shards = |index: &str, writes: f64, shards: u8| {
            let what = match shards {
                1 => format!("index {index}"),
                shards => format!("index {index}, each of {shards} shards"),
            };
            let needs = writes / f64::from(shards);
            grows(what, needs, PARTITION.value, "units a second", Remedy::Design)
        };
        quotas.extend([
            shards(
                "trail of Ledger",
                chats * units_at("LedgerTable/trail") + new_users,
                DAY_SHARDS,
            ),
            shards("by_time of Chats", chats * units_at("ChatsTable/by_time"), CHAT_SHARDS),
            shards("by_time, by_label of Users", new_users, USER_SHARDS),
            // In this index, accounts whose leases end in the same second share a key.
            shards("due of Users", visits, 1),
        ]);

        let sweep = stack.function("sweep")?;
        // Don't count the first round trip, which reads the index for many accounts at once.
        let steps = f64::from(requests.row(SWEEP)?.round_trips.saturating_sub(1));
        let interval = stack.scheduled.iter().find(|(name, _)| name == "sweep");
        let interval = SECONDS / interval.map(|(_, runs)| *runs).ok_or("sweep has no schedule")?;
        quotas.push(grows(
            "accounts that one sweep visits".into(),
            visits * interval,
            sweep.timeout / (steps * ROUND_TRIP.value / 1000.0),
            "a run",
            Remedy::Design,
        ));

        let of_day = self.users * self.chats_per_day;
        let work = |function: &str, bytes: f64| {
            let deployed = stack.function(function)?;
            Ok::<_, String>((bytes * BYTE.value / 1e9 / deployed.processors(), deployed.timeout))
        };
        let (figures, limit) = work("admin_figures", of_day * COUNTED.value)?;
        let read = self.users / CENSUS_AT_ONCE as f64 * ROUND_TRIP.value / 1000.0;
        let (census, of_census) = work("census", self.users * CENSUS_ITEM.value)?;
        quotas.extend([
            grows(
                "export of a day's chats".into(),
                of_day * (TEXT.value + EXPORTED.value) / 1e6,
                REPLY.value,
                "MB",
                Remedy::Design,
            ),
            grows(
                "statistics of a day, the first time".into(),
                figures,
                limit,
                "s a request",
                Remedy::Design,
            ),
            grows("census".into(), census + read, of_census, "s a run", Remedy::Design),
        ]);

        let crowded = requests.row("chat while 63 others wait")?.writes;
        let units = ACCOUNT_UNITS + crowded - requests.row("chat")?.writes;
        let limit = stack.function("chat")?.chats_per_minute;
        quotas.push(Quota {
            what: format!("busiest account: {limit} a minute, ParallelChats=64"),
            needs: limit / 60.0 * units,
            limit: Some(PARTITION.value),
            unit: "units a second",
            moved_by: Remedy::Setting,
            users: None,
            reservation: None,
        });
        let provider = |what: &str, needs, unit| Quota {
            what: what.into(),
            needs,
            limit: None,
            unit,
            moved_by: Remedy::Request,
            users: None,
            reservation: None,
        };
        quotas.extend([
            provider("requests to the AI provider", chats * 60.0, "a minute"),
            provider("requests to the AI provider at a time", chats * self.ai_seconds, ""),
            provider("e-mails (SES sets the limit)", peak(self.emails()) * 86_400.0, "a day"),
        ]);
        let met = |quota: &Quota| quota.users.unwrap_or(f64::INFINITY);
        quotas.sort_by(|one, other| met(one).total_cmp(&met(other)));
        Ok(quotas)
    }

    /// Returns the busiest method for each of the template's rate limits: its name, its requests
    /// per second at the peak, and the limit.
    fn busiest_methods(
        &self,
        stack: &Stack,
        sent: &[RequestCount],
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

/// For each of the template's reservations, returns the busiest function, the number of instances
/// that it needs at the peak, and the reservation. `instances` contains the number that each
/// function needs.
fn busiest_functions(
    stack: &Stack,
    instances: &BTreeMap<&str, f64>,
) -> Result<Vec<(String, f64, Reservation)>, String> {
    let mut busiest: Vec<(String, f64, Reservation)> = Vec::new();
    for (function, needs) in instances.iter().filter(|(_, needs)| **needs > 0.0) {
        let Some(reserved) = &stack.function(function)?.reserved else { continue };
        match busiest.iter_mut().find(|(.., other)| other == reserved) {
            Some((_, most, _)) if *most >= *needs => {}
            Some(found) => *found = ((*function).to_owned(), *needs, reserved.clone()),
            None => busiest.push(((*function).to_owned(), *needs, reserved.clone())),
        }
    }
    Ok(busiest)
}

#[cfg(test)]
mod tests {
    use functions::{ENDPOINTS, Endpoint};

    use super::*;
    use crate::estimate::Estimate;
    use crate::estimate::requests::CHAT;

    const LOAD: Load =
        Load { users: 100_000.0, chats_per_day: 10.0, ai_seconds: 4.0, streamed: 0.5 };

    fn quota<'e>(estimate: &'e Estimate, what: &str) -> &'e Quota {
        estimate.quotas.iter().find(|quota| quota.what.contains(what)).unwrap()
    }

    #[test]
    fn quotas_are_reached_at_exactly_their_number_of_users() {
        let estimate = LOAD.estimate().unwrap();
        for quota in &estimate.quotas {
            let Some(users) = quota.users else { continue };
            let then = Load { users, ..LOAD }.estimate().unwrap();
            let then = self::quota(&then, &quota.what);
            assert!((then.needs / then.limit.unwrap() - 1.0).abs() < 1e-9, "{quota:?} {then:?}");
        }
    }

    #[test]
    fn the_first_limit_has_the_fewest_users() {
        let estimate = LOAD.estimate().unwrap();
        let fewest = estimate.quotas.iter().filter_map(|quota| quota.users).min_by(f64::total_cmp);
        assert_eq!(fewest, Some(estimate.first_that_breaks.users));
        assert!(estimate.first_of_the_design.users >= estimate.first_that_breaks.users);
    }

    #[test]
    fn a_slow_ai_makes_the_instances_the_first_limit() {
        let slow = Load { ai_seconds: 60.0, streamed: 1.0, ..LOAD }.estimate().unwrap();
        assert_eq!(slow.first_that_breaks.what, "instances of chat_stream (AskConcurrency)");
        // Without the reservation, the region's limit on instances would be the next limit for
        // chats.
        let of_region = quota(&slow, CONCURRENCY.what).users.unwrap();
        let others = slow.quotas.iter().filter(|quota| quota.what.starts_with("POST "));
        assert!(others.filter_map(|quota| quota.users).all(|users| users > of_region));
    }

    fn is_about(quota: &Quota, needs: f64, limit: f64) {
        assert!((quota.needs - needs).abs() < 0.01, "{quota:?}");
        assert_eq!(quota.limit, Some(limit), "{quota:?}");
        let users = LOAD.users * limit / needs;
        assert!((quota.users.unwrap() / users - 1.0).abs() < 0.01, "{quota:?} is not {users}");
    }

    #[test]
    fn the_work_of_a_day_has_limits() {
        // A million chats a day.
        let estimate = LOAD.estimate().unwrap();
        // Each chat is a line of 1,385 bytes.
        is_about(quota(&estimate, "export of a day"), 1385.0, 200.0);
        // At 15 ns per byte, 510 bytes take 7.65 us of processor time. With 256 MB, a function gets
        // 256/1769 of a processor.
        is_about(quota(&estimate, "statistics of a day"), 52.86, 28.0);
        // At 15 ns per byte, 700 bytes take 10.5 us, and 1,024 MB get 1024/1769 of a processor. The
        // accounts are read in 250 pages of 400, and each page takes 6 ms.
        is_about(quota(&estimate, "census"), 1.81 + 1.5, 300.0);
    }

    #[test]
    fn reserved_instances_limit_each_function() {
        // At the peak, 34.7 chats begin every second. Half of them wait for 4 seconds in
        // `chat_stream`, whose work takes 27 ms.
        let estimate = LOAD.estimate().unwrap();
        let stack = Stack::load().unwrap();
        let reserved = stack.function("chat_stream").unwrap().reserved.as_ref().unwrap().instances;
        is_about(quota(&estimate, "AskConcurrency"), 17.36 * 4.0265, reserved);
        let whole = Load { streamed: 0.0, ..LOAD }.estimate().unwrap();
        assert_eq!(quota(&whole, "AskConcurrency").what, "instances of chat (AskConcurrency)");
        assert!(
            quota(&estimate, "HashConcurrency").users > quota(&estimate, "AskConcurrency").users
        );
    }

    #[test]
    fn reservations_need_a_quota_for_each_function() {
        // At the peak, a million users begin 174 chats a second. Four fifths of them wait for
        // 4 seconds in `chat_stream`.
        let many = Load { users: 1_000_000.0, chats_per_day: 5.0, streamed: 0.8, ..LOAD };
        let estimate = many.estimate().unwrap();
        let quota = quota(&estimate, "AskConcurrency");
        assert_eq!(quota.moved_by, Remedy::Request);
        let reserved = quota.reservation.as_ref().unwrap();
        assert_eq!(reserved.functions, functions_with("AskConcurrency"));
        assert_eq!(reserved.needs, quota.needs.ceil());
        assert_eq!(reserved.quota, reserved.functions * quota.needs.ceil() + beside_pages());
        assert!(reserved.quota > 2000.0 && reserved.largest < 150.0, "{reserved:?}");
        let shown = estimate.to_string();
        let line = format!("This load needs {}, and a quota of 2,", reserved.needs);
        assert!(shown.contains(&line), "{shown}");
        assert!(!LOAD.estimate().unwrap().to_string().contains("This load needs"));
    }

    #[test]
    fn the_largest_reservation_is_the_largest_that_fits() {
        for instances in [10.0, 1000.0, 5000.0] {
            let mut stack = Stack::load().unwrap();
            stack.quota = instances;
            let estimate = LOAD.estimate_on(&stack).unwrap();
            assert_eq!(quota(&estimate, CONCURRENCY.what).limit, Some(instances));
            let reserved = quota(&estimate, "AskConcurrency").reservation.as_ref().unwrap();
            let room = |each: f64| reserved.functions * each + beside_pages() <= instances;
            assert_eq!(room(reserved.largest), instances > 10.0, "{reserved:?}");
            assert!(!room(reserved.largest + 1.0), "{reserved:?}");
        }
    }

    fn functions_with(parameter: &str) -> f64 {
        let with = |endpoint: &&Endpoint| endpoint.concurrency() == Some(parameter);
        ENDPOINTS.iter().filter(with).count() as f64
    }

    /// How many instances `prod` reserves for functions that don't serve the pages' messages, and
    /// how many AWS keeps.
    fn beside_pages() -> f64 {
        let stack = Stack::load().unwrap();
        let of = |function, parameter| {
            let reserved = stack.function(function).unwrap().reserved.as_ref().unwrap();
            reserved.instances * functions_with(parameter)
        };
        of("login", "HashConcurrency") + of("messages", "ProgramConcurrency") + 100.0
    }

    #[test]
    fn streamed_and_whole_chats_use_separate_method_rates() {
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
    fn each_account_kilobyte_costs_three_write_units() {
        let stack = Stack::load().unwrap();
        let requests = Requests::new(&stack, 4.0).unwrap();
        let writes = |request: &str| requests.row(request).unwrap().writes;
        let more = writes("chat while 63 others wait") - writes("chat");
        assert_eq!((more % ACCOUNT_UNITS, more > 0.0), (0.0, true));
    }

    #[test]
    fn the_places_contain_all_units_of_the_row() {
        let stack = Stack::load().unwrap();
        let requests = Requests::new(&stack, 4.0).unwrap();
        let units: f64 = PLACES.iter().map(|(_, units)| units).sum();
        assert_eq!(units, requests.row(CHAT).unwrap().writes);
    }

    #[test]
    fn the_documentation_shows_the_limits() {
        let shown = include_str!("../../../docs/operate/cost.md");
        assert!(shown.contains(&table()), "docs/operate/cost.md needs this table:\n{}", table());
    }
}
