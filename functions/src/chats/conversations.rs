//! `GET /api/conversations` - the caller's conversations.
//!
//! Reads the account and the conversations' keys in parallel, and then the conversations. The keys
//! come from an index.

use shared::charge::folder_id;
use shared::http::{self, Paging, SEARCH_LENGTH};
use shared::openapi::{self, IdOrNone, PageQuery};
use shared::view::Conversation;
use shared::{App, Reply, Request, auth, store};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, PartialSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists conversations").permits(permits![
    VERIFY_TOKENS,
    get_many(Chats),
    query(ChatsByConversation),
    get(Tokens(&["folders:*"])),
]);

/// The scope of this list's cursors. The scope also includes the search string and the folder.
const SCOPE: &str = "conversations";

/// How many conversations a search reads per request.
const SEARCHED: usize = 100;

/// List conversations
///
/// Pinned conversations come first, the most recently pinned at the top. The others follow, the
/// most recently used first. A search, or a list of a folder, reads a limited number of them per
/// request: a page may be short or empty, and still have a next page.
#[utoipa::path(
    get,
    path = super::path::conversations,
    tag = "Conversations",
    security(("access_token" = [])),
    params(PageQuery, SearchParams),
    responses((status = 200, description = "A page of the conversations.", body = Vec<Conversation>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let search = http::query_search(&req)?;
    let folder = http::query(&req, "folder_id").map(folder_id).transpose()?;
    let scope = match &search {
        None => SCOPE.to_owned(),
        Some(search) => format!("{SCOPE}?q={}", search.as_str()),
    };
    let scope = match &folder {
        None => scope,
        Some(folder) => format!("{scope}&of={folder}"),
    };
    let paging = Paging::from_request(&req, &["q", "folder_id"])?;

    let is_filtered = search.is_some() || folder.is_some();
    let count = if is_filtered { SEARCHED } else { paging.limit() };
    let (account, keys) = tokio::join!(
        app.store.account_of(&caller),
        app.store.conversation_keys(&caller.user_id, paging.position(), count)
    );
    let account = account?;
    let page = paging.prove(&account, &scope)?;
    let (keys, more) = keys?;
    let conversations = app.store.conversations(&caller.user_id, &keys).await?;
    let conversations = app.store.in_existing_folders(&caller.user_id, conversations).await?;

    let matches = |conversation: &store::Conversation| {
        let is_inside = folder.is_none() || conversation.folder == folder;
        is_inside && search.as_ref().is_none_or(|search| search.matches(&[&conversation.title]))
    };
    let place = |conversation: &store::Conversation| conversation.place().to_owned();
    let (shown, next) = paging.found(conversations, more, matches, place);
    let data: Vec<_> = shown.iter().map(Conversation::of).collect();
    page.reply(&data, next.as_deref())
}

/// The `q` and `folder_id` query parameters.
#[derive(Debug)]
pub struct SearchParams;

impl IntoParams for SearchParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
        let about = "The words that titles must contain, in any order and case. Words between double quotes are one phrase.";
        let of_folder = "Only the conversations in this folder.";
        vec![
            openapi::parameter("q", ParameterIn::Query, about, text),
            openapi::parameter("folder_id", ParameterIn::Query, of_folder, IdOrNone::schema()),
        ]
    }
}
