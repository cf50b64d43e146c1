//! `farebox dynamodb`: only the embedded DynamoDB, for Lambda emulators.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use clap::Args;
use emulator::dynamo::{Data, Dynamo, make_private_folder, write_private};
use emulator::template::Template;
use serde_json::{Map, json};
use shared::app::MailApp;
use shared::clock::Clock;
use shared::config::{Settings, variable};

use crate::say;
use crate::serve::DataPlace;
use crate::server::environment_of;
use crate::server::outbox::OutboxWorker;
use crate::terminal::interruption;

/// Serve only the embedded DynamoDB, for `cargo lambda watch` and `sam local start-api`
#[derive(Args)]
pub struct Dynamodb {
    /// The port to serve on
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// The address to serve on; containers can't reach 127.0.0.1
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    #[command(flatten)]
    place: DataPlace,
}

impl Dynamodb {
    /// Serves until the program is interrupted.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub async fn run(self) -> Result<(), String> {
        let Self { port, host, place } = self;
        let data = place.data();
        let interruption = interruption()?;
        let dynamo = Dynamo::start(&data, SocketAddr::new(host, port)).await?;
        let worker = outbox_worker(&dynamo, &data).await?;
        say!("The embedded DynamoDB listens on http://{} (Ctrl-C stops it)", dynamo.address);
        match data {
            Data::Folder(folder) => {
                write_environments(&folder, &dynamo)?;
                say!(
                    "The environment of the functions is in {0}/lambda.env (cargo lambda watch) and {0}/sam.json (sam local start-api).",
                    folder.display()
                );
            }
            // Without a data folder, the access key and the signing secret are shown only on the
            // terminal.
            Data::Memory => {
                say!(
                    "Nothing is written to disk. The access key and the signing secret of this run:"
                );
                say!();
                say!("  DYNAMODB_ENDPOINT={}", dynamo.url);
                say!("  SIGNING_SECRET={}", dynamo.signing_secret);
                say!();
            }
        }
        say!("E-mails are not sent: each is shown here.");
        let delivery = tokio::spawn(worker.work());
        interruption.await;
        say!("Stopping.");
        delivery.abort();
        dynamo.stop().await;
        Ok(())
    }
}

/// Returns the worker for this store's outbox. On AWS, a Lambda trigger follows the stream instead.
async fn outbox_worker(dynamo: &Dynamo, data: &Data) -> Result<OutboxWorker, String> {
    let template = Template::load()?;
    let function = template
        .functions
        .iter()
        .find(|function| function.name == "mail")
        .ok_or("template.yaml has no function mail")?;
    let settings = Settings::new(|name| match name {
        "DYNAMODB_ENDPOINT" => Some(dynamo.url.clone()),
        name => {
            variable(name).or_else(|| environment_of(function, name, &dynamo.url, &dynamo.secret))
        }
    });
    let mailing = MailApp::connect(&settings, Clock::default()).await;
    OutboxWorker::new(mailing.map_err(|error| format!("{error}."))?, data)
        .ok_or_else(|| "The embedded DynamoDB has no URL.".into())
}

/// Writes the environment of all functions for the two Lambda emulators: every variable in the
/// template, with this store's URL and secret.
fn write_environments(folder: &Path, dynamo: &Dynamo) -> Result<(), String> {
    make_private_folder(folder)
        .map_err(|error| format!("The folder {} can't be written: {error}.", folder.display()))?;
    let template = Template::load()?;
    let environment = |endpoint: &str, secret: &str| {
        let mut variables = Map::new();
        for function in &template.functions {
            for name in function.environment.keys() {
                // The emulators give all functions the same variables, so the first function's
                // value counts. For `AI_TIMEOUT_SECONDS` that is the value of `chat`, which is the
                // shortest.
                if variables.contains_key(name) {
                    continue;
                }
                let set =
                    variable(name).or_else(|| environment_of(function, name, endpoint, secret));
                variables.insert(name.clone(), json!(set.unwrap_or_default()));
            }
        }
        variables
    };
    let here = if dynamo.address.ip().is_unspecified() {
        dynamo.url_at("127.0.0.1")
    } else {
        dynamo.url.clone()
    };
    let here = environment(&here, &dynamo.signing_secret);
    let lines =
        here.iter().map(|(name, value)| format!("{name}={}\n", value.as_str().unwrap_or_default()));
    write_private(&folder.join("lambda.env"), &lines.collect::<String>())?;
    // Containers can't read the file with the secret in the folder.
    let in_container = environment(&dynamo.url_at("host.docker.internal"), &dynamo.secret);
    write_private(
        &folder.join("sam.json"),
        &format!("{:#}\n", json!({ "Parameters": in_container })),
    )
}
