//! Background functions. A schedule or the stream of the Tokens table invokes these functions.

pub mod census;
pub mod erase;
pub mod mail;
pub mod payments_check;
pub mod sweep;

use shared::app::Reads;
use shared::config::Names;

use crate::lambda::Lambda;

/// A background function.
pub struct Background {
    /// The path of the function's module.
    pub module: &'static str,
    /// The name of the function's file and binary.
    pub name: &'static str,
    /// The Lambda function.
    pub lambda: Lambda,
    /// The names of the settings that the function reads, besides those of every function.
    pub settings: &'static [Names],
}

/// Defines the table of background functions.
macro_rules! rows {
    ($($invoked:ident: $($name:ident),+;)+) => {
        /// The background functions.
        pub const FUNCTIONS: &[Background] = &[$($(Background {
            module: concat!(module_path!(), "::", stringify!($name)),
            name: stringify!($name),
            lambda: $name::LAMBDA,
            settings: $invoked($name::work),
        }),+),+];
    };
}

rows! {
    by_schedule: sweep, erase;
    by_outbox: mail;
    by_schedule: census, payments_check;
}

/// Returns the settings of work that a schedule begins.
const fn by_schedule<A: Reads, F>(_: fn(A) -> F) -> &'static [Names] {
    A::SETTINGS
}

/// Returns the settings of work that a new item in the outbox begins.
const fn by_outbox<A: Reads, F>(_: fn(A, String) -> F) -> &'static [Names] {
    A::SETTINGS
}
