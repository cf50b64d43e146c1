//! The offline default: says the message back, so that everything can be tried without a provider.

/// `You said: <message>`.
pub fn answer(message: &str) -> String {
    format!("You said: {message}")
}
