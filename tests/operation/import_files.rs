//! Imports of files whose models can't be recognized with certainty. The import must make the right
//! plan or ask the right question, and must treat a `dumpdata` file like a database.

use std::collections::BTreeMap;

use local::manage::import::dump::{Choices, Dump, ModelChoices};
use local::manage::import::pace::Waits;
use local::manage::import::progress::Progress;
use local::manage::import::{Import, into_store};
use rusqlite::Connection;
use serde_json::{Value, json};
use shared::App;

use crate::support::client::{Api, Person};
use crate::support::django::{DumpFile, HASH, PASSWORD, run, user, with};

fn app(api: &Api) -> App {
    api.server().functions["admin_chats"].app().unwrap()
}

/// Returns the row of a user who has no balance.
fn person(pk: u64, name: &str) -> Value {
    without(user(pk, name, 0), "tokens")
}

fn without(mut row: Value, field: &str) -> Value {
    row["fields"].as_object_mut().unwrap().remove(field);
    row
}

fn row(model: &str, pk: impl Into<Value>, fields: Value) -> Value {
    json!({ "model": model, "pk": pk.into(), "fields": fields })
}

/// Writes the rows as tables, the way Django does. `keys` are the primary key columns that aren't
/// named `id`, and `relations` are the fields that refer to other tables.
fn database(rows: &[Value], keys: &[(&str, &str)], relations: &[(&str, &str)]) -> DumpFile {
    let file = DumpFile::empty(".sqlite3");
    let sqlite = Connection::open(file.path()).unwrap();
    sqlite.pragma_update(None, "foreign_keys", false).unwrap();
    let mut schema = String::from(
        "CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label text, model text);",
    );
    let mut models: BTreeMap<&str, BTreeMap<String, &Value>> = BTreeMap::new();
    for row in rows {
        let columns = models.entry(row["model"].as_str().unwrap()).or_default();
        columns.extend(
            row["fields"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), value)),
        );
    }
    let target = |field: &str| relations.iter().find(|(name, _)| *name == field);
    let column = |field: &str| match target(field) {
        Some(_) => format!("{field}_id"),
        None => field.to_owned(),
    };
    let table = |model: &str| model.replace('.', "_");
    let key =
        |model: &str| keys.iter().find(|(name, _)| *name == model).map_or("id", |(_, key)| key);
    for (model, fields) in &models {
        let (app, name) = model.split_once('.').unwrap();
        schema += &format!(
            "INSERT INTO django_content_type (app_label, model) VALUES ('{app}', '{name}');"
        );
        let mut columns = vec![format!(
            "{} {} PRIMARY KEY{}",
            key(model),
            if key(model) == "username" { "varchar(150)" } else { "integer" },
            if key(model).ends_with("_id") { " REFERENCES shop_user (id)" } else { "" }
        )];
        for (field, value) in fields {
            let refers = target(field)
                .map_or(String::new(), |(_, model)| format!(" REFERENCES {} (id)", table(model)));
            let kind = match value {
                Value::Bool(_) => "bool",
                Value::Number(_) => "integer",
                _ => "text",
            };
            columns.push(format!("{} {kind}{refers}", column(field)));
        }
        schema += &format!("CREATE TABLE {} ({});", table(model), columns.join(", "));
    }
    sqlite.execute_batch(&schema).unwrap();
    for row in rows {
        let model = row["model"].as_str().unwrap();
        let fields = row["fields"].as_object().unwrap();
        let mut names = vec![key(model).to_owned()];
        names.extend(fields.keys().map(|field| column(field)));
        let values: Vec<rusqlite::types::Value> = std::iter::once(&row["pk"])
            .chain(fields.values())
            .map(|value| match value {
                Value::Null => rusqlite::types::Value::Null,
                Value::Bool(flag) => i64::from(*flag).into(),
                Value::Number(number) => number.as_i64().unwrap().into(),
                Value::String(text) => text.clone().into(),
                other => other.to_string().into(),
            })
            .collect();
        let marks = vec!["?"; values.len()].join(", ");
        let insert =
            format!("INSERT INTO {} ({}) VALUES ({marks})", table(model), names.join(", "));
        sqlite.execute(&insert, rusqlite::params_from_iter(values)).unwrap();
    }
    file
}

/// Returns each user as `name tokens`, with `out` if the user can't log in, and each message with
/// its answer. For a refused row, returns the reason.
fn read(file: &DumpFile, choices: &Choices) -> Result<Vec<String>, String> {
    let dump = Dump::open(&file.import().file, choices)?;
    let mut lines = Vec::new();
    for user in dump.users() {
        match user {
            Ok(user) => {
                let out = if user.active { "" } else { " out" };
                lines.push(format!("{} {}{out}", user.username, user.tokens));
                for chat in dump.chats_of(user.key) {
                    lines.push(match chat {
                        Ok(chat) => format!("{} > {}", chat.message, chat.response),
                        Err(bad) => format!("{} {}", bad.row.pk, bad.reason),
                    });
                }
            }
            Err(bad) => lines.push(format!("{} {}", bad.row.pk, bad.reason)),
        }
    }
    lines.extend(dump.chats_without_user().iter().map(|bad| bad.reason.clone()));
    Ok(lines)
}

/// A file, and how its rows are stored in tables.
struct Case<'a> {
    rows: Vec<Value>,
    keys: &'a [(&'a str, &'a str)],
    relations: &'a [(&'a str, &'a str)],
}

impl Case<'_> {
    /// Asserts that both forms of the file lead to this plan.
    #[track_caller]
    fn plans(&self, choices: Choices, expected: &[&str]) {
        let dump = DumpFile::of(&self.rows);
        assert_eq!(read(&dump, &choices).unwrap(), expected, "dumpdata");
        let tables = database(&self.rows, self.keys, self.relations);
        assert_eq!(read(&tables, &choices).unwrap(), expected, "SQLite");
    }

    /// Asserts that importing either form of the file asks for this option.
    #[track_caller]
    fn asks(&self, choices: Choices, option: &str) {
        self.dump_asks(choices.clone(), option);
        let tables = database(&self.rows, self.keys, self.relations);
        let refused = read(&tables, &choices).unwrap_err();
        assert!(refused.contains(option), "SQLite: {refused}");
    }

    /// Asserts that importing the `dumpdata` file asks for this option.
    #[track_caller]
    fn dump_asks(&self, choices: Choices, option: &str) {
        let refused = read(&DumpFile::of(&self.rows), &choices).unwrap_err();
        assert!(refused.contains(option) && refused.ends_with('.'), "dumpdata: {refused}");
    }
}

fn case(rows: Vec<Value>) -> Case<'static> {
    Case {
        rows,
        keys: &[],
        relations: &[
            ("user", "shop.user"),
            ("sender", "shop.user"),
            ("conversation", "talk.conversation"),
        ],
    }
}

const NONE: Choices = Choices {
    models: ModelChoices {
        user_model: None,
        login_field: None,
        tokens_field: None,
        chat_model: None,
        user_field: None,
        message_field: None,
        response_field: None,
        role_field: None,
        time_field: None,
        no_messages: false,
    },
    tokens: None,
    scale: None,
    inactive_if: Vec::new(),
    ignore: Vec::new(),
};

/// Returns choices of models and fields.
fn chosen(choose: impl FnOnce(&mut ModelChoices)) -> Choices {
    let mut choices = NONE;
    choose(&mut choices.models);
    choices
}

const TIME: &str = "2025-01-01T00:00:00Z";

#[test]
fn a_balance_that_may_be_what_a_message_used_is_a_question() {
    let usage =
        |pk: u64| row("ai.usage", pk, json!({ "user": pk, "tokens": 98_000, "created_at": TIME }));
    let file = case(vec![
        with(person(1, "ann"), json!({ "coins": 70 })),
        with(person(2, "ben"), json!({ "coins": 5 })),
        usage(1),
        usage(2),
    ]);
    file.asks(NONE, "--tokens-field ai.usage.tokens");
    let choices = chosen(|models| models.tokens_field = Some("coins".into()));
    file.plans(choices, &["ann 70", "ben 5"]);
}

#[test]
fn rows_with_the_users_keys_are_theirs() {
    for (model, field, key) in
        [("shop.wallet", "balance", "user_id"), ("chat.customer", "tokens", "user_ptr_id")]
    {
        let path = format!("{model}.{field}");
        let keys = [(model, key)];
        let rows = vec![person(1, "ann"), row(model, 1, json!({ field: 4000 }))];
        let file = Case { keys: &keys, ..case(rows) };
        file.dump_asks(NONE, &format!("--tokens-field {path}"));
        let tables = database(&file.rows, file.keys, file.relations);
        assert_eq!(read(&tables, &NONE).unwrap(), ["ann 4000"], "the table says that it is unique");
        file.plans(chosen(|models| models.tokens_field = Some(path.clone())), &["ann 4000"]);
    }
}

#[test]
fn the_users_wallets_are_not_found_by_their_own_keys() {
    let owner =
        |pk: u64, wallet: u64| with(person(pk, &format!("u{pk}")), json!({ "wallet": wallet }));
    let wallet = |pk: u64, balance: u64| row("shop.wallet", pk, json!({ "balance": balance }));
    let rows = vec![owner(1, 2), owner(2, 1), wallet(1, 10), wallet(2, 20)];
    let file = Case { relations: &[("wallet", "shop.wallet")], ..case(rows) };
    file.asks(NONE, "--tokens 4000");
    let choices = chosen(|models| models.tokens_field = Some("shop.wallet.balance".into()));
    file.asks(choices, "shop.wallet has no relation to shop.user");
}

#[test]
fn messages_of_a_customer_are_the_users_of_that_customer() {
    let customer = |pk: u64, user: u64| row("shop.customer", pk, json!({ "user": user }));
    let chat = |pk: u64, sender: u64, text: &str| {
        row(
            "shop.chat",
            pk,
            json!({ "customer": sender, "message": text, "response": "x", "timestamp": TIME }),
        )
    };
    let rows = vec![
        user(1, "ann", 1),
        user(2, "ben", 2),
        customer(1, 2),
        customer(2, 1),
        chat(1, 1, "of ben"),
        chat(2, 2, "of ann"),
    ];
    let relations = [("user", "shop.user"), ("customer", "shop.customer")];
    let file = Case { relations: &relations, ..case(rows) };
    file.plans(NONE, &["ann 1", "of ann > x", "ben 2", "of ben > x"]);
}

#[test]
fn the_chosen_user_model_is_meant() {
    let other = json!({ "model": "auth.user", "pk": 1, "fields": { "username": "boss", "password": HASH, "tokens": 9 } });
    let chat = json!({ "user": 1, "message": "hi", "response": "x", "timestamp": TIME });
    let rows = vec![user(1, "ann", 7), other, row("shop.chat", 1, chat)];
    let file = case(rows);
    file.dump_asks(NONE, "auth.user (1 row), shop.user (1 row)");
    file.plans(chosen(|models| models.user_model = Some("shop.user".into())), &["ann 7", "hi > x"]);
}

#[test]
fn the_primary_key_may_be_the_username() {
    let fields =
        json!({ "password": HASH, "tokens": 4000, "is_superuser": false, "last_login": null });
    let keys = [("shop.user", "username")];
    let file = Case { keys: &keys, ..case(vec![row("shop.user", "ann", fields.clone())]) };
    file.plans(NONE, &["ann 4000"]);
    let both = with(row("shop.user", "ann", fields), json!({ "email": "ann@example.com" }));
    let file = Case { keys: &keys, ..case(vec![both]) };
    file.dump_asks(NONE, "--login-field pk or --login-field email");
    file.plans(chosen(|models| models.login_field = Some("pk".into())), &["ann 4000"]);
    file.plans(
        chosen(|models| models.login_field = Some("email".into())),
        &["ann@example.com 4000"],
    );
}

#[test]
fn people_may_log_in_with_their_address() {
    let named = |pk, name: Value, email: &str| {
        with(user(pk, "x", 4000), json!({ "username": name, "email": email }))
    };
    let file = case(vec![
        named(1, Value::Null, "ann@example.com"),
        named(2, json!("Ann Smith"), "as@example.com"),
        named(3, json!(""), "b@example.com"),
    ]);
    let refused = ["1 `username` is null", "Ann Smith 4000", "3 `username` is empty"];
    file.plans(NONE, &refused);
    let choices = chosen(|models| models.login_field = Some("email".into()));
    let addresses = ["ann@example.com 4000", "as@example.com 4000", "b@example.com 4000"];
    file.plans(choices, &addresses);
    let nameless = [1, 2].map(|pk| {
        let email = format!("u{pk}@example.com");
        with(without(user(pk, "x", 7), "username"), json!({ "email": email }))
    });
    case(nameless.to_vec()).plans(NONE, &["u1@example.com 7", "u2@example.com 7"]);
}

#[test]
fn users_without_a_balance_get_the_same() {
    let chat = json!({ "user": 1, "user_message": "hi", "bot_response": "x", "timestamp": TIME });
    let file = case(vec![person(1, "ann"), row("chat.chathistory", 1, chat)]);
    file.asks(NONE, "--tokens 4000");
    file.plans(Choices { tokens: Some(4000), ..NONE }, &["ann 4000", "hi > x"]);
}

#[test]
fn balances_may_be_in_a_larger_unit() {
    let file = case(vec![with(person(1, "ann"), json!({ "balance": "12.50" }))]);
    file.plans(NONE, &["1 `balance` isn't a whole number"]);
    file.plans(Choices { scale: Some(100), ..NONE }, &["ann 1250"]);
    let two = case(vec![with(user(1, "ann", 4000), json!({ "credits": 7 }))]);
    two.asks(NONE, "--tokens-field");
}

#[test]
fn chats_are_found_by_more_names() {
    for (fields, model) in [
        (
            json!({ "user": 1, "user_input": "hi", "response": "x", "created_at": TIME }),
            "talk.conversation",
        ),
        (json!({ "sender": 1, "message": "hi", "response": "x", "created_at": TIME }), "talk.chat"),
    ] {
        let file = case(vec![user(1, "ann", 7), row(model, 1, fields)]);
        file.plans(NONE, &["ann 7", "hi > x"]);
    }
    let odd = json!({ "user": 1, "said": "hi", "told": "x", "at": TIME });
    let file = case(vec![user(1, "ann", 7), row("talk.chat", 1, odd)]);
    file.asks(NONE, "talk.chat has no message");
    let fields = chosen(|models| {
        models.message_field = Some("said".into());
        models.response_field = Some("told".into());
        models.time_field = Some("at".into());
    });
    file.plans(fields, &["ann 7", "hi > x"]);
    file.plans(chosen(|models| models.no_messages = true), &["ann 7"]);
    file.asks(
        chosen(|models| models.message_field = Some("word".into())),
        "no field `word` (--message-field)",
    );
}

#[test]
fn questions_and_answers_may_have_a_row_each() {
    let turn = |pk: u64, role: &str, text: &str, second: u64| {
        let time = format!("2025-01-01T00:00:{second:02}Z");
        row(
            "talk.message",
            pk,
            json!({ "conversation": 1 + pk / 10, "role": role, "content": text, "created_at": time }),
        )
    };
    let conversation = |pk: u64| {
        row("talk.conversation", pk, json!({ "user": 1, "title": "t", "created_at": TIME }))
    };
    let file = case(vec![
        user(1, "ann", 7),
        conversation(1),
        conversation(2),
        turn(1, "user", "hi", 1),
        turn(10, "user", "elsewhere", 2),
        turn(2, "assistant", "hello", 3),
        turn(3, "assistant", "again", 4),
        turn(4, "user", "open", 5),
        turn(5, "system", "be brief", 6),
        turn(11, "ai", "there", 7),
        turn(12, "robot", "?", 8),
    ]);
    file.plans(
        NONE,
        &[
            "ann 7",
            "hi > hello\n\nagain",
            "elsewhere > there",
            "open > ",
            "12 `role` says neither that a user nor that the AI wrote the row",
            "5 neither the user nor the AI wrote the row",
        ],
    );
    let alone = json!({ "user": 1, "role": "user", "message": "hi", "timestamp": TIME });
    let file = case(vec![user(1, "ann", 7), row("talk.chathistory", 1, alone)]);
    file.plans(NONE, &["ann 7", "hi > "]);
    let flags = |pk: u64, is_bot: bool| {
        row(
            "talk.chat",
            pk,
            json!({ "user": 1, "is_bot": is_bot, "text": "hi", "timestamp": TIME }),
        )
    };
    let file = case(vec![user(1, "ann", 7), flags(1, false), flags(2, true)]);
    file.plans(NONE, &["ann 7", "hi > hi"]);
}

#[test]
fn tickets_are_chats_only_if_the_operator_says_so() {
    let ticket = json!({ "user": 1, "message": "a refund", "reply": "no", "created_at": TIME });
    let file = case(vec![user(1, "ann", 7), row("support.ticket", 1, ticket)]);
    file.asks(NONE, "--chat-model support.ticket");
    file.plans(
        chosen(|models| models.chat_model = Some("support.ticket".into())),
        &["ann 7", "a refund > no"],
    );
    file.plans(chosen(|models| models.no_messages = true), &["ann 7"]);
}

/// Imports these rows, as `dumpdata` or as tables.
async fn imported(
    api: &Api,
    file: &DumpFile,
    change: impl FnOnce(Import) -> Import,
) -> Result<String, String> {
    run(&app(api), change(file.import())).await
}

#[tokio::test]
async fn users_who_may_be_banned_come_only_after_a_decision() {
    let banned = with(
        user(1, "ann", 4000),
        json!({ "is_deleted": true, "is_banned": true, "deleted_at": TIME, "is_premium": true }),
    );
    let fine = with(
        user(2, "ben", 7),
        json!({ "is_deleted": false, "is_banned": false, "deleted_at": null, "is_premium": false }),
    );
    let rows = [banned, fine];
    for file in [DumpFile::of(&rows), database(&rows, &[], &[])] {
        let api = Api::own(&[]).await;
        let before = api.items("").await;
        for apply in [false, true] {
            let refused =
                imported(&api, &file, |import| Import { apply, ..import }).await.unwrap_err();
            for option in
                ["--inactive-if is_banned, or --ignore is_banned", "`deleted_at`", "`is_deleted`"]
            {
                assert!(refused.contains(option), "{refused}");
            }
            assert!(!refused.contains("is_premium"), "{refused}");
        }
        assert_eq!(api.items("").await, before);
        let choices = Choices { inactive_if: vec!["is_gone".into()], ..NONE };
        let refused =
            imported(&api, &file, |import| Import { choices, ..import }).await.unwrap_err();
        assert!(refused.contains("shop.user has no field `is_gone`, only "), "{refused}");

        let choices = Choices { inactive_if: vec!["is_deleted=true".into()], ..NONE };
        imported(&api, &file, |import| Import { choices, ..import }).await.unwrap();
        let account =
            |name: &'static str| async { api.store().account_named(name).await.unwrap().unwrap() };
        assert!(!account("ann").await.active && account("ben").await.active);
    }
}

#[tokio::test]
async fn users_whom_a_field_never_admitted_stay_out() {
    let approved = |pk: u64, value: Value| {
        with(user(pk, &format!("u{pk}"), 7), json!({ "is_approved": value, "status": "fine" }))
    };
    let file = DumpFile::of(&[
        approved(1, json!(true)),
        approved(2, json!(false)),
        approved(3, Value::Null),
    ]);
    let api = Api::own(&[]).await;
    let refused = imported(&api, &file, |import| import).await.unwrap_err();
    assert!(
        refused.contains("2 users") && refused.contains("--inactive-if is_approved=false"),
        "{refused}"
    );
    let condition = vec!["is_approved=false".to_owned()];
    let choices = Choices { inactive_if: condition.clone(), ..NONE };
    imported(&api, &file, |import| Import { choices, ..import }).await.unwrap();
    for (name, active) in [("u1", true), ("u2", false), ("u3", false)] {
        assert_eq!(
            api.store().account_named(name).await.unwrap().unwrap().active,
            active,
            "{name}"
        );
    }
    let choices = Choices { ignore: condition, ..NONE };
    let refused = imported(&api, &file, |import| Import { choices, ..import }).await.unwrap_err();
    assert!(refused.contains("--ignore takes a field"), "{refused}");
}

#[tokio::test]
async fn an_account_that_an_administrator_activated_stays() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let [ann, ben] = [user(1, "ann", 7), user(2, "ben", 7)]
        .map(|row| with(row, json!({ "is_superuser": true })));
    let out = |row: &Value| with(row.clone(), json!({ "is_active": false }));
    DumpFile::of(&[out(&ann), ben.clone()]).import_into(&app(&api)).await.unwrap();
    let account = async |name: &str| api.store().account_named(name).await.unwrap().unwrap();
    let path = format!("/api/admin/users/{}/", account("ann").await.id);
    root.patch(&path, json!({ "active": true })).await.is(200);
    let path = format!("/api/admin/users/{}/", account("ben").await.id);
    root.patch(&path, json!({ "role": "admin" })).await.is(200);
    let later = DumpFile::of(&[out(&ann), out(&ben)]);
    let done =
        imported(&api, &later, |import| Import { update_inactive: true, ..import }).await.unwrap();
    assert!(
        !done.contains("ended")
            && done.contains("2 users can log in here, but no longer to the other system"),
        "{done}"
    );
    assert!(account("ann").await.active && account("ben").await.active);
}

#[tokio::test]
async fn passwords_in_clear_text_are_hashed_on_the_way() {
    let api = Api::own(&[]).await;
    let file = DumpFile::of(&[
        with(user(1, "ann", 7), json!({ "password": PASSWORD })),
        with(user(2, "ben", 7), json!({ "password": "pbkdf2_sha512$1$s$h" })),
    ]);
    let refused =
        imported(&api, &file, |import| Import { apply: false, ..import }).await.unwrap_err();
    assert!(refused.starts_with("2 rows "), "{refused}");
    let clear = |import| Import { clear_text_passwords: true, ..import };
    let refused = imported(&api, &file, clear).await.unwrap_err();
    assert!(refused.starts_with("1 row "), "a hash is no password: {refused}");
    let ann = json!({ "username": "ann", "password": PASSWORD });
    let session = api.log_in(ann.clone()).await.is(200);
    assert_eq!(session["tokens"], 7);
    let stored = api.store().account_named("ann").await.unwrap().unwrap();
    assert!(stored.password.starts_with("$argon2id$") && stored.imported_hash().is_none());
    // A second run changes nothing.
    imported(&api, &file, clear).await.unwrap_err();
    api.log_in(ann).await.is(200);
}

#[tokio::test]
async fn blanks_that_django_removed_from_a_password_dont_matter() {
    let api = Api::own(&[]).await;
    DumpFile::of(&[user(1, "ann", 7), user(2, "ben", 7)]).import_into(&app(&api)).await.unwrap();
    for password in [format!("{PASSWORD} "), format!("\t{PASSWORD}"), PASSWORD.to_owned()] {
        api.log_in(json!({ "username": "ann", "password": password })).await.is(200);
    }
    // Farebox's own hash has replaced Django's.
    let with_blank = json!({ "username": "ann", "password": format!("{PASSWORD} ") });
    api.log_in(with_blank).await.expect(401, "invalid_credentials");
    let other = json!({ "username": "ben", "password": format!("{PASSWORD}x ") });
    api.log_in(other).await.expect(401, "invalid_credentials");
}

#[tokio::test]
async fn usernames_are_replaced_only_on_demand() {
    let api = Api::own(&[]).await;
    let file = DumpFile::of(&[user(1, "Ann  Smith!", 7), user(2, "eve@lin", 7), user(3, "???", 7)]);
    assert!(imported(&api, &file, |import| import).await.unwrap_err().starts_with("3 rows "));
    let report = DumpFile::empty(".csv");
    let path = std::path::PathBuf::from(report.path());
    let rename = |import| Import { rename: true, report: Some(path.clone()), ..import };
    let refused = imported(&api, &file, rename).await.unwrap_err();
    assert!(refused.starts_with("1 row can't be imported. ") && refused.contains(report.path()));
    for name in ["Ann_Smith", "eve_lin"] {
        api.log_in(json!({ "username": name, "password": PASSWORD })).await.is(200);
    }
    let lines = std::fs::read_to_string(report.path()).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], "what,model,pk,line,reason,username,difference");
    assert!(lines[1].starts_with(r#""refused","shop.user","3","4","a name "#), "{}", lines[1]);
    assert_eq!(
        lines[2..],
        [
            r#""renamed","shop.user","1","2","Ann  Smith!","Ann_Smith","""#,
            r#""renamed","shop.user","2","3","eve@lin","eve_lin","""#
        ]
    );
}

#[tokio::test]
async fn a_second_import_says_what_differs_and_changes_nothing() {
    let api = Api::own(&[]).await;
    let [ann, ben] = [user(1, "ann", 4000), user(2, "ben", 10)];
    DumpFile::of(&[ann.clone(), ben.clone()]).import_into(&app(&api)).await.unwrap();
    let person = |name: &str| json!({ "username": name, "password": PASSWORD });
    let session = api.log_in(person("ben")).await.is(200);
    let later = DumpFile::of(&[
        with(ann, json!({ "tokens": 3500, "password": HASH.replace("ughDL", "aghDL") })),
        with(ben, json!({ "is_active": false, "tokens": 11 })),
    ]);
    let report = DumpFile::empty(".jsonl");
    let path = std::path::PathBuf::from(report.path());
    let dry = |import| Import { apply: false, report: Some(path.clone()), ..import };
    let before = api.items("").await;
    let told = imported(&api, &later, dry).await.unwrap();
    assert_eq!(api.items("").await, before);
    for line in [
        "2 balances differ from what was imported (-499 tokens); balances are imported once",
        "1 user can log in here, but no longer to the other system; --update-inactive ",
        "1 password changed since the import; the imported one still works here",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let lines = std::fs::read_to_string(report.path()).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| json!([line["what"], line["username"], line["difference"]]))
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["balance", "ann", -500],
            ["password", "ann", null],
            ["balance", "ben", 1],
            ["inactive", "ben", null]
        ])
    );

    let update = |import| Import { update_inactive: true, ..import };
    let done = imported(&api, &later, update).await.unwrap();
    assert!(done.contains("; 1 account ended") && done.contains("-499 tokens"), "{done}");
    api.log_in(person("ben")).await.expect(401, "invalid_credentials");
    let mut session = session;
    session["id"] = session["user"]["id"].clone();
    Person::of(&api, &person("ben"), &session).is_out().await;
    let account = async |name: &str| api.store().account_named(name).await.unwrap().unwrap();
    let (ann, ben) = (account("ann").await, account("ben").await);
    assert_eq!((ann.tokens.get(), ben.tokens.get(), ben.active), (4000, 10, false));
    // A third import has nothing left to end.
    let done = imported(&api, &later, update).await.unwrap();
    assert!(!done.contains("ended"), "{done}");
    for account in [&ann, &ben] {
        assert_eq!(api.store().audit(&account.label).await.unwrap().differences, []);
    }
}

#[tokio::test]
async fn another_system_doesnt_continue_an_account() {
    let api = Api::own(&[]).await;
    DumpFile::of(&[user(1, "admin", 4000)]).import_into(&app(&api)).await.unwrap();
    let other = with(user(1, "admin", 7), json!({ "date_joined": "2022-01-01T00:00:00Z" }));
    let other = DumpFile::of(&[other]);
    let refused = imported(&api, &other, |import| import).await.unwrap_err();
    assert!(refused.starts_with("1 row "), "{refused}");
}

#[tokio::test]
async fn old_and_new_ids_are_kept_in_a_file() {
    let api = Api::own(&[]).await;
    let chat = json!({ "user": 1, "message": "hi", "response": "x", "timestamp": TIME });
    let file = DumpFile::of(&[user(1, "ann", 4000), row("shop.chat", 17, chat)]);
    let map = DumpFile::empty(".csv");
    let path = std::path::PathBuf::from(map.path());
    for _ in 0..2 {
        imported(&api, &file, |import| Import { map: Some(path.clone()), ..import }).await.unwrap();
        let session = api.log_in(json!({ "username": "ann", "password": PASSWORD })).await.is(200);
        let id = session["user"]["id"].as_str().unwrap();
        let bearer = format!("Bearer {}", session["access"].as_str().unwrap());
        let headers = [("authorization", bearer.as_str())];
        let history = api.send(reqwest::Method::GET, "/api/chat/", &headers, None).await.is(200);
        let chat = history[0]["id"].as_str().unwrap();
        let lines = std::fs::read_to_string(map.path()).unwrap();
        assert_eq!(
            lines,
            format!("model,pk,id\n\"shop.user\",\"1\",\"{id}\"\n\"shop.chat\",\"17\",\"{chat}\"\n")
        );
    }
}

/// Fields may be missing in most rows.
#[tokio::test]
async fn users_of_late_rows_stay_out_too() {
    let api = Api::own(&[]).await;
    let line = |number: u64| json!({ "id": number, "username": format!("u{number}"), "password": HASH, "tokens": 1 });
    let mut lines: Vec<Value> = (0..1005).map(line).collect();
    lines[1004]["active"] = json!(false);
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    imports_users(&api, &lines.join("\n")).await.unwrap();
    for (name, active) in [("u1003", true), ("u1004", false)] {
        assert_eq!(
            api.store().account_named(name).await.unwrap().unwrap().active,
            active,
            "{name}"
        );
    }
}

/// Imports users from JSON lines.
async fn imports_users(api: &Api, lines: &str) -> Result<String, String> {
    let file = DumpFile::empty(".jsonl");
    std::fs::write(file.path(), lines).unwrap();
    let import = file.import();
    let dump = Dump::open_users(&import.file, &import.choices)?;
    let (waits, progress) = (Waits::default(), Progress::default());
    into_store(&app(api), &dump, &import, true, waits, &progress).await
}

#[tokio::test]
async fn users_of_any_system_come_as_json_lines() {
    let api = Api::own(&[]).await;
    let bcrypt = "$2b$04$vLmtJqvazpuqwSWVM7YyY.X.aHuwb9ZKeFwq0t8WDcqxh/MAPWOca";
    let lines = [
        json!({ "id": "64a", "username": "ann", "email": "ann@example.com", "email_verified": true, "password": HASH, "tokens": 4000, "created": "2025-03-01T12:00:00.5+02:00", "first_name": "Ann", "active": true }),
        json!({ "id": "64b", "email": "ben@example.com", "password": bcrypt, "tokens": 7, "created": null }),
        json!({ "id": "64c", "email": "cleo@example.com", "password": null, "tokens": 1 }),
        json!({ "id": "64d", "username": "dan", "password": HASH, "tokens": 1, "active": false }),
    ];
    let lines = lines.map(|line| line.to_string()).join("\n");
    let refused = imports_users(&api, &lines).await.unwrap_err();
    assert!(refused.starts_with("1 row "), "cleo has no password: {refused}");
    let ben = json!({ "username": "ben@example.com", "password": PASSWORD });
    assert_eq!(api.log_in(ben).await.is(200)["tokens"], 7);
    let ann =
        api.log_in(json!({ "username": "ann@example.com", "password": PASSWORD })).await.is(200);
    assert_eq!((&ann["tokens"], &ann["user"]["email_verified"]), (&json!(4000), &json!(true)));
    assert_eq!(ann["user"]["date_joined"], "2025-03-01T10:00:00.500Z");
    let dan = json!({ "username": "dan", "password": PASSWORD });
    api.log_in(dan).await.expect(401, "invalid_credentials");
    let audited = api.store().audit("ann").await.unwrap();
    assert_eq!(audited.differences, []);
}
