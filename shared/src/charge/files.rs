//! The files that the AI gets with a message: those of the message, and those in the context of its
//! conversation.

use std::collections::{HashMap, HashSet};

use crate::ai::{Ai, TokenCounts};
use crate::app::AiApp;
use crate::store::{Result as StoreResult, in_context};
use crate::values::file::{FILES_IN_CONTEXT, chat_of};
use crate::values::{
    Attachment, Chat, Factor, File, FileInfo, Message, PICTURE_BYTES, PRICED_PICTURE, Part,
    Speaker, Turn,
};
use crate::{Error, Result};

/// The files that the AI gets with a message.
#[derive(Clone, Debug, Default)]
pub(super) struct PromptFiles {
    /// The message's own files.
    new: Vec<File>,
    /// The files of earlier messages, without their contents.
    earlier: Vec<FileInfo>,
    /// The ids of the conversation's pictures that the AI no longer gets.
    over: HashSet<String>,
}

impl PromptFiles {
    /// Selects the files for a message: its own, and those that the conversation lists. Leaves out
    /// earlier pictures if the model takes none. The message's own files expire with its chat, at
    /// `expires_at`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the context would contain too many files, or if the model
    /// takes no pictures and the message has some, and [`Error::PromptTooLong`] if the texts are too
    /// long for the model.
    pub(super) fn choose(
        ai: &Ai,
        message: &Message,
        attached: Vec<Attachment>,
        listed: Vec<FileInfo>,
        of_chat: (&str, &str),
        expires_at: Option<u64>,
    ) -> Result<Self> {
        if attached.is_empty() && listed.is_empty() {
            return Ok(Self::default());
        }
        let takes_pictures = ai.takes_pictures();
        if !takes_pictures && attached.iter().any(Attachment::is_picture) {
            return Err(Error::field("attachments", NO_PICTURES));
        }
        let attached = attached.into_iter().enumerate();
        let new: Vec<File> =
            attached.map(|(number, file)| file.of_chat(of_chat, number, expires_at)).collect();
        let mut all = listed.clone();
        all.extend(new.iter().map(|file| file.info.clone()));
        let context = in_context(all);
        if !new.is_empty() && context.len() > FILES_IN_CONTEXT {
            return Err(Error::field("attachments", too_many()));
        }
        let kept: HashSet<&str> = context.iter().map(|file| file.id.as_str()).collect();
        let over = listed.iter().filter(|file| !kept.contains(file.id.as_str()));
        let over = over.map(|file| file.id.clone()).collect();
        let is_earlier = |file: &FileInfo| file.chat_id() != of_chat.1;
        let earlier = context
            .into_iter()
            .filter(|file| is_earlier(file) && (takes_pictures || !file.is_picture()))
            .collect();
        let files = Self { new, earlier, over };
        ai.check_files(message.text().len() + files.size(PICTURE_BYTES))?;
        Ok(files)
    }

    fn infos(&self) -> impl Iterator<Item = &FileInfo> {
        self.earlier.iter().chain(self.new.iter().map(|file| &file.info))
    }

    /// Returns the message's own files.
    pub(super) fn new_files(&self) -> &[File] {
        &self.new
    }

    /// Returns the message's own files as its chat lists them.
    pub(super) fn listed(&self) -> Vec<FileInfo> {
        self.new.iter().map(|file| file.info.clone()).collect()
    }

    /// Returns the ids of the conversation's pictures that the AI no longer gets.
    pub(super) fn over(&self) -> HashSet<String> {
        self.over.clone()
    }

    /// Returns the total size in bytes. Each picture counts as `picture` bytes.
    fn size(&self, picture: usize) -> usize {
        let of = |file: &FileInfo| match file.is_picture() {
            true => picture,
            false => usize::try_from(file.bytes).unwrap_or(usize::MAX),
        };
        self.infos().map(of).fold(0, usize::saturating_add)
    }

    /// Returns the size that determines a flat price, in bytes.
    pub(super) fn priced_size(&self) -> usize {
        self.size(PRICED_PICTURE)
    }

    /// Returns how much of a prompt's maximum size the files take up, in bytes.
    pub(super) fn prompt_size(&self) -> usize {
        self.size(PICTURE_BYTES)
    }

    /// Counts the model tokens, for a model whose tokenizer makes this many times as many of a text.
    /// `picture` is the maximum for one picture.
    pub(super) fn tokens(&self, picture: u32, text: Factor) -> TokenCounts {
        let of = |file: &FileInfo| {
            let bound = file.tokens.unwrap_or(picture.into());
            let high = file.high.and_then(|high| usize::try_from(high).ok());
            let high = high.and_then(|high| u64::try_from(text.times(high)).ok());
            TokenCounts { high: high.unwrap_or(bound).min(bound), bound }
        };
        self.infos().map(of).sum()
    }

    /// Reads the contents of the earlier messages' files. Skips files that were deleted in the
    /// meantime.
    pub(super) async fn read(&self, app: &AiApp, user_id: &str) -> StoreResult<Vec<File>> {
        let ids: Vec<String> = self.earlier.iter().map(|file| file.id.clone()).collect();
        app.store.files(user_id, &ids).await
    }

    /// Returns the turns of a prompt: each file is in the turn of its message, before the text. The
    /// files of messages that aren't in the prompt are in the first turn.
    pub(super) fn turns(&self, chats: &[Chat], earlier: &[File], message: &Message) -> Vec<Turn> {
        let mut parts: HashMap<&str, Vec<Part>> = HashMap::new();
        for file in earlier.iter().chain(&self.new) {
            parts.entry(chat_of(&file.info.id)).or_default().push(file.part());
        }
        let of_message = self.new.first().map(|file| chat_of(&file.info.id));
        let mut last = of_message.and_then(|chat| parts.remove(chat)).unwrap_or_default();
        let mut turns = Vec::new();
        for chat in chats {
            let [mut asked, answered] = chat.turns();
            if let Some(mut files) = parts.remove(chat.chat_id.as_str()) {
                files.append(&mut asked.content);
                asked.content = files;
            }
            // Leave out blank turns, such as the empty answer of a stopped chat or an answer that
            // consists of thoughts, because some providers refuse them.
            turns.extend([asked, answered].into_iter().filter(|turn| !turn.is_blank()));
        }
        last.push(Part::Text(message.text().to_owned()));
        turns.push(Turn::with_content(Speaker::User, last));
        // Sort the rest, so that a provider's cache finds the same prompt again.
        let mut rest: Vec<(&str, Vec<Part>)> = parts.into_iter().collect();
        rest.sort_by_key(|(chat, _)| *chat);
        let rest: Vec<Part> = rest.into_iter().flat_map(|(_, files)| files).collect();
        if let Some(first) = turns.first_mut() {
            first.content.splice(0..0, rest);
        }
        turns
    }
}

/// The sentence if the model takes no pictures.
const NO_PICTURES: &str = "This model takes no pictures. Choose another model, or remove the pictures. Nothing was charged.";

/// Returns the sentence if the context would have more files than it may.
fn too_many() -> String {
    format!(
        "The AI can get at most {FILES_IN_CONTEXT} files with a message. Remove some from the conversation first."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::FileContent;

    fn text(id: &str, text: &str) -> File {
        let info = FileInfo {
            id: id.into(),
            name: format!("{id}.txt"),
            kind: "text/plain".into(),
            bytes: 1,
            tokens: Some(1),
            high: Some(1),
        };
        let content = FileContent::Text(text.into());
        File { user_id: "ann".into(), info, content, expires_at: None }
    }

    #[test]
    fn files_are_in_the_turns_of_their_messages() {
        let chat = |id: &str| Chat {
            chat_id: id.into(),
            message: format!("ask {id}"),
            response: format!("answer {id}"),
            ..Chat::default()
        };
        let message = Message::parse("now".into(), 9).unwrap();
        let files = PromptFiles { new: vec![text("d.0", "4")], ..PromptFiles::default() };
        let earlier = [text("a.0", "1"), text("b.0", "2"), text("c.1", "3")];
        let turns = files.turns(&[chat("b"), chat("c")], &earlier, &message);
        let texts: Vec<String> = turns.iter().map(|turn| turn.text().into_owned()).collect();
        assert_eq!(
            texts,
            [
                "a.0.txt:\n1\nb.0.txt:\n2\nask b",
                "answer b",
                "c.1.txt:\n3\nask c",
                "answer c",
                "d.0.txt:\n4\nnow",
            ]
        );
        let alone = PromptFiles::default().turns(&[], &[], &message);
        assert_eq!(alone, [Turn::new(Speaker::User, "now")]);
    }

    #[test]
    fn answers_that_consist_of_thoughts_are_left_out() {
        let chats = ["<think>Hm", "<think>Hm.</think>Rice.", "Hm.\n</think>\n"].map(|response| {
            let (message, response) = ("ask".into(), response.into());
            Chat { message, response, ..Chat::default() }
        });
        let message = Message::parse("now".into(), 9).unwrap();
        let turns = PromptFiles::default().turns(&chats, &[], &message);
        let texts: Vec<String> = turns.iter().map(|turn| turn.text().into_owned()).collect();
        assert_eq!(texts, ["ask", "ask", "Rice.", "ask", "now"]);
    }
}
