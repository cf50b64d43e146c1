//! Answers in a format from models that don't support formats: the model calls a function with its
//! answer.

use crate::ai::blocks::AnswerIn;
use crate::ai::{Failure, Format, Prompt, Tool, ToolChoice};

/// The name of the function if the request doesn't contain a schema.
const ANSWER: &str = "answer";

impl Prompt {
    /// Returns the prompt for a model that answers by calling a function, and the part of its reply
    /// that will contain the answer. Returns `None` if the answer is plain text or may call other
    /// functions.
    ///
    /// # Errors
    /// Returns an error if the schema can't be written.
    pub(super) fn by_function(&self) -> Result<Option<(Self, AnswerIn)>, Failure> {
        let (Some(format), false) = (&self.format, self.offers_calls()) else {
            return Ok(None);
        };
        let (name, schema, description) = match format {
            Format::JsonObject => (ANSWER, None, None),
            Format::JsonSchema(named) => {
                (named.name.as_str(), named.schema.as_ref(), named.description.as_deref())
            }
        };
        // Parameters must be an object, so an answer of a different type is put into a field.
        let (parameters, answer) = match schema {
            Some(schema) if !schema.is_of_object() => {
                let inside = schema.in_field(AnswerIn::FIELD);
                let inside = inside.map_err(|error| Failure::failed(error.to_string()))?;
                (Some(inside), AnswerIn::Field)
            }
            schema => (schema.cloned(), AnswerIn::Arguments),
        };
        let description = Some(description.unwrap_or("Takes the whole answer.").to_owned());
        let function = Tool { name: name.to_owned(), description, parameters, ..Tool::default() };
        let prompt = Self {
            format: None,
            tools: vec![function],
            tool_choice: ToolChoice::Function(name.to_owned()),
            ..self.without_tools()
        };
        Ok(Some((prompt, answer)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::ai::{AnswerSchema, JsonSchema};

    /// Returns the parameters of the function for an answer in this schema.
    fn takes(schema: Option<&str>) -> (Option<String>, AnswerIn) {
        let parse = |schema: &str| {
            JsonSchema::parse(RawValue::from_string(schema.to_owned()).unwrap()).unwrap()
        };
        let schema = schema.map(parse);
        let named = AnswerSchema { name: "f".into(), description: None, schema, strict: None };
        let prompt = Prompt { format: Some(Format::JsonSchema(named)), ..Prompt::default() };
        let (prompt, answer) = prompt.by_function().unwrap().unwrap();
        let parameters = prompt.tools[0].parameters.as_ref();
        (parameters.map(|schema| schema.json().get().to_owned()), answer)
    }

    #[test]
    fn answer_functions_take_an_object() {
        for schema in [
            "{}",
            r##"{"$ref":"#/$defs/a","$defs":{}}"##,
            r#"{"type":"object","anyOf":[{}]}"#,
            r#"{ "type" : "object" }"#,
        ] {
            assert_eq!(takes(Some(schema)), (Some(schema.to_owned()), AnswerIn::Arguments));
        }
        for (schema, field, defined) in [
            (r#"{"type":"array"}"#, r#"{"type":"array"}"#, ""),
            (r#"{"anyOf":[{}]}"#, r#"{"anyOf":[{}]}"#, ""),
            (r#"{"type":["object","null"]}"#, r#"{"type":["object","null"]}"#, ""),
            (r#"{"enum":[1],"$defs":{"a":{}}}"#, r#"{"enum":[1]}"#, r#""$defs":{"a":{}},"#),
        ] {
            let sent = format!(
                r#"{{{defined}"properties":{{"answer":{field}}},"required":["answer"],"type":"object"}}"#
            );
            assert_eq!(takes(Some(schema)), (Some(sent), AnswerIn::Field));
        }
        assert_eq!(takes(None), (None, AnswerIn::Arguments));
    }
}
