//! Lists that clients read page by page.

use lambda_http::http::header;
use serde::Serialize;

use super::reply::ok;
use super::{Body, HeaderValue, Reply, Request, Response, base_path, base_url, path, query};
use crate::http::cursor::{UnverifiedCursor, seal};
use crate::values::Account;
use crate::{Error, Result};

/// The number of items on a page if the request doesn't contain `limit`.
pub(crate) const PAGE: usize = 20;

/// The maximum number of items on a page.
pub(crate) const LARGEST_PAGE: usize = 100;

/// Returns the error for a request with an invalid `limit`.
pub fn invalid_limit() -> Error {
    Error::field("limit", format!("A page can have 1 to {LARGEST_PAGE} items."))
}

/// The page that a request's query parameters describe.
///
/// Until [`Paging::prove`] accepts the cursor, it may be forged. An endpoint may nevertheless read
/// the page and the account in parallel, because every position is within the data that the caller
/// may see.
pub struct Paging<'r> {
    req: &'r Request,
    /// The query parameters that the link to the next page repeats, in addition to `limit`.
    kept: &'static [&'static str],
    limit: usize,
    cursor: Option<UnverifiedCursor>,
}

impl<'r> Paging<'r> {
    /// Reads the `limit` (1 to 100, by default 20) and `cursor` query parameters. The link to the
    /// next page repeats `limit` and the parameters in `kept`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] or [`Error::InvalidCursor`].
    pub fn from_request(req: &'r Request, kept: &'static [&'static str]) -> Result<Self> {
        Self::with_default(req, kept, PAGE)
    }

    /// Like [`Paging::from_request`], but if the request doesn't contain `limit`, the number of
    /// items isn't limited. The store then ends the page at about 1 MB.
    ///
    /// # Errors
    /// Returns the same errors as [`Paging::from_request`].
    pub fn whole_from_request(req: &'r Request, kept: &'static [&'static str]) -> Result<Self> {
        Self::with_default(req, kept, usize::MAX)
    }

    fn with_default(
        req: &'r Request,
        kept: &'static [&'static str],
        default: usize,
    ) -> Result<Self> {
        let limit = match query(req, "limit").map(str::parse) {
            None => default,
            Some(Ok(limit @ 1..=LARGEST_PAGE)) => limit,
            Some(_) => return Err(invalid_limit()),
        };
        let cursor = query(req, "cursor").map(UnverifiedCursor::parse).transpose()?;
        Ok(Self { req, kept, limit, cursor })
    }

    /// Returns the maximum number of items on the page.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the position at which the page begins, or `None` for the first page. The position
    /// may be forged.
    pub fn position(&self) -> Option<&str> {
        self.cursor.as_ref().map(UnverifiedCursor::position)
    }

    /// Shortens `items` to the page's limit. The returned flag is true if more items follow, either
    /// in `items` or in the store (`more`).
    pub fn cut<T>(&self, mut items: Vec<T>, more: bool) -> (Vec<T>, bool) {
        let more = more || items.len() > self.limit;
        items.truncate(self.limit);
        (items, more)
    }

    /// Returns the items in `read` for which `matches` returns true, up to the page's limit. If
    /// more items follow, in `read` or in the store (`more`), also returns the position of the last
    /// compared item.
    pub fn found<T>(
        &self,
        read: Vec<T>,
        more: bool,
        matches: impl Fn(&T) -> bool,
        place: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        found(read, more, self.limit, matches, place)
    }

    /// Verifies that the cursor was created for this account and the list `scope`.
    ///
    /// # Errors
    /// Returns [`Error::InvalidCursor`].
    pub fn prove<'p>(&'p self, account: &'p Account, scope: &'p str) -> Result<ProvenPage<'p>> {
        if let Some(cursor) = &self.cursor {
            cursor.prove(account, scope)?;
        }
        Ok(ProvenPage { paging: self, account, scope })
    }
}

/// A page with a verified cursor. It may be shown to the caller.
pub struct ProvenPage<'p> {
    paging: &'p Paging<'p>,
    account: &'p Account,
    scope: &'p str,
}

impl ProvenPage<'_> {
    /// Returns a 200 reply with `items` as a JSON array. If `next` is given, the reply links to the
    /// page that begins there.
    pub fn reply(&self, items: &[impl Serialize], next: Option<&str>) -> Reply {
        self.linked(ok(&items)?, next)
    }

    /// If `next` is given, adds a link to the page that begins there ([RFC
    /// 8288](https://www.rfc-editor.org/rfc/rfc8288)). The link is a complete URL, because many
    /// clients don't resolve relative links. If the gateway doesn't report its host, the link is a
    /// path.
    pub fn linked(&self, mut response: Response<Body>, next: Option<&str>) -> Reply {
        if let Some(position) = next {
            let cursor = seal(self.account, self.scope, position);
            let Paging { req, kept, .. } = self.paging;
            let kept = ["limit"].iter().chain(*kept);
            let kept = kept.filter_map(|name| query(req, name).map(|value| (*name, value)));
            let base = base_url(req).unwrap_or_else(|| base_path(req).to_owned());
            let list = base + path(req);
            let link = next_page(&list, kept.chain([("cursor", cursor.as_str())]))?;
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(response)
    }
}

fn found<T>(
    read: Vec<T>,
    more: bool,
    limit: usize,
    matches: impl Fn(&T) -> bool,
    place: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let (count, mut compared) = (read.len(), 0);
    let mut last = None;
    let mut found = Vec::new();
    for item in read {
        if found.len() == limit {
            break;
        }
        compared += 1;
        last = Some(place(&item));
        if matches(&item) {
            found.push(item);
        }
    }
    let next = (more || compared < count).then_some(last).flatten();
    (found, next)
}

fn next_page<'q>(
    list: &str,
    query: impl Iterator<Item = (&'q str, &'q str)>,
) -> Result<HeaderValue> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let link = format!("<{list}?{query}>; rel=\"next\"");
    HeaderValue::try_from(link).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(read: &[&str], more: bool, limit: usize, text: &str) -> (usize, Option<String>) {
        let read = read.iter().map(|item| (*item).to_owned()).collect();
        let matches = |item: &String| item.contains(text);
        let (found, next) = found(read, more, limit, matches, |item| format!("after {item}"));
        (found.len(), next)
    }

    #[test]
    fn pages_end_at_the_limit_and_know_if_more_follows() {
        assert_eq!(search(&["a", "b", "c"], false, 2, ""), (2, Some("after b".into())));
        assert_eq!(search(&["a", "b"], false, 2, ""), (2, None));
        assert_eq!(search(&["a", "b"], true, 2, ""), (2, Some("after b".into())));
    }

    #[test]
    fn searches_continue_after_the_last_compared_item() {
        assert_eq!(search(&["a", "b", "c"], true, 2, "zebra"), (0, Some("after c".into())));
        assert_eq!(search(&["a zebra", "b", "c"], false, 2, "zebra"), (1, None));
    }

    #[test]
    fn next_page_links_have_the_path_and_an_encoded_query() {
        let query = [("q", "a b&c>"), ("cursor", "x-_")];
        let link = next_page("/live/api/chat/", query.into_iter()).unwrap();
        assert_eq!(link, "</live/api/chat/?q=a+b%26c%3E&cursor=x-_>; rel=\"next\"");
    }
}
