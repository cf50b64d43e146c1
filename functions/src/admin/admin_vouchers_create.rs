//! `POST /api/admin/vouchers` - create vouchers, which users can exchange for tokens. For
//! administrators.
//!
//! Stores the codes' hashes first, and then the batch. Codes are valid only once their batch is
//! stored.

use serde::{Deserialize, Serialize};
use shared::error::{Failure, FieldErrors, REQUIRED, last_day, required};
use shared::openapi::IdempotencyKey;
use shared::store::{CreateVouchersOutcome, Record, VOUCHER_CODES, VOUCHER_USES, VoucherBatch};
use shared::values::idempotency::{Kind, REMEMBERED, fingerprint};
use shared::values::{Reason, VoucherCode, Whole};
use shared::{App, Credits, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use super::admin_vouchers::Vouchers;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators create vouchers").permits(permits![
        VERIFY_TOKENS,
        RECORD_ACTION,
        get(Tokens(&["idem:*"])),
        put(Tokens(&["idem:*", "voucher:*", "vouchers:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = VouchersToCreate, examples(json!({ "name": "Spring campaign", "tokens": 500, "count": 100 })))]
struct Body {
    /// The name, which users see in their statement.
    #[schema(value_type = Reason)]
    name: Option<String>,
    /// The number of tokens that each use of a code grants.
    #[schema(value_type = u64, required, minimum = 1)]
    tokens: Option<Whole<u64>>,
    /// The number of codes.
    #[schema(value_type = u32, required, minimum = 1)]
    count: Option<Whole<u32>>,
    /// The number of accounts that can use each code. By default, each code can be used by one
    /// account.
    #[schema(value_type = Option<u32>, minimum = 1)]
    uses: Option<Whole<u32>>,
    /// The last day on which the codes are accepted, in UTC. Without `ends`, the codes don't
    /// expire.
    #[schema(format = "date", examples("2027-03-31"))]
    ends: Option<String>,
}

/// Create vouchers
///
/// Creates codes that users exchange for tokens. Only this reply has the codes: keep it. The audit
/// log lists the batch. Administrators can't redeem vouchers that they created.
#[utoipa::path(
    post,
    path = super::path::admin_vouchers_create,
    tag = "Administration",
    security(("access_token" = [])),
    params(IdempotencyKey),
    request_body = Body,
    responses((status = 201, description = "The batch with its codes.", body = NewVouchers)),
    extensions(
        ("x-fails" = json!([Failure::CodesShown, Failure::KeyReused])),
        ("x-gives" = json!({
            "/api/admin/vouchers/{id}": "/id",
            "voucher_redeem.code": "/codes/0",
        })),
        ("x-narrow" = json!({ "properties": {
            "tokens": { "maximum": Credits::MAX },
            "count": { "maximum": VOUCHER_CODES },
            "uses": { "maximum": VOUCHER_USES },
        } })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let body: Body = http::json(&req)?;
    let (administrator, ()) = auth::administrator(&app, &req, async { Ok(()) }).await?;
    let payload = fingerprint(req.body());
    let actor = &administrator.account().id;
    let batch = body.validate(actor, &app)?;
    let now = app.clock.seconds();
    let key = key.map(|key| key.id(Kind::Adjustment, actor));
    if let Some(key) = &key
        && let Some(record) = app.store.record(key, now).await?
    {
        return Err(used(&record, &payload));
    }
    let record = key.map(|key| Record::new(&key, &payload, batch.id(), now + REMEMBERED));
    let codes = VoucherCode::several(batch.count)?;
    let by = Some(&administrator);
    match app.store.create_vouchers(by, &batch, &codes, record.as_ref(), now).await? {
        CreateVouchersOutcome::Created => {
            tracing::info!(
                by = actor,
                batch = batch.id(),
                count = batch.count,
                "vouchers were created"
            );
            let codes = codes.iter().map(VoucherCode::text).collect();
            http::created(&NewVouchers { batch: Vouchers::of(&batch), codes })
        }
        CreateVouchersOutcome::KeyUsed => Err(Error::CodesShown),
    }
}

/// Returns the error for an idempotency key that already has a record.
fn used(record: &Record, payload: &str) -> Error {
    if record.fingerprint == payload { Error::CodesShown } else { Error::KeyReused }
}

impl Body {
    /// Validates the body. An error lists every invalid field.
    fn validate(self, actor: &str, app: &App) -> Result<VoucherBatch> {
        let mut invalid = FieldErrors::default();
        let name = invalid.check("name", required(self.name).and_then(|name| Reason::parse(&name)));
        let tokens = invalid
            .check("tokens", Credits::positive(self.tokens.map_or(0, |Whole(tokens)| tokens)));
        let within = |number: Option<Whole<u32>>, most: u32| {
            let Whole(number) = number.ok_or_else(|| REQUIRED.to_owned())?;
            let sentence = format!("This must be a whole number from 1 to {most}.");
            (1..=most).contains(&number).then_some(number).ok_or(sentence)
        };
        let count = invalid.check("count", within(self.count, VOUCHER_CODES));
        let uses = invalid.check("uses", within(self.uses.or(Some(Whole(1))), VOUCHER_USES));
        let ends = self.ends.map(|day| last_day(&day, app.clock.seconds()));
        let ends = invalid.check("ends", ends.transpose());
        match (name, tokens, count, uses, ends) {
            (Some(name), Some(tokens), Some(count), Some(uses), Some(ends)) => {
                let codes = (count, uses);
                Ok(VoucherBatch::new(name.text(), tokens, codes, ends, actor, &app.clock))
            }
            _ => Err(invalid.into_error()),
        }
    }
}

/// A batch of vouchers, including its codes.
#[derive(Serialize, ToSchema)]
struct NewVouchers<'a> {
    #[serde(flatten)]
    batch: Vouchers<'a>,
    /// The codes. Only this reply contains them.
    #[schema(examples("6B8QZ-2N4WT-9XKJ0-HRM3C-VYD76"))]
    codes: Vec<String>,
}
