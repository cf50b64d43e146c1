//! `farebox manage audit`.

use clap::Args;
use futures_util::stream::{StreamExt, iter};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use shared::App;
use shared::store::{self, Difference};
use shared::telemetry::metrics::{self, Metric};

use super::target::{Opened, Target};
use super::{counted, find, json_lines, progress, sentence};
use crate::say;

/// How many accounts are audited at a time.
const ACCOUNTS_AT_ONCE: usize = 8;

/// Recompute every balance from the ledger, and list the differences
#[derive(Args)]
pub(super) struct Audit {
    /// The username, verified e-mail address or id of the only account to audit
    #[arg(value_name = "USER")]
    name: Option<String>,
    /// Print JSON, an object per line: for each difference its `username`, if it belongs to an
    /// account, its details in `difference`, and its `text`; and at the end the numbers of
    /// `accounts`, `rows` and `differences`
    #[arg(long)]
    json: bool,
}

/// A difference in JSON.
#[derive(Serialize)]
struct DifferenceLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    difference: &'a Difference,
    text: String,
}

impl Audit {
    /// Prints a line for each difference, and returns the numbers of accounts and rows. An audit of
    /// all accounts also writes the number of differences as a metric. If there are differences,
    /// fails with an error message that contains the numbers of accounts, rows and differences.
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        let mut report = Report::new(self.json);
        let audited = target
            .in_store(async |Opened { app, .. }| match &self.name {
                Some(name) => report.add(app, vec![find(app, name).await?.label]).await,
                None => audit_all(app, &mut report).await,
            })
            .await;
        report.bar.finish_and_clear();
        audited?;
        if self.name.is_none() {
            metrics::record(&[(Metric::AuditDifferences, report.differences)]);
        }
        let Report { accounts, rows, differences, .. } = report;
        if self.json {
            let counts = json!({ "accounts": accounts, "rows": rows, "differences": differences });
            say!("{counts}");
        }
        let audited = format!("{}, {}", counted(accounts, "account"), counted(rows, "row"));
        match differences {
            0 if self.json => Ok(String::new()),
            0 => Ok(format!("{audited}, no difference")),
            differences => Err(format!("{audited}, {}", counted(differences, "difference"))),
        }
    }
}

async fn audit_all(app: &App, report: &mut Report) -> Result<(), String> {
    let mut after = None;
    loop {
        let (names, next) = app.store.account_keys(after.as_deref()).await.map_err(sentence)?;
        report.add(app, names).await?;
        if next.is_none() {
            break;
        }
        after = next;
    }
    let store = &app.store;
    report.differ_in_pages(async |after| store.audit_sources(after).await).await?;
    report.differ_in_pages(async |after| store.audit_files(after).await).await
}

/// The counts of an audit so far.
struct Report {
    accounts: u64,
    rows: u64,
    differences: u64,
    /// True if differences are printed as JSON.
    json: bool,
    bar: ProgressBar,
}

impl Report {
    fn new(json: bool) -> Self {
        Self { accounts: 0, rows: 0, differences: 0, json, bar: progress("accounts") }
    }

    /// Audits these accounts, several at a time. Prints an account's lines when its audit ends, so
    /// the lines of slow accounts come later.
    async fn add(&mut self, app: &App, names: Vec<String>) -> Result<(), String> {
        let audit = |name: String| async move {
            let audited = app.store.audit(&name).await;
            (name, audited)
        };
        let mut audits = iter(names).map(audit).buffer_unordered(ACCOUNTS_AT_ONCE);
        while let Some((name, audited)) = audits.next().await {
            let audited = audited.map_err(sentence)?;
            self.accounts += 1;
            self.rows += audited.rows;
            for difference in audited.differences {
                self.differ(Some(&name), &difference)?;
            }
            self.bar.inc(1);
        }
        Ok(())
    }

    /// Counts and prints the differences on all pages. `page` reads the page that follows a key.
    async fn differ_in_pages(
        &mut self,
        page: impl AsyncFn(Option<&str>) -> store::Result<(Vec<Difference>, Option<String>)>,
    ) -> Result<(), String> {
        let mut after = None;
        loop {
            let (differences, next) = page(after.as_deref()).await.map_err(sentence)?;
            for difference in differences {
                self.differ(None, &difference)?;
            }
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    /// Counts a difference, and prints its line.
    fn differ(&mut self, username: Option<&str>, difference: &Difference) -> Result<(), String> {
        self.differences += 1;
        let text = difference.to_string();
        let line = match (self.json, username) {
            (true, _) => json_lines([DifferenceLine { username, difference, text }])?,
            (false, Some(name)) => format!("{name}: {text}"),
            (false, None) => text,
        };
        self.bar.suspend(|| say!("{line}"));
        Ok(())
    }
}
