//! What the tests are made with: a server and its clients, its functions without HTTP, the wire to
//! its store, and the contents of the store.

pub mod client;
pub mod collector;
pub mod counting_ai;
pub mod document;
pub mod forge;
pub mod function;
pub mod lambda;
pub mod log;
pub mod mistakes;
pub mod permissions;
pub mod program;
pub mod proxy;
pub mod recorded;
pub mod rig;
pub mod stack;
pub mod world;
