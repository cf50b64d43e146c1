//! What access, refresh and device tokens have in common
//! ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::Issuing;
use crate::config::LONGEST_SESSION;
use crate::{App, Error, Result};

/// How far a token's times may be off, in seconds, since clocks are.
pub(crate) const LEEWAY: u64 = 60;

/// What all kinds of tokens say ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims<T> {
    pub(super) iss: String,
    /// The issuer for access tokens, and a name below it for every other kind: a verifier that
    /// compares no `typ` refuses those.
    pub(super) aud: String,
    /// The account's id.
    pub(super) sub: String,
    /// The key of the account's name, which the account is found by.
    pub(super) name: String,
    /// The session's id; a device token has the device's.
    pub(super) sid: String,
    /// The second at which the token ends.
    pub(super) exp: u64,
    /// The second before which it doesn't hold. Ours have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<u64>,
    #[serde(flatten)]
    pub(super) kind: T,
}

/// A kind of token: its `typ`, and the audience that it is for below the issuer's name.
pub(super) struct Kind {
    pub(super) typ: &'static str,
    pub(super) audience: Option<&'static str>,
}

impl Kind {
    pub(super) fn audience(&self, issuer: &str) -> String {
        self.audience.map_or_else(|| issuer.to_owned(), |audience| format!("{issuer}/{audience}"))
    }
}

/// Whom a token names.
pub(super) struct Subject<'a> {
    /// The account's id.
    pub(super) user_id: &'a str,
    /// The key of the account's name.
    pub(super) name: &'a str,
    /// The id of the session or device.
    pub(super) session: &'a str,
}

/// A token of this kind that ends at `exp`, with the claims that are the kind's own.
pub(super) async fn sign<T: Serialize>(
    issuing: &Issuing,
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
    issuing.signer.sign(&claims, kind.typ, &issuing.app).await
}

/// The claims of a token for one of these audiences, if its signature and times hold.
pub(super) async fn verify<T: DeserializeOwned>(
    app: &App,
    kind: &Kind,
    audiences: &[&str],
    token: &str,
) -> Result<Claims<T>> {
    let claims: Claims<T> =
        app.keyring.verify(token, kind.typ, &app.config.issuer, audiences).await?;
    let now = app.clock.seconds();
    let ended = claims.exp.saturating_add(LEEWAY) < now;
    let beyond_any_session = claims.exp > now + LONGEST_SESSION.as_secs() + LEEWAY;
    let not_yet = claims.nbf.is_some_and(|nbf| nbf > now + LEEWAY);
    if ended || beyond_any_session || not_yet { Err(Error::InvalidToken) } else { Ok(claims) }
}
