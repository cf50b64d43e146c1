//! The project itself: its template, code, documents and dependencies state the same facts.

mod alarm_days;
mod alarms;
mod architecture;
mod contract;
mod dependencies;
mod documents;
mod parameters;
