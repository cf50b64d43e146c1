//! The list of the redemptions of each batch of vouchers. Each redemption has an item, whose id is
//! that of the redemption's ledger row, so the list is sorted by time.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::clock::millis_of;
use crate::store::schema::{REDEEMED, pk, redeemed_pk, redemptions_of};
use crate::store::sources::StoredSource;
use crate::store::{Result, Store, VoucherBatch, Write, to_item};

/// A redemption of a voucher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redemption {
    /// `redeemed:<id of the ledger row>`.
    pk: String,
    /// The partition in the index that lists the batch's redemptions.
    user_id: String,
    /// The id of the account that received the credits.
    pub account: String,
}

impl Redemption {
    /// Creates the redemption of a batch's code by this account.
    fn new(batch: &str, account: &str, row: &str) -> Self {
        Self { pk: redeemed_pk(row), user_id: redemptions_of(batch), account: account.to_owned() }
    }

    /// Returns the id of the ledger row that grants the credits.
    pub fn row(&self) -> &str {
        self.pk.strip_prefix(REDEEMED).unwrap_or_default()
    }

    /// Returns when the voucher was redeemed, in milliseconds since 1970.
    pub fn time(&self) -> u64 {
        millis_of(self.row()).unwrap_or_default()
    }
}

impl Store {
    /// Returns the batch with this id, and its redemptions that are older than the ledger row
    /// `before`, newest first (at most 100). Also returns whether there may be more. `None` if no
    /// batch has this id.
    pub async fn redemptions(
        &self,
        batch: &str,
        before: Option<&str>,
    ) -> Result<Option<(VoucherBatch, Vec<Redemption>, bool)>> {
        let of = redemptions_of(batch);
        let listed = async {
            let (ids, more) = self.ids_of_user(REDEEMED, &of, before).await?;
            Ok((self.with_ids(REDEEMED, &ids).await?, more))
        };
        let (found, (redemptions, more)) = tokio::try_join!(self.voucher_batch(batch), listed)?;
        Ok(found.map(|found| (found, redemptions, more)))
    }

    /// A write that lists a redemption. Idempotent.
    pub(super) fn list_redemption(&self, batch: &str, account: &str, row: &str) -> Result<Write> {
        let item = to_item(Redemption::new(batch, account, row))?;
        Ok(Write::put(&self.tables.tokens, item))
    }

    /// Lists the redemptions that are missing from restored tables. `redeemed` contains the sources
    /// that are vouchers, with the ids of their batches. Returns how many were missing.
    pub(super) async fn list_missing_redemptions(
        &self,
        listed: &[Redemption],
        redeemed: &[(&StoredSource, &str)],
    ) -> Result<usize> {
        let rows: HashSet<&str> = listed.iter().map(Redemption::row).collect();
        let mut added = 0;
        for (source, batch) in redeemed {
            if rows.contains(source.row.as_str()) {
                continue;
            }
            self.send(&self.list_redemption(batch, &source.account, &source.row)?).await?;
            added += 1;
        }
        Ok(added)
    }

    /// Deletes the restored redemptions whose credits were never granted: those without a source.
    /// Returns how many were deleted.
    pub(super) async fn undo_redemptions(
        &self,
        listed: &[Redemption],
        sources: &[StoredSource],
    ) -> Result<usize> {
        let rows: HashSet<&str> = sources.iter().map(|source| source.row.as_str()).collect();
        let undone = listed.iter().filter(|redemption| !rows.contains(redemption.row()));
        let mut deleted = 0;
        for redemption in undone {
            self.send(&Write::delete(&self.tables.tokens, pk(&redemption.pk))).await?;
            deleted += 1;
        }
        Ok(deleted)
    }
}
