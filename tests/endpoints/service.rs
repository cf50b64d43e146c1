//! The service's health, public keys and discovery documents.

pub mod client_statuses;
pub mod discovery;
pub mod health;
pub mod jwks;
