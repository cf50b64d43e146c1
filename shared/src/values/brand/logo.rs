//! The check of a logo. A logo is an SVG document that contains only shapes, groups and gradients.
//!
//! The document is read by a parser for the small part of XML that such documents need, and written
//! again from the elements and attributes in the lists below. A browser therefore never sees the
//! operator's own bytes. Names that programs add without any effect on the picture are left out.
//! Everything else is refused, with a sentence that names it.

use std::fmt::Write;

/// The maximum size in bytes.
const SIZE: usize = 8192;

/// The maximum number of elements inside each other.
const DEPTH: usize = 16;

/// The elements that a logo may contain.
const ELEMENTS: [&str; 14] = [
    "svg",
    "g",
    "defs",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
];

/// The elements that are left out, with everything inside them, because they don't change the
/// picture.
const IGNORED: [&str; 3] = ["title", "desc", "metadata"];

/// The attributes that a logo may contain.
const ATTRIBUTES: [&str; 50] = [
    "id",
    "viewBox",
    "preserveAspectRatio",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "cx",
    "cy",
    "r",
    "rx",
    "ry",
    "fx",
    "fy",
    "fr",
    "d",
    "points",
    "pathLength",
    "transform",
    "gradientUnits",
    "gradientTransform",
    "spreadMethod",
    "clipPathUnits",
    "offset",
    "stop-color",
    "stop-opacity",
    "fill",
    "fill-opacity",
    "fill-rule",
    "clip-path",
    "clip-rule",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-miterlimit",
    "stroke-dasharray",
    "stroke-dashoffset",
    "opacity",
    "color",
    "display",
    "visibility",
    "paint-order",
    "shape-rendering",
    "vector-effect",
];

/// The attributes that are left out, because they don't change the picture.
const IGNORED_ATTRIBUTES: [&str; 5] = ["version", "baseProfile", "role", "class", "data-name"];

/// The attributes that may refer to a gradient or a clip path in the same document.
const REFERRING: [&str; 3] = ["fill", "stroke", "clip-path"];

/// The namespace of SVG.
const NAMESPACE: &str = "http://www.w3.org/2000/svg";

/// Returns the logo with only its permitted parts. A stored logo is checked again when it is read,
/// so the result is checked, too: it must be permitted unchanged.
///
/// # Errors
/// Fails with a sentence if the document isn't a permitted logo.
pub(super) fn sanitized(svg: &str) -> Result<String, String> {
    let written = rewritten(svg)?;
    if rewritten(&written).as_ref() == Ok(&written) { Ok(written) } else { Err(broken()) }
}

/// Returns the document, written again from its permitted parts.
fn rewritten(svg: &str) -> Result<String, String> {
    if svg.len() > SIZE {
        return Err(format!(
            "A logo can have at most {SIZE} bytes, and this one has {}. Simplify it, for example with SVGO.",
            svg.len()
        ));
    }
    Reader { rest: svg.strip_prefix('\u{feff}').unwrap_or(svg) }.document()
}

/// A reader of the part of XML that logos need.
struct Reader<'a> {
    rest: &'a str,
}

/// A tag that begins an element.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    /// True for a tag that also ends its element.
    is_whole: bool,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<String, String> {
        let mut written = String::new();
        // The names of the open elements, and whether each is written.
        let mut open: Vec<(&str, bool)> = Vec::new();
        let mut is_begun = false;
        loop {
            let (text, rest) = self.rest.split_once('<').unwrap_or((self.rest, ""));
            let is_hidden = open.last().is_some_and(|(_, is_written)| !is_written);
            if !text.trim().is_empty() && !is_hidden {
                return Err(
                    "A logo must not contain text outside of its shapes. Convert letters to paths."
                        .into(),
                );
            }
            if self.rest.len() == text.len() {
                break;
            }
            self.rest = rest;
            if self.skips_comment()? {
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix('/') {
                let (name, rest) = rest.split_once('>').ok_or_else(broken)?;
                self.rest = rest;
                let (opened, is_written) = open.pop().ok_or_else(broken)?;
                if opened != name.trim_end() {
                    return Err(broken());
                }
                if is_written {
                    // Writing to a string can't fail.
                    let _ = write!(written, "</{opened}>");
                }
                continue;
            }
            let tag = self.tag()?;
            if open.is_empty() && (is_begun || tag.name != "svg") {
                return Err("A logo must be a single <svg> element.".into());
            }
            if open.len() >= DEPTH {
                return Err(format!("A logo can have at most {DEPTH} elements inside each other."));
            }
            let is_written = !is_hidden && is_kept(tag.name)?;
            if is_written {
                let end = if tag.is_whole { "/" } else { "" };
                let attributes = attributes(&tag, !is_begun)?;
                let _ = write!(written, "<{}{attributes}{end}>", tag.name);
            }
            is_begun = true;
            if !tag.is_whole {
                open.push((tag.name, is_written));
            }
        }
        if is_begun && open.is_empty() { Ok(written) } else { Err(broken()) }
    }

    /// Skips a comment or an instruction such as `<?xml ..?>`. Returns false if there is none.
    fn skips_comment(&mut self) -> Result<bool, String> {
        for (start, end) in [("!--", "-->"), ("?", "?>")] {
            if let Some(rest) = self.rest.strip_prefix(start) {
                let (_, rest) = rest.split_once(end).ok_or_else(broken)?;
                self.rest = rest;
                return Ok(true);
            }
        }
        match self.rest.starts_with('!') {
            true => Err("A logo must not contain a document type or CDATA. Remove the parts that begin with <!.".into()),
            false => Ok(false),
        }
    }

    fn tag(&mut self) -> Result<Tag<'a>, String> {
        let name = self.name()?;
        let mut attributes = Vec::new();
        loop {
            let rest = self.rest.trim_start();
            if let Some(rest) = rest.strip_prefix("/>") {
                self.rest = rest;
                return Ok(Tag { name, attributes, is_whole: true });
            }
            if let Some(rest) = rest.strip_prefix('>') {
                self.rest = rest;
                return Ok(Tag { name, attributes, is_whole: false });
            }
            if rest.len() == self.rest.len() {
                return Err(broken());
            }
            self.rest = rest;
            let attribute = self.name()?;
            let value = self.rest.trim_start().strip_prefix('=').ok_or_else(broken)?.trim_start();
            let quote =
                value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(broken)?;
            let (value, rest) = value.split_at(1).1.split_once(quote).ok_or_else(broken)?;
            if attributes.iter().any(|(known, _)| *known == attribute) {
                return Err(broken());
            }
            attributes.push((attribute, value));
            self.rest = rest;
        }
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.');
        let end = self.rest.find(|c| !is_of_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(broken());
        }
        self.rest = rest;
        Ok(name)
    }
}

fn broken() -> String {
    "This isn't a valid SVG document.".into()
}

/// Returns true if this element is written, and false if it is left out.
fn is_kept(name: &str) -> Result<bool, String> {
    if ELEMENTS.contains(&name) {
        return Ok(true);
    }
    if let Some((prefix, local)) = name.split_once(':') {
        // The prefix of a shape is usually `svg`, but a document can choose another.
        if prefix == "svg" || ELEMENTS.contains(&local) {
            return Err(format!(
                "A logo must not contain <{name}>. Export it as a plain SVG file, whose elements have no prefix."
            ));
        }
        // Drawing programs keep their own settings in elements with a prefix.
        return Ok(false);
    }
    if IGNORED.contains(&name) {
        return Ok(false);
    }
    let advice = match name {
        "style" => " Write its rules as attributes, for example with SVGO.",
        "text" => " Convert letters to paths.",
        _ => " A logo may contain shapes, groups and gradients.",
    };
    Err(format!("A logo must not contain <{name}>.{advice}"))
}

/// Returns the attributes of an element, as they are written. `is_root` is true for the outermost
/// element.
fn attributes(tag: &Tag<'_>, is_root: bool) -> Result<String, String> {
    let mut written = String::new();
    if is_root {
        let is_svg = |(name, value): &(&str, &str)| *name == "xmlns" && *value == NAMESPACE;
        if !tag.attributes.iter().any(is_svg) {
            return Err(format!("A logo's <svg> must have the attribute xmlns=\"{NAMESPACE}\"."));
        }
        if !tag.attributes.iter().any(|(name, _)| *name == "viewBox") {
            return Err("A logo's <svg> must have a viewBox, so that it can be scaled.".into());
        }
        let _ = write!(written, " xmlns=\"{NAMESPACE}\"");
    }
    for (name, value) in &tag.attributes {
        let refused = |why: &str| Err(format!("A logo must not contain {name}=\"..\"{why}."));
        let name = match *name {
            // Browsers ignore `xlink:href` beside `href`.
            "xlink:href" if tag.attributes.iter().any(|(name, _)| *name == "href") => continue,
            "href" | "xlink:href" if tag.name.ends_with("Gradient") => {
                if !value.strip_prefix('#').is_some_and(is_id) {
                    return refused(" that refers to anything but a gradient in the logo itself");
                }
                "href"
            }
            "href" | "xlink:href" => return refused(&format!(" in <{}>", tag.name)),
            "style" => return refused(": write its rules as attributes, for example with SVGO"),
            "xmlns" if *value == NAMESPACE => continue,
            name if name.starts_with("on") || name == "xmlns" => return refused(""),
            name if name.contains(':') || IGNORED_ATTRIBUTES.contains(&name) => continue,
            name if name.starts_with("aria-") || name.starts_with("data-") => continue,
            // The pages decide on the size of the whole logo.
            "width" | "height" | "x" | "y" if is_root => continue,
            name if ATTRIBUTES.contains(&name) => name,
            _ => return refused(""),
        };
        let is_reference = REFERRING.contains(&name) && is_local_url(value);
        let is_allowed = match name {
            "id" => is_id(value),
            "href" => true,
            _ => is_reference || (is_plain(value) && !value.to_ascii_lowercase().contains("url")),
        };
        if !is_allowed {
            return refused(" with this value");
        }
        let _ = write!(written, " {name}=\"{value}\"");
    }
    Ok(written)
}

fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Returns true for a reference such as `url(#a)`.
fn is_local_url(value: &str) -> bool {
    let id = value.trim().strip_prefix("url(#").and_then(|rest| rest.strip_suffix(')'));
    id.is_some_and(is_id)
}

/// Returns true for a value of numbers, words, lists, and functions such as `rotate(45)`.
fn is_plain(value: &str) -> bool {
    value.chars().all(|c| {
        c.is_ascii_alphanumeric()
            || matches!(c, ' ' | '\n' | '\r' | '\t' | '.' | ',' | '-' | '+' | '#' | '%' | '(' | ')')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A logo with this content.
    fn svg(content: &str) -> String {
        format!("<svg xmlns=\"{NAMESPACE}\" viewBox=\"0 0 8 8\">{content}</svg>")
    }

    #[test]
    fn logos_of_drawing_programs_keep_their_shapes() {
        let drawn = "<?xml version=\"1.0\"?>\n<!-- drawn by hand -->\n\
            <svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
            xmlns:inkscape=\"http://www.inkscape.org/namespaces/inkscape\" width=\"32\" version=\"1.1\" viewBox=\"0 0 32 32\">\
            <title>Acme & <b>friends</b></title><metadata><rdf:RDF about=\"x\"/></metadata><inkscape:grid/>\
            <defs><linearGradient id=\"a\" xlink:href=\"#b\"><stop offset=\"0\" stop-color=\"#fff\"/></linearGradient></defs>\
            <g id=\"layer1\" inkscape:label=\"Layer 1\" transform=\"rotate(45, 16 16)\">\n<path d=\"M1 1h2.5z\" fill=\"url(#a)\" stroke='rgb(1, 2, 3)' /></g></svg>\n";
        let kept = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\">\
            <defs><linearGradient id=\"a\" href=\"#b\"><stop offset=\"0\" stop-color=\"#fff\"/></linearGradient></defs>\
            <g id=\"layer1\" transform=\"rotate(45, 16 16)\"><path d=\"M1 1h2.5z\" fill=\"url(#a)\" stroke=\"rgb(1, 2, 3)\"/></g></svg>";
        assert_eq!(sanitized(drawn).as_deref(), Ok(kept));
        assert_eq!(sanitized(kept).as_deref(), Ok(kept));
    }

    #[test]
    fn permitted_logos_are_permitted_again_unchanged() {
        let href = "<linearGradient id=\"a\" href=\"#b\"/>";
        let flag = "<path d=\"M1 1\"/>";
        for (drawn, kept) in [
            ("<linearGradient id=\"a\" href=\"#b\" xlink:href=\"#c\"/>", href),
            ("<linearGradient id=\"a\" xlink:href=\"#c\" href=\"#b\"/>", href),
            ("<linearGradient id=\"a\" xlink:href=\"#b\"/>", href),
            (
                "<linearGradient id='a' href='#b'></linearGradient>",
                "<linearGradient id=\"a\" href=\"#b\"></linearGradient>",
            ),
            ("<sodipodi:namedview><inkscape:grid/></sodipodi:namedview><path d='M1 1'/>", flag),
            ("<path inkscape:label=\"Flag\" d = \"M1 1\" class=\"b\"  />", flag),
            ("<metadata><svg:g/></metadata><title>A flag</title><path d=\"M1 1\"/>", flag),
            ("<svg x=\"1\" xmlns=\"http://www.w3.org/2000/svg\"/>", "<svg x=\"1\"/>"),
            ("<g >\n<path\td=\"M1\n1\"/>\r\n</g >", "<g><path d=\"M1\n1\"/></g>"),
            (
                "<rect fill=\"url(#a)\" clip-path=\" url(#b) \"/>",
                "<rect fill=\"url(#a)\" clip-path=\" url(#b) \"/>",
            ),
        ] {
            assert_eq!(sanitized(&svg(drawn)), Ok(svg(kept)), "{drawn}");
            assert_eq!(sanitized(&svg(kept)), Ok(svg(kept)), "{kept}");
        }
        let marked = format!("\u{feff}<?xml version=\"1.0\"?>{}\n<!-- end -->", svg(""));
        assert_eq!(sanitized(&marked), Ok(svg("")));
    }

    #[test]
    fn shapes_with_a_prefix_are_refused() {
        for name in
            ["svg:path", "svg:g", "svg:text", "svg:style", "s:path", "vector:linearGradient"]
        {
            let refused = sanitized(&svg(&format!("<{name}/>"))).unwrap_err();
            assert!(refused.contains(&format!("<{name}>. Export it as a plain SVG")), "{refused}");
        }
    }

    #[test]
    fn scripts_and_foreign_references_are_refused() {
        for wrong in [
            "<script>alert(1)</script>",
            "<script/>",
            "<g onload=\"alert(1)\"/>",
            "<g ONLOAD=\"alert(1)\"/>",
            "<a href=\"javascript:alert(1)\"><path d=\"M1 1\"/></a>",
            "<image href=\"https://example.com/x.png\"/>",
            "<use href=\"#a\"/>",
            "<foreignObject><body/></foreignObject>",
            "<style>*{background:url(https://example.com)}</style>",
            "<path style=\"fill:url(https://example.com)\"/>",
            "<path fill=\"url(https://example.com#a)\"/>",
            "<path fill=\"url(//example.com#a)\"/>",
            "<path fill=\"URL(x.svg#a)\"/>",
            "<path stroke=\"Url(#a)\"/>",
            "<path fill=\"u&#114;l(https://example.com)\"/>",
            "<path stroke-width=\"url(#a)\"/>",
            "<path fill=\"&amp;\"/>",
            "<path d=\"M1 1\" fill=\"\\75rl(x)\"/>",
            "<linearGradient href=\"https://example.com/a.svg#b\"/>",
            "<path href=\"#a\"/>",
            "<animate attributeName=\"href\" to=\"javascript:alert(1)\"/>",
            "<set attributeName=\"onload\"/>",
            "<filter id=\"a\"/>",
            "<mask id=\"a\"/>",
            "<text>Acme</text>",
            "Acme",
            "<![CDATA[<script/>]]>",
            "<svg xmlns=\"http://www.w3.org/1999/xhtml\"/>",
            "<path id=\"a b\"/>",
            "<path d=\"M1 1\" d=\"M2 2\"/>",
            "<path d=M1/>",
            "<path d=\"M1\"fill=\"red\"/>",
            "<g>",
            "</g>",
            "<g></path>",
        ] {
            assert!(sanitized(&svg(wrong)).is_err(), "{wrong}");
        }
        let entity = format!("<!DOCTYPE svg [<!ENTITY a \"b\">]>{}", svg(""));
        for wrong in
            ["", "a", "<html/>", "<svg/>", &entity, &svg("")[1..], &format!("{0}{0}", svg(""))]
        {
            assert!(sanitized(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn size_and_depth_are_limited() {
        let deep = |depth: usize| svg(&format!("{}{}", "<g>".repeat(depth), "</g>".repeat(depth)));
        assert!(sanitized(&deep(DEPTH - 1)).is_ok());
        assert!(sanitized(&deep(DEPTH)).is_err());
        let large = svg(&format!("<!--{}-->", "a".repeat(SIZE)));
        assert!(sanitized(&large).unwrap_err().contains("8192 bytes"));
    }

    #[test]
    fn hidden_elements_hide_no_element() {
        let hidden = svg("<metadata><script>alert(1)</script><g onload=\"x\"/></metadata><g/>");
        assert_eq!(sanitized(&hidden), Ok(svg("<g/>")));
    }
}
