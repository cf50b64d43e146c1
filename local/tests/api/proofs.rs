//! What holds of the whole: under every fault, for every route, at any load, and between what the
//! repository says in several places.

mod architecture;
mod bank;
mod budget;
mod builds;
mod checklist;
mod contract;
mod even_log_in;
mod every_route;
mod faults;
mod kills;
mod load;
mod properties;
mod readme;
mod recovery;
mod seeds;
