//! Settings that contain a secret, or say where it is stored.

use std::fmt;
use std::path::PathBuf;

/// A secret, or the location from which it is read ([`crate::secrets`]).
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Value(String),
    /// The absolute path of a file that contains the secret.
    File(PathBuf),
    /// The ARN of a Secrets Manager secret.
    Arn(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(redacted)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Arn(arn) => write!(f, "Arn({arn})"),
        }
    }
}
