//! Refresh tokens: JWTs of a type of their own that name a session and a generation of it.
//!
//! Presenting generation n gives n+1, which is the same string for every parallel or repeated call,
//! since nothing in it depends on time or chance; n dies when n+1 is first presented, or ten
//! minutes after n was, and presenting a dead one ends the session ([RFC 9700](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)). So neither a lost reply nor two tabs log anyone out, and a thief who
//! refreshes in turn with the owner is noticed. The first token of a session dies with its
//! successor's use alone: some clients never replace it.

use serde::{Deserialize, Serialize};

use super::token::{Claims, Kind, Subject, sign, verify};
use crate::app::Issuing;
use crate::store::Session;
use crate::user::Account;
use crate::{App, Result};

const KIND: Kind = Kind { typ: "rt+jwt", audience: Some("refresh") };

/// A refresh token whose signature and times hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The account's id.
    pub user_id: String,
    /// The key of the account's name.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// Which in the line of the session's refresh tokens this is; the log-in gave 0.
    pub generation: u64,
    /// The second at which it ends.
    pub ends: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Generation {
    generation: u64,
}

impl RefreshToken {
    /// The one that a session begins with.
    pub fn first(account: &Account, session: &Session) -> Self {
        let (user_id, name) = (account.id.clone(), account.label.clone());
        Self { user_id, name, session: session.id().to_owned(), generation: 0, ends: session.ends }
    }

    /// The one that takes this one's place.
    pub fn successor(&self) -> Self {
        Self { generation: self.generation + 1, ..self.clone() }
    }

    /// The token as a string: the same for the same token.
    pub async fn sign(&self, issuing: &Issuing) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.session };
        let own = Generation { generation: self.generation };
        sign(issuing, &KIND, of, self.ends, own).await
    }

    /// Reads a token that a client sent.
    ///
    /// # Errors
    /// [`InvalidToken`](crate::Error::InvalidToken) whatever is wrong with it.
    pub async fn verify(app: &App, token: &str) -> Result<Self> {
        // Those from before refresh tokens had an audience of their own are valid until they end.
        let (issuer, audience) = (&app.config.issuer, KIND.audience(&app.config.issuer));
        let claims: Claims<Generation> = verify(app, &KIND, &[&audience, issuer], token).await?;
        Ok(Self {
            user_id: claims.sub,
            name: claims.name,
            session: claims.sid,
            generation: claims.kind.generation,
            ends: claims.exp,
        })
    }
}
