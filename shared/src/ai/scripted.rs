//! A provider for tests. The first word of a message is a command:
//!
//! - `!fail` fails, `!overloaded` fails as overloaded, and `!hang` never answers.
//! - `!empty` answers with white space only, and `!long` exceeds the maximum length of an answer.
//! - `!quiet` ends the turn without an answer, as Claude does after some results of functions.
//! - `!slow <ms>` echoes the message after a pause.
//! - `!words [<ms>] <words>` says the words with a pause after each.
//! - `!cut <words>` says the words, but fails before the last one.
//! - `!hold <words>` says the last word only after the listener has disconnected. Without a
//!   listener, `!hold` never finishes.
//! - `!recall` repeats the whole prompt.
//! - `!refuse <words>` refuses to answer, with these words.
//! - `!think <thought> <words>` reasons with the first word, and says the other words.
//! - `!weave <sequence> <words>` reasons before each word, and ends at the stop sequence.
//! - `!call <name> <arguments>` calls a function, word by word.
//! - `!used <prompt> <cached> <answer> <words>` echoes the message, and reports the given token
//!   counts. `<cached>` may be followed by `+` and the number of tokens written into the cache.
//! - `!ends <how> <prompt> <cached> <answer> <words>` does the same, and ends with the provider's
//!   word `<how>`. With `early`, the counts precede the answer; with `late`, a failure follows the
//!   answer.
//!
//! Messages without a command are echoed.
//!
//! The first of the texts whose vectors are requested may be `!fail`, `!overloaded`, `!hang`, `!cut`
//! (fewer vectors than texts), or `!used <number>`, which is the number of model tokens.

use std::time::Duration;

use crate::ai::answer_builder::Unanswered;
use crate::ai::embeddings::{EmbeddingRequest, ProvidedVectors, unanswered};
use crate::ai::ending::Ending;
use crate::ai::{AnswerBuilder, EmbeddingInput, Failure, Prompt, echo};
use crate::values::{ReportedUsage, StopDetails};

pub async fn answer(prompt: &Prompt, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
    let message = prompt.last();
    let (command, rest) = message.split_once(' ').unwrap_or((&message, ""));
    match command {
        "!fail" => Err(Failure::failed("as it was asked to")),
        "!overloaded" => Err(Failure::Overloaded(None)),
        "!hang" => std::future::pending().await,
        "!empty" => builder.push_text(" \n"),
        "!quiet" => {
            builder.push_text(" \n")?;
            builder.end_turn(Ending::Complete)
        }
        "!long" => builder.push_text(&"😀".repeat(250_000)),
        "!slow" => {
            tokio::time::sleep(milliseconds(rest.split(' ').next())).await;
            echo::answer(prompt, builder)
        }
        "!words" => {
            let pause = milliseconds(rest.split(' ').next());
            for word in
                rest.split_inclusive(' ').skip_while(|word| word.trim().parse::<u64>().is_ok())
            {
                builder.push_text(word)?;
                tokio::time::sleep(pause).await;
            }
            Ok(())
        }
        "!refuse" => rest.split_inclusive(' ').try_for_each(|word| builder.push_refusal(word)),
        "!think" => {
            let (thought, words) = rest.split_once(' ').unwrap_or((rest, ""));
            builder.push_reasoning(thought);
            words.split_inclusive(' ').try_for_each(|word| builder.push_text(word))
        }
        "!weave" => {
            let (sequence, words) = rest.split_once(' ').unwrap_or((rest, ""));
            for (number, word) in (1..).zip(words.split_inclusive(' ')) {
                builder.push_reasoning("Hm.");
                builder.sign_reasoning(&format!("s{number}"));
                builder.push_text(word)?;
            }
            let sequence = Some(sequence.to_owned());
            builder.detail_stop(StopDetails { sequence, ..StopDetails::default() });
            builder.end(Ending::Complete)
        }
        "!cut" => {
            let words = rest.split_inclusive(' ');
            let all = words.clone().count();
            words.take(all.saturating_sub(1)).try_for_each(|word| builder.push_text(word))?;
            Err(Failure::failed("cut off, as it was asked to be"))
        }
        "!hold" => {
            let (before, last) = rest.split_at(rest.rfind(' ').unwrap_or(0));
            before.split_inclusive(' ').try_for_each(|word| builder.push_text(word))?;
            builder.disconnected().await;
            builder.push_text(last)
        }
        "!recall" => {
            let turns = prompt.turns.iter().map(|turn| {
                format!("{}: {}", format!("{:?}", turn.role).to_lowercase(), turn.text())
            });
            builder.push_text(&turns.collect::<Vec<_>>().join("\n"))
        }
        "!call" if prompt.offers_calls() => {
            let (name, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
            builder.push_call(0, "", name, "")?;
            let mut pieces = arguments.split_inclusive(' ');
            pieces.try_for_each(|piece| builder.push_call(0, "", "", piece))
        }
        "!used" => {
            echo::answer(prompt, builder)?;
            builder.count(usage(rest));
            Ok(())
        }
        "!ends" => {
            let (how, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            if how == "early" {
                builder.count(usage(rest));
                return echo::answer(prompt, builder);
            }
            echo::answer(prompt, builder)?;
            builder.count(usage(rest));
            match how {
                "late" => {
                    builder.end(Ending::Complete)?;
                    Err(Failure::failed("after its end, as it was asked to"))
                }
                word => builder.end(Ending::from_word(word).unwrap_or(Ending::Complete)),
            }
        }
        _ => echo::answer(prompt, builder),
    }
}

/// Returns the vectors of texts.
pub async fn embed(request: &EmbeddingRequest) -> Result<ProvidedVectors, Unanswered> {
    let first = match &request.input {
        EmbeddingInput::Texts(texts) => texts.first().map_or("", String::as_str),
        EmbeddingInput::Tokens(_) => "",
    };
    let (command, rest) = first.split_once(' ').unwrap_or((first, ""));
    let mut vectors = echo::embed(request);
    match command {
        "!fail" => Err(unanswered(Failure::failed("as it was asked to"), request)),
        "!overloaded" => Err(unanswered(Failure::Overloaded(None), request)),
        "!hang" => std::future::pending().await,
        "!cut" => {
            vectors.vectors.pop();
            Ok(vectors)
        }
        "!used" => Ok(ProvidedVectors { tokens: usage(rest).prompt, ..vectors }),
        _ => Ok(vectors),
    }
}

/// Returns the token counts at the beginning of a message, for the prompt, its parts in the cache
/// and the answer.
fn usage(message: &str) -> ReportedUsage {
    let mut words = message.split(' ');
    let [prompt, cached, completion] = [words.next(), words.next(), words.next()];
    let (cached, written) = match cached.and_then(|word| word.split_once('+')) {
        Some((cached, written)) => (Some(cached), Some(written)),
        None => (cached, None),
    };
    let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
    ReportedUsage {
        prompt: number(prompt),
        cached: number(cached),
        written: number(written),
        completion: number(completion),
        ..ReportedUsage::default()
    }
}

fn milliseconds(word: Option<&str>) -> Duration {
    Duration::from_millis(word.and_then(|word| word.parse().ok()).unwrap_or(0))
}
