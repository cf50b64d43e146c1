//! The pages for browsers, the brand's files, and the 404 reply for unknown paths. The OpenAPI
//! document doesn't list the pages.

pub mod brand;
pub mod not_found;
pub mod site;

use shared::http::{PROBLEMS, Route};

/// The fields that these routes share. People may open an unknown path in a browser, so the reply
/// to an unknown path can be a page.
const PAGES: Route =
    Route { page: Some(include_str!("pages/not_found.html")), ..Route::without_path(PROBLEMS) };

rows! {
    PAGES => {
        site:
            GET "/",
            GET "/admin",
            GET "/docs",
            GET "/s/{link}",
            GET "/assets/{version}/{file+}",
            GET "/verify-email",
            GET "/reset-password";
        brand: GET "/brand/{version}/{file}";
        not_found: ANY "/{proxy+}";
    }
}
