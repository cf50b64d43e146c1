//! The dump of a Django system, and its import into a store.

use std::path::PathBuf;

use local::manage::import::dump::Dump;
use local::manage::import::pace::Waits;
use local::manage::import::progress::Progress;
use local::manage::import::{self, Import};
use serde_json::{Value, json};
use shared::App;
use uuid::Uuid;

/// The password that matches [`HASH`].
pub const PASSWORD: &str = "secret123";

/// A hash that Django 5.2 made, with 1,000 iterations.
pub const HASH: &str =
    "pbkdf2_sha256$1000$ughDLyFihs0RmEU0WQfF20$B55Uyh15iWuvAB5T76VHBTvC9c0cGCJLwytOjz0W/H4=";

/// Returns the row of a user who joined in March 2021.
pub fn user(pk: u64, name: &str, tokens: i64) -> Value {
    json!({ "model": "shop.user", "pk": pk, "fields": {
        "username": name, "email": "", "password": HASH, "first_name": "", "last_name": "",
        "is_active": true, "is_superuser": false, "date_joined": "2021-03-04T05:06:07.891Z",
        "tokens": tokens,
    } })
}

/// Returns the row of a message.
pub fn message(pk: u64, user: u64, text: &str, time: &str) -> Value {
    json!({ "model": "shop.chat", "pk": pk, "fields": {
        "user": user, "message": text, "response": format!("{text}!"), "timestamp": time,
    } })
}

/// Returns a row with different values for some fields.
pub fn with(mut row: Value, fields: Value) -> Value {
    for (field, value) in fields.as_object().unwrap() {
        row["fields"][field] = value.clone();
    }
    row
}

/// A `dumpdata` file with one row on each line, from line 2 on. The file is deleted at the end of
/// the test.
pub struct DumpFile(PathBuf);

impl DumpFile {
    pub fn of(rows: &[Value]) -> Self {
        let file = std::env::temp_dir().join(format!("farebox-{}.json", Uuid::new_v4()));
        let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        std::fs::write(&file, format!("[\n{}\n]\n", rows.join(",\n"))).unwrap();
        Self(file)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// An empty file, for example for a database. Its name ends with `end`.
    pub fn empty(end: &str) -> Self {
        Self(std::env::temp_dir().join(format!("farebox-{}{end}", Uuid::new_v4())))
    }

    /// Returns an import of this dump with `--apply`.
    pub fn import(&self) -> Import {
        Import { file: self.0.clone(), name: "shop".into(), apply: true, ..Import::default() }
    }

    /// Imports the dump into the store of `app`.
    pub async fn import_into(&self, app: &App) -> Result<String, String> {
        run(app, self.import()).await
    }
}

impl Drop for DumpFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Imports into the store of `app`, as if no functions used it.
pub async fn run(app: &App, import: Import) -> Result<String, String> {
    waiting(app, import, Waits::default()).await
}

/// Like [`run`], but waits according to `waits` while DynamoDB throttles the import.
pub async fn waiting(app: &App, import: Import, waits: Waits) -> Result<String, String> {
    let dump = Dump::open(&import.file, &import.choices)?;
    import::into_store(app, &dump, &import, true, waits, &Progress::default()).await
}
