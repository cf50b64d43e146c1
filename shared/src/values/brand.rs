//! The operator's brand: what the pages and e-mails show instead of Farebox's own name and logo.

mod color;
mod logo;

use std::fmt::Write;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;
use super::price_list::hash_of;
use super::text::{is_blank, lines, turns_text, without_byte_order_mark};
use color::{Color, Scheme};

/// The maximum length of a name, in characters.
pub(crate) const NAME: usize = 40;

/// The maximum length of an address, in characters.
pub(crate) const ADDRESS: usize = 500;

/// The maximum length of a URL, in bytes.
pub(crate) const URL: usize = 500;

/// The schema of a brand's name.
#[derive(Debug)]
pub struct BrandName;

/// The schema of a brand's address.
#[derive(Debug)]
pub struct BrandAddress;

/// The schema of a brand's links.
#[derive(Debug)]
pub struct BrandUrl;

/// The operator's brand. Everything but the name is optional.
///
/// ```
/// use shared::values::Brand;
///
/// let brand = r##"{"name": "Acme Chat", "color": "#1a4fa3", "dark_color": "#8ab4f8"}"##;
/// assert_eq!(brand.parse::<Brand>().unwrap().name, "Acme Chat");
///
/// let problems = brand.replace("1a4fa3", "ffd54a").parse::<Brand>().unwrap_err();
/// assert_eq!(problems[0].field, "color");
/// assert!(problems[0].sentence.contains("1.3:1"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    /// The name that pages, titles and e-mails show.
    #[schema(value_type = BrandName)]
    pub name: String,
    /// The operator's name and address, on several lines. The pages show it to visitors, and
    /// e-mails end with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<BrandAddress>)]
    pub address: Option<String>,
    /// The URL of the page with the operator's legal details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<BrandUrl>)]
    pub imprint_url: Option<String>,
    /// The URL of the terms of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<BrandUrl>)]
    pub terms_url: Option<String>,
    /// The URL of the privacy policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<BrandUrl>)]
    pub privacy_url: Option<String>,
    /// The colour of buttons and links on light backgrounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^#[0-9a-fA-F]{6}$", examples("#1a4fa3"))]
    pub color: Option<String>,
    /// The colour of buttons and links on dark backgrounds. Set both colours or neither, because no
    /// colour can be read on both backgrounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^#[0-9a-fA-F]{6}$", examples("#8ab4f8"))]
    pub dark_color: Option<String>,
    /// The logo: a PNG of at most 32,768 bytes and 512 x 512 pixels without metadata, as Base64.
    /// Without a logo, the pages show the name's first letter. A logo that a release before 0.22.0
    /// stored is the text of an SVG file, which begins with `<`. It can't be set again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        max_length = 43692,
        examples(
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        )
    )]
    pub logo: Option<String>,
}

impl Brand {
    /// Checks the brand, and reports every problem. White space around texts is removed, and empty
    /// fields become `None`.
    ///
    /// # Errors
    /// Fails if a field is invalid.
    pub fn checked(self) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut note = |field: &str, sentence: String| {
            problems.push(Problem { field: field.into(), sentence });
        };
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());

        let name = self.name.trim().to_owned();
        if let Some(sentence) = wrong_name(&name) {
            note("name", sentence);
        }
        let address = filled(self.address).and_then(|text| match lines(&text) {
            _ if text.chars().count() > ADDRESS => {
                note("address", format!("An address can have at most {ADDRESS} characters."));
                None
            }
            Some(text) if !text.chars().any(turns_text) => Some(text),
            _ => {
                note("address", "An address must not have control characters.".into());
                None
            }
        });
        let mut url = |field: &str, url: Option<String>| {
            let url = filled(url)?.trim().to_owned();
            if !is_url(&url) {
                let sentence = format!(
                    "This must be a URL of at most {URL} characters that begins with https://."
                );
                note(field, sentence);
            }
            Some(url)
        };
        let imprint_url = url("imprint_url", self.imprint_url);
        let terms_url = url("terms_url", self.terms_url);
        let privacy_url = url("privacy_url", self.privacy_url);
        let (color, dark_color) = (filled(self.color), filled(self.dark_color));
        let mut shade = |field: &str, color: Option<String>, other: &Option<String>, scheme| {
            match (&color, other) {
                (Some(text), _) => match Color::parse(text) {
                    None => note(field, "A colour is written as #1a4fa3.".into()),
                    Some(color) => {
                        if let Some(sentence) = color.too_faint(scheme) {
                            note(field, sentence);
                        }
                    }
                },
                (None, Some(_)) => note(
                    field,
                    "Set both colours or neither. No colour can be read on both backgrounds."
                        .into(),
                ),
                (None, None) => {}
            }
            color.map(|color| color.to_ascii_lowercase())
        };
        let shades = [
            shade("color", color.clone(), &dark_color, Scheme::Light),
            shade("dark_color", dark_color, &color, Scheme::Dark),
        ];
        let logo = filled(self.logo);
        if let Some(Err(sentence)) = logo.as_deref().map(logo::size) {
            note("logo", sentence);
        }
        let [color, dark_color] = shades;
        let brand =
            Self { name, address, imprint_url, terms_url, privacy_url, color, dark_color, logo };
        if problems.is_empty() { Ok(brand) } else { Err(problems) }
    }

    /// Returns the brand with this PNG as its logo.
    ///
    /// # Errors
    /// Fails like [`Brand::checked`].
    pub fn with_logo(self, png: &[u8]) -> Result<Self, Vec<Problem>> {
        Self { logo: Some(BASE64_STANDARD.encode(png)), ..self }.checked()
    }

    /// Reads a stored brand. An SVG that a release before 0.22.0 stored stays the logo, unless it
    /// contains clip paths: a small SVG with clip paths inside each other can freeze every page.
    pub(crate) fn of_stored(json: &str) -> Result<Self, Vec<Problem>> {
        let mut brand = of_json(json)?;
        let svg = brand.logo.take_if(|logo| logo.starts_with('<'));
        let brand = brand.checked()?;
        let svg = svg.filter(|svg| !svg.contains("clip-path"));
        Ok(Self { logo: brand.logo.or(svg), ..brand })
    }

    /// Returns the brand as JSON with its fields in a fixed order.
    pub fn canonical(&self) -> String {
        // This can't fail, because a brand contains only strings.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the version, which is the beginning of the canonical JSON's hash.
    pub fn version(&self) -> String {
        hash_of(&self.canonical())
    }

    /// Returns the `data:` URL of the logo, and its width and height in pixels. `None` if the logo
    /// is an SVG or missing.
    pub fn picture(&self) -> Option<(String, [u32; 2])> {
        let png = self.logo.as_deref()?;
        Some((format!("data:image/png;base64,{png}"), logo::size(png).ok()?))
    }

    /// Returns the logo as an SVG document, because the gateway forwards only text. Without a logo,
    /// the document shows the name's first letter on the brand's colour.
    pub fn mark(&self) -> String {
        if let Some((url, [width, height])) = self.picture() {
            return format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\"><image width=\"{width}\" height=\"{height}\" href=\"{url}\"/></svg>"
            );
        }
        if let Some(svg) = &self.logo {
            return svg.clone();
        }
        let letter = self.name.chars().next().unwrap_or('·').to_uppercase();
        let color = self.color.as_deref().unwrap_or(color::ACCENT);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\"><rect width=\"32\" height=\"32\" rx=\"7\" fill=\"{color}\"/>\
             <text x=\"16\" y=\"22.5\" text-anchor=\"middle\" font-family=\"system-ui, sans-serif\" font-size=\"19\" font-weight=\"700\" fill=\"#ffffff\">{}</text></svg>",
            escaped(&letter.to_string())
        )
    }

    /// Returns the lines that end an e-mail: the name and the address.
    pub fn signature(&self) -> String {
        let mut signature = self.name.clone();
        if let Some(address) = &self.address {
            // Writing to a string can't fail.
            let _ = write!(signature, "\n{address}");
        }
        signature
    }
}

impl FromStr for Brand {
    type Err = Vec<Problem>;

    /// Reads a brand from JSON, and reports every problem. A byte order mark is ignored.
    fn from_str(json: &str) -> Result<Self, Vec<Problem>> {
        of_json(json)?.checked()
    }
}

/// Reads a brand from JSON without checking its fields.
fn of_json(json: &str) -> Result<Brand, Vec<Problem>> {
    let mut json = serde_json::Deserializer::from_str(without_byte_order_mark(json));
    serde_path_to_error::deserialize(&mut json).map_err(|error| match error.inner().is_data() {
        true => vec![Problem::of_types(&error)],
        false => {
            let sentence = format!("This isn't JSON: {}.", error.inner());
            vec![Problem { field: String::new(), sentence }]
        }
    })
}

fn wrong_name(name: &str) -> Option<String> {
    if is_blank(name) {
        return Some("A name must not be empty.".into());
    }
    if name.chars().count() > NAME {
        return Some(format!("A name can have at most {NAME} characters."));
    }
    if name.chars().any(|c| c.is_control() || turns_text(c)) {
        return Some("A name must be on one line, without control characters.".into());
    }
    None
}

/// Returns true for a URL to which the pages can link.
fn is_url(url: &str) -> bool {
    let is_written = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '<' | '>' | '`');
    url.len() <= URL
        && url.chars().all(is_written)
        && url
            .strip_prefix("https://")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
}

/// Escapes a text for an XML document.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(field: &str, value: Value) -> Result<Brand, Vec<Problem>> {
        let mut brand = json!({ "name": "Acme" });
        brand[field] = value;
        brand.to_string().parse()
    }

    #[test]
    fn problems_name_the_field() {
        let long = |length: usize| json!("a".repeat(length));
        for (field, value) in [
            ("name", json!(" ")),
            ("name", json!("a\nb")),
            ("name", json!("a\u{202e}b")),
            ("name", long(41)),
            ("address", json!("a\u{1b}b")),
            ("address", long(501)),
            ("terms_url", json!("http://example.com")),
            ("terms_url", json!("javascript:alert(1)")),
            ("privacy_url", json!("https://")),
            ("privacy_url", json!("https://a b")),
            ("imprint_url", json!("https://example.com/\"")),
            ("imprint_url", json!(7)),
            ("logo", json!("<svg/>")),
            ("motto", json!("We try")),
        ] {
            let problems = read(field, value.clone()).unwrap_err();
            let fields: Vec<&str> = problems.iter().map(|problem| &*problem.field).collect();
            assert_eq!(fields, [field], "{value}: {problems:?}");
        }
        assert_eq!("{".parse::<Brand>().unwrap_err()[0].field, "");
        assert_eq!("{}".parse::<Brand>().unwrap_err()[0].field, "name");
    }

    #[test]
    fn colours_come_in_pairs() {
        for (field, other) in [("color", "dark_color"), ("dark_color", "color")] {
            let color = if field == "color" { "#1a4fa3" } else { "#8ab4f8" };
            assert_eq!(read(field, json!(color)).unwrap_err()[0].field, other);
        }
        assert_eq!(read("color", json!("blue")).unwrap_err()[0].field, "color");
        let brand = r##"{"name": "Acme", "color": "#1A4FA3", "dark_color": "#8AB4F8"}"##;
        let brand: Brand = brand.parse().unwrap();
        assert_eq!(brand.color.as_deref(), Some("#1a4fa3"));
    }

    #[test]
    fn empty_fields_are_missing_and_reading_again_changes_nothing() {
        let brand = json!({
            "name": " Acme ", "address": "Acme Ltd\r\nSpringfield\n", "terms_url": "",
            "privacy_url": " https://example.com/p ", "color": "", "dark_color": " ", "logo": "",
        });
        let brand: Brand = brand.to_string().parse().unwrap();
        assert_eq!(
            brand.canonical(),
            r#"{"name":"Acme","address":"Acme Ltd\nSpringfield","privacy_url":"https://example.com/p"}"#
        );
        assert_eq!(brand.canonical().parse::<Brand>().unwrap(), brand);
        assert_eq!(brand.signature(), "Acme\nAcme Ltd\nSpringfield");
    }

    #[test]
    fn a_brand_without_a_logo_shows_its_first_letter() {
        let mark = read("name", json!("ßmart")).unwrap().mark();
        assert!(mark.contains(">SS</text>"), "{mark}");
        let mark = read("name", json!("<script>")).unwrap().mark();
        assert!(mark.contains(">&lt;</text>"), "{mark}");
    }
}
