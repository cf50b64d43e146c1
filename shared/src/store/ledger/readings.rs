//! Administrators' readings of other users' messages.

use aws_lc_rs::digest::{SHA256, digest};

use crate::clock::{Clock, foreign_id};
use crate::store::{Result, Store};
use crate::values::{Act, AdminAct, Administrator, READING_ACT};

/// An hour in milliseconds.
const HOUR: u64 = 3_600_000;

/// The messages that an administrator reads.
#[derive(Clone, Copy, Debug)]
pub enum Reading<'a> {
    /// Messages of the user with this id, or the beginnings of these messages in a statement.
    OfUser(&'a str),
    /// A list of all users' messages.
    List,
    /// The results of a search. The searched words aren't recorded.
    Search,
    /// An export of all users' messages.
    Export,
}

impl Reading<'_> {
    /// Returns the reason in the audit log.
    fn reason(self) -> &'static str {
        match self {
            Self::OfUser(_) => "messages of this user",
            Self::List => "messages of all users",
            Self::Search => "search",
            Self::Export => "export of all messages",
        }
    }
}

impl Store {
    /// Records that an administrator reads messages, before the reply shows them. Only the first
    /// such reading in an hour adds a row: the row's id is a hash of the administrator, the reading
    /// and the hour, so the store refuses the next one. Administrators' readings of their own
    /// messages aren't recorded.
    pub async fn record_reading(
        &self,
        by: &Administrator,
        what: Reading<'_>,
        clock: &Clock,
    ) -> Result<()> {
        let actor = &by.account().id;
        let user = match what {
            Reading::OfUser(user) if user == actor => return Ok(()),
            Reading::OfUser(user) => user,
            Reading::List | Reading::Search | Reading::Export => READING_ACT,
        };
        let time = clock.millis();
        let hour = time - time % HOUR;
        let what = what.reason();
        let hash = digest(&SHA256, format!("{actor} {user} {what}").as_bytes());
        let hash = hash.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        let act = AdminAct {
            user_id: user.into(),
            id: foreign_id(hour, 0, hash).to_string(),
            kind: READING_ACT.into(),
            act: Some(Act::Other(READING_ACT.into())),
            intervention: None,
            reason: what.into(),
            actor: actor.clone(),
            granted: None,
            time,
        };
        self.send(&self.put_act(&act)?).await?;
        Ok(())
    }
}
