//! The local server: embedded DynamoDB, one `App` per function with that function's environment,
//! the gateway in front, and the postman behind.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::try_join_all;
use shared::App;
use shared::clock::Clock;
use shared::config::Config;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::door;
use crate::dynamo::{Data, Dynamo, port_sentence};
use crate::gateway::{self, Gateway};
use crate::mail::{Postman, Sent};
use crate::template::{Function, Template};

/// How often what runs by the clock does so, as the template says.
const OFTEN: Duration = Duration::from_secs(300);

/// A server that answers.
pub struct Server {
    /// Where it answers.
    pub url: String,
    /// Its embedded DynamoDB.
    pub dynamo: Dynamo,
    /// The time that all its functions see.
    pub clock: Clock,
    /// The functions' settings and doors, by name.
    pub apps: HashMap<String, App>,
    /// The mails that its store's outbox led to.
    pub mails: Option<Sent>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Server {
    /// Starts on a loopback port (0 is any free one). `environment` wins over what the template
    /// says.
    ///
    /// # Errors
    /// One sentence for people.
    pub async fn start(
        port: u16,
        data: &Data,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener =
            TcpListener::bind(address).await.map_err(|error| port_sentence(address, &error))?;
        let url = format!("http://{}", listener.local_addr().map_err(|error| error.to_string())?);
        let dynamo = Dynamo::start(data, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;

        let template = Template::load()?;
        let clock = Clock::default();
        let apps = apps(&template, &clock, |function, name| {
            environment(name)
                .or_else(|| environment_of(function, name, &dynamo.url, &dynamo.signing_secret))
        });
        let apps = apps.await?;
        let gateway = Gateway::new(&template, &apps)?;
        let (stop, stopped) = oneshot::channel();
        let postman = apps.get("mail").and_then(|app| Postman::new(app.clone(), data));
        let mails = postman.as_ref().map(Postman::sent);
        let carrying = tokio::spawn(async move {
            if let Some(postman) = postman {
                postman.work().await;
            }
        });
        let scheduled = [
            tokio::spawn(often(apps.get("sweep").cloned(), functions::sweep::work)),
            tokio::spawn(often(apps.get("erase").cloned(), functions::erase::work)),
        ];
        let server = tokio::spawn(async move {
            door::serve(
                listener,
                move |req, address| gateway::answer(gateway.clone(), address, req),
                stopped,
            )
            .await;
            carrying.abort();
            scheduled.iter().for_each(JoinHandle::abort);
        });
        Ok(Self { url, dynamo, clock, apps, mails, stop, server })
    }

    /// Lets running requests finish, and stops.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.server.await;
        self.dynamo.stop().await;
    }
}

/// What the template's schedules do on AWS.
async fn often<F: Future<Output = shared::Result<()>>>(app: Option<App>, work: fn(App) -> F) {
    let Some(app) = app else { return };
    loop {
        if let Err(error) = work(app.clone()).await {
            tracing::error!(cause = error.cause(), "the scheduled work failed");
        }
        tokio::time::sleep(OFTEN).await;
    }
}

/// A variable of a function as the template says it, with the emulator and the secret in the place
/// of AWS's, and no limits per address.
pub fn environment_of(
    function: &Function,
    name: &str,
    dynamodb: &str,
    secret: &str,
) -> Option<String> {
    let value = function.environment.get(name)?;
    Some(match name {
        "DYNAMODB_ENDPOINT" => dynamodb.to_owned(),
        "SIGNING_SECRET" => secret.to_owned(),
        // Everybody has one address here.
        "LOGIN_FAILURES_PER_ADDRESS" | "REGISTRATIONS_PER_ADDRESS" => "0".to_owned(),
        _ => value.clone(),
    })
}

/// One `App` per function. The issuing ones come first: they publish the key that the others read
/// at their start.
async fn apps(
    template: &Template,
    clock: &Clock,
    environment: impl Fn(&Function, &str) -> Option<String>,
) -> Result<HashMap<String, App>, String> {
    let mut apps = HashMap::new();
    for issuing in [true, false] {
        let some = template
            .functions
            .iter()
            .filter(|function| function.environment.contains_key("SIGNING_SECRET") == issuing);
        let started = some.map(|function| async {
            let config = Config::from_lookup(|name| environment(function, name))
                .map_err(|error| format!("{error}."))?;
            let app = match issuing {
                true => App::start_issuing(config, clock.clone()).await,
                false if function.environment.contains_key("OPENAI_API_KEY") => {
                    App::start_asking(config, clock.clone()).await
                }
                false => App::start(config, clock.clone()).await,
            };
            let app = app.map_err(|error| format!("{error}."))?;
            Ok::<_, String>((function.name.clone(), app))
        });
        apps.extend(try_join_all(started).await?);
    }
    Ok(apps)
}
