//! `farebox manage vouchers`.

use clap::{Args, Subcommand};
use shared::clock::{self, Day};
use shared::store::{VOUCHER_CODES, VOUCHER_USES, VoucherBatch};
use shared::values::{Reason, VoucherCode};
use shared::{App, Credits};

use super::target::{Missing, Opened, Target};
use super::{counted, find, sentence};

/// Create, list or void vouchers
#[derive(Subcommand)]
pub(super) enum Command {
    Create(NewVouchers),
    /// List the batches of vouchers, newest first
    List {
        /// List only the valid batches that this account created. Give its username, verified
        /// e-mail address or id; for a deleted account, give the id
        #[arg(long, value_name = "USER")]
        creator: Option<String>,
    },
    /// Void a batch, or all valid batches that an account has created: their codes are no longer
    /// accepted
    Void {
        /// The batch's id
        #[arg(required_unless_present = "creator", conflicts_with = "creator")]
        id: Option<String>,
        /// The account that has created the batches, as for `list`
        #[arg(long, value_name = "USER")]
        creator: Option<String>,
    },
}

/// Create vouchers, and print their codes, one per line. The codes can't be shown again
#[derive(Args)]
pub(super) struct NewVouchers {
    /// The number of tokens that each use of a code grants
    tokens: u64,
    /// The name, which users see in their statement
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// The number of codes. About 50 of a batch can be redeemed a second. Create several
    /// batches if that isn't enough
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(VOUCHER_CODES)))]
    count: u32,
    /// The number of accounts that can use each code
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(VOUCHER_USES)))]
    uses: u32,
    /// The last day on which the codes are accepted, in UTC
    #[arg(long, value_name = "YYYY-MM-DD")]
    ends: Option<String>,
}

impl Command {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Create(new) => new.create(target).await,
            Self::List { creator } => {
                let creator = creator.as_deref();
                target.in_store(async |Opened { app, .. }| list(app, creator).await).await
            }
            Self::Void { id: Some(id), .. } => {
                target
                    .acting(Missing::Refuse, async |Opened { app, .. }| void(app, &id).await)
                    .await
            }
            Self::Void { id: None, creator } => {
                let creator = creator.unwrap_or_default();
                target
                    .acting(Missing::Refuse, async |Opened { app, .. }| {
                        void_all_of(app, &creator).await
                    })
                    .await
            }
        }
    }
}

impl NewVouchers {
    async fn create(self, target: &Target) -> Result<String, String> {
        let name = Reason::parse(&self.name)
            .map_err(|why| why.sentence().replace("A reason", "--name"))?;
        let tokens = Credits::positive(self.tokens)
            .map_err(|invalid| invalid.sentence().replace("This", "TOKENS"))?;
        target
            .acting(Missing::Refuse, async |Opened { app, .. }| {
                self.create_in(app, &name, tokens).await
            })
            .await
    }

    async fn create_in(&self, app: &App, name: &Reason, tokens: Credits) -> Result<String, String> {
        let now = app.clock.seconds();
        let end = |day: &String| {
            Day::end_of(day, now).ok_or_else(|| {
                format!("--ends must be a day that isn't over, such as 2099-12-31 (got {day:?}).")
            })
        };
        let ends = self.ends.as_ref().map(end).transpose()?;
        let codes = (self.count, self.uses);
        let batch =
            VoucherBatch::new(name.text(), tokens, codes, ends, app.store.operator(), &app.clock);
        let codes = VoucherCode::several(self.count)
            .map_err(|_| "The system has no random numbers.".to_owned())?;
        app.store.create_vouchers(None, &batch, &codes, None, now).await.map_err(sentence)?;
        Ok(codes.iter().map(VoucherCode::text).collect::<Vec<_>>().join("\n"))
    }
}

/// Lists batches of vouchers, one per line, newest first. With a `creator`, lists only the valid
/// batches that this account created.
async fn list(app: &App, creator: Option<&str>) -> Result<String, String> {
    let batches = match creator {
        Some(creator) => valid_of(app, creator).await?,
        None => every(app).await?,
    };
    let now = app.clock.seconds();
    let line = |batch: &VoucherBatch| {
        let state = match (batch.void, batch.ends) {
            (Some(void), _) => format!("voided {}", clock::rfc3339(void)),
            (None, Some(ends)) if ends <= now => "ended".to_owned(),
            (None, Some(ends)) => format!("until {}", clock::rfc3339(ends * 1000)),
            (None, None) => "no end".to_owned(),
        };
        let VoucherBatch { name, tokens, count, uses, redeemed, actor, .. } = batch;
        let (codes, uses) = (counted(*count, "code"), counted(*uses, "use"));
        let id = batch.id();
        format!(
            "{id}  {codes} of {tokens} tokens, {uses} each, {redeemed} redeemed, {state}, by {actor}: {name}"
        )
    };
    match (batches.is_empty(), creator) {
        (true, None) => Ok("There are no vouchers.".into()),
        (true, Some(creator)) => Ok(format!("{creator} has created no vouchers that are valid.")),
        (false, _) => Ok(batches.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

async fn every(app: &App) -> Result<Vec<VoucherBatch>, String> {
    let mut batches: Vec<VoucherBatch> = Vec::new();
    loop {
        let before = batches.last().map(|batch| batch.id().to_owned());
        let (page, more) = app.store.voucher_batches(before.as_deref()).await.map_err(sentence)?;
        batches.extend(page);
        if !more {
            return Ok(batches);
        }
    }
}

/// Returns the valid batches that an account created. For a deleted account, `creator` must be its
/// id.
///
/// # Errors
/// Fails with an error message for the terminal.
pub async fn valid_of(app: &App, creator: &str) -> Result<Vec<VoucherBatch>, String> {
    let id = match clock::millis_of(creator) {
        Some(_) => creator.to_owned(),
        None => find(app, creator).await?.id,
    };
    let mut batches = every(app).await?;
    batches.retain(|batch| batch.actor == id && !batch.has_ended(app.clock.seconds()));
    Ok(batches)
}

/// Voids all valid batches that an account created, for example after an administrator's password
/// was stolen.
async fn void_all_of(app: &App, creator: &str) -> Result<String, String> {
    match void_valid_of(app, creator).await? {
        0 => Err(format!("{creator} has created no vouchers that are valid.")),
        1 => Ok(format!("1 batch by {creator} is voided.")),
        number => Ok(format!("{number} batches by {creator} are voided.")),
    }
}

/// Voids all valid batches that an account created. Returns their number.
///
/// # Errors
/// Fails with an error message for the terminal.
pub async fn void_valid_of(app: &App, creator: &str) -> Result<usize, String> {
    let batches = valid_of(app, creator).await?;
    for batch in &batches {
        app.store.void_vouchers(None, batch.id(), &app.clock).await.map_err(sentence)?;
    }
    Ok(batches.len())
}

/// Voids a batch of vouchers.
async fn void(app: &App, id: &str) -> Result<String, String> {
    match app.store.void_vouchers(None, id, &app.clock).await.map_err(sentence)? {
        Some(batch) => Ok(format!(
            "No code of {:?} is accepted any more; {} before.",
            batch.name,
            counted(batch.redeemed, "use")
        )),
        None => Err(format!("No vouchers have the id {id:?}; `manage vouchers list` shows them.")),
    }
}
