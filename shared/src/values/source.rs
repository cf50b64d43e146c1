//! Sources of credits that are granted at most once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The source of granted credits, such as a message that is refunded. A source grants credits only
/// once, even if they are requested several times or by different people.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(String);

impl Source {
    /// The kind of the sources of credits from vouchers.
    pub(crate) const VOUCHER: &str = "voucher";

    /// Creates a source. `kind` is a word such as `refund`, and `id` is unique among the sources of
    /// this kind.
    pub(crate) fn new(kind: &str, id: &str) -> Self {
        Self(format!("{kind}:{id}"))
    }

    /// Returns the source with this stored form.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns true if the credits come from a voucher.
    pub(crate) fn is_voucher(&self) -> bool {
        self.0.split_once(':').is_some_and(|(kind, _)| kind == Self::VOUCHER)
    }

    /// Returns the source in its stored form: its kind, a colon, and its id.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
