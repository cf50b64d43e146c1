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

use super::token::{Claims, Kind, Subject, sign, verify};
use crate::app::Issuing;
use crate::store::Session;
use crate::user::Account;
use crate::{App, Error, Result};

const KIND: Kind = Kind { typ: "rt+jwt", audience: Some("refresh") };

/// A refresh token whose signature and times are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The account's id.
    pub user_id: String,
    /// The username in its key form.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// Its generation: 0 for the token of the log-in.
    pub generation: u64,
    /// The second at which it ends.
    pub ends: u64,
    /// The origin of the page that keeps it in a cookie: a hash of that origin's key. Without the
    /// key the token is invalid. `None` for clients without cookies, and for pages that were
    /// loaded before keys existed.
    pub origin: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Generation {
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

impl RefreshToken {
    /// The first token of a session.
    pub fn first(account: &Account, session: &Session) -> Self {
        let (user_id, name) = (account.id.clone(), account.label.clone());
        let session_id = session.id().to_owned();
        Self { user_id, name, session: session_id, generation: 0, ends: session.ends, origin: None }
    }

    /// The same token for a page of this origin, unless it is bound to one already.
    pub fn bound_to(&self, origin: Option<String>) -> Self {
        Self { origin: self.origin.clone().or(origin), ..self.clone() }
    }

    /// The token that replaces this one.
    pub fn successor(&self) -> Self {
        Self { generation: self.generation + 1, ..self.clone() }
    }

    /// The token as a string. Equal tokens give equal strings.
    pub async fn sign(&self, issuing: &Issuing) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.session };
        let own = Generation { generation: self.generation, origin: self.origin.clone() };
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
        let claims: Claims<Generation> = verify(app, &KIND, &[&audience, issuer], token).await?;
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
