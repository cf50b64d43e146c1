//! The APIs through which clients send messages to the AI. This file contains the steps that all of
//! them share: sending an answer whole or piece by piece, and answering a retry from the store. A
//! [`Dialect`] writes the answer.
//!
//! To add a dialect for programs, create a folder here with a type that implements [`Dialect`] and
//! [`ProgramDialect`](programs::ProgramDialect), and an endpoint's file in a room, which calls
//! [`programs::answer`]:
//!
//! | to provide | in |
//! |---|---|
//! | the reply with a whole answer | [`reply`](Dialect::reply) |
//! | the events of a streamed answer, and of a failure after them | [`Writer`](Dialect::Writer) |
//! | the format of all other failures, as in the endpoint's row | [`FAILURES`](Dialect::FAILURES) |
//! | the fields of a request, and the prompt in them | [`Body`](programs::ProgramDialect::Body), [`read`](programs::ProgramDialect::read) |
//! | a word that no other dialect uses, for idempotency keys | [`FORM`](programs::ProgramDialect::FORM) |
//! | what differs from most dialects | the other functions of `ProgramDialect` |
//!
//! Dialects don't need to handle credits.

pub(crate) mod completions;
pub(crate) mod django;
pub(crate) mod messages;
pub(crate) mod native;
pub(crate) mod openai;
pub(crate) mod programs;
pub(crate) mod responses;
pub(crate) mod text_completions;

use std::time::Duration;

use shared::ai::{CallPiece, Piece, ReasoningPiece};
use shared::charge::{AnswerStream, BeginOutcome};
use shared::http::{self, Events, Failures, Problem, StreamProblem};
use shared::values::{AnswerBlock, Chat};
use shared::{Error, Reply, Request, Result};

/// The form in which clients of an API get an answer. A value contains the request options that
/// determine the form.
pub(crate) trait Dialect: Send + Sized + 'static {
    /// The format of failures.
    const FAILURES: &'static dyn Failures;

    /// True if a streamed reply shows how many more requests the client may send.
    const STREAMS_SHOW_LIMIT: bool = true;

    /// Writes the events of a streamed answer.
    type Writer: AnswerWriter;

    /// Returns the reply that contains a stored answer.
    fn reply(&self, chat: &Chat) -> Reply;

    /// Begins the stream for the answer with this id. `began` is the time of the request, in
    /// milliseconds since 1970.
    fn writer(self, events: Events, chat_id: &str, began: u64) -> Self::Writer;
}

/// Writes the events of one answer. All functions fail if the client has disconnected.
pub(crate) trait AnswerWriter: Send {
    /// Sends a piece of the answer.
    fn send_piece(&mut self, piece: &Piece) -> impl Future<Output = Result<()>> + Send;

    /// Ends the stream after the answer's last piece. The answer is already stored.
    fn end(&mut self, chat: &Chat) -> impl Future<Output = Result<()>> + Send;

    /// Ends the stream with a failure, and [notes](Events::note) the failure.
    fn fail(&mut self, error: &Error) -> impl Future<Output = Result<()>> + Send;

    /// Sends a stored answer. By default, sends its blocks as pieces, and ends the stream.
    fn replay(&mut self, chat: &Chat) -> impl Future<Output = Result<()>> + Send {
        async {
            for piece in pieces(chat) {
                self.send_piece(&piece).await?;
            }
            self.end(chat).await
        }
    }
}

/// Calls the AI, stores the answer or returns the tokens, and replies with the whole answer. A retry
/// gets the stored answer.
///
/// # Errors
/// Returns an error if the AI fails.
pub(crate) async fn answer_whole<D: Dialect>(outcome: BeginOutcome, dialect: &D) -> Reply {
    match outcome {
        BeginOutcome::Replayed(chat) => dialect.reply(&chat).map(http::replayed),
        BeginOutcome::Charge(charge) => {
            let paid = charge.answer(None).await?;
            let reply = dialect.reply(&paid.chat)?;
            Ok(D::FAILURES.limited(reply, &paid.this_minute))
        }
    }
}

/// Like [`answer_whole`], but sends the answer's pieces as they arrive, in events. Even if the client
/// disconnects, the answer is stored or the tokens are returned. `silence` is the time after which
/// the stream shows that it is alive.
///
/// # Errors
/// Returns an error if the AI fails before the first event. Later failures are sent as events.
pub(crate) async fn answer_in_pieces<D: Dialect>(
    outcome: BeginOutcome,
    dialect: D,
    req: &Request,
    silence: Duration,
) -> Reply {
    match outcome {
        BeginOutcome::Replayed(chat) => {
            let reply = http::events(req, D::FAILURES, silence, async move |events| {
                dialect.writer(events, &chat.chat_id, chat.time).replay(&chat).await
            });
            reply.map(http::replayed)
        }
        BeginOutcome::Charge(charge) => {
            let mut answering = AnswerStream::begin(charge).await?;
            let this_minute = *answering.this_minute();
            let reply = http::events(req, D::FAILURES, silence, async move |events| {
                let mut writer = dialect.writer(events, answering.chat_id(), answering.began());
                while let Some(piece) = answering.next().await {
                    writer.send_piece(&piece).await?;
                }
                match answering.end().await {
                    Ok(paid) => writer.end(&paid.chat).await,
                    Err(error) => writer.fail(&error).await,
                }
            })?;
            Ok(match D::STREAMS_SHOW_LIMIT {
                true => D::FAILURES.limited(reply, &this_minute),
                false => reply,
            })
        }
    }
}

/// Returns a stored answer as stream pieces, in the order of its blocks. A text or a call is one
/// piece.
fn pieces(chat: &Chat) -> Vec<Piece> {
    let of_block = |block: AnswerBlock<'_>| match block {
        AnswerBlock::Reasoning(part) => {
            let text = Some(part.text.clone()).filter(|text| !text.is_empty());
            let pieces = [
                text.map(ReasoningPiece::Text),
                part.signature.clone().map(ReasoningPiece::Signature),
                part.encrypted.clone().map(ReasoningPiece::Encrypted),
            ];
            let pieces = pieces.into_iter().flatten();
            pieces.map(|piece| Piece { reasoning: Some(piece), ..Piece::default() }).collect()
        }
        AnswerBlock::Text(text) => {
            let (text, is_refusal) = (text.to_owned(), chat.refused);
            vec![Piece { text, is_refusal, ..Piece::default() }]
        }
        AnswerBlock::Call(index, call) => {
            let begins = Some((call.id.clone(), call.name.clone()));
            let call = CallPiece { index, begins, arguments: call.arguments.clone() };
            vec![Piece { call: Some(call), ..Piece::default() }]
        }
    };
    let by_model = |piece: Piece| Piece { model: chat.model_name().to_owned(), ..piece };
    chat.in_blocks(true).into_iter().flat_map(of_block).map(by_model).collect()
}

/// The schemas of failures, for the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(
    messages::failures::AnthropicFailure,
    native::Delta,
    openai::failures::OpenAiFailure,
    Problem,
    StreamProblem
)))]
pub(crate) struct FailureSchemas;
