//! `GET /api/chat` - the caller's chats, newest first, as a bare list.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`, `q` to search messages and answers for.
//! Out: the list, and a `Link` header to the next page. A search looks through a bounded number of chats per call, so that a page may
//! hold few matches, or none, and still have a next one.

use shared::chat::Chat;
use shared::{App, Error, Reply, Request, auth, cursor, http};

/// How many chats a search looks through per call.
const SEARCHED: usize = 200;

/// The longest search, in characters.
const SEARCH_LENGTH: usize = 200;

/// Reads the page and the account at the same time; the page is shown only to whom the account admits.
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let limit = http::page_limit(&req)?;
    let search = http::query(&req, "q").map(str::to_lowercase);
    if search.as_ref().is_some_and(|search| search.chars().count() > SEARCH_LENGTH) {
        return Err(Error::field("q", format!("A search has at most {SEARCH_LENGTH} characters.")));
    }
    let scope = format!("chats?q={}", search.as_deref().unwrap_or_default());
    let cursor = http::query(&req, "cursor").map(cursor::Unproven::parse).transpose()?;

    let before = cursor.as_ref().map(cursor::Unproven::position);
    let count = if search.is_some() { SEARCHED } else { limit + 1 };
    let (account, page) = tokio::join!(app.store.account(&caller), app.store.chats(&caller.user_id, before, count));
    let account = account?;
    if let Some(cursor) = &cursor {
        cursor.prove(&account, &scope)?;
    }
    let (chats, more) = page?;

    let (shown, position) = cut(chats, more, limit, search.as_deref());
    let data: Vec<_> = shown.iter().map(Chat::data).collect();
    let mut response = http::ok(&data)?;
    if let Some(position) = position {
        http::link_next(&mut response, &req, &["limit", "q"], &cursor::seal(&account, &scope, &position))?;
    }
    Ok(response)
}

/// The first `limit` chats that match, and the id of the last one that was looked at, where there is more to look at.
fn cut(chats: Vec<Chat>, more: bool, limit: usize, search: Option<&str>) -> (Vec<Chat>, Option<String>) {
    let (read, mut looked_at) = (chats.len(), 0);
    let mut last = None;
    let mut shown = Vec::new();
    for chat in chats {
        if shown.len() == limit {
            break;
        }
        looked_at += 1;
        last = Some(chat.chat_id.clone());
        if search.is_none_or(|search| [&chat.message, &chat.response].iter().any(|text| text.to_lowercase().contains(search))) {
            shown.push(chat);
        }
    }
    let next = (more || looked_at < read).then_some(last).flatten();
    (shown, next)
}

#[cfg(test)]
mod tests {
    use shared::Tokens;

    use super::*;

    fn chats(messages: &[&str]) -> Vec<Chat> {
        let chat = |(index, message): (usize, &&str)| Chat {
            user_id: "u".into(),
            chat_id: index.to_string(),
            message: (*message).into(),
            response: format!("re: {message}"),
            model: "echo".into(),
            cost: Tokens::ZERO,
            tokens_left: Tokens::ZERO,
            time: 0,
            name: "ann".into(),
            month: String::new(),
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
