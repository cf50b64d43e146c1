//! `ANY /{proxy+}` - every path that nothing else serves.

use shared::{Error, Reply, Request};

/// Always a 404.
pub async fn handle((): (), _req: Request) -> Reply {
    Err(Error::NotFound)
}
