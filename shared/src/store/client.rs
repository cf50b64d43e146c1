//! The connection to DynamoDB.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

use crate::aws;
use crate::config::{Config, Tables};
use crate::store::send_counter::SendCounter;
use crate::store::traced::TraceInterceptor;

/// A DynamoDB client that knows the table names. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    pub(in crate::store) client: Client,
    pub(in crate::store) tables: Arc<Tables>,
    operator: Arc<str>,
}

/// The author of a command's changes in the ledger and in the audit log. A colon and the caller of the
/// command follow, if the caller is known.
pub const MANAGE: &str = "manage";

impl Store {
    /// Connects to the endpoint in the settings, or to AWS if the settings don't contain one.
    pub fn connect(aws: &aws_config::SdkConfig, config: &Config) -> Self {
        Self::with_client(aws_sdk_dynamodb::Config::from(aws).to_builder(), config)
    }

    /// Like [`Store::connect`], but completes a client configuration that the caller has prepared.
    pub fn with_client(mut client: aws_sdk_dynamodb::config::Builder, config: &Config) -> Self {
        if let Some(endpoint) = &config.dynamodb_endpoint {
            client.set_endpoint_url(Some(endpoint.url.clone()));
            if let Some(credentials) = aws::credentials(endpoint) {
                client.set_credentials_provider(Some(credentials));
            }
        }
        client = client.interceptor(SendCounter);
        if config.traces.is_some() {
            client = client.interceptor(TraceInterceptor);
        }
        let (client, tables) = (Client::from_conf(client.build()), config.tables.clone());
        Self { client, tables: Arc::new(tables), operator: MANAGE.into() }
    }

    /// Returns a store that records this caller as the author of a command's changes: an ARN, or a
    /// user of this machine.
    pub fn for_operator(self, caller: &str) -> Self {
        Self { operator: format!("{MANAGE}:{caller}").into(), ..self }
    }

    /// Returns the author of a command's changes.
    pub fn operator(&self) -> &str {
        &self.operator
    }
}
