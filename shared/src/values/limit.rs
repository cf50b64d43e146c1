//! Rate limits and limits of concurrent requests.

/// A limit and its remaining quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The policy's name in the headers.
    pub name: &'static str,
    /// The quota.
    pub most: u32,
    /// The window in seconds. `None` for a limit of concurrent requests.
    pub window: Option<u64>,
    /// The remaining quota.
    pub left: u32,
    /// The seconds until the quota grows again.
    pub reset: u64,
}

impl Limit {
    /// A limit of concurrent requests that is reached.
    pub fn at_once(name: &'static str, most: u32) -> Self {
        Self { name, most, window: None, left: 0, reset: 1 }
    }

    /// Returns the time until a retry in words: `in 2 minutes`.
    pub fn retry_hint(&self) -> String {
        let (number, unit) = match self.reset {
            ..120 => (self.reset, "second"),
            120..7200 => (self.reset.div_ceil(60), "minute"),
            _ => (self.reset.div_ceil(3600), "hour"),
        };
        format!("in {number} {unit}{}", if number == 1 { "" } else { "s" })
    }
}
