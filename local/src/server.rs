//! The local server: an embedded DynamoDB, every function with its environment, the gateway that
//! calls them, the delivery of e-mails, and the scheduled functions.

pub mod model_servers;
pub mod outbox;
mod scheduled;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use functions::{ENDPOINTS, Function};
use futures_util::future::try_join_all;
use shared::App;
use shared::app::{CensusApp, MailApp, PaymentsApp, Scheduled};
use shared::aws::ServiceUrl;
use shared::clock::Clock;
use shared::config::{ConfigError, Settings};
use shared::store::SetPricesOutcome;
use shared::telemetry::model_calls::CallSource;
use shared::values::{Packs, PriceList};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use crate::list_file;
use crate::server::model_servers::{Answering, ModelServer, PATIENCE};
use crate::server::outbox::{OutboxWorker, SentMails};
use crate::server::scheduled::{keep_calls, on_schedule};

use emulator::checkout::Checkout;
use emulator::dynamo::{Data, Dynamo, port_sentence};
use emulator::gateway::Gateway;
use emulator::template::{self, Template};

/// The packs that are sold if payments are simulated and no packs are set.
const SIMULATED_PACKS: &str = r#"{"packs": [
    {"id": "small", "name": "1,000 tokens", "tokens": 1000, "price": 299, "currency": "EUR"},
    {"id": "medium", "name": "5,000 tokens", "tokens": 5000, "price": 999, "currency": "EUR"},
    {"id": "large", "name": "20,000 tokens", "tokens": 20000, "price": 2999, "currency": "EUR"}
]}"#;

/// A running server.
pub struct Server {
    /// The server's URL.
    pub url: String,
    /// The server's embedded DynamoDB.
    pub dynamo: Dynamo,
    /// The clock that all functions in the server use.
    pub clock: Clock,
    /// The functions behind routes, by name.
    pub functions: HashMap<String, Function>,
    /// The [`App`] of each function that uses one, by name.
    pub apps: HashMap<String, App>,
    /// The e-mails that were sent.
    pub mails: Option<SentMails>,
    /// The simulated Stripe. `None` unless `PAYMENTS` is `simulated`.
    pub checkout: Option<Checkout>,
    /// The AI that answers messages.
    pub answering: Answering,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), JoinError>>,
}

impl Server {
    /// Starts a server on a loopback port, or on any free port if `port` is 0. `clock` provides the
    /// time for all functions, and `environment` overrides the template's values. If
    /// `DYNAMODB_ENDPOINT` names a different store, the server doesn't use `data`.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub async fn start(
        port: u16,
        data: &Data,
        clock: Clock,
        environment: impl Fn(&str) -> Option<String> + Send + Sync,
    ) -> Result<Self, String> {
        Self::start_with_model_servers(&[], port, data, clock, environment).await
    }

    /// Starts a server like [`Server::start`]. If neither `AI_PROVIDER` nor a price list selects
    /// the AI, the first chat model on these model servers answers messages.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub async fn start_with_model_servers(
        model_servers: &[ModelServer],
        port: u16,
        data: &Data,
        clock: Clock,
        environment: impl Fn(&str) -> Option<String> + Send + Sync,
    ) -> Result<Self, String> {
        // The data folder remains unused if the functions use a different store.
        let elsewhere = environment("DYNAMODB_ENDPOINT").and_then(|url| ServiceUrl::parse(&url));
        let data = if elsewhere.is_some() { &Data::Memory } else { data };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener =
            TcpListener::bind(address).await.map_err(|error| port_sentence(address, &error))?;
        let url = format!("http://{}", listener.local_addr().map_err(|error| error.to_string())?);
        let dynamo = Dynamo::start(data, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;

        let template = Template::load()?;
        let models = environment("MODELS").filter(|url| !url.is_empty());
        let payments = environment("PAYMENTS").unwrap_or_default();
        let checkout = simulated_stripe(&payments, &url, &clock).await?;
        let providers = environment("AI_PROVIDER").filter(|names| !names.is_empty());
        let without_found_model = |function: &template::Function, name: &str| {
            let of_checkout = checkout.as_ref().and_then(|checkout| simulated(checkout, name));
            of_checkout
                .or_else(|| environment(name))
                .or_else(|| environment_of(function, name, &dynamo.url, &dynamo.signing_secret))
        };

        // First set the lists in the store. They determine whether model servers are queried.
        let connect = async |name: &'static str| {
            let settings = settings_of(template, name, without_found_model)?;
            let app = App::connect(&settings, clock.clone()).await.map_err(sentence)?;
            Ok::<_, String>(dynamo.direct(app))
        };
        if let Some(url) = models {
            set_prices(&connect("admin_models_change").await?, &url).await?;
        }
        if checkout.is_some() {
            set_packs(&connect("admin_packs_change").await?).await?;
        }
        let answering = match providers {
            Some(names) => Answering::Providers(names),
            None if model_servers.is_empty() => Answering::Echo,
            None => choose_ai(&connect("admin_models_change").await?, model_servers).await,
        };

        // Then start the functions, which also get the settings for the chat model, if one was
        // found.
        let with_found_model = |function: &template::Function, name: &str| {
            answering.setting(name).or_else(|| without_found_model(function, name))
        };
        let functions = start_functions(template, &clock, &dynamo, with_found_model).await?;
        let app_of = |function: (&String, &Function)| Some((function.0.clone(), function.1.app()?));
        let mut apps: HashMap<String, App> = functions.iter().filter_map(app_of).collect();
        let settings = |name: &'static str| settings_of(template, name, with_found_model);
        let background = Background::start(settings, &dynamo, data, &clock).await?;
        let Background { apps: others, mails, tasks } = background;
        apps.extend(others.map(|(name, app)| (name.to_owned(), app)));
        let (stop, stopped) = oneshot::channel();
        let gateway = Gateway::new(template, &functions, clock.clone());
        let served = gateway.serve(listener, stopped);
        let server = tokio::spawn(async move {
            let served = served.await;
            tasks.iter().for_each(JoinHandle::abort);
            served
        });
        Ok(Self { url, dynamo, clock, functions, apps, mails, checkout, answering, stop, server })
    }

    /// Waits until the HTTP server ends without a call to [`Server::stop`]. Returns a message for
    /// the terminal.
    pub async fn failure(&mut self) -> String {
        match (&mut self.server).await.flatten() {
            Ok(()) => "The HTTP server has ended.".into(),
            Err(error) => format!("The HTTP server has ended: {error}."),
        }
    }

    /// Waits for running requests to finish, and then stops the server.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.server.await;
        if let Some(checkout) = self.checkout {
            checkout.stop().await;
        }
        self.dynamo.stop().await;
    }
}

/// The work that is invoked by schedules and a stream on AWS.
struct Background {
    /// The [`App`] of each function, by name.
    apps: [(&'static str, App); 5],
    /// The e-mails that were sent. `None` if the store is on AWS.
    mails: Option<SentMails>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Connects the functions, and starts their work.
    async fn start<'s>(
        settings: impl Fn(&'static str) -> Result<Settings<'s>, String>,
        dynamo: &Dynamo,
        data: &Data,
        clock: &Clock,
    ) -> Result<Self, String> {
        let connect = async |name| {
            let app = App::connect(&settings(name)?, clock.clone()).await.map_err(sentence)?;
            Ok::<_, String>(dynamo.direct(app))
        };
        let (sweep, erase) = (connect("sweep").await?, connect("erase").await?);
        let census = connect("census").await?;
        // The calls of this process don't belong to tables on AWS.
        let endpoint = census.config.dynamodb_endpoint.as_ref();
        let calls = match endpoint.is_some_and(ServiceUrl::is_emulator) {
            true => CallSource::Memory,
            false => CallSource::Disabled,
        };
        let census = CensusApp { app: census, calls };
        let payments = PaymentsApp::connect(&settings("payments_check")?, clock.clone()).await;
        let mut payments = payments.map_err(sentence)?;
        payments.app = dynamo.direct(payments.app);
        let mailing = MailApp::connect(&settings("mail")?, clock.clone()).await;
        let mut mailing = mailing.map_err(sentence)?;
        mailing.app = dynamo.direct(mailing.app);
        let apps = [
            ("sweep", sweep.clone()),
            ("erase", erase.clone()),
            ("census", census.app.clone()),
            ("payments_check", payments.app.clone()),
            ("mail", mailing.app.clone()),
        ];
        let worker = OutboxWorker::new(mailing, data);
        let mails = worker.as_ref().map(OutboxWorker::sent);
        let mut tasks = vec![
            tokio::spawn(on_schedule("sweep", sweep, functions::background::sweep::work)),
            tokio::spawn(on_schedule("erase", erase, functions::background::erase::work)),
            tokio::spawn(keep_calls(census.clone())),
            tokio::spawn(on_schedule("census", census, functions::background::census::work)),
            tokio::spawn(on_schedule(
                "payments_check",
                payments,
                functions::background::payments_check::work,
            )),
        ];
        tasks.extend(worker.map(|worker| tokio::spawn(worker.work())));
        Ok(Self { apps, mails, tasks })
    }
}

/// Starts the simulated Stripe, if the `PAYMENTS` setting asks for it. Its events go to the server
/// at `url`.
async fn simulated_stripe(
    payments: &str,
    url: &str,
    clock: &Clock,
) -> Result<Option<Checkout>, String> {
    match payments {
        "" => Ok(None),
        // Earlier releases used the word `played`.
        "simulated" | "played" => {
            let webhook = format!("{url}/api/stripe/webhook");
            Checkout::start(&webhook, clock.clone()).await.map(Some)
        }
        other => Err(format!("PAYMENTS must be simulated, or not set (got {other:?}).")),
    }
}

/// Returns the AI that answers messages if `AI_PROVIDER` isn't set. A price list names the
/// providers of its models, so with a price list, no model server is queried. If the list can't be
/// read, the functions don't start, and say why.
async fn choose_ai(app: &App, model_servers: &[ModelServer]) -> Answering {
    if !matches!(app.store.prices().await, Ok(None)) {
        return Answering::PriceList;
    }
    model_servers::find(model_servers, PATIENCE).await.map_or(Answering::Echo, Answering::Model)
}

/// Sets the price list in the file that `MODELS` names, before the functions start.
async fn set_prices(app: &App, url: &str) -> Result<(), String> {
    let path =
        url.strip_prefix("file://").ok_or("MODELS must be the URL of a file: file:///path.")?;
    let list: PriceList = list_file::read(Path::new(path))?;
    match list_file::set(app, Some(&list)).await {
        Ok(SetPricesOutcome::Set(_)) => Ok(()),
        Ok(SetPricesOutcome::Changed) => {
            Err("Someone else has just changed the price list. MODELS has changed nothing.".into())
        }
        Err(error) => Err(format!("{error}.")),
    }
}

/// Returns the value of a setting that connects functions to the simulated Stripe. `None` for other
/// settings.
fn simulated(checkout: &Checkout, name: &str) -> Option<String> {
    match name {
        "STRIPE_URL" => Some(checkout.url.clone()),
        "STRIPE_API_KEY" => Some(checkout.key.clone()),
        "STRIPE_WEBHOOK_SECRET" => Some(checkout.secret.clone()),
        _ => None,
    }
}

/// Sets example packs, so that people can try purchases, unless packs are already set.
async fn set_packs(app: &App) -> Result<(), String> {
    let packs: Packs = SIMULATED_PACKS.parse().map_err(|_| "The simulated packs are invalid.")?;
    app.store
        .set_list(None, Some(&packs), None, &app.clock)
        .await
        .map(drop)
        .map_err(|error| format!("The packs can't be set: {error}."))
}

/// Returns the value of a function's environment variable. The values are those of the template,
/// with these exceptions: the endpoint and the secret are those of the local store, metrics and
/// limits per address are off, Stripe is in test mode, and an account may have the largest possible
/// number of simultaneous chats.
pub fn environment_of(
    function: &template::Function,
    name: &str,
    dynamodb: &str,
    secret: &str,
) -> Option<String> {
    let value = function.environment.get(name)?;
    Some(match name {
        "DYNAMODB_ENDPOINT" => dynamodb.to_owned(),
        "SIGNING_SECRET" => secret.to_owned(),
        // Don't write metrics, because people read the output of the emulators.
        "METRICS_NAMESPACE" => String::new(),
        // All local clients have the same address.
        "LOGIN_FAILURES_PER_ADDRESS" | "REGISTRATIONS_PER_ADDRESS" => "0".to_owned(),
        // On one machine, a live key is almost always a mistake.
        "STRIPE_MODE" => "test".to_owned(),
        // A waiting chat doesn't occupy a Lambda instance here.
        "PARALLEL_CHATS" => "64".to_owned(),
        _ => value.clone(),
    })
}

/// Starts every function that has routes, using the store in this process. Functions that publish
/// the public key start before functions that read it.
async fn start_functions(
    template: &Template,
    clock: &Clock,
    dynamo: &Dynamo,
    environment: impl Fn(&template::Function, &str) -> Option<String> + Copy + Send + Sync,
) -> Result<HashMap<String, Function>, String> {
    let mut functions = HashMap::new();
    for publishes in [true, false] {
        let some = ENDPOINTS.iter().filter(|endpoint| endpoint.publishes == publishes);
        let started = some.map(|endpoint| async move {
            let settings = settings_of(template, endpoint.name, environment)?;
            let function = endpoint.start(&settings, clock.clone()).await.map_err(sentence)?;
            let direct = function.app().map(|app| function.with_app(dynamo.direct(app)));
            Ok::<_, String>((endpoint.name.to_owned(), direct.unwrap_or(function)))
        });
        functions.extend(try_join_all(started).await?);
    }
    Ok(functions)
}

/// Returns the settings of a function in the template.
fn settings_of<'t>(
    template: &'t Template,
    name: &str,
    environment: impl Fn(&template::Function, &str) -> Option<String> + Send + Sync + 't,
) -> Result<Settings<'t>, String> {
    let function = template.functions.iter().find(|function| function.name == name);
    let function = function.ok_or_else(|| format!("template.yaml has no function {name}."))?;
    Ok(Settings::new(move |name| environment(function, name)))
}

fn sentence(error: ConfigError) -> String {
    format!("{error}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_ends_by_itself_has_failed() {
        let started = Server::start(0, &Data::Memory, Clock::default(), |_| None).await;
        let mut server = started.unwrap();
        server.server.abort();
        let sentence = server.failure().await;
        assert!(sentence.starts_with("The HTTP server has ended: "), "{sentence}");
    }
}
