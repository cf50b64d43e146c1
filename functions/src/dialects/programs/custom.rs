//! Custom tools, which a model calls with a text instead of arguments. Few providers support them,
//! so a provider gets a custom tool as a function with one argument.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use shared::ai::{JsonSchema, Tool};
use shared::values::Invalid;

/// The custom tools of a request, by name. Providers and the store only know functions, so the
/// names determine which of an answer's calls are calls of custom tools.
pub(crate) type CustomTools = HashMap<String, CustomTool>;

/// A custom tool that the model may call.
pub(crate) struct CustomTool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// The grammar of the text. `None` if the text may be any text.
    pub(crate) grammar: Option<Grammar>,
}

/// The grammar of a custom tool's text.
pub(crate) struct Grammar {
    pub(crate) syntax: Syntax,
    pub(crate) definition: String,
}

/// The language of a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// A grammar of [Lark](https://lark-parser.readthedocs.io/en/stable/grammar.html).
    Lark,
    /// A regular expression.
    Regex,
}

impl Syntax {
    fn parse(word: &str) -> Option<Self> {
        [Self::Lark, Self::Regex].into_iter().find(|syntax| syntax.word() == word)
    }

    /// Returns the word for it in OpenAI's API.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Lark => "lark",
            Self::Regex => "regex",
        }
    }
}

/// The JSON Schema of the function's arguments.
const PARAMETERS: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool."}},"required":["input"],"additionalProperties":false}"#;

impl CustomTool {
    /// Returns the tool as a function. Its description contains the grammar, because only OpenAI's
    /// own API can enforce it.
    pub(crate) fn function(&self) -> Tool {
        let grammar = self.grammar.as_ref().map(Grammar::in_words);
        let texts = [self.description.as_deref(), grammar.as_deref()];
        let texts: Vec<&str> = texts.into_iter().flatten().collect();
        let parameters = RawValue::from_string(PARAMETERS.to_owned()).ok();
        Tool {
            name: self.name.clone(),
            description: Some(texts.join("\n\n")).filter(|text| !text.is_empty()),
            parameters: parameters.and_then(|schema| JsonSchema::parse(schema).ok()),
            ..Tool::default()
        }
    }
}

impl Grammar {
    /// Reads a tool's `format`. `kind` is its type. `None` means that the tool accepts any text.
    pub(crate) fn read(
        kind: &str,
        syntax: Option<&str>,
        definition: Option<String>,
    ) -> Result<Option<Self>, Invalid> {
        let is_known = syntax.is_none_or(|syntax| Syntax::parse(syntax).is_some());
        match (kind, syntax.and_then(Syntax::parse), definition) {
            ("text", ..) if is_known => Ok(None),
            ("grammar", Some(syntax), Some(definition)) => Ok(Some(Self { syntax, definition })),
            _ => Err(
                "This must be text, or a grammar with its syntax (lark or regex) and definition."
                    .into(),
            ),
        }
    }

    fn in_words(&self) -> String {
        let Self { syntax, definition } = self;
        let must = match syntax {
            Syntax::Lark => "The input must match this Lark grammar:",
            Syntax::Regex => "The whole input must match this regular expression:",
        };
        format!("{must}\n{definition}")
    }
}

/// Returns the text with which a model calls a custom tool. If the arguments aren't the expected
/// JSON, they are the text.
pub(crate) fn input_of(arguments: &str) -> String {
    #[derive(Deserialize)]
    struct Arguments {
        input: String,
    }
    // Deserializing would also accept a list with one text.
    let is_object = arguments.trim_ascii_start().starts_with('{');
    match serde_json::from_str(arguments) {
        Ok(Arguments { input }) if is_object => input,
        _ => arguments.to_owned(),
    }
}

/// Returns the arguments of the function for a call with this text.
pub(crate) fn arguments_of(input: &str) -> String {
    json!({ "input": input }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_tools_become_functions_with_one_text() {
        let tool = |description: Option<&str>, grammar: Option<Grammar>| {
            let description = description.map(str::to_owned);
            CustomTool { name: "f".into(), description, grammar }.function()
        };
        let of = |syntax: Syntax| Some(Grammar { syntax, definition: "a".into() });
        for (function, description) in [
            (tool(None, None), None),
            (tool(Some(""), None), None),
            (tool(Some("Edits."), None), Some("Edits.")),
            (
                tool(Some("Edits."), of(Syntax::Lark)),
                Some("Edits.\n\nThe input must match this Lark grammar:\na"),
            ),
            (
                tool(None, of(Syntax::Regex)),
                Some("The whole input must match this regular expression:\na"),
            ),
        ] {
            assert_eq!(function.description.as_deref(), description);
            assert_eq!(function.parameters.unwrap().json().get(), PARAMETERS);
        }
    }

    #[test]
    fn formats_are_texts_or_whole_grammars() {
        let read = |kind: &str, syntax: Option<&str>, definition: Option<&str>| {
            let read = Grammar::read(kind, syntax, definition.map(str::to_owned));
            read.map(|grammar| grammar.map(|grammar| (grammar.syntax, grammar.definition)))
        };
        assert_eq!(read("text", None, None), Ok(None));
        for (word, syntax) in [("lark", Syntax::Lark), ("regex", Syntax::Regex)] {
            assert_eq!(read("grammar", Some(word), Some("a")), Ok(Some((syntax, "a".into()))));
        }
        for (kind, syntax, definition) in [
            ("json", Some("lark"), Some("a")),
            ("grammar", None, Some("a")),
            ("grammar", Some("ebnf"), Some("a")),
            ("grammar", Some("regex"), None),
        ] {
            read(kind, syntax, definition).unwrap_err();
        }
    }

    #[test]
    fn inputs_survive_as_arguments_and_other_arguments_are_the_text() {
        for input in ["", "*** Begin Patch\n\"x\"\n", r#"{"input": 1}"#] {
            assert_eq!(input_of(&arguments_of(input)), input);
        }
        assert_eq!(input_of(" {\"input\": \"a\", \"note\": 1}"), "a");
        for text in ["", "*** Begin Patch", "{}", r#"["a"]"#, r#"{"input": 1}"#, r#"{"input": "a"#]
        {
            assert_eq!(input_of(text), text);
        }
    }
}
