//! Device tokens, which clients keep beyond their sessions. At the next log-in, a device token
//! proves that the client has logged in to this account before. A client with a device token can't
//! be locked out by wrong passwords from other clients. A device token doesn't grant access.
//!
//! An event that ends all sessions at once also invalidates device tokens: a changed or reset
//! password, or a log-out everywhere.

use serde::{Deserialize, Serialize};

use crate::app::IssuerApp;
use crate::auth::jwt::{Claims, Kind, Subject, sign, verify};
use crate::http::cookie;
use crate::values::DeviceToken;
use crate::{App, Request, Result};

const KIND: Kind = Kind { typ: "device+jwt", audience: Some("device") };

#[derive(Debug, Serialize, Deserialize)]
struct DeviceClaims {
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

impl DeviceToken {
    /// Signs the device token and returns the JWT.
    pub async fn sign(&self, issuing: &IssuerApp) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.id };
        let own = DeviceClaims { epoch: self.auth_epoch, origin: self.origin.clone() };
        sign(issuing, &KIND, of, self.ends, own).await
    }

    /// Returns a request's device token, or `None` if it is missing or invalid. The client then
    /// counts as unknown.
    pub async fn from_request(app: &App, req: &Request) -> Option<Self> {
        let token = cookie::device_token(req)?;
        let audience = KIND.audience(&app.config.issuer);
        let claims: Claims<DeviceClaims> = verify(app, &KIND, &[&audience], token).await.ok()?;
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
}
