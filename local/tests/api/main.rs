//! The API over HTTP, as its clients see it. Each test has its own server and store; `API_URL` points them all at another front door
//! (with `DYNAMODB_ENDPOINT` and `SIGNING_SECRET` of the store and secret behind it, for tests that look behind the door).

mod chat;
mod client;
mod readme;
mod budget;
mod contract;
