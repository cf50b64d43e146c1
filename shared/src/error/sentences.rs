//! The sentences that depend on a failure's details.

use std::borrow::Cow;

use super::{NextAllowance, TooLong};
use crate::Credits;
use crate::clock::Day;
use crate::values::limit::MINUTE;
use crate::values::{KeyLimit, Limit, LimitPeriod, turns_text};

/// How many characters of a model's name are shown in a sentence. Names in a price list are
/// shorter.
const MODEL_NAME: usize = 100;

/// Returns the sentences for `Error::NoSuchModel`. Clients recognize the failure by its first
/// words.
pub(super) fn no_such_model(name: Option<&str>) -> String {
    let Some(name) = name else {
        return "The price list no longer has any of the models that this API key may use. Create another key.".into();
    };
    let mut shown = name.chars().filter(|c| !c.is_control() && !turns_text(*c));
    let mut name: String = shown.by_ref().take(MODEL_NAME).collect();
    if shown.next().is_some() {
        name.push('…');
    }
    format!(
        "The model `{name}` does not exist or you do not have access to it. GET /v1/models lists the models that you can use."
    )
}

/// Returns the sentences for `Error::PromptTooLong`. Clients recognize the failure by its first
/// words.
pub(super) fn prompt_too_long(sizes: Option<TooLong>) -> Cow<'static, str> {
    match sizes {
        None => "This model's maximum context length is less than the length of these messages. \
            Shorten them. Nothing was charged."
            .into(),
        Some(TooLong { bytes, most }) => format!(
            "This model's maximum context length is {most} bytes here, and these messages have \
             {bytes}. Shorten them. Nothing was charged."
        )
        .into(),
    }
}

/// Returns the sentences for `Error::TextTooLong`. Clients recognize the failure by its first words.
pub(super) fn texts_too_long(sizes: Option<TooLong>) -> Cow<'static, str> {
    match sizes {
        None => {
            "This model's maximum context length is less than the length of a text in `input`. \
             Shorten or split the text. Nothing was charged."
                .into()
        }
        Some(TooLong { bytes, most }) => format!(
            "This model's maximum context length is {most} bytes here, and the texts in `input` \
             have {bytes}. Send fewer or shorter texts. Nothing was charged."
        )
        .into(),
    }
}

/// Returns the sentences for `Error::TooManyRefunds`.
pub(super) fn too_many_refunds(limit: &Limit) -> String {
    let (most, hint) = (limit.most, limit.retry_hint());
    match limit.window {
        Some(MINUTE) => format!(
            "At most {most} failed messages are refunded in a minute. Nothing was charged; try again {hint}."
        ),
        _ => format!(
            "Today's failed and stopped messages would have cost {most} tokens, which is the limit \
             for free messages. Nothing was charged; try again {hint}, or ask the operator to \
             unlock the account."
        ),
    }
}

/// Returns the sentences for `Error::KeyLimitReached`.
pub(super) fn key_limit(
    cost: Credits,
    limit: KeyLimit,
    spent: Credits,
    resets: Option<Day>,
) -> String {
    let KeyLimit { tokens, per } = limit;
    let period = match per {
        LimitPeriod::Month => " in a month",
        LimitPeriod::Total => "",
    };
    let left = tokens.checked_sub(spent).unwrap_or_default();
    let next = match resets {
        Some(day) => format!("Wait until {day}, raise its limit, or use another key."),
        None => "Raise its limit, or use another key.".into(),
    };
    format!(
        "This API key may spend {tokens} tokens{period}, and has {left} left. This message can \
         cost {cost} tokens. Nothing was charged. {next}"
    )
}

/// Returns the sentences for `Error::InsufficientTokens`. The web pages read the balance and the
/// price from these sentences.
pub(super) fn too_few(
    cost: Credits,
    balance: Credits,
    held: Credits,
    by_usage: bool,
    next: Option<NextAllowance>,
    advice: Option<&str>,
) -> String {
    let holding = match held {
        Credits::ZERO => String::new(),
        held => format!(", and {held} are held for an unfinished message"),
    };
    let price = match by_usage {
        false => format!("A message costs {cost} tokens"),
        true => format!(
            "This message may cost up to {cost} tokens with this model, even if its answer is short"
        ),
    };
    let next = next.map(|NextAllowance { tokens, day }| {
        format!(" On {day} (UTC) your balance is filled up to {tokens} tokens.")
    });
    let next = next.unwrap_or_default();
    let advice = advice.map(|advice| format!(" {advice}")).unwrap_or_default();
    format!("You have {balance} tokens{holding}. {price}. Nothing was charged.{next}{advice}")
}
