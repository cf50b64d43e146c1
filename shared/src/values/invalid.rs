//! The reason why a value is invalid.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// A sentence that tells the client what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(Cow<'static, str>);

impl Invalid {
    /// Returns the sentence.
    pub fn sentence(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Invalid {}

impl From<&'static str> for Invalid {
    fn from(sentence: &'static str) -> Self {
        Self(sentence.into())
    }
}

impl From<String> for Invalid {
    fn from(sentence: String) -> Self {
        Self(sentence.into())
    }
}

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.0.into_owned()
    }
}
