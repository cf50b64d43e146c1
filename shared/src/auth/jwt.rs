//! What access, refresh and device tokens have in common
//! ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::IssuerApp;
use crate::config::LONGEST_SESSION;
use crate::values::LEEWAY;
use crate::{App, Error, Result};

/// The claims of every kind of token ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims<T> {
    pub(super) iss: String,
    /// The issuer for access tokens, and a name below it for every other kind, so that a verifier
    /// that doesn't compare `typ` refuses those.
    pub(super) aud: String,
    /// The account's id.
    pub(super) sub: String,
    /// The username in its key form, by which the account is found.
    pub(super) name: String,
    /// The id of the session, or of the device.
    pub(super) sid: String,
    /// The second at which the token ends.
    pub(super) exp: u64,
    /// The second from which it is valid. Issued tokens don't have this claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<u64>,
    #[serde(flatten)]
    pub(super) kind: T,
}

/// A kind of token: its `typ`, and its audience below the issuer's name, if it isn't the issuer.
pub(super) struct Kind {
    pub(super) typ: &'static str,
    pub(super) audience: Option<&'static str>,
}

impl Kind {
    pub(super) fn audience(&self, issuer: &str) -> String {
        self.audience.map_or_else(|| issuer.to_owned(), |audience| format!("{issuer}/{audience}"))
    }
}

/// The subject of a token.
pub(super) struct Subject<'a> {
    /// The account's id.
    pub(super) user_id: &'a str,
    /// The username in its key form.
    pub(super) name: &'a str,
    /// The id of the session or device.
    pub(super) session: &'a str,
}

/// A token of this kind that ends at the second `exp`, with the kind's `own` claims.
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

/// The claims of a token of this issuer for one of these audiences, if its signature and times are
/// valid.
pub(super) async fn verify<T: DeserializeOwned>(
    app: &App,
    kind: &Kind,
    audiences: &[&str],
    token: &str,
) -> Result<Claims<T>> {
    let claims: Claims<T> = app.keyring.verify(token, kind.typ).await?;
    if claims.iss != app.config.issuer || !audiences.contains(&claims.aud.as_str()) {
        return Err(Error::InvalidToken);
    }
    let now = app.clock.seconds();
    let ended = claims.exp.saturating_add(LEEWAY) < now;
    let beyond_any_session = claims.exp > now + LONGEST_SESSION.as_secs() + LEEWAY;
    let not_yet = claims.nbf.is_some_and(|nbf| nbf > now + LEEWAY);
    if ended || beyond_any_session || not_yet { Err(Error::InvalidToken) } else { Ok(claims) }
}
