//! The schema list: each table's keys and indexes, and each kind of item's attributes with their
//! types. Also decides which changes to the list need several releases, because the previous
//! release uses the same store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// The document that describes the steps.
pub const PROCEDURE: &str = "docs/operate/release.md#schema-changes";

/// The attributes that are maps keyed by id or by currency. In the list, `*` means any key.
const BY_ID: [&str; 9] = [
    "closed",
    "disputes",
    "free_work",
    "minutes",
    "purses",
    "refunds",
    "reservations",
    "revenue",
    "revoked",
];

/// An attribute's position in the list: the table, the kind of item (or `index`, `local-index` or
/// `table` for the table's own properties), and the attribute's name. A dot separates the names
/// within maps.
type Place = (String, String, String);

/// The properties of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// DynamoDB's name for the type. For an index, its keys and projected attributes.
    pub types: String,
    /// True if every item of the kind has the attribute.
    pub always: bool,
    /// True if this release doesn't need the attribute, and writes it only for the previous
    /// release.
    pub unneeded: bool,
}

/// The list of attributes, one per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema(pub BTreeMap<Place, Fact>);

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(place, fact)| writeln!(f, "{}", line(place, fact)))
    }
}

fn line((table, kind, name): &Place, fact: &Fact) -> String {
    let sometimes = if fact.always { "" } else { " sometimes" };
    let unneeded = if fact.unneeded { " unneeded" } else { "" };
    format!("{table} {kind} {name} {}{sometimes}{unneeded}", fact.types)
}

impl Schema {
    /// Parses the output of `Display`. Lines that begin with `//` are comments.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
        Self(lines.map(Self::parse_line).collect())
    }

    fn parse_line(line: &str) -> (Place, Fact) {
        let words: Vec<&str> = line.split(' ').collect();
        let [table, kind, name, types, marks @ ..] = words.as_slice() else {
            panic!("not a line of the schema list: {line}")
        };
        let unknown = marks.iter().find(|mark| !["sometimes", "unneeded"].contains(mark));
        assert_eq!(unknown, None, "an unknown mark in {line:?}");
        let [table, kind, name, types] = [table, kind, name, types].map(|word| (*word).to_owned());
        let has = |mark: &str| marks.contains(&mark);
        let fact = Fact { types, always: !has("sometimes"), unneeded: has("unneeded") };
        ((table, kind, name), fact)
    }

    /// Returns the schema of items in DynamoDB's JSON.
    pub fn of(items: &BTreeMap<String, Vec<Value>>) -> Self {
        let mut seen: BTreeMap<Place, (usize, BTreeSet<String>)> = BTreeMap::new();
        let mut of_kind: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (table, items) in items {
            for item in items {
                let kind = kind(table, item);
                let mut see = |name: &str, is: &str| {
                    let place = (table.clone(), kind.clone(), name.to_owned());
                    let (count, types) = seen.entry(place).or_default();
                    *count += 1;
                    types.insert(is.to_owned());
                };
                attributes(item, "", &mut see);
                *of_kind.entry((table.clone(), kind)).or_default() += 1;
            }
        }
        let fact = |(table, kind, name): &Place, count: usize, types: &BTreeSet<String>| {
            // An attribute in a map counts as present in every item if it occurs as often as the
            // map.
            let all = match name.rsplit_once('.') {
                Some((_, "*")) => count,
                Some((map, _)) => seen[&(table.clone(), kind.clone(), map.to_owned())].0,
                None => of_kind[&(table.clone(), kind.clone())],
            };
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            Fact { types: types.join("|"), always: count == all, unneeded: false }
        };
        let facts = seen.iter().map(|(at, (count, types))| (at.clone(), fact(at, *count, types)));
        Self(facts.collect())
    }

    /// Returns the lines that are marked as unneeded.
    pub fn unneeded(&self) -> Self {
        let marked = self.0.iter().filter(|(_, fact)| fact.unneeded);
        Self(marked.map(|(place, fact)| (place.clone(), fact.clone())).collect())
    }
}

/// Returns an item's kind, which is the beginning of its key. Accounts' tombstones are a separate
/// kind. The kind of a ledger row is the row's `kind`.
pub fn kind(table: &str, item: &Value) -> String {
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
    let until =
        |text: &str, mark: char| text.split_once(mark).map(|(before, _)| format!("{before}{mark}"));
    let key = match table {
        "KeysTable" => return "key".into(),
        "FilesTable" => return "file".into(),
        "LedgerTable" => text("user_id"),
        "ChatsTable" => text("chat_id"),
        _ => text("pk"),
    };
    match until(key, ':').as_deref() {
        Some("user:") if !item["deleted"].is_null() => "user:(deleted)".into(),
        Some("attempt:") => {
            until(&key[8..], ':').map_or_else(String::new, |what| format!("attempt:{what}"))
        }
        Some("idem:") if key.starts_with("idem:call-") => "idem:call-".into(),
        Some("mailed:") if key.contains('#') => "mailed:#".into(),
        Some("figures:") if key.ends_with("#calls") => "figures:#calls".into(),
        Some("figures:") if key.ends_with("#costs") => "figures:#costs".into(),
        Some("figures:") if key.contains('#') => "figures:#".into(),
        Some("share:") if key.contains('#') => "share:#".into(),
        Some(kind) => kind.to_owned(),
        None => until(key, '#').unwrap_or_else(|| match table {
            "LedgerTable" => text("kind").to_owned(),
            "ChatsTable" => "message".into(),
            _ => key.to_owned(),
        }),
    }
}

/// Calls `see` with each attribute's name and type, including attributes within maps.
fn attributes(item: &Value, within: &str, see: &mut impl FnMut(&str, &str)) {
    for (name, value) in item.as_object().into_iter().flatten() {
        let map = within.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let name = if BY_ID.contains(&map) { "*" } else { name };
        let (is, value) = value.as_object().and_then(|value| value.iter().next()).unwrap();
        let name = format!("{within}{name}");
        see(&name, is);
        if is == "M" {
            attributes(value, &format!("{name}."), see);
        }
    }
}

/// Returns the problems with a schema change. Each problem says what to do. `before` is the
/// previous release's schema with the marks in its list, `listed` is the current list, and `now` is
/// this release's schema.
pub fn complaints(before: &Schema, listed: &Schema, now: &Schema) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut says = |(table, kind, name): &Place, what: String| {
        wrong.push(format!("{table} {kind} {name}: {what} The steps: {PROCEDURE}"));
    };
    for (place, fact) in &now.0 {
        match listed.0.get(place) {
            None => says(
                place,
                format!(
                    "it is new. The release before doesn't know it, and older items lack it. If that is right, add the line `{}` to the list.",
                    line(place, fact),
                ),
            ),
            Some(known) if known.types != fact.types => says(
                place,
                format!(
                    "it was {} and is {} now. Give an attribute with a new type a new name.",
                    known.types, fact.types,
                ),
            ),
            Some(known) if known.always && !fact.always => says(
                place,
                "every item had it, and not every item has it now. The release before may need it."
                    .into(),
            ),
            Some(known) if !known.always && fact.always => says(
                place,
                "the list says `sometimes`, but every item has it. Correct the list.".into(),
            ),
            Some(_) => {}
        }
    }
    for place in listed.0.keys().filter(|place| !now.0.contains_key(place)) {
        says(place, "the list has it, but it is gone. Was it renamed? The release before may need it: write it until no release that runs does.".into());
    }
    for (place, known) in &before.0 {
        match listed.0.get(place) {
            _ if known.unneeded && !listed.0.contains_key(place) => {}
            None => says(
                place,
                "the release before needs it, but the list doesn't have it. Keep writing it, and mark its line as `unneeded`: the release after this one may drop it.".into(),
            ),
            Some(fact) if fact.types != known.types => says(place, format!(
                "the release before stores {}, and the list says {}. Give an attribute with a new type a new name.",
                known.types, fact.types,
            )),
            Some(fact) if known.always && !fact.always && !known.unneeded => says(
                place,
                "every item of the release before has it, and it may need that. Keep writing it to all.".into(),
            ),
            Some(_) => {}
        }
    }
    let tables: BTreeSet<&String> =
        before.0.keys().chain(listed.0.keys()).map(|(table, ..)| table).collect();
    for table in tables {
        let indexes = |schema: &Schema, kind: &str| -> BTreeSet<String> {
            let of_kind = schema.0.keys().filter(|place| place.0 == *table && place.1 == kind);
            of_kind.map(|place| place.2.clone()).collect()
        };
        let changed = |kind: &str| {
            let (before, listed) = (indexes(before, kind), indexes(listed, kind));
            before.symmetric_difference(&listed).cloned().collect::<Vec<_>>()
        };
        let several = changed("index");
        if several.len() > 1 {
            says(
                &(table.clone(), "index".into(), several.join(", ")),
                "CloudFormation changes one index of a table at a time. One release each.".into(),
            );
        }
        // Only a new table, which no release has yet, may get local indexes.
        let is_new = !before.0.keys().any(|place| place.0 == *table);
        for index in changed("local-index").into_iter().filter(|_| !is_new) {
            says(
                &(table.clone(), "local-index".into(), index),
                "a table has its local indexes from its creation on. Use a global one.".into(),
            );
        }
    }
    wrong
}
