//! What must hold of the whole: under every fault, for every route, under load, and between the
//! places of the repository that state the same fact.

mod alarms;
mod architecture;
mod bank;
mod budget;
mod builds;
mod checklist;
mod contract;
mod dependencies;
mod even_log_in;
mod every_route;
mod faults;
mod kills;
mod load;
mod memory;
mod parameters;
mod permissions;
mod properties;
mod readme;
mod recovery;
mod restore;
mod schema;
mod seeds;
