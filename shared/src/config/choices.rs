//! The types of the settings that accept only certain words.

/// How much access administrators have to users' messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChatAccess {
    /// No access.
    Off,
    /// Administrators can list and export messages.
    Read,
    /// Administrators can list, export and search messages.
    Search,
}

/// Whether users can share chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Chats can't be shared, and shared chats can't be read.
    Off,
    /// Users can share chats, and everybody who knows the link can read a shared chat.
    On,
}

/// The status with which the endpoints for OpenAI's clients refuse a chat that costs more than the
/// balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyBalance {
    /// 402. Clients don't retry a request after a 402.
    PaymentRequired,
    /// 429, as in OpenAI's API. Many clients retry a request after a 429 without telling their
    /// user.
    TooManyRequests,
}

/// The reply to a request under `/v1` whose model isn't in the price list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownModels {
    /// The list's default model answers. Many clients request one of OpenAI's models without asking
    /// their user.
    Default,
    /// A 404.
    Refuse,
}

/// What happens to a parameter of a request under `/v1` that changes the answer and that the model's
/// provider doesn't support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The request is refused.
    Refuse,
    /// The parameter is ignored.
    Ignore,
}

/// Whether payments use real money. Stripe keeps the payments of the two modes separate
/// ([Stripe](https://docs.stripe.com/test-mode)). In test mode, test cards can buy tokens, so a
/// deployment accepts only the keys and events of one mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeMode {
    /// Buyers pay with real money.
    Live,
    /// Buyers pay with test cards, and no money moves.
    Test,
}
