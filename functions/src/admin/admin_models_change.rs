//! `PUT /api/admin/models` - set or remove the price list. For administrators.
//!
//! Sets the list in one transaction. The transaction also checks that the caller is still an
//! administrator, and records the action.

use serde::Deserialize;
use serde_json::Value;
use shared::error::{Failure, FieldErrors};
use shared::store::SetPricesOutcome;
use shared::values::PriceList;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use super::admin_models::Prices;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators set the price list").permits(permits![
        VERIFY_TOKENS,
        RECORD_ACTION,
        allow(&[GetItem, PutItem, DeleteItem], Tokens(&["models:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = PriceListChange, examples(json!({ "list": null, "version": null })))]
struct Body {
    /// The new list. Null removes the list; every message then costs the price configured in the
    /// settings. The list's `system` is the system prompt for all models, and a model's `system`
    /// is the system prompt for that model alone: a string of at most 8,192 bytes, which users
    /// don't see.
    #[schema(value_type = Option<Object>)]
    list: Option<Value>,
    /// The version that you have seen. Null if there was no list.
    version: Option<String>,
}

/// Set the price list
///
/// Sets the models with their fares and system prompts, or removes the list. The new list is in use
/// within a minute. Messages that were sent before are priced by the earlier list. Each wrong field
/// is named in `errors`, such as `list.models[0].fare.input`. The audit log shows the change with
/// the list's version as its reason.
#[utoipa::path(
    put,
    path = super::path::admin_models_change,
    tag = "Administration",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The list.", body = Prices)),
    extensions(("x-fails" = json!([Failure::PriceListChanged]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (administrator, ()) = auth::administrator(&app, &req, async { Ok(()) }).await?;
    let Body { list, version } = http::json(&req)?;
    let read = |list: &Value| {
        let wrong = |problems| FieldErrors::from_problems(problems, "list").into_error();
        PriceList::read(list).map_err(wrong)
    };
    let list = list.as_ref().map(read).transpose()?;
    let by = Some(&administrator);
    match app.store.set_list(by, list.as_ref(), version.as_deref(), &app.clock).await? {
        SetPricesOutcome::Changed => Err(Error::PriceListChanged),
        SetPricesOutcome::Set(stored) => {
            let version = stored.as_ref().map(|stored| stored.of.version.as_str());
            tracing::info!(by = administrator.account().id, version, "the price list was set");
            http::ok(&Prices::of(stored.as_ref()))
        }
    }
}
