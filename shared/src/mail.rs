//! Sends e-mail. Only the `mail` function uses this module.
//!
//! All code that calls the Amazon SES client is `#[inline]`, so that it is compiled only into the
//! binaries that use it. Without `#[inline]`, every binary would include tables for dropping the
//! client during a panic, because the linker removes functions that aren't called, but keeps their
//! tables.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use crate::aws::{self, Call, CallError, JsonApi, Service};
use crate::telemetry::metrics::{self, Metric, PERMANENT};
use crate::{Error, Result};

/// Amazon SES ([reference](https://docs.aws.amazon.com/ses/latest/APIReference-V2/Welcome.html)).
const SES: Service = Service { host: "email", name: "ses" };

/// A plain-text e-mail.
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
pub enum MailTransport {
    /// Drops all e-mails, because `MAIL_FROM` isn't set.
    Disabled,
    /// Sends through Amazon SES.
    Ses {
        /// The Amazon SES client.
        client: JsonApi,
        /// The sender's address.
        from: String,
        /// The configuration set, or `None` for the sender's default.
        configuration_set: Option<String>,
    },
    /// Passes e-mails to a channel. The local server shows e-mails instead of sending them.
    Channel(UnboundedSender<Mail>),
}

impl MailTransport {
    /// Creates a transport that sends through Amazon SES from this sender's address.
    #[inline]
    pub fn ses(
        aws: &aws_config::SdkConfig,
        from: String,
        configuration_set: Option<String>,
    ) -> Self {
        Self::Ses { client: JsonApi::new(&SES, aws), from, configuration_set }
    }

    /// Sends an e-mail. If the e-mail can never be delivered, or `MAIL_FROM` isn't set, logs this
    /// and drops the e-mail. The log line doesn't contain an address.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if a later attempt may succeed, and [`Error::Internal`] if an
    /// operator must fix something first.
    #[inline]
    pub async fn send(&self, mail: Mail) -> Result<()> {
        match self {
            Self::Disabled => {
                tracing::warn!(
                    subject = mail.subject,
                    "an e-mail was dropped: MAIL_FROM is not set"
                );
                return Ok(());
            }
            Self::Ses { client, from, configuration_set } => {
                let sent = send_by_ses(client, from, configuration_set.as_deref(), &mail).await?;
                if let Err(refused) = sent {
                    let subject = mail.subject;
                    tracing::error!(subject, code = refused, "an e-mail was refused and dropped");
                    metrics::record_by(PERMANENT, &[(Metric::MailsFailed, 1)]);
                    return Ok(());
                }
            }
            Self::Channel(channel) => channel
                .send(mail)
                .map_err(|_| Error::Unavailable("the receiver of e-mails has stopped".into()))?,
        }
        metrics::record(&[(Metric::MailsSent, 1)]);
        Ok(())
    }
}

/// Sends an e-mail through Amazon SES
/// ([`SendEmail`](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html)). The
/// inner error is SES's code for refusing this e-mail.
#[inline]
async fn send_by_ses(
    client: &JsonApi,
    from: &str,
    configuration_set: Option<&str>,
    mail: &Mail,
) -> Result<Result<(), String>> {
    let utf8 = |text: &str| json!({ "Data": text, "Charset": "UTF-8" });
    let message = json!({ "Subject": utf8(&mail.subject), "Body": { "Text": utf8(&mail.text) } });
    let mut email = json!({
        "FromEmailAddress": from,
        "Destination": { "ToAddresses": [mail.to] },
        "Content": { "Simple": message },
    });
    if let (Some(set), Some(fields)) = (configuration_set, email.as_object_mut()) {
        fields.insert("ConfigurationSetName".to_owned(), json!(set));
    }
    let sent = client.call(Call::rest("/v2/email/outbound-emails", email.to_string())).await;
    let Err(error) = sent else { return Ok(Ok(())) };
    let cause = cause(&error);
    match fault_of(&error) {
        Fault::Mail => Ok(Err(cause)),
        Fault::Operator => Err(Error::Internal(cause)),
        Fault::Moment => Err(Error::Unavailable(cause)),
    }
}

/// Why an e-mail wasn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The cause is the e-mail's text or recipient, for example an address with non-ASCII
    /// characters before its `@`. Retries never succeed.
    Mail,
    /// The AWS account's configuration or status is the cause. All e-mails fail until an operator
    /// fixes it.
    Operator,
    /// The cause is throttling, or a failure of SES or the network. A later attempt may succeed.
    Moment,
}

/// Classifies an error according to the [documented
/// errors](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors)
/// of `SendEmail` and SES's [common
/// errors](https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html).
#[inline]
fn fault_of(error: &CallError) -> Fault {
    let SdkError::ServiceError(service) = error else {
        // A time-out, a failed connection, or an unreadable reply.
        return match error {
            SdkError::ConstructionFailure(_) => Fault::Operator,
            _ => Fault::Moment,
        };
    };
    let status = service.raw().status();
    match service.err().code() {
        Some("MessageRejected" | "BadRequestException") => Fault::Mail,
        // A later attempt may succeed, because the daily quota or the rate is exceeded only
        // temporarily, and the next instance gets new credentials.
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
        // The other errors are AccountSuspended, SendingPaused, MailFromDomainNotVerified, NotFound
        // (for the configuration set), AccessDenied, and any error that SES may add.
        _ => Fault::Operator,
    }
}

/// Returns a failure's code or kind. SES's messages are left out, because they contain addresses.
#[inline]
fn cause(error: &CallError) -> String {
    match error.as_service_error().and_then(ErrorMetadata::code) {
        Some(code) => format!("Amazon SES: {code}"),
        None if error.as_service_error().is_some() => "Amazon SES: an error without a code".into(),
        None => format!("Amazon SES: {}", aws::cause(error)),
    }
}
