//! Refresh tokens: JWTs with a `typ` of `rt+jwt`, each for one generation of a session.
//!
//! A request with generation n gets generation n+1. The new refresh token doesn't depend on time or
//! randomness, so every parallel or repeated request gets the same string. Generation n becomes
//! outdated when a client presents generation n+1, or ten minutes after generation n was first
//! presented. Presenting an outdated refresh token ends the session ([RFC
//! 9700](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).
//!
//! Because of these ten minutes, a lost reply or a second tab doesn't end the session. A thief is
//! detected unless the thief and the owner always present the same generation within ten minutes of
//! each other. The first generation becomes outdated only when a client presents its successor,
//! because some clients never replace their first refresh token.

use serde::{Deserialize, Serialize};

use crate::app::IssuerApp;
use crate::auth::jwt::{Claims, Kind, Subject, sign, verify};
use crate::error::TokenFault;
use crate::values::RefreshToken;
use crate::{App, Error, Result};

const KIND: Kind = Kind { typ: "rt+jwt", audience: Some("refresh") };

#[derive(Debug, Serialize, Deserialize)]
struct RefreshClaims {
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

impl RefreshToken {
    /// Signs the refresh token and returns the JWT. Equal refresh tokens always result in equal
    /// strings.
    pub async fn sign(&self, issuing: &IssuerApp) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.session };
        let own = RefreshClaims { generation: self.generation, origin: self.origin.clone() };
        sign(issuing, &KIND, of, self.ends, own).await
    }

    /// Verifies a refresh token that a client sent. `origin` is the hash of the page's origin key
    /// ([`cookie::origin`](crate::http::cookie::origin)).
    ///
    /// # Errors
    /// Returns [`InvalidToken`](crate::Error::InvalidToken) for every kind of invalid token.
    pub async fn verify(app: &App, token: &str, origin: Option<&str>) -> Result<Self> {
        // The audience of older refresh tokens is the issuer. They are accepted until they expire.
        let (issuer, audience) = (&app.config.issuer, KIND.audience(&app.config.issuer));
        let claims: Claims<RefreshClaims> = verify(app, &KIND, &[&audience, issuer], token).await?;
        if claims.kind.origin.is_some() && claims.kind.origin.as_deref() != origin {
            return Err(Error::InvalidToken(TokenFault::Unknown));
        }
        Ok(Self {
            user_id: claims.sub,
            name: claims.name,
            session: claims.sid,
            generation: claims.kind.generation,
            ends: claims.exp,
            origin: claims.kind.origin,
        })
    }
}
