//! Reads which content type a client prefers ([RFC
//! 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1)).

use lambda_http::http::header;

use super::Request;

/// Returns true if the `Accept` header prefers CSV to JSON. JSON is the default.
pub fn wants_csv(req: &Request) -> bool {
    let csv = weight(req, "text/csv");
    csv > 0.0 && csv > weight(req, "application/json")
}

/// Returns true if the `Accept` header prefers HTML to JSON, as browsers do. JSON is the default.
pub(crate) fn wants_html(req: &Request) -> bool {
    let html = weight(req, "text/html");
    let json = ["application/json", "application/problem+json"].map(|json| weight(req, json));
    html > 0.0 && json.iter().all(|json| html > *json)
}

/// Returns the media type's weight in the `Accept` header, or zero if the header doesn't list the
/// type.
fn weight(req: &Request, media_type: &str) -> f32 {
    let headers =
        req.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = headers.flat_map(|value| value.split(','));
    ranges.filter_map(|range| quality(range, media_type)).fold(0.0, f32::max)
}

/// Returns the media type's weight in one range of an `Accept` header. Returns `None` if the range
/// is for a different type or the weight is invalid.
fn quality(range: &str, media_type: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(media_type) {
        return None;
    }
    let weight = parts.find_map(|part| {
        part.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
    });
    let Some((_, weight)) = weight else { return Some(1.0) };
    weight.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderValue;

    #[test]
    fn csv_is_sent_if_preferred_to_json() {
        for accept in [
            "text/csv",
            "TEXT/CSV;charset=utf-8",
            "text/csv, */*",
            "text/csv, application/json;q=0.9",
            "a/b, text/csv ; Q=0.1",
            "text/csv;q=1",
        ] {
            assert!(wants_csv(&accepting(&[accept])), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "application/json",
            "text/csv;q=0",
            "text/csv;q=0.000",
            "text/csv, application/json",
            "text/csv;q=x",
            "text/csvx",
            ",;=,",
        ] {
            assert!(!wants_csv(&accepting(&[accept])), "{accept}");
        }
        assert!(wants_csv(&accepting(&["application/json;q=0.5", "text/csv"])));
        assert!(!wants_csv(&Request::default()));
    }

    fn accepting(values: &[&'static str]) -> Request {
        let mut request = Request::default();
        for value in values {
            request.headers_mut().append(header::ACCEPT, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn html_is_sent_if_named_before_json() {
        for accept in [
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json;q=0.9, text/html",
        ] {
            assert!(wants_html(&accepting(&[accept])), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json, text/plain, */*",
            "text/html;q=0",
            "text/html, application/json",
            "text/html;q=0.9, application/problem+json",
        ] {
            assert!(!wants_html(&accepting(&[accept])), "{accept}");
        }
        assert!(!wants_html(&Request::default()));
    }
}
