//! `ANY /{proxy+}` - every path without an endpoint.

use shared::{Error, Reply, Request};

/// Always a 404: a page for browsers (`not_found.html`), and a problem document for programs.
pub async fn handle((): (), _req: Request) -> Reply {
    Err(Error::NotFound)
}
