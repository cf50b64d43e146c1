//! `ANY /`, `ANY /{proxy+}` - every path that nothing else serves.

use shared::{App, Error, Reply, Request};

/// Always a 404.
pub async fn handle(_app: App, _req: Request) -> Reply {
    Err(Error::NotFound)
}
