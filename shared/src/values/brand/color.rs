//! Colours, and their contrast against the pages' backgrounds.

/// The pages' own colour on light backgrounds, as in `site/ui/style.css`.
pub(super) const ACCENT: &str = "#0d6b58";

/// The lowest contrast of text that [WCAG
/// 2.2](https://www.w3.org/TR/WCAG22/#contrast-minimum) accepts.
const LEAST: f64 = 4.5;

/// The pages' colour schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    /// Returns the scheme's name, and the background on which its colours are hardest to read, as
    /// in `site/ui/style.css`.
    const fn background(self) -> (&'static str, &'static str) {
        match self {
            Self::Light => ("light", "#f6f6f2"),
            Self::Dark => ("dark", "#181f1c"),
        }
    }
}

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color([u8; 3]);

impl Color {
    /// Parses a colour like `#1a4fa3`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// Returns a sentence if text in this colour can't be read on the scheme's background. The
    /// pages derive the other colours from this one (`site/ui/rebrand.js`), so that they can be read
    /// if this one can.
    pub(super) fn too_faint(self, scheme: Scheme) -> Option<String> {
        let (name, background) = scheme.background();
        let ratio = self.contrast(Self::parse(background)?);
        (ratio < LEAST).then(|| {
            // Rounding up could show the ratio that is needed.
            let ratio = (ratio * 10.0).floor() / 10.0;
            let change = if scheme == Scheme::Light { "darker" } else { "lighter" };
            format!(
                "This colour's contrast against the {name} background {background} is \
                 {ratio:.1}:1, and {LEAST}:1 is needed. Choose a {change} one."
            )
        })
    }

    /// Returns the [contrast ratio](https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Returns the [relative luminance](https://www.w3.org/TR/WCAG22/#dfn-relative-luminance).
    fn luminance(self) -> f64 {
        let linear = |part: u8| match f64::from(part) / 255.0 {
            part if part <= 0.04045 => part / 12.92,
            part => ((part + 0.055) / 1.055).powf(2.4),
        };
        let Self([red, green, blue]) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrasts_are_those_of_wcag() {
        let of = |one: &str, other: &str| {
            let ratio = Color::parse(one).unwrap().contrast(Color::parse(other).unwrap());
            format!("{ratio:.2}")
        };
        assert_eq!(of("#000000", "#ffffff"), "21.00");
        assert_eq!(of("#777777", "#ffffff"), "4.48");
        assert_eq!(of("#767676", "#ffffff"), "4.54");
        assert_eq!(of("#ff0000", "#ff0000"), "1.00");
    }

    #[test]
    fn faint_colours_are_refused_with_their_ratio() {
        let said = |color: &str, scheme| Color::parse(color).unwrap().too_faint(scheme);
        assert_eq!(said(ACCENT, Scheme::Light), None);
        assert_eq!(said("#8ab4f8", Scheme::Dark), None);
        let sentence = said("#ffd54a", Scheme::Light).unwrap();
        assert!(sentence.contains("1.3:1") && sentence.contains("darker"), "{sentence}");
        let sentence = said(ACCENT, Scheme::Dark).unwrap();
        assert!(sentence.contains("lighter"), "{sentence}");
    }

    #[test]
    fn the_backgrounds_are_those_of_the_pages() {
        let css = include_str!("../../../../site/ui/style.css");
        assert!(css.contains(&format!("--accent: light-dark({ACCENT}, ")));
        let (_, light) = Scheme::Light.background();
        let (_, dark) = Scheme::Dark.background();
        assert!(css.contains(&format!("--background: light-dark({light}, ")));
        assert!(css.contains(&format!(", {dark});")));
    }

    #[test]
    fn other_notations_are_no_colours() {
        for text in ["", "#", "#fff", "1a4fa3", "#1a4fa3ff", "#1a4fag", "#+a4fa3", "#éa4fa"] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }
}
