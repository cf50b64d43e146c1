//! Sends e-mail. Only the function `mail` does that.
//!
//! Whatever calls the client of Amazon SES is `#[inline]`, and so compiled into the binaries that
//! call it. Compiled here, it would bring the client into every binary: the linker removes functions
//! that aren't called, but not their tables of what to drop in a panic, which are 0.25 MiB.

use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use tokio::sync::mpsc::UnboundedSender;

use crate::telemetry::metrics::{self, Metric, PERMANENT};
use crate::{Error, Result, aws};

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
        /// The configuration set. `None` for the sender's own.
        configuration_set: Option<String>,
    },
    /// Through a channel: the local server shows e-mails instead of sending them.
    Hand(UnboundedSender<Mail>),
}

impl Carrier {
    /// Amazon SES, with this sender's address and configuration set.
    #[inline]
    pub fn ses(
        aws: &aws_config::SdkConfig,
        from: String,
        configuration_set: Option<String>,
    ) -> Self {
        Self::Ses { client: aws_sdk_sesv2::Client::new(aws), from, configuration_set }
    }

    /// Sends an e-mail. One that its recipient can never get, and every one without `MAIL_FROM`, is
    /// dropped with a log line, which has no address.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if sending may succeed later, and [`Error::Internal`] if it can't
    /// before an operator has changed something.
    #[inline]
    pub async fn carry(&self, mail: Mail) -> Result<()> {
        match self {
            Self::Nobody => {
                tracing::warn!(
                    subject = mail.subject,
                    "an e-mail was dropped: MAIL_FROM is not set"
                );
                return Ok(());
            }
            Self::Ses { client, from, configuration_set } => {
                let sent = send(client, from, configuration_set.as_deref(), &mail).await?;
                if let Err(refused) = sent {
                    let subject = mail.subject;
                    tracing::error!(subject, code = refused, "an e-mail was refused and dropped");
                    metrics::record_by(PERMANENT, &[(Metric::MailsFailed, 1)]);
                    return Ok(());
                }
            }
            Self::Hand(hand) => hand
                .send(mail)
                .map_err(|_| Error::Unavailable("no one receives the e-mails".into()))?,
        }
        metrics::record(&[(Metric::MailsSent, 1)]);
        Ok(())
    }
}

/// Gives an e-mail to Amazon SES. The inner failure is the code by which SES refuses this e-mail.
#[inline]
async fn send(
    client: &aws_sdk_sesv2::Client,
    from: &str,
    configuration_set: Option<&str>,
    mail: &Mail,
) -> Result<Result<(), String>> {
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
        .set_configuration_set_name(configuration_set.map(str::to_owned))
        .destination(to)
        .content(EmailContent::builder().simple(message).build());
    let Err(error) = email.send().await else { return Ok(Ok(())) };
    let cause = cause(&error);
    match fault_of(&error) {
        Fault::Mail => Ok(Err(cause)),
        Fault::Operator => Err(Error::Internal(cause)),
        Fault::Moment => Err(Error::Unavailable(cause)),
    }
}

/// Why an e-mail was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Its text or its recipient: no attempt will succeed, such as at an address with letters beyond
    /// ASCII before its `@`.
    Mail,
    /// The configuration or the standing of the AWS account: other e-mails fail too.
    Operator,
    /// Throttling, a failure of SES or of the network: a later attempt may succeed.
    Moment,
}

/// By the [documented errors](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors)
/// of `SendEmail`, and by the
/// [common ones](https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html).
#[inline]
fn fault_of(error: &SdkError<SendEmailError, HttpResponse>) -> Fault {
    let SdkError::ServiceError(service) = error else {
        // A time-out, no connection, or a reply that can't be read.
        return match error {
            SdkError::ConstructionFailure(_) => Fault::Operator,
            _ => Fault::Moment,
        };
    };
    let status = service.raw().status();
    match service.err().code() {
        Some("MessageRejected" | "BadRequestException") => Fault::Mail,
        // Of the daily quota and of the rate; and of credentials, of which the next instance has new
        // ones.
        Some(
            "TooManyRequestsException"
            | "LimitExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestExpired"
            | "ExpiredTokenException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException",
        ) => Fault::Moment,
        _ if status.is_server_error() || status.as_u16() == 429 => Fault::Moment,
        // AccountSuspended, SendingPaused, MailFromDomainNotVerified, NotFound (the configuration
        // set), AccessDenied, and what SES may add.
        _ => Fault::Operator,
    }
}

/// The code of a failure, or its kind. The messages of SES contain addresses.
#[inline]
fn cause(error: &SdkError<SendEmailError, HttpResponse>) -> String {
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some(code) => format!("Amazon SES: {code}"),
        None if error.as_service_error().is_some() => "Amazon SES: an error without a code".into(),
        None => format!("Amazon SES: {}", aws::cause(error)),
    }
}
