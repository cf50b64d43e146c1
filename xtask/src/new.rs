//! `cargo xtask new`: adds an endpoint that compiles, passes the tests and answers requests.

use std::fs;
use std::path::Path;

use clap::Args;
use functions::{ENDPOINTS, ROUTES};

use crate::Failure;

/// A new endpoint. It requires an access token, reads the caller's account, and answers with a
/// sentence.
#[derive(Args)]
pub struct NewEndpoint {
    /// The name of the endpoint, its file, binary and event: lower case, with underscores
    name: String,
    /// The method: GET, POST, PUT, PATCH or DELETE
    method: String,
    /// The path, without a trailing slash or parameters. No other endpoint may have this path
    path: String,
    /// The endpoint's folder in functions/src, and its test's folder in tests/endpoints, such as
    /// account
    #[arg(long)]
    room: String,
}

impl NewEndpoint {
    /// Writes the endpoint's file, its row, and its test.
    pub fn write(&self, root: &Path) -> Result<(), Failure> {
        self.check()?;
        let Self { name, method, path, room } = self;
        let change = |file: &str, change: &dyn Fn(&str) -> Option<String>| -> Result<(), Failure> {
            let at = root.join(file);
            let text = fs::read_to_string(&at).map_err(|error| format!("{file}: {error}"))?;
            let text = change(&text).ok_or_else(|| {
                format!("{file} has another form than this command expects: add {name} by hand")
            })?;
            Ok(fs::write(at, text)?)
        };
        let create = |file: &str, text: String| -> Result<(), Failure> {
            fs::write(root.join(file), text).map_err(|error| format!("{file}: {error}").into())
        };
        create(&format!("functions/src/{room}/{name}.rs"), self.handler())?;
        change(&format!("functions/src/{room}.rs"), &|text| {
            let row = format!("\n        {name}: {method} \"{path}\";\n    }}");
            let group = text.find("    Route::without_path(PROBLEMS) => {")?;
            let end = group + text.get(group..)?.find("\n    }")?;
            let (before, after) = (text.get(..end)?, text.get(end + "\n    }".len()..)?);
            in_order(&format!("{before}{row}{after}"), "pub mod ", &format!("pub mod {name};"))
        })?;
        create(&format!("tests/endpoints/{room}/{name}.rs"), self.test())?;
        change(&format!("tests/endpoints/{room}.rs"), &|text| {
            in_order(text, "pub mod ", &format!("pub mod {name};"))
        })?;
        println!(
            "{method} {path} is functions/src/{room}/{name}.rs. Next: `cargo xtask generate` and \
             `cargo test --workspace`."
        );
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        let Self { name, method, path, room } = self;
        let words = name.split('_');
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !words.clone().all(is_word) || ENDPOINTS.iter().any(|endpoint| endpoint.name == name) {
            return Err("NAME must have lower-case words and be new, such as ring_bell".into());
        }
        if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
            return Err("METHOD must be GET, POST, PUT, PATCH or DELETE".into());
        }
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let is_path = path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment));
        if !is_path || ROUTES.iter().any(|route| route.path == path) {
            return Err("PATH must be new and have no parameters, such as /api/bell".into());
        }
        let rooms = ENDPOINTS.iter().filter_map(|endpoint| endpoint.module.split("::").nth(1));
        let rooms: std::collections::BTreeSet<&str> = rooms.collect();
        if !rooms.contains(room.as_str()) {
            let rooms: Vec<&str> = rooms.into_iter().collect();
            return Err(format!("--room must be one of {}", rooms.join(", ")).into());
        }
        Ok(())
    }

    /// Returns the name as words: `Ring bell` for `ring_bell`.
    fn words(&self) -> String {
        let words = self.name.replace('_', " ");
        let (first, rest) = words.split_at(1);
        first.to_uppercase() + rest
    }

    fn is_for_administrators(&self) -> bool {
        self.room == "admin"
    }

    fn handler(&self) -> String {
        let Self { name, method, path, .. } = self;
        let (words, utoipa) = (self.words(), method.to_lowercase());
        let tag = match self.room.as_str() {
            "account" | "auth" => "Accounts",
            "admin" => "Administration",
            "anthropic" => "Anthropic",
            "chats" => "Chat",
            "openai" => "OpenAI",
            _ => "Service",
        };
        let check = match self.is_for_administrators() {
            true => "auth::administrator(&app, &req, async { Ok(()) }).await?;",
            false => {
                "let caller = auth::caller(&app, &req).await?;\n    app.store.account_of(&caller).await?;"
            }
        };
        let lambda = format!("Lambda::new(\"{words}\").permits(permits![VERIFY_TOKENS])");
        // Break a long line as rustfmt does.
        let lambda = match lambda.len() > 65 {
            true => format!("\n    {lambda}"),
            false => format!(" {lambda}"),
        };
        format!(
            r#"//! `{method} {path}` - say here what it does.
//!
//! Reads the account with strong consistency.

use shared::view::Done;
use shared::{{App, Reply, Request, auth, http}};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda ={lambda};

/// {words}
///
/// Say here what it does.
#[utoipa::path(
    {utoipa},
    path = super::path::{name},
    tag = "{tag}",
    security(("access_token" = [])),
    responses((status = 200, description = "It is done.", body = Done)),
)]
pub async fn handle(app: App, req: Request) -> Reply {{
    {check}
    http::ok(&Done {{ message: "Done." }})
}}
"#
        )
    }

    fn test(&self) -> String {
        let Self { name, method, path, .. } = self;
        let (import, name, check) = match self.is_for_administrators() {
            true => ("", format!("{name}_is_for_administrators"), "answer.is(403);"),
            false => (
                "use serde_json::json;\n",
                format!("{name}_answers"),
                r#"assert_eq!(answer.is(200), json!({ "message": "Done." }));"#,
            ),
        };
        format!(
            r#"//! `{method} {path}`.

use reqwest::Method;
{import}
use crate::support::client::Api;

#[tokio::test]
async fn {name}() {{
    let api = Api::start().await;
    let bearer = format!("Bearer {{}}", api.person("ann").await.access);
    let headers = [("authorization", bearer.as_str())];
    let answer = api.send(Method::{method}, "{path}/", &headers, None).await;
    {check}
}}
"#
        )
    }
}

/// Inserts a line at its sorted position among the lines with the same beginning.
fn in_order(text: &str, beginning: &str, line: &str) -> Option<String> {
    let alike = |other: &&str| other.starts_with(beginning) && other.ends_with(';');
    let lines: Vec<&str> = text.lines().collect();
    let next = lines.iter().position(|other| alike(other) && *other > line);
    let at = next.or_else(|| Some(lines.iter().rposition(alike)? + 1))?;
    let (before, after) = lines.split_at_checked(at)?;
    Some([before, &[line], after].concat().join("\n") + "\n")
}
