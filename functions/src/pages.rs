//! The pages for browsers, and the 404 of all other paths. They are no part of the OpenAPI document.

pub mod not_found;
pub mod site;

use shared::http::FailureFormat;

/// People who open an unknown path in a browser see a page.
const FAILURES: FailureFormat = FailureFormat::Page(include_str!("pages/not_found.html"));

rows! {
    FAILURES => {
        site:
            GET "/",
            GET "/admin",
            GET "/docs",
            GET "/assets/{version}/{file+}",
            GET "/verify-email",
            GET "/reset-password";
        not_found: ANY "/{proxy+}";
    }
}
