//! What must hold at every front door: where `API_URL` is set, these tests send their requests there.
//! Together they get the success of every route, and every status: they show that a front door finds
//! the function of each path and method, and passes on bodies, headers, cookies, streams and pages.
//! Tests that start servers of their own show nothing of it: a module that has only such tests is in
//! another folder.

pub mod chat_stop;
pub mod chat_stream;
pub mod conversations;
pub mod cookie;
pub mod dialects;
pub mod every_route;
pub mod hostile;
pub mod idempotency;
pub mod journeys;
pub mod not_found;
pub mod openapi;
pub mod password_reset;
pub mod response_events;
pub mod sessions;
pub mod site;
pub mod token_blacklist;
pub mod token_verify;
