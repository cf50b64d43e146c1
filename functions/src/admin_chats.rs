//! `GET /api/admin/chats` - the messages of all users, or of one, newest first, as a bare list. For
//! administrators.
//!
//! In: `limit` (1 to 100, by default 20), `cursor` from the `Link` of the previous page, `user_id`
//! for those of one user. Out: the messages and answers as the history shows them, with `user_id`
//! and `username`, and a `Link` header to the next page. A page has at most about a megabyte, so it
//! may have few items, or none, and still have a next page.

use shared::chat::Chat;
use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::store::{ChatKey, Place};
use shared::view::ChatOfUser;
use shared::{App, Error, Reply, Request, auth, http, openapi};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

/// How many bytes of text a page has.
const SIZE: usize = 1_000_000;

/// What is read together with the account: keys of the messages of all users, or the messages of
/// one user.
enum Chats {
    OfAll(Vec<ChatKey>),
    OfOne(Vec<Chat>),
}

/// Reads the page at the same time as the administrator's account.
#[utoipa::path(
    get,
    path = "/api/admin/chats",
    tag = "Administration",
    summary = "List all messages",
    description = "The messages and answers of all users, newest first. A page has at most about a megabyte: it may have few items, or none, and still have a next page.",
    security(("access_token" = [])),
    params(PageQuery, Whose),
    responses((status = 200, description = "A page of messages and answers.", body = Vec<ChatOfUser>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let user = http::query(&req, "user_id");
    let read = async {
        let paging = Paging::of(&req, &["user_id"])?;
        let place = paging.position().map(Place::parse).transpose()?;
        let (chats, next) = match user {
            None => {
                let (keys, next) =
                    app.store.all_chats(place.as_ref(), app.clock.millis(), paging.limit()).await?;
                (Chats::OfAll(keys), next)
            }
            Some(user) => {
                let user = http::id(user)
                    .ok_or_else(|| Error::field("user_id", "This is not the id of a user."))?;
                let before = place.map(|place| place.to_string());
                let (chats, more) =
                    app.store.chats(&user, before.as_deref(), paging.limit() + 1).await?;
                let (chats, more) = paging.cut(chats, more);
                let next =
                    chats.last().filter(|_| more).map(|last| Place::Before(last.chat_id.clone()));
                (Chats::OfOne(chats), next)
            }
        };
        Ok((paging, chats, next))
    };
    let (administrator, (paging, chats, next)) = auth::administrator(&app, &req, read).await?;

    let scope = format!("admin/chats?of={}", user.unwrap_or_default());
    let page = paging.prove(administrator.account(), &scope)?;
    let (chats, next) = match chats {
        Chats::OfAll(keys) => {
            let (chats, cut) = app.store.chats_within(&keys, SIZE).await?;
            (chats, cut.or(next))
        }
        Chats::OfOne(chats) => (chats, next),
    };
    let data: Vec<_> = chats.iter().map(ChatOfUser::of).collect();
    page.reply(&data, next.map(|next| next.to_string()).as_deref())
}

/// The query parameter `user_id`.
#[derive(Debug)]
pub struct Whose;

impl IntoParams for Whose {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![openapi::parameter(
            "user_id",
            ParameterIn::Query,
            "Only the messages of this user.",
            openapi::id(),
        )]
    }
}
