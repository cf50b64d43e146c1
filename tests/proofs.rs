//! What must hold of the whole: under every fault, schedule and load, and at what price.

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
