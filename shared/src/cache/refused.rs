//! The accounts that this function has just refused a message.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// How long a refusal is remembered, in seconds.
const REMEMBERED: u64 = 60;

/// The maximum number of remembered accounts. The oldest ones are forgotten first.
const ACCOUNTS: usize = 10_000;

/// The accounts whose messages this function has refused in the last minute, because the credits or
/// a limit didn't allow them. The function reads less for the next message of such an account. The
/// store alone decides whether that message is refused. Clones share the memory.
#[derive(Clone, Default)]
pub struct Refused(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    /// When each account was last refused, in seconds since 1970.
    last: HashMap<String, u64>,
    /// All refusals, oldest first.
    refusals: VecDeque<(String, u64)>,
}

impl Refused {
    /// Remembers that the account was refused at the Unix time `now`.
    pub fn remember(&self, user_id: &str, now: u64) {
        self.change(|memory| {
            memory.refusals.push_back((user_id.to_owned(), now));
            memory.last.insert(user_id.to_owned(), now);
            while let Some((oldest, at)) = memory.refusals.front() {
                if memory.refusals.len() <= ACCOUNTS && !is_over(*at, now) {
                    break;
                }
                if memory.last.get(oldest) == Some(at) {
                    memory.last.remove(oldest);
                }
                memory.refusals.pop_front();
            }
        });
    }

    /// Returns true if the account was refused in the minute before `now`, and not answered since.
    pub fn remembers(&self, user_id: &str, now: u64) -> bool {
        self.change(|memory| memory.last.get(user_id).is_some_and(|at| !is_over(*at, now)))
    }

    /// Forgets an account, which got an answer.
    pub fn forget(&self, user_id: &str) {
        self.change(|memory| memory.last.remove(user_id));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_over(at: u64, now: u64) -> bool {
    at.saturating_add(REMEMBERED) <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_remembered_for_a_minute_or_until_an_answer() {
        let refused = Refused::default();
        refused.remember("ann", 100);
        refused.remember("bob", 130);
        assert!(refused.remembers("ann", 159) && !refused.remembers("ann", 160));
        refused.remember("ann", 150);
        assert!(refused.remembers("ann", 160) && !refused.remembers("eve", 160));
        refused.forget("ann");
        assert!(!refused.remembers("ann", 160) && refused.remembers("bob", 160));
    }

    #[test]
    fn the_oldest_accounts_are_forgotten_first() {
        let refused = Refused::default();
        for number in 0..=ACCOUNTS {
            refused.remember(&number.to_string(), 100);
        }
        assert!(!refused.remembers("0", 100) && refused.remembers("1", 100));
        // One account alone doesn't fill the memory for longer than a minute.
        for _ in 0..=ACCOUNTS {
            refused.remember("ann", 100);
        }
        refused.remember("ann", 160);
        refused.change(|memory| assert_eq!((memory.last.len(), memory.refusals.len()), (1, 1)));
    }
}
