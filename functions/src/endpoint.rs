//! A uniform type for endpoints whose handlers have different parameters, so that one table can
//! list them all. Servers that run every endpoint in one process use this table.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use shared::app::{self, HandlerState};
use shared::clock::Clock;
use shared::config::{AiConfig, ConfigError, EdgeConfig, Names, Settings};
use shared::http::{Body, Response, Route, edge};
use shared::telemetry::trace::Traces;
use shared::{App, Reply, Request};

use crate::lambda::Lambda;

/// Defines a room's `ENDPOINTS` and `ROUTES` from its rows. A group of rows begins with the fields
/// that its routes share, such as the failure format
/// ([`Route::without_path`](shared::http::Route::without_path)). The `handle` function describes a
/// row's first route. For each additional route, the list after `=>` names the function in the
/// endpoint's file that describes the route.
macro_rules! rows {
    ($($group:expr => {
        $($name:ident: $($method:ident $path:expr),+ $(=> $($more:ident),+)?;)+
    })+) => {
        /// The endpoints in this room.
        pub const ENDPOINTS: &[$crate::Endpoint] = &[$($(
            $crate::endpoint::row(
                concat!(module_path!(), "::", stringify!($name)),
                stringify!($name),
                $name::handle,
                $name::LAMBDA,
                |settings, clock| {
                    let routes = $crate::routes_of!(stringify!($name));
                    $crate::endpoint::start(routes, $name::handle, settings, clock)
                },
            ),
        )+)+];

        /// The routes in this room.
        pub const ROUTES: &[shared::http::Route] = &[$($($(
            shared::http::Route {
                method: stringify!($method),
                path: $path,
                endpoint: stringify!($name),
                ..$group
            },
        )+)+)+];
    };
}

/// Defines a room's rows, like [`rows`], for endpoints that the OpenAPI document describes.
macro_rules! endpoints {
    ($($group:expr => {
        $($name:ident: $($method:ident $path:expr),+ $(=> $($more:ident),+)?;)+
    })+) => {
        rows! {
            $($group => { $($name: $($method $path),+ $(=> $($more),+)?;)+ })+
        }

        /// Each endpoint's first path. The OpenAPI document describes the endpoint under this path.
        #[allow(non_upper_case_globals)]
        pub(crate) mod path {
            #[allow(unused_imports)]
            use super::*;
            $($(pub(crate) const $name: &str = $crate::endpoint::first(&[$($path),+]);)+)+
        }

        /// The descriptions of this room's endpoints, for the OpenAPI document.
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($name::handle, $($($name::$more,)+)?)+)+))]
        pub(crate) struct RoomPaths;
    };
}

/// Returns the first path.
pub(crate) const fn first(paths: &[&'static str]) -> &'static str {
    match paths {
        [first, ..] => first,
        [] => "",
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An endpoint that hasn't been started yet.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// The path of the endpoint's module.
    pub module: &'static str,
    /// The name of the endpoint's file, binary and event.
    pub name: &'static str,
    /// The Lambda function.
    pub lambda: Lambda,
    /// The names of the settings that the endpoint reads, in addition to those that every function
    /// reads.
    pub settings: &'static [Names],
    /// Whether this endpoint publishes the public key that other endpoints use to verify JWTs. Such
    /// endpoints must start before all other endpoints.
    pub publishes: bool,
    start: for<'s> fn(&'s Settings<'s>, Clock) -> Boxed<'s, Result<Function, ConfigError>>,
}

impl Endpoint {
    /// Returns true if the endpoint calls the AI: it reads all of the providers' settings, and its
    /// binary contains their code. [`Lambda::asks_ai()`] explains the one such endpoint that doesn't
    /// ask the AI for its caller.
    pub fn calls_ai(&self) -> bool {
        self.settings.contains(&AiConfig::SETTINGS)
    }

    /// Returns the template parameter that contains the function's reserved concurrency.
    ///
    /// Functions that wait for the AI can't use up the account's instances then. Agents' answers
    /// take up to ten minutes, so the functions under `/v1` have a parameter of their own.
    pub fn concurrency(&self) -> Option<&'static str> {
        let mut own = crate::ROUTES.iter().filter(|route| route.endpoint == self.name);
        let serves_programs = own.any(|route| route.path.starts_with("/v1/"));
        match (self.calls_ai(), self.lambda.hashes_passwords) {
            (true, _) if serves_programs => Some("ProgramConcurrency"),
            (true, _) => Some("AskConcurrency"),
            (false, true) => Some("HashConcurrency"),
            (false, false) => None,
        }
    }

    /// # Errors
    /// Returns an error if a setting is invalid or a connection can't be set up.
    pub async fn start(
        &self,
        settings: &Settings<'_>,
        clock: Clock,
    ) -> Result<Function, ConfigError> {
        (self.start)(settings, clock).await
    }
}

/// A started endpoint. Cloning it is cheap.
#[derive(Clone)]
pub struct Function {
    /// The routes that the function knows.
    pub routes: &'static [Route],
    /// The settings for the checks that every request must pass.
    pub edge: Arc<EdgeConfig>,
    traces: Option<Traces>,
    handler: Arc<dyn Handler>,
}

impl Function {
    /// Binds a handler to its first parameter.
    pub fn new<A: HandlerState, F>(
        routes: &'static [Route],
        edge: Arc<EdgeConfig>,
        needs: A,
        handle: fn(A, Request) -> F,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let traces = needs.app().and_then(|app| app.traces.clone());
        Self { routes, edge, traces, handler: Arc::new(Bound { needs, handle }) }
    }

    /// Answers one request.
    pub async fn answer(&self, req: Request) -> Response<Body> {
        let (edge, traces) = (&self.edge, self.traces.as_ref());
        edge::answer(self.routes, |req| self.handler.call(req), edge, traces, req).await
    }

    /// Returns the handler's first parameter if it is of type `A`.
    pub fn needs<A: 'static>(&self) -> Option<&A> {
        self.handler.needs().downcast_ref()
    }

    /// Returns a copy of the [`App`] in the handler's first parameter, if there is one.
    pub fn app(&self) -> Option<App> {
        self.handler.app()
    }

    /// Returns this endpoint with a different `App` in the handler's first parameter.
    pub fn with_app(&self, app: App) -> Self {
        let (edge, traces) = (self.edge.clone(), app.traces.clone());
        Self { routes: self.routes, edge, traces, handler: self.handler.with_app(app) }
    }
}

/// A handler bound to its first parameter.
trait Handler: Send + Sync {
    fn call(&self, req: Request) -> Boxed<'static, Reply>;
    fn needs(&self) -> &dyn Any;
    fn app(&self) -> Option<App>;
    fn with_app(&self, app: App) -> Arc<dyn Handler>;
}

struct Bound<A, F> {
    needs: A,
    handle: fn(A, Request) -> F,
}

impl<A: HandlerState, F: Future<Output = Reply> + Send + 'static> Handler for Bound<A, F> {
    fn call(&self, req: Request) -> Boxed<'static, Reply> {
        Box::pin((self.handle)(self.needs.clone(), req))
    }

    fn needs(&self) -> &dyn Any {
        &self.needs
    }

    fn app(&self) -> Option<App> {
        self.needs.app().cloned()
    }

    fn with_app(&self, app: App) -> Arc<dyn Handler> {
        let mut needs = self.needs.clone();
        if let Some(place) = needs.app_mut() {
            *place = app;
        }
        Arc::new(Self { needs, handle: self.handle })
    }
}

/// Creates an endpoint's row. The type of the handler's first parameter determines which settings
/// and connections the endpoint gets.
pub(crate) const fn row<A: HandlerState, F>(
    module: &'static str,
    name: &'static str,
    _: fn(A, Request) -> F,
    lambda: Lambda,
    start: for<'s> fn(&'s Settings<'s>, Clock) -> Boxed<'s, Result<Function, ConfigError>>,
) -> Endpoint {
    Endpoint { module, name, lambda, settings: A::SETTINGS, publishes: A::PUBLISHES, start }
}

/// Creates the handler's first parameter, and binds the handler to it.
pub(crate) fn start<'s, A: HandlerState, F>(
    routes: &'static [Route],
    handle: fn(A, Request) -> F,
    settings: &'s Settings<'s>,
    clock: Clock,
) -> Boxed<'s, Result<Function, ConfigError>>
where
    F: Future<Output = Reply> + Send + 'static,
{
    Box::pin(async move {
        let edge = Arc::new(app::edge_config::<A>(settings)?);
        Ok(Function::new(routes, edge, A::start(settings, clock).await?, handle))
    })
}
