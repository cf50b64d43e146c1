//! Proofs about the whole product: its guarantees under every fault, schedule and load, and its
//! costs.

mod bank;
mod budget;
mod even_log_in;
mod faults;
mod kills;
mod load;
mod memory;
mod permissions;
mod properties;
mod recovery;
mod restore;
mod schema;
mod seeds;
