//! Access tokens: short-lived JWTs that name an account and its session ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)).

use serde::{Deserialize, Serialize};

use super::token::{Claims, Kind, Subject, sign, verify};
use crate::app::Issuing;
use crate::store::Session;
use crate::user::Account;
use crate::{App, Error, Result};

const KIND: Kind = Kind { typ: "at+jwt", audience: None };

/// An access token whose signature and times are valid. Only the store knows whether the account
/// still accepts it: [`AccessToken::admits`], or the condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The account's id.
    pub user_id: String,
    /// The username in its key form.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// The account's epoch when the session began.
    pub auth_epoch: u64,
    /// The second at which the session ends, and with it the last of its tokens.
    pub session_ends: u64,
    ends: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct OfSession {
    /// When the token was issued, its id, and its client: required of this type of token
    /// ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)). Nothing here reads them, and older tokens don't have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// What `typ` and `sub` say, where clients of djangorestframework-simplejwt read it ([its
    /// claims](https://django-rest-framework-simplejwt.readthedocs.io/en/latest/settings.html)).
    #[serde(skip_deserializing)]
    token_type: &'static str,
    #[serde(skip_deserializing)]
    user_id: String,
    epoch: u64,
    /// The second at which the session ends: until then a log-out must be remembered.
    #[serde(default)]
    session_exp: Option<u64>,
}

impl AccessToken {
    /// A token of this session that ends at `ends`, or with the session.
    pub fn of(account: &Account, session: &Session, ends: u64) -> Self {
        Self {
            user_id: account.id.clone(),
            name: account.label.clone(),
            session: session.id().to_owned(),
            auth_epoch: session.auth_epoch,
            session_ends: session.ends,
            ends: ends.min(session.ends),
        }
    }

    /// The token as a string.
    pub async fn sign(&self, issuing: &Issuing) -> Result<String> {
        let (user_id, name) = (&self.user_id, &self.name);
        let of = Subject { user_id, name, session: &self.session };
        let own = OfSession {
            iat: Some(issuing.clock.seconds()),
            jti: Some(issuing.clock.id().to_string()),
            // Clients aren't registered: all of them are the issuer's own.
            client_id: Some(issuing.config.issuer.clone()),
            token_type: "access",
            user_id: user_id.clone(),
            epoch: self.auth_epoch,
            session_exp: Some(self.session_ends),
        };
        sign(issuing, &KIND, of, self.ends, own).await
    }

    /// Reads a token that a client sent.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], whatever the reason.
    pub async fn verify(app: &App, token: &str) -> Result<Self> {
        let claims: Claims<OfSession> = verify(app, &KIND, &[&app.config.issuer], token).await?;
        tracing::Span::current().record("user", &claims.sub);
        let OfSession { epoch, session_exp, .. } = claims.kind;
        // A token without this claim belongs to a session that began before the token was signed.
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

    /// The account, if it accepts this token: it has the id and the epoch of the token, is active,
    /// and the session hasn't ended.
    ///
    /// # Errors
    /// [`Error::InvalidToken`].
    pub fn admits(&self, account: Option<Account>) -> Result<Account> {
        account
            .filter(|account| {
                account.id == self.user_id
                    && account.active
                    && account.auth_epoch == self.auth_epoch
                    && !account.revoked.contains_key(&self.session)
            })
            .ok_or(Error::InvalidToken)
    }
}
