//! `DELETE /api/admin/vouchers/{id}` - void a batch of vouchers. For administrators.
//!
//! Voids the batch in one transaction, which also checks that the caller is still an administrator.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::{App, Error, Reply, Request, auth, http};

use super::admin_vouchers::Vouchers;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators void vouchers").permits(permits![
        VERIFY_TOKENS,
        RECORD_ACTION,
        allow(&[GetItem, UpdateItem], Tokens(&["vouchers:*"])),
    ]);

/// Void vouchers
///
/// From then on, the batch's codes are no longer accepted. Users keep the tokens already granted.
/// The audit log lists it.
#[utoipa::path(
    delete,
    path = super::path::admin_vouchers_void,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The batch.", body = Vouchers)),
    extensions(("x-fails" = json!([Failure::NoSuchVouchers]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (administrator, ()) = auth::administrator(&app, &req, async { Ok(()) }).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchVouchers)?;
    let batch = app.store.void_vouchers(Some(&administrator), &id, &app.clock).await?;
    let batch = batch.ok_or(Error::NoSuchVouchers)?;
    tracing::info!(by = administrator.account().id, batch = batch.id(), "vouchers were voided");
    http::ok(&Vouchers::of(&batch))
}
