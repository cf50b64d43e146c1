//! What the product does: one endpoint, one file, one Lambda binary (`src/bin/<name>.rs`).
//!
//! Each file begins with its routes and holds one public function, `handle`. [`ROUTES`] and [`ENDPOINTS`] list them all; a test holds
//! both against the template, the binaries, the events and the first line of each file.

pub mod account_delete;
pub mod balance;
pub mod chat;
pub mod chat_history;
pub mod email_resend;
pub mod email_verify;
pub mod erase;
pub mod export;
pub mod health;
pub mod jwks;
pub mod ledger;
pub mod login;
pub mod logout;
pub mod mail;
pub mod not_found;
pub mod password_change;
pub mod password_reset;
pub mod password_reset_confirm;
pub mod profile;
pub mod profile_change;
pub mod register;
pub mod session_end;
pub mod sessions;
pub mod sweep;
pub mod token_refresh;

use std::pin::Pin;

use shared::http::Route;
use shared::{App, Reply, Request};

/// What an endpoint does, as a table can hold it.
pub type Handler = fn(App, Request) -> Pin<Box<dyn Future<Output = Reply> + Send>>;

/// An endpoint: the name of its file and binary, and what it does.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// The name of the file, the binary, and the event.
    pub name: &'static str,
    /// The handler.
    pub handle: Handler,
}

macro_rules! endpoints {
    ($($name:ident),+ $(,)?) => {
        /// Every endpoint, for whoever serves them all.
        pub const ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            name: stringify!($name),
            handle: |app, req| Box::pin($name::handle(app, req)),
        }),+];
    };
}

endpoints!(
    account_delete,
    balance,
    chat,
    chat_history,
    email_resend,
    email_verify,
    export,
    health,
    jwks,
    ledger,
    login,
    logout,
    not_found,
    password_change,
    password_reset,
    password_reset_confirm,
    profile,
    profile_change,
    register,
    session_end,
    sessions,
    token_refresh,
);

/// What runs by the clock, or by what is written, and not by a request.
pub const SCHEDULED: &[&str] = &["sweep", "erase", "mail"];

/// Every route, without the trailing slash that each of them takes too.
pub const ROUTES: &[Route] = &[
    route("POST", "/api/register", "register"),
    route("POST", "/api/login", "login"),
    route("POST", "/api/token", "login"),
    route("POST", "/api/token/refresh", "token_refresh"),
    route("POST", "/api/logout", "logout"),
    route("POST", "/api/chat", "chat"),
    route("POST", "/api/chat_msg", "chat"),
    route("GET", "/api/chat", "chat_history"),
    route("GET", "/api/tokens", "balance"),
    route("GET", "/api/token_balance", "balance"),
    route("GET", "/api/tokenbalance", "balance"),
    route("GET", "/api/user/balance", "balance"),
    route("GET", "/api/user/profile", "profile"),
    route("PATCH", "/api/user/profile", "profile_change"),
    route("POST", "/api/user/password", "password_change"),
    route("POST", "/api/user/email", "email_resend"),
    route("POST", "/api/user/email/verify", "email_verify"),
    route("POST", "/api/password/reset", "password_reset"),
    route("POST", "/api/password/reset/confirm", "password_reset_confirm"),
    route("GET", "/api/user/ledger", "ledger"),
    route("GET", "/api/user/sessions", "sessions"),
    route("DELETE", "/api/user/sessions/{id}", "session_end"),
    route("GET", "/api/user/export", "export"),
    route("DELETE", "/api/user", "account_delete"),
    route("GET", "/api/health", "health"),
    route("GET", "/.well-known/jwks.json", "jwks"),
    route("ANY", "/", "not_found"),
    route("ANY", "/{proxy+}", "not_found"),
];

const fn route(method: &'static str, path: &'static str, endpoint: &'static str) -> Route {
    Route { method, path, endpoint }
}
