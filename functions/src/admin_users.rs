//! `GET /api/admin/users` - all users, newest first, or those whose name or address begins with a
//! text, as a bare list. For administrators.
//!
//! In: `limit` (1 to 100, by default 20), `cursor` from the `Link` of the previous page, `q` for a
//! search. Out: `id`, `username`, `email`, `role`, `is_staff`, `active` and `date_joined` of each,
//! and a `Link` header to the next page. A page may have few items, or none, and still have a next
//! page.

use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::store::{Label, Listed, Place};
use shared::view::ListedUser;
use shared::{App, Error, Reply, Request, auth, http, openapi};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};

/// The longest search text, in characters.
const SEARCH_LENGTH: usize = 254;

/// What is read together with the account: users, or the names and addresses that a search found.
enum Users {
    Found(Vec<Label>),
    Listed(Vec<Listed>),
}

/// Reads the page at the same time as the administrator's account.
#[utoipa::path(
    get,
    path = "/api/admin/users",
    tag = "Administration",
    summary = "List users",
    description = "Newest first. With `q`, the users whose name or address begins with it, in alphabetical order. A page may have few items, or none, and still have a next page.",
    security(("access_token" = [])),
    params(PageQuery, Search),
    responses((status = 200, description = "A page of the users.", body = Vec<ListedUser>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let search = http::query(&req, "q").map(str::trim).filter(|search| !search.is_empty());
    let read = async {
        if search.is_some_and(|search| search.chars().count() > SEARCH_LENGTH) {
            return Err(Error::field(
                "q",
                format!("A search has at most {SEARCH_LENGTH} characters."),
            ));
        }
        let paging = Paging::of(&req, &["q"])?;
        let (users, next) = match search {
            Some(search) => {
                let (labels, next) =
                    app.store.labels(search, paging.position(), paging.limit()).await?;
                (Users::Found(labels), next)
            }
            None => {
                let place = paging.position().map(Place::parse).transpose()?;
                let (users, next) =
                    app.store.users(place.as_ref(), app.clock.millis(), paging.limit()).await?;
                (Users::Listed(users), next.map(|next| next.to_string()))
            }
        };
        Ok((paging, users, next))
    };
    let (administrator, (paging, users, next)) = auth::administrator(&app, &req, read).await?;

    let scope = format!("admin/users?q={}", search.unwrap_or_default());
    let page = paging.prove(administrator.account(), &scope)?;
    let users = match users {
        Users::Found(labels) => app.store.users_labelled(labels).await?,
        Users::Listed(users) => users,
    };
    let data: Vec<_> = users.iter().map(ListedUser::of).collect();
    page.reply(&data, next.as_deref())
}

/// The query parameter `q`.
#[derive(Debug)]
pub struct Search;

impl IntoParams for Search {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
        vec![openapi::parameter(
            "q",
            ParameterIn::Query,
            "The beginning of names or addresses, in any case.",
            text,
        )]
    }
}
