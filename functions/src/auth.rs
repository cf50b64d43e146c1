//! Endpoints for registration, log-in and log-out, passwords, e-mail addresses and sessions.

pub mod email_resend;
pub mod email_verify;
pub mod login;
pub mod logout;
pub mod password_change;
pub mod password_reset;
pub mod password_reset_confirm;
pub mod register;
pub mod session_end;
pub mod sessions;
pub mod token_blacklist;
pub mod token_refresh;
pub mod token_verify;

use shared::http::{PROBLEMS, Route};

use crate::dialects::django::SIMPLEJWT;

endpoints! {
    Route::without_path(PROBLEMS) => {
        logout: POST "/api/logout";
        password_change: POST "/api/user/password";
        email_resend: POST "/api/user/email";
        email_verify: POST "/api/user/email/verify";
        password_reset: POST "/api/password/reset";
        password_reset_confirm: POST "/api/password/reset/confirm";
        sessions: GET "/api/user/sessions";
        session_end: DELETE "/api/user/sessions/{id}";
    }
    Route::without_path(SIMPLEJWT) => {
        register: POST "/api/register";
        login: POST "/api/login", POST "/api/token";
        token_refresh: POST "/api/token/refresh";
        token_verify: POST "/api/token/verify";
        token_blacklist: POST "/api/token/blacklist";
    }
}
