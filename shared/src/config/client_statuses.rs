//! The statuses that depend on the older system for which a client was written.

use std::collections::BTreeSet;

use super::{ConfigError, Names, Settings, rows};

/// The statuses that clients of older systems expect. They differ from system to system. Only the
/// environments of the endpoints for messages and log-ins contain this setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientStatuses {
    /// `message`: the status for an answered message, 200 or 201.
    pub message: u16,
    /// `balance`: the status for refusing a message that costs more than the balance: 400, 402 or
    /// 403.
    pub balance: u16,
    /// `login`: the status for refusing a log-in, 400 or 401.
    pub login: u16,
}

impl Default for ClientStatuses {
    fn default() -> Self {
        Self { message: 200, balance: 402, login: 401 }
    }
}

impl ClientStatuses {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::CLIENT_STATUSES.name];

    /// Reads `CLIENT_STATUSES`, such as `message=201,balance=403`. Statuses that aren't listed keep
    /// their defaults.
    ///
    /// # Errors
    /// Returns an error if the setting's syntax is invalid, or if it contains a status that none of
    /// these clients expects.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        let text = settings.text(rows::CLIENT_STATUSES);
        let mut statuses = Self::default();
        let mut named = BTreeSet::new();
        for listed in text.split(',').filter(|_| !text.is_empty()) {
            let name = listed.split('=').next().unwrap_or_default();
            if !named.insert(name) {
                return Err(ConfigError(format!("CLIENT_STATUSES lists {name} twice")));
            }
            match listed {
                "message=200" => statuses.message = 200,
                "message=201" => statuses.message = 201,
                "balance=400" => statuses.balance = 400,
                "balance=402" => statuses.balance = 402,
                "balance=403" => statuses.balance = 403,
                "login=400" => statuses.login = 400,
                "login=401" => statuses.login = 401,
                other => {
                    return Err(ConfigError(format!(
                        "CLIENT_STATUSES must list message=200 or 201, balance=400, 402 or 403, \
                         and login=400 or 401, separated by commas (got {other:?})"
                    )));
                }
            }
        }
        Ok(statuses)
    }
}
