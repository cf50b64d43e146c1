//! The calls to AI models on each day. The `census` function reads them from the metrics, and
//! stores them in the Tokens table under `figures:<day>#calls`. Unlike the other figures, they
//! can't be computed again from the ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Day;
use crate::store::schema::calls_pk;
use crate::store::{Result, Store};
use crate::values::ModelCalls;

#[derive(Serialize, Deserialize)]
struct CallsOfDay {
    calls: Vec<ModelCalls>,
}

impl Store {
    /// Returns the stored calls to models on these days. Days whose calls aren't stored are missing
    /// from the result.
    pub async fn model_calls(&self, days: &[Day]) -> Result<BTreeMap<Day, Vec<ModelCalls>>> {
        let kept: BTreeMap<Day, CallsOfDay> = self.kept_days(days, calls_pk).await?;
        Ok(kept.into_iter().map(|(day, CallsOfDay { calls })| (day, calls)).collect())
    }

    /// Stores the calls to models on a day that has ended. Idempotent. Doesn't replace calls that
    /// are already stored.
    pub async fn keep_model_calls(&self, day: Day, calls: Vec<ModelCalls>) -> Result<()> {
        self.keep_day(calls_pk(day), &CallsOfDay { calls }).await
    }
}
