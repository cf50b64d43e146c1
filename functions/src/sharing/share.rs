//! `GET /api/shares/{link}` - a shared chat, for everybody who knows its link.
//!
//! Reads the shared chat first, and then its messages and its author's account in parallel.

use shared::app::{HandlerState, UsesSettings};
use shared::clock::Clock;
use shared::config::{ConfigError, Names, Settings, Sharing};
use shared::error::Failure;
use shared::values::ShareLink;
use shared::view::SharedChat;
use shared::{App, Error, Reply, Request, Result, extends, http, openapi};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Shows shared chats to everybody").throttled().permits(permits![
        scan(Keys),
        get(Users(&["user:*"])),
        get(Tokens(&["share:*"])),
        get_many(Tokens(&["share:*"])),
    ]);

/// Read a shared chat
///
/// A copy of the chat as it was when it was shared. The request needs no access token. If the
/// author's account was deactivated or deleted, the chat is no longer shared. Caches may keep the
/// reply for a minute, and search engines must not list it.
#[utoipa::path(
    get,
    path = super::path::share,
    tag = "Shared chats",
    params(PathLink),
    responses((status = 200, description = "The shared chat.", body = SharedChat)),
    extensions(("x-fails" = json!([Failure::NoSuchShare, Failure::SharingOff]))),
)]
pub async fn handle(app: SharingApp, req: Request) -> Reply {
    let app = app.when_on()?;
    let link = link(&req)?;
    let (share, messages) = app.store.opened_share(&link).await?.ok_or(Error::NoSuchShare)?;
    http::ok(&SharedChat::of(&share, &messages)).map(http::cached_for_a_minute)
}

/// An [`App`], together with the setting that switches shared chats on.
#[derive(Clone)]
pub struct SharingApp {
    app: App,
    sharing: Sharing,
}

extends!(SharingApp, app: App);

impl SharingApp {
    /// Returns the [`App`], for an endpoint that shares, shows or reports chats. The endpoints that
    /// list and end shared chats work even if the setting is off.
    ///
    /// # Errors
    /// Returns [`Error::SharingOff`] if the operator hasn't switched on shared chats.
    pub(crate) fn when_on(&self) -> Result<&App> {
        if self.sharing == Sharing::On { Ok(&self.app) } else { Err(Error::SharingOff) }
    }
}

impl UsesSettings for SharingApp {
    const SETTINGS: &'static [Names] = &[Sharing::SETTINGS];
}

impl HandlerState for SharingApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let sharing = Sharing::read(settings)?;
        Ok(Self { app: App::start(settings, clock).await?, sharing })
    }
}

/// Returns the link in the path.
///
/// # Errors
/// Returns [`Error::NoSuchShare`] if it can't be a link.
pub(super) fn link(req: &Request) -> Result<ShareLink> {
    ShareLink::parse(http::path_parameter(req, "link")).ok_or(Error::NoSuchShare)
}

/// The `{link}` path parameter.
#[derive(Debug)]
pub struct PathLink;

impl IntoParams for PathLink {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let link = Object::builder()
            .schema_type(Type::String)
            .pattern(Some("^[0-9a-f]{32}$"))
            .examples(["5f2a9c0e7b1d4836a0c58e12d7f3b649"]);
        vec![openapi::of_path("link", "The link of a shared chat.", link)]
    }
}
