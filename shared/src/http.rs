//! Requests and replies, as handlers see them.

mod accept;
pub mod cookie;
mod csv;
mod cursor;
pub mod edge;
mod events;
mod failure;
mod page;
mod query;
mod rate_limit;
mod read;
mod reply;
mod route;
mod stream;

pub use lambda_http::Request;
pub use lambda_http::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

pub use self::accept::wants_csv;
pub(crate) use self::accept::wants_html;
pub use self::csv::{csv, csv_download, csv_row};
pub use self::cursor::{UnverifiedCursor, seal};
pub use self::events::{Events, events};
pub(crate) use self::failure::not_found;
pub use self::failure::{Failures, Layout, PROBLEMS, Problem, StreamProblem};
pub(crate) use self::page::{LARGEST_PAGE, PAGE};
pub use self::page::{Paging, ProvenPage, invalid_limit};
pub use self::query::{
    SEARCH_LENGTH, query, query_day, query_days, query_flag, query_model, query_search,
};
pub use self::read::{
    api_key, authorization, authorization_or_token, bare_stage, base_path, base_url, device,
    escaped, fields, file_id, id, idempotency_key, json, json_or_nothing, path, path_id,
    path_parameter, received_at, require_json, source_network, time_left, unescaped,
};
pub(crate) use self::read::{function_name, function_request_id, is_form, request_id};
pub use self::reply::{
    Reply, accepted, cached, cached_for_a_minute, chosen, created, download, moved, ok, replayed,
    see_other, tagged, text, to_json, unlisted, written,
};
pub use self::route::{BodyLimit, FILES_BODY, OtherClients, Route, parameters, pattern};
pub use self::stream::{Body, Pieces};
