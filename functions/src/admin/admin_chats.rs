//! `GET /api/admin/chats` - the messages of all users or of one user, newest first, as a bare list.
//! For administrators.
//!
//! Reads the page and the administrator's account in parallel. Filtered messages are read only
//! after the caller's role is checked. The audit log names the readers before the reply is sent.

use serde_json::json;
use shared::app::{HandlerState, HasApp, HistoryApp, UsesSettings};
use shared::clock::Clock;
use shared::config::{ChatAccess, ConfigError, Names, Settings};
use shared::error::Failure;
use shared::http::{self, Paging, SEARCH_LENGTH};
use shared::openapi::{self, Days, PageQuery};
use shared::store::{ChatFilter, ChatKey, PageStart, Reading, Span};
use shared::values::Chat;
use shared::view::ChatOfUser;
use shared::{App, Error, Reply, Request, Result, auth};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lists messages for administrators").permits(permits![
        VERIFY_TOKENS,
        allow(&[Query, BatchGetItem], Chats),
        query(ChatsByTime),
        get(Tokens(&["imports:*"])),
        put(Standing),
    ]);

/// The maximum size of a page's messages and answers, in bytes.
const PAGE_BYTES: usize = 1_000_000;

/// An [`App`] or [`HistoryApp`], together with the setting that determines which of the users'
/// messages administrators may read.
#[derive(Clone)]
pub struct ChatReader<A> {
    pub(crate) app: A,
    access: ChatAccess,
}

impl<A> ChatReader<A> {
    /// # Errors
    /// Returns [`Error::ChatsClosed`] if the operator doesn't allow administrators to access
    /// messages in this way.
    pub(crate) fn require(&self, access: ChatAccess) -> Result<()> {
        if self.access >= access { Ok(()) } else { Err(Error::ChatsClosed) }
    }
}

impl<A: HandlerState> UsesSettings for ChatReader<A> {
    const SETTINGS: &'static [Names] = {
        assert!(A::SETTINGS.is_empty(), "list the settings of the inner type too");
        &[ChatAccess::SETTINGS]
    };
}

impl<A: HasApp> HasApp for ChatReader<A> {
    fn app(&self) -> Option<&App> {
        self.app.app()
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        self.app.app_mut()
    }
}

impl<A: HandlerState> HandlerState for ChatReader<A> {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let access = ChatAccess::read(settings)?;
        Ok(Self { app: A::start(settings, clock).await?, access })
    }
}

/// The messages that are read in parallel with the administrator's account. Filtering may need many
/// reads, so filtered messages are read only after the caller's role is checked.
enum Chats {
    OfAll(Vec<ChatKey>),
    OfOne(Vec<Chat>),
    Unread,
}

/// List all messages
///
/// The messages and answers of all users, newest first. A page has at most about a megabyte, and a
/// search looks at up to 200 messages for one page: a page may be short or empty, and still have a
/// next page. The operator can close the search, or the whole list.
#[utoipa::path(
    get,
    path = super::path::admin_chats,
    tag = "Administration",
    security(("access_token" = [])),
    params(PageQuery, AdminChatsParams, Days),
    responses((status = 200, description = "A page of messages and answers.", body = Vec<ChatOfUser>)),
    extensions(("x-fails" = json!([Failure::ChatsClosed]))),
)]
pub async fn handle(reader: ChatReader<HistoryApp>, req: Request) -> Reply {
    let app = &reader.app;
    let read = async {
        let period = app.data_period().await?;
        reader.require(ChatAccess::Read)?;
        let ChatQuery { user, chat, filter } = ChatQuery::from_request(&reader, &req)?;
        let paging = Paging::from_request(&req, &["user_id", "q", "from", "to", "model"])?;
        let start = paging.position().map(PageStart::parse).transpose()?;
        let (chats, next) = match (&user, chat) {
            (_, Some(chat)) => (Chats::OfAll(vec![chat]), None),
            _ if !filter.is_none() => (Chats::Unread, None),
            (None, None) => {
                let (keys, next) =
                    app.store.all_chats(start.as_ref(), period, paging.limit()).await?;
                (Chats::OfAll(keys), next)
            }
            (Some(user), None) => {
                let before = start.as_ref().map(ToString::to_string);
                let (chats, more) =
                    app.store.chats(user, before.as_deref(), paging.limit() + 1).await?;
                let (chats, more) = paging.cut(chats, more);
                let next = chats
                    .last()
                    .filter(|_| more)
                    .map(|last| PageStart::Before(last.chat_id.clone()));
                let kept = chats.into_iter().filter(|chat| !chat.is_temporary()).collect();
                (Chats::OfOne(kept), next)
            }
        };
        Ok((paging, user, filter, start, chats, next, period))
    };
    let (administrator, read) = auth::administrator(app, &req, read).await?;
    let (paging, user, filter, start, chats, next, period) = read;

    let given = |name| http::query(&req, name).unwrap_or_default();
    let mut scope = format!("admin/chats?of={}", given("user_id"));
    if !filter.is_none() {
        let text = json!([given("q"), given("from"), given("to"), given("model")]);
        scope = format!("{scope}&filter={text}");
    }
    let page = paging.prove(administrator.account(), &scope)?;
    let (chats, next) = match chats {
        Chats::OfAll(keys) => {
            let (mut chats, cut) = app.store.chats_within(&keys, PAGE_BYTES).await?;
            // A request for one message can name a temporary one.
            chats.retain(|chat| !chat.is_temporary());
            (chats, cut.or(next))
        }
        Chats::OfOne(chats) => (chats, next),
        Chats::Unread => {
            let (user, size) = (user.as_deref(), (paging.limit(), PAGE_BYTES));
            app.store.chats_found(user, &filter, start.as_ref(), period, size).await?
        }
    };
    let reading = match (http::query(&req, "q"), &user) {
        (Some(_), _) => Some(Reading::Search),
        (None, _) if chats.is_empty() => None,
        (None, Some(user)) => Some(Reading::OfUser(user)),
        (None, None) => Some(Reading::List),
    };
    if let Some(reading) = reading {
        app.store.record_reading(&administrator, reading, &app.clock).await?;
    }
    let data: Vec<_> = chats.iter().map(ChatOfUser::of).collect();
    page.reply(&data, next.map(|next| next.to_string()).as_deref())
}

/// The messages that a request selects.
struct ChatQuery {
    user: Option<String>,
    chat: Option<ChatKey>,
    filter: ChatFilter,
}

impl ChatQuery {
    fn from_request(reader: &ChatReader<HistoryApp>, req: &Request) -> Result<Self> {
        let user = http::query(req, "user_id").map(|user| {
            http::id(user).ok_or_else(|| Error::field("user_id", "This must be the id of a user."))
        });
        let user = user.transpose()?;
        let chat = http::query(req, "chat_id").map(|chat| {
            let chat = http::id(chat);
            let user = user.as_deref();
            chat.zip(user).map(|(chat, user)| ChatKey::new(user, &chat)).ok_or_else(|| {
                let sentence = "This must be the id of a message, beside the `user_id`.";
                Error::field("chat_id", sentence)
            })
        });
        let chat = chat.transpose()?;
        let (first, last) = http::query_days(req)?;
        let (text, model) = (http::query_search(req)?, http::query_model(req)?);
        let is_search = text.is_some();
        let filter = ChatFilter::new(text, model, Span { first, last });
        if chat.is_some() && !filter.is_none() {
            let sentence = "Omit this with `q`, `from`, `to` or `model`: it selects one message.";
            return Err(Error::field("chat_id", sentence));
        }
        if is_search {
            reader.require(ChatAccess::Search)?;
        }
        Ok(Self { user, chat, filter })
    }
}

/// The `user_id`, `chat_id`, `q` and `model` query parameters.
#[derive(Debug)]
pub struct AdminChatsParams;

impl IntoParams for AdminChatsParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "Only messages with these words in them or in their answers, in any order and \
            case. Words between double quotes are one phrase.";
        let text = Object::builder().schema_type(Type::String).max_length(Some(SEARCH_LENGTH));
        vec![
            openapi::parameter(
                "user_id",
                ParameterIn::Query,
                "Only the messages of this user.",
                openapi::id(),
            ),
            openapi::parameter(
                "chat_id",
                ParameterIn::Query,
                "Only the message with this id, of the user `user_id`. Not with `q`, `from`, `to` or `model`.",
                openapi::id(),
            ),
            openapi::parameter("q", ParameterIn::Query, about, text),
            openapi::of_model(),
        ]
    }
}
