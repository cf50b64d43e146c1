//! A user's instructions for the AI in all conversations: an item in the Tokens table under
//! `instructions:<user id>`. The account contains only a mark, which tells a chat to read the item.
//! The instructions aren't part of the account, because every chat writes the account, and a larger
//! account costs more write units.

use serde::{Deserialize, Serialize};

use crate::store::schema::{instructions_pk, pk};
use crate::store::{Result, Store, Write, to_item};
use crate::values::{Account, Instructions};

/// The item that stores a user's instructions.
#[derive(Serialize, Deserialize)]
struct Stored {
    pk: String,
    /// The account's id, the partition key of the index `by_user`.
    user_id: String,
    text: String,
}

impl Store {
    /// Returns the account's instructions, or an empty string. Reads nothing if the account has no
    /// mark.
    pub async fn instructions_of(&self, account: &Account) -> Result<String> {
        let found = match account.instructions {
            Some(_) => self.instructions(&account.id).await?,
            None => None,
        };
        Ok(found.unwrap_or_default())
    }

    /// Reads the instructions of an account whose mark shows that it has instructions. `None` if
    /// the instructions were removed in the meantime.
    pub async fn instructions(&self, user_id: &str) -> Result<Option<String>> {
        let key = pk(instructions_pk(user_id));
        let stored: Option<Stored> = self.get(&self.tables.tokens, key).await?;
        Ok(stored.map(|stored| stored.text))
    }

    /// Replaces or deletes the instructions. The transaction with this write must also update the
    /// account's mark.
    pub(in crate::store) fn instruct(
        &self,
        account: &Account,
        instructions: &Instructions,
    ) -> Result<Write> {
        let (table, key) = (&self.tables.tokens, instructions_pk(&account.id));
        let Some(text) = instructions.text() else { return Ok(Write::delete(table, pk(key))) };
        let stored = Stored { pk: key, user_id: account.id.clone(), text: text.to_owned() };
        Ok(Write::put(table, to_item(stored)?))
    }
}
