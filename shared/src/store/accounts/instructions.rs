//! A user's instructions for the AI, which apply to all conversations. They are stored in the
//! Tokens table under `instructions:<user id>`. The account contains only a mark, which tells a
//! chat to read this item. The instructions aren't stored in the account, because every chat
//! updates the account, and updating a larger account costs more write units.

use serde::{Deserialize, Serialize};

use crate::store::schema::{instructions_pk, pk};
use crate::store::{Result, Store, Write, to_item};
use crate::values::{Account, Instructions};

/// The item that stores a user's instructions.
#[derive(Serialize, Deserialize)]
struct Stored {
    pk: String,
    /// The account's id, the partition key of the `by_user` index.
    user_id: String,
    text: String,
}

impl Store {
    /// Returns the account's instructions, or an empty string. Doesn't read the item if the account
    /// has no mark.
    pub async fn instructions_of(&self, account: &Account) -> Result<String> {
        let found = match account.instructions {
            Some(_) => self.instructions(&account.id).await?,
            None => None,
        };
        Ok(found.unwrap_or_default())
    }

    /// Reads the instructions of an account that has a mark. `None` if they were removed after the
    /// mark was read.
    pub async fn instructions(&self, user_id: &str) -> Result<Option<String>> {
        let key = pk(instructions_pk(user_id));
        let stored: Option<Stored> = self.get(&self.tables.tokens, key).await?;
        Ok(stored.map(|stored| stored.text))
    }

    /// Replaces or deletes the instructions. The same transaction must also update the account's
    /// mark.
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
