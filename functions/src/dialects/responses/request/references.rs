//! References to items of earlier answers. OpenAI's clients send them in place of the items, unless
//! they set `store` to false.

use std::collections::{BTreeSet, HashMap};

use shared::store::ChatKey;
use shared::values::{AnswerBlock, Chat, Credential};
use shared::{Error, Result};

use super::input::InputItem;
use crate::dialects::programs::CompletionApp;

/// The maximum number of answers whose items a request may refer to.
const ANSWERS: usize = 100;

/// The id of an item: its kind, the chat whose answer contains it, and its index among the items of
/// this kind.
struct ItemId<'i> {
    kind: &'i str,
    chat_id: &'i str,
    index: usize,
}

impl<'i> ItemId<'i> {
    fn parse(id: &'i str) -> Option<Self> {
        let (kind, rest) = id.split_once('_')?;
        let (chat_id, index) = match rest.split_once('_') {
            Some((chat_id, index)) => (chat_id, index.parse().ok()?),
            None => (rest, 0),
        };
        Some(Self { kind, chat_id, index })
    }
}

/// Replaces the references in the input by the items. A chat can be read in this way if it belongs
/// to the caller's account, has no conversation, as all chats under `/v1`, and if the caller may use
/// its model. Reads nothing if there are no references.
///
/// # Errors
/// Returns [`Error::NoSuchItem`] for the first item that can't be read, [`Error::Invalid`] for too
/// many chats, and [`Error::PromptTooLong`] if the chats exceed the limit on a prompt.
pub(super) async fn resolve(
    app: &CompletionApp,
    caller: &Credential,
    items: &mut Vec<InputItem>,
) -> Result<()> {
    let mut chat_ids = BTreeSet::new();
    for id in items.iter().filter_map(InputItem::reference) {
        chat_ids.insert(ItemId::parse(id).ok_or_else(|| missing(id))?.chat_id.to_owned());
    }
    if chat_ids.is_empty() {
        return Ok(());
    }
    if chat_ids.len() > ANSWERS {
        let sentence = format!("This may refer to items of at most {ANSWERS} answers.");
        return Err(Error::field("input", sentence));
    }
    let keys: Vec<ChatKey> =
        chat_ids.iter().filter_map(|id| ChatKey::parse(caller.user_id(), id)).collect();
    let (chats, more) = app.store.chats_within(&keys, app.ai.config.prompt_limit).await?;
    if more.is_some() {
        return Err(Error::PromptTooLong(None));
    }
    let now = app.clock.seconds();
    let is_readable = |chat: &Chat| {
        chat.conversation.is_none() && !chat.is_expired(now) && caller.may_use(chat.model_name())
    };
    let chats = chats.into_iter().filter(is_readable);
    let chats: HashMap<String, Chat> = chats.map(|chat| (chat.chat_id.clone(), chat)).collect();
    let mut resolved = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        match item.reference() {
            None => resolved.push(item),
            Some(id) => resolved.extend(stored(&chats, id)?),
        }
    }
    *items = resolved;
    Ok(())
}

/// Returns the item with this id. `None` for reasoning that was too long to be stored, and for a
/// text that is stored together with the text before it, for the same reason.
fn stored(chats: &HashMap<String, Chat>, id: &str) -> Result<Option<InputItem>> {
    let found = ItemId::parse(id).and_then(|item| Some((chats.get(item.chat_id)?, item)));
    let (chat, ItemId { kind, index, .. }) = found.ok_or_else(|| missing(id))?;
    match kind {
        "rs" => Ok(chat.reasoning.get(index).map(InputItem::of_reasoning)),
        "msg" => {
            let text = |block| match block {
                AnswerBlock::Text(text) => Some(text),
                AnswerBlock::Reasoning(_) | AnswerBlock::Call(..) => None,
            };
            let text = chat.in_blocks(true).into_iter().filter_map(text).nth(index);
            Ok(text.or((index == 0).then_some("")).map(InputItem::of_text))
        }
        "fc" | "ctc" => {
            let call = chat.calls.get(index).ok_or_else(|| missing(id))?;
            Ok(Some(InputItem::of_call(call)))
        }
        _ => Err(missing(id)),
    }
}

/// Returns the failure, with the beginning of the id.
fn missing(id: &str) -> Error {
    Error::NoSuchItem(id.chars().take(100).collect())
}
