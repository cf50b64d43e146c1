//! The commands for the signing key and the public keys: `farebox manage keys`, `rotate-key` and
//! `withdraw-key`.

use clap::Args;
use emulator::dynamo;
use serde::Serialize;
use shared::config::Secret;
use shared::keys::Signer;
use shared::store::PublicKey;
use shared::{App, clock, secrets};

use super::target::{Opened, Target};
use super::{json_lines, sentence};

/// List the public keys, which verify tokens
#[derive(Args)]
pub(super) struct Keys {
    /// Print JSON, an object per line: the id `kid`, and the times `from` and `until`, which is null
    /// for a key without an end
    #[arg(long)]
    json: bool,
}

/// A public key in JSON.
#[derive(Serialize)]
struct KeyLine<'a> {
    kid: &'a str,
    from: String,
    until: Option<String>,
}

impl Keys {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        target.in_store(async |Opened { app, .. }| list(app, self.json).await).await
    }
}

/// Lists the public keys, one per line, oldest first.
async fn list(app: &App, json: bool) -> Result<String, String> {
    let mut published = app.store.public_keys().await.map_err(sentence)?;
    let now = app.clock.seconds();
    published.sort_by_key(|key| key.from);
    let time = |seconds: u64| clock::rfc3339(seconds * 1000);
    if json {
        return json_lines(published.iter().map(|PublicKey { kid, from, until, .. }| KeyLine {
            kid,
            from: time(*from),
            until: until.map(time),
        }));
    }
    let line = |key: &PublicKey| {
        let until = match key.until {
            Some(until) if until <= now => format!("ended {}", time(until)),
            Some(until) => format!("until {}", time(until)),
            None => "no end yet".into(),
        };
        format!("{}  from {}  {until}", key.kid, time(key.from))
    };
    match published.is_empty() {
        true => Ok("No key has been published yet.".into()),
        false => Ok(published.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

/// Replaces the signing secret with a new random secret, and publishes the new public key.
pub(super) async fn rotate(Opened { app, settings, aws, .. }: &Opened) -> Result<String, String> {
    let secret = dynamo::new_secret();
    match settings.signing_secret() {
        Ok(Secret::File(path)) => dynamo::write_private(&path, &secret)?,
        Ok(Secret::Arn(arn)) => secrets::put(&arn, &secret, aws)
            .await
            .map_err(|error| format!("The secret can't be replaced: {error}."))?,
        Ok(Secret::Value(_)) | Err(_) => {
            return Err("SIGNING_SECRET must name where the secret is kept: the ARN of a Secrets Manager secret, or file:///path.".into());
        }
    }
    let signer = Signer::new(Secret::Value(secret), aws, app.clock.clone()).await;
    let signer = signer.map_err(|error| format!("{error}."))?;
    signer.announce(&app.store).await.map_err(sentence)?;
    Ok(format!("The key {} signs all new tokens within five minutes.", signer.kid()))
}

/// Withdraw a public key. The tokens that the key verifies become invalid
#[derive(Args)]
pub(super) struct WithdrawKey {
    /// The key's id in the output of `keys`
    #[arg(allow_hyphen_values = true)]
    kid: String,
}

impl WithdrawKey {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        target.in_store(async |Opened { app, .. }| withdraw(app, &self.kid).await).await
    }
}

/// Withdraws a public key, unless it belongs to the signing key.
async fn withdraw(app: &App, kid: &str) -> Result<String, String> {
    let published = app.store.public_keys().await.map_err(sentence)?;
    if !published.iter().any(|key| key.kid == kid) {
        return Err(format!("No public key has the id {kid:?}; `manage keys` lists them."));
    }
    // The newest public key belongs to the signing key, or soon will, because a key is published
    // before it is used for signing.
    if published
        .iter()
        .filter(|key| key.until.is_none())
        .max_by_key(|key| key.from)
        .is_some_and(|newest| newest.kid == kid)
    {
        return Err(format!(
            "The key {kid} is the signing key. Replace it first, with `manage rotate-key`."
        ));
    }
    app.store.withdraw_key(kid).await.map_err(sentence)?;
    Ok(format!("Tokens that the key {kid} signed become invalid within five minutes."))
}
