//! `POST /api/chat`, `POST /api/chat_msg` - send the AI a message, and pay for its answer.
//!
//! Holds the tokens, calls the AI, and then stores the answer or returns the tokens.

use shared::app::{AiApp, HandlerState, UsesSettings};
use shared::charge::{self, Charge};
use shared::clock::Clock;
use shared::config::{AiConfig, ClientStatuses, ConfigError, Names, Settings};
use shared::error::Failure;
use shared::openapi::IdempotencyKey;
use shared::view::PaidChat;
use shared::{Reply, Request, extends};

use crate::dialects::answer_whole;
use crate::dialects::native::Native;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Sends messages to the AI")
    .canary()
    .asks_ai()
    .timeout(28)
    .permits(permits![VERIFY_TOKENS, ASK_AI, CONTINUE_CONVERSATION, ATTACH_FILES]);

/// An [`AiApp`], together with the status codes that clients expect.
#[derive(Clone)]
pub struct ChatApp {
    /// The AI, and everything else that is needed to charge a message.
    pub asking: AiApp,
    statuses: ClientStatuses,
}

extends!(ChatApp, asking: AiApp);

impl UsesSettings for ChatApp {
    const SETTINGS: &'static [Names] = &[AiConfig::SETTINGS, ClientStatuses::SETTINGS];
}

impl HandlerState for ChatApp {
    const CHOOSES_STATUSES: bool = true;

    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let statuses = ClientStatuses::read(settings)?;
        Ok(Self { asking: AiApp::start(settings, clock).await?, statuses })
    }
}

/// Replies with the usual status codes.
impl From<AiApp> for ChatApp {
    fn from(asking: AiApp) -> Self {
        Self { asking, statuses: ClientStatuses::default() }
    }
}

/// Send the AI a message
///
/// The tokens are taken before the AI is called, and returned if it fails. A message that names an
/// earlier message in `after` begins a branch of the conversation, for an edited message or another
/// answer to the same one. The other versions are kept, and the AI doesn't get them, except their
/// files: the AI gets the files of a conversation in all its branches, and they are charged with
/// each message, until they are removed.
#[utoipa::path(
    post,
    path = super::path::chat,
    tag = "Chat",
    security(("access_token" = []), ()),
    params(IdempotencyKey),
    request_body = charge::Body,
    responses((
        status = 200,
        description = "The answer, and the balance after it.",
        body = PaidChat,
        headers(("RateLimit" = String)),
    )),
    extensions(
        ("x-form" = json!(true)),
        ("x-status" = json!(true)),
        ("x-fails" = json!([charge::FAILURES, &[Failure::NoSuchConversation, Failure::NoSuchFolder]].concat())),
        ("x-gives" = json!({
            "/api/chat/{id}": "/id",
            "/api/conversations/{id}": "/conversation_id",
            "share_create.conversation_id": "/conversation_id",
        })),
    ),
)]
pub async fn handle(app: ChatApp, req: Request) -> Reply {
    let ChatApp { asking, statuses } = app;
    let (caller, asked) = charge::read_of_old_client(&asking, &req).await?;
    let outcome = Charge::begin(&asking, &req, &caller, asked).await?;
    answer_whole(outcome, &Native { status: statuses.message }).await
}
