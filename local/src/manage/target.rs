//! The store that a command works on: a data folder, a deployed stack, or the tables that the
//! environment names. A command never guesses. If the environment is set up for AWS but doesn't
//! name all parts of a store, every command fails before it opens a store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use emulator::dynamo::{self, Data, Dynamo, Holder};
use emulator::template::Template;
use serde_json::Value;
use shared::clock::Clock;
use shared::config::{Config, Settings, variable};
use shared::store::Store;
use shared::{App, aws};

use super::credentials;
use super::stack::{self, Stack, TABLES, region_of};
use crate::note;
use crate::server::environment_of;

/// Variables that people set to work with AWS. If one of them is set but no table is, the variables
/// for the tables may have been lost.
const OF_AWS: [&str; 8] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "DYNAMODB_ENDPOINT",
];

/// The options that name a store.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// Work on the store in this folder. The default is data, unless the environment names tables
    // The server's `data` option has a default, which clap would give to a global option of this
    // name.
    #[arg(long = "data", value_name = "DIR", global = true)]
    pub folder: Option<PathBuf>,
    /// Work on this deployed stack. The AWS CLI must be installed, because it reads the stack's
    /// tables and settings
    #[arg(long, value_name = "NAME", global = true, value_parser = NonEmptyStringValueParser::new())]
    pub stack: Option<String>,
}

/// The pause between two checks of whether another command is still using a data folder.
const PAUSE: Duration = Duration::from_millis(50);

/// A store that a [`Target`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ChosenStore {
    Folder(PathBuf),
    Environment,
    Stack(String),
}

/// An open store.
pub(super) struct Opened {
    /// The store's name, for the terminal.
    pub(super) name: String,
    /// The connection to the store, with its settings.
    pub(super) app: App,
    /// The settings of the store's functions.
    pub(super) settings: Settings<'static>,
    /// The configuration for AWS clients, with the operator's credentials.
    pub(super) aws: SdkConfig,
    /// True if functions on AWS may use the store.
    pub(super) is_deployed: bool,
    /// True if another process may use the store.
    pub(super) is_shared: bool,
    embedded: Option<Dynamo>,
}

impl Opened {
    /// Returns the caller of the command: the ARN of the AWS identity, or a user of this machine.
    /// Without the AWS CLI, the id of the AWS access key.
    async fn caller(&self) -> Option<String> {
        let is_local =
            self.app.config.dynamodb_endpoint.as_ref().is_some_and(|at| at.is_emulator());
        if is_local {
            let set = |name| variable(name).filter(|user| !user.is_empty());
            return ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(set);
        }
        if let Ok(identity) = stack::aws(&["sts", "get-caller-identity"]).await
            && let Some(arn) = identity.get("Arn").and_then(Value::as_str)
        {
            return Some(arn.to_owned());
        }
        let credentials = self.aws.credentials_provider()?.provide_credentials().await.ok()?;
        Some(format!("access key {}", credentials.access_key_id()))
    }
}

/// What a command does if the data folder contains no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The store is created.
    Create,
    /// The command works on an empty store in memory. This suits a dry run.
    Imagine,
    /// The command fails. The name of the folder is probably mistyped.
    Refuse,
}

impl From<PathBuf> for Target {
    fn from(folder: PathBuf) -> Self {
        Self { folder: Some(folder), stack: None }
    }
}

impl Target {
    /// Opens the store, runs `work`, and closes the store. Fails with an error message for the
    /// terminal. Also fails if a data folder contains no store.
    pub(super) async fn in_store<T>(
        &self,
        work: impl AsyncFnOnce(&Opened) -> Result<T, String>,
    ) -> Result<T, String> {
        self.in_store_or(Missing::Refuse, work).await
    }

    /// Like [`Target::in_store`], for commands that can begin without a store.
    pub(super) async fn in_store_or<T>(
        &self,
        missing: Missing,
        work: impl AsyncFnOnce(&Opened) -> Result<T, String>,
    ) -> Result<T, String> {
        self.run(missing, false, work).await
    }

    /// Like [`Target::in_store_or`], for commands whose changes the audit log lists: it names the
    /// caller of the command.
    pub(super) async fn acting<T>(
        &self,
        missing: Missing,
        work: impl AsyncFnOnce(&Opened) -> Result<T, String>,
    ) -> Result<T, String> {
        self.run(missing, true, work).await
    }

    async fn run<T>(
        &self,
        missing: Missing,
        names_caller: bool,
        work: impl AsyncFnOnce(&Opened) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut opened = self.open(missing).await?;
        if names_caller && let Some(caller) = opened.caller().await {
            opened.app.store = opened.app.store.for_operator(&caller);
        }
        let done = work(&opened).await;
        if let Some(embedded) = opened.embedded {
            embedded.stop().await;
        }
        done
    }

    /// Opens the store, and prints its name to standard error.
    async fn open(&self, missing: Missing) -> Result<Opened, String> {
        let opened = match self.chosen_store(variable)? {
            ChosenStore::Folder(folder) => in_folder(&folder, missing).await?,
            ChosenStore::Environment => connect(Settings::from_env(), None).await?,
            ChosenStore::Stack(name) => {
                let stack = Stack::read(&name).await?;
                let opened = connect(stack.settings()?, Some(&stack.region)).await?;
                Opened { name: stack.to_string(), ..opened }
            }
        };
        note!("Store: {}", opened.name);
        Ok(opened)
    }

    /// Returns the store that the options and the environment name.
    ///
    /// # Errors
    /// Fails if they name several stores or an incomplete store.
    fn chosen_store(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<ChosenStore, String> {
        if let Self { folder: Some(_), stack: Some(_) } = self {
            return Err("--data and --stack name two stores: give only one of them.".into());
        }
        let set = |name: &&str| variable(name).is_some();
        let table = TABLES.into_iter().find(|name| set(name));
        let option = match self {
            Self { stack: Some(_), .. } => "--stack",
            _ => "--data",
        };
        match (self, table) {
            (Self { folder: None, stack: None }, _) => {}
            (_, Some(table)) => {
                return Err(format!(
                    "{table} is set, and {option} names another store. Unset {table} or leave out {option}."
                ));
            }
            (Self { folder: Some(folder), .. }, None) => {
                return Ok(ChosenStore::Folder(folder.clone()));
            }
            (Self { stack: Some(name), .. }, None) => return Ok(ChosenStore::Stack(name.clone())),
        }
        if table.is_none() {
            return match OF_AWS.into_iter().find(|name| set(name)) {
                None => Ok(ChosenStore::Folder("data".into())),
                Some(other) => Err(format!(
                    "{other} is set, but no table is named. Name the store: --stack NAME is a \
                     deployed stack, and --data data is the data folder."
                )),
            };
        }
        match TABLES.into_iter().find(|name| variable(name).is_none_or(|value| value.is_empty())) {
            None => Ok(ChosenStore::Environment),
            Some(missing) => Err(format!(
                "{missing} names no table. Set all of {}, or use --stack NAME.",
                TABLES.join(", ")
            )),
        }
    }
}

/// Opens the store in a data folder, which a running server may share. Waits while another command
/// uses it.
async fn in_folder(folder: &Path, missing: Missing) -> Result<Opened, String> {
    let shown = folder.display();
    match missing {
        _ if dynamo::has_store(folder) => {}
        Missing::Create => {}
        Missing::Imagine => {
            return in_memory(format!("the folder {shown}, which has no store yet")).await;
        }
        Missing::Refuse => {
            return Err(format!(
                "The folder {shown} has no store: name the right one with --data. The first start of the server creates a store."
            ));
        }
    }
    let mut waits = false;
    let (url, signing_secret, embedded) = loop {
        match dynamo::holder(folder) {
            Holder::Server { url, signing_secret } => break (url, signing_secret, None),
            Holder::Command => {
                if !waits {
                    note!("Another command uses the folder {shown}. Waiting until it has ended.");
                    waits = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
            Holder::Free => {
                if let Some(embedded) = Dynamo::start_for_command(folder).await? {
                    let (url, secret) = (embedded.url.clone(), embedded.signing_secret.clone());
                    break (url, secret, Some(embedded));
                }
            }
        }
    };
    let name = format!("the folder {shown}");
    let is_shared = embedded.is_none();
    let opened = connect(local_settings(url, signing_secret)?, None).await?;
    Ok(Opened { name, is_deployed: false, is_shared, embedded, ..opened })
}

async fn in_memory(name: String) -> Result<Opened, String> {
    let embedded = Dynamo::start(&Data::Memory, ([127, 0, 0, 1], 0).into()).await?;
    let settings = local_settings(embedded.url.clone(), embedded.signing_secret.clone())?;
    let opened = connect(settings, None).await?;
    Ok(Opened { name, is_deployed: false, is_shared: false, embedded: Some(embedded), ..opened })
}

/// Returns the settings of the functions on this machine.
fn local_settings(url: String, signing_secret: String) -> Result<Settings<'static>, String> {
    let functions = &Template::load()?.functions;
    Ok(Settings::new(move |name| {
        functions.iter().find_map(|function| environment_of(function, name, &url, &signing_secret))
    }))
}

/// Connects to the tables that the settings name, in the region where the AWS CLI has found them.
/// If `region` is `None`, the environment must name the region.
pub(super) async fn connect(
    settings: Settings<'static>,
    region: Option<&str>,
) -> Result<Opened, String> {
    let config = Config::read(&settings).map_err(|error| format!("{error}."))?;
    let users = &config.tables.users;
    let (name, aws) = match &config.dynamodb_endpoint {
        Some(endpoint) if endpoint.is_emulator() => {
            (format!("the table {users} at {}", endpoint.url), aws::emulated())
        }
        _ => {
            let by_cli = region.is_some();
            let region = match region {
                Some(region) => region.to_owned(),
                None => region_of(variable)?.ok_or(
                    "No region is set: export AWS_REGION, such as AWS_REGION=eu-central-1.",
                )?,
            };
            (format!("the table {users} in {region}"), credentials::operator(region, by_cli).await?)
        }
    };
    // Wait longer than functions do, because a command may read whole tables.
    let aws = aws::patient(aws);
    let store = Store::connect(&aws, &config);
    let app = App::from_parts(config, Clock::default(), store);
    Ok(Opened { name, app, settings, aws, is_deployed: true, is_shared: true, embedded: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_store(target: &Target, environment: &[(&str, &str)]) -> Result<ChosenStore, String> {
        target.chosen_store(|name| {
            environment.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn half_an_environment_names_no_store() {
        let all = TABLES.map(|name| (name, "a-table"));
        let none = Target::default();
        assert_eq!(chosen_store(&none, &[]), Ok(ChosenStore::Folder("data".into())));
        assert_eq!(chosen_store(&none, &all), Ok(ChosenStore::Environment));
        for (number, missing) in TABLES.into_iter().enumerate() {
            let mut some = all.to_vec();
            some.remove(number);
            let refused = chosen_store(&none, &some).unwrap_err();
            assert!(refused.contains(&format!("{missing} names no table")), "{refused}");
            some.push((missing, ""));
            assert_eq!(chosen_store(&none, &some), Err(refused));
        }
        for name in OF_AWS {
            let refused = chosen_store(&none, &[(name, "x")]).unwrap_err();
            assert!(refused.starts_with(&format!("{name} is set, but no table is named.")));
        }
        let lost = TABLES.map(|name| (name, ""));
        assert!(chosen_store(&none, &lost).unwrap_err().contains("USERS_TABLE names no table"));
    }

    #[test]
    fn two_stores_are_refused() {
        let folder = Target::from(PathBuf::from("x"));
        let stack = Target { folder: None, stack: Some("farebox-prod".into()) };
        let aws = [("AWS_PROFILE", "x"), ("AWS_REGION", "eu-west-1")];
        assert_eq!(chosen_store(&folder, &aws), Ok(ChosenStore::Folder("x".into())));
        assert_eq!(chosen_store(&stack, &aws), Ok(ChosenStore::Stack("farebox-prod".into())));
        let both = Target { folder: folder.folder.clone(), ..stack.clone() };
        assert!(chosen_store(&both, &[]).unwrap_err().contains("two stores"));
        for target in [folder, stack] {
            assert!(chosen_store(&target, &[("LEDGER_TABLE", "")]).unwrap_err().contains("Unset"));
        }
    }
}
