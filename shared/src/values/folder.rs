//! A user's folders of conversations.

use serde::{Deserialize, Serialize};

use crate::values::text::{is_blank, turns_text};
use crate::values::{Instructions, Invalid};

/// The maximum number of folders of an account. A message in a folder reads all of them, which
/// takes at most 20 read units.
pub const FOLDERS: usize = 30;

/// The maximum length of a folder's name, in characters.
pub(crate) const FOLDER_NAME_LENGTH: usize = 60;

/// The error message for a temporary conversation that is to be in a folder.
pub(crate) const NOT_IN_FOLDER: &str = "A temporary chat can't be in a folder.";

/// A folder of conversations. A user's folders are stored in one item, in the order in which lists
/// show them. Each conversation in the folder contains the folder's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// The id, a UUID.
    pub id: String,
    /// The name.
    pub name: String,
    /// The user's instructions for the AI in all conversations of the folder, or an empty string.
    #[serde(default)]
    pub instructions: String,
}

impl Folder {
    /// Creates a folder.
    pub fn new(id: String, name: &FolderName, instructions: Option<&Instructions>) -> Self {
        let instructions = instructions.and_then(Instructions::text).unwrap_or_default().to_owned();
        Self { id, name: name.0.clone(), instructions }
    }

    /// Returns the instructions. `None` if they are empty.
    pub fn instructions(&self) -> Option<&str> {
        Some(self.instructions.as_str()).filter(|text| !text.is_empty())
    }
}

/// A folder's name. Several folders may have the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderName(String);

impl FolderName {
    /// Parses a name of 1 to 60 characters on one line. At least one character must be visible.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if is_blank(text) {
            return Err("A folder's name must not be empty.".into());
        }
        if text.chars().count() > FOLDER_NAME_LENGTH || text.chars().any(char::is_control) {
            return Err(format!(
                "A folder's name can have at most {FOLDER_NAME_LENGTH} characters on one line."
            )
            .into());
        }
        if text.chars().any(turns_text) {
            return Err(
                "A folder's name must not have characters that change the direction of text."
                    .into(),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

/// A change to a folder. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderChange {
    /// The new name.
    pub name: Option<FolderName>,
    /// The new instructions.
    pub instructions: Option<Instructions>,
    /// The new position in the list of folders. The first folder has the position 0. A position
    /// after the end of the list counts as its end.
    pub position: Option<usize>,
}

impl FolderChange {
    /// Changes the folder with this id, and returns it. `None` if the list doesn't contain it.
    pub(crate) fn apply(&self, folders: &mut Vec<Folder>, id: &str) -> Option<Folder> {
        let at = folders.iter().position(|folder| folder.id == id)?;
        let mut folder = folders.remove(at);
        if let Some(FolderName(name)) = &self.name {
            folder.name.clone_from(name);
        }
        if let Some(instructions) = &self.instructions {
            folder.instructions = instructions.text().unwrap_or_default().to_owned();
        }
        let to = self.position.unwrap_or(at).min(folders.len());
        folders.insert(to, folder.clone());
        Some(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_visible_line() {
        let name = |text: &str| FolderName::parse(text).map(|FolderName(name)| name);
        assert_eq!(name(" Travel plans \n"), Ok("Travel plans".into()));
        assert_eq!(name(&"é".repeat(60)), Ok("é".repeat(60)));
        for bad in ["", " ", "\u{2060}", "a\nb", "a\u{202e}b", &"x".repeat(61)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn changes_rename_instruct_and_move_one_folder() {
        let folder = |id: &str| Folder { id: id.into(), name: id.into(), instructions: "x".into() };
        let all = ["a", "b", "c"].map(folder);
        let after = |id: &str, change: &FolderChange| {
            let mut folders = all.to_vec();
            let changed = change.apply(&mut folders, id)?;
            assert!(folders.contains(&changed));
            Some(folders.into_iter().map(|folder| folder.id).collect::<String>())
        };
        for (id, to, order) in [("a", 1, "bac"), ("c", 0, "cab"), ("a", 9, "bca"), ("b", 1, "abc")]
        {
            let moved = FolderChange { position: Some(to), ..FolderChange::default() };
            assert_eq!(after(id, &moved).as_deref(), Some(order), "{id} {to}");
        }
        let mut folders = all.to_vec();
        let change = FolderChange {
            name: Some(FolderName::parse("Fares").unwrap()),
            instructions: Some(Instructions::parse("").unwrap()),
            position: None,
        };
        let changed = change.apply(&mut folders, "b").unwrap();
        assert_eq!((changed.name.as_str(), changed.instructions()), ("Fares", None));
        assert_eq!((&folders[0], &folders[1], &folders[2]), (&all[0], &changed, &all[2]));
        assert_eq!(after("d", &FolderChange::default()), None);
    }
}
