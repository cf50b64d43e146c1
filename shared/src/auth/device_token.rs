//! Device tokens: a client stores one beyond its sessions, and proves with it at the next log-in
//! that it has logged in to this account before. Wrong passwords from other clients can't lock it
//! out then. The token gives access to nothing.
//!
//! It becomes invalid with everything that ends all sessions at once: a changed or reset password,
//! or a log-out everywhere.

use serde::{Deserialize, Serialize};

use super::token::{Claims, Kind, Subject, sign, verify};
use crate::app::Issuing;
use crate::http::cookie;
use crate::user::Account;
use crate::{App, Request, Result};

const KIND: Kind = Kind { typ: "device+jwt", audience: Some("device") };

/// How long after its last log-in a client is still known, in seconds: half a year.
const LIFE: u64 = 183 * 86_400;

/// A device token whose signature and times are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceToken {
    /// The account's id.
    pub user_id: String,
    /// The device's id, which stays the same as long as the client keeps its tokens.
    pub id: String,
    /// The second at which it ends.
    pub ends: u64,
    name: String,
    auth_epoch: u64,
    /// As in a [`RefreshToken`](super::RefreshToken).
    origin: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OfDevice {
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

impl DeviceToken {
    /// The token of a device that has logged in to this account at `now`, through a page of this
    /// origin if it is one.
    pub fn of(account: &Account, id: String, origin: Option<String>, now: u64) -> Self {
        Self {
            user_id: account.id.clone(),
            id,
            ends: now + LIFE,
            name: account.label.clone(),
            auth_epoch: account.auth_epoch,
            origin,
        }
    }

    /// The token as a string.
    pub async fn sign(&self, issuing: &Issuing) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.id };
        let own = OfDevice { epoch: self.auth_epoch, origin: self.origin.clone() };
        sign(issuing, &KIND, of, self.ends, own).await
    }

    /// The device token of a request. `None` if it is missing or invalid: the client is unknown.
    pub async fn at(app: &App, req: &Request) -> Option<Self> {
        let token = cookie::device_token(req)?;
        let audience = KIND.audience(&app.config.issuer);
        let claims: Claims<OfDevice> = verify(app, &KIND, &[&audience], token).await.ok()?;
        if claims.kind.origin.is_some() && claims.kind.origin != cookie::origin(req) {
            return None;
        }
        Some(Self {
            user_id: claims.sub,
            id: claims.sid,
            ends: claims.exp,
            name: claims.name,
            auth_epoch: claims.kind.epoch,
            origin: claims.kind.origin,
        })
    }

    /// Whether it belongs to this account, and the account hasn't ended all its sessions since.
    pub fn knows(&self, account: &Account) -> bool {
        self.user_id == account.id && self.auth_epoch == account.auth_epoch
    }
}
