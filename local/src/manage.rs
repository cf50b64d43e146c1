//! What an administrator does from a terminal: works on whatever store the environment names, or on the local one.

use std::path::Path;

use shared::App;
use shared::auth::NewPassword;
use shared::clock::Clock;
use shared::config::Config;
use shared::store::{NewAccount, Registered};
use shared::user::{Role, Username};
use shared::{Error, Tokens};

use crate::dynamo::{self, Data, Dynamo};
use crate::server::environment_of;
use crate::template::Template;

/// Makes an administrator.
///
/// # Errors
/// One sentence for people.
pub async fn create_admin(data: &Path, name: &str, tokens: u64, password: &str) -> Result<String, String> {
    let name = Username::parse(name).map_err(|sentence| format!("{name:?} can't be a name: {sentence}"))?;
    let grant = Tokens::new(tokens).ok_or_else(|| format!("--tokens may be at most {}.", Tokens::MAX))?;
    let password = NewPassword::parse(password, &[name.shown()])?;
    let (app, embedded) = open(data).await?;

    let password = app.passwords.hash(&password).await.map_err(|error| error.detail())?;
    let new = NewAccount { name, email: None, password, key: None, role: Role::Admin, grant, reason: "administrator created" };
    let account = new.open(&app.clock);
    let registered = app.store.register(&new, &account, None).await;
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    match registered {
        Ok(Registered::New) => Ok(format!("{} is an administrator with {grant} tokens.", account.name)),
        Ok(Registered::Taken(_)) | Err(Error::UsernameTaken) => Err(format!("Another account has the name {}.", account.name)),
        Err(error) => Err(format!("{} {}", error.detail(), error.cause().unwrap_or_default())),
    }
}

/// Releases every reservation whose lease is over, as the scheduled function does.
///
/// # Errors
/// One sentence for people.
pub async fn settle(data: &Path) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let swept = app.store.sweep(app.clock.seconds()).await;
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    let swept = swept.map_err(|error| format!("{} {}", error.detail(), error.cause().unwrap_or_default()))?;
    Ok(format!("{} reservations of {} accounts were released.", swept.released, swept.accounts))
}

/// The store that the environment names (`USERS_TABLE` and the others), or the one of the data folder: through the process that runs
/// it, or by opening it.
async fn open(data: &Path) -> Result<(App, Option<Dynamo>), String> {
    if std::env::var("USERS_TABLE").is_ok_and(|table| !table.is_empty()) {
        let config = Config::from_env().map_err(|error| format!("{error}."))?;
        return Ok((App::start_cold(config, Clock::default()).await.map_err(|error| format!("{error}."))?, None));
    }
    let (url, secret, embedded) = match dynamo::running(data) {
        Some((url, secret)) => (url, secret, None),
        None => {
            let embedded = Dynamo::start(&Data::Folder(data.to_owned()), ([127, 0, 0, 1], 0).into()).await?;
            (embedded.url.clone(), embedded.secret.clone(), Some(embedded))
        }
    };
    let template = Template::load()?;
    let register = template.functions.iter().find(|function| function.name == "register").ok_or("template.yaml has no function register")?;
    let lookup = |name: &str| environment_of(register, name, &url, &secret);
    let config = Config::from_lookup(lookup).map_err(|error| format!("{error}."))?;
    Ok((App::start_cold(config, Clock::default()).await.map_err(|error| format!("{error}."))?, embedded))
}
