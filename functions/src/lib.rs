//! What the product does: one endpoint, one file, one Lambda binary (`src/bin/<name>.rs`).
//!
//! Each file begins with its routes and holds one public function, `handle`. [`ROUTES`] and
//! [`ENDPOINTS`] list them all; a test holds both against the template, the binaries, the events
//! and the first line of each file.

pub mod account_delete;
pub mod admin_adjustment;
pub mod admin_chats;
pub mod admin_export;
pub mod admin_figures;
pub mod admin_ledger;
pub mod admin_trail;
pub mod admin_user;
pub mod admin_user_change;
pub mod admin_users;
pub mod api_key_create;
pub mod api_key_revoke;
pub mod api_keys;
pub mod balance;
pub mod chat;
pub mod chat_delete;
pub mod chat_history;
pub mod chat_read;
pub mod chat_stream;
pub mod completions;
pub mod conversation;
pub mod conversation_delete;
pub mod conversation_rename;
pub mod conversations;
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
pub mod models;
pub mod not_found;
pub mod openapi;
pub mod password_change;
pub mod password_reset;
pub mod password_reset_confirm;
pub mod profile;
pub mod profile_change;
pub mod register;
pub mod session_end;
pub mod sessions;
pub mod site;
pub mod sweep;
pub mod token_refresh;

use std::pin::Pin;

use shared::http::{Failures, Route};
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
    admin_adjustment,
    admin_chats,
    admin_export,
    admin_figures,
    admin_ledger,
    admin_trail,
    admin_user,
    admin_user_change,
    admin_users,
    api_key_create,
    api_key_revoke,
    api_keys,
    balance,
    chat,
    chat_delete,
    chat_history,
    chat_read,
    chat_stream,
    completions,
    conversation,
    conversation_delete,
    conversation_rename,
    conversations,
    email_resend,
    email_verify,
    export,
    health,
    jwks,
    ledger,
    login,
    logout,
    models,
    not_found,
    openapi,
    password_change,
    password_reset,
    password_reset_confirm,
    profile,
    profile_change,
    register,
    session_end,
    sessions,
    site,
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
    route("POST", "/api/chat/stream", "chat_stream"),
    route("GET", "/api/chat", "chat_history"),
    route("GET", "/api/chat/{id}", "chat_read"),
    route("DELETE", "/api/chat/{id}", "chat_delete"),
    route("GET", "/api/conversations", "conversations"),
    route("GET", "/api/conversations/{id}", "conversation"),
    route("PATCH", "/api/conversations/{id}", "conversation_rename"),
    route("DELETE", "/api/conversations/{id}", "conversation_delete"),
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
    route("GET", "/api/user/api-keys", "api_keys"),
    route("POST", "/api/user/api-keys", "api_key_create"),
    route("DELETE", "/api/user/api-keys/{id}", "api_key_revoke"),
    route("GET", "/api/user/export", "export"),
    route("DELETE", "/api/user", "account_delete"),
    route("GET", "/api/admin/users", "admin_users"),
    route("GET", "/api/admin/users/{id}", "admin_user"),
    route("PATCH", "/api/admin/users/{id}", "admin_user_change"),
    route("POST", "/api/admin/users/{id}/adjustments", "admin_adjustment"),
    route("GET", "/api/admin/users/{id}/ledger", "admin_ledger"),
    route("GET", "/api/admin/chats", "admin_chats"),
    route("GET", "/api/admin/trail", "admin_trail"),
    route("GET", "/api/admin/figures", "admin_figures"),
    route("GET", "/api/admin/export/{list}", "admin_export"),
    route("GET", "/api/health", "health"),
    route("GET", "/api/openapi.json", "openapi"),
    route("GET", "/.well-known/jwks.json", "jwks"),
    openai("POST", "/v1/chat/completions", "completions"),
    openai("GET", "/v1/models", "models"),
    openai("GET", "/v1/models/{id}", "models"),
    route("GET", "/", "site"),
    route("GET", "/admin", "site"),
    route("GET", "/docs", "site"),
    route("GET", "/assets/{version}/{file}", "site"),
    route("GET", "/verify-email", "site"),
    route("GET", "/reset-password", "site"),
    route("ANY", "/{proxy+}", "not_found"),
];

const fn route(method: &'static str, path: &'static str, endpoint: &'static str) -> Route {
    Route { method, path, endpoint, failures: Failures::Problem }
}

/// A route for the clients of OpenAI's API.
const fn openai(method: &'static str, path: &'static str, endpoint: &'static str) -> Route {
    Route { method, path, endpoint, failures: Failures::OpenAi }
}
