//! `GET /api/admin/trail` - the audit log of administrators' actions, newest first, as a bare list.
//! For administrators.
//!
//! Reads the page and the administrator's account in parallel, and then the usernames. Filtering
//! may need many queries, so a filtered page is read only after the caller's role is checked.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::json;
use shared::http::{self, Paging};
use shared::openapi::{self, Days, PageQuery};
use shared::store::{ActFilter, PageStart, Span, TrailEntry};
use shared::values::{Act, Role};
use shared::{App, Error, Reply, Request, Result, auth, clock};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists the actions of administrators")
    .permits(permits![VERIFY_TOKENS, query(UsersByTime), query(LedgerTrail)]);

/// The query parameters that filter actions.
const FILTERS: [&str; 5] = ["act", "user_id", "actor", "from", "to"];

/// The columns of the CSV file.
const COLUMNS: [&str; 10] = [
    "id",
    "timestamp",
    "act",
    "user_id",
    "username",
    "actor",
    "actor_name",
    "amount",
    "role",
    "reason",
];

/// Read the audit log
///
/// What administrators did to accounts, such as adjusting a balance or changing a role, newest
/// first. A request looks at a limited number of actions: a page may be short or empty, and still
/// have a next page. With `Accept: text/csv` the reply is a file for spreadsheets.
#[utoipa::path(
    get,
    path = super::path::admin_trail,
    tag = "Administration",
    security(("access_token" = [])),
    params(PageQuery, Filter, Days),
    responses((
        status = 200,
        description = "A page of the audit log.",
        content(
            (Vec<TrailRow> = "application/json"),
            (String = "text/csv", example = json!(
                "\"id\",\"timestamp\",\"act\",\"user_id\",\"username\",\"actor\",\"actor_name\",\
                 \"amount\",\"role\",\"reason\"\r\n"
            ))
        ),
    )),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let now = app.clock.millis();
    let read = async {
        let filter = filter(&req)?;
        let paging = Paging::from_request(&req, &FILTERS)?;
        let start = paging.position().map(PageStart::parse).transpose()?;
        let read = match filter == ActFilter::default() {
            true => Some(app.store.trail(&filter, start.as_ref(), now, paging.limit()).await?),
            false => None,
        };
        Ok((filter, paging, start, read))
    };
    let (administrator, (filter, paging, start, read)) =
        auth::administrator(&app, &req, read).await?;
    let scope = format!("admin/trail?{}", json!(FILTERS.map(|name| http::query(&req, name))));
    let page = paging.prove(administrator.account(), &scope)?;

    let (acts, next) = match read {
        Some(read) => read,
        None => app.store.trail(&filter, start.as_ref(), now, paging.limit()).await?,
    };
    let names =
        app.store.usernames(acts.iter().flat_map(|act| [act.user_id(), act.actor()])).await?;
    let data: Vec<TrailRow> = acts.iter().map(|act| row(act, &names)).collect();
    let reply = if http::wants_csv(&req) { csv(&data)? } else { http::ok(&data)? };
    page.linked(reply, next.map(|next| next.to_string()).as_deref())
}

/// Reads the filter from the query.
fn filter(req: &Request) -> Result<ActFilter> {
    let id = |name: &str, text: &str, sentence: &str| {
        http::id(text).ok_or_else(|| Error::field(name, sentence))
    };
    let act = http::query(req, "act").map(|act| {
        let known = Act::words().find(|word| word == act);
        let sentence =
            || format!("An action must be one of {}.", Act::words().collect::<Vec<_>>().join(", "));
        known.ok_or_else(|| Error::field("act", sentence()))
    });
    let user_id = http::query(req, "user_id")
        .map(|text| id("user_id", text, "This must be the id of a user."));
    let actor = http::query(req, "actor").map(|text| match text {
        "manage" => Ok(text.to_owned()),
        text => id("actor", text, "An actor must be the id of a user, or manage."),
    });
    let (first, last) = http::query_days(req)?;
    Ok(ActFilter {
        act: act.transpose()?,
        user_id: user_id.transpose()?,
        actor: actor.transpose()?,
        span: Span { first, last },
    })
}

/// The `act`, `user_id` and `actor` query parameters.
#[derive(Debug)]
pub struct Filter;

impl IntoParams for Filter {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let query = ParameterIn::Query;
        let id = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
        let actor =
            Object::builder().schema_type(Type::String).pattern(Some(format!("^({id}|manage)?$")));
        vec![
            openapi::parameter("act", query.clone(), "Only these actions.", Act::schema()),
            openapi::parameter(
                "user_id",
                query.clone(),
                "Only the actions that affect this user.",
                openapi::id(),
            ),
            openapi::parameter(
                "actor",
                query,
                "Only the actions of this administrator, or of `manage`, the command line.",
                actor,
            ),
        ]
    }
}

/// An administrator's action.
#[derive(Serialize, ToSchema)]
#[schema(as = TrailEntry)]
pub struct TrailRow<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    timestamp: String,
    /// The action. Later releases may add actions, so clients must accept values that the `act`
    /// filter doesn't list.
    #[schema(examples("adjustment"))]
    act: &'a str,
    /// The affected user. Null for actions that don't affect a user, such as a change to the price
    /// list.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: Option<&'a str>,
    /// The user's name. Null if the account was deleted.
    #[schema(required, examples("ann"))]
    username: Option<&'a str>,
    /// The administrator: the id of an account, or `manage` for the command line, with a colon and
    /// the caller of the command if known.
    #[schema(examples("manage"))]
    actor: &'a str,
    /// The administrator's name. Null for the command line, or if the administrator's account was
    /// deleted.
    #[schema(required, examples("root"))]
    actor_name: Option<&'a str>,
    /// The number of tokens that an adjustment added, or took away if negative; or the number of
    /// tokens that a new account was granted.
    #[schema(required, examples(-50))]
    amount: Option<i64>,
    /// The new role, if the role was changed. For a new account: `admin`, or null.
    #[schema(required, examples("admin"))]
    role: Option<&'a str>,
    /// The reason. Adjustments always have a reason. For a price list change: the list's version,
    /// or empty if the list was removed.
    #[schema(examples("a mistake"))]
    reason: &'a str,
}

fn row<'a>(entry: &'a TrailEntry, names: &'a HashMap<String, String>) -> TrailRow<'a> {
    TrailRow {
        id: entry.id(),
        timestamp: clock::rfc3339(entry.time()),
        act: entry.word(),
        // If an action doesn't affect an account, its entry contains a word instead of an account
        // id.
        user_id: Some(entry.user_id()).filter(|id| http::id(id).is_some()),
        username: names.get(entry.user_id()).map(String::as_str),
        actor: entry.actor(),
        actor_name: names.get(entry.actor()).map(String::as_str),
        amount: entry.amount(),
        role: entry.role().map(Role::word),
        reason: entry.reason(),
    }
}

fn csv(rows: &[TrailRow<'_>]) -> Reply {
    let header = COLUMNS.into_iter().map(Cow::from).collect();
    http::csv([header].into_iter().chain(rows.iter().map(cells)))
}

fn cells<'r>(row: &'r TrailRow<'_>) -> Vec<Cow<'r, str>> {
    vec![
        row.id.into(),
        row.timestamp.as_str().into(),
        row.act.into(),
        row.user_id.unwrap_or_default().into(),
        row.username.unwrap_or_default().into(),
        row.actor.into(),
        row.actor_name.unwrap_or_default().into(),
        row.amount.map(|amount| amount.to_string()).unwrap_or_default().into(),
        row.role.unwrap_or_default().into(),
        row.reason.into(),
    ]
}
