//! Accounts come into being, log in and out, and guard their password and address.

pub mod attempts;
pub mod email_verify;
pub mod login;
pub mod logout;
pub mod password_change;
pub mod register;
pub mod session_end;
pub mod token_refresh;
