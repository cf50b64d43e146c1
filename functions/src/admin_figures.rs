//! `GET /api/admin/figures` - what happened day by day. For administrators.
//!
//! In: `from` and `to`, days in UTC (`2026-11-20`), at most 366; normally the last 30.
//! Out: `days`, oldest first, with `users` (registered), `chats` (paid), `granted` and `spent`
//! (tokens) of each and whether it is `closed`, and `totals`. A closed day is counted once and
//! kept. Where many have to be counted for the first time, 503 asks to come again: what was counted
//! is kept.

use std::time::{Duration, Instant};

use serde::Serialize;
use shared::clock::Day;
use shared::openapi::Days;
use shared::store::{Figures, is_closed};
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

/// How many days can be asked for.
const DAYS: u64 = 366;

/// How many days are shown where nobody says.
const USUAL: u64 = 30;

/// How long it may count.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is kept of the function's time for the reply.
const TIME_TO_REPLY: Duration = Duration::from_secs(4);

/// Reads what is kept, and counts the rest.
#[utoipa::path(
    get,
    path = "/api/admin/figures",
    tag = "Administration",
    summary = "Read figures by day",
    description = "What happened on each day, in UTC, and on all of them: of at most 366, normally the last 30. A closed day is counted once and kept. Where many have to be counted for the first time, 503 asks to come again.",
    security(("access_token" = [])),
    params(Days),
    responses((status = 200, description = "Every day of the range, oldest first, and all of them together.", body = Range)),
    extensions(("x-fails" = json!(["Invalid"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (_, (first, days)) = auth::administrator(&app, &req, async { range(&app, &req) }).await?;
    let now = app.clock.millis();
    let until =
        Instant::now() + http::time_left(&req, now).saturating_sub(TIME_TO_REPLY).min(PATIENCE);
    let figures = app.store.figures(first, days, now, until).await?;
    let totals = figures.values().copied().fold(Figures::default(), Figures::and);
    let days = figures
        .into_iter()
        .map(|(day, figures)| OfDay { day, figures, closed: is_closed(day, now) })
        .collect();
    http::ok(&Range { days, totals })
}

/// Figures of some days.
#[derive(Serialize, ToSchema)]
#[schema(as = FiguresOfDays)]
pub struct Range {
    /// Each day.
    pub days: Vec<OfDay>,
    /// All of them together.
    pub totals: Figures,
}

/// Figures of a day.
#[derive(Serialize, ToSchema)]
#[schema(as = FiguresOfDay)]
pub struct OfDay {
    /// The day.
    pub day: Day,
    /// What happened.
    #[serde(flatten)]
    pub figures: Figures,
    /// Whether nothing can happen any more.
    pub closed: bool,
}

/// The first day that is asked for, and how many there are.
fn range(app: &App, req: &Request) -> Result<(Day, u64)> {
    let to = http::query_day(req, "to")?.unwrap_or_else(|| Day::of(app.clock.millis()));
    let from = http::query_day(req, "from")?.unwrap_or_else(|| to.before(USUAL - 1));
    match from.days_to(to) {
        0 => Err(Error::field("to", "The last day may not be before the first.")),
        days if days > DAYS => {
            Err(Error::field("from", format!("At most {DAYS} days can be asked for.")))
        }
        days => Ok((from, days)),
    }
}
