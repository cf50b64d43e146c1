//! Kills (SIGKILL) the real Lambda binary of `embeddings` before and after each of its calls to the
//! store, at the first request with an idempotency key and at its repetition.

use futures_util::future::join_all;
use futures_util::stream::{StreamExt, iter};
use serde_json::{Value, json};

use super::instance;
use crate::support::client::{GRANT, Person};
use crate::support::function::event;
use crate::support::lambda::binary;
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Lane, Plan};
use crate::support::rig::Rig;
use crate::support::world::{EMBEDDINGS, World};

const PATH: &str = "/v1/embeddings";

/// The model tokens of a request, which each cost one credit.
const TOKENS: u64 = 7;

/// The call at which the function is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Record,
    Reserve,
    Settle,
    /// The request is repeated. The store counts the repetition, and then releases its empty hold.
    Count,
    Release,
}

impl At {
    const ALL: [Self; 5] = [Self::Record, Self::Reserve, Self::Settle, Self::Count, Self::Release];

    fn is_repeated(self) -> bool {
        matches!(self, Self::Count | Self::Release)
    }

    fn point(self) -> FaultPoint {
        match self {
            Self::Record => FaultPoint::Operation("GetItem", 1),
            Self::Reserve => FaultPoint::Operation("UpdateItem", 1),
            Self::Settle => FaultPoint::Operation("TransactWriteItems", 1),
            Self::Count => FaultPoint::Operation("UpdateItem", 2),
            Self::Release => FaultPoint::Operation("UpdateItem", 3),
        }
    }
}

/// A request whose function is killed.
struct Case {
    at: At,
    fault: Fault,
    lane: Lane,
    who: Person,
}

impl Case {
    fn body() -> Value {
        json!({ "model": "small", "input": format!("!used {TOKENS} and more words") })
    }

    async fn asks(&self) -> u16 {
        self.who.post_once("k1", PATH, Self::body()).await.status.as_u16()
    }

    async fn is_killed(&self) {
        if self.at.is_repeated() {
            assert_eq!(self.asks().await, 200);
        }
        let instance = instance("embeddings", &self.lane).await;
        let strikes = FaultRepeat::FromThenOn;
        self.lane.strike(Some(Plan { at: self.at.point(), fault: self.fault, strikes }));
        let headers = [("authorization", self.who.bearer()), ("idempotency-key", "k1".into())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        instance.takes(&event("embeddings", PATH, &headers, &Self::body()));
        self.lane.struck().await;
        instance.kill();
        self.lane.calm();
    }

    /// Returns true if the request is paid for after the kill.
    fn is_paid(&self) -> bool {
        self.at.is_repeated() || self.at == At::Settle && self.fault == Fault::StallAfter
    }

    fn is_charged(&self, world: &World, paid: bool) {
        let id = &self.who.id;
        let rows = world.ledger(id).iter().filter(|row| row.reason == EMBEDDINGS).count();
        assert_eq!(rows, usize::from(paid), "{:?} {:?}", self.at, self.fault);
        let spent = world.accounts[id].spent.get();
        assert_eq!(spent, if paid { TOKENS } else { 0 }, "{:?} {:?}", self.at, self.fault);
        assert_eq!(world.audit(id), [""; 0], "{:?} {:?}", self.at, self.fault);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_embeddings_are_charged_at_most_once_per_key() {
    binary("embeddings");
    let rig = Rig::of_processes().await;
    let via = json!(["scripted", "openai"]);
    rig.api
        .prices(&json!({ "models": [
            { "name": "quick", "via": via, "fare": { "message": 100 } },
            { "name": "small", "kind": "embedding", "via": via, "fare": { "input": 1_000_000 } },
        ]}))
        .await;
    let mut cases = Vec::new();
    for at in At::ALL {
        for fault in [Fault::StallBefore, Fault::StallAfter] {
            cases.push(Case { at, fault, lane: rig.proxy.lane(), who: rig.person().await });
        }
    }
    iter(&cases).for_each_concurrent(4, Case::is_killed).await;
    let world = rig.world().await;
    cases.iter().for_each(|case| case.is_charged(&world, case.is_paid()));

    // Half of the clients never ask again, and get back what was held.
    let (asking, silent): (Vec<_>, Vec<_>) =
        cases.iter().partition(|case| case.fault == Fault::StallBefore || case.at == At::Settle);
    rig.after_the_lease();
    assert_eq!(join_all(asking.iter().map(|case| case.asks())).await, vec![200; asking.len()]);
    rig.after_the_lease();
    rig.sweep().await;
    let world = rig.world().await;
    asking.iter().for_each(|case| case.is_charged(&world, true));
    silent.iter().for_each(|case| case.is_charged(&world, case.is_paid()));
    for case in &cases {
        assert_eq!(world.at_rest(&case.who.id), [""; 0], "{:?} {:?}", case.at, case.fault);
        let account = &world.accounts[&case.who.id];
        assert_eq!(account.tokens.get() + account.spent.get(), GRANT);
    }
}
