//! The SQLite file of a Django system.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::record::{Field, Model, PK, RELATIONS, Record, RowId, Source, Value};

/// A copy of an SQLite file.
pub(super) struct SqliteFile {
    copy: Connection,
    models: Vec<Model>,
    /// The table of each model.
    tables: BTreeMap<String, Table>,
    warning: Option<String>,
}

struct Table {
    name: String,
    /// `None` if the table has no primary key, or if several columns form it.
    pk: Option<Column>,
    /// The column of each field.
    columns: BTreeMap<String, Column>,
}

#[derive(Clone)]
struct Column {
    name: String,
    /// True if the column contains UUIDs, which Django stores as 32 hexadecimal digits.
    is_uuid: bool,
    /// True if the column contains true and false, which Django stores as 1 and 0.
    is_bool: bool,
}

impl SqliteFile {
    /// Opens a file. Reads the current state, even while Django is running. An open dump doesn't
    /// block Django.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub fn open(file: &Path) -> Result<Self, String> {
        let warning = missing_log(file);
        let copied = copied(file).and_then(|copy| copy.map(Self::read_schema).transpose());
        let found = copied.map_err(|error| match error.sqlite_error_code() {
            // SQLite can't open the file without writing: it must apply a log or a journal, or
            // create a file in a folder that isn't writable.
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => format!(
                "{} can't be read without changing its folder. Copy it to another folder together \
                 with its -wal or -journal file, open the copy once with Django or sqlite3, and \
                 import the copy.",
                file.display()
            ),
            Some(ErrorCode::DiskFull) => format!(
                "There is no space for a temporary copy of {}. Set SQLITE_TMPDIR to a folder with enough space.",
                file.display()
            ),
            _ => format!("{} can't be read: {error}.", file.display()),
        })?;
        let found =
            found.ok_or_else(|| format!("Another program has locked {}.", file.display()))?;
        Ok(Self { warning, ..found })
    }

    fn read_schema(copy: Connection) -> rusqlite::Result<Self> {
        let labels = labels(&copy)?;
        let (mut models, mut tables) = (Vec::new(), BTreeMap::new());
        for name in table_names(&copy)? {
            let model = label_of(&labels, &name);
            let (fields, table) = table(&copy, &name, &labels)?;
            let any = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(&name));
            let has_rows: bool = copy.query_row(&any, [], |row| row.get(0))?;
            models.push(Model { name: model.clone(), fields, is_empty: !has_rows });
            tables.insert(model, table);
        }
        models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { copy, models, tables, warning: None })
    }

    fn rows(&self, model: &str) -> rusqlite::Result<Vec<RowId>> {
        let Some(table) = self.tables.get(model) else { return Ok(Vec::new()) };
        let all = format!("SELECT _rowid_ FROM {} ORDER BY _rowid_", quoted(&table.name));
        self.copy.prepare(&all)?.query_map([], |row| row.get(0))?.collect()
    }

    fn row(&self, model: &str, id: RowId, fields: &[&str]) -> rusqlite::Result<Record> {
        let table = self.tables.get(model).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let wanted = fields.iter().filter_map(|field| table.columns.get_key_value(*field));
        let wanted: Vec<(&String, &Column)> = wanted.collect();
        let columns = table.pk.iter().chain(wanted.iter().map(|(_, column)| *column));
        let columns: Vec<String> = columns.map(|column| quoted(&column.name)).collect();
        let one = format!(
            "SELECT {} FROM {} WHERE _rowid_ = ?1",
            if columns.is_empty() { "NULL".to_owned() } else { columns.join(", ") },
            quoted(&table.name)
        );
        self.copy.prepare_cached(&one)?.query_row([id], |row| {
            let pk = match &table.pk {
                Some(column) => match value(row.get_ref(0)?, column) {
                    Value::Number(pk) | Value::Text(pk) => Some(pk),
                    _ => None,
                },
                None => None,
            };
            let first = usize::from(table.pk.is_some());
            let values = (first..).zip(&wanted).map(|(index, (field, column))| {
                Ok(((*field).clone(), value(row.get_ref(index)?, column)))
            });
            let mut values: BTreeMap<String, Value> = values.collect::<rusqlite::Result<_>>()?;
            if let Some(pk) = pk.as_ref().filter(|_| fields.contains(&PK)) {
                values.insert(PK.to_owned(), Value::Text(pk.clone()));
            }
            Ok(Record { pk, line: None, fields: Ok(values) })
        })
    }
}

/// Returns a warning if newer changes may be missing: the file is in WAL mode, and its log isn't
/// next to it. Either Django was shut down properly, or only the file was copied.
fn missing_log(file: &Path) -> Option<String> {
    let mut head = [0; 20];
    File::open(file).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    // Bytes 18 and 19 are 2 in WAL mode (https://www.sqlite.org/fileformat.html#the_database_header).
    let is_wal = head.ends_with(&[2, 2]);
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    (is_wal && !Path::new(&log).exists()).then(|| {
        format!(
            "{} is in WAL mode, and its log {} is missing. If Django was running when the file was \
             copied, the newest changes are missing: copy both files, or use `sqlite3 db.sqlite3 \
             \".backup copy.sqlite3\"`.",
            file.display(),
            Path::new(&log).display()
        )
    })
}

/// Copies a file into a temporary file, which is deleted even if the process is killed.
/// `None` if another program has locked the file.
fn copied(file: &Path) -> rusqlite::Result<Option<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let django = Connection::open_with_flags(file, flags)?;
    // Without a name, SQLite creates a temporary file and deletes it itself.
    let mut copy = Connection::open("")?;
    let all_pages = -1;
    let step = Backup::new(&django, &mut copy)?.step(all_pages)?;
    Ok((step == StepResult::Done).then_some(copy))
}

impl Source for SqliteFile {
    fn models(&self) -> &[Model] {
        &self.models
    }

    fn row_ids(&self, model: &str) -> Result<Vec<RowId>, String> {
        self.rows(model).map_err(|error| format!("{model} can't be read: {error}."))
    }

    fn read(&self, model: &str, id: RowId, fields: &[&str]) -> Record {
        self.row(model, id, fields).unwrap_or_else(|error| {
            let reason = format!("the row can't be read: {error}");
            Record { pk: Some(id.to_string()), line: None, fields: Err(reason) }
        })
    }

    fn has_foreign_keys(&self) -> bool {
        true
    }

    fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

fn table_names(copy: &Connection) -> rusqlite::Result<Vec<String>> {
    // Skip virtual tables, which need modules that this SQLite may lack.
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                 AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name";
    copy.prepare(names)?.query_map([], |row| row.get(0))?.collect()
}

/// Returns the labels of Django's models, keyed by their table names in lower case. Models that set
/// their own `db_table` are missing.
fn labels(copy: &Connection) -> rusqlite::Result<HashMap<String, String>> {
    let known = "SELECT app_label, model FROM django_content_type ORDER BY id";
    let Ok(mut known) = copy.prepare(known) else { return Ok(HashMap::new()) };
    let pairs = known.query_map([], |row| {
        let (app, model): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((format!("{app}_{model}").to_lowercase(), format!("{app}.{model}")))
    })?;
    // A model without a label is identified by the name of its table.
    Ok(pairs.flatten().collect())
}

fn label_of(labels: &HashMap<String, String>, table: &str) -> String {
    labels.get(&table.to_lowercase()).cloned().unwrap_or_else(|| table.to_owned())
}

/// Returns a table's fields sorted by name, and the table.
fn table(
    copy: &Connection,
    name: &str,
    labels: &HashMap<String, String>,
) -> rusqlite::Result<(Vec<Field>, Table)> {
    let targets = "SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?1)";
    let targets: HashMap<String, String> = copy
        .prepare_cached(targets)?
        .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let infos = "SELECT name, type, pk FROM pragma_table_info(?1) ORDER BY cid";
    let infos: Vec<(Column, bool)> = copy
        .prepare_cached(infos)?
        .query_map([name], |row| {
            let (name, kind, pk): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let column = Column {
                name,
                is_uuid: kind.eq_ignore_ascii_case("char(32)"),
                is_bool: kind.eq_ignore_ascii_case("bool"),
            };
            Ok((column, pk > 0))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let pks: Vec<&Column> =
        infos.iter().filter(|(_, is_pk)| *is_pk).map(|(column, _)| column).collect();
    let pk = match pks.as_slice() {
        [pk] => Some((*pk).clone()),
        _ => None,
    };
    let field = |column: &str| {
        let relation = column.strip_suffix("_id").filter(|name| {
            (targets.contains_key(column) || RELATIONS.contains(name))
                && infos.iter().all(|(other, _)| other.name != **name)
        });
        relation.unwrap_or(column).to_owned()
    };
    let columns: BTreeMap<String, Column> =
        infos.iter().map(|(column, _)| (field(&column.name), column.clone())).collect();
    let unique = unique_columns(copy, name)?;
    let is_pk = |column: &Column| pk.as_ref().is_some_and(|pk| pk.name == column.name);
    let fields = columns.iter().map(|(field, column)| Field {
        name: field.clone(),
        refers_to: targets.get(&column.name).map(|table| label_of(labels, table)),
        is_unique: is_pk(column) || unique.contains(&column.name),
    });
    Ok((fields.collect(), Table { name: name.to_owned(), pk, columns }))
}

/// Returns the columns whose values are unique. A column is unique if a unique index without a
/// condition covers only this column.
fn unique_columns(copy: &Connection, table: &str) -> rusqlite::Result<HashSet<String>> {
    let single = "SELECT (SELECT name FROM pragma_index_info(list.name)) FROM pragma_index_list(?1) AS list
                  WHERE list.\"unique\" AND NOT list.partial AND (SELECT count(*) FROM pragma_index_info(list.name)) = 1";
    copy.prepare_cached(single)?.query_map([table], |row| row.get(0))?.collect()
}

/// Quotes a name for SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn value(value: ValueRef<'_>, column: &Column) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(flag @ (0 | 1)) if column.is_bool => Value::Bool(flag == 1),
        ValueRef::Integer(number) => Value::Number(number.to_string()),
        ValueRef::Real(number) => Value::Number(format!("{number:?}")),
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) if column.is_uuid => Value::Text(hyphenated(text)),
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Other,
        },
        ValueRef::Blob(_) => Value::Other,
    }
}

/// Formats a UUID as `dumpdata` does. Returns other strings unchanged.
fn hyphenated(digits: &str) -> String {
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return digits.to_owned();
    }
    let mut uuid = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&index) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::tests::Folder;
    use super::super::{Choices, DjangoUser, Dump, ModelChoices};
    use super::*;

    /// The tables as Django creates them.
    const TABLES: &str = "
        CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label text, model text);
        INSERT INTO django_content_type VALUES (1, 'chat', 'user'), (2, 'chat', 'chat'), (3, 'gone', 'x');
        CREATE TABLE chat_user (id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
            password varchar(128) NOT NULL, is_superuser bool NOT NULL,
            username varchar(150) NOT NULL UNIQUE, email varchar(254) NOT NULL,
            is_active bool NOT NULL, date_joined datetime NOT NULL, tokens integer NOT NULL);
        INSERT INTO chat_user VALUES
            (1, '!', 1, 'ann', 'Ann@example.com', 0, '2026-11-24 18:05:46.226974', 4000),
            (2, '!', 0, 'bob', '', 1, '2026-11-24 18:05:46', -5);
        CREATE TABLE chat_chat (id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
            message text NOT NULL, response text NULL, timestamp datetime NOT NULL,
            user_id bigint NULL REFERENCES \"Chat_User\" (id) DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO chat_chat VALUES
            (1, 'later', 'answer', '2026-11-24 18:05:47.000001', 1),
            (2, 'earlier', NULL, '2026-11-24 18:05:46', 1),
            (3, 'lost', 'answer', '2026-11-24 18:05:46', NULL);";

    struct Db {
        folder: Folder,
        django: Connection,
    }

    impl Db {
        fn new(sql: &str) -> Self {
            let folder = Folder::new();
            let django = Connection::open(folder.file("db.sqlite3")).unwrap();
            django.pragma_update(None, "foreign_keys", false).unwrap();
            django.execute_batch(sql).unwrap();
            Self { folder, django }
        }

        fn with(sql: &str) -> Self {
            let db = Self::new(TABLES);
            db.django.execute_batch(sql).unwrap();
            db
        }

        fn file(&self) -> PathBuf {
            self.folder.file("db.sqlite3")
        }

        fn dump(&self) -> Dump {
            Dump::open(&self.file(), &Choices::default()).unwrap()
        }

        fn refused(&self, choices: &Choices) -> String {
            Dump::open(&self.file(), choices).err().unwrap()
        }
    }

    fn user(dump: &Dump, number: usize) -> DjangoUser {
        dump.users().nth(number).unwrap().unwrap()
    }

    #[test]
    fn tables_are_read_as_django_writes_them() {
        let dump = Db::new(TABLES).dump();
        assert_eq!(dump.models().tokens, "chat.user.tokens");
        let (ann, bob) = (user(&dump, 0), user(&dump, 1));
        assert_eq!(ann.row.to_string(), "chat.user 1");
        assert_eq!((ann.superuser, ann.active, ann.tokens), (true, false, 4000));
        assert_eq!(ann.joined, Some(1_795_543_546_226));
        assert_eq!(ann.email.as_deref(), Some("Ann@example.com"));
        assert_eq!((bob.email, bob.joined, bob.tokens), (None, Some(1_795_543_546_000), -5));
        let chats = dump.chats_of(ann.key).into_iter().map(Result::unwrap);
        let chats: Vec<_> =
            chats.map(|chat| (chat.row.to_string(), chat.message, chat.response)).collect();
        assert_eq!(chats[0], ("chat.chat 2".into(), "earlier".into(), "".into()));
        assert_eq!(chats[1], ("chat.chat 1".into(), "later".into(), "answer".into()));
        assert_eq!(dump.chats_of(bob.key), []);
        let lost = dump.chats_without_user();
        assert_eq!((lost.len(), lost[0].row.pk.as_str()), (1, "3"));
        assert_eq!(lost[0].reason, "`user` is null");
    }

    #[test]
    fn tables_without_labels_keep_their_names() {
        let db = Db::with("DROP TABLE django_content_type");
        let chosen = ModelChoices {
            user_model: Some("chat.user".into()),
            chat_model: Some("CHAT_CHAT".into()),
            tokens_field: Some("chat.user.tokens".into()),
            ..ModelChoices::default()
        };
        for models in [chosen, ModelChoices::default()] {
            let choices = Choices { models, ..Choices::default() };
            let dump = Dump::open(&db.file(), &choices).unwrap();
            assert_eq!(user(&dump, 0).row.to_string(), "chat_user 1");
            assert_eq!(dump.models().chats.as_deref(), Some("chat_chat"));
        }
    }

    #[test]
    fn foreign_keys_tell_which_table_a_column_means() {
        let notes = "CREATE TABLE chat_message (id integer PRIMARY KEY, text text, answer text,
                created datetime, owner_id bigint REFERENCES {});
            INSERT INTO chat_message VALUES (1, 'hi', 'hello', '2026-11-24 18:05:46', 2);
            DROP TABLE chat_chat;";
        let refused = Db::with(&notes.replace("{}", "django_content_type"));
        let refused = refused.refused(&Choices::default());
        assert!(refused.contains("chat_message has no relation to chat.user"), "{refused}");
        let dump = Db::with(&notes.replace("{}", "chat_user")).dump();
        assert_eq!(dump.chats_of(user(&dump, 1).key).remove(0).unwrap().message, "hi");
        let dump = Db::with(&notes.replace("REFERENCES {}", "")).dump();
        assert_eq!(dump.chats_of(user(&dump, 1).key).remove(0).unwrap().message, "hi");
    }

    #[test]
    fn relation_is_not_a_balance() {
        let db = Db::with(
            "ALTER TABLE chat_user ADD balance_id bigint REFERENCES django_content_type (id);
             UPDATE chat_user SET balance_id = 1",
        );
        assert_eq!(db.dump().models().tokens, "chat.user.tokens");
    }

    #[test]
    fn wallet_may_have_the_user_as_its_key() {
        let db = Db::with(
            "ALTER TABLE chat_user DROP COLUMN tokens;
             CREATE TABLE shop_wallet (user_id bigint PRIMARY KEY REFERENCES chat_user (id), balance decimal);
             INSERT INTO shop_wallet VALUES (1, '4000.00'), (2, '12.5')",
        );
        let dump = db.dump();
        assert_eq!(
            (dump.models().tokens, user(&dump, 0).tokens),
            ("shop_wallet.balance".into(), 4000)
        );
        let bad = dump.users().nth(1).unwrap().unwrap_err();
        assert_eq!(bad.reason, "shop_wallet 2: `balance` isn't a whole number");
    }

    #[test]
    fn uuids_are_written_as_in_json() {
        let dump = Db::new(
            "CREATE TABLE a_user (password text, email text, tokens integer, id char(32) PRIMARY KEY);
             INSERT INTO a_user VALUES ('!', 'ann@example.com', 1, 'b31a77916ccf4d3ab9e6d1654aa107fd');
             CREATE TABLE a_chat (id integer PRIMARY KEY, prompt text, reply text, time datetime,
                user_id char(32) REFERENCES a_user (id));
             INSERT INTO a_chat VALUES (1, 'hi', 'hello', '2026-11-24 18:05:46', 'b31a77916ccf4d3ab9e6d1654aa107fd')",
        )
        .dump();
        let ann = user(&dump, 0);
        assert_eq!(ann.row.pk, "b31a7791-6ccf-4d3a-b9e6-d1654aa107fd");
        assert_eq!(dump.chats_of(ann.key).len(), 1);
    }

    #[test]
    fn empty_tables_are_ignored() {
        let db = Db::with(
            "CREATE TABLE auth_user AS SELECT * FROM chat_user WHERE false;
             CREATE TABLE old_chat AS SELECT * FROM chat_chat WHERE false",
        );
        assert_eq!(db.dump().models().users, "chat.user");
        db.django.execute_batch("INSERT INTO auth_user SELECT * FROM chat_user").unwrap();
        // Chats refer to only one of the two user models.
        assert_eq!(db.dump().models().users, "chat.user");
        db.django.execute_batch("DELETE FROM chat_chat").unwrap();
        let refused = db.refused(&Choices::default());
        assert!(refused.contains("auth_user (2 rows), chat.user (2 rows)"), "{refused}");
        db.django.execute_batch("DELETE FROM auth_user; DELETE FROM chat_user").unwrap();
        assert!(db.refused(&Choices::default()).contains("No model has users"));
    }

    #[test]
    fn other_values_make_only_their_row_bad() {
        let db = Db::with(
            "UPDATE chat_user SET username = x'00ff' WHERE id = 1;
             UPDATE chat_chat SET user_id = 2, message = CAST(x'ff' AS text) WHERE id = 1",
        );
        let dump = db.dump();
        let bad = dump.users().next().unwrap().unwrap_err();
        assert_eq!(
            (bad.row.to_string(), bad.reason),
            ("chat.user 1".into(), "`username` isn't a text".into())
        );
        let bad = dump.chats_of(user(&dump, 1).key).remove(0).unwrap_err();
        assert_eq!(bad.reason, "`message` isn't a text");
    }

    #[test]
    fn running_django_is_read_at_one_moment_and_not_blocked() {
        for mode in ["delete", "wal"] {
            let db = Db::with(&format!("PRAGMA journal_mode = {mode}"));
            let dump = db.dump();
            db.django
                .execute_batch("UPDATE chat_user SET tokens = 7; DELETE FROM chat_chat")
                .unwrap();
            assert_eq!(user(&dump, 0).tokens, 4000, "{mode}");
            assert_eq!(dump.chats_of(user(&dump, 0).key).len(), 2);
            assert_eq!(user(&db.dump(), 0).tokens, 7);
        }
    }

    #[test]
    fn log_beside_the_file_stays_unchanged() {
        let db = Db::with("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0");
        db.django.execute_batch("UPDATE chat_user SET tokens = 7").unwrap();
        // A killed Django leaves a log whose content isn't in the file yet.
        let copy = db.folder.file("copy.sqlite3");
        let files =
            ["", "-wal"].map(|end| (format!("db.sqlite3{end}"), format!("copy.sqlite3{end}")));
        let read = || files.clone().map(|(_, copy)| std::fs::read(db.folder.file(&copy)).unwrap());
        for (from, to) in &files {
            std::fs::copy(db.folder.file(from), db.folder.file(to)).unwrap();
        }
        let before = read();
        let dump = Dump::open(&copy, &Choices::default()).unwrap();
        assert_eq!(user(&dump, 0).tokens, 7);
        drop(dump);
        assert!(!before[1].is_empty() && read() == before);
    }

    #[test]
    fn unfinished_transaction_is_refused() {
        let db = Db::new(TABLES);
        db.django
            .execute_batch(
                "CREATE TABLE filler (text text); PRAGMA cache_size = 1; BEGIN;
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                 INSERT INTO filler SELECT hex(randomblob(500)) FROM n;
                 UPDATE chat_user SET tokens = 7; UPDATE filler SET text = 'x'",
            )
            .unwrap();
        let copy = db.folder.file("copy.sqlite3");
        std::fs::copy(db.file(), &copy).unwrap();
        let journal = db.folder.file("copy.sqlite3-journal");
        std::fs::copy(db.folder.file("db.sqlite3-journal"), &journal).unwrap();
        let before = std::fs::read(&journal).unwrap();
        let refused = Dump::open(&copy, &Choices::default()).err().unwrap();
        assert!(refused.contains("copy.sqlite3 can't be read without changing"), "{refused}");
        assert_eq!(std::fs::read(&journal).unwrap(), before);
    }
}
