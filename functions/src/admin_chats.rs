//! `GET /api/admin/chats` - the chats of all users, or of one, newest first, as a bare list. For
//! administrators.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`, `user_id` for those
//! of one user. Out: the chats as the history shows them, with `user_id` and `username`, and a
//! `Link` header to the next page. A page has about a megabyte at most, so that it may hold few, or
//! none, and still have a next one.

use shared::chat::Chat;
use shared::cursor::{self, Unproven};
use shared::store::{ChatKey, Place};
use shared::view::ChatOfUser;
use shared::{App, Error, Reply, Request, auth, http, openapi};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

/// How many bytes of text a page has.
const SIZE: usize = 1_000_000;

/// What is read beside the account: chats of one user, or where those of all stand.
enum Page {
    Keys(Vec<ChatKey>),
    Chats(Vec<Chat>),
}

/// Reads the page while it asks whether an administrator calls.
#[utoipa::path(
    get,
    path = "/api/admin/chats",
    tag = "Administration",
    summary = "List everybody's chats",
    description = "Newest first. A page has about a megabyte at most: it may hold few, or none, and still have a next one.",
    security(("access_token" = [])),
    params(openapi::Page, Whose),
    responses((status = 200, description = "A page of the chats.", body = Vec<ChatOfUser>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let user = http::query(&req, "user_id");
    let read = async {
        let limit = http::page_limit(&req)?;
        let cursor = http::query(&req, "cursor").map(Unproven::parse).transpose()?;
        let place = cursor.as_ref().map(|cursor| Place::parse(cursor.position())).transpose()?;
        let (page, next) = match user {
            None => {
                let (keys, next) =
                    app.store.all_chats(place.as_ref(), app.clock.millis(), limit).await?;
                (Page::Keys(keys), next)
            }
            Some(user) => {
                let user = http::id(user)
                    .ok_or_else(|| Error::field("user_id", "This is not the id of a user."))?;
                let before = place.map(|place| place.to_string());
                let (mut chats, more) =
                    app.store.chats(&user, before.as_deref(), limit + 1).await?;
                let more = more || chats.len() > limit;
                chats.truncate(limit);
                let next =
                    chats.last().filter(|_| more).map(|last| Place::Before(last.chat_id.clone()));
                (Page::Chats(chats), next)
            }
        };
        Ok((cursor, page, next))
    };
    let (administrator, (cursor, page, next)) = auth::administrator(&app, &req, read).await?;

    let scope = format!("admin/chats?of={}", user.unwrap_or_default());
    if let Some(cursor) = &cursor {
        cursor.prove(administrator.account(), &scope)?;
    }
    let (chats, next) = match page {
        Page::Keys(keys) => {
            let (chats, cut) = app.store.chats_within(&keys, SIZE).await?;
            (chats, cut.or(next))
        }
        Page::Chats(chats) => (chats, next),
    };
    let data: Vec<_> = chats.iter().map(ChatOfUser::of).collect();
    let mut response = http::ok(&data)?;
    if let Some(next) = next {
        http::link_next(
            &mut response,
            &req,
            &["limit", "user_id"],
            &cursor::seal(administrator.account(), &scope, &next.to_string()),
        )?;
    }
    Ok(response)
}

/// Whose chats are asked for.
#[derive(Debug)]
pub struct Whose;

impl IntoParams for Whose {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![openapi::parameter(
            "user_id",
            ParameterIn::Query,
            "Only the chats of this user.",
            openapi::id(),
        )]
    }
}
