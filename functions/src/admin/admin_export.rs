//! `GET /api/admin/export/{list}` - all users, all messages, the whole ledger or the addresses of
//! some users as a CSV file. For administrators.
//!
//! Checks that the caller is an administrator before sending the first byte. In an export of
//! addresses, each user with an address gets an entry in the audit log before the reply begins, and
//! so does an export of messages.
//! Reads the list page by page while the client reads the reply. If the function fails midway, the
//! file is cut off, and its last line doesn't end with a line break.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};
use shared::app::HistoryApp;
use shared::clock::Day;
use shared::config::ChatAccess;
use shared::error::Failure;
use shared::http::{self, Pieces};
use shared::store::{CHATS, ListedAccount, Reading};
use shared::values::{Administrator, Entry};
use shared::view::{ChatOfUser, LedgerRowOfUser, ListedUser};
use shared::{App, Error, Reply, Request, Result, auth, openapi};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};

use super::admin_chats::ChatReader;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Exports users, chats and the ledger for administrators")
        .throttled()
        .streams(300)
        .permits(permits![
            VERIFY_TOKENS,
            query(UsersByTime),
            get_many(Chats),
            query(ChatsByTime),
            get(Tokens(&["imports:*"])),
            query(LedgerTrail),
            get_many(Users(&["user:*"])),
            RECORD_ACTION,
        ]);

/// A list that can be exported.
#[derive(Clone, Copy)]
enum List {
    Users,
    /// The addresses of some users.
    Addresses,
    Chats,
    Ledger,
    /// The ledger, with the accounts' usernames.
    NamedLedger,
}

/// How many usernames an export caches. Without the cache, each name would require a query.
const CACHED_USERNAMES: usize = 10_000;

/// How many accounts are read at a time.
const ACCOUNTS: usize = 100;

/// The maximum number of users in an export of addresses. One transaction records all of them.
const ADDRESSES: usize = 50;

// The endpoint's description contains this number.
const _: () = assert!(ADDRESSES == 50);

/// The items that are exported.
enum Selection {
    /// The items from the first to the last day.
    Days(Day, Day),
    /// The users with these ids.
    Users(BTreeSet<String>),
}

/// The lists, each with its name in the path and its file name.
const LISTS: [(&str, List, &str); 4] = [
    ("users.csv", List::Users, "farebox-users.csv"),
    ("addresses.csv", List::Addresses, "farebox-addresses.csv"),
    ("chats.csv", List::Chats, "farebox-chats.csv"),
    ("ledger.csv", List::Ledger, "farebox-ledger.csv"),
];

/// Export a list
///
/// All users with their balances, all messages or the whole ledger as a CSV file, oldest first, by
/// default of all days; or the e-mail addresses of at most 50 users, each of whom the audit log
/// lists. If the last line has no line break, the file was cut off: request it again.
#[utoipa::path(
    get,
    path = super::path::admin_export,
    tag = "Administration",
    security(("access_token" = [])),
    params(ListParam, openapi::Days, NamesParam, UsersParam),
    responses((
        status = 200,
        description = "The file. Its first line names the columns.",
        content((String = "text/csv", example = json!(
            "\"id\",\"timestamp\",\"user_id\",\"kind\",\"amount\",\"reason\",\"chat_id\",\
             \"actor\"\r\n"
        ))),
        headers(("Content-Disposition" = String)),
    )),
    extensions(("x-fails" = json!([Failure::Invalid, Failure::NotFound, Failure::ChatsClosed]))),
)]
pub async fn handle(reader: ChatReader<HistoryApp>, req: Request) -> Reply {
    let app = reader.app.app.clone();
    let read = async {
        let (list, file) =
            List::named(http::path_parameter(&req, "list")).ok_or(Error::NotFound)?;
        if matches!(list, List::Chats) {
            reader.require(ChatAccess::Read)?;
        }
        let list = match (list, http::query_flag(&req, "names")?) {
            (List::Ledger, Some(true)) => List::NamedLedger,
            (List::Addresses, _) => return Ok((list, file, Selection::Users(users(&req)?))),
            (list, _) => list,
        };
        let (first, today) =
            (reader.app.data_period().await?.first, Day::from_millis(app.clock.millis()));
        let to = http::query_day(&req, "to")?.unwrap_or(today);
        let from = http::query_day(&req, "from")?.unwrap_or(first.min(to));
        if to < from {
            return Err(Error::field("to", "The last day must not be before the first."));
        }
        Ok((list, file, Selection::Days(from.max(first), to.min(today))))
    };
    let (administrator, (list, file, selection)) = auth::administrator(&app, &req, read).await?;
    tracing::info!(user = administrator.account().id, list = file, "exporting");
    match selection {
        Selection::Days(from, to) => {
            if matches!(list, List::Chats) {
                app.store.record_reading(&administrator, Reading::Export, &app.clock).await?;
            }
            http::csv_download(file, |pieces| {
                write_file(app, administrator, list, from, to, pieces)
            })
        }
        Selection::Users(ids) => {
            let found = app.store.users_with_ids(ids).await?;
            let with_address: Vec<ListedAccount> =
                found.into_iter().filter(|user| user.email.is_some()).collect();
            let users: Vec<_> =
                with_address.iter().map(|user| (user.id.clone(), user.role.clone())).collect();
            app.store.record_addresses(&administrator, &users, &app.clock).await?;
            http::csv_download(file, |pieces| write_addresses(list, with_address, pieces))
        }
    }
}

/// Returns the ids in the query of an export of addresses.
fn users(req: &Request) -> Result<BTreeSet<String>> {
    let ids = http::query(req, "users").unwrap_or_default().split(',').map(http::id);
    let ids: Option<BTreeSet<String>> = ids.collect();
    ids.filter(|ids| ids.len() <= ADDRESSES).ok_or_else(|| {
        let sentence =
            format!("These must be the ids of 1 to {ADDRESSES} users, separated by commas.");
        Error::field("users", sentence)
    })
}

/// Writes a file with the addresses of these users.
async fn write_addresses(list: List, users: Vec<ListedAccount>, pieces: Pieces) -> Result<()> {
    list.begin(&pieces).await?;
    list.send(users.iter().map(|user| json!(ListedUser::of(user))), &pieces).await?;
    pieces.send("\r\n").await
}

/// Writes the file. A line break is sent together with the line that follows it. The last line
/// break is sent only when the file is complete.
async fn write_file(
    app: App,
    administrator: Administrator,
    list: List,
    from: Day,
    to: Day,
    pieces: Pieces,
) -> Result<()> {
    list.begin(&pieces).await?;
    let mut usernames = Usernames::default();
    for day in (0..from.days_to(to)).map(|later| from.after(later)) {
        list.write_day(&app, day, &mut usernames, &pieces).await?;
    }
    // If the caller lost the administrator role during the export, the file must not look complete.
    app.store.administrator(administrator.caller()).await?;
    pieces.send("\r\n").await
}

impl List {
    /// Returns the list with this name, and the name of its file.
    fn named(name: &str) -> Option<(Self, &'static str)> {
        LISTS.into_iter().find(|(own, ..)| *own == name).map(|(_, list, file)| (list, file))
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Users => &[
                "id",
                "username",
                "email",
                "role",
                "is_staff",
                "active",
                "date_joined",
                "tokens",
                "spent",
                "last_message",
            ],
            Self::Addresses => &["username", "email", "active"],
            Self::Chats => &[
                "id",
                "user_id",
                "username",
                "conversation_id",
                "message",
                "response",
                "model",
                "tokens_deducted",
                "timestamp",
            ],
            Self::Ledger => {
                &["id", "timestamp", "user_id", "kind", "amount", "reason", "chat_id", "actor"]
            }
            Self::NamedLedger => &[
                "id",
                "timestamp",
                "user_id",
                "username",
                "kind",
                "amount",
                "reason",
                "chat_id",
                "actor",
                "actor_name",
            ],
        }
    }

    /// Sends the first line, which names the columns.
    async fn begin(self, pieces: &Pieces) -> Result<()> {
        let columns: Vec<_> = self.columns().iter().map(|column| Cow::from(*column)).collect();
        pieces.send(http::csv_row(&columns)).await
    }

    /// Writes one day's lines.
    async fn write_day(
        self,
        app: &App,
        day: Day,
        usernames: &mut Usernames,
        pieces: &Pieces,
    ) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = (day, after.as_deref());
            after = match self {
                Self::Users => self.write_users(app, page, pieces).await?,
                // The ids of the users are in the request.
                Self::Addresses => None,
                Self::Chats => self.write_chats(app, page, pieces).await?,
                Self::Ledger | Self::NamedLedger => {
                    self.write_entries(app, page, usernames, pieces).await?
                }
            };
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Writes a page of users. Returns the position after which the next page of the same day
    /// begins.
    async fn write_users(
        self,
        app: &App,
        (day, after): (Day, Option<&str>),
        pieces: &Pieces,
    ) -> Result<Option<String>> {
        let (users, next) = app.store.users_of_day(day, after).await?;
        for some in users.chunks(ACCOUNTS) {
            let accounts = app.store.accounts_listed(some).await?;
            let now = app.clock.seconds();
            let row = |user| {
                let row = ListedUser::of(user);
                match accounts.get(row.id()) {
                    Some(account) => json!(row.detailed(account, now)),
                    None => json!(row),
                }
            };
            self.send(some.iter().map(row), pieces).await?;
        }
        Ok(next)
    }

    /// Writes a page of messages, like [`List::write_users`].
    async fn write_chats(
        self,
        app: &App,
        (day, after): (Day, Option<&str>),
        pieces: &Pieces,
    ) -> Result<Option<String>> {
        let (keys, next) = app.store.chats_of_day(day, after).await?;
        for some in keys.chunks(CHATS) {
            let chats = app.store.chats_with(some).await?;
            let kept = chats.iter().filter(|chat| !chat.is_temporary());
            let chats = kept.map(|chat| json!(ChatOfUser::of(chat)));
            self.send(chats, pieces).await?;
        }
        Ok(next)
    }

    /// Writes a page of ledger entries, like [`List::write_users`].
    async fn write_entries(
        self,
        app: &App,
        (day, after): (Day, Option<&str>),
        usernames: &mut Usernames,
        pieces: &Pieces,
    ) -> Result<Option<String>> {
        let (entries, next) = app.store.entries_of_day(day, after).await?;
        if matches!(self, Self::NamedLedger) {
            usernames.learn(app, &entries).await?;
        }
        let row = |entry| json!(LedgerRowOfUser::of(entry, |id| usernames.get(id)));
        self.send(entries.iter().map(row), pieces).await?;
        Ok(next)
    }

    /// Sends one line for each item, with one cell for each column.
    async fn send(self, items: impl Iterator<Item = Value>, pieces: &Pieces) -> Result<()> {
        let cell = |item: &Value, column: &str| match item.get(column) {
            None | Some(Value::Null) => Cow::from(""),
            Some(Value::String(text)) => Cow::from(text.clone()),
            Some(other) => Cow::from(other.to_string()),
        };
        let line = |item: Value| {
            let cells: Vec<_> = self.columns().iter().map(|column| cell(&item, column)).collect();
            format!("\r\n{}", http::csv_row(&cells))
        };
        let lines: String = items.map(line).collect();
        if lines.is_empty() { Ok(()) } else { pieces.send(lines).await }
    }
}

/// The usernames, by account id. `None` for deleted accounts.
#[derive(Default)]
struct Usernames(HashMap<String, Option<String>>);

impl Usernames {
    /// Looks up the usernames of the entries' accounts, unless they are cached.
    async fn learn(&mut self, app: &App, entries: &[Entry]) -> Result<()> {
        if self.0.len() > CACHED_USERNAMES {
            self.0.clear();
        }
        let ids = entries.iter().flat_map(|entry| [&entry.user_id, &entry.actor]);
        let unknown: BTreeSet<&str> =
            ids.filter(|id| !self.0.contains_key(*id)).map(String::as_str).collect();
        let mut found = app.store.usernames(unknown.iter().copied()).await?;
        self.0.extend(unknown.into_iter().map(|id| (id.to_owned(), found.remove(id))));
        Ok(())
    }

    fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id)?.as_deref()
    }
}

/// The `names` query parameter.
#[derive(Debug)]
pub struct NamesParam;

impl IntoParams for NamesParam {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![openapi::parameter(
            "names",
            ParameterIn::Query,
            "Whether the ledger has the usernames of its accounts, in the columns `username` and `actor_name`. By default it has only ids.",
            Object::builder().schema_type(Type::Boolean),
        )]
    }
}

/// The `users` query parameter.
#[derive(Debug)]
pub struct UsersParam;

impl IntoParams for UsersParam {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![openapi::parameter(
            "users",
            ParameterIn::Query,
            &format!(
                "For `addresses.csv`, the ids of at most {ADDRESSES} users, separated by commas."
            ),
            Object::builder()
                .schema_type(Type::String)
                .examples(["01a1f7d1-6dd1-703a-9600-a369c76325b7"]),
        )]
    }
}

/// The path parameter that contains the list's name.
#[derive(Debug)]
pub struct ListParam;

impl IntoParams for ListParam {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let name = Object::builder()
            .schema_type(Type::String)
            .enum_values(Some(LISTS.map(|(name, ..)| name)));
        vec![openapi::of_path("list", "Which list.", name)]
    }
}
