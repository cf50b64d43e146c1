//! What the tests are made with: a server and its clients, the wire to its store, and its functions
//! without HTTP.

pub mod client;
pub mod counting_ai;
pub mod forge;
pub mod lambda;
pub mod log;
pub mod mistakes;
pub mod permissions;
pub mod proxy;
