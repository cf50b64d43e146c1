//! Shared chats: copies that everybody who knows the link can read.

pub mod share;
pub mod share_create;
pub mod share_end;
pub mod share_report;
pub mod shares;

use shared::http::{PROBLEMS, Route};

endpoints! {
    Route::without_path(PROBLEMS) => {
        shares: GET "/api/user/shares";
        share_create: POST "/api/user/shares";
        share_end: DELETE "/api/user/shares/{id}";
        share: GET "/api/shares/{link}";
        share_report: POST "/api/shares/{link}/reports";
    }
}
