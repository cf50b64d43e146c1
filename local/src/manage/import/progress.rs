//! How far an import has come.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::manage::counted;
use crate::note;

/// The time between two lines about the progress.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Counts the users and messages that an import has processed, including those that an earlier run
/// had imported. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    users: Part,
    messages: Part,
}

#[derive(Debug, Default)]
struct Part {
    done: AtomicU64,
    all: AtomicU64,
}

impl Progress {
    /// Begins an import of this many users and messages.
    pub(super) fn begin(&self, users: usize, messages: u64) {
        let users = u64::try_from(users).unwrap_or(u64::MAX);
        self.0.users.all.store(users, Ordering::Relaxed);
        self.0.messages.all.store(messages, Ordering::Relaxed);
    }

    /// Counts a user.
    pub(super) fn add_user(&self) {
        self.0.users.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages.
    pub(super) fn add_messages(&self, count: u64) {
        self.0.messages.done.fetch_add(count, Ordering::Relaxed);
    }

    /// Prints a line every ten seconds.
    pub(super) async fn lines(&self) -> Infallible {
        loop {
            tokio::time::sleep(BETWEEN_LINES).await;
            match self.has_begun() {
                true => note!("Imported so far: {self}."),
                false => note!("Nothing is imported yet. The file is compared with the store."),
            }
        }
    }

    /// Says how far an interrupted import came.
    pub(super) fn of_interrupted(&self, applies: bool) -> String {
        match (applies, self.has_begun()) {
            (false, _) => "Interrupted. Nothing was written.".into(),
            (true, false) => "Interrupted before anything was imported.".into(),
            (true, true) => format!(
                "Interrupted. {self} are imported. Run the same command again: it goes on from there."
            ),
        }
    }

    fn has_begun(&self) -> bool {
        self.0.users.all.load(Ordering::Relaxed) > 0
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { users, messages } = &*self.0;
        write!(f, "{}", users.text("user"))?;
        match messages.all.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => write!(f, " and {}", messages.text("message")),
        }
    }
}

impl Part {
    fn text(&self, what: &str) -> String {
        let [done, all] = [&self.done, &self.all].map(|count| count.load(Ordering::Relaxed));
        format!("{done} of {}", counted(all, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_imports_say_how_far_they_came() {
        let progress = Progress::default();
        assert_eq!(progress.of_interrupted(false), "Interrupted. Nothing was written.");
        assert_eq!(progress.of_interrupted(true), "Interrupted before anything was imported.");
        progress.begin(100, 0);
        progress.add_user();
        assert_eq!(progress.to_string(), "1 of 100 users");
        progress.begin(100, 7);
        progress.add_messages(3);
        let said = progress.of_interrupted(true);
        assert!(said.starts_with("Interrupted. 1 of 100 users and 3 of 7 messages are imported."));
    }
}
