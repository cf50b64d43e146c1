//! Signing keys. Commands list, rotate and withdraw keys while servers and functions run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use shared::App;
use shared::app::IssuerApp;
use shared::config::Secret;
use shared::keys::Signer;
use shared::secrets;
use shared::values::{AccessToken, Session};

use crate::support::amazon::{Amazon, Asked, Does};
use crate::support::client::{Api, Person};
use crate::support::forge;
use crate::support::program::{self, Folder};

/// How long functions keep keys and secrets before they read them again.
const KEPT: Duration = Duration::from_secs(300);

/// Runs `manage` in a separate process. Returns whether the command succeeded, and its output.
async fn manage(folder: &Folder, arguments: &[&str]) -> (bool, String) {
    let arguments: Vec<String> = ["manage"]
        .iter()
        .chain(arguments)
        .chain(&["--data", folder.path()])
        .map(|argument| (*argument).to_owned())
        .collect();
    let run = move || program::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// The ids of the public keys that the API publishes.
async fn shown(api: &Api) -> BTreeSet<String> {
    let keys = api.get("/.well-known/jwks.json").await.is(200);
    keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(token: &str) -> String {
    forge::header(token)["kid"].as_str().unwrap().to_owned()
}

/// Asserts that every kind of token is still accepted. Returns the person with refreshed tokens.
async fn goes_on(ann: &Person) -> Person {
    for token in [&ann.access, &ann.token] {
        ann.using(token).profile().await.is(200);
    }
    let refreshed = ann.api.refresh(&ann.refresh).await.is(200);
    let text = |field: &str| refreshed[field].as_str().unwrap().to_owned();
    Person { access: text("access"), refresh: text("refresh"), ..ann.clone() }
}

#[tokio::test]
async fn keys_are_rotated_while_the_server_runs() {
    let folder = Folder::new();
    let api = Api::in_folder(folder.path()).await;
    let clock = &api.server().clock;
    let (ann, dora) = (api.person("ann").await, api.person("dora").await);
    let old = kid(&ann.access);
    let (listed, line) = manage(&folder, &["keys"]).await;
    assert!(
        listed && line.starts_with(&format!("{old}  from 20")) && line.ends_with("Z  no end yet\n"),
        "{line}"
    );
    let (withdrawn, sentence) = manage(&folder, &["withdraw-key", &old]).await;
    assert_eq!(
        (withdrawn, sentence),
        (
            false,
            format!(
                "error: The key {old} is the signing key. Replace it first, with `manage rotate-key`.\n"
            )
        )
    );

    second_after(&api).await;
    let (rotated, sentence) = manage(&folder, &["rotate-key"]).await;
    assert!(
        rotated && sentence.ends_with(" signs all new tokens within five minutes.\n"),
        "{sentence}"
    );
    let new = sentence.split_whitespace().nth(2).unwrap().to_owned();
    assert_ne!(new, old);
    let ann = goes_on(&ann).await;
    assert_eq!(kid(&ann.access), old, "the key has not been read again yet");

    clock.advance(KEPT);
    assert_eq!(shown(&api).await, BTreeSet::from([old.clone(), new.clone()]));
    let ben = api.person("ben").await;
    assert!([&ben.access, &ben.token, &ben.refresh].iter().all(|token| kid(token) == new));
    goes_on(&ben).await;
    let renewed = goes_on(&ann).await;
    assert_eq!(kid(&renewed.access), new, "an old session goes on under the new key");
    goes_on(&dora).await;
    let (_, lines) = manage(&folder, &["keys"]).await;
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].starts_with(&old) && lines[0].contains("Z  until 20"), "{lines:?}");
    assert!(lines[1].starts_with(&new) && lines[1].ends_with("no end yet"), "{lines:?}");

    assert!(!manage(&folder, &["withdraw-key", &new]).await.0);
    let (withdrawn, sentence) = manage(&folder, &["withdraw-key", &old]).await;
    assert_eq!(
        (withdrawn, sentence),
        (true, format!("Tokens that the key {old} signed become invalid within five minutes.\n"))
    );
    assert!(!manage(&folder, &["withdraw-key", &old]).await.0);
    clock.advance(KEPT);
    assert_eq!(shown(&api).await, BTreeSet::from([new.clone()]));
    for token in [&ann.access, &ann.token] {
        ann.using(token).profile().await.expect(401, "token_not_valid");
    }
    for refresh in [&ann.refresh, &dora.refresh] {
        api.refresh(refresh).await.expect(401, "token_not_valid");
    }
    // The session continues with JWTs that the new key signed.
    renewed.profile().await.is(200);
    api.refresh(&renewed.refresh).await.is(200);
    goes_on(&ben).await;
    assert_eq!(kid(&dora.elsewhere("x").await.access), new);
    assert_eq!(shown(&api).await, BTreeSet::from([new]), "nothing brings the old key back");
}

/// Waits for the end of the second in which the server published its key, because key timestamps
/// are stored in whole seconds.
async fn second_after(api: &Api) {
    let from = api.store().public_keys().await.unwrap()[0].from;
    while api.now() <= from {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn old_keys_expire_with_their_last_token() {
    let folder = Folder::new();
    let api = Api::in_folder(folder.path()).await;
    let ann = api.person("ann").await;
    let old = kid(&ann.access);
    second_after(&api).await;
    assert!(manage(&folder, &["rotate-key"]).await.0);
    api.server().clock.advance(KEPT);
    ann.log_in().await.is(200);
    api.server().clock.advance(Duration::from_secs(30 * 86_400 - 400));
    ann.using(&ann.token).profile().await.is(200);
    assert!(shown(&api).await.contains(&old));
    api.server().clock.advance(Duration::from_secs(1200));
    assert!(!shown(&api).await.contains(&old));
}

#[tokio::test]
async fn keys_rotated_offline_sign_in_the_next_run() {
    let folder = Folder::with_store();
    assert_eq!(manage(&folder, &["keys"]).await, (true, "No key has been published yet.\n".into()));
    let secret = || std::fs::read_to_string(format!("{}/signing-secret", folder.path())).unwrap();
    let first = secret();
    let (rotated, sentence) = manage(&folder, &["rotate-key"]).await;
    assert!(rotated && secret() != first, "{sentence}");
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::MetadataExt::mode(
            &std::fs::metadata(format!("{}/signing-secret", folder.path())).unwrap()
        ) & 0o777,
        0o600
    );
    let api = Api::in_folder(folder.path()).await;
    let ann = api.person("ann").await;
    assert!(sentence.contains(&kid(&ann.access)), "{sentence}");
    let (withdrawn, sentence) = manage(&folder, &["withdraw-key", "-no-such-key"]).await;
    assert_eq!(
        (withdrawn, sentence),
        (
            false,
            "error: No public key has the id \"-no-such-key\"; `manage keys` lists them.\n".into()
        )
    );
}

/// A fake Secrets Manager with one secret. The fake refuses requests if the secret has no value.
pub async fn secrets_manager(secret: Arc<Mutex<Option<String>>>) -> Amazon {
    let answer = move |asked: &Asked| {
        assert_eq!(asked.body["SecretId"], ARN);
        let mut secret = secret.lock().unwrap();
        if asked.target == "secretsmanager.PutSecretValue" {
            assert!(asked.body["ClientRequestToken"].is_string(), "safe to be sent twice");
            *secret = asked.body["SecretString"].as_str().map(str::to_owned);
        }
        match secret.as_ref() {
            Some(text) => Does::Says(200, json!({ "ARN": ARN, "Name": "x", "SecretString": text })),
            None => Does::Says(400, json!({ "__type": "AccessDeniedException", "Message": "no" })),
        }
    };
    Amazon::start("secretsmanager", answer).await
}

/// The ARN of the secret in [`secrets_manager`].
pub const ARN: &str = "arn:aws:secretsmanager:eu-central-1:1:secret:signing";

#[tokio::test]
async fn functions_load_new_secrets_within_five_minutes() {
    let api = Api::own(&[]).await;
    let warm = &api.server().apps["login"];
    let ann = api.person("ann").await;
    let account = api.account(&ann).await;
    let session =
        Session::new(&account, Some("x".into()), &warm.clock, Duration::from_secs(86_400));
    let secret = Arc::new(Mutex::new(None));
    let aws = secrets_manager(secret.clone()).await.config();
    let signer = || Signer::new(Secret::Arn(ARN.into()), &aws, warm.clock.clone());

    let refused = signer().await.err().unwrap();
    assert_eq!(refused.0, "SIGNING_SECRET: AccessDeniedException: no");
    *secret.lock().unwrap() = Some("too short".into());
    assert!(signer().await.is_err(), "no function starts with such a secret");

    secrets::put(ARN, "0123456789abcdefghijklmnopqrstuvwxyz", &aws).await.unwrap();
    let signer = signer().await.unwrap();
    let app = App::from_parts((*warm.config).clone(), warm.clock.clone(), warm.store.clone());
    let accounts = api.issuing("login").accounts.clone();
    let issuing = IssuerApp { app: app.clone(), accounts, signer: signer.clone() };
    let token = AccessToken::new(&account, &session, session.ends);
    let sign = async || token.sign(&issuing).await.unwrap();
    let first = sign().await;
    secrets::put(ARN, "zyxwvutsrqponmlkjihgfedcba9876543210", &aws).await.unwrap();
    app.clock.advance(KEPT - Duration::from_secs(2));
    assert_eq!(kid(&sign().await), kid(&first));
    app.clock.advance(Duration::from_secs(2));
    let second = sign().await;
    assert_ne!(kid(&second), kid(&first));
    assert_eq!(kid(&second), signer.kid());
    // If the secret can't be read again, the current key continues to sign.
    *secret.lock().unwrap() = None;
    app.clock.advance(KEPT);
    assert_eq!(kid(&sign().await), kid(&second));
    for token in [&first, &second] {
        ann.using(token).profile().await.is(200);
    }
}

#[tokio::test]
async fn secrets_that_are_not_stored_cannot_be_rotated() {
    let folder = Folder::new();
    let api = Api::in_folder(folder.path()).await;
    let run = |secret: &'static str| {
        let mut program = program::command(&["manage", "rotate-key"]);
        program.env("SIGNING_SECRET", secret);
        program::over_tables(&mut program, &api.dynamodb);
        tokio::task::spawn_blocking(move || program.output().unwrap())
    };
    for secret in ["", "0123456789abcdefghijklmnopqrstuvwxyz"] {
        let output = run(secret).await.unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success()
                && sentence.contains("error: SIGNING_SECRET must name where the secret is kept"),
            "{sentence}"
        );
    }
    assert_eq!(shown(&api).await.len(), 1);
}
