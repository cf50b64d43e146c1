//! Shared chats: their creation, their ends by the author and by an administrator, and the dismissal
//! of a report. All items of a shared chat are stored and deleted together, and an ended chat stays
//! ended.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::store::ShareReport;
use shared::values::{Reason, ShareLink};

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::client::Person;
use crate::support::function::{Reply, ask};
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Plan};
use crate::support::rig::Rig;
use crate::support::world::scan;

const PATH: &str = "/api/user/shares";

/// The length of an answer that doesn't fit into one part of a shared chat, in bytes.
const LENGTH: usize = 256_500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Creation,
    /// The author ends a shared chat that a reader has reported.
    End,
    /// An administrator ends a shared chat that a reader has reported.
    EndByAdministrator,
    /// An administrator dismisses the report.
    Dismissal,
}

impl Sharing {
    const ALL: [Self; 4] = [Self::Creation, Self::End, Self::EndByAdministrator, Self::Dismissal];

    fn endpoint(self) -> &'static str {
        match self {
            Self::Creation => "share_create",
            Self::End => "share_end",
            Self::EndByAdministrator | Self::Dismissal => "admin_share_end",
        }
    }

    /// The status of a success, and of a retry after the request was applied.
    fn statuses(self) -> [(u16, &'static str); 2] {
        match self {
            Self::Creation => [(201, ""), (201, "")],
            Self::End | Self::EndByAdministrator => [(200, ""), (404, "no_such_share")],
            Self::Dismissal => [(200, ""), (404, "not_found")],
        }
    }
}

struct Own {
    root: Person,
    conversation: String,
    /// The shared chat that is ended or was reported. Null for a creation.
    share: Value,
    /// The id of the report about it.
    report: String,
    /// True if what the request deletes was gone at an earlier moment.
    is_gone: bool,
}

impl Scenario for Sharing {
    type Reply = Reply;
    type Own = Own;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let (who, root) = (rig.person().await, rig.person().await);
        rig.api.set(&root, "role", AttributeValue::S("admin".into())).await;
        let conversation = long_chat(rig, &who).await;
        let (share, report) = match self {
            Self::Creation => (Value::Null, String::new()),
            Self::End | Self::EndByAdministrator | Self::Dismissal => {
                let share = json!({ "conversation_id": conversation });
                let share = who.post(PATH, share).await.is(201);
                let report = is_reported(rig, &share).await;
                (share, report)
            }
        };
        let own = Own { root, conversation, share, report, is_gone: false };
        let case = Case::new(rig, self.endpoint(), self, plan, retries, who, own);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let Own { root, conversation, share, report, .. } = &case.own;
        let id = share["id"].as_str().unwrap_or_default();
        let (bearer, path, body) = match case.scenario {
            Self::Creation => {
                (case.who.bearer(), PATH.to_owned(), json!({ "conversation_id": conversation }))
            }
            Self::End => (case.who.bearer(), format!("{PATH}/{id}"), Value::Null),
            Self::EndByAdministrator => {
                (root.bearer(), format!("/api/admin/shares/{id}"), Value::Null)
            }
            Self::Dismissal => {
                (root.bearer(), format!("/api/admin/shares/{id}/reports/{report}"), Value::Null)
            }
        };
        let headers = [("authorization", bearer.as_str())];
        ask(case.function(), case.scenario.endpoint(), &path, &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == self.statuses()[0].0
    }
}

/// Sends a message, and makes its answer too long for one part of a shared chat. Returns the
/// conversation's id.
async fn long_chat(rig: &Rig, who: &Person) -> String {
    let chat = who.chat("hi").await.is(200)["id"].as_str().unwrap().to_owned();
    let update = emulator::dynamo::client(&rig.api.dynamodb)
        .update_item()
        .table_name("ChatsTable")
        .key("user_id", AttributeValue::S(who.id.clone()))
        .key("chat_id", AttributeValue::S(chat.clone()))
        .update_expression("SET #answer = :long")
        .expression_attribute_names("#answer", "response")
        .expression_attribute_values(":long", AttributeValue::S("x".repeat(LENGTH)));
    update.send().await.unwrap();
    chat
}

/// Stores a reader's report about a shared chat. Returns the report's id.
async fn is_reported(rig: &Rig, share: &Value) -> String {
    let store = rig.api.store();
    let link = ShareLink::parse(share["link"].as_str().unwrap()).unwrap();
    let share = store.open_share(&link).await.unwrap().unwrap();
    let report = ShareReport::new(&share, &Reason::parse("bad").unwrap(), &rig.api.server().clock);
    store.report_share(&share, &report).await.unwrap();
    report.id().to_owned()
}

/// An item in the Tokens table, without its messages.
#[derive(Deserialize)]
struct Item {
    pk: String,
    #[serde(default)]
    user_id: String,
    /// The link and the number of parts of a shared chat.
    link: Option<String>,
    parts: Option<u32>,
    /// The ids in an author's list.
    #[serde(default)]
    ids: BTreeSet<String>,
    /// The shared chat of a report.
    share: Option<String>,
}

/// The items of shared chats, and how many actions on each author are on the trail.
struct Stored {
    items: Vec<Item>,
    acts: HashMap<String, usize>,
}

impl Stored {
    async fn read(rig: &Rig) -> Self {
        let items = emulator::dynamo::client(&rig.api.dynamodb)
            .scan()
            .table_name("TokensTable")
            .projection_expression("pk, user_id, parts, ids, #link, #share")
            .expression_attribute_names("#link", "link")
            .expression_attribute_names("#share", "share")
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut items = items.collect::<Result<Vec<_>, _>>().await.unwrap();
        items.retain(|item| {
            let pk = item["pk"].as_s().unwrap();
            ["share:", "shares:", "report:"].iter().any(|kind| pk.starts_with(kind))
        });
        let items = items.into_iter().map(|item| serde_dynamo::from_item(item).unwrap()).collect();
        let mut acts = HashMap::<String, usize>::new();
        for row in scan::<Value>(&rig.api.dynamodb, "LedgerTable").await {
            if let Some(owner) = row["user_id"].as_str().unwrap().strip_prefix("standing#") {
                *acts.entry(owner.to_owned()).or_default() += 1;
            }
        }
        Self { items, acts }
    }

    /// Returns this author's items whose pk begins with `prefix`.
    fn of<'s>(&'s self, author: &'s str, prefix: &'s str) -> impl Iterator<Item = &'s Item> {
        let is_it = move |item: &&Item| item.user_id == author && item.pk.starts_with(prefix);
        self.items.iter().filter(is_it)
    }

    /// Returns this author's shared chats.
    fn shares<'s>(&'s self, author: &'s str) -> impl Iterator<Item = &'s Item> {
        self.of(author, "share:").filter(|item| !item.pk.contains('#'))
    }

    /// Returns the rules that this author's items violate.
    fn audit(&self, author: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let ids = self.shares(author).map(|share| share.pk.strip_prefix("share:").unwrap());
        let ids: BTreeSet<&str> = ids.collect();
        let parts = self.of(author, "share:").map(|item| item.pk.as_str());
        let parts: BTreeSet<&str> = parts.filter(|pk| pk.contains('#')).collect();
        let parts_of = |share: &Item| {
            let pk = share.pk.clone();
            (0..share.parts.unwrap_or(0)).map(move |part| format!("{pk}#{part}"))
        };
        let expected: BTreeSet<String> = self.shares(author).flat_map(parts_of).collect();
        if !parts.iter().eq(expected.iter()) || expected.len() != 2 * ids.len() {
            wrong.push(format!("the parts {parts:?} instead of {expected:?}"));
        }
        let listed: BTreeSet<&str> =
            self.of(author, "shares:").flat_map(|list| &list.ids).map(String::as_str).collect();
        if listed != ids {
            wrong.push(format!("{listed:?} are listed of {ids:?}"));
        }
        wrong
    }
}

impl Case<Sharing> {
    fn audit(&mut self, moment: &str, stored: &Stored) {
        let (scenario, author) = (self.scenario, self.who.id.clone());
        let mut wrong = stored.audit(&author);
        let allowed = [&scenario.statuses()[..], &[(503, "unavailable")][..]].concat();
        wrong.extend(self.replies.iter().flat_map(|reply| reply.audit(&allowed)));
        let shares = stored.shares(&author).count();
        let done = self.replies.iter().filter(|reply| scenario.is_usual(reply)).count();
        let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
        let is_missing = self.replies.iter().any(|reply| reply.status == 404);
        let is_over = done > 0 || is_missing || self.own.is_gone;
        let id = self.own.share["id"].as_str();
        let is_of_it = |item: &&Item| item.share.is_some() && item.share.as_deref() == id;
        let reports = stored.items.iter().filter(is_of_it).count();
        let is_on_the_trail = match scenario {
            Sharing::Creation => {
                let links: BTreeSet<_> =
                    stored.shares(&author).filter_map(|share| share.link.as_deref()).collect();
                let created = self.replies.iter();
                let mut created = created.filter_map(|reply| reply.body["link"].as_str());
                let all_exist = created.all(|link| links.contains(link));
                if !(done..=done + unknown).contains(&shares) || !all_exist {
                    wrong.push(format!("{shares} shared chats after {:?}", self.replies));
                }
                false
            }
            Sharing::End | Sharing::EndByAdministrator => {
                if shares > 0 && is_over {
                    wrong.push("an ended chat is shared".into());
                }
                self.own.is_gone = shares == 0;
                if reports != shares {
                    wrong.push("a report without a shared chat, or the other way round".into());
                }
                scenario == Sharing::EndByAdministrator && shares == 0
            }
            Sharing::Dismissal => {
                if shares != 1 || reports > 0 && is_over {
                    wrong.push(format!("{shares} shared chats, and {reports} reports"));
                }
                self.own.is_gone = reports == 0;
                self.own.is_gone
            }
        };
        let acts = stored.acts.get(&author).copied().unwrap_or(0);
        if acts != usize::from(is_on_the_trail) {
            wrong.push(format!("{acts} actions are on the trail"));
        }
        self.notes(moment, wrong);
    }

    /// Checks that readers see a whole chat, or that the chat isn't shared.
    async fn is_read(&mut self, rig: &Rig, stored: &Stored) {
        let stored: Vec<&str> =
            stored.shares(&self.who.id).filter_map(|share| share.link.as_deref()).collect();
        let ended = self.own.share["link"].as_str().into_iter();
        let links: BTreeSet<&str> = stored.iter().copied().chain(ended).collect();
        let mut wrong = Vec::new();
        for link in links {
            let reply = rig.api.get(&format!("/api/shares/{link}")).await;
            let is_whole = reply.status == 200
                && reply.body["messages"][0]["answer"].as_str().map(str::len) == Some(LENGTH);
            let is_none = reply.status == 404;
            if !(if stored.contains(&link) { is_whole } else { is_none }) {
                wrong.push(format!("a reader gets {}", reply.status));
            }
        }
        self.notes("for readers", wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_are_shared_and_ended_whole_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&Sharing::ALL).cases(&rig).await;
    disturb(&mut cases).await;
    let stored = Stored::read(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &stored));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            // The store forgets the request tokens, so only its items show that it applied the
            // request.
            case.lane.forgets_tokens();
            let expected = case.scenario.statuses();
            case.runs_again(&expected).await;
        }
    })
    .await;
    let stored = Stored::read(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &stored));

    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    let stored = Stored::read(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &stored));
    side_by_side(&mut cases, async |case| case.is_read(&rig, &stored).await).await;
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}

#[tokio::test]
async fn no_late_copy_of_its_creation_shares_an_ended_chat() {
    let rig = Rig::start().await;
    for fault in [Fault::Again, Fault::Late] {
        let at = FaultPoint::Operation("TransactWriteItems", 1);
        let plan = Plan { at, fault, strikes: FaultRepeat::Once };
        let mut case = Sharing::Creation.begin(&rig, Some(plan), false).await;
        case.asks().await;
        let share = case.replies[0].body.clone();
        assert_eq!(case.replies[0].status, 201, "{fault:?}: {share}");
        let [id, link] = ["id", "link"].map(|name| share[name].as_str().unwrap());
        case.who.delete(&format!("{PATH}/{id}")).await.is(200);
        // The copy arrives within the ten minutes in which the store remembers its request token.
        case.lane.deliver().await;
        let stored = Stored::read(&rig).await;
        assert_eq!(stored.audit(&case.who.id), [""; 0], "{fault:?}");
        assert_eq!(stored.shares(&case.who.id).count(), 0, "{fault:?}");
        rig.api.get(&format!("/api/shares/{link}")).await.expect(404, "no_such_share");
    }
}
