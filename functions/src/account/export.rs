//! `GET /api/user/export` - all of the caller's data, as one JSON document.
//!
//! Out: a file with `profile`, `balance`, `instructions`, and the lists `sessions`, `api_keys`,
//! `conversations`, `chats`, `ledger` and `purchases`, newest first. The function reads the data
//! page by page while the client reads the reply, so the document's size is limited only by
//! Lambda's maximum of 200 MB. If the function fails midway, the document is cut off and isn't
//! valid JSON.

use std::borrow::Cow;

use serde::Serialize;
use shared::http::{self, Pieces};
use shared::values::{AccessToken, Account, Instructions};
use shared::view::{ApiKey, Balance, Chat, Conversation, LedgerRow, OwnSession, Purchase, User};
use shared::{App, Credits, Reply, Request, Result, auth, clock};
use utoipa::openapi::schema::{AllOf, Array, Object, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Exports the data of an account").throttled().streams(300).permits(permits![
        VERIFY_TOKENS,
        allow(&[Query, BatchGetItem], Chats),
        query(ChatsByConversation),
        query(Ledger),
        query(TokensByUser),
        get(Tokens(&["instructions:*"])),
        get_many(Tokens(&["session:*", "apikey:*", "order:*"])),
    ]);

/// How many messages or rows are read at a time. DynamoDB returns at most 1 MB per read.
const PAGE: usize = 100;

/// Checks the caller's token before sending the first byte.
#[utoipa::path(
    get,
    path = super::path::export,
    tag = "Accounts",
    summary = "Export all data",
    description = "All data of the account, as a file of up to 200 MB. A document that isn't valid JSON was cut off: request it again.",
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
    let account = app.store.account_of(&caller).await?;
    let instructions = app.store.instructions_of(&account).await?;
    tracing::info!(user = account.id, "exporting");
    http::download("farebox-export.json", |pieces| {
        write(app, caller, account, instructions, pieces)
    })
}

/// The schema of the document, which contains all of an account's data: the fields of [`Head`],
/// followed by the lists. Each list is sorted newest first.
#[derive(Debug)]
pub struct Export;

impl PartialSchema for Export {
    fn schema() -> RefOr<Schema> {
        let lists = LISTS.into_iter().fold(Object::builder(), |document, (name, list)| {
            let items = Ref::from_schema_name(list.schema());
            document.property(name, Array::builder().items(items)).required(name)
        });
        AllOf::builder().item(Head::schema()).item(lists).into()
    }
}

impl ToSchema for Export {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <Head as ToSchema>::schemas(schemas);
    }
}

/// The fields that precede the lists in the exported document.
#[derive(Serialize, ToSchema)]
struct Head<'a> {
    /// When the document was created.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.998Z"))]
    exported: String,
    /// The account.
    profile: User<'a>,
    /// The balance and totals.
    balance: ExportedBalance,
    /// The instructions that the AI gets with each message.
    #[schema(value_type = Instructions)]
    instructions: String,
}

/// The balance and totals of an account.
#[derive(Serialize, ToSchema)]
struct ExportedBalance {
    /// The current balance.
    #[serde(flatten)]
    balance: Balance,
    /// All tokens ever granted, including adjustments.
    granted: Credits,
    /// All tokens ever spent.
    spent: Credits,
}

/// A list in the exported document.
#[derive(Clone, Copy)]
enum List {
    Sessions,
    ApiKeys,
    Conversations,
    Chats,
    Ledger,
    Purchases,
}

/// The document's lists, in order, each with its name in the document.
const LISTS: [(&str, List); 6] = [
    ("sessions", List::Sessions),
    ("api_keys", List::ApiKeys),
    ("conversations", List::Conversations),
    ("chats", List::Chats),
    ("ledger", List::Ledger),
    ("purchases", List::Purchases),
];

/// Reads a page only after sending the previous one, so at most two pages are in memory.
async fn write(
    app: App,
    caller: AccessToken,
    account: Account,
    instructions: String,
    pieces: Pieces,
) -> Result<()> {
    let head = http::to_json(&Head {
        exported: clock::rfc3339(app.clock.millis()),
        profile: User::of(&account),
        balance: ExportedBalance {
            balance: Balance::of(account.balance(app.clock.seconds())),
            granted: account.granted,
            spent: account.spent,
        },
        instructions,
    })?;
    // The lists follow in the same JSON object.
    let mut before_list = head.strip_suffix('}').unwrap_or(&head).to_owned();
    for (name, list) in LISTS {
        pieces.send(format!("{before_list},\"{name}\":[")).await?;
        let (mut comma, mut before) = ("", None);
        loop {
            let (items, last, more) = list.page(&app, &caller, &account, before.as_deref()).await?;
            let mut text = String::new();
            for item in items {
                text.push_str(comma);
                text.push_str(&item);
                comma = ",";
            }
            pieces.send(text).await?;
            before = last;
            if !more || before.is_none() {
                break;
            }
        }
        before_list = "]".into();
    }
    // If the account was deleted during the export, messages may be missing from the document, so
    // it must not look complete.
    app.store.account_of(&caller).await?;
    pieces.send("]}\n").await
}

impl List {
    /// Returns the name of an item's schema in the OpenAPI document.
    fn schema(self) -> Cow<'static, str> {
        match self {
            Self::Sessions => OwnSession::name(),
            Self::ApiKeys => ApiKey::name(),
            Self::Conversations => Conversation::name(),
            Self::Chats => Chat::name(),
            Self::Ledger => LedgerRow::name(),
            Self::Purchases => Purchase::name(),
        }
    }

    /// Reads the page that follows the item at position `before`. Returns the page's items, the
    /// position of the last item that was read, and whether more items may follow.
    async fn page(
        self,
        app: &App,
        caller: &AccessToken,
        account: &Account,
        before: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>, bool)> {
        let (store, id) = (&app.store, account.id.as_str());
        Ok(match self {
            Self::Sessions => {
                let (ids, more) = store.session_ids(id, before).await?;
                let (live, now) = (store.sessions(&ids).await?, app.clock.seconds());
                let live = live.iter().filter(|session| session.opens(account, now));
                let live = live.map(|session| OwnSession::of(session, &caller.session));
                (texts(live)?, ids.into_iter().next_back(), more)
            }
            Self::ApiKeys => {
                let keys = store.api_keys(account, &store.api_key_ids(id).await?).await?;
                let now = app.clock.millis();
                let keys = keys.iter().map(|key| ApiKey::of(key, Some(account), now));
                (texts(keys)?, None, false)
            }
            Self::Conversations => {
                let (keys, more) = store.conversation_keys(id, before, PAGE).await?;
                let conversations = store.conversations(id, &keys).await?;
                let last = conversations.last().map(|last| last.place().to_owned());
                (texts(conversations.iter().map(Conversation::of))?, last, more)
            }
            Self::Chats => {
                let (chats, more) = store.chats(id, before, PAGE).await?;
                (
                    texts(chats.iter().map(Chat::of))?,
                    chats.into_iter().next_back().map(|chat| chat.chat_id),
                    more,
                )
            }
            Self::Purchases => {
                let (orders, more) = store.purchases(id, before).await?;
                let last = orders.last().map(|order| order.id().to_owned());
                (texts(orders.iter().map(Purchase::of))?, last, more)
            }
            Self::Ledger => {
                let (entries, more) = store.entries(id, before, PAGE).await?;
                (
                    texts(entries.iter().map(LedgerRow::of))?,
                    entries.into_iter().next_back().map(|entry| entry.entry_id),
                    more,
                )
            }
        })
    }
}

fn texts(items: impl Iterator<Item = impl Serialize>) -> Result<Vec<String>> {
    items.map(|item| http::to_json(&item)).collect()
}
