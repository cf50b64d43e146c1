//! `PUT /api/admin/brand` - set or remove the operator's brand. For administrators.
//!
//! Sets the brand in one transaction. The transaction also checks that the caller is still an
//! administrator, and records the action.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors};
use shared::store::SetListOutcome;
use shared::values::Brand;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use super::admin_brand::BrandInUse;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators set the brand").permits(permits![
        VERIFY_TOKENS,
        RECORD_ACTION,
        allow(&[GetItem, PutItem, DeleteItem], Tokens(&["brand:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = BrandChange, examples(json!({ "brand": null, "version": null })))]
struct Body {
    /// The new brand. Null removes it, so that pages and e-mails show Farebox's.
    brand: Option<Brand>,
    /// The version that you have seen. Null if there was no brand.
    version: Option<String>,
}

/// Set the brand
///
/// Sets the brand that pages and e-mails show, or removes it. Pages and e-mails use it within a
/// minute. Each wrong field is named in `errors`, such as `color`. The audit log shows the change
/// with the brand's version as its reason.
#[utoipa::path(
    put,
    path = super::path::admin_brand_change,
    tag = "Administration",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The brand.", body = BrandInUse)),
    extensions(("x-fails" = json!([Failure::BrandChanged]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (administrator, ()) = auth::administrator(&app, &req, async { Ok(()) }).await?;
    let Body { brand, version } = http::json(&req)?;
    let wrong = |problems| FieldErrors::from_problems(problems, "").into_error();
    let brand = brand.map(Brand::checked).transpose().map_err(wrong)?;
    let by = Some(&administrator);
    match app.store.set_list(by, brand.as_ref(), version.as_deref(), &app.clock).await? {
        SetListOutcome::Changed => Err(Error::BrandChanged),
        SetListOutcome::Set(stored) => {
            let of = stored.as_ref().map(|stored| &stored.of);
            let version = of.map(|of| of.version.as_str());
            tracing::info!(by = administrator.account().id, version, "the brand was set");
            http::ok(&BrandInUse::of(of, stored.as_ref().map(|stored| &stored.list)))
        }
    }
}
