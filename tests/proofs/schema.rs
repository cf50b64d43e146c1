//! Checks that two releases can share one store. This release must work on a store of the previous
//! release, and the previous release must be able to read this release's items.
//! docs/operate/release.md describes the steps of a schema change. `later` tests kinds, roles and
//! reasons that only a later release uses.
//!
//! `tests/recorded/store.jsonl` is the store of an earlier release, and `tests/recorded/schema.txt`
//! lists what this release stores.

mod after;
mod later;
mod life;
mod list;
mod record;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::after::{within, works};
use self::list::{PROCEDURE, Schema, complaints, kind};
use self::record::Record;
use crate::support::client::Api;

/// An attribute that no release has yet.
const LATER: &str = "of_a_later_release";

fn recorded(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recorded").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(recorded(file)).unwrap()
}

fn before() -> Record {
    Record::parse(&read("store.jsonl"))
}

fn listed() -> Schema {
    Schema::parse(&read("schema.txt"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_previous_release_works() {
    works(&before()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_additions_are_kept_and_later_removals_tolerated() {
    let mut record = before();
    let dropped = listed().unneeded();
    for (table, items) in &mut record.items {
        for item in items.iter_mut() {
            let kind = kind(table, item);
            let is_dropped = |name: &str| {
                dropped.0.contains_key(&(table.clone(), kind.clone(), name.to_owned()))
            };
            item.as_object_mut().unwrap().retain(|name, _| !is_dropped(name));
            add_later(item);
        }
    }
    for table in ["UsersTable", "TokensTable"] {
        let unknown = json!({ "pk": { "S": "later:1" }, LATER: { "S": "a new kind of item" } });
        record.items.get_mut(table).unwrap().push(unknown);
    }
    let (dynamo, _api) = works(&record).await;
    for (table, items) in record::items(&dynamo.url).await {
        // These items don't keep the unknown attribute: a claim passes to another account, a name
        // passes to another user, and both items are then written again.
        let stays =
            |item: &&Value| !["email:", "user:(deleted)"].contains(&kind(&table, item).as_str());
        let before: BTreeSet<String> =
            record.items[&table].iter().filter(stays).map(|item| key(&table, item)).collect();
        for item in items.iter().filter(|item| before.contains(&key(&table, item))) {
            assert!(!item[LATER].is_null(), "an item was replaced: {item}");
        }
    }
}

/// Adds an attribute to an item, and to each map in the item that has named fields.
fn add_later(item: &mut Value) {
    for name in ["letter", "reservations"] {
        let maps = item.get_mut(name).and_then(|map| map["M"].as_object_mut());
        for (_, map) in maps.into_iter().flatten() {
            map["M"][LATER] = json!({ "S": "a new field" });
        }
    }
    item[LATER] = json!({ "S": "a new attribute" });
}

/// Returns an item's key as a string.
fn key(table: &str, item: &Value) -> String {
    let names: &[&str] = match table {
        "KeysTable" => &["kid"],
        "ChatsTable" => &["user_id", "chat_id"],
        "LedgerTable" => &["user_id", "entry_id"],
        _ => &["pk"],
    };
    names.iter().map(|name| item[name].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_release_can_read_stored_items() {
    let (dynamo, api) = life::server().await;
    let now = life::record(&api, "").await.schema();
    drop(dynamo);
    let wrong = complaints(&before().schema(), &listed(), &now);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Records the store behind the gateway for `scripts/dev/record-store`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/dev/record-store runs it"]
async fn records_the_store_behind_the_gateway() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("no {name}"));
    let list = Schema::parse(&std::fs::read_to_string(variable("RELEASE_LIST")).unwrap());
    let mut record = life::record(&Api::start().await, &variable("RELEASE")).await;
    record.head.unneeded = list.unneeded().to_string();
    std::fs::write(recorded("store.jsonl"), record.text()).unwrap();
}

/// Returns the lines of code in a file or folder of `shared/src`, except comments and unit tests.
fn code(path: &str) -> Vec<String> {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src").join(path);
    if whole.is_dir() {
        let files = std::fs::read_dir(whole).unwrap().map(|file| file.unwrap().file_name());
        return files
            .flat_map(|file| code(&format!("{path}/{}", file.to_str().unwrap())))
            .collect();
    }
    let text = std::fs::read_to_string(whole).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    code.lines().filter(is_code).map(str::to_owned).collect()
}

/// Returns the string literals in these lines.
fn literals(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// Returns the first word of a string, without a leading `#`.
fn word(text: &str) -> &str {
    let text = text.trim_start_matches('#');
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn the_list_has_every_attribute_in_the_code() {
    let listed = listed();
    let listed: BTreeSet<&str> = listed.0.keys().flat_map(|(_, _, name)| name.split('.')).collect();
    let store = code("store");
    let updates: Vec<String> = literals(&store)
        .map(|literal| literal.replace("REMOVE ", "SET ").replace("ADD ", "SET "))
        .collect();
    let updated = updates.iter().flat_map(|update| update.split("SET ").skip(1));
    let updated = updated.flat_map(|names| names.split(", ")).map(word);
    // The modules whose types have optional fields, which some items lack.
    let values = ["account", "admin_act", "api_key", "chat", "entry", "session"];
    let values = values.iter().flat_map(|value| code(&format!("values/{value}.rs")));
    let is_of_document = |line: &String| line.trim_start().starts_with("#[schema");
    let items = store.iter().cloned().chain(values);
    let items: Vec<String> = items.filter(|line| !is_of_document(line)).collect();
    let optional = items.windows(2).filter(|lines| lines[0].contains("skip_serializing_if"));
    let optional = optional.map(|lines| {
        // A field may have a different name in the store, or a visibility: `pub(super) name: ..`.
        if let Some((_, renamed)) = lines[0].split_once("rename = \"") {
            return word(renamed);
        }
        let (declared, _) = lines[1].split_once(": ").unwrap_or((&lines[1], ""));
        word(declared.rsplit(' ').next().unwrap_or(declared))
    });
    let named: BTreeSet<&str> = updated.chain(optional).filter(|name| !name.is_empty()).collect();
    assert!(named.len() > 40 && named.contains("due") && named.contains("pending_email"));
    let missing: Vec<_> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "life.rs has no use that writes {missing:?}. {PROCEDURE}");
}

#[test]
fn the_list_has_every_kind_of_key_in_the_code() {
    let listed = listed();
    let kinds: BTreeSet<&str> = listed.0.keys().map(|(_, kind, _)| kind.as_str()).collect();
    let lines = code("store/schema.rs");
    let keys: Vec<&str> = literals(&lines)
        .filter(|text| text.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter(|text| text[word(text).len()..].starts_with([':', '#']))
        // These aren't the beginnings of keys. They are prefixes in an index: of deleted and of
        // temporary conversations, and of the messages in temporary ones.
        .filter(|text| !["d#", "t#", "temporary#{}"].contains(text))
        .collect();
    assert!(keys.len() > 12, "{keys:?}");
    let is_listed = |key: &&&str| kinds.iter().any(|kind| key.starts_with(kind));
    let missing: Vec<_> = keys.iter().filter(|key| !is_listed(key)).collect();
    assert!(missing.is_empty(), "life.rs has no use that writes {missing:?}. {PROCEDURE}");
}

const SAMPLE: &str = "\
UsersTable index by_time month:S,id:S,KEYS_ONLY()
UsersTable table key pk:S
UsersTable user: email S sometimes
UsersTable user: tokens N
";

/// Returns the complaints about a schema change: `before` is the recorded release's schema,
/// `listed` is the list of attributes, and `now` is this release's schema.
fn said(before: &str, listed: &str, now: &str) -> Vec<String> {
    let [before, listed, now] = [before, listed, now].map(Schema::parse);
    complaints(&before, &listed, &now)
}

#[track_caller]
fn is_said(said: &[String], of: &str) {
    let [sentence] = said else { panic!("{said:#?}") };
    assert!(sentence.contains(of) && sentence.ends_with(PROCEDURE), "{sentence}");
}

#[test]
fn schema_changes_are_noticed_and_their_steps_named() {
    assert_eq!(said(SAMPLE, SAMPLE, SAMPLE), Vec::<String>::new());
    assert_eq!(Schema::parse(SAMPLE).to_string(), SAMPLE);
    let with = |line: &str| format!("{SAMPLE}{line}\n");
    let without = |line: &str| SAMPLE.replace(&format!("{line}\n"), "");
    let instead = |line: &str, other: &str| SAMPLE.replace(line, other);
    let (tokens, email) = ("UsersTable user: tokens N", "UsersTable user: email S sometimes");

    let new = with("UsersTable user: colour S");
    is_said(&said(SAMPLE, SAMPLE, &new), "add the line `UsersTable user: colour S`");
    assert_eq!(said(SAMPLE, &new, &new), Vec::<String>::new(), "new, and listed");

    is_said(&said(SAMPLE, SAMPLE, &without(email)), "it is gone. Was it renamed?");
    is_said(&said(SAMPLE, &without(email), &without(email)), "the release before needs it");
    let marked = with("").replace(email, &format!("{email} unneeded"));
    assert_eq!(said(SAMPLE, &marked, SAMPLE), Vec::<String>::new(), "still written");
    assert_eq!(said(&marked, &without(email), &without(email)), Vec::<String>::new(), "may go");

    let retyped = instead(tokens, "UsersTable user: tokens S");
    is_said(&said(SAMPLE, SAMPLE, &retyped), "it was N and is S now");
    is_said(&said(SAMPLE, &retyped, &retyped), "stores N, and the list says S");

    let rarer = instead(tokens, "UsersTable user: tokens N sometimes");
    is_said(&said(SAMPLE, SAMPLE, &rarer), "not every item has it now");
    is_said(&said(SAMPLE, &rarer, &rarer), "every item of the release before has it");
    is_said(&said(&rarer, &rarer, SAMPLE), "Correct the list");
}

#[test]
fn a_release_changes_one_index_per_table_and_no_local_index() {
    let [one, other] = ["one", "other"].map(|name| format!("UsersTable index {name} a:S,ALL()\n"));
    let more = format!("{SAMPLE}{one}");
    assert_eq!(said(SAMPLE, &more, &more), Vec::<String>::new());
    let more = format!("{SAMPLE}{one}{other}");
    is_said(&said(SAMPLE, &more, &more), "one index of a table at a time");
    let other_key = SAMPLE.replace("month:S", "month:N");
    is_said(&said(SAMPLE, SAMPLE, &other_key), "Give an attribute with a new type a new name");
    let local = format!("{SAMPLE}UsersTable local-index one a:S,ALL()\n");
    is_said(&said(SAMPLE, &local, &local), "from its creation on");
    let table = "NewTable local-index one a:S,ALL()\n";
    let table = format!("{SAMPLE}{table}");
    assert_eq!(said(SAMPLE, &table, &table), Vec::<String>::new());
}

#[test]
fn replies_may_gain_fields_but_not_lose_any() {
    let before = json!({ "id": 1, "list": [{ "a": "x" }] });
    let more = json!({ "id": 1, "list": [{ "a": "x", "b": 2 }], "new": null });
    assert_eq!(within(&before, &more), Ok(()));
    for other in [
        json!({ "id": 1 }),
        json!({ "id": 1, "list": [] }),
        json!({ "id": 1, "list": [{ "a": "y" }] }),
    ] {
        assert!(within(&before, &other).is_err(), "{other}");
    }
}
