//! The store that a command works on: a data folder, a deployed stack, or the tables that the
//! environment names. A command never guesses: if the environment is set for AWS, but doesn't name a
//! whole store, every command fails before it opens one.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use clap::Args;
use emulator::dynamo::{self, Data, Dynamo};
use emulator::template::Template;
use shared::clock::Clock;
use shared::config::{Config, Settings};
use shared::store::Store;
use shared::{App, aws};

use super::credentials;
use super::stack::{Stack, TABLES};
use crate::server::environment_of;

/// Variables that people set to work with AWS. One of them without the tables may mean that the
/// names of the tables got lost.
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
    // The server's option `data` has a default, which clap would give to a global option of this name.
    #[arg(long = "data", value_name = "DIR", global = true)]
    pub folder: Option<PathBuf>,
    /// Work on this deployed stack. The AWS CLI must be installed, because it reads the stack's
    /// tables and settings
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "folder")]
    pub stack: Option<String>,
}

/// A store that a [`Target`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Environment,
    Stack(String),
}

/// An open store.
pub struct Opened {
    /// The store's name, for the terminal.
    pub name: String,
    /// The access to the store, with its settings.
    pub app: App,
    /// The settings of the store's functions.
    pub settings: Settings<'static>,
    /// The configuration of AWS clients, with the operator's credentials.
    pub aws: SdkConfig,
    /// True if functions on AWS may use the store.
    pub is_deployed: bool,
    /// True if another process may use the store.
    pub is_shared: bool,
    embedded: Option<Dynamo>,
}

impl From<PathBuf> for Target {
    fn from(folder: PathBuf) -> Self {
        Self { folder: Some(folder), stack: None }
    }
}

impl Target {
    /// Opens the store, and prints its name on the standard error.
    ///
    /// # Errors
    /// Fails with a sentence for the terminal.
    pub async fn open(&self) -> Result<Opened, String> {
        let opened = match self.place(|name| std::env::var(name).ok())? {
            Place::Folder(folder) => in_folder(&folder).await?,
            Place::Environment => connect(Settings::from_env(), None).await?,
            Place::Stack(name) => {
                let stack = Stack::read(&name).await?;
                let opened = connect(stack.settings()?, Some(&stack.region)).await?;
                Opened { name: stack.to_string(), ..opened }
            }
        };
        eprintln!("Store: {}", opened.name);
        Ok(opened)
    }

    /// Returns the store that the options and the environment name.
    ///
    /// # Errors
    /// Fails if they name several stores, or an incomplete one.
    fn place(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Place, String> {
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
            (Self { folder: Some(folder), .. }, None) => return Ok(Place::Folder(folder.clone())),
            (Self { stack: Some(name), .. }, None) => return Ok(Place::Stack(name.clone())),
        }
        if table.is_none() {
            return match OF_AWS.into_iter().find(|name| set(name)) {
                None => Ok(Place::Folder("data".into())),
                Some(other) => Err(format!(
                    "{other} is set, but no table is named. Name the store: --stack NAME is a deployed stack, and --data data is the data folder."
                )),
            };
        }
        match TABLES.into_iter().find(|name| variable(name).is_none_or(|value| value.is_empty())) {
            None => Ok(Place::Environment),
            Some(missing) => Err(format!(
                "{missing} names no table. Set all of {}, or use --stack NAME.",
                TABLES.join(", ")
            )),
        }
    }
}

impl Opened {
    /// Closes the store.
    pub async fn close(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Opens the store in a data folder, which another process may have open.
async fn in_folder(folder: &Path) -> Result<Opened, String> {
    let (url, signing_secret, embedded) = match dynamo::running(folder) {
        Some((url, signing_secret)) => (url, signing_secret, None),
        None => {
            let data = Data::Folder(folder.to_owned());
            let embedded = Dynamo::start(&data, ([127, 0, 0, 1], 0).into()).await?;
            (embedded.url.clone(), embedded.signing_secret.clone(), Some(embedded))
        }
    };
    let register = Template::load()?
        .functions
        .iter()
        .find(|function| function.name == "register")
        .ok_or("template.yaml has no function register")?;
    let lookup = move |name: &str| environment_of(register, name, &url, &signing_secret);
    Ok(Opened {
        name: format!("the folder {}", folder.display()),
        is_deployed: false,
        is_shared: embedded.is_none(),
        embedded,
        ..connect(Settings::new(lookup), None).await?
    })
}

/// Connects to the tables that the settings name, in the region in which the AWS CLI has found them.
/// Without a `region`, the environment must name it.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub(crate) async fn connect(
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
                None => region_of(|name| std::env::var(name).ok())?,
            };
            (format!("the table {users} in {region}"), credentials::operator(region, by_cli).await?)
        }
    };
    // The time limit suits a command, which may read whole tables while a person waits.
    let aws = aws::patient(aws);
    let store = Store::connect(&aws, &config);
    let app = App::from_parts(config, Clock::default(), store);
    Ok(Opened { name, app, settings, aws, is_deployed: true, is_shared: true, embedded: None })
}

/// Returns the AWS region in `AWS_REGION` or `AWS_DEFAULT_REGION`. boto3 and SAM CLI, which deploy
/// a stack, read only `AWS_DEFAULT_REGION`.
fn region_of(variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let set = |name| variable(name).filter(|region| !region.is_empty());
    match (set("AWS_REGION"), set("AWS_DEFAULT_REGION")) {
        (Some(one), Some(other)) if one != other => Err(format!(
            "AWS_REGION is {one} and AWS_DEFAULT_REGION is {other}: set both to the region that you mean."
        )),
        (Some(region), _) | (None, Some(region)) => Ok(region),
        (None, None) => {
            Err("No region is set: export AWS_REGION, such as AWS_REGION=eu-central-1.".to_owned())
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("is_deployed", &self.is_deployed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_either_variable() {
        let of = |one: &'static str, other: &'static str| {
            region_of(move |name| {
                let named = if name == "AWS_REGION" { one } else { other };
                (named != "-").then(|| named.to_owned())
            })
        };
        for (one, other) in
            [("eu-west-1", "-"), ("-", "eu-west-1"), ("", "eu-west-1"), ("eu-west-1", "eu-west-1")]
        {
            assert_eq!(of(one, other).unwrap(), "eu-west-1");
        }
        assert!(of("eu-west-1", "us-east-1").unwrap_err().contains("set both"));
        assert!(of("-", "").unwrap_err().contains("No region is set"));
    }

    fn place(target: &Target, environment: &[(&str, &str)]) -> Result<Place, String> {
        target.place(|name| {
            environment.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn half_an_environment_names_no_store() {
        let all = TABLES.map(|name| (name, "a-table"));
        let none = Target::default();
        assert_eq!(place(&none, &[]), Ok(Place::Folder("data".into())));
        assert_eq!(place(&none, &all), Ok(Place::Environment));
        for (number, missing) in TABLES.into_iter().enumerate() {
            let mut some = all.to_vec();
            some.remove(number);
            let refused = place(&none, &some).unwrap_err();
            assert!(refused.contains(&format!("{missing} names no table")), "{refused}");
            some.push((missing, ""));
            assert_eq!(place(&none, &some), Err(refused));
        }
        for name in OF_AWS {
            let refused = place(&none, &[(name, "x")]).unwrap_err();
            assert!(refused.starts_with(&format!("{name} is set, but no table is named.")));
        }
        let lost = TABLES.map(|name| (name, ""));
        assert!(place(&none, &lost).unwrap_err().contains("USERS_TABLE names no table"));
    }

    #[test]
    fn two_stores_are_refused() {
        let folder = Target::from(PathBuf::from("x"));
        let stack = Target { folder: None, stack: Some("farebox-prod".into()) };
        let aws = [("AWS_PROFILE", "x"), ("AWS_REGION", "eu-west-1")];
        assert_eq!(place(&folder, &aws), Ok(Place::Folder("x".into())));
        assert_eq!(place(&stack, &aws), Ok(Place::Stack("farebox-prod".into())));
        for target in [folder, stack] {
            assert!(place(&target, &[("LEDGER_TABLE", "")]).unwrap_err().contains("Unset"));
        }
    }
}
