//! Begins a chat: places a hold and assembles the prompt.

use crate::ai::Prompt;
use crate::app::AiApp;
use crate::charge::Charge;
use crate::charge::chosen_model::{Basis, FirstPrices, PromptPrices, instructions_size};
use crate::charge::context::Context;
use crate::charge::files::PromptFiles;
use crate::charge::paid_work::PaidWork;
use crate::charge::request::{NOT_IN_CONVERSATION, NewChat, RequestKey};
use crate::store::{
    self, Branch, Conversation, Hold, Refund, ReserveOutcome, Shortage, StoreError,
};
use crate::values::limit::DAY;
use crate::values::{Chat, Credential, File, FileInfo, Folder, MessagePrices};
use crate::{App, Credits, Error, Request, Result};

/// How long a temporary conversation is kept, in seconds.
const TEMPORARY: u64 = DAY;

/// The value of the `Retry-After` header, in seconds, for a retry that arrives while the first
/// request is still running.
pub(super) const RETRY_SECONDS: u32 = 5;

/// The outcome of [`Charge::begin`].
pub enum BeginOutcome {
    /// The credits are held; the AI is called next.
    Charge(Box<Charge>),
    /// An earlier request with the same idempotency key has already produced this chat. No credits
    /// are reserved.
    Replayed(Box<Chat>),
}

/// Why a chat isn't charged.
enum NoCharge {
    /// An earlier request with the same idempotency key has already produced this chat.
    Replayed(Box<Chat>),
    /// The chat has failed.
    Failed(Error),
}

impl From<Error> for NoCharge {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for NoCharge {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Charge {
    /// Holds the credits for a chat, and reads the conversation that precedes the chat. Must be
    /// called after all other checks.
    ///
    /// # Errors
    /// Returns the error in [`NewChat::model`], such as [`Error::NoSuchModel`] or
    /// [`Error::AiFailed`], an error from [`Store::reserve`](crate::store::Store::reserve),
    /// [`Error::InsufficientTokens`], [`Error::KeyLimitReached`], [`Error::CostsMore`],
    /// [`Error::KeyReused`], [`Error::ChatDeleted`], [`Error::NoSuchConversation`],
    /// [`Error::NoSuchFolder`], or [`Error::Invalid`] if the conversation lacks the new chat's
    /// parent. After an error, no credits are held, with one exception: if the error is
    /// [`Error::Unavailable`], the credits may be held until the lease ends. If the conversation or
    /// the user's instructions can't be read after the reserve, the credits are returned; if that
    /// fails too, the error is [`Error::AiFailedTokensHeld`].
    pub async fn begin(
        app: &AiApp,
        req: &Request,
        caller: &Credential,
        asked: NewChat,
    ) -> Result<BeginOutcome> {
        let has_conversation = matches!(asked.context, Context::Conversation { .. });
        match Self::begin_unless_replayed(app, req, caller, asked).await {
            Ok(charge) => Ok(BeginOutcome::Charge(Box::new(charge))),
            Err(NoCharge::Replayed(chat)) => Ok(BeginOutcome::Replayed(chat)),
            Err(NoCharge::Failed(error)) => {
                if has_conversation && is_refusal(&error) {
                    app.refused.remember(caller.user_id(), app.clock.seconds());
                }
                Err(error)
            }
        }
    }

    /// Like [`Charge::begin`], but returns a replay as an error.
    async fn begin_unless_replayed(
        app: &AiApp,
        req: &Request,
        caller: &Credential,
        asked: NewChat,
    ) -> Result<Self, NoCharge> {
        let started = app.clock.millis();
        let now = started / 1000;
        let chat_id = app.clock.id();
        let can_be_stopped = asked.key.as_ref().is_some_and(|key| key.by_client);
        let ConversationContext { branch, instructions, folder, files, expires_at } =
            replay_or_context(app, caller, &asked, now).await?;

        let Branch { ids, after, .. } = branch;
        let NewChat { message, attachments, context, temporary, key, model, max_cost } = asked;
        let expires_at = expires_at.or(temporary.then_some(now + TEMPORARY));
        let id = chat_id.to_string();
        let of_chat = (caller.user_id(), id.as_str());
        // Another message may have added files to the conversation since an earlier request with the
        // same idempotency key began.
        let refuse = async |error| replay_or_refuse(app, caller, key.as_ref(), error, now).await;
        let model = match model {
            Ok(model) => model,
            Err(error) if key.is_none() => return Err(error.into()),
            Err(error) => return Err(refuse(error).await),
        };
        let chosen =
            PromptFiles::choose(&model.ai, &message, attachments, files, of_chat, expires_at);
        let files = match chosen {
            Ok(files) => files,
            Err(error) => return Err(refuse(error).await),
        };
        let first = model.first_prices(app, &message, &context, &files, folder.is_some());
        let quote = match first.quote().within(max_cost) {
            Ok(quote) => quote,
            Err(error) => return Err(refuse(error.into()).await),
        };
        let by_usage = quote.depends_on_usage();

        let mut work = PaidWork::new(app, req, caller, chat_id, quote, key.as_ref(), started);
        work.hold.set_estimated(by_usage);
        let mut pending = PendingHold::new(work, caller, key.as_ref(), max_cost);
        let of_message = message.text().len() + files.prompt_size();
        let before = Before {
            context: &context,
            ids: &ids,
            files: &files,
            folder: folder.as_deref(),
            instructions,
            room: model.ai.context_room(of_message),
            by_usage,
        };
        let Placed { shortage, chats, contents, instructions } =
            pending.place(app, &first, before).await?;

        let conversation = context.conversation(chat_id);
        let new_folder = context.new_folder().map(str::to_owned);
        let mut prompt = match context {
            Context::Given(prompt) => *prompt,
            Context::New { .. } | Context::Conversation { .. } => {
                let turns = files.turns(&chats, &contents, &message);
                Prompt { turns, instructions, ..Prompt::default() }
            }
        };
        let prices = match first {
            FirstPrices::Known(prices) => Some(prices),
            FirstPrices::Fixed(_) | FirstPrices::Unread { .. } => model.prices(&prompt),
        };
        let shortened_to = match &prices {
            Some(prices) => pending.fit(prices, shortage).await?,
            None => None,
        };
        prompt.max_tokens = shortened_to.or(prompt.max_tokens);
        pending.store_files(&files).await?;

        Ok(Self {
            work: pending.work,
            message,
            conversation,
            expires_at,
            new_folder,
            after,
            prompt,
            high: prices.map_or(0, |prices| prices.tokens.high),
            files: files.listed(),
            over: files.over(),
            model,
            shortened: shortened_to.is_some(),
            can_be_stopped,
        })
    }
}

/// The parts of a conversation that are sent to the AI with a new message.
#[derive(Default)]
struct ConversationContext {
    /// The chats that precede the new chat.
    branch: Branch,
    /// The user's instructions for the conversation.
    instructions: Option<String>,
    /// When the conversation is deleted, in seconds, if it is temporary.
    expires_at: Option<u64>,
    /// The id of the conversation's folder, which may have been deleted.
    folder: Option<String>,
    /// The files that the conversation lists.
    files: Vec<FileInfo>,
}

/// The outcome of reading the conversation that precedes a new chat.
enum ReadOutcome {
    Read(ConversationContext),
    /// The conversation doesn't exist, or lacks the new chat's parent.
    Missing(Error),
}

/// Returns the conversation that precedes the new chat, unless an earlier request with the same
/// idempotency key has finished.
async fn replay_or_context(
    app: &AiApp,
    caller: &Credential,
    asked: &NewChat,
    now: u64,
) -> Result<ConversationContext, NoCharge> {
    let key = asked.key.as_ref();
    let replayed = async {
        match key.filter(|key| !key.fresh) {
            Some(key) => replay(app, caller, key).await,
            None => Ok(()),
        }
    };
    let (replayed, conversation) =
        tokio::join!(replayed, read_conversation(app, caller, &asked.context, now));
    replayed?;
    match conversation? {
        ReadOutcome::Read(conversation) => Ok(conversation),
        ReadOutcome::Missing(error) => Err(replay_or_refuse(app, caller, key, error, now).await),
    }
}

/// Reads the part of the conversation that precedes the new message.
async fn read_conversation(
    app: &AiApp,
    caller: &Credential,
    context: &Context,
    now: u64,
) -> Result<ReadOutcome> {
    let Context::Conversation { id, after } = context else {
        let folder = context.new_folder().map(str::to_owned);
        return Ok(ReadOutcome::Read(ConversationContext { folder, ..Default::default() }));
    };
    let (user_id, count) = (caller.user_id(), app.ai.config.context_chats);
    let (conversation, newest) = tokio::try_join!(
        app.store.conversation(user_id, id),
        app.store.newest_chats(user_id, id, count)
    )?;
    let kept = conversation.filter(|conversation| !conversation.is_expired(now));
    let Some(conversation) = kept else {
        return Ok(ReadOutcome::Missing(Error::NoSuchConversation));
    };
    let files = conversation.all_files();
    let Conversation { instructions, folder, expires_at, .. } = conversation;
    let branch = app.store.branch(user_id, id, newest, after.as_ref(), count).await?;
    Ok(match branch {
        Some(branch) => ReadOutcome::Read(ConversationContext {
            branch,
            instructions,
            folder,
            files,
            expires_at,
        }),
        None => ReadOutcome::Missing(Error::field("after", NOT_IN_CONVERSATION)),
    })
}

/// Handles a request that is refused for the state of its conversation. An earlier request with the
/// same idempotency key may have started before that state, so the key is checked first.
async fn replay_or_refuse(
    app: &App,
    caller: &Credential,
    key: Option<&RequestKey>,
    refused: Error,
    now: u64,
) -> NoCharge {
    // If the account doesn't accept the credential, don't reveal anything else to the caller.
    let account = match app.store.account_with(caller).await {
        Ok(account) => account,
        Err(error) => return error.into(),
    };
    let Some(key) = key else { return refused.into() };
    match account.reservations.get(&key.id).filter(|running| running.expires_at > now) {
        Some(running) if running.fingerprint != key.fingerprint => Error::KeyReused.into(),
        Some(_) => Error::KeyRunning { seconds: RETRY_SECONDS }.into(),
        // Read the idempotency key's record after the account. In the reverse order, a request that
        // ends between the two reads would be missed.
        None => replay(app, caller, key).await.err().unwrap_or(NoCharge::Failed(refused)),
    }
}

/// Handles a reserve that was refused because an earlier request with the same idempotency key has
/// ended.
async fn replay_or_running(app: &App, caller: &Credential, key: Option<&RequestKey>) -> NoCharge {
    let replayed = match key {
        Some(key) => replay(app, caller, key).await.err(),
        None => None,
    };
    replayed.unwrap_or(NoCharge::Failed(Error::KeyRunning { seconds: RETRY_SECONDS }))
}

/// Looks for the stored result of an earlier request with this idempotency key. Returns `Ok` if no
/// request with this key has finished. Writes nothing, and doesn't call the AI.
///
/// # Errors
/// Returns [`NoCharge::Replayed`] with the result, [`Error::NoSuchModel`] if the caller isn't
/// allowed to use the model that answered, [`Error::KeyReused`], or [`Error::ChatDeleted`].
async fn replay(app: &App, caller: &Credential, key: &RequestKey) -> Result<(), NoCharge> {
    let now = app.clock.seconds();
    let Some(record) = app.store.record(&key.id, now).await? else {
        return Ok(());
    };
    let (account, chat) = tokio::join!(
        app.store.account_with(caller),
        app.store.chat(caller.user_id(), &record.result_id)
    );
    account?;
    if record.fingerprint != key.fingerprint {
        return Err(Error::KeyReused.into());
    }
    let chat = chat?.filter(|chat| !chat.is_expired(now)).ok_or(Error::ChatDeleted)?;
    // A request doesn't have to contain a model, so only the stored chat shows which model
    // answered.
    match caller.may_use(chat.model_name()) {
        true => Err(NoCharge::Replayed(Box::new(chat))),
        false => Err(Error::NoSuchModel(Some(chat.model_name().to_owned())).into()),
    }
}

/// What precedes a new message in its prompt.
struct Before<'a> {
    context: &'a Context,
    /// The ids of the chats in the message's branch, newest first.
    ids: &'a [String],
    files: &'a PromptFiles,
    /// The id of the conversation's folder.
    folder: Option<&'a str>,
    /// The user's instructions for the conversation.
    instructions: Option<String>,
    /// How many bytes of chats and instructions fit into the prompt.
    room: usize,
    /// True if the model is charged by usage.
    by_usage: bool,
}

/// Work whose hold may still be too small, with the data needed to reserve credits again.
pub(super) struct PendingHold<'a> {
    pub(super) work: PaidWork,
    caller: &'a Credential,
    key: Option<&'a RequestKey>,
    max_cost: Option<Credits>,
    /// The count that decides the amount of the hold.
    basis: Basis,
    /// The estimated amount that was reserved before the bound's.
    estimated: Option<Credits>,
}

/// The outcome of a hold's first reserve, and the data that was read with it.
struct Placed {
    /// `None` if the credits are held.
    shortage: Option<Shortage>,
    /// The chats that precede the new chat and fit into its prompt, oldest first.
    chats: Vec<Chat>,
    /// The files of earlier messages.
    contents: Vec<File>,
    /// The user's instructions: for all conversations, for the folder, and for the conversation.
    instructions: Vec<String>,
}

impl<'a> PendingHold<'a> {
    pub(super) fn new(
        work: PaidWork,
        caller: &'a Credential,
        key: Option<&'a RequestKey>,
        max_cost: Option<Credits>,
    ) -> Self {
        Self { work, caller, key, max_cost, basis: Basis::High, estimated: None }
    }

    /// Reserves the hold's amount.
    pub(super) async fn reserve(&mut self) -> store::Result<ReserveOutcome> {
        let PaidWork { app, hold, limits, started, .. } = &mut self.work;
        let asked = hold.quote().hold();
        let reserved = app.store.reserve(self.caller, hold, *limits, *started / 1000).await?;
        let held = Some(hold.quote().hold());
        if reserved == ReserveOutcome::Held && held != Some(asked) && held == self.estimated {
            // A late copy of the estimated reserve was applied, whose conditions held.
            self.basis = Basis::High;
        }
        Ok(reserved)
    }

    /// Reserves the hold's amount. If the account's messages have exceeded their holds by too much,
    /// reserves `most` instead, which the price of the answer can't exceed.
    async fn reserve_or_most(&mut self, most: Option<Credits>) -> store::Result<ReserveOutcome> {
        let reserved = self.reserve().await?;
        let Some(most) = most.filter(|_| reserved == ReserveOutcome::Underheld) else {
            return Ok(reserved);
        };
        let hold = &mut self.work.hold;
        self.estimated = Some(hold.quote().hold());
        self.basis = Basis::Bound;
        hold.set_estimated(false);
        hold.change_amount(most.min(self.max_cost.unwrap_or(Credits::MAX)));
        self.reserve().await
    }

    /// Places the hold, and reads what precedes the message, in parallel. If a read fails, returns
    /// the credits.
    ///
    /// If this function has refused the account a moment ago, the hold is placed first, so that a
    /// message that is refused again reads as little as possible.
    async fn place(
        &mut self,
        app: &AiApp,
        first: &FirstPrices,
        before: Before<'_>,
    ) -> Result<Placed, NoCharge> {
        let user_id = self.caller.user_id();
        let all = async || {
            tokio::try_join!(
                app.store.chats_by_id(user_id, before.ids),
                before.files.read(app, user_id),
                app.store.folder(user_id, before.folder)
            )
        };
        let most = first.most_by_bound();
        let is_conversation = matches!(before.context, Context::Conversation { .. });
        let (shortage, read) =
            if is_conversation && app.refused.remembers(user_id, app.clock.seconds()) {
                let (reserved, ()) = tokio::join!(self.reserve_or_most(most), app.ai.renew_keys());
                let shortage = self.held_or_short(reserved).await?;
                self.refuse_unread(first, shortage).await?;
                let read = match shortage {
                    None => Some(all().await),
                    Some(_) => None,
                };
                (shortage, read)
            } else {
                let reserving = self.reserve_or_most(most);
                let (reserved, read, ()) = tokio::join!(reserving, all(), app.ai.renew_keys());
                (self.held_or_short(reserved).await?, Some(read))
            };
        let read = async {
            let Some(read) = read else {
                let folder = app.store.folder(user_id, before.folder).await?;
                let instructions = self.instructions(app, &before, folder).await?;
                let chats = newest_fitting(app, user_id, &instructions, &before).await?;
                let contents = before.files.read(app, user_id).await?;
                return Ok((chats, contents, instructions));
            };
            let (chats, contents, folder) = read?;
            let instructions = self.instructions(app, &before, folder).await?;
            Ok((fitting(chats, &instructions, &before), contents, instructions))
        };
        let read = read.await;
        self.placed(shortage, read).await
    }

    /// Returns what was read. If it couldn't be read, returns the credits.
    async fn placed(
        &self,
        shortage: Option<Shortage>,
        read: Result<(Vec<Chat>, Vec<File>, Vec<String>)>,
    ) -> Result<Placed, NoCharge> {
        match read {
            Ok((chats, contents, instructions)) => {
                Ok(Placed { shortage, chats, contents, instructions })
            }
            Err(error) if shortage.is_some() => Err(self.abandon(error).await.into()),
            Err(error) => {
                let counts = match error {
                    Error::NoSuchFolder => Refund::Uncounted,
                    _ => Refund::Counted,
                };
                Err(self.work.refund(counts, error).await.into())
            }
        }
    }

    /// Returns all of the user's instructions: for all conversations, for this folder, and for the
    /// conversation.
    async fn instructions(
        &self,
        app: &AiApp,
        before: &Before<'_>,
        folder: Option<Folder>,
    ) -> Result<Vec<String>> {
        if folder.is_none() && before.context.new_folder().is_some() {
            return Err(Error::NoSuchFolder);
        }
        let own = own_instructions(app, &self.work.hold, before.context).await?;
        let of_folder = folder.and_then(|folder| folder.instructions().map(str::to_owned));
        Ok(own.into_iter().chain(of_folder).chain(before.instructions.clone()).collect())
    }

    /// Refuses a message without reading its conversation, if the available credits or `max_cost`
    /// don't even cover what is surely in the prompt. The cost in the refusal is enough for any
    /// conversation.
    async fn refuse_unread(
        &self,
        first: &FirstPrices,
        shortage: Option<Shortage>,
    ) -> Result<(), NoCharge> {
        let FirstPrices::Unread { longest, shortest } = first else { return Ok(()) };
        let (sure, least) = (shortest.least(self.basis), longest.least(self.basis));
        let prices = MessagePrices { prompt: shortest.shown().prompt, most: longest.shown().most };
        match shortage {
            None if self.work.hold.quote().hold() < sure => {
                Err(self.return_too_small(least, prices).await.into())
            }
            Some(short) if self.max_cost.is_some_and(|max_cost| max_cost < sure) => {
                Err(self.abandon(self.too_little(short, least, prices)).await.into())
            }
            // With a `max_cost` that may be too low as well, only the whole prompt decides which of
            // the two is the reason.
            Some(short)
                if short.available() < sure
                    && self.max_cost.is_none_or(|max_cost| max_cost >= least) =>
            {
                Err(self.abandon(self.too_little(short, least, prices)).await.into())
            }
            None | Some(_) => Ok(()),
        }
    }

    /// Stores the message's files. They are stored after the credits are held, so that a caller
    /// without credits can't fill the store. If this fails, returns the credits; the sweep deletes
    /// the files that were stored.
    async fn store_files(&self, files: &PromptFiles) -> Result<(), NoCharge> {
        let new = files.new_files();
        if new.is_empty() {
            return Ok(());
        }
        match self.work.app.store.store_files(&self.work.hold, new).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.work.refund(Refund::Counted, error.into()).await.into()),
        }
    }

    /// Interprets the outcome of a reserve. Returns `None` if the credits are held, and the
    /// shortage if a smaller hold may be enough for the chat.
    async fn held_or_short(
        &self,
        reserved: store::Result<ReserveOutcome>,
    ) -> Result<Option<Shortage>, NoCharge> {
        match reserved {
            Ok(ReserveOutcome::Held) => Ok(None),
            Ok(ReserveOutcome::Ended) => {
                Err(replay_or_running(&self.work.app, self.caller, self.key).await)
            }
            Ok(ReserveOutcome::Short(shortage)) if self.work.hold.quote().depends_on_usage() => {
                Ok(Some(shortage))
            }
            Ok(ReserveOutcome::Short(shortage)) => Err(self.refuse_hold(shortage).await.into()),
            // The bound is never refused for this reason.
            Ok(ReserveOutcome::Underheld) => {
                Err(Error::Internal("a bound was refused as an estimate".into()).into())
            }
            Err(error) => Err(NoCharge::Failed(error.into())),
        }
    }

    /// Adjusts the hold to a prompt with these prices. After a shortage, reserves a smaller amount.
    /// If the hold doesn't cover an answer of the maximum length, returns the length, in model
    /// tokens, of the longest answer that it does cover.
    async fn fit(
        &mut self,
        prices: &PromptPrices,
        mut shortage: Option<Shortage>,
    ) -> Result<Option<u32>, NoCharge> {
        // Other chats may lower the balance between two reserves. Each reserve by one basis is for a
        // smaller amount than the previous one, but at least the least.
        while let Some(short) = shortage {
            let (amount, least) = (self.affordable(prices, short), prices.least(self.basis));
            if amount < least {
                let error = self.too_little(short, least, prices.shown());
                return Err(self.abandon(error).await.into());
            }
            self.work.hold.change_amount(amount);
            let reserved = self.reserve_or_most(Some(prices.most(Basis::Bound))).await;
            shortage = self.held_or_short(reserved).await?;
        }
        let (held, least) = (self.work.hold.quote().hold(), prices.least(self.basis));
        let shortened_to = prices.fit(self.basis, held);
        if shortened_to.is_some() && held < least {
            return Err(self.return_too_small(least, prices.shown()).await.into());
        }
        self.work.hold.set_ceiling(prices.ceiling(shortened_to));
        Ok(shortened_to)
    }

    /// Returns the held credits, because they don't cover the cheapest answer, which costs `least`.
    /// A hold can be this small only if `max_cost` limited the first reserve, before the prompt was
    /// known.
    async fn return_too_small(&self, least: Credits, prices: MessagePrices) -> Error {
        let held = self.work.hold.quote().hold();
        let had = Shortage::Balance {
            balance: self.work.hold.balance_after().checked_add(held).unwrap_or(Credits::MAX),
            held: Credits::ZERO,
            next: self.work.hold.next_allowance(),
        };
        let error = self.too_little(had, least, prices);
        self.work.refund(Refund::Uncounted, error).await
    }

    /// Returns the amount to reserve after a shortage: enough for the longest answer to the real
    /// prompt, or all that is available if that is less.
    fn affordable(&self, prices: &PromptPrices, shortage: Shortage) -> Credits {
        let most = match shortage {
            // Leave half of the balance for the key's owner.
            Shortage::Balance { balance, .. } if self.work.hold.is_limited() => {
                let half = balance.part_of(2).max(prices.least(self.basis));
                prices.most(self.basis).min(half)
            }
            Shortage::Balance { .. } | Shortage::KeyLimit { .. } => prices.most(self.basis),
        };
        most.min(shortage.available()).min(self.max_cost.unwrap_or(Credits::MAX))
    }

    /// Returns the failure if a shortage or `max_cost` leaves less than `least`.
    fn too_little(&self, shortage: Shortage, least: Credits, prices: MessagePrices) -> Error {
        let by_usage = Some(prices);
        match self.max_cost.filter(|max_cost| *max_cost < least) {
            Some(most) => Error::CostsMore { cost: least, most, by_usage },
            None => shortage.failure(least, by_usage),
        }
    }

    /// Returns the failure if a hold is refused and its amount can't be changed.
    async fn refuse_hold(&self, shortage: Shortage) -> Error {
        let error = shortage.failure(self.work.hold.quote().hold(), None);
        match shortage {
            Shortage::KeyLimit { .. } => self.abandon(error).await,
            Shortage::Balance { .. } => error.advised(self.work.app.config.advice()),
        }
    }

    /// Returns `error` after a refused reserve. If a copy of the reserve may still arrive at the
    /// store, closes the hold's id first. Otherwise, the delayed copy could reserve credits that
    /// the user buys after the refusal.
    pub(super) async fn abandon(&self, error: Error) -> Error {
        let error = error.advised(self.work.app.config.advice());
        if !self.work.hold.was_sent_again() {
            return error;
        }
        match self.work.app.store.abandon(&self.work.hold, self.work.app.clock.seconds()).await {
            Ok(()) => error,
            Err(unknown) => unknown.into(),
        }
    }
}

/// Returns the user's instructions for all conversations. Reads the store only if the account has
/// instructions and the message came through this API's own endpoints. Programs send all
/// instructions themselves.
async fn own_instructions(app: &App, hold: &Hold, context: &Context) -> Result<Option<String>> {
    match context {
        Context::New { .. } | Context::Conversation { .. } if hold.is_instructed() => {
            Ok(app.store.instructions(hold.user_id()).await?)
        }
        _ => Ok(None),
    }
}

/// The part of a context that is still free.
struct Room {
    bytes: usize,
    by_usage: bool,
}

impl Room {
    /// Instructions count like earlier messages, so they don't raise the maximum length of a prompt.
    fn beside(instructions: &[String], before: &Before<'_>) -> Self {
        let taken = instructions_size(instructions, before.by_usage);
        Self { bytes: before.room.saturating_sub(taken), by_usage: before.by_usage }
    }

    /// Takes the room for a chat. Returns false if the chat doesn't fit.
    fn fits(&mut self, chat: &Chat) -> bool {
        let size = if self.by_usage { chat.bound() } else { chat.prompt_size() };
        let rest = self.bytes.checked_sub(size);
        self.bytes = rest.unwrap_or(self.bytes);
        rest.is_some()
    }
}

/// Returns the newest chats that fit into the prompt with these instructions, oldest first.
fn fitting(newest_first: Vec<Chat>, instructions: &[String], before: &Before<'_>) -> Vec<Chat> {
    let mut room = Room::beside(instructions, before);
    let mut last: Vec<Chat> = newest_first.into_iter().take_while(|chat| room.fits(chat)).collect();
    last.reverse();
    last
}

/// Reads the newest chats one after the other until one doesn't fit, and returns those that fit,
/// oldest first.
async fn newest_fitting(
    app: &AiApp,
    user_id: &str,
    instructions: &[String],
    before: &Before<'_>,
) -> Result<Vec<Chat>> {
    let mut room = Room::beside(instructions, before);
    let mut chats = Vec::new();
    for id in before.ids {
        let read = app.store.chats_by_id(user_id, std::slice::from_ref(id)).await?;
        let Some(chat) = read.into_iter().next() else { continue };
        if !room.fits(&chat) {
            break;
        }
        chats.push(chat);
    }
    chats.reverse();
    Ok(chats)
}

/// Returns true if the message was refused for a reason that often lasts.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::InsufficientTokens { .. }
            | Error::KeyLimitReached { .. }
            | Error::CostsMore { .. }
            | Error::TooManyChats(_)
            | Error::TooManyChatsThisMinute(_)
            | Error::TooManyRefunds(_)
    )
}
