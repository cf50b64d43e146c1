//! `GET /api/admin/trail` - what administrators have done, newest first, as a bare list. For
//! administrators.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`.
//! Out: of each act `id`, `timestamp`, `act` (`adjustment`, `activation`, `deactivation` or
//! `role`), whom it is about (`user_id`, `username`), who did it (`actor`, `actor_name`), the
//! `amount` or the `role`, and the `reason`; and a `Link` header to the next page. Accounts that
//! are gone have no name.

use std::collections::HashMap;

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::store::{Act, Entry, EntryKind, Place};
use shared::user::Role;
use shared::{App, Reply, Request, auth, clock};
use utoipa::ToSchema;

/// What the cursors of this list are sealed for.
const SCOPE: &str = "admin/trail";

/// Reads the page while it asks whether an administrator calls, and then who all these are.
#[utoipa::path(
    get,
    path = "/api/admin/trail",
    tag = "Administration",
    summary = "List what administrators have done",
    description = "Adjustments of balances and changes of standing, newest first. A page may hold few, or none, and still have a next one.",
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

    let names = app.store.usernames(acts.iter().flat_map(|act| [act.subject(), &act.actor])).await?;
    let data: Vec<Shown> = acts.iter().map(|act| shown(act, &names)).collect();
    page.reply(&data, next.map(|next| next.to_string()).as_deref())
}

/// What an administrator has done.
#[derive(Serialize, ToSchema)]
#[schema(as = TrailEntry)]
pub struct Shown<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    timestamp: String,
    #[schema(value_type = Act)]
    act: &'static str,
    /// Whom it is about.
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: &'a str,
    /// Their name. None where the account is gone.
    #[schema(required, examples("ann"))]
    username: Option<&'a str>,
    /// Who did it: the id of an account, or `manage` for a terminal.
    #[schema(examples("manage"))]
    actor: &'a str,
    /// Their name. None where that is no account, or one that is gone.
    #[schema(required, examples("root"))]
    actor_name: Option<&'a str>,
    /// Of an adjustment: what came, or below zero what went.
    #[schema(required, examples(-50))]
    amount: Option<i64>,
    /// The new role, where it was changed.
    #[schema(required)]
    role: Option<Role>,
    /// Why. May be empty where it isn't an adjustment.
    #[schema(examples("a mistake"))]
    reason: &'a str,
}

fn shown<'a>(entry: &'a Entry, names: &'a HashMap<String, String>) -> Shown<'a> {
    Shown {
        id: &entry.entry_id,
        timestamp: clock::rfc3339(entry.time),
        act: entry.act.map_or(entry.kind.word(), Act::word),
        user_id: entry.subject(),
        username: names.get(entry.subject()).map(String::as_str),
        actor: &entry.actor,
        actor_name: names.get(&entry.actor).map(String::as_str),
        amount: (entry.kind == EntryKind::Adjustment).then_some(entry.amount),
        role: match entry.act {
            Some(Act::Role(role)) => Some(role),
            _ => None,
        },
        reason: &entry.reason,
    }
}
