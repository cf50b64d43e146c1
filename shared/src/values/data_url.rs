//! `data` URLs in Base64, and media types ([RFC 2397](https://www.rfc-editor.org/rfc/rfc2397)).

/// Returns the media type, in its plain form, and the Base64 data of a `data` URL. `None` if the
/// text isn't a `data` URL in Base64.
pub(super) fn data_url(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    // The value of a parameter may contain commas, and Base64 can't.
    let (described, data) =
        rest.rsplit_once(',').filter(|_| scheme.eq_ignore_ascii_case("data"))?;
    let (kind, encoding) = described.rsplit_once(';')?;
    let is_base64 = encoding.trim().eq_ignore_ascii_case("base64");
    is_base64.then(|| (media_type(kind), data))
}

/// Returns the plain form of a media type: in lower case, and without its parameters, such as a
/// character set. `image/jpg` isn't a registered type, but clients send it.
pub(super) fn media_type(text: &str) -> String {
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "image/jpg" { "image/jpeg".to_owned() } else { kind }
}
