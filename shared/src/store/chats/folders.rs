//! A user's folders, with their names and instructions for the AI. They are stored in the Tokens
//! table under `folders:<user id>`, next to the [account's
//! instructions](crate::store::accounts::instructions). A message in a folder reads this item while
//! its credits are reserved, so the folder doesn't cost another round trip.
//!
//! A conversation in a folder contains the folder's id. When a folder is deleted, its conversations
//! keep the id, which then means no folder: ids aren't used again.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::store::backoff::Backoff;
use crate::store::schema::{folders_pk, pk};
use crate::store::{Conversation, NEW, Result, Store, StoreError, Transaction, Write, n, to_item};
use crate::values::{AccessToken, FOLDERS, Folder, FolderChange};

/// The item that stores a user's folders.
#[derive(Serialize, Deserialize)]
struct Stored {
    pk: String,
    /// The account's id, the partition key of the `by_user` index.
    user_id: String,
    /// How often the item was changed.
    changes: u64,
    folders: Vec<Folder>,
}

impl Store {
    /// Returns the user's folders, in their order. Strongly consistent.
    pub async fn folders(&self, user_id: &str) -> Result<Vec<Folder>> {
        Ok(self.stored_folders(user_id).await?.map(|stored| stored.folders).unwrap_or_default())
    }

    /// Returns one of the user's folders. `None` if there is no id, or if the folder was deleted.
    pub async fn folder(&self, user_id: &str, id: Option<&str>) -> Result<Option<Folder>> {
        let Some(id) = id else { return Ok(None) };
        let folders = self.folders(user_id).await?;
        Ok(folders.into_iter().find(|folder| folder.id == id))
    }

    /// Removes the ids of deleted folders from conversations. Reads the folders only if one of the
    /// conversations has such an id.
    pub async fn in_existing_folders(
        &self,
        user_id: &str,
        mut conversations: Vec<Conversation>,
    ) -> Result<Vec<Conversation>> {
        if conversations.iter().all(|conversation| conversation.folder.is_none()) {
            return Ok(conversations);
        }
        let folders = self.folders(user_id).await?;
        let exists = |id: &String| folders.iter().any(|folder| folder.id == *id);
        for conversation in &mut conversations {
            conversation.folder.take_if(|id| !exists(id));
        }
        Ok(conversations)
    }

    /// Like [`Store::in_existing_folders`], for one conversation.
    pub async fn in_existing_folder(
        &self,
        user_id: &str,
        mut conversation: Conversation,
    ) -> Result<Conversation> {
        let folder = self.folder(user_id, conversation.folder.as_deref()).await?;
        conversation.folder = folder.map(|folder| folder.id);
        Ok(conversation)
    }

    /// Adds a folder at the end of the caller's list. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] and [`Error::TooManyFolders`].
    pub async fn add_folder(&self, caller: &AccessToken, folder: &Folder) -> Result<()> {
        let added = |folders: &mut Vec<Folder>| {
            if folders.iter().all(|other| other.id != folder.id) {
                if folders.len() >= FOLDERS {
                    let most = FOLDERS;
                    return Err(StoreError::Refused(Error::TooManyFolders { most }));
                }
                folders.push(folder.clone());
            }
            Ok(())
        };
        self.change_folders(caller, added).await
    }

    /// Changes one of the caller's folders, and returns it. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] and [`Error::NoSuchFolder`].
    pub async fn change_folder(
        &self,
        caller: &AccessToken,
        id: &str,
        change: &FolderChange,
    ) -> Result<Folder> {
        let changed = |folders: &mut Vec<Folder>| {
            change.apply(folders, id).ok_or(StoreError::Refused(Error::NoSuchFolder))
        };
        self.change_folders(caller, changed).await
    }

    /// Deletes one of the caller's folders. Its conversations stay.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] and [`Error::NoSuchFolder`].
    pub async fn delete_folder(&self, caller: &AccessToken, id: &str) -> Result<()> {
        let is_sent = Cell::new(false);
        let deleted = move |folders: &mut Vec<Folder>| {
            match folders.iter().position(|folder| folder.id == id) {
                Some(at) => {
                    folders.remove(at);
                    is_sent.set(true);
                }
                // An earlier attempt was applied, but its reply was lost.
                None if is_sent.get() => {}
                None => return Err(StoreError::Refused(Error::NoSuchFolder)),
            }
            Ok(())
        };
        self.change_folders(caller, deleted).await
    }

    /// Replaces the caller's folders with the list that `change` returns, if the account accepts
    /// the caller and the folders haven't changed since they were read. Otherwise tries again.
    async fn change_folders<T>(
        &self,
        caller: &AccessToken,
        change: impl Fn(&mut Vec<Folder>) -> Result<T>,
    ) -> Result<T> {
        let user_id = &caller.user_id;
        let mut backoff = Backoff::new();
        loop {
            let stored = self.stored_folders(user_id).await?;
            let seen = stored.as_ref().map(|stored| stored.changes);
            let mut folders = stored.map(|stored| stored.folders).unwrap_or_default();
            let before = folders.clone();
            let changed = change(&mut folders)?;
            if folders == before {
                return Ok(changed);
            }
            let item = to_item(Stored {
                pk: folders_pk(user_id),
                user_id: user_id.clone(),
                changes: seen.unwrap_or(0) + 1,
                folders,
            })?;
            let values = ["user_id", "changes", "folders"]
                .into_iter()
                .filter_map(|name| item.get(name).map(|value| (format!(":{name}"), value.clone())));
            let update = Write::update(
                &self.tables.tokens,
                pk(folders_pk(user_id)),
                "SET user_id = :user_id, changes = :changes, folders = :folders",
            )
            .values(values);
            let update = match seen {
                None => update.condition(NEW),
                Some(seen) => update.condition("changes = :seen").values([(":seen", n(seen))]),
            };
            let writes = vec![self.check_caller(caller), update];
            match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Applied => return Ok(changed),
                Transaction::Refused(refusals) if refusals.has(0) => {
                    return Err(StoreError::NotAccepted);
                }
                Transaction::Refused(_) => {
                    backoff.try_again("a user's folders kept changing").await?;
                }
            }
        }
    }

    async fn stored_folders(&self, user_id: &str) -> Result<Option<Stored>> {
        self.get(&self.tables.tokens, pk(folders_pk(user_id))).await
    }
}
