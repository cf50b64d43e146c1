//! A user's instructions for the AI in all conversations: an item of the table Tokens under
//! `instructions:<user id>`. The account has a mark of them, which tells a chat to read the item: every
//! chat writes the account, and would write a longer one for more units.

use serde::{Deserialize, Serialize};

use crate::store::schema::{instructions_pk, pk};
use crate::store::{Result, Store, Write, to_item};
use crate::values::{Account, Instructions};

/// The instructions as the table Tokens holds them.
#[derive(Serialize, Deserialize)]
struct Stored {
    pk: String,
    /// The account's id, under which the index `by_user` has the item.
    user_id: String,
    text: String,
}

impl Store {
    /// The instructions of this account; empty if there are none. An account without a mark costs no
    /// read.
    pub async fn instructions_of(&self, account: &Account) -> Result<String> {
        let found = match account.instructions {
            Some(_) => self.instructions(&account.id).await?,
            None => None,
        };
        Ok(found.unwrap_or_default())
    }

    /// The instructions of an account that has a mark of some. `None` if they were removed meanwhile.
    pub async fn instructions(&self, user_id: &str) -> Result<Option<String>> {
        let key = pk(instructions_pk(user_id));
        let stored: Option<Stored> = self.get(&self.tables.tokens, key).await?;
        Ok(stored.map(|stored| stored.text))
    }

    /// Replaces the instructions, or deletes them, together with the account's mark.
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
