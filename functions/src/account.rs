//! Endpoints for a user's own account: balance, statement, profile, API keys, export.

pub mod account_delete;
pub mod api_key_create;
pub mod api_key_rename;
pub mod api_key_revoke;
pub mod api_keys;
pub mod balance;
pub mod export;
pub mod ledger;
pub mod profile;
pub mod profile_change;
pub mod purchase_create;
pub mod purchases;
pub mod voucher_redeem;

use shared::http::{PROBLEMS, Route};

use crate::dialects::django::SIMPLEJWT_GUARDED;

endpoints! {
    Route::without_path(PROBLEMS) => {
        ledger: GET "/api/user/ledger", GET ledger::MONTHS_PATH => months;
        api_keys: GET "/api/user/api-keys";
        api_key_create: POST "/api/user/api-keys";
        api_key_revoke: DELETE "/api/user/api-keys/{id}";
        api_key_rename: PATCH "/api/user/api-keys/{id}";
        export: GET "/api/user/export";
        account_delete: DELETE "/api/user";
        voucher_redeem: POST "/api/user/vouchers";
        purchases: GET "/api/user/purchases";
        purchase_create: POST "/api/user/purchases";
    }
    Route::without_path(SIMPLEJWT_GUARDED) => {
        balance:
            GET "/api/tokens",
            GET "/api/token_balance",
            GET "/api/tokenbalance",
            GET "/api/balance",
            GET "/api/user/balance";
        profile: GET "/api/user/profile";
        profile_change: PATCH "/api/user/profile";
    }
}
