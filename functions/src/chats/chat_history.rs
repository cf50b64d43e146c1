//! `GET /api/chat` - the caller's messages and answers, newest first, as a bare list.
//!
//! Reads the page and the account in parallel, and returns the page only if the caller's token is
//! valid for the account. Without parameters, a page is as long as possible, because old clients
//! read only the first page.

use serde_json::json;
use shared::charge::conversation_id;
use shared::http::{self, Paging, SEARCH_LENGTH};
use shared::openapi::{self, Days, HistoryPage, IdOrNone};
use shared::store::{ChatFilter, Span};
use shared::values::{Chat, Search};
use shared::{App, Reply, Request, auth, view};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, PartialSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists messages").canary().permits(permits![
    VERIFY_TOKENS,
    allow(&[Query, BatchGetItem], Chats),
    query(ChatsByConversation),
]);

/// How many messages a search reads per request.
const SEARCHED: usize = 200;

/// The maximum size of the messages and answers on one page of a conversation, in bytes. DynamoDB
/// limits pages of the whole history to the same size. A hundred messages of the maximum length
/// would exceed Lambda's limit on the size of replies.
const PAGE_BYTES: usize = 1_000_000;

/// The data that is read in parallel with the account: messages, or the ids of one conversation's
/// messages. The `bool` is true if more messages follow.
enum History {
    Chats((Vec<Chat>, bool)),
    Ids((Vec<String>, bool)),
}

/// List messages
///
/// The messages and answers of the account, newest first. Temporary chats are only in the list of
/// their conversation. A page has at most about 1 MB of them, and a search reads a limited number
/// per request: a page may be short or empty, and still have a next page. Without parameters, a
/// page has as many messages as fit. With `q`, `from`, `to`, `model` or `conversation_id`, the
/// default of `limit` is 20.
#[utoipa::path(
    get,
    path = super::path::chat_history,
    tag = "Chat",
    security(("access_token" = [])),
    params(HistoryPage, SearchParams, Days),
    responses((status = 200, description = "A page of messages and answers.", body = Vec<view::SentChat>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller_of_old_client(&app, &req).await?;
    let (search, model) = (http::query_search(&req)?, http::query_model(&req)?);
    let (first, last) = http::query_days(&req)?;
    let conversation = http::query(&req, "conversation_id").map(conversation_id).transpose()?;
    let mut scope = format!(
        "chats?q={}&of={}",
        search.as_ref().map_or("", Search::as_str),
        conversation.as_deref().unwrap_or_default()
    );
    if first.is_some() || last.is_some() || model.is_some() {
        let given = |name| http::query(&req, name).unwrap_or_default();
        let filter = json!([given("from"), given("to"), given("model")]);
        scope = format!("{scope}&filter={filter}");
    }
    let filter = ChatFilter::new(search, model, Span { first, last });
    let kept = &["q", "from", "to", "model", "conversation_id"];
    let paging = match filter.is_none() && conversation.is_none() {
        true => Paging::whole_from_request(&req, kept)?,
        false => Paging::from_request(&req, kept)?,
    };

    let limit = paging.limit();
    let end = filter.span().begin(app.clock.millis()).map(|end| end.to_string());
    let before = paging.position().or(end.as_deref());
    let count = if filter.selects() { SEARCHED } else { limit.saturating_add(1) };
    let read = async {
        match &conversation {
            None => app.store.chats(&caller.user_id, before, count).await.map(History::Chats),
            // One call reads at most a hundred messages.
            Some(id) => {
                let count = count.min(100);
                app.store.thread(&caller.user_id, id, before, count).await.map(History::Ids)
            }
        }
    };
    let (account, read) = tokio::join!(app.store.account_of(&caller), read);
    let account = account?;
    let page = paging.prove(&account, &scope)?;
    let (chats, more) = match read? {
        History::Chats(read) => read,
        History::Ids((ids, more)) => {
            let of_page = app.store.chats_by_id_within(&caller.user_id, &ids, PAGE_BYTES);
            let (chats, cut) = of_page.await?;
            (chats, more || cut)
        }
    };

    // The messages are sorted newest first, so older messages aren't from these days either.
    let least = filter.span().least();
    let (of_days, before): (Vec<Chat>, Vec<Chat>) =
        chats.into_iter().partition(|chat| chat.chat_id >= least);
    let more = more && before.is_empty();
    let now = app.clock.seconds();
    let is_shown = |chat: &Chat| match conversation {
        None => !chat.is_temporary(),
        Some(_) => !chat.is_expired(now),
    };
    let matches = |chat: &Chat| is_shown(chat) && filter.accepts(chat);
    let (shown, next) = paging.found(of_days, more, matches, |chat| chat.chat_id.clone());
    let data: Vec<_> = shown.iter().map(view::SentChat::of).collect();
    page.reply(&data, next.as_deref())
}

/// The `q`, `conversation_id` and `model` query parameters.
#[derive(Debug)]
pub struct SearchParams;

impl IntoParams for SearchParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
        vec![
            openapi::parameter(
                "q",
                ParameterIn::Query,
                "The words that a message and its answer must contain, in any order and case. Words between double quotes are one phrase.",
                text,
            ),
            openapi::parameter(
                "conversation_id",
                ParameterIn::Query,
                "Only the messages of this conversation.",
                IdOrNone::schema(),
            ),
            openapi::of_model(),
        ]
    }
}
