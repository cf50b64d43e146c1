//! The users and chats of a Django system, read from a `dumpdata` JSON file or an SQLite file, and
//! the users of any other system, read from JSON lines.
//!
//! Every project names its models differently, so models are found by their fields. A row that
//! can't be read is reported with a reason and doesn't affect the others. No value is guessed.

mod flags;
mod json;
mod links;
mod models;
mod record;
mod sqlite;
mod turns;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use clap::Args;
use flags::Condition;
use json::JsonFile;
use links::{Links, UserIndex};
use models::{Answer, Balance, ChatModel, PASSWORD, UserModel};
use record::{Record, RowId, Source};
use sqlite::SqliteFile;

pub use flags::{Flag, Unused};

/// The maximum number of characters of a primary key that messages show.
const SHOWN_PK: usize = 100;

/// The operator's decisions about questions that the file leaves open.
#[derive(Args, Clone, Debug, Default)]
pub struct Choices {
    /// The models and fields of a file from Django.
    #[arg(skip)]
    pub models: ModelChoices,
    /// Give every user this balance, instead of one from the file
    #[arg(long, value_name = "TOKENS")]
    pub tokens: Option<u64>,
    /// Multiply balances, for example by 100 if the file's balances are in dollars and a token is
    /// worth a cent
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub scale: Option<u32>,
    /// Users can't log in if this field is true, or has this value: FIELD or FIELD=VALUE
    #[arg(long, value_name = "FIELD")]
    pub inactive_if: Vec<String>,
    /// This field doesn't say whether users can log in
    #[arg(long, value_name = "FIELD")]
    pub ignore: Vec<String>,
}

/// The operator's choices of models and fields. A model is a label such as `chat.user`, or a table
/// such as `chat_user`.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelChoices {
    /// The user model, if several models fit
    #[arg(long, value_name = "APP.MODEL")]
    pub user_model: Option<String>,
    /// The field of the user model with which people log in, or pk
    #[arg(long, value_name = "FIELD")]
    pub login_field: Option<String>,
    /// The balance: a field of the user model, or app.model.field
    #[arg(long, value_name = "FIELD", conflicts_with = "tokens")]
    pub tokens_field: Option<String>,
    /// The chat model, if several models fit
    #[arg(long, value_name = "APP.MODEL")]
    pub chat_model: Option<String>,
    /// The field of the chat model that refers to the user
    #[arg(long, value_name = "FIELD")]
    pub user_field: Option<String>,
    /// The field with the message
    #[arg(long, value_name = "FIELD")]
    pub message_field: Option<String>,
    /// The field with the response
    #[arg(long, value_name = "FIELD", conflicts_with = "role_field")]
    pub response_field: Option<String>,
    /// The field that says who wrote a row, if the user and the AI have a row each
    #[arg(long, value_name = "FIELD")]
    pub role_field: Option<String>,
    /// The field with the time
    #[arg(long, value_name = "FIELD")]
    pub time_field: Option<String>,
    /// Import no messages
    #[arg(long, conflicts_with = "chat_model")]
    pub no_messages: bool,
}

/// The models that were found in a dump, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    /// The user model, such as `chat.user`.
    pub users: String,
    /// The balance, such as `chat.user.tokens`.
    pub tokens: String,
    /// The chat model. `None` if there is no such model, or it has no rows.
    pub chats: Option<String>,
}

/// The position of a row in a dump. Displayed as `chat.chat 17 (line 5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The model's label, or its table if the label is unknown.
    pub model: String,
    /// The primary key, or the username of a user without a primary key.
    pub pk: String,
    /// The line on which the row starts, counted from 1. `None` in an SQLite file, and in a JSON
    /// file with all rows on one line.
    pub line: Option<usize>,
}

/// A row that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The row.
    pub row: Row,
    /// The reason, such as `` `message` is null``.
    pub reason: String,
}

/// The key with which a [`Dump`] finds a user's chats. Valid for one dump only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserKey(usize);

/// A user of the Django system.
#[derive(Clone, PartialEq, Eq)]
pub struct DjangoUser {
    /// The user's row.
    pub row: Row,
    /// The key for [`Dump::chats_of`].
    pub key: UserKey,
    /// The username, or the e-mail address in a model without usernames. Not empty.
    pub username: String,
    /// The e-mail address. `None` if the field is null or empty.
    pub email: Option<String>,
    /// True if the other system says that the owner has verified the address.
    pub verified: bool,
    /// The password's hash as Django stores it. Begins with `!` if no password matches.
    pub password: String,
    /// The first name. `None` if the field is null or empty.
    pub first_name: Option<String>,
    /// The last name. `None` if the field is null or empty.
    pub last_name: Option<String>,
    /// False if the user can't log in.
    pub active: bool,
    /// True for a user with all permissions.
    pub superuser: bool,
    /// The time of registration in milliseconds since 1970.
    pub joined: Option<u64>,
    /// The balance, which can be negative.
    pub tokens: i128,
}

/// A message with its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DjangoChat {
    /// The chat's row.
    pub row: Row,
    /// The user's message.
    pub message: String,
    /// The response. Empty if the field is null.
    pub response: String,
    /// The name of the AI model. `None` if the field is null or empty.
    pub model: Option<String>,
    /// The time in milliseconds since 1970.
    pub time: u64,
}

/// A dump whose models were found. Each row is in exactly one result: users in [`Dump::users`], and
/// chats in [`Dump::chats_of`] or [`Dump::chats_without_user`]. All results are in a deterministic
/// order.
pub struct Dump {
    source: Box<dyn Source>,
    user_model: UserModel,
    /// The users in the order of the file.
    users: Vec<RowId>,
    /// The users that are refused because of their primary key, each with the reason.
    refused_users: HashMap<RowId, String>,
    balance: Balance,
    scale: u32,
    chats: Option<(ChatModel, Links)>,
    /// The conditions under which users can't log in.
    inactive_if: Vec<Condition>,
    /// The fields that don't say whether a user can log in.
    ignored: Vec<String>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.model, shown_pk(&self.pk))?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

/// Shortens a primary key for messages.
pub fn shown_pk(pk: &str) -> Cow<'_, str> {
    match pk.char_indices().nth(SHOWN_PK) {
        Some((end, _)) => format!("{}…", pk.get(..end).unwrap_or_default()).into(),
        None => pk.into(),
    }
}

impl fmt::Debug for DjangoUser {
    /// Omits the password's hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoUser").field("row", &self.row).finish_non_exhaustive()
    }
}

impl Dump {
    /// Opens a file and finds its models. A JSON file stays in memory until the dump is dropped. An
    /// SQLite file is copied into a temporary file in `SQLITE_TMPDIR` or `/tmp`. The dump is
    /// therefore a snapshot of a running Django, and doesn't block it. The file isn't changed. Next
    /// to a file in WAL mode, however, SQLite creates the `-shm` file if it is missing, and an
    /// empty `-wal` file.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if the file can't be read, isn't a dump, or
    /// doesn't show which models to use.
    pub fn open(file: &Path, choices: &Choices) -> Result<Self, String> {
        Self::read(source(file)?, choices)
    }

    /// Like [`Dump::open`], for a file that contains only users, as other programs write it: one
    /// JSON object for each user.
    ///
    /// # Errors
    /// Fails like [`Dump::open`].
    pub fn open_users(file: &Path, choices: &Choices) -> Result<Self, String> {
        let text = text_of(file, "the program that wrote it")?;
        let source = JsonFile::parse_users(text).map_err(|reason| {
            format!("{} isn't one JSON object for each user: {reason}.", file.display())
        })?;
        Self::read(Box::new(source), choices)
    }

    fn read(source: Box<dyn Source>, choices: &Choices) -> Result<Self, String> {
        let user_model = UserModel::find(source.as_ref(), &choices.models)?;
        let chat_model = ChatModel::find(source.as_ref(), &choices.models, &user_model)?;
        let users = source.row_ids(&user_model.name)?;
        let names = (user_model.username.as_str(), user_model.email);
        let (index, refused_users) =
            UserIndex::read(source.as_ref(), &user_model.name, names, &users);
        let balance =
            Balance::find(source.as_ref(), choices, &user_model, chat_model.as_ref(), &index)?;
        let chats = match chat_model {
            Some(model) => {
                let links = Links::read(source.as_ref(), &model.name, &model.user, &index)?;
                Some((model, links))
            }
            None => None,
        };
        let inactive_if = Condition::parse_all(&choices.inactive_if, source.as_ref(), &user_model)?;
        let ignored = Condition::parse_fields(&choices.ignore, source.as_ref(), &user_model)?;
        Ok(Self {
            source,
            user_model,
            users,
            refused_users,
            balance,
            scale: choices.scale.unwrap_or(1),
            chats,
            inactive_if,
            ignored,
        })
    }

    /// Returns a warning about the file, if the operator needs one.
    pub fn warning(&self) -> Option<&str> {
        self.source.warning()
    }

    /// Returns the names of the models and of the balance.
    pub fn models(&self) -> Models {
        Models {
            users: self.user_model.name.clone(),
            tokens: self.balance.path(),
            chats: self.chats.as_ref().map(|(model, _)| model.name.clone()),
        }
    }

    /// Returns true if nearly all users have an e-mail address in addition to the name that they
    /// log in with.
    pub fn may_log_in_by_address(&self) -> bool {
        let Some(email) = self.user_model.email.filter(|email| *email != self.user_model.username)
        else {
            return false;
        };
        let has_address = |id: &&RowId| {
            let record = self.source.read(&self.user_model.name, **id, &[email]);
            matches!(record.optional_text(Some(email)), Ok(Some(_)))
        };
        let with_address = self.users.iter().filter(has_address).count();
        !self.source.is_plain() && 10 * with_address >= 9 * self.users.len()
    }

    /// Returns the names that users log in with, by primary key.
    pub fn names(&self) -> HashMap<String, String> {
        let UserModel { name, username, email, .. } = &self.user_model;
        let fields: Vec<&str> = [username.as_str()].into_iter().chain(*email).collect();
        let named = self.users.iter().filter_map(|id| {
            let record = self.source.read(name, *id, &fields);
            Some((record.pk.clone()?, self.name_of(&record).ok()?))
        });
        named.collect()
    }

    /// Reads all users in the order of the file.
    pub fn users(&self) -> impl Iterator<Item = Result<DjangoUser, BadRow>> {
        self.users.iter().enumerate().map(|(user, id)| self.user(UserKey(user), *id))
    }

    fn user(&self, key: UserKey, id: RowId) -> Result<DjangoUser, BadRow> {
        let model = &self.user_model;
        let UserModel { email, verified, first_name, last_name, active, superuser, joined, .. } =
            *model;
        let username = model.username.as_str();
        let own_balance = match &self.balance {
            Balance::Field { field, rows: None, .. } => Some(field.as_str()),
            _ => None,
        };
        let mut fields = model.used();
        fields.extend(own_balance);
        fields.extend(self.inactive_if.iter().map(|condition| condition.field.as_str()));
        let mut record = self.source.read(&model.name, id, &fields);
        record.pk = record.pk.take().or_else(|| self.name_of(&record).ok());
        let row = row(&model.name, &record);
        let read = || {
            if let Some(reason) = self.refused_users.get(&id) {
                return Err(reason.clone());
            }
            let name = self.name_of(&record)?;
            if name.is_empty() {
                return Err(format!("`{username}` is empty"));
            }
            let is_out = self.inactive_if.iter().any(|condition| condition.holds(&record));
            // Other programs leave out the field if a user has no password.
            let password = match self.source.is_plain() {
                true => record.optional_text(Some(PASSWORD))?.unwrap_or_else(|| "!".to_owned()),
                false => record.text(PASSWORD)?,
            };
            Ok(DjangoUser {
                row: row.clone(),
                key,
                username: name,
                email: record.optional_text(email)?,
                verified: record.flag(verified, false)?,
                password,
                first_name: record.optional_text(first_name)?,
                last_name: record.optional_text(last_name)?,
                active: record.flag(active, true)? && !is_out,
                superuser: record.flag(superuser, false)?,
                joined: record.optional_time(joined)?,
                tokens: self.tokens(key, &record)?,
            })
        };
        read().map_err(|reason| BadRow { row: row.clone(), reason })
    }

    /// Returns the name that a user logs in with. In a file that Django didn't write, users without
    /// a username log in with their address. Fails with the reason.
    fn name_of(&self, record: &Record) -> Result<String, String> {
        let UserModel { username, email, .. } = &self.user_model;
        if self.source.is_plain() && record.optional_text(Some(username))?.is_none() {
            let address = record.optional_text(*email)?;
            return address.ok_or_else(|| "neither `username` nor `email` has a text".into());
        }
        record.text(username)
    }

    /// Reads a user's balance from the user's row, or from the model that contains the balances.
    /// Fails with the reason.
    fn tokens(&self, UserKey(user): UserKey, record: &Record) -> Result<i128, String> {
        let (model, field, rows) = match &self.balance {
            Balance::Same(tokens) => return Ok((*tokens).into()),
            Balance::Field { model, field, rows } => (model, field, rows),
        };
        let Some(rows) = rows else { return record.whole(field, self.scale) };
        match rows.rows_of(user) {
            [] => Err(format!("{model} has no row for this user")),
            [id] => {
                let record = self.source.read(model, *id, &[field]);
                let tokens = record.whole(field, self.scale);
                tokens.map_err(|reason| format!("{}: {reason}", row(model, &record)))
            }
            several => Err(format!("{model} has {} rows for this user", several.len())),
        }
    }

    /// Reads a user's chats, sorted by time. Chats with the same time are kept in the order of the
    /// file. Bad rows come last.
    pub fn chats_of(&self, UserKey(user): UserKey) -> Vec<Result<DjangoChat, BadRow>> {
        let Some((model, links)) = &self.chats else { return Vec::new() };
        let mut chats: Vec<_> = match &model.answer {
            Answer::Field(response) => {
                let read = |id: &RowId| self.chat(model, response, *id, links.refused.get(id));
                links.rows_of(user).iter().map(read).collect()
            }
            Answer::Row { role, conversation } => {
                let columns = turns::Columns { role, conversation: conversation.as_deref() };
                let read = |id: &RowId| self.turn(model, columns, *id, links.refused.get(id));
                turns::joined(links.rows_of(user).iter().map(read))
            }
        };
        chats.sort_by_key(|chat| chat.as_ref().map_or(u64::MAX, |chat| chat.time));
        chats
    }

    fn chat(
        &self,
        model: &ChatModel,
        response: &str,
        id: RowId,
        refused: Option<&String>,
    ) -> Result<DjangoChat, BadRow> {
        let ChatModel { message, time, model: name, .. } = model;
        let fields: Vec<&str> =
            [message.as_str(), response, time].into_iter().chain(*name).collect();
        let record = self.source.read(&model.name, id, &fields);
        let row = row(&model.name, &record);
        let read = || {
            if let Some(reason) = refused {
                return Err(reason.clone());
            }
            Ok(DjangoChat {
                row: row.clone(),
                message: record.text(message)?,
                response: record.optional_text(Some(response))?.unwrap_or_default(),
                model: record.optional_text(*name)?,
                time: record.time(time)?,
            })
        };
        read().map_err(|reason| BadRow { row: row.clone(), reason })
    }

    /// Reads a row that contains either a message or an answer.
    fn turn(
        &self,
        model: &ChatModel,
        columns: turns::Columns<'_>,
        id: RowId,
        refused: Option<&String>,
    ) -> Result<turns::Turn, BadRow> {
        let record = self.source.read(&model.name, id, &model.used());
        let row = row(&model.name, &record);
        let read = || match refused {
            Some(reason) => Err(reason.clone()),
            None => turns::Turn::read(row.clone(), &record, model, columns),
        };
        read().map_err(|reason| BadRow { row: row.clone(), reason })
    }

    /// Returns the chats whose user is missing or can't be read, in the order of the file.
    pub fn chats_without_user(&self) -> Vec<BadRow> {
        let Some((model, links)) = &self.chats else { return Vec::new() };
        let mut chats = links.unlinked.clone();
        for (user, id) in self.users.iter().enumerate() {
            let ids = links.rows_of(user);
            if ids.is_empty() {
                continue;
            }
            if let Err(BadRow { row, .. }) = self.user(UserKey(user), *id) {
                let reason = format!("the user can't be read: {row}");
                chats.extend(ids.iter().map(|id| (*id, reason.clone())));
            }
        }
        chats.sort_by_key(|(id, _)| *id);
        let bad = |(id, reason)| {
            let record = self.source.read(&model.name, id, &[]);
            BadRow { row: row(&model.name, &record), reason }
        };
        chats.into_iter().map(bad).collect()
    }
}

fn row(model: &str, record: &Record) -> Row {
    let pk = record.pk.clone().unwrap_or_else(|| "without a pk".into());
    Row { model: model.to_owned(), pk, line: record.line }
}

/// Opens a file as JSON or as SQLite, depending on its first bytes.
fn source(file: &Path) -> Result<Box<dyn Source>, String> {
    let mut head = Vec::new();
    let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
    opened.take(16).read_to_end(&mut head).map_err(|error| unreadable(file, &error))?;
    if head.starts_with(b"SQLite format 3\0") {
        return Ok(Box::new(SqliteFile::open(file)?));
    }
    let text = text_of(file, "`manage.py dumpdata`")?;
    let file = JsonFile::parse(text).map_err(|reason| {
        format!("{} isn't a list of rows as `dumpdata` writes it: {reason}.", file.display())
    })?;
    Ok(Box::new(file))
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    format!("{} can't be read: {error}.", file.display())
}

/// Reads a file that begins with a JSON list or object. The error message says how to get such a
/// file from the `writer`.
fn text_of(file: &Path, writer: &str) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
    let is = |what: &str| Err(format!("{} {what}.", file.display()));
    let utf16 =
        "is in UTF-16. Write it in UTF-8, with `python -Xutf8 manage.py dumpdata --output FILE`";
    match bytes.as_slice() {
        [] => return is(&format!("is empty. Look at what {writer} printed")),
        [0x1f, 0x8b, ..] => return is("is compressed. Unpack it with `gunzip`"),
        // PowerShell writes UTF-16 if the output is redirected to a file.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'[' | b'{', 0, ..] | [0, b'[' | b'{', ..] => {
            return is(utf16);
        }
        bytes if bytes.starts_with(b"PGDMP") || bytes.starts_with(b"--\n-- PostgreSQL") => {
            return is("is PostgreSQL's dump. Restore it, and use `manage.py dumpdata`");
        }
        _ => {}
    }
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return is(&format!(
                "isn't UTF-8: {}. Write it with `python -Xutf8 manage.py dumpdata --output FILE`",
                error.utf8_error()
            ));
        }
    };
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    match text.trim_start().as_bytes() {
        [b'[' | b'{', ..] => Ok(text),
        [] => is(&format!("has only blanks. Look at what {writer} printed")),
        _ if text.contains("\n[") || text.contains("\n{") => is(
            "begins with other lines than JSON, such as a warning. Write it with `manage.py dumpdata --output FILE`",
        ),
        _ => is("is neither a `dumpdata` JSON file nor an SQLite file"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    /// A folder that is deleted when this value is dropped.
    pub(super) struct Folder(PathBuf);

    impl Folder {
        pub(super) fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("farebox-{}", Uuid::new_v4()));
            std::fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        pub(super) fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn opened(bytes: &[u8], choices: &Choices) -> Result<Dump, String> {
        let folder = Folder::new();
        let file = folder.file("dump.json");
        std::fs::write(&file, bytes).unwrap();
        Dump::open(&file, choices).map_err(|sentence| {
            assert!(sentence.ends_with('.'), "{sentence}");
            sentence.replace(file.to_str().unwrap(), "FILE")
        })
    }

    fn dump(rows: &[Value]) -> Dump {
        opened(&json(rows), &Choices::default()).unwrap()
    }

    fn balance_in(field: &str) -> Choices {
        let models = ModelChoices { tokens_field: Some(field.into()), ..ModelChoices::default() };
        Choices { models, ..Choices::default() }
    }

    fn refused(rows: &[Value], choices: &Choices) -> String {
        opened(&json(rows), choices).err().unwrap()
    }

    fn json(rows: &[Value]) -> Vec<u8> {
        let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        format!("[\n{}\n]\n", rows.join(",\n")).into_bytes()
    }

    fn with(mut row: Value, fields: Value) -> Value {
        for (field, value) in fields.as_object().unwrap() {
            row["fields"][field] = value.clone();
        }
        row
    }

    fn without(mut row: Value, field: &str) -> Value {
        row["fields"].as_object_mut().unwrap().remove(field);
        row
    }

    fn user(pk: u64, username: &str) -> Value {
        json!({"model": "chat.user", "pk": pk, "fields": {
            "password": "pbkdf2_sha256$1$s$h", "username": username,
            "email": format!("{username}@example.com"), "first_name": "", "last_name": null,
            "is_superuser": false, "is_active": true, "date_joined": "2026-11-24T18:05:46.226Z",
            "tokens": 4000, "groups": []}})
    }

    fn chat(pk: u64, user: impl Into<Value>) -> Value {
        json!({"model": "chat.chat", "pk": pk, "fields": {
            "user": user.into(), "message": format!("message {pk}"), "response": "answer",
            "timestamp": "2026-11-24T18:05:46Z"}})
    }

    fn wallet(pk: u64, user: impl Into<Value>, balance: impl Into<Value>) -> Value {
        json!({"model": "shop.wallet", "pk": pk,
            "fields": {"user": user.into(), "balance": balance.into()}})
    }

    /// Returns the users, or `row: reason` for each bad row.
    fn users(dump: &Dump) -> Vec<Result<DjangoUser, String>> {
        dump.users().map(|user| user.map_err(|bad| described(&bad))).collect()
    }

    fn only_user(row: Value) -> Result<DjangoUser, String> {
        users(&dump(&[user(99, "other"), row])).remove(1)
    }

    /// Returns the messages of a user, or `row: reason` for each bad row.
    fn messages(dump: &Dump, user: usize) -> Vec<Result<String, String>> {
        let chats = dump.chats_of(UserKey(user)).into_iter();
        chats.map(|chat| chat.map(|chat| chat.message).map_err(|bad| described(&bad))).collect()
    }

    fn described(bad: &BadRow) -> String {
        format!("{}: {}", bad.row, bad.reason)
    }

    #[test]
    fn users_and_chats_are_read() {
        let dump = dump(&[user(1, "ann"), chat(17, 1)]);
        let models = Models {
            users: "chat.user".into(),
            tokens: "chat.user.tokens".into(),
            chats: Some("chat.chat".into()),
        };
        assert_eq!(dump.models(), models);
        let row = |model: &str, pk: &str, line| Row { model: model.into(), pk: pk.into(), line };
        let ann = DjangoUser {
            row: row("chat.user", "1", Some(2)),
            key: UserKey(0),
            username: "ann".into(),
            email: Some("ann@example.com".into()),
            verified: false,
            password: "pbkdf2_sha256$1$s$h".into(),
            first_name: None,
            last_name: None,
            active: true,
            superuser: false,
            joined: Some(1_795_543_546_226),
            tokens: 4000,
        };
        assert_eq!(users(&dump), [Ok(ann.clone())]);
        assert!(!format!("{ann:?}").contains("pbkdf2"));
        let chat = DjangoChat {
            row: row("chat.chat", "17", Some(3)),
            message: "message 17".into(),
            response: "answer".into(),
            model: None,
            time: 1_795_543_546_000,
        };
        assert_eq!(chat.row.to_string(), "chat.chat 17 (line 3)");
        assert_eq!(dump.chats_of(ann.key), [Ok(chat)]);
        assert_eq!(dump.chats_without_user(), []);
    }

    #[test]
    fn models_are_found_by_their_fields() {
        let person = json!({"model": "people.person", "pk": 7, "fields": {
            "password": "!", "email": "Ann@example.com", "is_admin": true, "token_balance": "12.00",
            "created_at": "2026-11-24 18:05:46.226974"}});
        let turn = json!({"model": "talk.turn", "pk": 1, "fields": {
            "owner": 7, "prompt": "hi", "ai_response": "hello", "sent_at": "2026-11-24T18:05:46",
            "ai_model": "gpt"}});
        let group = json!({"model": "auth.group", "pk": 1, "fields": {"name": "staff"}});
        let dump = dump(&[group, person, turn]);
        let ann = users(&dump).remove(0).unwrap();
        assert_eq!((ann.username.as_str(), ann.tokens), ("Ann@example.com", 12));
        assert_eq!(ann.email.as_deref(), Some("Ann@example.com"));
        assert_eq!((ann.superuser, ann.active), (true, true));
        assert_eq!(ann.joined, Some(1_795_543_546_226));
        let turn = dump.chats_of(ann.key).remove(0).unwrap();
        assert_eq!((turn.message.as_str(), turn.response.as_str()), ("hi", "hello"));
        assert_eq!((turn.model.as_deref(), turn.row.model.as_str()), (Some("gpt"), "talk.turn"));
    }

    #[test]
    fn dump_may_have_no_chats() {
        let dump = dump(&[user(1, "ann")]);
        assert_eq!(dump.models().chats, None);
        assert_eq!((messages(&dump, 0), dump.chats_without_user()), (vec![], vec![]));
    }

    #[test]
    fn missing_models_are_refused() {
        let choices = Choices::default();
        assert!(refused(&[], &choices).contains("No model has users"));
        let poor = without(user(1, "ann"), "tokens");
        let refused = refused(&[poor, chat(1, 1)], &choices);
        assert!(refused.contains("called tokens, token_balance, ") && refused.contains("--tokens"));
    }

    #[test]
    fn several_candidates_are_named_with_the_flag() {
        let mut mailbox = user(1, "box");
        mailbox["model"] = "mail.box".into();
        let mut ticket = chat(1, 1);
        ticket["model"] = "help.message".into();
        let rich = with(user(1, "ann"), json!({"credits": 1}));
        let deposit =
            json!({"model": "shop.deposit", "pk": 1, "fields": {"user": 1, "credits": 1}});
        let poor = without(user(1, "ann"), "tokens");
        for (rows, named, flag) in [
            (
                vec![user(1, "ann"), mailbox],
                "chat.user (1 row), mail.box (1 row).",
                "--user-model chat.user",
            ),
            (vec![user(1, "ann"), chat(1, 1), ticket], "chat.chat, help.message.", "--chat-model"),
            (vec![rich], "chat.user.tokens, chat.user.credits.", "--tokens-field"),
            (
                vec![poor, wallet(1, 1, 7), deposit],
                "shop.deposit.credits or shop.wallet.balance may be the balance",
                "--tokens-field",
            ),
        ] {
            let refused = refused(&rows, &Choices::default());
            assert!(refused.contains(named) && refused.contains(flag), "{refused}");
        }
    }

    #[test]
    fn operator_chooses_models_in_either_spelling() {
        let mut mailbox = user(1, "box");
        mailbox["model"] = "mail.box".into();
        let mut ticket = chat(1, 1);
        ticket["model"] = "help.message".into();
        let ann = with(user(1, "ann"), json!({"credits": 1}));
        let rows = [ann, mailbox, chat(1, 1), ticket, wallet(1, 1, 7)];
        for (user_model, chat_model, tokens_field, tokens) in [
            ("chat.user", "help.message", "credits", 1),
            ("Chat_User", "HELP_MESSAGE", "chat_user.Credits", 1),
            ("chat.User", "help_message", "shop_wallet.balance", 7),
        ] {
            let models = ModelChoices {
                user_model: Some(user_model.into()),
                chat_model: Some(chat_model.into()),
                tokens_field: Some(tokens_field.into()),
                ..ModelChoices::default()
            };
            let choices = Choices { models, ..Choices::default() };
            let dump = opened(&json(&rows), &choices).unwrap();
            assert_eq!(users(&dump).remove(0).unwrap().tokens, tokens);
            assert_eq!(dump.chats_of(UserKey(0)).remove(0).unwrap().row.model, "help.message");
        }
    }

    #[test]
    fn unsuitable_choices_are_refused() {
        let rows = [user(1, "ann"), chat(1, 1), wallet(1, 1, 7)];
        for (models, reason) in [
            (
                ModelChoices { user_model: Some("chat.usr".into()), ..ModelChoices::default() },
                "--user-model: there is no model \"chat.usr\", only chat.chat, chat.user, shop.wallet.",
            ),
            (
                ModelChoices { user_model: Some("shop.wallet".into()), ..ModelChoices::default() },
                "--user-model: shop.wallet has no field `password`.",
            ),
            (
                ModelChoices { chat_model: Some("shop.wallet".into()), ..ModelChoices::default() },
                "--chat-model: shop.wallet has no message (message, prompt, question, user_message, user_input, text, query, input, request or content).",
            ),
            (
                ModelChoices {
                    tokens_field: Some("shop.wallet.tokens".into()),
                    ..ModelChoices::default()
                },
                "--tokens-field: shop.wallet has only the fields balance, user.",
            ),
            (
                ModelChoices {
                    tokens_field: Some("chat.chat.message".into()),
                    ..ModelChoices::default()
                },
                "--tokens-field: chat.chat is the chat model.",
            ),
        ] {
            let choices = Choices { models, ..Choices::default() };
            assert_eq!(refused(&rows, &choices), reason);
        }
    }

    #[test]
    fn balance_may_be_in_a_wallet() {
        let poor = |pk, name| without(user(pk, name), "tokens");
        let purchase =
            |pk| json!({"model": "shop.purchase", "pk": pk, "fields": {"user": 1, "tokens": 5}});
        let rows = [
            poor(1, "ann"),
            poor(2, "bob"),
            poor(3, "eve"),
            wallet(7, 2, "12.50"),
            wallet(8, 1, "4000.00"),
            wallet(9, 99, 1),
            purchase(1),
            purchase(2),
        ];
        // A `dumpdata` file doesn't show that a user has only one wallet.
        let refused = refused(&rows, &Choices::default());
        assert!(refused.contains("--tokens-field shop.purchase.tokens"), "{refused}");
        let choices = balance_in("shop.wallet.balance");
        let dump = opened(&json(&rows), &choices).unwrap();
        assert_eq!(dump.models().tokens, "shop.wallet.balance");
        let users = users(&dump);
        assert_eq!(users[0].as_ref().unwrap().tokens, 4000);
        let fraction =
            "chat.user 2 (line 3): shop.wallet 7 (line 5): `balance` isn't a whole number";
        assert_eq!(users[1], Err(fraction.into()));
        assert_eq!(
            users[2],
            Err("chat.user 3 (line 4): shop.wallet has no row for this user".into())
        );
    }

    #[test]
    fn several_rows_per_user_are_not_a_balance() {
        let poor = |pk, name| without(user(pk, name), "tokens");
        let rows =
            [poor(1, "ann"), poor(2, "bob"), wallet(1, 1, 1), wallet(2, 1, 1), wallet(3, 2, 5)];
        let refused = refused(&rows, &Choices::default());
        assert!(refused.contains("shop.wallet.balance may be the balance"), "{refused}");

        let choices = balance_in("shop.wallet.balance");
        let users = users(&opened(&json(&rows), &choices).unwrap());
        let several = "chat.user 1 (line 2): shop.wallet has 2 rows for this user";
        assert_eq!(users[0], Err(several.into()));
        assert_eq!(users[1].as_ref().unwrap().tokens, 5);
    }

    #[test]
    fn list_is_not_a_balance() {
        let ann = with(without(user(1, "ann"), "tokens"), json!({"tokens": ["a"], "credits": -3}));
        let dump = dump(&[ann]);
        assert_eq!(dump.models().tokens, "chat.user.credits");
        assert_eq!(users(&dump).remove(0).unwrap().tokens, -3);
    }

    #[test]
    fn natural_keys_name_users() {
        let natural = |name| {
            let mut row = user(0, name);
            row.as_object_mut().unwrap().remove("pk");
            row
        };
        let dump = dump(&[
            natural("ann"),
            natural("bob"),
            natural("cat"),
            natural("cat"),
            chat(1, json!(["ann"])),
            chat(2, json!(["bob@example.com"])),
            chat(3, json!(["eve"])),
            chat(4, json!(["ann", "tenant"])),
            chat(5, 1),
        ]);
        let users = users(&dump);
        assert_eq!(users[0].as_ref().unwrap().row.pk, "ann");
        assert_eq!(users[2], Err("chat.user cat (line 4): the same pk is on line 5".into()));
        assert_eq!(users[3], Err("chat.user cat (line 5): the same pk is on line 4".into()));
        assert_eq!(messages(&dump, 0), [Ok("message 1".into())]);
        assert_eq!(messages(&dump, 1), [Ok("message 2".into())]);
        let bad: Vec<String> = dump.chats_without_user().iter().map(described).collect();
        assert_eq!(
            bad,
            [
                "chat.chat 3 (line 8): the user eve isn't in the dump",
                "chat.chat 4 (line 9): `user` isn't a username or an address",
                "chat.chat 5 (line 10): the user 1 isn't in the dump",
            ]
        );
    }

    #[test]
    fn shared_address_is_ambiguous() {
        let bob = with(user(2, "bob"), json!({"email": "ann@example.com"}));
        let dump = dump(&[user(1, "ann"), bob, chat(1, json!(["ann@example.com"]))]);
        let bad = dump.chats_without_user().remove(0);
        assert_eq!(bad.reason, "several users are called ann@example.com");
    }

    #[test]
    fn rows_with_the_same_pk_are_all_bad() {
        let dump = dump(&[
            user(1, "ann"),
            user(2, "bob"),
            user(2, "cat"),
            chat(7, 1),
            chat(7, 1),
            chat(7, 1),
        ]);
        let users = users(&dump);
        assert_eq!(users[0].as_ref().unwrap().username, "ann");
        assert_eq!(users[1], Err("chat.user 2 (line 3): the same pk is on line 4".into()));
        assert_eq!(users[2], Err("chat.user 2 (line 4): the same pk is on line 3".into()));
        let bad =
            |line, other| Err(format!("chat.chat 7 (line {line}): the same pk is on line {other}"));
        assert_eq!(messages(&dump, 0), [bad(5, 6), bad(6, 5), bad(7, 5)]);

        let one_line = json(&[user(1, "ann"), user(1, "bob")]);
        let one_line = String::from_utf8(one_line).unwrap().replace('\n', " ");
        let dump = opened(one_line.as_bytes(), &Choices::default()).unwrap();
        let bad = dump.users().nth(1).unwrap().unwrap_err();
        assert_eq!(described(&bad), "chat.user 1: another row has the same pk");
    }

    #[test]
    fn wrong_field_makes_only_its_row_bad() {
        for (fields, reason) in [
            (json!({"username": 7}), "`username` isn't a text"),
            (json!({"username": ""}), "`username` is empty"),
            (json!({"password": null}), "`password` is null"),
            (json!({"email": 7}), "`email` isn't a text"),
            (json!({"first_name": []}), "`first_name` isn't a text"),
            (json!({"is_active": "yes"}), "`is_active` is neither true nor false"),
            (json!({"is_superuser": null}), "`is_superuser` is null"),
            (
                json!({"date_joined": "yesterday"}),
                "`date_joined` isn't a time such as 2026-11-24T18:05:46.226Z",
            ),
            (json!({"tokens": null}), "`tokens` is null"),
            (json!({"tokens": "12.5"}), "`tokens` isn't a whole number"),
        ] {
            let bad = only_user(with(user(1, "ann"), fields)).unwrap_err();
            assert_eq!(bad, format!("chat.user 1 (line 3): {reason}"));
        }
        let bad = only_user(without(user(1, "ann"), "tokens")).unwrap_err();
        assert_eq!(bad, "chat.user 1 (line 3): `tokens` is missing");
    }

    #[test]
    fn optional_fields_have_defaults() {
        let ann = ["email", "is_active", "is_superuser", "date_joined", "first_name"]
            .into_iter()
            .fold(user(1, "ann"), without);
        let ann = only_user(ann).unwrap();
        assert_eq!((ann.email, ann.joined, ann.first_name), (None, None, None));
        assert_eq!((ann.active, ann.superuser), (true, false));
        let fields =
            json!({"email": "", "is_active": false, "date_joined": null, "last_name": "B"});
        let bob = only_user(with(user(2, "bob"), fields)).unwrap();
        assert_eq!((bob.email, bob.active, bob.joined), (None, false, None));
        assert_eq!(bob.last_name.as_deref(), Some("B"));
    }

    #[test]
    fn null_message_is_bad_and_null_response_empty() {
        let dump = dump(&[
            user(1, "ann"),
            with(chat(1, 1), json!({"message": null})),
            with(chat(2, 1), json!({"response": null})),
            without(chat(3, 1), "message"),
            with(chat(4, 1), json!({"timestamp": "18:05"})),
            with(chat(5, 1), json!({"model": "gpt"})),
            with(chat(6, 1), json!({"model": 7})),
        ]);
        assert_eq!(
            messages(&dump, 0),
            [
                Ok("message 2".into()),
                Ok("message 5".into()),
                Err("chat.chat 1 (line 3): `message` is null".into()),
                Err("chat.chat 3 (line 5): `message` is missing".into()),
                Err(
                    "chat.chat 4 (line 6): `timestamp` isn't a time such as 2026-11-24T18:05:46.226Z"
                        .into()
                ),
                Err("chat.chat 6 (line 8): `model` isn't a text".into()),
            ]
        );
        let chats = dump.chats_of(UserKey(0));
        assert_eq!(chats[0].as_ref().unwrap().response, "");
        assert_eq!(chats[1].as_ref().unwrap().model.as_deref(), Some("gpt"));
    }

    #[test]
    fn relation_to_an_ai_model_is_ignored() {
        let dump = dump(&[user(1, "ann"), with(chat(1, 1), json!({"model": 7}))]);
        assert_eq!(dump.chats_of(UserKey(0)).remove(0).unwrap().model, None);
    }

    #[test]
    fn chats_are_sorted_by_time() {
        let at = |pk, time: &str| with(chat(pk, 1), json!({"timestamp": time}));
        let dump = dump(&[
            user(1, "ann"),
            at(1, "2026-11-24T18:05:47Z"),
            at(9, "2026-11-24T18:05:46.500Z"),
            at(3, "2026-11-24T19:05:46.500+01:00"),
            at(4, "2026-11-24T18:05:46"),
        ]);
        let messages: Vec<String> = messages(&dump, 0).into_iter().map(Result::unwrap).collect();
        assert_eq!(messages, ["message 4", "message 9", "message 3", "message 1"]);
    }

    #[test]
    fn chats_without_user_are_reported() {
        let dump = dump(&[
            user(1, "ann"),
            with(user(2, "bob"), json!({"tokens": "much"})),
            chat(1, 2),
            chat(2, 1),
            chat(3, Value::Null),
            chat(4, 99),
            chat(5, true),
            without(chat(6, 1), "user"),
        ]);
        let bad: Vec<String> = dump.chats_without_user().iter().map(described).collect();
        assert_eq!(
            bad,
            [
                "chat.chat 1 (line 4): the user can't be read: chat.user 2 (line 3)",
                "chat.chat 3 (line 6): `user` is null",
                "chat.chat 4 (line 7): the user 99 isn't in the dump",
                "chat.chat 5 (line 8): `user` isn't the key of a user",
                "chat.chat 6 (line 9): `user` is missing",
            ]
        );
    }

    #[test]
    fn chat_needs_a_pk() {
        let mut row = chat(1, 1);
        row.as_object_mut().unwrap().remove("pk");
        let dump = dump(&[user(1, "ann"), row]);
        let bad = "chat.chat without a pk (line 3): the pk is missing";
        assert_eq!(messages(&dump, 0), [Err(bad.into())]);
    }

    #[test]
    fn other_files_are_refused() {
        let neither = "FILE is neither a `dumpdata` JSON file nor an SQLite file.";
        let list = "FILE isn't a list of rows as `dumpdata` writes it: ";
        let utf16: Vec<u8> = "\u{feff}[]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, reason) in [
            (b"".as_slice(), "FILE is empty. "),
            (b" \n", "FILE has only blanks. "),
            (b"- model: chat.user", neither),
            (b"\x1f\x8b\x08", "FILE is compressed. Unpack it with `gunzip`."),
            (b"PGDMP\x01", "FILE is PostgreSQL's dump. "),
            (b"Loading settings\n[{}]", "FILE begins with other lines than JSON, "),
            (&utf16, "FILE is in UTF-16. Write it in UTF-8, with `python -Xutf8 "),
            (&utf16[2..], "FILE is in UTF-16. Write it in UTF-8, with `python -Xutf8 "),
            (b"[\"\xe9\"]", "FILE isn't UTF-8: invalid utf-8 sequence of 1 bytes from index 2. "),
            (b"{\"model\": 1}", list),
            (b"[{\"model\": \"a.b\"", list),
            (b"SQLite format 3\0, but broken", "FILE can't be read: file is not a database."),
        ] {
            let refused = opened(bytes, &Choices::default()).err().unwrap();
            assert!(refused.starts_with(reason), "{refused}");
        }
        let missing = Dump::open(Path::new("/none/dump.json"), &Choices::default()).err().unwrap();
        assert!(missing.starts_with("/none/dump.json can't be read: No such file"), "{missing}");
    }

    #[test]
    fn byte_order_mark_is_skipped() {
        let list = [b"\xef\xbb\xbf", json(&[user(1, "ann")]).as_slice()].concat();
        assert_eq!(users(&opened(&list, &Choices::default()).unwrap()).len(), 1);
    }
}
