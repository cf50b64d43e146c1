//! `ANY /{proxy+}` - every path without an endpoint.

use shared::{Error, Reply, Request};

/// Always a 404.
pub async fn handle((): (), _req: Request) -> Reply {
    Err(Error::NotFound)
}
