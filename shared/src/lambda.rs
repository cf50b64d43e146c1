//! The start of a Lambda function: settings, connections, then one request after the other.

use std::convert::Infallible;
use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use tracing::Level;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::http::{self, Reply, Request, Route};
use crate::{App, Result};

/// Serves one endpoint until the platform stops the process. This is the whole `main` of a function.
///
/// The exit code is a failure where a setting can't be used; the log names it.
pub fn serve<F>(routes: &'static [Route], handle: fn(App, Request) -> F) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    run(routes, handle, async { App::start(Config::from_env()?, Clock::default()).await })
}

/// The same for an endpoint that issues tokens. Only their binaries hold what reads the signing secret.
pub fn serve_issuing<F>(routes: &'static [Route], handle: fn(App, Request) -> F) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    run(routes, handle, async { App::start_issuing(Config::from_env()?, Clock::default()).await })
}

/// Does `work` at each event of a schedule. A failure is logged; the next event tries again.
pub fn serve_schedule<F>(work: fn(App) -> F) -> ExitCode
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    start(async { App::start_cold(Config::from_env()?, Clock::default()).await }, async move |app| {
        let run = service_fn(move |_: LambdaEvent<IgnoredAny>| {
            let app = app.clone();
            async move {
                if let Err(error) = work(app).await {
                    tracing::error!(code = error.code(), cause = error.cause(), "the scheduled work failed");
                }
                Ok::<_, Infallible>(())
            }
        });
        lambda_runtime::run(run).await
    })
}

fn run<F>(routes: &'static [Route], handle: fn(App, Request) -> F, connect: impl Future<Output = Result<App, ConfigError>>) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    start(connect, async move |app: App| {
        let answer = service_fn(move |req| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(http::answer(routes, handle, app, req).await) }
        });
        lambda_http::run(answer).await
    })
}

fn start(connect: impl Future<Output = Result<App, ConfigError>>, serve: impl AsyncFnOnce(App) -> Result<(), lambda_runtime::Error>) -> ExitCode {
    // A line of JSON per event, which CloudWatch takes as it is. No filter by pattern: its regular expressions would be a tenth of the binary.
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(Level::INFO).init();
    // One thread: a function has one request at a time, and less than two processors.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    runtime.block_on(async {
        let app = match connect.await {
            Ok(app) => app,
            Err(error) => return refuse(&error),
        };
        match serve(app).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        }
    })
}

fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!("this function can't run: {error}");
    ExitCode::FAILURE
}
