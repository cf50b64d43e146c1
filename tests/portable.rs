//! Tests that must pass behind every gateway. If `API_URL` is set, these tests send their requests
//! to that server. Together the tests provoke every status, and at least one successful reply from
//! every route. A gateway that passes these tests finds the function for each path and method, and
//! forwards bodies, headers, cookies, streams and pages. Tests that start their own server don't
//! test another gateway, so modules with only such tests are in other folders.

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
pub mod recorded_clients;
pub mod response_events;
pub mod sessions;
pub mod site;
pub mod token_blacklist;
pub mod token_verify;
