//! For each new e-mail in the outbox - create its link and send it.
//!
//! An e-mail is deleted from the outbox only after it was sent, so it can't be lost. If this
//! function dies before the deletion, the e-mail is sent again with a new link. E-mails never
//! contain a username or other text that a user chose, because such text could look like a link.

use shared::app::MailApp;
use shared::mail::Mail;
use shared::store::{Link, OutgoingEmail, Purpose};
use shared::telemetry::metrics::{self, Metric, PERMANENT, TEMPORARY};
use shared::values::{Account, Brand, LinkToken, money};
use shared::{Error, Result};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Sends e-mails").reads_outbox().timeout(60).permits(permits![
        get(Users(&["user:*", "email:*"])),
        get(Tokens(&["brand:*"])),
        allow(&[GetItem, DeleteItem], Tokens(&["outbox:*"])),
        put(Tokens(&["link:*"])),
        Permit::Statements("SendEmail"),
    ]);

/// Sends the outbox's e-mail with this key. If the outbox no longer contains the e-mail, it has
/// already been sent.
///
/// # Errors
/// Returns an error only if a retry may succeed. An e-mail that can never be sent, such as an
/// unreadable one, is logged and skipped, so that it doesn't block the e-mails behind it. It
/// remains in the outbox until it expires, so an operator can fix the cause and send it.
// This function isn't an `async fn`, because the compiler would then generate its code in this
// crate, for every binary. `send_or_skip` is inlined, so only the binary that calls `work` contains
// it. The documentation of `shared::mail` describes what the code would add to the other binaries.
#[inline]
pub fn work(app: MailApp, key: String) -> impl Future<Output = Result<()>> + Send {
    send_or_skip(app, key)
}

/// Sends the e-mail. If it can never be sent, logs and skips it.
#[inline]
async fn send_or_skip(app: MailApp, key: String) -> Result<()> {
    match deliver(&app, &key).await {
        Err(error @ Error::Internal(_)) => {
            tracing::error!(item = key, cause = error.cause(), "an e-mail can't be sent");
            metrics::record_by(PERMANENT, &[(Metric::MailsFailed, 1)]);
            Ok(())
        }
        Err(error) => {
            metrics::record_by(TEMPORARY, &[(Metric::MailsFailed, 1)]);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

#[inline]
async fn deliver(app: &MailApp, key: &str) -> Result<()> {
    let now = app.clock.seconds();
    let Some(email) = app.store.outgoing_email(key, now).await? else { return Ok(()) };
    if let Some(mail) = write(app, email).await? {
        let brand = app.brand.usable().await?;
        app.transport.send(signed(mail, brand.as_deref().map(|stored| &stored.list))).await?;
    }
    Ok(app.store.take_from_outbox(key).await?)
}

/// Adds the operator's brand to an e-mail: its name to the subject, and its name and address below
/// the text.
fn signed(mail: Mail, brand: Option<&Brand>) -> Mail {
    let Some(brand) = brand else { return mail };
    let Mail { to, subject, text } = mail;
    Mail {
        to,
        subject: format!("{}: {subject}", brand.name),
        // Mail programs recognise the line `-- ` as the beginning of a signature.
        text: format!("{text}\n-- \n{}\n", brand.signature()),
    }
}

/// Stores the link for an outgoing e-mail, and then writes the e-mail's text. Returns `None` if the
/// e-mail is no longer needed.
async fn write(app: &MailApp, email: OutgoingEmail) -> Result<Option<Mail>> {
    match email {
        OutgoingEmail::Verify { user_id, name, address, auth_epoch } => {
            verification(app, &user_id, &name, address, auth_epoch).await
        }
        OutgoingEmail::Reset { address, invites } => password_link(app, &address, invites).await,
        OutgoingEmail::LowBalance { user_id, name } => low_balance(app, &user_id, &name).await,
        OutgoingEmail::Disputed { user_id, name, order, price, currency } => {
            dispute(app, (&user_id, &name), &order, &money::shown(price, &currency)).await
        }
        OutgoingEmail::AddressChanges { address } => Ok(Some(address_change(address))),
    }
}

/// Writes the e-mail that contains the link for verifying an address.
async fn verification(
    app: &MailApp,
    user_id: &str,
    name: &str,
    address: String,
    auth_epoch: u64,
) -> Result<Option<Mail>> {
    let now = app.clock.seconds();
    let wanted = |account: &Account| {
        account.id == user_id && account.active && account.auth_epoch == auth_epoch
    };
    if !app.store.account_named(name).await?.as_ref().is_some_and(wanted) {
        return Ok(None);
    }
    let token = LinkToken::random()?;
    let stored = Link::new(&token, Purpose::Verify, user_id, name, &address, auth_epoch, now);
    app.store.put_link(&stored).await?;
    let life = stored.life_in_words(now);
    let link = link(app, "verify-email", &token);
    let text = format!(
        "Hello,\n\nThis e-mail address was entered for an account. If that was you, verify it within {life}:\n\n{link}\n\n\
         If it wasn't you, ignore this e-mail.\n"
    );
    Ok(Some(Mail { to: address, subject: "Verify your e-mail address".into(), text }))
}

/// Writes the e-mail that contains the link for resetting a password, or for setting the first
/// password of an account that an administrator has created.
async fn password_link(app: &MailApp, address: &str, invites: bool) -> Result<Option<Mail>> {
    let now = app.clock.seconds();
    let account = app.store.account_with_address(address).await?;
    let Some(account) = account.filter(|account| account.active) else { return Ok(None) };
    let Account { id, label, auth_epoch, email: Some(to), .. } = account else { return Ok(None) };
    let token = LinkToken::random()?;
    let stored = Link::new(&token, Purpose::Reset, &id, &label, &to, auth_epoch, now);
    let stored = if invites { stored.inviting(now) } else { stored };
    app.store.put_link(&stored).await?;
    let life = stored.life_in_words(now);
    let link = link(app, "reset-password", &token);
    let (subject, text) = if invites {
        let text = format!(
            "Hello,\n\nAn account was created for you. To use it, choose a password within {life}:\n\n{link}\n\n\
             Then log in with this e-mail address. If you weren't expecting an account, ignore this e-mail.\n"
        );
        ("Your new account", text)
    } else {
        let text = format!(
            "Hello,\n\nA new password was requested for your account. If that was you, choose one within {life}:\n\n{link}\n\n\
             If it wasn't you, ignore this e-mail: your password stays the same.\n"
        );
        ("Choose a new password", text)
    };
    Ok(Some(Mail { to, subject: subject.into(), text }))
}

/// Writes the notice that an account's balance is low.
async fn low_balance(app: &MailApp, user_id: &str, name: &str) -> Result<Option<Mail>> {
    let account = app.store.account_named(name).await?;
    // The user may have received credits since the notice was added to the outbox.
    let is_low = |account: &Account| {
        account.id == user_id && account.active && account.alerted == Some(account.granted)
    };
    let Some(account) = account.filter(is_low) else { return Ok(None) };
    let Some(address) = account.verified_email() else { return Ok(None) };
    let balance = account.balance(app.clock.seconds());
    let advice = app.config.advice().map(|advice| format!("\n\n{advice}")).unwrap_or_default();
    let page = app.url.as_ref().map(|url| format!("\n\nYour account: {url}")).unwrap_or_default();
    let text = format!(
        "Hello,\n\nYour account has {balance} tokens left.{advice}{page}\n\n\
         We won't send this e-mail again until your balance is topped up or adjusted.\n"
    );
    Ok(Some(Mail { to: address.to_owned(), subject: "Your tokens are running out".into(), text }))
}

/// Writes the notice that tells an administrator about a disputed payment.
async fn dispute(
    app: &MailApp,
    (user_id, name): (&str, &str),
    order: &str,
    amount: &str,
) -> Result<Option<Mail>> {
    let account = app.store.account_named(name).await?;
    let account = account.filter(|account| account.id == user_id && account.administers());
    let address = account.as_ref().and_then(Account::verified_email);
    let Some(address) = address else { return Ok(None) };
    let page = app.url.as_ref().map(|url| format!("\n\nThe purchase: {url}/admin/#/purchases"));
    let page = page.unwrap_or_default();
    let text = format!(
        "Hello,\n\nA bank disputes a payment of {amount}: the buyer wants the money back. The purchase is {order}.\n\n\
         If the dispute is still open, answer in Stripe's dashboard before the day that it shows. Without an answer, it is lost.{page}\n"
    );
    Ok(Some(Mail { to: address.to_owned(), subject: "A payment is disputed".into(), text }))
}

/// Writes the notice to the previous address of an account whose address was changed.
fn address_change(address: String) -> Mail {
    let text = "Hello,\n\nThe e-mail address of your account is being changed from this one to another.\n\n\
                If you didn't request this, someone else may know your password. Log in and change it right away.\n";
    Mail { to: address, subject: "Your e-mail address is being changed".into(), text: text.into() }
}

/// Returns the link for an e-mail. The link opens a page at `MAIL_URL` that posts the token. If
/// `MAIL_URL` isn't set, returns only the token.
fn link(app: &MailApp, page: &str, token: &LinkToken) -> String {
    match &app.url {
        Some(url) => format!("{url}/{page}/?token={}", token.text()),
        None => token.text(),
    }
}
