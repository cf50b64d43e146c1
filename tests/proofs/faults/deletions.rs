//! A deletion ends an account permanently. It erases all items of the account, and no items of
//! other accounts.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};
use shared::store::{ChatLimits, ErasureReport, Hold, ReserveOutcome, SettleOutcome};
use shared::values::file::file_id;
use shared::values::{
    AccessToken, Account, Allowances, Chat, Credential, Email, File, FileContent, FileInfo, Quote,
};
use shared::{App, Credits, Error};

use super::{Case, Matrix, OwnStore, Scenario, disturb, none, one_store_each, side_by_side};
use crate::support::client::{DAY, PRICE, unique};
use crate::support::function::{Reply, ask};
use crate::support::proxy::{FaultRepeat, Plan};
use crate::support::rig::{Rig, create_account, strong_hash};
use crate::support::world::{World, put, scan};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deleting {
    /// The deleted account has an e-mail address, which becomes free for other accounts.
    Address,
    Name,
}

impl Scenario for Deleting {
    type Reply = Reply;
    type Own = ();

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let name = unique("ann");
        let address =
            (self == Self::Address).then(|| Email::parse(&format!("{name}@example.com")).unwrap());
        let who = rig.person_with(name, strong_hash(), address).await;
        let case = Case::new(rig, "account_delete", self, plan, retries, who, ());
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let bearer = case.who.bearer();
        ask(
            case.function(),
            "account_delete",
            "/api/user",
            &[("authorization", &bearer)],
            json!({ "password": "secret123" }),
        )
        .await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 202
    }
}

/// Returns true if this account was deleted exactly once.
fn is_deleted(account: &Account) -> bool {
    account.deleted.is_some()
        && !account.active
        && account.auth_epoch == 2
        && account.email.is_none()
        && account.password != strong_hash()
}

impl Case<Deleting> {
    fn audit(&mut self, moment: &str, world: &World) {
        let mut wrong = world.audit(&self.who.id);
        for reply in &self.replies {
            wrong.extend(reply.audit(&[(202, ""), (401, "invalid_token"), (503, "unavailable")]));
        }
        let account = &world.accounts[&self.who.id];
        let claimed = world.claims.iter().any(|claim| claim["id"] == self.who.id.as_str());
        let done = self.replies.iter().any(|reply| !reply.is_unknown());
        match account.deleted {
            Some(_) if !is_deleted(account) || claimed => {
                wrong.push(format!("half deleted: {account:?}, claimed: {claimed}"))
            }
            None if done || !account.active || claimed != (self.scenario == Deleting::Address) => {
                wrong.push(format!("not deleted: {account:?}, claimed: {claimed}"));
            }
            _ => {}
        }
        self.notes(moment, wrong);
    }

    /// Checks that late copies don't affect another user who registers the name and the address
    /// after the deletion.
    async fn is_outlived(&mut self, rig: &Rig) {
        let app = &rig.api.server().apps["register"];
        let address = Email::parse(&format!("{}@example.com", self.who.name)).unwrap();
        let (other, _) = create_account(app, &self.who.name, strong_hash(), Some(address)).await;
        self.lane.deliver_much_later().await;
        let (by_name, by_address) = (
            app.store.account_with_login(&other.label).await.unwrap(),
            app.store.account_with_login(&format!("{}@example.com", other.label)).await.unwrap(),
        );
        for found in [by_name, by_address] {
            let same = found
                .as_ref()
                .is_some_and(|found| found.id == other.id && found.active && found.auth_epoch == 1);
            self.notes(
                "after another user took the name",
                (!same).then(|| format!("{other:?} became {found:?}")),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_are_atomic_and_final_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&[Deleting::Address, Deleting::Name]).cases(&rig).await;
    disturb(&mut cases).await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &world));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            // The API refuses deleted users.
            case.runs_again(&[(202, ""), (401, "invalid_token")]).await;
        }
        case.lane.deliver_much_later().await;
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &world));

    let app = &rig.api.server().apps["erase"];
    app.store.erase(app.clock.seconds() + DAY.as_secs() + 1, DAY).await.unwrap();
    cases.retain(|case| world.accounts[&case.who.id].deleted.is_some());
    side_by_side(&mut cases, async |case| case.is_outlived(&rig).await).await;
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}

/// Erases the deleted accounts in a whole store.
#[derive(Clone, Copy, Debug)]
struct Erasing;

/// The end of a lease that outlasts the tests.
const LASTS: u64 = u32::MAX as u64;

/// An active account and three deleted accounts: one was deleted just now, one a day ago, and one
/// while a chat was running.
const PEOPLE: [&str; 4] = ["alive", "fresh", "old", "busy"];

/// Each account has a chat with a file, a session, and enough conversations to need a second batch.
const LIMITS: ChatLimits = ChatLimits {
    parallel: 64,
    parallel_of_account: 64,
    per_minute: 64,
    refunds: 64,
    refunds_of_caller: 64,
    free_work: Credits::MAX,
    allowances: Allowances { users: None, administrators: None },
};
const CHATS: usize = 1;
const FILES: usize = 1;
const TITLES: usize = 25;
const SESSIONS: usize = 1;

async fn lives(app: &App, dynamodb: &str, name: &str) -> (Account, AccessToken) {
    let (account, session) = create_account(app, name, "no hash of any password", None).await;
    let caller = AccessToken::new(&account, &session, session.ends);
    let payer = Credential::Session(caller.clone());
    for _ in 0..CHATS {
        let (chat_id, cost) = (app.clock.id(), Credits::new(PRICE).unwrap());
        let mut hold = Hold::new(&payer, chat_id, Quote::flat(cost), LASTS);
        assert_eq!(app.store.reserve(&payer, &mut hold, LIMITS, 0).await, Ok(ReserveOutcome::Held));
        let text = || "hi".to_owned();
        let (user_id, chat_id, tokens_left) =
            (account.id.clone(), chat_id.to_string(), hold.balance_after());
        let info = FileInfo {
            id: file_id(&chat_id, 0),
            name: "a.txt".into(),
            kind: "text/plain".into(),
            bytes: 2,
            tokens: Some(2),
            high: Some(2),
        };
        let file = File {
            user_id: user_id.clone(),
            info: info.clone(),
            content: FileContent::Text(text()),
            expires_at: None,
        };
        app.store.store_files(&hold, &[file]).await.unwrap();
        let chat = Chat {
            user_id,
            chat_id,
            message: text(),
            response: text(),
            cost,
            tokens_left,
            time: 1,
            month: text(),
            files: vec![info],
            ..Chat::default()
        };
        assert_eq!(app.store.settle(&hold, &chat, 0).await, Ok(SettleOutcome::Stored));
    }
    let title = |title| json!({ "user_id": account.id, "chat_id": format!("c#{title}") });
    put(dynamodb, "ChatsTable", &(0..TITLES).map(title).collect::<Vec<_>>()).await;
    (account, caller)
}

impl Scenario for Erasing {
    type Reply = Result<ErasureReport, Error>;
    type Own = OwnStore;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let case = Case::scheduled(rig, "erase", self, plan, retries).await;
        let (app, dynamodb) = (&case.app, &case.own.dynamo.url);
        let now = app.clock.seconds();
        for name in PEOPLE {
            let (account, caller) = lives(app, dynamodb, name).await;
            if name == "busy" {
                let payer = Credential::Session(caller.clone());
                let mut hold = Hold::new(
                    &payer,
                    app.clock.id(),
                    Quote::flat(Credits::new(PRICE).unwrap()),
                    LASTS,
                );
                assert_eq!(
                    app.store.reserve(&payer, &mut hold, LIMITS, 0).await,
                    Ok(ReserveOutcome::Held)
                );
            }
            if name != "alive" {
                let deleted = if name == "old" { now - DAY.as_secs() } else { now };
                app.store.delete_account(&caller, &account, "no hash", deleted).await.unwrap();
            }
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Self::Reply {
        Ok(case.app.store.erase(case.app.clock.seconds(), DAY).await?)
    }

    fn is_usual(self, reply: &Self::Reply) -> bool {
        // When a delete is retried, the store doesn't report whether the first attempt deleted the
        // item.
        matches!(reply, Ok(ErasureReport { accounts: 3, items, gone: 0 | 1 }) if *items == 3 * (CHATS + FILES + TITLES + SESSIONS))
    }
}

impl Case<Erasing> {
    async fn runs_to_its_end(&mut self) {
        let done = self.runs_once().await;
        self.audit("after the erasing", done).await;

        self.succeeds("the second erasing").await;
        let before = self.audit("after the second erasing", true).await;
        let third = Erasing::ask(self).await;
        let rest = ErasureReport { accounts: 1, ..ErasureReport::default() };
        self.notes("the third erasing", (third != Ok(rest)).then(|| format!("{third:?}")));
        self.lane.deliver_much_later().await;
        let after = self.audit("after late copies", true).await;
        self.notes(
            "after late copies",
            (after != before).then(|| format!("{before:?} became {after:?}")),
        );

        // Once the last lease has ended, and the day for which tombstones are kept has passed, only
        // the active account remains.
        self.app.store.sweep(LASTS).await.unwrap();
        let end = self.app.store.erase(LASTS, DAY).await;
        self.notes(
            "the last erasing",
            (end != Ok(ErasureReport { accounts: 2, items: 0, gone: 2 }))
                .then(|| format!("{end:?}")),
        );
        self.lane.deliver_much_later().await;
        let left = self.audit("at the end", true).await;
        self.notes("at the end", (left.len() != 1).then(|| format!("{left:?} are left")));
    }

    /// Records the violations, and returns the remaining accounts.
    async fn audit(&mut self, moment: &str, erased: bool) -> Vec<String> {
        let mut wrong = self.wrong_outcomes();
        let dynamodb = &self.own.dynamo.url;
        let (items, accounts) = (
            scan::<Value>(dynamodb, "ChatsTable").await,
            scan::<Account>(dynamodb, "UsersTable").await,
        );
        let alive = accounts.iter().find(|account| account.name == "alive").unwrap();
        let files = World::read(dynamodb).await.files;
        let of_others = files.keys().filter(|owner| **owner != alive.id).count();
        if files.get(&alive.id).map(HashSet::len) != Some(FILES) || erased && of_others > 0 {
            wrong.push(format!("the files are {files:?}"));
        }
        let others = items.iter().filter(|item| item["user_id"] != alive.id.as_str()).count();
        if items.len() - others != CHATS + TITLES {
            wrong.push(format!(
                "{} of the {} items of the existing account are left",
                items.len() - others,
                CHATS + TITLES
            ));
        }
        if erased && others > 0 {
            wrong.push(format!("{others} items of deleted accounts are left"));
        }
        let names: BTreeSet<_> = accounts.iter().map(|account| account.name.as_str()).collect();
        if moment != "at the end"
            && (!names.is_superset(&BTreeSet::from(["alive", "fresh", "busy"]))
                || (erased && names.contains("old")))
        {
            wrong.push(format!("the accounts are {names:?}"));
        }
        for name in &names {
            wrong.extend(
                self.app
                    .store
                    .audit(name)
                    .await
                    .unwrap()
                    .differences
                    .iter()
                    .map(|difference| format!("{name}: {difference}")),
            );
        }
        self.notes(moment, wrong);
        let mut left: Vec<_> = accounts.iter().map(|account| format!("{account:?}")).collect();
        left.sort();
        left
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasures_remove_all_of_deleted_accounts_and_nothing_else() {
    let rig = Rig::start().await;
    let matrix = Matrix {
        strikes: vec![FaultRepeat::Once, FaultRepeat::FromThenOn],
        ..Matrix::of(&[Erasing])
    };
    none(one_store_each(&rig, matrix, async |case| case.runs_to_its_end().await).await);
}
