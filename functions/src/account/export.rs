//! `GET /api/user/export` - all of the caller's data, as one JSON document.
//!
//! Checks the caller's token before sending the first byte. Reads the data page by page while the
//! client reads the reply, so only Lambda's maximum of 200 MB limits the document's size. If the
//! function fails midway, the document is cut off.

use std::borrow::Cow;

use serde::Serialize;
use shared::error::Failure;
use shared::http::{self, Pieces};
use shared::store::{FILES, Share};
use shared::values::{AccessToken, Account, Instructions};
use shared::view::{
    ApiKey, Balance, Chat, Conversation, ExportedShare, FileWithContent, Folder, LedgerRow,
    OwnSession, Purchase, User,
};
use shared::{App, Credits, Reply, Request, Result, auth, clock};
use utoipa::openapi::schema::{AllOf, Array, Object, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Exports the data of an account").throttled().streams(300).permits(permits![
        VERIFY_TOKENS,
        allow(&[GetItem, Query, BatchGetItem], Chats),
        query(ChatsByConversation),
        query(Ledger),
        query(TokensByUser),
        get(Tokens(&["instructions:*", "folders:*", "shares:*", "share:*"])),
        get_many(Tokens(&["session:*", "apikey:*", "order:*", "share:*"])),
        get(Files),
    ]);

/// How many messages or rows are read at a time. DynamoDB returns at most 1 MB per read.
const PAGE: usize = 100;

/// Export all data
///
/// All data of the account, as a file of up to 200 MB. A document that isn't valid JSON was cut
/// off: request it again. If the account has hundreds of pictures, it is cut off each time: request
/// it with `files=false`. The list `files` is empty then, and `GET /api/files/{id}` returns each
/// file that a message lists.
#[utoipa::path(
    get,
    path = super::path::export,
    tag = "Accounts",
    security(("access_token" = [])),
    params(("files" = Option<bool>, Query, description = "Whether the document has the files' contents, by default true.")),
    responses((
        status = 200,
        description = "The document.",
        body = Export,
        headers(("Content-Disposition" = String)),
    )),
    extensions(("x-fails" = json!([Failure::Invalid]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    let with_files = http::query_flag(&req, "files")?.unwrap_or(true);
    let instructions = app.store.instructions_of(&account).await?;
    tracing::info!(user = account.id, "exporting");
    http::download("farebox-export.json", |pieces| {
        write(app, caller, account, instructions, with_files, pieces)
    })
}

/// The schema of the document, which contains all of an account's data: the fields of [`Head`],
/// followed by the lists. The folders are in the user's order, and each other list is sorted newest
/// first.
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
        register::<ExportedShare>(schemas);
        register::<Folder<'_>>(schemas);
        register::<FileWithContent>(schemas);
    }
}

/// Adds the schema of items that no other reply contains.
fn register<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
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
    Folders,
    Conversations,
    TemporaryConversations,
    Chats,
    Ledger,
    Purchases,
    Shares,
    Files,
}

/// The document's lists, in order, each with its name in the document.
const LISTS: [(&str, List); 10] = [
    ("sessions", List::Sessions),
    ("api_keys", List::ApiKeys),
    ("folders", List::Folders),
    ("conversations", List::Conversations),
    ("temporary_conversations", List::TemporaryConversations),
    ("chats", List::Chats),
    ("ledger", List::Ledger),
    ("purchases", List::Purchases),
    ("shares", List::Shares),
    ("files", List::Files),
];

/// Reads a page only after sending the previous one, so at most two pages are in memory.
async fn write(
    app: App,
    caller: AccessToken,
    account: Account,
    instructions: String,
    with_files: bool,
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
        let mut goes_on = with_files || !matches!(list, List::Files);
        while goes_on {
            let (items, last, more) = list.page(&app, &caller, &account, before.as_deref()).await?;
            let mut text = String::new();
            for item in items {
                text.push_str(comma);
                text.push_str(&item);
                comma = ",";
            }
            pieces.send(text).await?;
            before = last;
            goes_on = more && before.is_some();
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
            Self::Folders => Folder::name(),
            Self::Conversations | Self::TemporaryConversations => Conversation::name(),
            Self::Chats => Chat::name(),
            Self::Ledger => LedgerRow::name(),
            Self::Purchases => Purchase::name(),
            Self::Shares => ExportedShare::name(),
            Self::Files => FileWithContent::name(),
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
            Self::Folders => {
                let folders = store.folders(id).await?;
                (texts(folders.iter().map(Folder::of))?, None, false)
            }
            Self::Conversations => {
                let (keys, more) = store.conversation_keys(id, before, PAGE).await?;
                conversations(app, id, &keys, more).await?
            }
            Self::TemporaryConversations => {
                let (keys, more) = store.temporary_conversation_keys(id, before, PAGE).await?;
                conversations(app, id, &keys, more).await?
            }
            Self::Chats => {
                let (chats, more) = store.chats(id, before, PAGE).await?;
                let now = app.clock.seconds();
                let kept = chats.iter().filter(|chat| !chat.is_expired(now));
                (
                    texts(kept.map(Chat::of))?,
                    chats.iter().next_back().map(|chat| chat.chat_id.clone()),
                    more,
                )
            }
            Self::Files => {
                // Files are large, so a page has only a few. The position consists of the last
                // message that was read and the ids of the files that follow, so that the messages
                // aren't read again.
                let (chat, listed) = before.and_then(|at| at.split_once(' ')).unwrap_or_default();
                let mut last = chat.to_owned();
                let mut ids: Vec<String> = listed.split_whitespace().map(str::to_owned).collect();
                let mut more = true;
                if ids.is_empty() {
                    let older_than = Some(chat).filter(|chat| !chat.is_empty());
                    let (chats, are_more) = store.chats(id, older_than, PAGE).await?;
                    let now = app.clock.seconds();
                    let kept = chats.iter().filter(|chat| !chat.is_expired(now));
                    let files = kept.flat_map(|chat| &chat.files);
                    ids.extend(files.map(|file| file.id.clone()));
                    last = chats.last().map_or(last, |chat| chat.chat_id.clone());
                    more = are_more;
                }
                let following = ids.split_off(ids.len().min(FILES));
                // Each file is read with its message, because both may have been deleted meanwhile.
                let mut files = Vec::new();
                for file in &ids {
                    files.extend(store.file(id, file).await?);
                }
                let now = app.clock.seconds();
                let kept = files.into_iter().filter(|file| !file.is_expired(now));
                let position = format!("{last} {}", following.join(" "));
                let more = more || !following.is_empty();
                (texts(kept.map(FileWithContent::of))?, Some(position), more)
            }
            Self::Purchases => {
                let (orders, more) = store.purchases(id, before).await?;
                let last = orders.last().map(|order| order.id().to_owned());
                (texts(orders.iter().map(Purchase::of))?, last, more)
            }
            // A page has one shared chat, because it may be large. The position consists of the ids
            // of all that follow, so that none is left out if another one is ended meanwhile.
            Self::Shares => {
                let ids = match before {
                    Some(ids) => ids.to_owned(),
                    None => {
                        let shares = store.shares_of(id).await?;
                        shares.iter().map(Share::id).collect::<Vec<_>>().join(" ")
                    }
                };
                let (next, rest) = ids.split_once(' ').unwrap_or((ids.as_str(), ""));
                let mut shown = Vec::new();
                if let Some(share) = store.share(next).await?
                    && let Some(messages) = store.shared_messages(&share).await?
                {
                    shown.push(http::to_json(&ExportedShare::of(&share, &messages))?);
                }
                (shown, Some(rest.to_owned()), !rest.is_empty())
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

/// Returns the conversations with these keys that haven't expired, the position of the last key, and
/// whether more conversations may follow.
async fn conversations(
    app: &App,
    user_id: &str,
    keys: &[String],
    more: bool,
) -> Result<(Vec<String>, Option<String>, bool)> {
    let found = app.store.conversations(user_id, keys).await?;
    let found = app.store.in_existing_folders(user_id, found).await?;
    let last = found.last().map(|last| last.place().to_owned());
    let now = app.clock.seconds();
    let kept = found.iter().filter(|conversation| !conversation.is_expired(now));
    Ok((texts(kept.map(Conversation::of))?, last, more))
}

fn texts(items: impl Iterator<Item = impl Serialize>) -> Result<Vec<String>> {
    items.map(|item| http::to_json(&item)).collect()
}
