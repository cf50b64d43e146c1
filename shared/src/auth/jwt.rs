//! The claims that access, refresh and device tokens share, and how these tokens are signed and
//! verified ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::IssuerApp;
use crate::config::LONGEST_SESSION;
use crate::error::TokenFault;
use crate::values::LEEWAY;
use crate::{App, Error, Result};

/// The claims in every kind of JWT ([RFC
/// 7519](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims<T> {
    pub(super) iss: String,
    /// The audience. In access tokens, it is the issuer's name. In every other kind of JWT, it is
    /// the issuer's name with a suffix. Therefore a verifier of access tokens refuses these JWTs
    /// even if it doesn't compare `typ`.
    pub(super) aud: String,
    /// The account's id.
    pub(super) sub: String,
    /// The key form of the username. The account is looked up by this key.
    pub(super) name: String,
    /// The id of the session or device.
    pub(super) sid: String,
    /// When the JWT expires, in seconds since 1970.
    pub(super) exp: u64,
    /// When the JWT becomes valid, in seconds since 1970. JWTs that Farebox issues don't contain
    /// `nbf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<u64>,
    #[serde(flatten)]
    pub(super) kind: T,
}

/// A kind of JWT: its `typ`, and the suffix that follows the issuer's name in its audience. Without
/// a suffix, the audience is the issuer's name.
pub(super) struct Kind {
    pub(super) typ: &'static str,
    pub(super) audience: Option<&'static str>,
}

impl Kind {
    pub(super) fn audience(&self, issuer: &str) -> String {
        self.audience.map_or_else(|| issuer.to_owned(), |audience| format!("{issuer}/{audience}"))
    }
}

/// The subject of a JWT.
pub(super) struct Subject<'a> {
    /// The account's id.
    pub(super) user_id: &'a str,
    /// The key form of the username.
    pub(super) name: &'a str,
    /// The id of the session or device.
    pub(super) session: &'a str,
}

/// Signs a JWT of this kind that expires at `exp`, in seconds since 1970. `own` contains the claims
/// that are specific to this kind.
pub(super) async fn sign<T: Serialize>(
    issuing: &IssuerApp,
    kind: &Kind,
    of: Subject<'_>,
    exp: u64,
    own: T,
) -> Result<String> {
    let issuer = &issuing.config.issuer;
    let claims = Claims {
        iss: issuer.clone(),
        aud: kind.audience(issuer),
        sub: of.user_id.to_owned(),
        name: of.name.to_owned(),
        sid: of.session.to_owned(),
        exp,
        nbf: None,
        kind: own,
    };
    issuing.signer.sign(&claims, kind.typ, &issuing.keyring, issuing.config.session_life).await
}

/// Returns a JWT's claims if its signature and times are valid, and its issuer and audience match.
pub(super) async fn verify<T: DeserializeOwned>(
    app: &App,
    kind: &Kind,
    audiences: &[&str],
    token: &str,
) -> Result<Claims<T>> {
    let claims: Claims<T> = app.keyring.verify(token, kind.typ).await?;
    if claims.iss != app.config.issuer || !audiences.contains(&claims.aud.as_str()) {
        return Err(Error::InvalidToken(TokenFault::Unknown));
    }
    let now = app.clock.seconds();
    let ended = claims.exp.saturating_add(LEEWAY) < now;
    let beyond_any_session = claims.exp > now + LONGEST_SESSION.as_secs() + LEEWAY;
    let not_yet = claims.nbf.is_some_and(|nbf| nbf > now + LEEWAY);
    if ended {
        return Err(Error::InvalidToken(TokenFault::Expired));
    }
    match beyond_any_session || not_yet {
        true => Err(Error::InvalidToken(TokenFault::Unknown)),
        false => Ok(claims),
    }
}
