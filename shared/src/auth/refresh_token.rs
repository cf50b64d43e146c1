//! Refresh tokens: JWTs of a type of their own that name a session and a generation of it.
//!
//! A request with generation n gets generation n+1, which is the same string for every parallel or
//! repeated request, since it depends on neither time nor chance. Generation n is outdated once n+1
//! was presented, or ten minutes after n was first presented. An outdated one ends the session
//! ([RFC 9700](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)). So a lost reply or a second
//! tab doesn't end the session, and a thief is noticed unless the thief and the owner always
//! present a generation within ten minutes of each other. The first generation is outdated only
//! once its successor was presented: some clients never replace it.

use serde::{Deserialize, Serialize};

use crate::app::IssuerApp;
use crate::auth::jwt::{Claims, Kind, Subject, sign, verify};
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
    /// The token as a string. Equal tokens give equal strings.
    pub async fn sign(&self, issuing: &IssuerApp) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.session };
        let own = RefreshClaims { generation: self.generation, origin: self.origin.clone() };
        sign(issuing, &KIND, of, self.ends, own).await
    }

    /// Reads a token that a client sent, with the origin of the page that sent it
    /// ([`cookie::origin`](crate::http::cookie::origin)).
    ///
    /// # Errors
    /// [`InvalidToken`](crate::Error::InvalidToken), whatever the reason.
    pub async fn verify(app: &App, token: &str, origin: Option<&str>) -> Result<Self> {
        // Tokens from before refresh tokens had an audience of their own are valid until they end.
        let (issuer, audience) = (&app.config.issuer, KIND.audience(&app.config.issuer));
        let claims: Claims<RefreshClaims> = verify(app, &KIND, &[&audience, issuer], token).await?;
        if claims.kind.origin.is_some() && claims.kind.origin.as_deref() != origin {
            return Err(Error::InvalidToken);
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
