//! Endpoints for messages to the AI, for conversations, and for folders of conversations.

pub mod chat;
pub mod chat_delete;
pub mod chat_history;
pub mod chat_read;
pub mod chat_stop;
pub mod chat_stream;
pub mod conversation;
pub mod conversation_delete;
pub mod conversation_rename;
pub mod conversation_title;
pub mod conversations;
pub mod file_read;
pub mod folder_change;
pub mod folder_create;
pub mod folder_delete;
pub mod folders;
pub mod model_list;

use shared::http::{BodyLimit, PROBLEMS, Route};

use crate::dialects::django::SIMPLEJWT_GUARDED;

endpoints! {
    Route { body_limit: BodyLimit::Files, ..Route::without_path(PROBLEMS) } => {
        chat_stream: POST "/api/chat/stream";
    }
    Route::without_path(PROBLEMS) => {
        chat_stop: POST "/api/chat/stop";
        chat_read: GET "/api/chat/{id}";
        chat_delete: DELETE "/api/chat/{id}";
        model_list: GET "/api/models";
        file_read: GET "/api/files/{id}";
        conversations: GET "/api/conversations";
        conversation: GET "/api/conversations/{id}";
        conversation_rename: PATCH "/api/conversations/{id}";
        conversation_delete: DELETE "/api/conversations/{id}";
        conversation_title: POST "/api/conversations/{id}/title";
        folders: GET "/api/folders";
        folder_create: POST "/api/folders";
        folder_change: PATCH "/api/folders/{id}";
        folder_delete: DELETE "/api/folders/{id}";
    }
    Route {
        body_limit: BodyLimit::Files,
        ..Route::without_path(SIMPLEJWT_GUARDED)
    } => {
        chat: POST "/api/chat", POST "/api/chat_msg";
    }
    Route::without_path(SIMPLEJWT_GUARDED) => {
        chat_history: GET "/api/chat";
    }
}
