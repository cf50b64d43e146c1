//! `farebox` without a command: the whole API on this machine.

use std::path::PathBuf;

use clap::Args;
use emulator::dynamo::Data;
use shared::aws::ServiceUrl;
use shared::clock::Clock;
use shared::config::variable;
use shared::telemetry::model_calls;

use crate::say;
use crate::server::Server;
use crate::server::model_servers::{ModelServer, Program};
use crate::terminal::interruption;

/// The options of the local server.
#[derive(Args)]
pub struct Serve {
    /// The port to serve on
    #[arg(long, default_value_t = 3000)]
    port: u16,
    #[command(flatten)]
    place: DataPlace,
    #[command(flatten)]
    model_ports: ModelPorts,
}

/// Where the data is stored.
#[derive(Args)]
pub(crate) struct DataPlace {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Keep the data in memory only
    #[arg(long, conflicts_with = "data")]
    memory: bool,
}

impl DataPlace {
    pub(crate) fn data(self) -> Data {
        if self.memory { Data::Memory } else { Data::Folder(self.data) }
    }
}

/// The ports on which to look for model servers.
#[derive(Args)]
struct ModelPorts {
    /// The port on which to look for Ollama
    #[arg(long, value_name = "PORT", default_value_t = Program::Ollama.usual_port())]
    ollama_port: u16,
    /// The port on which to look for LM Studio
    #[arg(long, value_name = "PORT", default_value_t = Program::LmStudio.usual_port())]
    lm_studio_port: u16,
    /// The port on which to look for llama.cpp's server
    #[arg(long, value_name = "PORT", default_value_t = Program::LlamaCpp.usual_port())]
    llama_cpp_port: u16,
}

impl ModelPorts {
    /// Returns the model servers that may run on this machine. The first server with a chat model
    /// answers messages.
    fn servers(&self) -> [ModelServer; 3] {
        [
            ModelServer { program: Program::Ollama, port: self.ollama_port },
            ModelServer { program: Program::LmStudio, port: self.lm_studio_port },
            ModelServer { program: Program::LlamaCpp, port: self.llama_cpp_port },
        ]
    }
}

impl Serve {
    /// Serves until the program is interrupted.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub async fn run(self) -> Result<(), String> {
        let Self { port, place, model_ports } = self;
        let data = place.data();
        let interruption = interruption()?;
        // Links in e-mails lead to this server's pages. With port 0, the server's port isn't known
        // yet.
        let pages = (port != 0).then(|| format!("http://127.0.0.1:{port}"));
        let default = |name: &str| pages.clone().filter(|_| name == "MAIL_URL");
        let environment = |name: &str| variable(name).or_else(|| default(name));
        let servers = model_ports.servers();
        // There is no CloudWatch here, so the statistics read the calls to AI models from memory.
        model_calls::keep();
        let mut server =
            Server::start_with_model_servers(&servers, port, &data, Clock::default(), environment)
                .await?;
        introduce(&server, &data);
        tokio::select! {
            _ = interruption => {}
            failure = server.failure() => return Err(failure),
        }
        say!("Stopping.");
        server.stop().await;
        Ok(())
    }
}

/// Prints where the server listens, and how to use it.
fn introduce(server: &Server, data: &Data) {
    let url = &server.url;
    say!("Farebox listens on {url} (Ctrl-C stops it)");
    say!();
    for route in functions::ROUTES.iter().filter(|route| route.method != "ANY") {
        say!("  {:6} {}", route.method, route.path);
    }
    say!();
    let address = server.dynamo.address;
    let elsewhere = variable("DYNAMODB_ENDPOINT").and_then(|url| ServiceUrl::parse(&url));
    match (elsewhere, data) {
        (Some(store), _) => {
            say!("DYNAMODB_ENDPOINT says where the data is: in the tables at {}.", store.url);
        }
        (None, Data::Folder(folder)) => {
            say!(
                "The data is in the folder {}; the embedded DynamoDB listens on {address}.",
                folder.display()
            );
            say!(
                "E-mails are not sent: each is shown here and stored in {}.",
                folder.join("mail").display()
            );
        }
        (None, Data::Memory) => {
            say!("The data is in memory only; the embedded DynamoDB listens on {address}.")
        }
    }
    if let Some(checkout) = &server.checkout {
        let all = &checkout.dashboard;
        say!("Payments are simulated. {all} lists all payments; refund or dispute them there.");
    }
    say!("{}", server.answering);
    say!("Create an account:");
    say!();
    say!(
        r#"  curl -s {url}/api/register -H 'Content-Type: application/json' -d '{{"username": "ann", "password": "secret123"}}'"#
    );
    say!();
}
