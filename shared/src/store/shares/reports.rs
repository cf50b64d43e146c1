//! Reports about shared chats. Readers report without an account, and administrators read the
//! reports.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::clock::{Clock, millis_of};
use crate::store::schema::{REPORT, SHARE, pk, report_pk, reports_from_pk, share_pk};
use crate::store::shares::{Share, ids};
use crate::store::{
    Backoff, NEW, Result, Store, StoreError, Transaction, Write, is_id, n, to_item,
};
use crate::values::limit::{DAY, HOUR};
use crate::values::{Act, AdminAct, Administrator, Limit, REPORT_ACT, REPORTS_AN_HOUR, Reason};

/// How many open reports a shared chat can have. Further reports aren't stored, because the
/// administrators already see that the chat was reported.
const OPEN_REPORTS: usize = 10;

/// How long a report is kept, in seconds.
const KEPT_SECONDS: u64 = 90 * DAY;

/// A report about a shared chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareReport {
    /// `report:<id>`, where the id is a UUIDv7.
    pk: String,
    /// The partition in the index that lists all reports.
    user_id: String,
    /// The id of the shared chat.
    pub share: String,
    /// The reader's reason.
    pub reason: String,
    /// The time in milliseconds since 1970.
    pub time: u64,
    /// The Unix time after which DynamoDB may delete the report.
    expires_at: u64,
}

impl ShareReport {
    /// Creates a report.
    pub fn new(share: &Share, reason: &Reason, clock: &Clock) -> Self {
        Self {
            pk: report_pk(&clock.id().to_string()),
            user_id: REPORT.into(),
            share: share.id().to_owned(),
            reason: reason.text().to_owned(),
            time: clock.millis(),
            expires_at: clock.seconds() + KEPT_SECONDS,
        }
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        self.pk.strip_prefix(REPORT).unwrap_or_default()
    }
}

impl Share {
    /// Returns the ids of the reports that have expired. `now` is in milliseconds.
    fn expired_reports(&self, now: u64) -> Vec<String> {
        let has_expired =
            |id: &&String| millis_of(id).is_some_and(|time| time + KEPT_SECONDS * 1000 <= now);
        self.reports.iter().filter(has_expired).cloned().collect()
    }
}

impl Store {
    /// Counts a report from this network in the current hour.
    ///
    /// # Errors
    /// [`Error::TooManyReports`] if there were too many reports from this network in this hour.
    pub async fn begin_report(&self, network: Option<&str>, now: u64) -> Result<()> {
        let key = reports_from_pk(network.unwrap_or("unknown"), now / HOUR);
        let id = Uuid::new_v4().simple().to_string().split_off(20);
        let full = self.count_in_hour(&key, REPORTS_AN_HOUR, &id, now).await?;
        let Some(reset) = full else { return Ok(()) };
        Err(StoreError::Refused(Error::TooManyReports(Limit::reports(reset))))
    }

    /// Stores a report about a shared chat that was just read, unless it has ended or already has
    /// enough open reports. Idempotent.
    pub async fn report_share(&self, share: &Share, report: &ShareReport) -> Result<()> {
        let table = &self.tables.tokens;
        // A write can't both remove ids from a set and add one.
        let expired = share.expired_reports(report.time);
        if !expired.is_empty() {
            let forget = Write::update(table, pk(&share.pk), "DELETE reports :reports")
                .condition("attribute_exists(pk)")
                .values([(":reports", ids(expired))]);
            self.send(&forget).await?;
        }
        let open =
            "attribute_exists(pk) AND (attribute_not_exists(reports) OR size(reports) < :most)";
        let note = Write::update(table, pk(share_pk(&report.share)), "ADD reports :reports")
            .condition(open)
            .values([(":reports", ids([report.id().to_owned()])), (":most", n(OPEN_REPORTS))]);
        let put = Write::put(table, to_item(report)?).condition(NEW);
        self.transact(vec![note, put], report.id()).await.map(drop)
    }

    /// Returns the reports that are older than the report `before`, newest first (at most 100), each
    /// with its shared chat. The shared chat is `None` if it has ended. Also returns whether there
    /// may be more reports. `now` is in seconds.
    pub async fn share_reports(
        &self,
        before: Option<&str>,
        now: u64,
    ) -> Result<(Vec<(ShareReport, Option<Share>)>, bool)> {
        let (found, more) = self.ids_of_user(REPORT, REPORT, before).await?;
        let mut reports: Vec<ShareReport> = self.with_ids(REPORT, &found).await?;
        let read = reports.len();
        reports.retain(|report| report.expires_at > now);
        // All reports that follow an expired one have expired too.
        let more = more && reports.len() == read;
        let mut shares: Vec<String> = reports.iter().map(|report| report.share.clone()).collect();
        shares.sort_unstable();
        shares.dedup();
        let shares: Vec<Share> = self.with_ids(SHARE, &shares).await?;
        let of = |report: ShareReport| {
            let share = shares.iter().find(|share| share.id() == report.share).cloned();
            (report, share)
        };
        Ok((reports.into_iter().map(of).collect(), more))
    }

    /// Deletes a report without ending the shared chat. The same transaction records the action, and
    /// checks that the caller is still an administrator. Returns false if no report about this
    /// shared chat has this id.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] or [`Error::Forbidden`] if the caller is no longer an
    /// administrator.
    pub async fn dismiss_report(
        &self,
        by: &Administrator,
        share: &str,
        id: &str,
        reason: Option<&Reason>,
        clock: &Clock,
    ) -> Result<bool> {
        if !is_id(share) || !is_id(id) {
            return Ok(false);
        }
        let table = &self.tables.tokens;
        let mut act = AdminAct {
            user_id: REPORT_ACT.into(),
            id: clock.id().to_string(),
            kind: REPORT_ACT.into(),
            act: Some(Act::Other(REPORT_ACT.into())),
            intervention: None,
            reason: reason.map(|reason| reason.text().to_owned()).unwrap_or_default(),
            actor: by.account().id.clone(),
            granted: None,
            time: clock.millis(),
        };
        let mut backoff = Backoff::new();
        loop {
            let report = self.get::<ShareReport>(table, pk(report_pk(id)));
            let (report, shared) = tokio::try_join!(report, self.share(share))?;
            let Some(report) = report.filter(|report| report.share == share) else {
                return Ok(false);
            };
            let mut writes = vec![
                Write::delete(table, pk(&report.pk)).condition("attribute_exists(pk)"),
                self.is_administrator(by.caller()),
            ];
            // A shared chat that was erased with its author's account leaves its reports behind.
            if let Some(shared) = shared {
                let forget = Write::update(table, pk(&shared.pk), "DELETE reports :reports")
                    .condition("attribute_exists(pk)")
                    .values([(":reports", ids([id.to_owned()]))]);
                writes.push(forget);
                act.user_id = shared.user_id;
            }
            writes.push(self.put_act(&act)?);
            let request = Uuid::new_v4().to_string();
            if let Transaction::Applied = self.transact(writes, &request).await? {
                return Ok(true);
            }
            // An earlier copy of the transaction may have been applied.
            if self.has_act(&act.user_id, &act.id).await? {
                return Ok(true);
            }
            self.administrator(by.caller()).await?;
            backoff.try_again("a shared chat kept changing while a report was dismissed").await?;
        }
    }
}
