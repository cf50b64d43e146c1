//! `ANY /{proxy+}` - the 404 reply for every path without an endpoint.

use shared::{Error, Reply, Request};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers unknown paths");

/// Replies with a 404. Browsers get a page (`not_found.html`), and programs get a problem document.
pub async fn handle((): (), _req: Request) -> Reply {
    Err(Error::NotFound)
}
