//! The start of a Lambda function: settings, connections, then one request after the other.

use std::convert::Infallible;
use std::process::ExitCode;

use lambda_http::service_fn;
use tracing::Level;

use crate::App;
use crate::config::{Config, ConfigError};
use crate::http::{self, Reply, Request, Route};

/// Serves one endpoint until the platform stops the process. This is the whole `main` of a function.
///
/// The exit code is a failure where a setting can't be used; the log names it.
pub fn serve<F>(routes: &'static [Route], handle: fn(App, Request) -> F) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    run(routes, handle, async { App::start(Config::from_env()?).await })
}

/// The same for an endpoint that issues tokens. Only their binaries hold what reads the signing secret.
pub fn serve_issuing<F>(routes: &'static [Route], handle: fn(App, Request) -> F) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    run(routes, handle, async { App::start_issuing(Config::from_env()?).await })
}

fn run<F>(routes: &'static [Route], handle: fn(App, Request) -> F, start: impl Future<Output = Result<App, ConfigError>>) -> ExitCode
where
    F: Future<Output = Reply> + Send + 'static,
{
    // A line of JSON per event, which CloudWatch takes as it is. No filter by pattern: its regular expressions would be a tenth of the binary.
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(Level::INFO).init();
    // One thread: a function has one request at a time, and less than two processors.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    runtime.block_on(async {
        let app = match start.await {
            Ok(app) => app,
            Err(error) => return refuse(&error),
        };
        let answer = service_fn(move |req| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(http::answer(routes, handle, app, req).await) }
        });
        match lambda_http::run(answer).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        }
    })
}

fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!("this function can't run: {error}");
    ExitCode::FAILURE
}
