//! Lists that are read page by page.

use lambda_http::http::header;

use super::{Body, HeaderValue, Request, Response, query};
use crate::{Error, Result};

/// How many items a page has where nobody says how many.
pub(crate) const PAGE: usize = 20;

/// The most items of a page.
pub(crate) const LARGEST_PAGE: usize = 100;

/// How many items a page may have: the query parameter `limit`, 1 to 100, normally 20.
pub fn page_limit(req: &Request) -> Result<usize> {
    match query(req, "limit").map(str::parse::<usize>) {
        None => Ok(PAGE),
        Some(Ok(limit @ 1..=LARGEST_PAGE)) => Ok(limit),
        Some(_) => Err(Error::field("limit", format!("A page has 1 to {LARGEST_PAGE} items."))),
    }
}

/// Links to the page that begins at `cursor` ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)), with those query parameters of the
/// request that are `kept`: relative, so that it holds under a stage, a custom domain and the local
/// server alike.
pub fn link_next(
    response: &mut Response<Body>,
    req: &Request,
    kept: &[&str],
    cursor: &str,
) -> Result<()> {
    let kept = kept.iter().filter_map(|name| query(req, name).map(|value| (*name, value)));
    response.headers_mut().insert(header::LINK, next_page(kept.chain([("cursor", cursor)]))?);
    Ok(())
}

fn next_page<'q>(query: impl Iterator<Item = (&'q str, &'q str)>) -> Result<HeaderValue> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let link = format!("<?{query}>; rel=\"next\"");
    HeaderValue::try_from(link).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_the_next_page_is_relative_and_encoded() {
        let link = next_page([("q", "a b&c>"), ("cursor", "x-_")].into_iter()).unwrap();
        assert_eq!(link, "<?q=a+b%26c%3E&cursor=x-_>; rel=\"next\"");
    }
}
