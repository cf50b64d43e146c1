//! Access tokens: short-lived JWTs for an account and its session ([RFC
//! 9068](https://www.rfc-editor.org/rfc/rfc9068)).

use serde::{Deserialize, Serialize};

use crate::app::IssuerApp;
use crate::auth::jwt::{Claims, Kind, Subject, sign, verify};
use crate::values::AccessToken;
use crate::{App, Result};

const KIND: Kind = Kind { typ: "at+jwt", audience: None };

#[derive(Debug, Serialize, Deserialize)]
struct AccessClaims {
    /// The time of issue, the token's id and its client. [RFC
    /// 9068](https://www.rfc-editor.org/rfc/rfc9068#section-2.2) requires these claims. Farebox
    /// doesn't read them, and older access tokens lack them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Copies of `typ` and `sub` under the
    /// [names](https://django-rest-framework-simplejwt.readthedocs.io/en/latest/settings.html) that
    /// clients of djangorestframework-simplejwt expect.
    #[serde(skip_deserializing)]
    token_type: &'static str,
    #[serde(skip_deserializing)]
    user_id: String,
    epoch: u64,
    /// When the session ends, in seconds since 1970. A log-out must be remembered until then.
    #[serde(default)]
    session_exp: Option<u64>,
}

impl AccessToken {
    /// Signs the access token and returns the JWT.
    pub async fn sign(&self, issuing: &IssuerApp) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.session };
        let own = AccessClaims {
            iat: Some(issuing.clock.seconds()),
            jti: Some(issuing.clock.id().to_string()),
            // Farebox doesn't register clients, so all clients get the issuer's name as their
            // `client_id`.
            client_id: Some(issuing.config.issuer.clone()),
            token_type: "access",
            user_id: user_id.clone(),
            epoch: self.auth_epoch,
            session_exp: Some(self.session_ends),
        };
        sign(issuing, &KIND, of, self.ends, own).await
    }

    /// Verifies an access token that a client sent.
    ///
    /// # Errors
    /// Returns [`Error::InvalidToken`](crate::Error::InvalidToken) for every kind of invalid token.
    pub async fn verify(app: &App, token: &str) -> Result<Self> {
        let claims: Claims<AccessClaims> = verify(app, &KIND, &[&app.config.issuer], token).await?;
        tracing::Span::current().record("user", &claims.sub);
        let AccessClaims { epoch, session_exp, .. } = claims.kind;
        // Older access tokens lack this claim. Such a session can't end later than this, because it
        // began before the token was signed.
        let session_ends = session_exp.unwrap_or(claims.exp + app.config.session_life.as_secs());
        Ok(Self {
            user_id: claims.sub,
            name: claims.name,
            session: claims.sid,
            auth_epoch: epoch,
            session_ends,
            ends: claims.exp,
        })
    }
}
