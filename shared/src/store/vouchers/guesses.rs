//! Guesses at voucher codes, counted in the Tokens table before a code is looked up. If the code
//! exists, the guess is removed from the counts.

use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::Error;
use crate::store::schema::{guesses_from_pk, guesses_of_pk};
use crate::store::{Result, Store, StoreError};
use crate::values::limit::HOUR;
use crate::values::{GUESSES_AN_HOUR, Limit};

/// How many wrong codes may be sent from one network per hour. Several users may share a network.
const FROM_NETWORK: u32 = 50;

/// A guess at a voucher's code, and the counts that include it.
#[derive(Clone, Debug)]
pub struct Guess {
    id: String,
    /// The pk of each count, with its maximum.
    counts: Vec<(String, u32)>,
    now: u64,
}

impl Guess {
    /// Creates a guess by this account from this network.
    pub fn new(user_id: &str, network: Option<&str>, now: u64) -> Self {
        let hour = now / HOUR;
        let from = network.map(|network| (guesses_from_pk(network, hour), FROM_NETWORK));
        let counts = [(guesses_of_pk(user_id, hour), GUESSES_AN_HOUR)].into_iter().chain(from);
        Self {
            id: Uuid::new_v4().simple().to_string().split_off(20),
            counts: counts.collect(),
            now,
        }
    }
}

impl Store {
    /// Counts a guess. Idempotent.
    ///
    /// # Errors
    /// [`Error::TooManyGuesses`] if the code must not be looked up.
    pub async fn begin_guess(&self, guess: &Guess) -> Result<()> {
        let count = async |(key, most): &(String, u32)| {
            let full = self.count_in_hour(key, *most, &guess.id, guess.now).await?;
            let Some(reset) = full else { return Ok(()) };
            Err(StoreError::Refused(Error::TooManyGuesses(Limit::voucher_codes(*most, reset))))
        };
        try_join_all(guess.counts.iter().map(count)).await.map(drop)
    }

    /// Removes a guess from the counts, because the code exists.
    pub async fn forget_guess(&self, guess: &Guess) -> Result<()> {
        let forget = guess.counts.iter().map(|(key, _)| self.leave(key, &guess.id));
        try_join_all(forget).await.map(drop)
    }
}
