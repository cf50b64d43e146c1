//! `ANY /{proxy+}` - every path without an endpoint.

use shared::{Error, Reply, Request, http};

/// A 404. A browser that opens such a path as a page is redirected to the chat page, which says in
/// words that nothing has this address.
pub async fn handle((): (), req: Request) -> Reply {
    if !http::opens_a_page(&req) {
        return Err(Error::NotFound);
    }
    let folders = http::path(&req).trim_start_matches('/').matches('/').count();
    let root = if folders == 0 { "./".to_owned() } else { "../".repeat(folders) };
    http::see_other(&format!("{root}#/page-not-found"))
}
