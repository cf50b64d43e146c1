//! What the product does: one endpoint, one file, one Lambda binary (`src/bin/<name>.rs`).
//!
//! Each file begins with its routes and has one public function, `handle`. The rows below list all
//! endpoints: modules, [`ENDPOINTS`], [`ROUTES`] and the paths of the OpenAPI document come from
//! them. A test compares them with the template, the binaries, the events and the first line of
//! each file.

mod endpoint;
mod openai;

use shared::http::{Failures, Route};

pub use endpoint::{Endpoint, Function};

macro_rules! endpoints {
    (
        api { $($api:ident: $($api_method:ident $api_path:literal),+;)+ }
        simplejwt { $($simplejwt:ident: $($simplejwt_method:ident $simplejwt_path:literal),+;)+ }
        guarded { $($guarded:ident: $($guarded_method:ident $guarded_path:literal),+;)+ }
        openai { $($openai:ident: $($openai_method:ident $openai_path:literal),+;)+ }
        responses { $($response:ident: $($response_method:ident $response_path:literal),+;)+ }
        pages { $($page:ident: $($page_method:ident $page_path:literal),+;)+ }
        scheduled { $($scheduled:ident;)+ }
    ) => {
        $(pub mod $api;)+
        $(pub mod $simplejwt;)+
        $(pub mod $guarded;)+
        $(pub mod $openai;)+
        $(pub mod $response;)+
        $(pub mod $page;)+
        $(pub mod $scheduled;)+

        /// Every endpoint, for servers of all of them.
        pub const ENDPOINTS: &[Endpoint] = &[
            $(endpoint!($api),)+ $(endpoint!($simplejwt),)+ $(endpoint!($guarded),)+
            $(endpoint!($openai),)+ $(endpoint!($response),)+ $(endpoint!($page),)+
        ];

        /// Every route, without the optional trailing slash.
        pub const ROUTES: &[Route] = &[
            $($(route!($api, $api_method, $api_path, Failures::Problem),)+)+
            $($(route!($simplejwt, $simplejwt_method, $simplejwt_path, Failures::Simplejwt),)+)+
            $($(route!($guarded, $guarded_method, $guarded_path, Failures::SimplejwtGuarded),)+)+
            $($(route!($openai, $openai_method, $openai_path, Failures::OpenAi),)+)+
            $($(route!($response, $response_method, $response_path, Failures::Responses),)+)+
            $($(route!($page, $page_method, $page_path, PAGES_FAILURES),)+)+
        ];

        /// The pages for browsers and the 404 of other paths, which are no part of the API.
        pub const PAGES: &[&str] = &[$(stringify!($page)),+];

        /// Functions that a schedule or the table's stream invokes, instead of a request.
        pub const SCHEDULED: &[&str] = &[$(stringify!($scheduled)),+];

        /// The paths of the OpenAPI document.
        #[derive(utoipa::OpenApi)]
        #[openapi(paths(
            $(crate::$api::handle,)+ $(crate::$simplejwt::handle,)+ $(crate::$guarded::handle,)+ $(crate::$openai::handle,)+ $(crate::$response::handle,)+
            crate::ledger::months, crate::models::one, crate::admin_api_keys_revoke::one
        ))]
        pub(crate) struct Paths;
    };
}

/// People who open an unknown path in a browser see a page.
const PAGES_FAILURES: Failures = Failures::Page(include_str!("not_found.html"));

macro_rules! endpoint {
    ($name:ident) => {
        endpoint::row(stringify!($name), $name::handle, |settings, clock| {
            endpoint::start($name::handle, settings, clock)
        })
    };
}

macro_rules! route {
    ($endpoint:ident, $method:ident, $path:literal, $failures:expr) => {
        Route {
            method: stringify!($method),
            path: $path,
            endpoint: stringify!($endpoint),
            failures: $failures,
        }
    };
}

endpoints! {
    api {
        register: POST "/api/register";
        logout: POST "/api/logout";
        chat_stream: POST "/api/chat/stream";
        chat_stop: POST "/api/chat/stop";
        chat_read: GET "/api/chat/{id}";
        chat_delete: DELETE "/api/chat/{id}";
        conversations: GET "/api/conversations";
        conversation: GET "/api/conversations/{id}";
        conversation_rename: PATCH "/api/conversations/{id}";
        conversation_delete: DELETE "/api/conversations/{id}";
        password_change: POST "/api/user/password";
        email_resend: POST "/api/user/email";
        email_verify: POST "/api/user/email/verify";
        password_reset: POST "/api/password/reset";
        password_reset_confirm: POST "/api/password/reset/confirm";
        ledger: GET "/api/user/ledger", GET "/api/user/ledger/months";
        sessions: GET "/api/user/sessions";
        session_end: DELETE "/api/user/sessions/{id}";
        api_keys: GET "/api/user/api-keys";
        api_key_create: POST "/api/user/api-keys";
        api_key_revoke: DELETE "/api/user/api-keys/{id}";
        export: GET "/api/user/export";
        account_delete: DELETE "/api/user";
        admin_users: GET "/api/admin/users";
        admin_user_create: POST "/api/admin/users";
        admin_user: GET "/api/admin/users/{id}";
        admin_user_change: PATCH "/api/admin/users/{id}";
        admin_user_delete: DELETE "/api/admin/users/{id}";
        admin_sessions_end: DELETE "/api/admin/users/{id}/sessions";
        admin_api_keys: GET "/api/admin/users/{id}/api-keys";
        admin_api_keys_revoke:
            DELETE "/api/admin/users/{id}/api-keys",
            DELETE "/api/admin/users/{id}/api-keys/{key}";
        admin_password_reset: POST "/api/admin/users/{id}/password-reset";
        admin_adjustment: POST "/api/admin/users/{id}/adjustments";
        admin_grants: POST "/api/admin/grants";
        admin_ledger: GET "/api/admin/users/{id}/ledger";
        admin_chats: GET "/api/admin/chats";
        admin_trail: GET "/api/admin/trail";
        admin_figures: GET "/api/admin/figures";
        admin_export: GET "/api/admin/export/{list}";
        health: GET "/api/health";
        openapi: GET "/api/openapi.json";
        jwks: GET "/.well-known/jwks.json";
        discovery:
            GET "/.well-known/openid-configuration",
            GET "/.well-known/oauth-authorization-server";
    }
    simplejwt {
        login: POST "/api/login", POST "/api/token";
        token_refresh: POST "/api/token/refresh";
        token_verify: POST "/api/token/verify";
        token_blacklist: POST "/api/token/blacklist";
    }
    guarded {
        chat: POST "/api/chat", POST "/api/chat_msg";
        chat_history: GET "/api/chat";
        balance:
            GET "/api/tokens",
            GET "/api/token_balance",
            GET "/api/tokenbalance",
            GET "/api/user/balance";
        profile: GET "/api/user/profile";
        profile_change: PATCH "/api/user/profile";
    }
    openai {
        completions: POST "/v1/chat/completions";
        models: GET "/v1/models", GET "/v1/models/{id}";
    }
    responses {
        responses: POST "/v1/responses";
    }
    pages {
        site:
            GET "/",
            GET "/admin",
            GET "/docs",
            GET "/assets/{version}/{file}",
            GET "/verify-email",
            GET "/reset-password";
        not_found: ANY "/{proxy+}";
    }
    scheduled {
        sweep;
        erase;
        census;
        mail;
    }
}
