//! Tests the documents. Sends the requests in the README and the tour, and compares the replies
//! with the documents. Also checks that the files that documents link to exist.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::clock::Day;
use shared::values::{PICTURE_BYTES, PRICED_PICTURE};

use crate::support::client::{Answer, Api, token_in};

const README: &str = include_str!("../../README.md");
const TOUR: &str = include_str!("../../docs/use/api-tour.md");
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");
const HOST: &str = "http://127.0.0.1:3000";

#[tokio::test]
async fn requests_in_the_readme_get_the_replies_shown() {
    assert_eq!(walk(README).await, 3);
}

#[tokio::test]
async fn requests_in_the_tour_get_the_replies_shown() {
    let replies = walk(TOUR).await;
    assert!(replies >= 30, "only {replies} replies were compared");
}

/// Sends a document's requests to a new server, and compares the replies with the document. Returns
/// the number of replies in the document.
async fn walk(document: &str) -> usize {
    let api = Api::own(&[("AI_PROVIDER", "echo")]).await;
    let mut variables = HashMap::new();
    let mut replies = 0;
    let mut last = None;
    for (language, block) in blocks(document) {
        match (language, last.take()) {
            ("sh", _) => {
                for command in block.lines().filter(|line| line.contains("curl ")) {
                    last = run(&api, command, &mut variables).await;
                }
            }
            ("text", Some(answer)) => {
                let deltas = |text: &str| {
                    text.split("\n\n")
                        .filter(|event| event.starts_with("event: delta"))
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                };
                let events = answer.as_str().unwrap();
                assert_eq!(deltas(block), deltas(events));
                assert!(
                    !deltas(block).is_empty() && events.contains("event: done\ndata: {\"id\":"),
                    "{events}"
                );
                replies += 1;
            }
            ("json", Some(answer)) => {
                let shown: Value = serde_json::from_str(block)
                    .unwrap_or_else(|error| panic!("{error} in {block}"));
                assert_alike("", &shown, &answer);
                replies += 1;
            }
            _ => {}
        }
    }
    replies
}

#[test]
fn links_in_documents_lead_to_existing_files() {
    for (document, text) in documents() {
        for link in links(&text) {
            let target = link.split('#').next().unwrap();
            let stands = target.is_empty()
                || target.contains("://")
                || document.parent().unwrap().join(target).exists();
            assert!(stands, "{} links to {link}", document.display());
        }
    }
}

#[test]
fn links_to_headings_lead_to_existing_headings() {
    let documents = documents();
    let anchors: HashMap<_, _> =
        documents.iter().map(|(document, text)| (document, anchors(text))).collect();
    let mut wrong = Vec::new();
    for (document, text) in &documents {
        for link in links(text).filter(|link| !link.contains("://")) {
            let Some((target, anchor)) = link.split_once('#') else { continue };
            let target = match target {
                "" => document.clone(),
                target => document.parent().unwrap().join(target),
            };
            let Ok(target) = target.canonicalize() else { continue };
            if anchors.get(&target).is_some_and(|known| !known.contains(anchor)) {
                wrong.push(format!("{} links to {link}", document.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_code_block_names_its_language_and_ends() {
    for (document, text) in documents() {
        let mut is_open = false;
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| line.contains("```")) {
            let fence = line.trim_start().strip_prefix("```");
            let is_language =
                |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
            let is_right = fence.is_some_and(|word| match is_open {
                true => word.is_empty(),
                false => is_language(word),
            });
            assert!(is_right, "{}:{number}: {line}", document.display());
            is_open = !is_open;
        }
        assert!(!is_open, "the last code block of {} doesn't end", document.display());
    }
}

#[test]
fn documents_name_the_sizes_of_pictures() {
    for (before, bytes) in
        [("picture counts as ", PRICED_PICTURE), ("picture adds ", PICTURE_BYTES)]
    {
        let sizes = |text: String| -> Vec<String> {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let size =
                |after: &str| after.split([' ', '.', ',']).take(2).collect::<Vec<_>>().join(" ");
            text.split(before).skip(1).map(size).collect()
        };
        let named: BTreeSet<String> = documents().into_values().flat_map(sizes).collect();
        assert_eq!(named, BTreeSet::from([format!("{} KB", bytes / 1024)]), "{before:?}");
    }
}

/// Returns the documents, keyed by path.
fn documents() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap();
    let inside = |folder: &Path| {
        let found = std::fs::read_dir(folder).unwrap();
        found.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    let docs = inside(&root.join("docs"));
    let rooms = docs.iter().filter(|path| path.is_dir()).flat_map(|folder| inside(folder));
    let mut documents: Vec<_> = rooms.chain(docs.iter().cloned()).collect();
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(documents.len() > 10, "{documents:?}");
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "clients/README.md",
        "scripts/README.md",
    ];
    documents.extend(others.map(|name| root.join(name)));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    documents.into_iter().map(read).collect()
}

/// Returns the targets of a document's links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Returns the anchors of a document's headings, as GitHub generates them.
fn anchors(text: &str) -> HashSet<String> {
    let mut is_code = false;
    let mut anchors = HashSet::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if is_code || heading.len() == line.len() {
            continue;
        }
        let shown = heading.trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        anchors.insert(shown.chars().filter(kept).collect::<String>().replace(' ', "-"));
    }
    anchors
}

/// Returns a version's three numbers. `None` if `text` isn't a version.
fn version(text: &str) -> Option<[u32; 3]> {
    let numbers: Option<Vec<u32>> = text.split('.').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[test]
fn the_newest_version_in_the_changelog_is_the_workspaces() {
    let headings: Vec<&str> =
        CHANGELOG.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings[0], "Unreleased");
    let released: Vec<([u32; 3], Day)> = headings[1..]
        .iter()
        .map(|heading| {
            let (number, day) = heading.split_once(" - ").unwrap_or_else(|| panic!("{heading}"));
            (version(number).expect(number), Day::parse(day).expect(day))
        })
        .collect();
    assert_eq!(Some(released[0].0), version(env!("CARGO_PKG_VERSION")));
    for pair in released.windows(2) {
        let [(later, later_day), (earlier, earlier_day)] = pair else { unreachable!() };
        assert!(later > earlier && later_day >= earlier_day, "{later:?} follows {earlier:?}");
    }
}

/// Returns the fenced blocks in a Markdown document, each with its language.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap_or((block, "")))
}

/// Runs a `curl` line. A line of the form `NAME=$(curl .. | sed 's/.*"field":..')` stores a field
/// of the reply in a variable. If the reply is a list, the variable gets the field of the last
/// item.
async fn run(api: &Api, line: &str, variables: &mut HashMap<String, String>) -> Option<Value> {
    let Some((name, rest)) = line.split_once("=$(") else {
        return Some(curl(api, line, variables).await.body);
    };
    let (command, sed) = rest.split_once(" | sed ").unwrap_or_else(|| panic!("{line}"));
    let field = sed.split('"').nth(1).unwrap_or_else(|| panic!("{line}"));
    let body = curl(api, command, variables).await.body;
    let body = body.as_array().and_then(|list| list.last()).unwrap_or(&body);
    variables.insert(
        name.to_owned(),
        body[field].as_str().unwrap_or_else(|| panic!("no {field} in {body}")).to_owned(),
    );
    None
}

async fn curl(api: &Api, command: &str, variables: &HashMap<String, String>) -> Answer {
    let mut command = command.to_owned();
    // These link tokens are in the second and the third e-mail.
    for (name, mail) in [("$VERIFY", 1), ("$RESET", 2)] {
        if !command.contains(name) {
            continue;
        }
        command = command
            .replace(name, &token_in(&api.mails_to("ann@example.com", mail + 1).await[mail]));
    }
    for (name, value) in variables {
        command = command.replace(&format!("${name}"), value);
    }
    let mut words = shlex::split(&command).unwrap_or_else(|| panic!("{command}")).into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"), "{command}");
    let mut headers = vec![("user-agent".to_owned(), "curl/8.5.0".to_owned())];
    let (mut path, mut method, mut body) = (String::new(), None, Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "-s" => {}
            "-H" => headers.push(
                words
                    .next()
                    .unwrap()
                    .split_once(": ")
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .unwrap(),
            ),
            "-X" => method = words.next(),
            "-d" => body = words.next().unwrap().into_bytes(),
            url => path = url.strip_prefix(HOST).unwrap_or_else(|| panic!("{url}")).to_owned(),
        }
    }
    let method = method
        .unwrap_or_else(|| if body.is_empty() { "GET".into() } else { "POST".into() })
        .parse()
        .unwrap();
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    api.raw(method, &path, &headers, body).await
}

/// Asserts that two replies have the same fields with the same values. For a value that changes
/// from run to run, only the kind must match.
fn assert_alike(at: &str, shown: &Value, real: &Value) {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            assert_eq!(shown.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>(), "{at}");
            shown.iter().for_each(|(name, value)| {
                assert_alike(&format!("{at}.{name}"), value, &real[name])
            });
        }
        (Value::Array(shown), Value::Array(real)) => {
            assert_eq!(shown.len(), real.len(), "{at}");
            shown.iter().zip(real).for_each(|(shown, real)| assert_alike(at, shown, real));
        }
        (Value::String(shown), Value::String(real)) => {
            let kind = |text| kind(at, text);
            assert!(
                shown == real || kind(shown).is_some() && kind(shown) == kind(real),
                "{at}: {shown} {real}"
            )
        }
        (Value::Number(_), Value::Number(seconds)) if [".created", ".created_at"].contains(&at) => {
            assert!(seconds.as_u64() > Some(1_700_000_000), "{seconds}")
        }
        _ => assert_eq!(shown, real, "{at}"),
    }
}

/// Returns the kind of a value that changes from run to run. `None` if the value doesn't change.
fn kind(at: &str, text: &str) -> Option<&'static str> {
    let base64 = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if text.starts_with("eyJ") {
        Some("token")
    } else if text.starts_with("sk-") {
        Some("API key")
    } else if text.starts_with("chatcmpl-") || text.starts_with("cmpl-") {
        Some("completion")
    } else if text.starts_with("resp_") || text.starts_with("msg_") {
        Some("response")
    } else if at.ends_with(".hint") && text.len() == 4 && text.chars().all(base64) {
        Some("hint")
    } else if text.len() == 36 && text.matches('-').count() == 4 {
        Some("id")
    } else if text.len() == 24 && text.ends_with('Z') && text.contains('T') {
        Some("time")
    } else if at.ends_with(".month") && Day::parse(&format!("{text}-01")).is_some() {
        Some("month")
    } else if at == ".version" && version(text).is_some() {
        Some("version")
    } else if text.len() == 43 && text.chars().all(base64) {
        Some("key")
    } else if text.starts_with("http://127.0.0.1:") {
        Some("URL of the server")
    } else {
        None
    }
}
