//! The tests' shared code: servers and their clients, functions without HTTP, the wire to the
//! store, and readers of the store's contents.

pub mod amazon;
pub mod client;
pub mod collector;
pub mod counting_ai;
pub mod django;
pub mod document;
pub mod forge;
pub mod function;
pub mod lambda;
pub mod log;
pub mod metric_math;
pub mod mistakes;
pub mod permissions;
pub mod program;
pub mod proxy;
pub mod random;
pub mod recorded;
pub mod rig;
pub mod stack;
pub mod wait;
pub mod world;
