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
mod admin_chats;
mod admin_export;
mod admin_figures;
mod admin_grants;
mod admin_trail;
mod admin_users;
mod api_keys;
mod attempts;
mod audit;
mod balance;
mod branches;
mod chat;
mod chat_history;
mod chat_stop;
mod chat_stream;
mod cli;
mod completions;
mod conversations;
mod converse;
mod cookie;
mod creations;
mod dialects;
mod discovery;
mod door;
mod dynamo;
mod email_verify;
mod export;
mod health;
mod hostile;
mod idempotency;
mod instructions;
mod interventions;
mod invocations;
mod journeys;
mod jwks;
mod keys;
mod ledger;
mod login;
mod logout;
mod mail;
mod metrics;
mod not_found;
mod openapi;
mod password_change;
mod password_reset;
mod pictures;
mod profile;
mod profile_change;
mod prompts;
mod proofs;
mod providers;
mod refusals;
mod register;
mod response_events;
mod response_formats;
mod responses;
mod session_end;
mod sessions;
mod site;
mod support;
mod token_blacklist;
mod token_refresh;
mod token_verify;
mod tools;
mod traces;
mod trail;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
