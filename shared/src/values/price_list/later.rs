//! What this release reads in a stored list, and only the next release sets. After a rollback from
//! the next release, this release can thus read, price and audit what the next one has stored.

use super::{ModelKind, PriceList, Problem};
use crate::values::Fare;

/// The provider that only the next release sets.
pub(super) const PROVIDER: &str = "anthropic";

/// The highest `most` that this release sets.
const MOST: u32 = 65_536;

impl PriceList {
    /// Returns a problem for each field that this release only reads.
    pub(crate) fn only_read(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, model) in self.models.iter().enumerate() {
            let mut note = |field: &str, what: &str| {
                problems.push(Problem {
                    field: format!("models[{index}].{field}"),
                    sentence: format!(
                        "This release only reads {what}, and the next one also accepts it. Leave \
                         it out."
                    ),
                });
            };
            for (place, via) in model.via.iter().enumerate() {
                if via.provider == PROVIDER {
                    note(&format!("via[{place}]"), &format!("{PROVIDER} here"));
                }
            }
            if model.kind == ModelKind::Embedding {
                note("kind", "embedding here");
            }
            if model.most.is_some_and(|most| most > MOST) {
                note("most", "a number above 65,536 here");
            }
            for (field, is_set) in [
                ("aliases", !model.aliases.is_empty()),
                ("fare.write", matches!(model.fare, Fare::Usage(rates) if rates.write.is_some())),
                ("cost.write", model.cost.is_some_and(|cost| cost.write.is_some())),
                ("prompt_limit", model.prompt_limit.is_some()),
                ("answer_limit", model.answer_limit.is_some()),
            ] {
                if is_set {
                    note(field, "this field");
                }
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_the_next_release_are_only_read() {
        let list = json!({
            "currency": "USD",
            "models": [
                {
                    "name": "quick", "via": ["echo"], "fare": { "message": 1 }, "kind": "chat",
                    "most": MOST, "aliases": [],
                },
                {
                    "name": "deep", "via": ["bedrock", "anthropic:claude-sonnet-5-5", "anthropic"],
                    "aliases": ["claude-*"], "most": 65_537,
                    "fare": { "input": 1, "cached": 1, "write": 2, "output": 1 },
                    "cost": { "input": "1", "cached": "1", "write": "1.25", "output": "1" },
                    "prompt_limit": 2_097_152, "answer_limit": 131_072,
                },
                { "name": "small", "via": ["echo"], "kind": "embedding", "fare": { "input": 1 } },
            ],
        });
        let list = PriceList::read(&list).unwrap();
        let fields: Vec<String> =
            list.only_read().into_iter().map(|problem| problem.field).collect();
        let of_deep = [
            "via[1]",
            "via[2]",
            "most",
            "aliases",
            "fare.write",
            "cost.write",
            "prompt_limit",
            "answer_limit",
        ];
        let mut expected = of_deep.map(|field| format!("models[1].{field}")).to_vec();
        expected.push("models[2].kind".to_owned());
        assert_eq!(fields, expected);
    }
}
