//! Endpoints for administrators. They accept an administrator's access token, but not API keys.

pub mod admin_adjustment;
pub mod admin_api_keys;
pub mod admin_api_keys_revoke;
pub mod admin_brand;
pub mod admin_brand_change;
pub mod admin_chats;
pub mod admin_export;
pub mod admin_figures;
pub mod admin_grants;
pub mod admin_ledger;
pub mod admin_models;
pub mod admin_models_change;
pub mod admin_packs;
pub mod admin_packs_change;
pub mod admin_password_reset;
pub mod admin_purchases;
pub mod admin_sessions_end;
pub mod admin_share_end;
pub mod admin_shares;
pub mod admin_trail;
pub mod admin_user;
pub mod admin_user_change;
pub mod admin_user_create;
pub mod admin_user_delete;
pub mod admin_users;
pub mod admin_voucher_redemptions;
pub mod admin_vouchers;
pub mod admin_vouchers_create;
pub mod admin_vouchers_void;

use shared::http::{PROBLEMS, Route};

endpoints! {
    Route::without_path(PROBLEMS) => {
        admin_users: GET "/api/admin/users";
        admin_user_create: POST "/api/admin/users";
        admin_user: GET "/api/admin/users/{id}";
        admin_user_change: PATCH "/api/admin/users/{id}";
        admin_user_delete: DELETE "/api/admin/users/{id}";
        admin_sessions_end: DELETE "/api/admin/users/{id}/sessions";
        admin_api_keys: GET "/api/admin/users/{id}/api-keys";
        admin_api_keys_revoke:
            DELETE "/api/admin/users/{id}/api-keys",
            DELETE admin_api_keys_revoke::ONE_PATH => one;
        admin_password_reset: POST "/api/admin/users/{id}/password-reset";
        admin_adjustment: POST "/api/admin/users/{id}/adjustments";
        admin_grants: POST "/api/admin/grants";
        admin_ledger: GET "/api/admin/users/{id}/ledger";
        admin_chats: GET "/api/admin/chats";
        admin_models: GET "/api/admin/models";
        admin_models_change: PUT "/api/admin/models";
        admin_vouchers: GET "/api/admin/vouchers";
        admin_vouchers_create: POST "/api/admin/vouchers";
        admin_vouchers_void: DELETE "/api/admin/vouchers/{id}";
        admin_voucher_redemptions: GET "/api/admin/vouchers/{id}/redemptions";
        admin_shares: GET "/api/admin/shares";
        admin_share_end:
            DELETE "/api/admin/shares/{id}",
            DELETE admin_share_end::REPORT_PATH => dismiss;
        admin_purchases: GET "/api/admin/purchases";
        admin_packs: GET "/api/admin/packs";
        admin_packs_change: PUT "/api/admin/packs";
        admin_brand: GET "/api/admin/brand";
        admin_brand_change: PUT "/api/admin/brand";
        admin_trail: GET "/api/admin/trail";
        admin_figures: GET "/api/admin/figures";
        admin_export: GET "/api/admin/export/{list}";
    }
}
