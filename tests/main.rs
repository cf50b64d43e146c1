//! End-to-end tests: the API over HTTP, as its clients see it. Each test starts its own server and
//! store. If `API_URL` is set, all tests run against that gateway instead; tests that read the
//! store or sign JWTs then also need the gateway's `DYNAMODB_ENDPOINT` and `SIGNING_SECRET`.

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
