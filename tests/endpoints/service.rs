//! The service's health, public keys and discovery documents.

pub mod discovery;
pub mod health;
pub mod jwks;
