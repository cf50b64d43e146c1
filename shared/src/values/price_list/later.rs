//! What this release reads in a stored list, and only the next release sets. After a rollback from
//! the next release, this release can thus read, price and audit what the next one has stored.

use super::{PriceList, Problem};

/// The provider that only the next release sets.
pub(super) const PROVIDER: &str = "anthropic";

impl PriceList {
    /// Returns a problem for each field that this release only reads.
    pub(crate) fn only_read(&self) -> Vec<Problem> {
        let problem = |(field, what)| {
            let sentence = format!(
                "This release only reads {what}, and the next one also accepts it. Leave it out."
            );
            Problem { field, sentence }
        };
        self.fields_since_0_18().into_iter().map(problem).collect()
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
                    "most": 65_536, "aliases": [],
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
