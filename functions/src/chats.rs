//! Endpoints for messages to the AI and for conversations.

pub mod chat;
pub mod chat_delete;
pub mod chat_history;
pub mod chat_read;
pub mod chat_stop;
pub mod chat_stream;
pub mod conversation;
pub mod conversation_delete;
pub mod conversation_rename;
pub mod conversations;
pub mod model_list;

use shared::http::{FailureFormat, Route};

endpoints! {
    Route::without_path(FailureFormat::Problem) => {
        chat_stream: POST "/api/chat/stream";
        chat_stop: POST "/api/chat/stop";
        chat_read: GET "/api/chat/{id}";
        chat_delete: DELETE "/api/chat/{id}";
        model_list: GET "/api/models";
        conversations: GET "/api/conversations";
        conversation: GET "/api/conversations/{id}";
        conversation_rename: PATCH "/api/conversations/{id}";
        conversation_delete: DELETE "/api/conversations/{id}";
    }
    Route::without_path(FailureFormat::SimplejwtGuarded) => {
        chat: POST "/api/chat", POST "/api/chat_msg";
        chat_history: GET "/api/chat";
    }
}
