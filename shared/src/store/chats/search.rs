//! Lets administrators search the messages of all users or of one user.

use std::ops::ControlFlow;

use crate::clock::{millis_of, month};
use crate::store::chats::items::CHATS;
use crate::store::{DataPeriod, PageStart, Result, Span, Store};
use crate::values::{Chat, Search, without_thoughts};

/// The maximum number of chats that a search reads for one page, and their maximum total size in
/// bytes.
const LOOKED_AT: usize = 200;
const READ: usize = 4_000_000;

/// A filter for a list of chats. The default accepts all chats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatFilter {
    /// Accepts only chats whose message and answer contain these words.
    search: Option<Search>,
    /// Accepts only chats that this model has answered.
    model: Option<String>,
    /// Accepts only chats from these days.
    span: Span,
}

impl ChatFilter {
    /// Creates a filter that accepts chats from these days whose message and answer contain the
    /// words, and that this model has answered.
    pub fn new(search: Option<Search>, model: Option<String>, span: Span) -> Self {
        Self { search, model, span }
    }

    /// Returns true if the filter accepts every chat.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if the filter may refuse any chat from its days, so that more chats must be
    /// read than are shown.
    pub fn selects(&self) -> bool {
        self.search.is_some() || self.model.is_some()
    }

    /// Returns the days of the chats that the filter accepts.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns true if the filter accepts this chat, which must be from the filter's days.
    pub fn accepts(&self, chat: &Chat) -> bool {
        let answered = self.model.as_ref().is_none_or(|model| chat.model_name() == model);
        let contains =
            |search: &Search| search.matches(&[&chat.message, without_thoughts(&chat.answer())]);
        answered && self.search.as_ref().is_none_or(contains)
    }

    /// Like [`Self::accepts`], but refuses temporary chats, which no administrator sees.
    fn finds(&self, chat: &Chat) -> bool {
        !chat.is_temporary() && self.accepts(chat)
    }
}

/// A page of search results that is being filled.
struct ChatSearchPage<'f> {
    filter: &'f ChatFilter,
    least: String,
    count: usize,
    size: usize,
    found: Vec<Chat>,
    taken: usize,
    read: usize,
}

impl ChatSearchPage<'_> {
    /// Adds the chat if the filter accepts it. When the page is complete, breaks with the position
    /// of the next page, or with `None` if there can't be another page.
    fn consider(&mut self, chat: Chat) -> ControlFlow<Option<PageStart>> {
        if chat.chat_id < self.least {
            return ControlFlow::Break(None);
        }
        let start = PageStart::Before(chat.chat_id.clone());
        self.read += chat.size();
        if self.filter.finds(&chat) {
            self.taken += chat.size();
            self.found.push(chat);
        }
        let is_full = self.found.len() >= self.count || self.taken >= self.size;
        if is_full || self.read >= READ {
            ControlFlow::Break(Some(start))
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Store {
    /// Returns at most `count` chats that the filter accepts, totaling about `size` bytes. Also
    /// returns where the next page begins. Searches the chats of `user`, or of all users if `user`
    /// is `None`, newest first, starting at `start`. The search reads a bounded number of chats, so
    /// a page may be short or empty; the next page continues where this page ended.
    pub async fn chats_found(
        &self,
        user: Option<&str>,
        filter: &ChatFilter,
        start: Option<&PageStart>,
        period: DataPeriod,
        (count, size): (usize, usize),
    ) -> Result<(Vec<Chat>, Option<PageStart>)> {
        // First read only `count` chats. If the filter accepts most chats, the page then costs no
        // more than a page without a filter.
        let further = filter.selects().then_some(LOOKED_AT.saturating_sub(count));
        let least = filter.span.least();
        let mut page =
            ChatSearchPage { filter, least, count, size, found: Vec::new(), taken: 0, read: 0 };
        let mut start = start.cloned().or_else(|| filter.span.begin(period.now));
        for step in [Some(count), further].into_iter().flatten() {
            match self.search_from(user, start.as_ref(), period, step, &mut page).await? {
                ControlFlow::Break(next) => return Ok((page.found, next)),
                ControlFlow::Continue(next) => start = Some(next),
            }
        }
        Ok((page.found, start))
    }

    /// Reads `count` chats. If the page isn't complete afterwards, continues with the position of
    /// further chats; otherwise breaks with the position of the next page.
    async fn search_from(
        &self,
        user: Option<&str>,
        start: Option<&PageStart>,
        period: DataPeriod,
        count: usize,
        page: &mut ChatSearchPage<'_>,
    ) -> Result<ControlFlow<Option<PageStart>, PageStart>> {
        let (keys, next) = match user {
            Some(user) => {
                let before = start.map(ToString::to_string);
                let (chats, more) = self.chats(user, before.as_deref(), count).await?;
                let last = chats.last().filter(|_| more);
                let next = last.map(|last| PageStart::Before(last.chat_id.clone()));
                for chat in chats {
                    if let ControlFlow::Break(next) = page.consider(chat) {
                        return Ok(ControlFlow::Break(next));
                    }
                }
                (Vec::new(), next)
            }
            None => self.all_chats(start, period, count).await?,
        };
        for some in keys.chunks(CHATS) {
            for chat in self.chats_with(some).await? {
                if let ControlFlow::Break(next) = page.consider(chat) {
                    return Ok(ControlFlow::Break(next));
                }
            }
        }
        // The months before the filter's first day can't contain matching chats.
        let first = millis_of(&page.least).map_or_else(String::new, month);
        let next = next.filter(|next| !matches!(next, PageStart::In(of) if *of < first));
        Ok(next.map_or(ControlFlow::Break(None), ControlFlow::Continue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_answers_are_searched_in_any_case() {
        let chat = Chat {
            message: "Where is the ÖPNV?".into(),
            response: "In Zürich.".into(),
            ..Chat::default()
        };
        for (text, found) in
            [("öpnv", true), ("where", true), ("zürich", true), ("zurich", false), ("?", true)]
        {
            let filter = ChatFilter::new(Some(Search::new(text)), None, Span::default());
            assert_eq!(filter.accepts(&chat), found, "{text}");
        }
        assert!(ChatFilter::default().finds(&chat));
        assert!(ChatFilter::default().is_none());
        let temporary = Chat { expires_at: Some(1), ..chat };
        assert!(ChatFilter::default().accepts(&temporary));
        assert!(!ChatFilter::default().finds(&temporary));
    }
}
