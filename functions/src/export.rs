//! `GET /api/user/export` - everything that is kept of the caller, as one JSON document.
//!
//! Out: `profile`, `balance`, and `sessions`, `api_keys`, `conversations`, `chats` and `ledger`,
//! newest first, as a file. It is read page by page as the client takes it, so that only Lambda
//! limits its size (200 MB). Where something fails in the middle, the document ends there and is no
//! JSON.

use serde_json::{Value, json};
use shared::auth::AccessToken;
use shared::chat::{Chat, Shown};
use shared::store::{
    Conversation, Entry, EntryKind, OwnSession, ShownConversation, ShownKey, StoredKey,
};
use shared::stream::Pieces;
use shared::user::{Account, Balance, User, balance_fields};
use shared::{App, Reply, Request, Result, Tokens, auth, clock, http};
use utoipa::ToSchema;

/// How many chats or rows are read at a time; DynamoDB gives up to 1 MB.
const PAGE: usize = 100;

/// Refuses whom the account doesn't admit before the first byte.
#[utoipa::path(
    get,
    path = "/api/user/export",
    tag = "Accounts",
    summary = "Export everything",
    description = "All that is kept of an account, as a file of up to 200 MB. A document that ends in the middle was cut off: ask again.",
    security(("access_token" = [])),
    responses((
        status = 200,
        description = "The document.",
        body = Export,
        headers(("Content-Disposition" = String)),
    )),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account(&caller).await?;
    tracing::info!(user = account.id, "exporting");
    http::download("farebox-export.json", |pieces| write(app, caller, account, pieces))
}

/// All that is kept of an account; the lists are newest first.
#[derive(ToSchema)]
pub struct Export {
    /// When it was made.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.998Z"))]
    pub exported: String,
    /// The account.
    pub profile: User<'static>,
    /// Its tokens.
    pub balance: ExportedBalance,
    /// Where it is logged in.
    pub sessions: Vec<OwnSession<'static>>,
    /// Its API keys.
    pub api_keys: Vec<ShownKey<'static>>,
    /// Its conversations.
    pub conversations: Vec<ShownConversation<'static>>,
    /// Its chats.
    pub chats: Vec<Shown<'static>>,
    /// Everything that ever moved its balance.
    pub ledger: Vec<ExportedRow>,
}

/// The tokens of an account.
#[derive(ToSchema)]
pub struct ExportedBalance {
    /// What it can spend.
    #[serde(flatten)]
    pub balance: Balance,
    /// Everything that it was ever given.
    pub granted: Tokens,
    /// Everything that it ever spent.
    pub spent: Tokens,
}

/// What moved a balance.
#[derive(ToSchema)]
pub struct ExportedRow {
    /// Its id.
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    pub id: String,
    /// When.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    pub timestamp: String,
    /// What it was.
    pub kind: EntryKind,
    /// What came, or below zero what went.
    #[schema(examples(-100))]
    pub amount: i64,
    /// Why.
    #[schema(examples("chat"))]
    pub reason: String,
    /// The chat that was paid for.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    pub chat_id: Option<String>,
}

/// A list of the document.
#[derive(Clone, Copy)]
enum List {
    Sessions,
    ApiKeys,
    Conversations,
    Chats,
    Ledger,
}

/// The lists in their order, by what the document calls them.
const LISTS: [(&str, List); 5] = [
    ("sessions", List::Sessions),
    ("api_keys", List::ApiKeys),
    ("conversations", List::Conversations),
    ("chats", List::Chats),
    ("ledger", List::Ledger),
];

/// The pages are read one after the other, so that no more than two are kept.
async fn write(app: App, caller: AccessToken, account: Account, pieces: Pieces) -> Result<()> {
    let balance = balance_fields(account.balance(app.clock.seconds()));
    let balance =
        http::merge([balance, json!({ "granted": account.granted, "spent": account.spent })]);
    let (exported, profile) = (json!(clock::rfc3339(app.clock.millis())), account.data());
    let mut head = format!("{{\"exported\":{exported},\"profile\":{profile},\"balance\":{balance}");
    for (name, list) in LISTS {
        pieces.send(format!("{head},\"{name}\":[")).await?;
        let (mut comma, mut before) = ("", None);
        loop {
            let (items, last, more) = list.page(&app, &caller, &account, before.as_deref()).await?;
            let mut text = String::new();
            for item in items {
                text.push_str(comma);
                text.push_str(&item.to_string());
                comma = ",";
            }
            pieces.send(text).await?;
            before = last;
            if !more || before.is_none() {
                break;
            }
        }
        head = "]".into();
    }
    // An account that was deleted meanwhile has lost chats that this document would seem not to
    // miss.
    app.store.account(&caller).await?;
    pieces.send("]}\n").await
}

impl List {
    /// A page from behind the place `before`: its items, the place of the last one that was looked
    /// at, and whether there may be more.
    async fn page(
        self,
        app: &App,
        caller: &AccessToken,
        account: &Account,
        before: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>, bool)> {
        let (store, id) = (&app.store, account.id.as_str());
        Ok(match self {
            Self::Sessions => {
                let (ids, more) = store.session_ids(id, before).await?;
                let (live, now) = (store.sessions(&ids).await?, app.clock.seconds());
                let live = live
                    .iter()
                    .filter(|session| session.opens(account, now))
                    .map(|session| session.data(&caller.session));
                (live.collect(), ids.into_iter().next_back(), more)
            }
            Self::ApiKeys => {
                let keys = store.api_keys(account, &store.api_key_ids(id).await?).await?;
                (keys.iter().map(StoredKey::data).collect(), None, false)
            }
            Self::Conversations => {
                let (keys, more) = store.conversation_keys(id, before, PAGE).await?;
                let conversations = store.conversations(id, &keys).await?;
                let last = conversations.last().map(|last| last.place().to_owned());
                (conversations.iter().map(Conversation::data).collect(), last, more)
            }
            Self::Chats => {
                let (chats, more) = store.chats(id, before, PAGE).await?;
                (
                    chats.iter().map(Chat::data).collect(),
                    chats.into_iter().next_back().map(|chat| chat.chat_id),
                    more,
                )
            }
            Self::Ledger => {
                let (entries, more) = store.entries(id, before, PAGE).await?;
                (
                    entries.iter().map(row).collect(),
                    entries.into_iter().next_back().map(|entry| entry.entry_id),
                    more,
                )
            }
        })
    }
}

fn row(entry: &Entry) -> Value {
    json!({
        "id": entry.entry_id,
        "timestamp": clock::rfc3339(entry.time),
        "kind": entry.kind.word(),
        "amount": entry.amount,
        "reason": entry.reason,
        "chat_id": entry.chat_id,
    })
}
