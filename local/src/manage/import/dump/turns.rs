//! Joins rows into chats, for chat models that store questions and answers in separate rows.

use std::collections::BTreeMap;

use super::models::{ChatModel, Role, role_of};
use super::record::{Record, Value};
use super::{BadRow, DjangoChat, Row};

/// The fields that say who wrote a row, and which conversation it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    /// The field that says who wrote a row.
    pub role: &'a str,
    /// The field that groups rows into conversations. Without it, all of a user's rows form one
    /// conversation.
    pub conversation: Option<&'a str>,
}

/// A row that contains a text by the user or by the AI.
pub(super) struct Turn {
    row: Row,
    role: Role,
    text: String,
    model: Option<String>,
    time: u64,
    conversation: String,
}

impl Turn {
    /// Reads a row. Fails with the reason.
    pub fn read(
        row: Row,
        record: &Record,
        chats: &ChatModel,
        columns: Columns<'_>,
    ) -> Result<Self, String> {
        let value = record.required(columns.role)?;
        let role = role_of(columns.role, value).ok_or_else(|| {
            format!("`{}` says neither that a user nor that the AI wrote the row", columns.role)
        })?;
        let conversation = columns.conversation.and_then(|field| match record.required(field) {
            Ok(Value::Number(key) | Value::Text(key)) => Some(key.clone()),
            _ => None,
        });
        Ok(Self {
            row,
            role,
            text: record.text(&chats.message)?,
            model: record.optional_text(chats.model)?,
            time: record.time(&chats.time)?,
            conversation: conversation.unwrap_or_default(),
        })
    }
}

/// Joins each user message with the AI's following answers in the same conversation. The resulting
/// chat has the row and the time of the message.
pub(super) fn joined(
    turns: impl Iterator<Item = Result<Turn, BadRow>>,
) -> Vec<Result<DjangoChat, BadRow>> {
    let mut conversations: BTreeMap<String, Vec<Turn>> = BTreeMap::new();
    let mut joined = Vec::new();
    for turn in turns {
        match turn {
            Ok(turn) => conversations.entry(turn.conversation.clone()).or_default().push(turn),
            Err(bad) => joined.push(Err(bad)),
        }
    }
    for mut turns in conversations.into_values() {
        turns.sort_by_key(|turn| turn.time);
        let mut open: Option<DjangoChat> = None;
        for Turn { row, role, text, model, time, .. } in turns {
            match (role, &mut open) {
                (Role::User, _) => {
                    let chat =
                        DjangoChat { row, message: text, response: String::new(), model, time };
                    joined.extend(open.replace(chat).map(Ok));
                }
                (Role::Ai, Some(chat)) => {
                    if !chat.response.is_empty() {
                        chat.response.push_str("\n\n");
                    }
                    chat.response.push_str(&text);
                    chat.model = chat.model.take().or(model);
                }
                (Role::Ai, None) => {
                    let reason = "the answer has no message of the user before it".to_owned();
                    joined.push(Err(BadRow { row, reason }));
                }
                (Role::System, _) => {
                    let reason = "neither the user nor the AI wrote the row".to_owned();
                    joined.push(Err(BadRow { row, reason }));
                }
            }
        }
        joined.extend(open.map(Ok));
    }
    joined
}
