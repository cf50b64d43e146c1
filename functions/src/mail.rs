//! At each new letter of the outbox - write its mail and have it sent.
//!
//! A letter is deleted after its mail was sent, so that none is lost; where this function dies in
//! between, the mail is sent twice, each time with a link of its own. No mail holds a name or
//! anything else that a stranger chose: it could look like a link.

use shared::Result;
use shared::app::Mailing;
use shared::auth::LinkToken;
use shared::mail::Mail;
use shared::store::{Letter, Link, Purpose};
use shared::user::Account;

/// Sends the mail of the letter with this key. One that is gone was sent before.
pub async fn work(app: Mailing, key: String) -> Result<()> {
    let Some(letter) = app.store.letter(&key, app.clock.seconds()).await? else { return Ok(()) };
    if let Some(mail) = write(&app, letter).await? {
        app.carrier.carry(mail).await?;
    }
    app.store.take_letter(&key).await
}

/// The mail of a letter, whose link is stored before anybody can follow it. Nothing where nobody is
/// to have one.
async fn write(app: &Mailing, letter: Letter) -> Result<Option<Mail>> {
    let now = app.clock.seconds();
    match letter {
        Letter::Verify { user_id, name, address, auth_epoch } => {
            let wanted = |account: &Account| {
                account.id == user_id && account.active && account.auth_epoch == auth_epoch
            };
            if !app.store.account_named(&name).await?.as_ref().is_some_and(wanted) {
                return Ok(None);
            }
            let token = LinkToken::random()?;
            app.store
                .put_link(&Link::new(
                    &token,
                    Purpose::Verify,
                    &user_id,
                    &name,
                    &address,
                    auth_epoch,
                    now,
                ))
                .await?;
            let link = link(app, "verify-email", &token);
            let text = format!(
                "Hello,\n\nan account here gave this address for its own. If that was you, confirm it within two days:\n\n{link}\n\n\
                 If it was not, do nothing.\n"
            );
            Ok(Some(Mail { to: address, subject: "Confirm your e-mail address".into(), text }))
        }
        Letter::Reset { address } => {
            let account =
                app.store.account_with_address(&address).await?.filter(|account| account.active);
            let Some((account, address)) =
                account.and_then(|account| account.email.clone().map(|address| (account, address)))
            else {
                return Ok(None);
            };
            let token = LinkToken::random()?;
            app.store
                .put_link(&Link::new(
                    &token,
                    Purpose::Reset,
                    &account.id,
                    &account.label,
                    &address,
                    account.auth_epoch,
                    now,
                ))
                .await?;
            let link = link(app, "reset-password", &token);
            let text = format!(
                "Hello,\n\nsomebody asked for a new password for your account here. If that was you, choose it within an hour:\n\n{link}\n\n\
                 If it was not, do nothing: the old password still holds.\n"
            );
            Ok(Some(Mail { to: address, subject: "Choose a new password".into(), text }))
        }
        Letter::AddressChanges { address } => {
            let text = "Hello,\n\nyour account here is to have another e-mail address from now on, in place of this one.\n\n\
                        If that was not you, somebody knows your password: log in and choose a new one at once.\n";
            Ok(Some(Mail {
                to: address,
                subject: "Your e-mail address changes".into(),
                text: text.into(),
            }))
        }
    }
}

/// What a reader follows: a page of the operator's, which posts the token back; or the token
/// itself, where there is no such page.
fn link(app: &Mailing, page: &str, token: &LinkToken) -> String {
    match &app.url {
        Some(url) => format!("{url}/{page}/?token={}", token.text()),
        None => token.text(),
    }
}
