//! Files that users attach to messages: pictures, and texts such as code, tables or logs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::values::data_url::media_type;
use crate::values::idempotency::fingerprint;
use crate::values::text::{bound, is_blank, is_unseen, turns_text};
use crate::values::{Invalid, Part, Picture, TokenEstimate};

/// The type of a text. The types of pictures begin with `image/`.
pub const TEXT_TYPE: &str = "text/plain";

/// A file as its chat and its conversation list it, without its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileInfo {
    /// `<chat id>.<number>`, where the number is the position in the message, from 0. Files
    /// therefore sort by the time at which they were sent.
    pub id: String,
    /// The name, which is one short line.
    pub name: String,
    /// The media type. Later releases may add types.
    #[serde(rename = "type")]
    pub kind: String,
    /// The size of the content, in bytes.
    pub bytes: u64,
    /// The maximum number of model tokens in a text, with the lines around it. `None` for a
    /// picture, because the number depends on the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// At least as many model tokens as public tokenizers count for a text like this one, with the
    /// lines around it. `None` for a picture, and for a text that an earlier release has stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<u64>,
}

impl FileInfo {
    /// Returns true if the file is a picture.
    pub fn is_picture(&self) -> bool {
        self.kind.starts_with("image/")
    }

    /// Returns the id of the chat that the file belongs to.
    pub fn chat_id(&self) -> &str {
        chat_of(&self.id)
    }
}

/// Returns the id of the chat that the file with this id belongs to.
pub fn chat_of(file_id: &str) -> &str {
    file_id.split_once('.').map_or(file_id, |(chat, _)| chat)
}

/// Returns the id of a chat's file.
pub fn file_id(chat_id: &str, number: usize) -> String {
    format!("{chat_id}.{number}")
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// The text.
    Text(String),
    /// The bytes of the picture.
    Picture(Vec<u8>),
}

/// A file with its content and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The id of the owner's account.
    pub user_id: String,
    /// The file without its content.
    pub info: FileInfo,
    /// The content.
    pub content: FileContent,
    /// When the file of a temporary chat is deleted, in seconds since 1970. `None` for a file that
    /// is kept.
    pub expires_at: Option<u64>,
}

/// The most files that a message may have.
pub const FILES_OF_MESSAGE: usize = 8;

/// The most pictures that a message may have. Of a conversation's pictures, the AI gets only this
/// many, the last ones.
pub const PICTURES_IN_PROMPT: usize = 4;

/// The most files in the context of a conversation.
pub const FILES_IN_CONTEXT: usize = 20;

/// The maximum size of a file's content, in bytes. An item of DynamoDB has at most 400 KB.
pub const FILE_BYTES: usize = 300 * 1024;

/// The maximum length of a file's name, in characters.
pub const NAME_LENGTH: usize = 100;

/// A file in a request, which isn't stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    name: String,
    kind: &'static str,
    content: FileContent,
}

impl Attachment {
    /// Parses a file: its name, its declared type, and either the Base64 of a picture or a text.
    /// The bytes decide a picture's type, and a text's declared type is ignored.
    ///
    /// # Errors
    /// Fails with a sentence for the user.
    pub fn parse(
        name: &str,
        declared: Option<&str>,
        data: Option<&str>,
        text: Option<String>,
    ) -> Result<Self, Invalid> {
        let name = clean_name(name).ok_or(NO_NAME)?;
        let (kind, content) = match (data, text) {
            (Some(data), None) => {
                // Don't decode what can't be accepted.
                if data.len() > FILE_BYTES.div_ceil(3) * 4 {
                    return Err(too_large());
                }
                let bytes = BASE64_STANDARD.decode(data).map_err(|_| NO_DATA)?;
                if bytes.len() > FILE_BYTES {
                    return Err(too_large());
                }
                let kind = picture_type(&bytes).ok_or(NO_PICTURE)?;
                if declared.is_some_and(|declared| media_type(declared) != kind) {
                    return Err(OTHER_TYPE.into());
                }
                (kind, FileContent::Picture(bytes))
            }
            (None, Some(text)) => {
                if text.len() > FILE_BYTES {
                    return Err(too_large());
                }
                if is_blank(&text) || text.contains('\0') {
                    return Err(NO_TEXT.into());
                }
                (TEXT_TYPE, FileContent::Text(text))
            }
            _ => return Err(NO_CONTENT.into()),
        };
        Ok(Self { name, kind, content })
    }

    /// Returns true if the file is a picture.
    pub fn is_picture(&self) -> bool {
        matches!(self.content, FileContent::Picture(_))
    }

    /// Returns a short string that differs for different files.
    pub(crate) fn fingerprint(&self) -> String {
        let content: &[u8] = match &self.content {
            FileContent::Text(text) => text.as_bytes(),
            FileContent::Picture(bytes) => bytes,
        };
        fingerprint(json!([self.name, self.kind, fingerprint(content)]).to_string())
    }

    /// Returns the file with the id that it has as a file of this user's chat. A file of a
    /// temporary chat expires with it.
    pub(crate) fn of_chat(
        self,
        (user_id, chat_id): (&str, &str),
        number: usize,
        expires_at: Option<u64>,
    ) -> File {
        let Self { name, kind, content } = self;
        let size = match &content {
            FileContent::Text(text) => text.len(),
            FileContent::Picture(bytes) => bytes.len(),
        };
        let (tokens, high) = match &content {
            FileContent::Text(text) => {
                let framed = framed(&name, text);
                let [bound, high] = [bound(&framed), TokenEstimate::high_of(&framed)];
                (Some(bound + OF_PART), Some(high + OF_PART))
            }
            FileContent::Picture(_) => (None, None),
        };
        let number_of = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let info = FileInfo {
            id: file_id(chat_id, number),
            name,
            kind: kind.to_owned(),
            bytes: number_of(size),
            tokens: tokens.map(number_of),
            high: high.map(number_of),
        };
        File { user_id: user_id.to_owned(), info, content, expires_at }
    }
}

/// How many model tokens a part adds to a turn, beside its text.
const OF_PART: usize = 1;

impl File {
    /// Returns true if the file is to be treated as deleted at `now`, in seconds since 1970.
    /// DynamoDB deletes expired items late.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Returns the part of a prompt that contains the file.
    pub(crate) fn part(&self) -> Part {
        match &self.content {
            FileContent::Text(text) => Part::Text(framed(&self.info.name, text)),
            FileContent::Picture(bytes) => Part::Picture(Picture::of_bytes(&self.info.kind, bytes)),
        }
    }
}

/// Returns a text after a line with the file's name.
fn framed(name: &str, text: &str) -> String {
    format!("{name}:\n{text}")
}

/// Returns a file's name without folders and without characters that hide, break or turn text.
/// `None` if nothing is left.
fn clean_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_shown =
        |c: &char| c.is_whitespace() || !(c.is_control() || is_unseen(*c) || turns_text(*c));
    let shown: String = name.chars().filter(is_shown).collect();
    // All white space becomes a space.
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = words.trim_start_matches(['.', ' ']).chars().take(NAME_LENGTH).collect();
    let name = name.trim_end();
    (!is_blank(name)).then(|| name.to_owned())
}

/// Returns the media type of a picture, by its first bytes. `None` for all other files.
fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

const NO_NAME: &str = "A file needs a name of at least one visible character.";

const NO_CONTENT: &str = "A file needs either data, for a picture, or text.";

const NO_DATA: &str = "The data of a picture must be Base64 with padding.";

const NO_PICTURE: &str = "A picture must be a PNG, JPEG or WebP. Send other files as their text.";

const OTHER_TYPE: &str =
    "The type of a picture must be the one of its data: image/png, image/jpeg or image/webp.";

const NO_TEXT: &str = "The text of a file must not be empty, and must not contain NUL characters.";

fn too_large() -> Invalid {
    format!("A file can have at most {FILE_BYTES} bytes.").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n rest";

    #[test]
    fn names_are_one_visible_line_without_folders() {
        for (name, clean) in [
            ("notes.txt", "notes.txt"),
            ("C:\\Users\\ann\\a b.md", "a b.md"),
            ("../../etc/passwd", "passwd"),
            (" a\nb\t.csv ", "a b .csv"),
            ("invoice\u{202e}gpj.exe", "invoicegpj.exe"),
            ("a\u{200b}\0\u{7f}\u{2066}b", "ab"),
            (".htaccess", "htaccess"),
            ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
            ("Grüße 日本.txt", "Grüße 日本.txt"),
        ] {
            assert_eq!(clean_name(name).as_deref(), Some(clean), "{name:?}");
        }
        assert_eq!(clean_name(&"é".repeat(300)).unwrap(), "é".repeat(NAME_LENGTH));
        for bad in ["", " ", "/", "a/", "..", "\u{202e}", "\u{200b}\n"] {
            assert_eq!(clean_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn pictures_are_what_their_bytes_say() {
        let parse = |bytes: &[u8], declared| {
            Attachment::parse("a", declared, Some(&BASE64_STANDARD.encode(bytes)), None)
        };
        for (bytes, kind) in [
            (PNG, "image/png"),
            (b"\xff\xd8\xff\xe0 rest".as_slice(), "image/jpeg"),
            (b"RIFF\x04\0\0\0WEBPVP8 ".as_slice(), "image/webp"),
        ] {
            let file = parse(bytes, Some(kind)).unwrap();
            assert_eq!((file.kind, parse(bytes, None)), (kind, Ok(file.clone())));
        }
        let jpeg = b"\xff\xd8\xff\xe0 rest".as_slice();
        for (bytes, declared, kind) in [
            (PNG, "image/png;charset=binary", "image/png"),
            (PNG, "IMAGE/PNG; name=a.png", "image/png"),
            (jpeg, "image/jpg", "image/jpeg"),
        ] {
            assert_eq!(parse(bytes, Some(declared)).unwrap().kind, kind, "{declared}");
        }
        let refused =
            |bytes: &[u8], declared| parse(bytes, declared).unwrap_err().sentence().to_owned();
        for bytes in [b"".as_slice(), b"<svg onload=alert(1)>", b"GIF89a", b"%PDF-1.7", b"RIFF"] {
            assert_eq!(refused(bytes, Some("image/png")), NO_PICTURE);
        }
        assert_eq!(refused(PNG, Some("image/svg+xml")), OTHER_TYPE);
        assert_eq!(
            refused(&[PNG, &[0; FILE_BYTES]].concat(), None),
            "A file can have at most 307200 bytes."
        );
    }

    #[test]
    fn files_have_either_data_or_a_text() {
        let parse = |data: Option<&str>, text: Option<&str>| {
            let parsed = Attachment::parse("a", None, data, text.map(str::to_owned));
            parsed.map(|_| ()).map_err(|invalid| invalid.sentence().to_owned())
        };
        assert_eq!(parse(None, Some("x")), Ok(()));
        assert_eq!(parse(None, None), Err(NO_CONTENT.into()));
        assert_eq!(parse(Some("aGVsbG8="), Some("x")), Err(NO_CONTENT.into()));
        assert_eq!(parse(Some("hello!"), None), Err(NO_DATA.into()));
        for bad in ["", " \n", "a\0"] {
            assert_eq!(parse(None, Some(bad)), Err(NO_TEXT.into()), "{bad:?}");
        }
        assert_eq!(
            parse(None, Some(&"x".repeat(FILE_BYTES + 1))),
            Err("A file can have at most 307200 bytes.".into())
        );
    }

    #[test]
    fn texts_count_as_no_fewer_model_tokens_than_their_part() {
        let file = Attachment::parse("ﷺ.txt", None, None, Some("ﷺ".into())).unwrap();
        let file = file.of_chat(("ann", "c"), 2, None);
        let Part::Text(text) = file.part() else { panic!("{file:?}") };
        assert_eq!(text, "ﷺ.txt:\nﷺ");
        let tokens = u64::try_from(bound(&text) + OF_PART).unwrap();
        assert_eq!((file.info.tokens, file.info.id.as_str()), (Some(tokens), "c.2"));
    }
}
