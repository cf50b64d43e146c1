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

mod ai;
mod endpoints;
mod local;
mod operation;
mod portable;
mod project;
mod proofs;
mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
