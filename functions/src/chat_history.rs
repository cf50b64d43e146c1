//! `GET /api/chat` - the caller's messages and answers, newest first, as a bare list.
//!
//! In: `limit` (1 to 100, by default 20), `cursor` from the `Link` of the previous page, `q` for a
//! search in messages and answers, `conversation_id` for those of one conversation. Out: the list,
//! and a `Link` header to the next page. A search reads a limited number of messages per request,
//! so a page may have few matches, or none, and still have a next page.

use shared::charge::conversation_id;
use shared::chat::Chat;
use shared::http::Paging;
use shared::openapi::{IdOrNone, PageQuery};
use shared::view;
use shared::{App, Error, Reply, Request, auth, http, openapi};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, PartialSchema};

/// How many messages a search reads per request.
const SEARCHED: usize = 200;

/// The longest search, in characters.
const SEARCH_LENGTH: usize = 200;

/// What is read together with the account: messages, or the ids of those of one conversation. With
/// either, whether there are more.
enum History {
    Chats((Vec<Chat>, bool)),
    Ids((Vec<String>, bool)),
}

/// Reads the page and the account at the same time, and shows the page only if the account accepts
/// the token.
#[utoipa::path(
    get,
    path = "/api/chat",
    tag = "Chat",
    summary = "List messages",
    description = "The messages and answers of the account, newest first. A search reads a limited number of them per request: a page may have few matches, or none, and still have a next page.",
    security(("access_token" = [])),
    params(PageQuery, Search),
    responses((status = 200, description = "A page of messages and answers.", body = Vec<view::Chat>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let search = http::query(&req, "q").map(str::to_lowercase);
    if search.as_ref().is_some_and(|search| search.chars().count() > SEARCH_LENGTH) {
        return Err(Error::field("q", format!("A search has at most {SEARCH_LENGTH} characters.")));
    }
    let conversation = http::query(&req, "conversation_id").map(conversation_id).transpose()?;
    let scope = format!(
        "chats?q={}&of={}",
        search.as_deref().unwrap_or_default(),
        conversation.as_deref().unwrap_or_default()
    );
    let paging = Paging::of(&req, &["q", "conversation_id"])?;

    let (before, limit) = (paging.position(), paging.limit());
    let count = if search.is_some() { SEARCHED } else { limit + 1 };
    let read = async {
        match &conversation {
            None => app.store.chats(&caller.user_id, before, count).await.map(History::Chats),
            // One call reads at most a hundred.
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
        History::Ids((ids, more)) => (app.store.chats_by_id(&caller.user_id, &ids).await?, more),
    };

    let (shown, next) = cut(chats, more, limit, search.as_deref());
    let data: Vec<_> = shown.iter().map(view::Chat::of).collect();
    page.reply(&data, next.as_deref())
}

/// The query parameters `q` and `conversation_id`.
#[derive(Debug)]
pub struct Search;

impl IntoParams for Search {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
        vec![
            openapi::parameter(
                "q",
                ParameterIn::Query,
                "The text that messages or answers must contain, in any case.",
                text,
            ),
            openapi::parameter(
                "conversation_id",
                ParameterIn::Query,
                "Only the messages of this conversation.",
                IdOrNone::schema(),
            ),
        ]
    }
}

/// The first `limit` messages that match, and the id of the last one that was compared, if more
/// follow.
fn cut(
    chats: Vec<Chat>,
    more: bool,
    limit: usize,
    search: Option<&str>,
) -> (Vec<Chat>, Option<String>) {
    let (read, mut looked_at) = (chats.len(), 0);
    let mut last = None;
    let mut shown = Vec::new();
    for chat in chats {
        if shown.len() == limit {
            break;
        }
        looked_at += 1;
        last = Some(chat.chat_id.clone());
        if search.is_none_or(|search| {
            [chat.message.as_str(), &chat.answer()]
                .iter()
                .any(|text| text.to_lowercase().contains(search))
        }) {
            shown.push(chat);
        }
    }
    let next = (more || looked_at < read).then_some(last).flatten();
    (shown, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chats(messages: &[&str]) -> Vec<Chat> {
        let chat = |(index, message): (usize, &&str)| Chat {
            user_id: "u".into(),
            chat_id: index.to_string(),
            message: (*message).into(),
            response: format!("re: {message}"),
            ..Chat::default()
        };
        messages.iter().enumerate().map(chat).collect()
    }

    #[test]
    fn a_page_ends_at_its_limit_and_knows_whether_more_follows() {
        let (shown, next) = cut(chats(&["a", "b", "c"]), false, 2, None);
        assert_eq!((shown.len(), next), (2, Some("1".into())));
        let (shown, next) = cut(chats(&["a", "b"]), false, 2, None);
        assert_eq!((shown.len(), next), (2, None));
    }

    #[test]
    fn a_search_goes_on_after_what_it_looked_at_though_nothing_matched() {
        let (shown, next) = cut(chats(&["a", "b", "c"]), true, 2, Some("zebra"));
        assert_eq!((shown.len(), next), (0, Some("2".into())));
        let (shown, next) = cut(chats(&["Zebra", "b", "c"]), false, 2, Some("zebra"));
        assert_eq!((shown.len(), next), (1, None));
    }
}
