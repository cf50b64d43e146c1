//! `ANY /{proxy+}` - every path that nothing else serves.

use shared::{Error, Reply, Request};

/// Always a 404. Needs nothing that it may be given.
pub async fn handle(_: impl Sized, _req: Request) -> Reply {
    Err(Error::NotFound)
}
