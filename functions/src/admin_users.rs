//! `GET /api/admin/users` - every user, newest first, or those whose name or address begins with a
//! text, as a bare list. For administrators.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`, `q` to search for.
//! Out: `id`, `username`, `email`, `role`, `is_staff`, `active` and `date_joined` of each, and a
//! `Link` header to the next page. A page may hold few, or none, and still have a next one.

use shared::cursor::{self, Unproven};
use shared::store::{Label, Listed, Place};
use shared::view::ListedUser;
use shared::{App, Error, Reply, Request, auth, http, openapi};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};

/// The longest text that is searched for, in characters.
const SEARCH_LENGTH: usize = 254;

/// What is read beside the account: users, or names and addresses of some.
enum Page {
    Labels(Vec<Label>),
    Users(Vec<Listed>),
}

/// Reads the page while it asks whether an administrator calls.
#[utoipa::path(
    get,
    path = "/api/admin/users",
    tag = "Administration",
    summary = "List users",
    description = "Newest first; with `q` those whose name or address begins with it, by that. A page may hold few, or none, and still have a next one.",
    security(("access_token" = [])),
    params(openapi::Page, Search),
    responses((status = 200, description = "A page of the users.", body = Vec<ListedUser>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let search = http::query(&req, "q").map(str::trim).filter(|search| !search.is_empty());
    let read = async {
        let limit = http::page_limit(&req)?;
        if search.is_some_and(|search| search.chars().count() > SEARCH_LENGTH) {
            return Err(Error::field(
                "q",
                format!("A search has at most {SEARCH_LENGTH} characters."),
            ));
        }
        let cursor = http::query(&req, "cursor").map(Unproven::parse).transpose()?;
        let place = cursor.as_ref().map(Unproven::position);
        let (page, next) = match search {
            Some(search) => {
                let (labels, next) = app.store.labels(search, place, limit).await?;
                (Page::Labels(labels), next)
            }
            None => {
                let (users, next) = app
                    .store
                    .users(place.map(Place::parse).transpose()?.as_ref(), app.clock.millis(), limit)
                    .await?;
                (Page::Users(users), next.map(|next| next.to_string()))
            }
        };
        Ok((cursor, page, next))
    };
    let (administrator, (cursor, page, next)) = auth::administrator(&app, &req, read).await?;

    let scope = format!("admin/users?q={}", search.unwrap_or_default());
    if let Some(cursor) = &cursor {
        cursor.prove(administrator.account(), &scope)?;
    }
    let users = match page {
        Page::Labels(labels) => app.store.users_labelled(labels).await?,
        Page::Users(users) => users,
    };
    let data: Vec<_> = users.iter().map(ListedUser::of).collect();
    let mut response = http::ok(&data)?;
    if let Some(next) = next {
        http::link_next(
            &mut response,
            &req,
            &["limit", "q"],
            &cursor::seal(administrator.account(), &scope, &next),
        )?;
    }
    Ok(response)
}

/// What users may be searched for.
#[derive(Debug)]
pub struct Search;

impl IntoParams for Search {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
        vec![openapi::parameter(
            "q",
            ParameterIn::Query,
            "What names or addresses must begin with, in any case.",
            text,
        )]
    }
}
