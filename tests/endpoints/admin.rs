//! The endpoints for administrators, under `/api/admin`.

pub mod adjust;
pub mod admin_chats;
pub mod admin_export;
pub mod admin_figures;
pub mod admin_grants;
pub mod admin_trail;
pub mod admin_users;
pub mod administration;
pub mod brand;
pub mod creations;
pub mod interventions;
pub mod models;
