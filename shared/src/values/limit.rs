//! Rate limits, and limits on concurrent requests.

/// How many requests in one process may wait for a password to be hashed. Further requests are
/// refused.
pub(crate) const WAITING_PASSWORDS: u32 = 256;

/// The pause between two e-mails to the same recipient, in seconds.
pub(crate) const MAIL_PAUSE: u64 = 60;

/// One minute, in seconds.
pub(crate) const MINUTE: u64 = 60;

/// One hour, in seconds.
pub(crate) const HOUR: u64 = 60 * MINUTE;

/// One day, in seconds.
pub(crate) const DAY: u64 = 24 * HOUR;

/// A limit and its remaining quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name of the limit in the reply's headers.
    pub name: &'static str,
    /// The maximum number of requests.
    pub most: u32,
    /// The window in seconds. `None` for a limit on concurrent requests.
    pub window: Option<u64>,
    /// The remaining quota.
    pub left: u32,
    /// How many seconds remain until the quota grows.
    pub reset: u64,
}

impl Limit {
    /// Returns a limit on concurrent requests that has been reached.
    pub fn at_once(name: &'static str, most: u32) -> Self {
        Self { name, most, window: None, left: 0, reset: 1 }
    }

    /// Returns a limit on requests within a window of `window` seconds. The limit has been reached,
    /// and another request is allowed in `reset` seconds.
    pub fn used_up(name: &'static str, most: u32, window: u64, reset: u64) -> Self {
        Self { name, most, window: Some(window), left: 0, reset }
    }

    /// Returns the limit on failed log-ins per day.
    pub(crate) fn log_ins(most: u32, reset: u64) -> Self {
        Self::used_up("log-ins", most, DAY, reset)
    }

    /// Returns the limit on how many accounts one network may create per hour.
    pub(crate) fn registrations(most: u32, reset: u64) -> Self {
        Self::used_up("registrations", most, HOUR, reset)
    }

    /// Returns the limit for the pause between two e-mails to the same recipient.
    pub(crate) fn mail_pause(reset: u64) -> Self {
        Self::used_up("mails", 1, MAIL_PAUSE, reset)
    }

    /// Returns the limit on requests that wait for a password to be hashed.
    pub(crate) fn passwords() -> Self {
        Self::at_once("passwords", WAITING_PASSWORDS)
    }

    /// Returns the time until a retry in words, such as `in 2 minutes`.
    pub fn retry_hint(&self) -> String {
        let (number, unit) = match self.reset {
            ..120 => (self.reset, "second"),
            120..7200 => (self.reset.div_ceil(60), "minute"),
            _ => (self.reset.div_ceil(3600), "hour"),
        };
        format!("in {number} {unit}{}", if number == 1 { "" } else { "s" })
    }
}
