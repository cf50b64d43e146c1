//! Finds the models of users and chats by their fields.

use super::Choices;
use super::links::{Links, UserIndex};
use super::record::{Model, RELATIONS, Source, Value};

const MESSAGES: [&str; 5] = ["message", "prompt", "question", "user_message", "text"];
const RESPONSES: [&str; 5] = ["response", "answer", "reply", "bot_response", "ai_response"];
const TIMES: [&str; 6] = ["timestamp", "created_at", "created", "date", "time", "sent_at"];
const MODEL_NAMES: [&str; 3] = ["model", "model_name", "ai_model"];
const JOINED: [&str; 4] = ["date_joined", "joined_at", "created_at", "created"];
const BALANCES: [&str; 6] =
    ["tokens", "token_balance", "balance", "tokens_left", "remaining_tokens", "credits"];

/// The user model, with the names of its fields.
pub(super) struct UserModel {
    /// The model's name.
    pub name: String,
    /// `username`, or `email` in a model without usernames.
    pub username: &'static str,
    pub email: Option<&'static str>,
    pub first_name: Option<&'static str>,
    pub last_name: Option<&'static str>,
    pub active: Option<&'static str>,
    pub superuser: Option<&'static str>,
    pub joined: Option<&'static str>,
}

/// The field with the password's hash.
pub(super) const PASSWORD: &str = "password";

/// The chat model, with the names of its fields.
pub(super) struct ChatModel {
    /// The model's name.
    pub name: String,
    /// The field that refers to the user.
    pub user: &'static str,
    pub message: &'static str,
    pub response: &'static str,
    pub time: &'static str,
    /// The field with the name of the AI model.
    pub model: Option<&'static str>,
}

/// The field with the balance.
pub(super) struct Balance {
    /// The name of the field's model.
    pub model: String,
    pub field: String,
    /// The rows of each user. `None` if the field is on the user model.
    pub rows: Option<Links>,
}

impl UserModel {
    /// Finds the user model.
    ///
    /// # Errors
    /// Fails with a sentence for the terminal unless exactly one model can be the user model.
    pub fn find(source: &dyn Source, choices: &Choices) -> Result<Self, String> {
        if let Some(name) = choices.user_model {
            let model = chosen(source, "--user-model", name)?;
            return Self::of(model)
                .map_err(|lack| format!("--user-model: {} has {lack}.", model.name));
        }
        let models = source.models().iter().filter(|model| !model.is_empty);
        let candidates = models.filter_map(|model| Self::of(model).ok()).collect();
        let what = "models can be the user model";
        let found = only(candidates, |user: &Self| user.name.clone(), what, "--user-model")?;
        found.ok_or_else(|| {
            "No model has users: rows with `password` and with `username` or `email`.".into()
        })
    }

    /// If a field is missing, fails with its description.
    fn of(model: &Model) -> Result<Self, String> {
        let optional = |names: &[&'static str]| names.iter().copied().find(|name| has(model, name));
        optional(&[PASSWORD]).ok_or("no field `password`")?;
        Ok(Self {
            name: model.name.clone(),
            username: optional(&["username", "email"]).ok_or("no field `username` or `email`")?,
            email: optional(&["email"]),
            first_name: optional(&["first_name"]),
            last_name: optional(&["last_name"]),
            active: optional(&["is_active"]),
            superuser: optional(&["is_superuser", "is_admin"]),
            joined: optional(&JOINED),
        })
    }
}

impl ChatModel {
    /// Finds the chat model. `None` if no model can be the chat model.
    ///
    /// # Errors
    /// Fails with a sentence for the terminal if several models can be the chat model, or the
    /// chosen model can't.
    pub fn find(
        source: &dyn Source,
        choices: &Choices,
        users: &UserModel,
    ) -> Result<Option<Self>, String> {
        if let Some(name) = choices.chat_model {
            let model = chosen(source, "--chat-model", name)?;
            return Self::of(source, model, users)
                .map(Some)
                .map_err(|lack| format!("--chat-model: {} has {lack}.", model.name));
        }
        let models = source.models().iter().filter(|model| !model.is_empty);
        let candidates = models.filter_map(|model| Self::of(source, model, users).ok()).collect();
        let what = "models can be the chat model";
        only(candidates, |chat: &Self| chat.name.clone(), what, "--chat-model")
    }

    /// If a field is missing, fails with its description.
    fn of(source: &dyn Source, model: &Model, users: &UserModel) -> Result<Self, String> {
        let one_of = |names: &[&'static str], what: &str| {
            let found = names.iter().copied().find(|name| has(model, name));
            found.ok_or_else(|| format!("no {what} ({})", alternatives(names)))
        };
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        Ok(Self {
            name: model.name.clone(),
            user: relation(model, users)?,
            message: one_of(&MESSAGES, "message")?,
            response: one_of(&RESPONSES, "response")?,
            time: one_of(&TIMES, "time")?,
            model: MODEL_NAMES
                .into_iter()
                .find(|name| has(model, name) && has_values(source, model, name, is_text)),
        })
    }
}

impl Balance {
    /// Finds the balance. A model with several rows for a user has no balance, unless the operator
    /// chooses it.
    ///
    /// # Errors
    /// Fails with a sentence for the terminal unless exactly one field can be the balance.
    pub fn find(
        source: &dyn Source,
        choices: &Choices,
        users: &UserModel,
        chats: Option<&ChatModel>,
        index: &UserIndex,
    ) -> Result<Self, String> {
        if let Some(path) = choices.tokens_field {
            return Self::chosen(source, path, users, chats, index);
        }
        let mut candidates = Vec::new();
        let own = |model: &&Model| model.name == users.name;
        for model in source.models().iter().filter(own) {
            for field in numbers(source, model) {
                candidates.push(Self { model: model.name.clone(), field, rows: None });
            }
        }
        let mut several = Vec::new();
        if candidates.is_empty() {
            let is_chat = |model: &Model| chats.is_some_and(|chats| chats.name == model.name);
            for model in source.models().iter().filter(|model| !own(model) && !is_chat(model)) {
                let Ok(relation) = relation(model, users) else { continue };
                for field in numbers(source, model) {
                    let rows = Links::read(source, &model.name, relation, index)?;
                    let balance = Self { model: model.name.clone(), field, rows: Some(rows) };
                    match balance.rows.as_ref().is_some_and(Links::are_one_to_one) {
                        true => candidates.push(balance),
                        false => several.push(balance.path()),
                    }
                }
            }
        }
        let what = "fields can be the balance";
        let found = only(candidates, Self::path, what, "--tokens-field")?;
        found.ok_or_else(|| match several.is_empty() {
            true => format!(
                "Users have no number called {}. Choose the balance with --tokens-field.",
                alternatives(&BALANCES)
            ),
            false => format!(
                "No field can be the balance, because some users have several rows with {}. Choose the balance with --tokens-field.",
                several.join(", ")
            ),
        })
    }

    /// Returns the field that the operator chose, as `field` or `app.model.field`.
    fn chosen(
        source: &dyn Source,
        path: &str,
        users: &UserModel,
        chats: Option<&ChatModel>,
        index: &UserIndex,
    ) -> Result<Self, String> {
        let flag = "--tokens-field";
        let (name, field) = path.rsplit_once('.').unwrap_or((&users.name, path));
        let model = chosen(source, flag, name)?;
        let field = model.fields.iter().find(|known| known.name.eq_ignore_ascii_case(field));
        let Some(field) = field.map(|field| field.name.clone()) else {
            let fields = model.fields.iter().map(|field| field.name.as_str());
            let fields = fields.collect::<Vec<_>>().join(", ");
            return Err(format!("{flag}: {} has only the fields {fields}.", model.name));
        };
        if chats.is_some_and(|chats| chats.name == model.name) {
            return Err(format!("{flag}: {} is the chat model.", model.name));
        }
        let rows = match model.name == users.name {
            true => None,
            false => {
                let relation = relation(model, users)
                    .map_err(|lack| format!("{flag}: {} has {lack}.", model.name))?;
                Some(Links::read(source, &model.name, relation, index)?)
            }
        };
        Ok(Self { model: model.name.clone(), field, rows })
    }

    /// Returns the field's name with its model, such as `chat.user.tokens`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.model, self.field)
    }
}

/// Returns the model with a name that the operator chose: a label such as `chat.user`, or a table
/// such as `chat_user`.
fn chosen<'a>(source: &'a dyn Source, flag: &str, name: &str) -> Result<&'a Model, String> {
    let models = source.models();
    let exact = models.iter().find(|model| model.name == name);
    exact.or_else(|| models.iter().find(|model| is_same(&model.name, name))).ok_or_else(|| {
        let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        format!("{flag}: there is no model {name:?}, only {}.", known.join(", "))
    })
}

/// Returns true if two names of models differ only in case and in the spelling of the dot.
fn is_same(one: &str, other: &str) -> bool {
    let spelled = |name: &str| name.to_lowercase().replace('.', "_");
    spelled(one) == spelled(other)
}

/// Returns the only candidate. `None` without candidates.
fn only<T>(
    mut candidates: Vec<T>,
    name: impl Fn(&T) -> String,
    what: &str,
    flag: &str,
) -> Result<Option<T>, String> {
    if candidates.len() > 1 {
        let names: Vec<String> = candidates.iter().map(name).collect();
        return Err(format!("Several {what}: {}. Choose one with {flag}.", names.join(", ")));
    }
    Ok(candidates.pop())
}

fn has(model: &Model, name: &str) -> bool {
    model.fields.iter().any(|field| field.name == name)
}

/// Returns the field that refers to the user model. If it is missing, fails with its description.
fn relation(model: &Model, users: &UserModel) -> Result<&'static str, String> {
    let refers = |name: &str| {
        model.fields.iter().any(|field| {
            field.name == name && field.refers_to.as_ref().is_none_or(|to| is_same(to, &users.name))
        })
    };
    RELATIONS
        .into_iter()
        .find(|name| refers(name))
        .ok_or_else(|| format!("no relation to {} ({})", users.name, alternatives(&RELATIONS)))
}

/// Returns the fields that can be a balance, judged by their names and first values.
fn numbers(source: &dyn Source, model: &Model) -> Vec<String> {
    let is_number = |value: &Value| match value {
        Value::Number(_) => true,
        Value::Text(text) => text.parse::<f64>().is_ok(),
        _ => false,
    };
    let is_balance = |name: &&str| {
        let is_relation = |name: &str| {
            model.fields.iter().any(|field| field.name == name && field.refers_to.is_some())
        };
        has(model, name) && !is_relation(name) && has_values(source, model, name, is_number)
    };
    BALANCES.into_iter().filter(is_balance).map(str::to_owned).collect()
}

/// Returns true if the field's first value that isn't null satisfies `is`.
fn has_values(
    source: &dyn Source,
    model: &Model,
    field: &str,
    is: impl Fn(&Value) -> bool,
) -> bool {
    let places = source.places(&model.name).unwrap_or_default();
    let mut records = places.into_iter().map(|place| source.read(&model.name, place, &[field]));
    records.find_map(|record| record.required(field).ok().map(&is)).unwrap_or(false)
}

/// Returns `a, b or c`.
fn alternatives(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.join(""),
    }
}
