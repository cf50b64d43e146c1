//! What clients learn of the service: its health, keys and endpoints.

pub mod discovery;
pub mod health;
pub mod jwks;
