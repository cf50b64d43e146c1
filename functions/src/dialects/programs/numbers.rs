//! Checks of the numbers in a request.

use serde_json::{Value, json};

/// Checks that a number is between 0 and `most`.
pub(crate) fn number_up_to(number: Option<f64>, most: f64) -> Result<Option<f64>, String> {
    match number {
        Some(number) if !(0.0..=most).contains(&number) => {
            Err(format!("This must be a number from 0 to {most}."))
        }
        number => Ok(number),
    }
}

/// Validates the limit on an answer's model tokens. Some clients send -1 to mean no limit.
pub(crate) fn max_model_tokens(tokens: Option<f64>) -> Result<Option<u32>, String> {
    match tokens {
        None | Some(-1.0) => Ok(None),
        Some(tokens) if (1.0..=f64::from(u32::MAX)).contains(&tokens) => Ok(Some(tokens as u32)),
        Some(_) => Err(format!("An answer can have 1 to {} tokens.", u32::MAX)),
    }
}

/// Validates `top_k`. 0 means no limit.
pub(crate) fn top_k(number: Option<f64>) -> Result<Option<u32>, String> {
    match number {
        None | Some(0.0) => Ok(None),
        Some(number) if (1.0..=f64::from(u32::MAX)).contains(&number) => Ok(Some(number as u32)),
        Some(_) => Err(format!("This must be a number from 0 to {}.", u32::MAX)),
    }
}

/// Returns the constraints that [`top_k`] checks, for the OpenAPI document.
pub(crate) fn top_k_limits() -> Value {
    json!({ "anyOf": [{ "minimum": 1, "maximum": u32::MAX }, { "const": 0 }, { "type": "null" }] })
}

/// Returns the constraints that [`max_model_tokens`] checks, for the OpenAPI document.
pub(crate) fn model_token_limits() -> Value {
    json!({ "anyOf": [{ "minimum": 1, "maximum": u32::MAX }, { "const": -1 }, { "type": "null" }] })
}
