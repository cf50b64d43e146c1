//! Chats, conversations and their branches.

pub mod branches;
pub mod charged;
pub mod chat;
pub mod chat_history;
pub mod deleted;
pub mod early_bytes;
pub mod fares;
pub mod files;
pub mod folders;
pub mod free_work;
pub mod holds;
pub mod instructions;
pub mod model_list;
pub mod system_prompts;
pub mod temporary;
pub mod titles;
