//! Titles that a model gives to conversations. A conversation gets at most one, and never instead of
//! a title that its owner has chosen. `ai_title` contains it until the owner chooses a title or
//! deletes the chat that it was made from.

use aws_sdk_dynamodb::types::ReturnValue;
use uuid::Uuid;

use crate::Error;
use crate::store::chats::conversations::{Conversation, EXISTS, title_of};
use crate::store::{Outcome, Result, Store, StoreError, Transaction, from_item, n, s};
use crate::values::limit::DAY;
use crate::values::{Chat, Limit, Title};

impl Limit {
    /// Returns the limit on how many titles a model writes for an account per day.
    pub(crate) fn titles(most: u32, reset: u64) -> Self {
        Self::used_up("titles", most, DAY, reset)
    }
}

impl Store {
    /// Claims the title of the conversation that `chat` begins for one call to a model, and counts
    /// the call, of which an account has `most` per day. Returns `false` if the model must not be
    /// called: the title was claimed before, the conversation is temporary, or its title isn't the
    /// one from its first chat. `now` is in milliseconds.
    ///
    /// # Errors
    /// [`Error::TooManyTitles`].
    pub async fn claim_title(&self, chat: &Chat, most: u32, now: u64) -> Result<bool> {
        let seconds = now / 1000;
        let claim = self
            .update_conversation(&chat.user_id, &chat.chat_id, "SET title_asked = :now")
            .condition(format!(
                "{EXISTS} AND title = :given AND attribute_not_exists(title_asked) \
                 AND attribute_not_exists(expires_at)"
            ))
            .values([(":now", n(now)), (":given", s(title_of(&chat.message)))]);
        let count = self.count_title(&chat.user_id, most, seconds);
        match self.transact(vec![claim, count], &Uuid::new_v4().to_string()).await? {
            Transaction::Applied => Ok(true),
            Transaction::Refused(refusals) if refusals.has(0) => Ok(false),
            Transaction::Refused(_) => {
                let limit = Limit::titles(most, DAY - seconds % DAY);
                Err(StoreError::Refused(Error::TooManyTitles(limit)))
            }
        }
    }

    /// Sets the title that a model has given to the conversation that `chat` begins, if the owner
    /// hasn't changed the title since the claim at the time `claimed`. Returns the changed
    /// conversation, or `None` if the title wasn't set. Idempotent.
    pub async fn set_title_of_model(
        &self,
        chat: &Chat,
        claimed: u64,
        title: &Title,
    ) -> Result<Option<Conversation>> {
        let set = "SET title = :title, ai_title = :title";
        let set = self
            .update_conversation(&chat.user_id, &chat.chat_id, set)
            .condition(format!("{EXISTS} AND title_asked = :claimed AND title IN (:given, :title)"))
            .values([
                (":title", s(title.text())),
                (":claimed", n(claimed)),
                (":given", s(title_of(&chat.message))),
            ])
            .returns(ReturnValue::AllNew);
        match self.send(&set).await? {
            Outcome::Applied(changed) => from_item(changed).map(Some),
            Outcome::Refused(_) => Ok(None),
        }
    }
}
