//! Sends e-mail. Only the function `mail` does that.

use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use tokio::sync::mpsc::UnboundedSender;

use crate::aws;
use crate::{Error, Result};

/// An e-mail of plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// How e-mails are sent.
#[derive(Clone)]
pub enum Carrier {
    /// Not at all: `MAIL_FROM` is not set.
    Nobody,
    /// Amazon SES.
    Ses {
        /// The client.
        client: aws_sdk_sesv2::Client,
        /// The sender's address.
        from: String,
    },
    /// Through a channel: the local server shows e-mails instead of sending them.
    Hand(UnboundedSender<Mail>),
}

impl Carrier {
    /// Amazon SES, with this sender's address.
    pub fn ses(aws: &aws_config::SdkConfig, from: String) -> Self {
        Self::Ses { client: aws_sdk_sesv2::Client::new(aws), from }
    }

    /// Sends an e-mail. One that can never be sent is dropped with a log line, which has no
    /// address.
    ///
    /// # Errors
    /// If sending may succeed later.
    pub async fn carry(&self, mail: Mail) -> Result<()> {
        match self {
            Self::Nobody => {
                tracing::warn!(
                    subject = mail.subject,
                    "an e-mail was dropped: MAIL_FROM is not set"
                )
            }
            Self::Ses { client, from } => return send(client, from, &mail).await,
            Self::Hand(hand) => hand
                .send(mail)
                .map_err(|_| Error::Unavailable("no one receives the e-mails".into()))?,
        }
        Ok(())
    }
}

async fn send(client: &aws_sdk_sesv2::Client, from: &str, mail: &Mail) -> Result<()> {
    let broken = |error: aws_sdk_sesv2::error::BuildError| Error::Internal(error.to_string());
    let utf8 = |text: &str| Content::builder().data(text).charset("UTF-8").build().map_err(broken);
    let message = Message::builder()
        .subject(utf8(&mail.subject)?)
        .body(Body::builder().text(utf8(&mail.text)?).build())
        .build();
    let to = Destination::builder().to_addresses(&mail.to).build();
    let email = client
        .send_email()
        .from_email_address(from)
        .destination(to)
        .content(EmailContent::builder().simple(message).build());
    match email.send().await {
        Ok(_) => Ok(()),
        // A retry doesn't help if the address can't receive e-mail, such as one with letters beyond
        // ASCII before its `@`.
        Err(error)
            if matches!(
                error.as_service_error(),
                Some(SendEmailError::BadRequestException(_) | SendEmailError::MessageRejected(_))
            ) =>
        {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            tracing::error!(
                subject = mail.subject,
                code,
                "an e-mail was refused permanently and dropped"
            );
            Ok(())
        }
        Err(error) => Err(Error::Unavailable(aws::cause(&error))),
    }
}
