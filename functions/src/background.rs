//! Background functions, which are invoked by a schedule or by the Tokens table's stream.

pub mod census;
pub mod erase;
pub mod mail;
pub mod payments_check;
pub mod sweep;

use shared::App;
use shared::app::{CensusApp, MailApp, PaymentsApp, UsesSettings};
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
    /// The names of the settings that the function reads, in addition to those that every function
    /// reads.
    pub settings: &'static [Names],
}

/// Defines the table of background functions from their names and parameter types.
macro_rules! rows {
    ($($name:ident($needs:ty);)+) => {
        /// The background functions.
        pub const FUNCTIONS: &[Background] = &[$(Background {
            module: concat!(module_path!(), "::", stringify!($name)),
            name: stringify!($name),
            lambda: $name::LAMBDA,
            settings: <$needs as UsesSettings>::SETTINGS,
        }),+];
    };
}

rows! {
    sweep(App);
    erase(App);
    mail(MailApp);
    census(CensusApp);
    payments_check(PaymentsApp);
}
