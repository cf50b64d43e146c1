//! Vouchers in the Tokens table: an item for each batch under `vouchers:<id>`, and an item for each
//! code under `voucher:<hash>`. A code works only if its batch exists, and the batch is written
//! last.

mod guesses;
mod redemptions;

pub use guesses::Guess;
pub use redemptions::Redemption;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::schema::{REDEEMED, VOUCHER, VOUCHERS, pk, voucher_pk, vouchers_pk};
use crate::store::sources::StoredSource;
use crate::store::{
    Adjustment, Item, NEW, Record, Result, Store, StoreError, Transaction, Write, from_item, is_id,
    n, text, to_item,
};
use crate::values::{
    Account, Act, AdminAct, Administrator, Reason, Source, VOUCHER_ACT, VoucherCode,
};
use crate::{BalanceChange, Credits, Error};

/// The maximum number of codes in a batch.
pub const VOUCHER_CODES: u32 = 1000;

/// The maximum number of accounts that can use one code.
pub const VOUCHER_USES: u32 = 1_000_000;

/// How many codes one transaction writes. DynamoDB accepts at most 100 items in a transaction.
const CODES_PER_TRANSACTION: usize = 100;

/// A batch of vouchers with the same value and the same expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherBatch {
    /// `vouchers:<id>`, where the id is a UUIDv7.
    pk: String,
    /// The partition in the index that lists all batches.
    user_id: String,
    /// The name, which users see in their statement.
    pub name: String,
    /// How many credits each use of a code grants.
    pub tokens: Credits,
    /// How many codes the batch contains.
    pub count: u32,
    /// How many accounts can use each code.
    pub uses: u32,
    /// The Unix time at which the codes expire. `None` if they don't expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<u64>,
    /// How many times the codes were used in total.
    pub redeemed: u64,
    /// The id of the administrator's account, or `manage` for the command line.
    pub actor: String,
    /// When the batch was created, in milliseconds since 1970.
    pub time: u64,
    /// When the batch was voided, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<u64>,
}

impl VoucherBatch {
    /// Creates a batch without codes.
    pub fn new(
        name: &str,
        tokens: Credits,
        (count, uses): (u32, u32),
        ends: Option<u64>,
        actor: &str,
        clock: &Clock,
    ) -> Self {
        Self {
            pk: vouchers_pk(&clock.id().to_string()),
            user_id: VOUCHERS.into(),
            name: name.to_owned(),
            tokens,
            count,
            uses,
            ends,
            redeemed: 0,
            actor: actor.to_owned(),
            time: clock.millis(),
            void: None,
        }
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        self.pk.strip_prefix(VOUCHERS).unwrap_or_default()
    }

    /// Returns true if the codes are no longer accepted.
    pub fn has_ended(&self, now: u64) -> bool {
        self.void.is_some() || self.ends.is_some_and(|ends| ends <= now)
    }
}

/// The stored item for a code.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredVoucher {
    pk: String,
    /// The batch's id.
    batch: String,
    /// How many times the code was used.
    used: u32,
}

/// A voucher with its batch, as read from the store.
#[derive(Clone, Debug)]
pub struct Voucher {
    /// The hash of the code.
    hash: String,
    used: u32,
    /// The voucher's batch.
    pub batch: VoucherBatch,
}

impl Voucher {
    /// Returns the source for the credits that an account receives for this voucher. Each account
    /// receives them only once.
    pub fn source(&self, user_id: &str) -> Source {
        Source::new(Source::VOUCHER, &format!("{}:{user_id}", self.hash))
    }

    /// Returns true if the voucher has no uses left.
    pub fn is_used_up(&self) -> bool {
        self.used >= self.batch.uses
    }
}

/// The outcome of [`Store::create_vouchers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateVouchersOutcome {
    /// The codes can be used.
    Created,
    /// The idempotency key already has a record. No vouchers were created.
    KeyUsed,
}

impl Store {
    /// Stores a batch with these codes. The batch's transaction also records the action, and checks
    /// that the caller is still an administrator. `by` is `None` for the command line. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] or [`Error::Forbidden`] if the caller is no longer an
    /// administrator.
    pub async fn create_vouchers(
        &self,
        by: Option<&Administrator>,
        batch: &VoucherBatch,
        codes: &[VoucherCode],
        record: Option<&Record>,
        now: u64,
    ) -> Result<CreateVouchersOutcome> {
        for codes in codes.chunks(CODES_PER_TRANSACTION) {
            let put = |code: &VoucherCode| {
                let (pk, batch) = (voucher_pk(&code.hash()), batch.id().to_owned());
                let item = to_item(StoredVoucher { pk, batch, used: 0 })?;
                Ok(Write::put(&self.tables.tokens, item).condition(NEW))
            };
            let puts = codes.iter().map(put).collect::<Result<Vec<_>>>()?;
            // A put must not replace an existing code, because a delayed copy of the put could
            // otherwise reset a code that was already used. Codes are random, so a refusal means
            // that an earlier copy was applied.
            self.transact(puts, &Uuid::new_v4().to_string()).await?;
        }
        let VoucherBatch { name, tokens, count, uses, .. } = batch;
        let times = if *uses > 1 { format!(", {uses} uses each") } else { String::new() };
        let reason = format!("{count} of {tokens} tokens{times}: {name}");
        let act = voucher_act(batch.id(), reason, &batch.actor, batch.time);
        let mut writes = vec![
            Write::put(&self.tables.tokens, to_item(batch)?).condition(NEW),
            self.put_act(&act)?,
        ];
        writes.extend(record.map(|record| self.remember(record, now)).transpose()?);
        writes.extend(by.map(|by| self.is_administrator(by.caller())));
        match self.transact(writes, &Uuid::new_v4().to_string()).await? {
            Transaction::Applied => return Ok(CreateVouchersOutcome::Created),
            Transaction::Refused(_) if self.has_act(VOUCHER_ACT, batch.id()).await? => {
                return Ok(CreateVouchersOutcome::Created);
            }
            Transaction::Refused(_) => {}
        }
        if let Some(by) = by {
            self.administrator(by.caller()).await?;
        }
        match record {
            Some(record) if self.record(record.key_id(), now).await?.is_some() => {
                Ok(CreateVouchersOutcome::KeyUsed)
            }
            _ => Err(StoreError::Internal("vouchers were refused without a reason".into())),
        }
    }

    /// Returns the batches that are older than the batch `before`, newest first (at most 100). Also
    /// returns whether there may be more.
    pub async fn voucher_batches(&self, before: Option<&str>) -> Result<(Vec<VoucherBatch>, bool)> {
        let (ids, more) = self.ids_of_user(VOUCHERS, VOUCHERS, before).await?;
        Ok((self.with_ids(VOUCHERS, &ids).await?, more))
    }

    /// Returns the voucher with this code. `None` if no voucher has this code. Strongly consistent.
    pub async fn voucher(&self, code: &VoucherCode) -> Result<Option<Voucher>> {
        let hash = code.hash();
        let stored: Option<StoredVoucher> =
            self.get(&self.tables.tokens, pk(voucher_pk(&hash))).await?;
        let Some(StoredVoucher { batch, used, .. }) = stored else { return Ok(None) };
        let batch = self.get(&self.tables.tokens, pk(vouchers_pk(&batch))).await?;
        Ok(batch.map(|batch| Voucher { hash, used, batch }))
    }

    /// Returns the adjustment that redeems a voucher for a user.
    ///
    /// # Errors
    /// [`Error::OwnBalance`] if the user created the voucher as an administrator.
    pub fn redemption(
        &self,
        account: &Account,
        voucher: &Voucher,
        now: u64,
        clock: &Clock,
    ) -> Result<Adjustment> {
        let VoucherBatch { name, tokens, actor, .. } = &voucher.batch;
        if *actor == account.id {
            return Err(StoreError::Refused(Error::OwnBalance));
        }
        let reason = Reason::parse(name).map_err(|_| {
            StoreError::Internal("the name of a batch of vouchers isn't a valid reason".into())
        })?;
        let change = BalanceChange::Credit(*tokens);
        let adjustment = Adjustment::new(account, change, reason, &account.id, clock);
        let row = &adjustment.entry().entry_id;
        let listing = self.list_redemption(voucher.batch.id(), &account.id, row)?;
        let uses = self.use_voucher(voucher, now);
        Ok(adjustment.listed(listing).using(voucher.source(&account.id), uses))
    }

    /// Returns the writes that count one use of a voucher, on condition that it isn't used up, and
    /// that its batch hasn't expired or been voided. If the condition doesn't hold now, it can
    /// never hold again.
    fn use_voucher(&self, voucher: &Voucher, now: u64) -> Vec<(Write, Error)> {
        let update = |pk_of: String, expression: &str| {
            Write::update(&self.tables.tokens, pk(pk_of), expression)
        };
        let Voucher { hash, batch, .. } = voucher;
        let use_code = update(voucher_pk(hash), "SET used = used + :one")
            .condition("used < :uses")
            .values([(":one", n(1)), (":uses", n(batch.uses))]);
        let use_batch = update(batch.pk.clone(), "SET redeemed = redeemed + :one")
            .condition(
                "attribute_not_exists(#void) AND (attribute_not_exists(ends) OR ends > :now)",
            )
            .names([("#void", "void")])
            .values([(":one", n(1)), (":now", n(now))]);
        vec![(use_code, Error::VoucherUsed), (use_batch, Error::VoucherEnded)]
    }

    /// Voids a batch, so that its codes are no longer accepted. The transaction also records the
    /// action, and checks that the caller is still an administrator. `by` is `None` for the command
    /// line. Idempotent. Returns the batch, or `None` if no batch has this id.
    ///
    /// # Errors
    /// The errors of [`Store::create_vouchers`].
    pub async fn void_vouchers(
        &self,
        by: Option<&Administrator>,
        id: &str,
        clock: &Clock,
    ) -> Result<Option<VoucherBatch>> {
        let Some(batch) = self.voucher_batch(id).await? else { return Ok(None) };
        if batch.void.is_some() {
            return Ok(Some(batch));
        }
        let actor = by.map_or(self.operator(), |by| by.account().id.as_str());
        let act_id = clock.id().to_string();
        let act = voucher_act(&act_id, format!("voided: {}", batch.name), actor, clock.millis());
        let mut writes = vec![self.void(&batch, clock.millis()), self.put_act(&act)?];
        writes.extend(by.map(|by| self.is_administrator(by.caller())));
        if let Transaction::Refused(_) = self.transact(writes, &Uuid::new_v4().to_string()).await?
            && !self.has_act(VOUCHER_ACT, &act_id).await?
            && let Some(by) = by
        {
            self.administrator(by.caller()).await?;
        }
        self.voucher_batch(id).await
    }

    /// Returns the batch with this id. Strongly consistent.
    async fn voucher_batch(&self, id: &str) -> Result<Option<VoucherBatch>> {
        match is_id(id) {
            true => self.get(&self.tables.tokens, pk(vouchers_pk(id))).await,
            false => Ok(None),
        }
    }

    /// A write that voids a batch, unless it is already void.
    fn void(&self, batch: &VoucherBatch, millis: u64) -> Write {
        Write::update(&self.tables.tokens, pk(&batch.pk), "SET #void = :now")
            .condition("attribute_exists(pk) AND attribute_not_exists(#void)")
            .names([("#void", "void")])
            .values([(":now", n(millis))])
    }

    /// Voids the restored batch `earlier` if the same batch in the newer tables, `later`, was
    /// voided. Returns how many of its vouchers were still valid.
    pub(in crate::store) async fn void_again(
        &self,
        earlier: &Item,
        later: Option<Item>,
    ) -> Result<usize> {
        let earlier: VoucherBatch = from_item(earlier.clone())?;
        let later: Option<VoucherBatch> = later.map(from_item).transpose()?;
        let (None, Some(void)) = (earlier.void, later.and_then(|later| later.void)) else {
            return Ok(0);
        };
        let was_valid = self.send(&self.void(&earlier, void)).await?.is_applied();
        Ok(if was_valid { usize::try_from(earlier.count).unwrap_or(usize::MAX) } else { 0 })
    }
}

/// The vouchers in restored tables.
#[derive(Default)]
pub(in crate::store) struct RestoredVouchers {
    codes: Vec<StoredVoucher>,
    batches: Vec<VoucherBatch>,
    redemptions: Vec<Redemption>,
}

impl RestoredVouchers {
    /// Adds the item, if it is a voucher, a batch or a redemption.
    pub(in crate::store) fn add(&mut self, item: &Item) -> Result<()> {
        let key = text(item, "pk");
        if key.starts_with(VOUCHER) {
            self.codes.push(from_item(item.clone())?);
        } else if key.starts_with(VOUCHERS) {
            self.batches.push(from_item(item.clone())?);
        } else if key.starts_with(REDEEMED) {
            self.redemptions.push(from_item(item.clone())?);
        }
        Ok(())
    }
}

impl Store {
    /// Sets each restored voucher's use count to the number of its `sources`, and makes the list of
    /// redemptions the same as the sources. Returns descriptions of the repairs.
    pub(in crate::store) async fn count_uses_again(
        &self,
        vouchers: RestoredVouchers,
        sources: &[StoredSource],
    ) -> Result<Vec<String>> {
        let mut uses: HashMap<String, u32> = HashMap::new();
        for hash in sources.iter().filter_map(hash_of) {
            *uses.entry(voucher_pk(hash)).or_default() += 1;
        }
        let (mut repairs, mut counts) = (Vec::new(), HashMap::<String, u64>::new());
        let batches: HashMap<String, String> = vouchers
            .codes
            .iter()
            .filter_map(|code| Some((code.pk.strip_prefix(VOUCHER)?.into(), code.batch.clone())))
            .collect();
        let redeemed: Vec<(&StoredSource, &str)> = sources
            .iter()
            .filter_map(|source| Some((source, batches.get(hash_of(source)?)?.as_str())))
            .collect();
        let missing = self.list_missing_redemptions(&vouchers.redemptions, &redeemed).await?;
        if missing > 0 {
            repairs.push(format!("listed {missing} redemptions of vouchers"));
        }
        for StoredVoucher { pk: key, batch, used } in vouchers.codes {
            let counted = uses.get(&key).copied().unwrap_or(0);
            *counts.entry(batch.clone()).or_default() += u64::from(counted);
            if counted != used {
                let set = Write::update(&self.tables.tokens, pk(&key), "SET used = :number");
                if self.set_again(set, counted.into()).await? {
                    repairs
                        .push(format!("a voucher of the batch {batch} was used {counted} times"));
                }
            }
        }
        for batch in vouchers.batches {
            let counted = counts.get(batch.id()).copied().unwrap_or(0);
            if counted != batch.redeemed {
                let key = pk(&batch.pk);
                let set = Write::update(&self.tables.tokens, key, "SET redeemed = :number");
                if self.set_again(set, counted).await? {
                    repairs.push(format!("the batch {} was used {counted} times", batch.id()));
                }
            }
        }
        let undone = self.undo_redemptions(&vouchers.redemptions, sources).await?;
        if undone > 0 {
            repairs.push(format!("deleted {undone} redemptions of vouchers without a source"));
        }
        Ok(repairs)
    }

    /// Sends an update that uses the `:number` value, if the item exists. Returns false if it
    /// doesn't.
    async fn set_again(&self, set: Write, number: u64) -> Result<bool> {
        let set = set.condition("attribute_exists(pk)").values([(":number", n(number))]);
        Ok(self.send(&set).await?.is_applied())
    }
}

/// Returns the hash of the voucher's code. `None` if the source isn't a voucher.
fn hash_of(source: &StoredSource) -> Option<&str> {
    source.text().strip_prefix(Source::VOUCHER)?.strip_prefix(':')?.split(':').next()
}

/// An administrator's action on vouchers.
fn voucher_act(id: &str, reason: String, actor: &str, time: u64) -> AdminAct {
    AdminAct {
        user_id: VOUCHER_ACT.into(),
        id: id.to_owned(),
        kind: VOUCHER_ACT.into(),
        act: Some(Act::Other(VOUCHER_ACT.into())),
        intervention: None,
        reason,
        actor: actor.to_owned(),
        granted: None,
        time,
    }
}
