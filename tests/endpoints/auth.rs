//! Registration, log-in, log-out, sessions, passwords and e-mail addresses.

pub mod attempts;
pub mod email_verify;
pub mod login;
pub mod logout;
pub mod password_change;
pub mod register;
pub mod session_end;
pub mod token_refresh;
