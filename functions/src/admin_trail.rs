//! `GET /api/admin/trail` - the actions of administrators, newest first, as a bare list. For
//! administrators.
//!
//! In: `limit` (1 to 100, by default 20), `cursor` from the `Link` of the previous page. Out: of
//! each action `id`, `timestamp`, `act` (such as `adjustment`, `deactivation` or `sessions`), the
//! affected user (`user_id`, `username`), the administrator (`actor`, `actor_name`), the `amount`
//! or the `role`, and the `reason`; and a `Link` header to the next page. Deleted accounts have no
//! name.

use std::collections::HashMap;

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::store::{Act, Entry, EntryKind, Place};
use shared::user::Role;
use shared::{App, Reply, Request, auth, clock};
use utoipa::ToSchema;

/// The scope of this list's cursors.
const SCOPE: &str = "admin/trail";

/// Reads the page at the same time as the administrator's account, and then the names.
#[utoipa::path(
    get,
    path = "/api/admin/trail",
    tag = "Administration",
    summary = "List the actions of administrators",
    description = "Adjustments of balances, changes of roles and states, and everything else that administrators did to an account, newest first. A page may have few items, or none, and still have a next page.",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of the trail.", body = Vec<Shown>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
        let paging = Paging::of(&req, &[])?;
        let place = paging.position().map(Place::parse).transpose()?;
        let (acts, next) =
            app.store.acts(place.as_ref(), app.clock.millis(), paging.limit()).await?;
        Ok((paging, acts, next))
    };
    let (administrator, (paging, acts, next)) = auth::administrator(&app, &req, read).await?;
    let page = paging.prove(administrator.account(), SCOPE)?;

    let names =
        app.store.usernames(acts.iter().flat_map(|act| [act.subject(), &act.actor])).await?;
    let data: Vec<Shown> = acts.iter().map(|act| shown(act, &names)).collect();
    page.reply(&data, next.map(|next| next.to_string()).as_deref())
}

/// An administrator's action.
#[derive(Serialize, ToSchema)]
#[schema(as = TrailEntry)]
pub struct Shown<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    timestamp: String,
    #[schema(value_type = Act)]
    act: &'static str,
    /// The affected user.
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: &'a str,
    /// The user's name. Null if the account was deleted.
    #[schema(required, examples("ann"))]
    username: Option<&'a str>,
    /// The administrator: the id of an account, or `manage` for the command line.
    #[schema(examples("manage"))]
    actor: &'a str,
    /// The administrator's name. Null for `manage`, and if the account was deleted.
    #[schema(required, examples("root"))]
    actor_name: Option<&'a str>,
    /// Of an adjustment: how many tokens were added, or taken if negative.
    #[schema(required, examples(-50))]
    amount: Option<i64>,
    /// The new role, if it was changed.
    #[schema(required)]
    role: Option<Role>,
    /// The reason. Adjustments always have one.
    #[schema(examples("a mistake"))]
    reason: &'a str,
}

fn shown<'a>(entry: &'a Entry, names: &'a HashMap<String, String>) -> Shown<'a> {
    Shown {
        id: &entry.entry_id,
        timestamp: clock::rfc3339(entry.time),
        act: entry.word(),
        user_id: entry.subject(),
        username: names.get(entry.subject()).map(String::as_str),
        actor: &entry.actor,
        actor_name: names.get(&entry.actor).map(String::as_str),
        amount: (entry.kind == EntryKind::Adjustment).then_some(entry.amount),
        role: entry.role(),
        reason: &entry.reason,
    }
}
