//! `ANY /{proxy+}` - the 404 for every path without an endpoint.

use shared::{Error, Reply, Request};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers unknown paths");

/// Replies with a 404: a page for browsers (`not_found.html`), or a problem document for programs.
pub async fn handle((): (), _req: Request) -> Reply {
    Err(Error::NotFound)
}
