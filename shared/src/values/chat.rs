//! Messages, titles of conversations, and stored chats.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Credits;
use crate::values::text::{bound, is_blank, turns_text};
use crate::values::thoughts::without_thoughts;
use crate::values::{
    AnswerBlock, AnswerMark, BlockOrder, CutReason, FileInfo, Invalid, Paid, Reasoning, Receipt,
    Speaker, StopDetails, ToolCall, Turn, Usage,
};

/// A user's message that has been checked and can be sent to the AI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    /// Parses a message of at most `limit` characters. Messages without text, or with NUL
    /// characters, are refused.
    pub fn parse(text: String, limit: usize) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err("A message must not be empty.".into());
        }
        if text.contains('\0') {
            return Err("A message must not contain NUL characters.".into());
        }
        if text.chars().count() > limit {
            return Err(format!("A message can have at most {limit} characters.").into());
        }
        Ok(Self(text))
    }

    /// Like [`Self::parse`], but shortens a longer message to `limit` characters. The shortened
    /// message ends with a note that gives the original length.
    pub fn shortened(text: String, limit: usize) -> Result<Self, Invalid> {
        let length = text.chars().count();
        let whole = Self::parse(text, length)?;
        if length <= limit {
            return Ok(whole);
        }
        let mark = format!("\n[shortened: {length} characters were sent]");
        let kept = limit.saturating_sub(mark.chars().count());
        let beginning = whole.0.chars().take(kept);
        Ok(Self(beginning.chain(mark.chars()).take(limit).collect()))
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// The maximum length of a title, in characters.
pub(crate) const TITLE_LENGTH: usize = 100;

/// A conversation's title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Parses a title of 1 to 100 characters on one line. At least one character must be visible.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if is_blank(text) {
            return Err("A title must not be empty.".into());
        }
        if text.chars().count() > TITLE_LENGTH || text.chars().any(char::is_control) {
            return Err(
                format!("A title can have at most {TITLE_LENGTH} characters on one line.").into()
            );
        }
        if text.chars().any(turns_text) {
            return Err(
                "A title must not have characters that change the direction of text.".into()
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// Makes a title from a model's answer: its first line with text, without markup and quotation
    /// marks around it, shortened if it is too long. `None` if the answer contains no such line.
    pub fn of_answer(answer: &str) -> Option<Self> {
        let answer = without_thoughts(answer);
        let named = named_in_json(answer);
        let answer = named.as_deref().unwrap_or(answer);
        let line = answer.lines().map(plain).find(|line| !is_blank(line))?;
        Self::parse(&cut_title(&line)).ok()
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// The maximum length of a title that isn't the user's, in characters.
const CUT_TITLE: usize = 80;

/// Shortens a line to the length of a title, at a word boundary.
pub(crate) fn cut_title(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= CUT_TITLE {
        return line;
    }
    let cut: String = line.chars().take(CUT_TITLE - 1).collect();
    let words = cut.rsplit_once(' ').map(|(words, _)| words);
    let words = words.filter(|words| words.chars().count() >= CUT_TITLE / 2).unwrap_or(&cut);
    format!("{words}…")
}

/// Returns the title from an answer that is a JSON object, possibly in a code block.
fn named_in_json(answer: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        title: String,
    }
    let (begin, end) = (answer.find('{')?, answer.rfind('}')?);
    let is_fence =
        |rest: &str| rest.trim().trim_start_matches("```json").trim_matches('`').is_empty();
    if !is_fence(answer.get(..begin)?) || !is_fence(answer.get(end + 1..)?) {
        return None;
    }
    let named: Named = serde_json::from_str(answer.get(begin..=end)?).ok()?;
    Some(named.title)
}

/// Returns a line of a model's answer without tags, marks of Markdown, control characters, and
/// characters that change the direction of text.
fn plain(line: &str) -> String {
    let mut rest = line;
    let mut text = String::new();
    while let Some((before, tag)) = rest.split_once('<') {
        // In `a < b`, it is a sign.
        if !tag.starts_with(|c: char| c.is_alphabetic() || "/!".contains(c)) {
            text.extend([before, "<"]);
            rest = tag;
            continue;
        }
        // If no `>` follows, neither this `<` nor a later one begins a tag.
        let Some((_, after)) = tag.split_once('>') else { break };
        text.push_str(before);
        rest = after;
    }
    text.push_str(rest);
    text.retain(|c| !(c.is_control() || turns_text(c) || matches!(c, '*' | '`')));
    let text = text.trim().trim_start_matches(['#', '>', '-', ' ']);
    let label = text.get(..6).filter(|label| label.eq_ignore_ascii_case("title:"));
    let text = label.map_or(text, |label| text.trim_start_matches(label));
    let is_around = |c: char| c.is_whitespace() || "\"'_“”„‟‘’«»".contains(c);
    text.trim_matches(is_around).trim_end_matches('.').to_owned()
}

/// The parent of a chat that begins a branch, because the user has edited an earlier message or
/// requested another answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentChat {
    /// The chat has no parent, because it is an alternative beginning of the conversation.
    Start,
    /// The chat with this id.
    Message(String),
}

/// The word for [`ParentChat::Start`].
const START: &str = "start";

impl ParentChat {
    /// Parses `start` or a chat's id, as sent by clients and kept in the store. Returns `None` for
    /// other strings.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            START => Some(Self::Start),
            id => Uuid::try_parse(id).ok().map(|id| Self::Message(id.to_string())),
        }
    }

    /// Returns `start` or the chat's id.
    pub fn word(&self) -> &str {
        match self {
            Self::Start => START,
            Self::Message(id) => id,
        }
    }

    /// Returns the parent that a chat's sort key in the `by_conversation` index contains.
    pub(crate) fn of_place(place: &str) -> Option<Self> {
        word_of_place(place).and_then(Self::parse)
    }
}

/// Returns a chat's sort key in the `by_conversation` index: `<conversation>#<chat id>`, or
/// `<conversation>#<chat id>#<parent>` if the chat isn't in the main line.
pub(crate) fn place(conversation: &str, chat_id: &str, after: Option<&ParentChat>) -> String {
    match after {
        None => format!("{conversation}#{chat_id}"),
        Some(after) => format!("{conversation}#{chat_id}#{}", after.word()),
    }
}

fn word_of_place(place: &str) -> Option<&str> {
    place.split('#').nth(2)
}

/// A message with its answer, as the Chats table stores it. Chats from
/// [`Store::chats`](crate::store::Store::chats) lack the fields that have a default here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The account's id.
    #[serde(default)]
    pub user_id: String,
    /// A UUIDv7, so chats sort by the time at which they were sent.
    pub chat_id: String,
    /// The id of the folder of the conversation that the chat begins. Only the conversation stores
    /// it.
    #[serde(skip)]
    pub folder: Option<String>,
    /// The conversation's id, which equals the id of its first chat. `None` if the chat isn't part
    /// of a conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The sort key in the `by_conversation` index. [`Chat::after`] reads the chat's parent from
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The user's message.
    pub message: String,
    /// The files that the user attached to the message, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileInfo>,
    /// The text of the answer.
    pub response: String,
    /// True if the text is the model's refusal to answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The model's reasoning before the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasoning: Vec<Reasoning>,
    /// The function calls in the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// The order of the reasoning, the text and the calls. `None` if the reasoning precedes the
    /// text, and the text precedes the calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<BlockOrder>,
    /// The model that answered.
    pub model: String,
    /// Why the answer was cut off. `None` if the answer is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutReason>,
    /// Details of the answer's end. `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_details: Option<StopDetails>,
    /// True if the user stopped the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// The model token counts. Older chats may lack these counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The price that the user paid for the chat.
    pub cost: Credits,
    /// How many times the price of a message was charged because the prompt was long. `None` if it
    /// was charged once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u32>,
    /// How the chat was priced by the price list. `None` if there was no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The balance right after the charge. It doesn't reflect other chats that were in progress.
    #[serde(default)]
    pub tokens_left: Credits,
    /// The time at which the message was sent, in milliseconds since 1970.
    pub time: u64,
    /// The username, for the administrators' list.
    pub name: String,
    /// The partition in the `by_time` index: `<yyyy-mm>#<shard>`. A temporary chat is in a partition
    /// that no list reads.
    #[serde(default)]
    pub month: String,
    /// When a temporary chat is deleted, in seconds since 1970. `None` for a chat that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// The reason why an answer ends. All values except `stopped` come from OpenAI's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The answer is complete.
    Stop,
    /// The answer has reached its maximum length or its time limit.
    Length,
    /// The provider's content filter ended the answer.
    ContentFilter,
    /// The answer calls functions.
    ToolCalls,
    /// The answer calls functions, and the request used `functions`, the older form of `tools`.
    FunctionCall,
    /// The user stopped the answer. OpenAI's clients don't expect `stopped`, so they get `length`
    /// instead.
    Stopped,
}

impl Chat {
    /// Sets the chat's conversation and parent.
    #[must_use]
    pub fn with_place(self, conversation: Option<String>, after: Option<&ParentChat>) -> Self {
        let place = |conversation: &String| place(conversation, &self.chat_id, after);
        let thread = conversation.as_ref().map(place);
        Self { conversation, thread, ..self }
    }

    /// Returns what the user paid for the chat.
    pub fn paid(&self) -> Paid {
        Paid {
            user_id: self.user_id.clone(),
            id: self.chat_id.clone(),
            cost: self.cost,
            units: self.units,
            usage: self.usage,
            model: self.model.clone(),
            receipt: self.receipt.clone(),
            tokens_left: self.tokens_left,
            time: self.time,
        }
    }

    /// Returns true if the chat isn't kept. Lists and searches don't show such chats.
    pub fn is_temporary(&self) -> bool {
        self.expires_at.is_some()
    }

    /// Returns true if the chat is to be treated as deleted at `now`, in seconds since 1970.
    /// DynamoDB deletes expired items late.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Returns the chat's parent in the form of [`ParentChat::word`]. `None` for a chat in the main
    /// line.
    pub fn after(&self) -> Option<&str> {
        self.thread.as_deref().and_then(word_of_place)
    }

    /// Returns why the answer ended.
    pub fn finish_reason(&self) -> FinishReason {
        match self.cut {
            _ if self.stopped => FinishReason::Stopped,
            Some(CutReason::Length) => FinishReason::Length,
            Some(CutReason::ContentFilter) => FinishReason::ContentFilter,
            None if self.calls.is_empty() => FinishReason::Stop,
            None => FinishReason::ToolCalls,
        }
    }

    /// Returns the whole answer for human readers: its text, followed by a line for each function
    /// call.
    pub fn answer(&self) -> Cow<'_, str> {
        if self.calls.is_empty() {
            return Cow::Borrowed(&self.response);
        }
        let text = Some(self.response.clone()).filter(|text| !text.is_empty());
        let lines = text.into_iter().chain(self.calls.iter().map(ToString::to_string));
        Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Returns the answer's blocks in the order in which the provider sent them. Without the
    /// reasoning, adjacent texts are one block.
    pub fn in_blocks(&self, with_reasoning: bool) -> Vec<AnswerBlock<'_>> {
        let stored = self.blocks.iter().flat_map(BlockOrder::marks).map_while(|mark| mark);
        let mut marks = Vec::new();
        for mark in stored {
            if with_reasoning || mark != AnswerMark::Reasoning {
                mark.push(&mut marks);
            }
        }
        let reasoning: &[Reasoning] = if with_reasoning { &self.reasoning } else { &[] };
        let mut reasoning = reasoning.iter().map(AnswerBlock::Reasoning);
        let calls = self.calls.iter().enumerate();
        let mut calls = calls.map(|(index, call)| AnswerBlock::Call(index, call));
        let mut rest = self.response.as_str();
        let mut blocks = Vec::new();
        for mark in marks {
            match mark {
                AnswerMark::Reasoning => blocks.extend(reasoning.next()),
                AnswerMark::Call => blocks.extend(calls.next()),
                AnswerMark::Text(length) => {
                    let end = rest.floor_char_boundary(length);
                    let (text, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    blocks
                        .extend(Some(text).filter(|text| !text.is_empty()).map(AnswerBlock::Text));
                    rest = after;
                }
            }
        }
        // Without an order, all blocks are still to be added.
        blocks.extend(reasoning);
        blocks.extend(Some(rest).filter(|text| !text.is_empty()).map(AnswerBlock::Text));
        blocks.extend(calls);
        blocks
    }

    /// Returns the model token counts, or an estimate if they are missing.
    pub fn usage(&self) -> Usage {
        let estimate = || Usage::estimate(self.message.len(), self.answer().len());
        self.usage.unwrap_or_else(estimate)
    }

    /// Returns the model's name in the price list, or the provider's name for the model if there
    /// was no list.
    pub fn model_name(&self) -> &str {
        self.receipt.as_ref().map_or(&self.model, |receipt| &receipt.model)
    }

    /// Returns the chat's cost in money. `None` if the price list doesn't contain the price of
    /// credits.
    pub fn cost_in_money(&self) -> Option<f64> {
        let million = self.receipt.as_ref()?.million_tokens?;
        let micros = million.of_millions(self.cost.get());
        // Amounts below nine billion are represented exactly.
        Some(micros as f64 / 1_000_000.0)
    }

    /// Returns the text of the model's reasoning. Empty if the provider doesn't show any.
    pub fn reasoning_text(&self) -> String {
        self.reasoning.iter().map(|part| part.text.as_str()).collect()
    }

    /// Returns the number of bytes in the message, the answer and its reasoning.
    pub fn size(&self) -> usize {
        let reasoning: usize = self.reasoning.iter().map(Reasoning::size).sum();
        self.size_with(&self.response) + reasoning
    }

    /// Returns the number of bytes in the message and the answer. Later prompts contain both, but
    /// not the reasoning and the thoughts.
    pub fn prompt_size(&self) -> usize {
        self.size_with(without_thoughts(&self.response))
    }

    /// Returns the number of bytes in the message and in an answer with this text.
    fn size_with(&self, answer: &str) -> usize {
        let calls: usize = self.calls.iter().map(ToolCall::size).sum();
        self.message.len() + answer.len() + calls
    }

    /// Returns an upper bound on the number of model tokens in the message and the answer.
    pub fn bound(&self) -> usize {
        bound(&self.message) + bound(without_thoughts(&self.response))
    }

    /// Returns the message and the answer as the turns of a prompt. Models don't need the reasoning
    /// and the thoughts before their earlier answers. The turn of an answer that consists of
    /// thoughts is blank.
    pub fn turns(&self) -> [Turn; 2] {
        [
            Turn::new(Speaker::User, self.message.as_str()),
            Turn::new(Speaker::Assistant, without_thoughts(&self.response)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_short_line() {
        let invisible = "\u{200b} \u{2060}";
        for bad in ["", " ", invisible, "a\nb", "a\0", "a\u{202e}b", "a\u{2066}", &"x".repeat(101)]
        {
            assert!(Title::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Title::parse(&format!(" {} ", "é".repeat(100))).unwrap().text(),
            "é".repeat(100)
        );
    }

    #[test]
    fn titles_of_answers_are_one_plain_line() {
        for (answer, title) in [
            ("Trains in Spain", "Trains in Spain"),
            ("\n\n  \"Trains in Spain.\"  \nIt is about trains.", "Trains in Spain"),
            ("**Title: Trains**", "Trains"),
            ("# `Trains` in C#", "Trains in C#"),
            ("<b onclick=\"x()\">Trains</b> <script>", "Trains"),
            ("a < b\u{7} and\u{202e} c", "a < b and c"),
            ("```\nfn main()", "fn main()"),
            ("»Züge« ", "Züge"),
            ("If a < b and b > c", "If a < b and b > c"),
            ("```json\n{\"title\": \"Trains\"}\n```", "Trains"),
            ("{\"title\": \"Trains\", \"x\": 1}", "Trains"),
            ("They ask.\n</think>\n\nTrains", "Trains"),
            ("<thought>They ask.</thought>Trains", "Trains"),
            ("analysisThey askassistantfinalTrains", "Trains"),
        ] {
            assert_eq!(Title::of_answer(answer).unwrap().text(), title, "{answer:?}");
        }
        let long = Title::of_answer(&"word ".repeat(50)).unwrap();
        assert_eq!(long.text(), format!("{}…", ["word"; 15].join(" ")));
        let whole = Title::of_answer(&"x".repeat(5_000_000)).unwrap();
        assert_eq!(whole.text().chars().count(), 80);
        let unclosed = Title::of_answer(&"<".repeat(5_000_000)).unwrap();
        assert!(unclosed.text().starts_with("<<<"), "{unclosed:?}");
        for signs in ["<", "<a", "< "] {
            let unclosed = Title::of_answer(&format!("x{}>", signs.repeat(2_000_000))).unwrap();
            assert!(unclosed.text().starts_with('x'), "{unclosed:?}");
        }
        for nothing in ["", " \n\t", "<br>", "\"\"", "\u{200b}", "<think>The user wants\nmore"] {
            assert_eq!(Title::of_answer(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn shortened_messages_are_marked() {
        let shortened = |characters: usize| {
            Message::shortened("é".repeat(characters), 50).unwrap().text().to_owned()
        };
        assert_eq!(shortened(50), "é".repeat(50));
        assert_eq!(
            shortened(51),
            format!("{}\n[shortened: 51 characters were sent]", "é".repeat(13))
        );
        assert_eq!(Message::shortened("x".repeat(9), 3).unwrap().text(), "\n[s");
        assert!(Message::shortened(" ".repeat(99), 50).is_err());
        assert!(Message::shortened(format!("{}\0", "x".repeat(99)), 50).is_err());
    }

    #[test]
    fn places_contain_the_parent() {
        let id = "01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342";
        let chat = |conversation: Option<&str>, after: Option<&ParentChat>| {
            let chat = Chat { chat_id: "b".into(), ..Chat::default() };
            chat.with_place(conversation.map(str::to_owned), after)
        };
        let message = ParentChat::Message(id.into());
        for after in [None, Some(ParentChat::Start), Some(message.clone())] {
            let placed = chat(Some("a"), after.as_ref());
            assert_eq!(placed.after(), after.as_ref().map(ParentChat::word));
            assert_eq!(ParentChat::of_place(&placed.thread.unwrap()), after);
        }
        assert_eq!(chat(Some("a"), None).thread.unwrap(), "a#b");
        assert_eq!(chat(None, Some(&message)).thread, None);
        assert_eq!(ParentChat::parse(&id.to_uppercase()), Some(message));
        for bad in ["", "Start", "x", "c#x"] {
            assert_eq!(ParentChat::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn thoughts_count_in_pages_of_chats_but_not_in_prompts() {
        let (message, response) = ("Hi!".into(), "<think>Hm.</think>Hello.".into());
        let chat = Chat { message, response, ..Chat::default() };
        assert_eq!((chat.size(), chat.prompt_size()), (3 + 24, 3 + 6));
    }

    #[test]
    fn answers_keep_the_order_of_their_blocks() {
        let reasoning = |text: &str| Reasoning { text: text.into(), ..Reasoning::default() };
        let marks = [
            AnswerMark::Reasoning,
            AnswerMark::Text(3),
            AnswerMark::Reasoning,
            AnswerMark::Text(2),
            AnswerMark::Call,
        ];
        let chat = Chat {
            response: "ééabc".into(),
            reasoning: vec![reasoning("x"), reasoning("y")],
            calls: vec![ToolCall::default()],
            blocks: BlockOrder::of(&marks),
            ..Chat::default()
        };
        let [x, y] = [0, 1].map(|index| AnswerBlock::Reasoning(&chat.reasoning[index]));
        let call = AnswerBlock::Call(0, &chat.calls[0]);
        // No text is lost if a length splits a character, or if the lengths don't cover the text.
        let (first, second, rest) = ("é", "é", "abc");
        let [first, second, rest] = [first, second, rest].map(AnswerBlock::Text);
        assert_eq!(chat.in_blocks(true), [x, first, y, second, call, rest]);
        let usual = Chat { blocks: None, ..chat.clone() };
        assert_eq!(usual.in_blocks(true), [x, y, AnswerBlock::Text("ééabc"), call]);
        assert_eq!(usual.in_blocks(false), [AnswerBlock::Text("ééabc"), call]);
        let joined = [AnswerBlock::Text("ééa"), call, AnswerBlock::Text("bc")];
        assert_eq!(chat.in_blocks(false), joined);
    }

    #[test]
    fn messages_have_a_minimum_and_a_maximum_length() {
        for (bad, sentence) in
            [("", "empty"), (" \n", "empty"), ("a\0b", "NUL"), ("ééééééééééé", "at most 10")]
        {
            let error = Message::parse(bad.into(), 10).unwrap_err();
            assert!(error.sentence().contains(sentence), "{error}");
        }
        assert_eq!(Message::parse("éééééééééé".into(), 10).unwrap().text(), "éééééééééé");
    }
}
