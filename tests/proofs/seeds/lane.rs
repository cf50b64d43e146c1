//! A store and the functions that use it, for schedules that run one after the other.

use std::sync::Arc;
use std::time::Duration;

use emulator::template::Template;
use shared::App;
use shared::ai::Ai;
use shared::app::IssuerApp;
use shared::clock::Clock;
use shared::config::{AccountConfig, AiConfig, AiProvider, Config, Settings};
use shared::keys::Signer;
use shared::store::Store;

use super::tables::{Kind, Tables};
use super::wire::Connection;
use crate::support::mistakes::Sabotage;

/// A store, and the functions that use it. In a lane, schedules run one after the other.
pub struct Lane {
    pub connection: Connection,
    pub app: App,
    pub ai: Ai,
    /// An AI whose second provider answers when the first one fails.
    pub failing_over: Ai,
    /// An AI with a long time limit, so that an answer can continue until it is stopped or
    /// completed. Functions that call this AI check for stops continuously.
    pub patient: Ai,
    accounts: Arc<AccountConfig>,
    signer: Signer,
}

impl Lane {
    pub async fn open(store: Kind, sabotage: Option<Sabotage>) -> Self {
        let template = Template::load().unwrap();
        let settings = Settings::new(|name| match name {
            "DYNAMODB_ENDPOINT" => Some("http://store".into()),
            "SIGNING_SECRET" => Some("0123456789abcdefghijklmnopqrstuvwxyz".into()),
            "AI_PROVIDER" => Some("scripted".into()),
            name => template
                .functions
                .iter()
                .find_map(|function| function.environment.get(name).cloned()),
        });
        let config = Config::read(&settings).unwrap();
        let mut ai = AiConfig::read(&settings).unwrap();
        // A hanging AI differs from a failing AI only in the time that it takes.
        ai.timeout = Duration::from_millis(1);
        let connection = Connection::to(Arc::new(Tables::open(store).await), sabotage);
        let clock = Clock::default();
        let store = Store::with_client(connection.client(), &config);
        let secret = settings.signing_secret().unwrap();
        let signer = Signer::new(secret, &shared::aws::emulated(), clock.clone()).await.unwrap();
        let providers = vec![AiProvider::Scripted, AiProvider::Echo];
        let failing_over = AiConfig { providers, ..ai.clone() };
        let failing_over = Ai::connect(failing_over, &clock).await.unwrap();
        let (timeout, stop_pace) = (Duration::from_secs(3600), Duration::ZERO);
        let patient = AiConfig { timeout, stop_pace, ..ai.clone() };
        let patient = Ai::connect(patient, &clock).await.unwrap();
        let ai = Ai::connect(ai, &clock).await.unwrap();
        let app = App::from_parts(config, clock, store);
        let accounts = AccountConfig::read(&settings).unwrap().into();
        Self { connection, app, ai, failing_over, patient, accounts, signer }
    }

    pub fn tables(&self) -> Arc<Tables> {
        self.connection.wire().tables.clone()
    }

    /// Returns `app` in the form that it has in functions that sign JWTs.
    pub fn issuing(&self, app: App) -> IssuerApp {
        IssuerApp { app, accounts: self.accounts.clone(), signer: self.signer.clone() }
    }
}
