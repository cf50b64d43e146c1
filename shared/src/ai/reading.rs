//! Reads a provider's reply until it ends, or until shortly after the end of its answer.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::ai::{AnswerBuilder, Failure};

/// How long a reply is still read after the end of its answer if the token counts haven't arrived.
const FOR_NUMBERS: Duration = Duration::from_secs(2);

/// How long a reply is still read after the end of its answer if the token counts have arrived.
/// Some servers leave the connection open.
const FOR_THE_END: Duration = Duration::from_secs(1);

/// A provider's reply, which arrives in parts.
pub(super) trait Reply {
    /// Reads the next part. Returns false at the end of the reply.
    async fn read_next(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<bool, Failure>;
}

/// Reads a reply.
///
/// # Errors
/// Returns the provider's failure. A failure after the end of the answer is ignored.
pub(super) async fn read(
    reply: &mut impl Reply,
    builder: &mut AnswerBuilder<'_>,
) -> Result<(), Failure> {
    let mut ended = None;
    let mut received = 0;
    loop {
        let next = match ended {
            None => reply.read_next(builder).await,
            Some(ended) => {
                let longest = match builder.has_final_numbers() {
                    true => FOR_THE_END,
                    false => FOR_NUMBERS,
                };
                match timeout_at(ended + longest, reply.read_next(builder)).await {
                    Ok(next) => next,
                    Err(_) => return Ok(()),
                }
            }
        };
        match next {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(failure) if builder.has_ended() => {
                tracing::warn!(cause = failure.cause(), "the AI has failed after its answer");
                return Ok(());
            }
            Err(failure) => return Err(failure),
        }
        // Some servers send more of the answer after a finish reason that seems to end it.
        if builder.has_ended() && (ended.is_none() || builder.received() > received) {
            ended = Some(Instant::now());
            received = builder.received();
        }
    }
}
