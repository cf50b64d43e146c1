//! `PUT /api/admin/packs` - set or remove the packs that users can buy. For administrators.
//!
//! Sets the packs in one transaction. The transaction also checks that the caller is still an
//! administrator, and records the action.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors};
use shared::store::SetListOutcome;
use shared::values::{Pack, Packs};
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use super::admin_packs::PacksOnSale;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators set the packs").permits(permits![
        VERIFY_TOKENS,
        RECORD_ACTION,
        allow(&[GetItem, PutItem, DeleteItem], Tokens(&["packs:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = PacksChange, examples(json!({ "packs": null, "version": null })))]
struct Body {
    /// The new packs: 1 to 20. Null removes them, so that nothing is sold.
    packs: Option<Vec<Pack>>,
    /// The version that you have seen. Null if there were no packs.
    version: Option<String>,
}

/// Set the packs
///
/// Sets the packs of tokens that users can buy, or removes them. Earlier purchases keep their
/// tokens and prices. Each wrong field is named in `errors`, such as `packs[0].price`. The audit
/// log shows the change with the packs' version as its reason.
#[utoipa::path(
    put,
    path = super::path::admin_packs_change,
    tag = "Administration",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The packs.", body = PacksOnSale)),
    extensions(("x-fails" = json!([Failure::PacksChanged]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (administrator, ()) = auth::administrator(&app, &req, async { Ok(()) }).await?;
    let Body { packs, version } = http::json(&req)?;
    let read = |packs| {
        let wrong = |problems| FieldErrors::from_problems(problems, "").into_error();
        Packs::new(packs).map_err(wrong)
    };
    let packs = packs.map(read).transpose()?;
    let by = Some(&administrator);
    match app.store.set_list(by, packs.as_ref(), version.as_deref(), &app.clock).await? {
        SetListOutcome::Changed => Err(Error::PacksChanged),
        SetListOutcome::Set(stored) => {
            let version = stored.as_ref().map(|stored| stored.of.version.as_str());
            tracing::info!(by = administrator.account().id, version, "the packs were set");
            http::ok(&PacksOnSale::of(stored.as_ref()))
        }
    }
}
