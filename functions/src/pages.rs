//! The pages for browsers, and the 404 for all unknown paths. The OpenAPI document doesn't list the
//! pages.

pub mod not_found;
pub mod site;

use shared::http::FailureFormat;

/// The format of failures: a page, because people may open an unknown path in a browser.
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
