//! The check of a logo. A logo is a small PNG, as Base64, with nothing but its pixels.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The maximum size of the PNG in bytes.
const PNG_BYTES: usize = 32_768;

/// The maximum width and height in pixels.
const SIDE: u32 = 512;

/// The first bytes of every PNG.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

const NO_PNG: &str =
    "A logo must be a PNG, in JSON as Base64. The page /admin/#/brand converts other pictures.";

/// Returns the width and the height of a logo in pixels.
///
/// # Errors
/// Fails with a sentence if the text isn't a permitted logo.
pub(super) fn size(logo: &str) -> Result<[u32; 2], String> {
    let png = BASE64_STANDARD.decode(logo).map_err(|_| NO_PNG)?;
    if png.len() > PNG_BYTES {
        return Err(format!(
            "A logo can have at most {PNG_BYTES} bytes, and this one has {}. Draw it smaller.",
            png.len()
        ));
    }
    let (kind, header, mut rest) = png.strip_prefix(SIGNATURE).and_then(chunk).ok_or(NO_PNG)?;
    let ([width, height, _], [_]) = header.as_chunks::<4>() else { return Err(NO_PNG.into()) };
    if kind != b"IHDR" {
        return Err(NO_PNG.into());
    }
    let sides = [width, height].map(|side| u32::from_be_bytes(*side));
    if !sides.iter().all(|side| (1..=SIDE).contains(side)) {
        return Err(format!("A logo can be at most {SIDE} pixels wide and high."));
    }
    loop {
        let (kind, content, after) = chunk(rest).ok_or(NO_PNG)?;
        match kind {
            b"IEND" if content.is_empty() && after.is_empty() => return Ok(sides),
            b"PLTE" | b"tRNS" | b"IDAT" => rest = after,
            b"IHDR" | b"IEND" => return Err(NO_PNG.into()),
            // Other chunks contain metadata or an animation.
            _ => {
                return Err(format!(
                    "A logo must not contain the PNG chunk {}. The page /admin/#/brand removes it.",
                    kind.escape_ascii()
                ));
            }
        }
    }
}

/// Returns the kind and the content of the first chunk, and the bytes after the chunk. `None` if
/// the chunk isn't complete. Browsers check its checksum.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (content, rest) = rest.split_at_checked(length)?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    Some((kind, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: &[u8], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], kind, content, b"sum."].concat()
    }

    fn header(width: u32, height: u32) -> Vec<u8> {
        let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
        written(b"IHDR", &[&sides[..], &[8, 6, 0, 0, 0]].concat())
    }

    fn size_of(chunks: &[Vec<u8>]) -> Result<[u32; 2], String> {
        size(&BASE64_STANDARD.encode([SIGNATURE, &chunks.concat()].concat()))
    }

    #[test]
    fn pictures_of_at_most_512_pixels_are_permitted() {
        let data = || written(b"IDAT", b"pixels");
        let end = || written(b"IEND", b"");
        for sides in [[1, 1], [512, 512], [512, 1]] {
            assert_eq!(size_of(&[header(sides[0], sides[1]), data(), end()]), Ok(sides));
        }
        for sides in [[0, 1], [1, 0], [513, 1], [1, 513], [u32::MAX, 1]] {
            let refused = size_of(&[header(sides[0], sides[1]), data(), end()]).unwrap_err();
            assert!(refused.contains("512 pixels"), "{refused}");
        }
        let colours = [written(b"PLTE", b"rgb"), written(b"tRNS", b"a")];
        let all = [vec![header(8, 8)], colours.to_vec(), vec![data(), data(), end()]].concat();
        assert_eq!(size_of(&all), Ok([8, 8]));
    }

    #[test]
    fn the_size_in_bytes_is_limited() {
        // The signature, the header and the two chunks around the pixels have 57 bytes.
        let of = |pixels: usize| {
            size_of(&[header(8, 8), written(b"IDAT", &vec![0; pixels]), written(b"IEND", b"")])
        };
        assert_eq!(of(PNG_BYTES - 57), Ok([8, 8]));
        assert!(of(PNG_BYTES - 56).unwrap_err().contains("32768 bytes, and this one has 32769"));
    }

    #[test]
    fn metadata_and_animations_are_refused() {
        for kind in ["pHYs", "tEXt", "eXIf", "iCCP", "sRGB", "acTL", "iend"] {
            let chunks = [header(8, 8), written(kind.as_bytes(), b"x"), written(b"IEND", b"")];
            let refused = size_of(&chunks).unwrap_err();
            assert!(refused.contains(&format!("the PNG chunk {kind}.")), "{refused}");
        }
    }

    #[test]
    fn chunks_are_complete_and_in_order() {
        let (first, data) = (header(8, 8), written(b"IDAT", &[0; 13]));
        let end = written(b"IEND", b"");
        let long = [&[0xff_u8; 4][..], b"IDAT", b"pixels"].concat();
        for chunks in [
            vec![],
            vec![data.clone(), end.clone()],
            vec![data.clone(), first.clone(), end.clone()],
            vec![first.clone(), first.clone(), end.clone()],
            vec![written(b"IHDR", &[0; 12]), end.clone()],
            vec![written(b"IHDR", &[0; 14]), end.clone()],
            vec![first.clone(), data.clone()],
            vec![first.clone(), data.clone(), end[..11].to_vec()],
            vec![first.clone(), long],
            vec![first.clone(), written(b"IEND", b"x")],
            vec![first.clone(), end.clone(), b"more".to_vec()],
            vec![first.clone(), end.clone(), end.clone()],
        ] {
            assert_eq!(size_of(&chunks), Err(NO_PNG.into()), "{chunks:?}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [b"".as_slice(), b"<svg/>", b"\xff\xd8\xff\xe0", SIGNATURE] {
            assert_eq!(size(&BASE64_STANDARD.encode(bytes)), Err(NO_PNG.into()));
        }
        for text in ["<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "iVBORw0KGgo", "data:,"] {
            assert_eq!(size(text), Err(NO_PNG.into()), "{text}");
        }
    }
}
