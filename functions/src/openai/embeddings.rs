//! `POST /v1/embeddings` - vectors of texts, in the format of OpenAI's API
//! ([reference](https://platform.openai.com/docs/api-reference/embeddings/create)).
//!
//! Holds the tokens, calls the AI, and then charges for the vectors or returns the tokens. The
//! vectors are written while the client reads, so they may be larger than the 6 MB that Lambda
//! allows otherwise.

mod reply;
mod request;

use shared::charge::{self, AnswerForm, ChosenModel, EMBEDDING_FAILURES, NewEmbeddings};
use shared::openapi::{IdempotencyKey, RetryCount};
use shared::{Reply, Request, auth, http};

use self::reply::EmbeddingList;
use self::request::{Asked, Body, limits};
use crate::dialects::completions;
use crate::dialects::programs::{CompletionApp, refused, retries};
use crate::lambda::Lambda;

// A provider's reply can be a hundred megabytes long. Most are far shorter, and programs call this
// endpoint in bursts, so a canary would notice little.
pub(crate) const LAMBDA: Lambda = Lambda::new("Returns the vectors of texts to OpenAI's clients")
    .asks_ai()
    .memory(512)
    .streams(120)
    .permits(permits![VERIFY_TOKENS, EMBED, ACCEPT_PROGRAMS]);

/// The form of the vectors, which aren't stored.
const FORM: AnswerForm = AnswerForm { word: "embeddings", is_stored: false };

/// Turn texts into vectors
///
/// Returns a vector for each text, in the order of the texts, for searches by meaning. `model` is
/// the name of a model for embeddings in the price list. Unlike for messages, an unknown name is
/// refused, because vectors of different models can't be compared. Without a price list, only the
/// providers that work offline have embeddings. Lists of token ids work only with servers that
/// implement OpenAI's API.
///
/// The request costs the price of its tokens, or the model's flat price for every 64 KB of texts,
/// rounded up. Nothing but the ledger row is stored. For a retry, the vectors of a paid request are
/// computed again without a charge, at most twice.
#[utoipa::path(
    post,
    path = super::path::embeddings,
    tag = "OpenAI",
    security(("api_key" = []), ("access_token" = [])),
    params(IdempotencyKey, RetryCount),
    request_body = Body,
    responses((
        status = 200,
        description = "The vectors.",
        body = EmbeddingList,
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!(EMBEDDING_FAILURES)), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    http::require_json(&req)?;
    let caller = auth::program(&app, &req).await?;
    let Asked { model, request, encoding } = http::json::<Body>(&req)?.read()?;
    let model = ChosenModel::choose_for_embeddings(&app, &model, &caller).await?;
    model.check_texts(&app, &request.input)?;
    let key = retries::request_key(&app, &req, &caller, key.as_ref(), FORM, None).await?;
    let asked = NewEmbeddings { request, key, model };
    let paid = charge::embed(&app, &req, &caller, asked).await;
    let paid = paid.map_err(|error| refused(error, app.empty_balance))?;
    let (limit, is_repeat) = (paid.this_minute, paid.is_repeat);
    let reply = completions::FAILURES.limited(reply::write(paid, encoding), &limit);
    Ok(if is_repeat { http::replayed(reply) } else { reply })
}
