//! The API over HTTP, as its clients see it. Each test has its own server and store; `API_URL`
//! points them all at another front door (with `DYNAMODB_ENDPOINT` and `SIGNING_SECRET` of the
//! store and secret behind it, for tests that look behind the door).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod account_delete;
mod adjust;
mod admin;
mod api_keys;
mod architecture;
mod attempts;
mod audit;
mod balance;
mod bank;
mod budget;
mod builds;
mod chat;
mod chat_history;
mod chat_stream;
mod checklist;
mod cli;
mod client;
mod completions;
mod contract;
mod conversations;
mod cookie;
mod counting_ai;
mod dialects;
mod door;
mod email_verify;
mod even_log_in;
mod every_route;
mod export;
mod faults;
mod forge;
mod health;
mod hostile;
mod idempotency;
mod journeys;
mod jwks;
mod keys;
mod kills;
mod lambda;
mod ledger;
mod load;
mod log;
mod login;
mod logout;
mod mail;
mod mistakes;
mod not_found;
mod openapi;
mod password_change;
mod password_reset;
mod permissions;
mod profile;
mod profile_change;
mod properties;
mod providers;
mod proxy;
mod readme;
mod recovery;
mod register;
mod seeds;
mod session_end;
mod sessions;
mod site;
mod token_refresh;
mod trail;
