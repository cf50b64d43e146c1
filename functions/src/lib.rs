//! The API's endpoints and the background functions. Each of them has one file and one Lambda
//! binary.
//!
//! Each folder is a room. The file named after the folder contains a row for each of the room's
//! endpoints: the endpoint's name, methods, paths and failure format. Each endpoint's own file
//! contains its permissions. From these files, `cargo xtask generate` generates the binaries, the
//! events, the routes for `cargo lambda watch`, the alarms, and the functions in `template.yaml`.

#[macro_use]
mod endpoint;
pub mod gateway;
#[macro_use]
pub mod lambda;
mod own_routes;

mod dialects;

pub mod account;
pub mod admin;
pub mod anthropic;
pub mod auth;
pub mod background;
pub mod chats;
pub mod openai;
pub mod pages;
pub mod service;
pub mod sharing;

use shared::http::Route;
use utoipa::OpenApi;

pub use endpoint::{Endpoint, Function};
pub use own_routes::{count_routes, own_routes};

/// Every endpoint, for servers that run all of them in one process.
pub const ENDPOINTS: &[Endpoint] = &concat::<_, { length(ENDPOINTS_OF_ROOMS) }>(ENDPOINTS_OF_ROOMS);

const ENDPOINTS_OF_ROOMS: &[&[Endpoint]] = &[
    auth::ENDPOINTS,
    chats::ENDPOINTS,
    sharing::ENDPOINTS,
    account::ENDPOINTS,
    openai::ENDPOINTS,
    anthropic::ENDPOINTS,
    admin::ENDPOINTS,
    service::ENDPOINTS,
    pages::ENDPOINTS,
];

/// Every route, without the optional trailing slash. A function's binary contains only
/// [`routes_of!`] its endpoint.
pub const ROUTES: &[Route] = &concat::<_, { length(ROUTES_OF_ROOMS) }>(ROUTES_OF_ROOMS);

const ROUTES_OF_ROOMS: &[&[Route]] = &[
    auth::ROUTES,
    chats::ROUTES,
    sharing::ROUTES,
    account::ROUTES,
    openai::ROUTES,
    anthropic::ROUTES,
    admin::ROUTES,
    service::ROUTES,
    pages::ROUTES,
];

/// Returns the OpenAPI descriptions of all endpoints.
pub(crate) fn described() -> utoipa::openapi::OpenApi {
    dialects::FailureSchemas::openapi()
        .merge_from(auth::RoomPaths::openapi())
        .merge_from(chats::RoomPaths::openapi())
        .merge_from(sharing::RoomPaths::openapi())
        .merge_from(account::RoomPaths::openapi())
        .merge_from(openai::RoomPaths::openapi())
        .merge_from(anthropic::RoomPaths::openapi())
        .merge_from(admin::RoomPaths::openapi())
        .merge_from(service::RoomPaths::openapi())
}

const fn length<T>(mut rooms: &[&[T]]) -> usize {
    let mut length = 0;
    while let Some((room, others)) = rooms.split_first() {
        length += room.len();
        rooms = others;
    }
    length
}

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const fn concat<T: Copy, const LENGTH: usize>(mut rooms: &[&[T]]) -> [T; LENGTH] {
    let mut all = [rooms[0][0]; LENGTH];
    let mut at = 0;
    while let Some((room, others)) = rooms.split_first() {
        let mut rows = *room;
        while let Some((row, following)) = rows.split_first() {
            all[at] = *row;
            at += 1;
            rows = following;
        }
        rooms = others;
    }
    all
}
