//! Finds the user, balance and chat models by their fields.
//!
//! A model or field is used without asking the operator only if the file leaves no doubt about it.
//! Otherwise the error message asks the operator to choose, and lists the options.

use super::links::{Links, UserIndex};
use super::record::{Field, Model, PK, RELATIONS, Record, Relation, Source, Value};
use super::{Choices, ModelChoices};

const MESSAGES: [&str; 10] = [
    "message",
    "prompt",
    "question",
    "user_message",
    "user_input",
    "text",
    "query",
    "input",
    "request",
    "content",
];
const RESPONSES: [&str; 9] = [
    "response",
    "answer",
    "reply",
    "bot_response",
    "ai_response",
    "bot_reply",
    "assistant_message",
    "output",
    "completion",
];
const TIMES: [&str; 6] = ["timestamp", "created_at", "created", "date", "time", "sent_at"];
const ROLES: [&str; 8] =
    ["role", "sender", "sender_type", "author_role", "is_user", "from_user", "is_bot", "is_ai"];
const MODEL_NAMES: [&str; 3] = ["model", "model_name", "ai_model"];
const JOINED: [&str; 4] = ["date_joined", "joined_at", "created_at", "created"];
const BALANCES: [&str; 6] =
    ["tokens", "token_balance", "balance", "tokens_left", "remaining_tokens", "credits"];

/// Parts of the names of chat models. The names must be compared, because models for tickets or
/// reviews may have the same fields.
const CHAT_WORDS: [&str; 13] = [
    "chat",
    "message",
    "msg",
    "conversation",
    "prompt",
    "dialog",
    "completion",
    "gpt",
    "llm",
    "bot",
    "turn",
    "interaction",
    "history",
];

/// The user model, with the names of its fields.
pub(super) struct UserModel {
    /// The model's name.
    pub name: String,
    /// The name that people log in with: `username`, or `email` in a model without usernames.
    pub username: String,
    pub email: Option<&'static str>,
    /// The field that says whether the owner has verified the address. `None` in Django's files.
    pub verified: Option<&'static str>,
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
    pub user: Relation,
    pub message: String,
    /// The field with the response, or how to tell questions from answers if each of them is a
    /// separate row.
    pub answer: Answer,
    pub time: String,
    /// The field with the name of the AI model.
    pub model: Option<&'static str>,
}

/// Where a chat model stores the answer to a message.
pub(super) enum Answer {
    /// In this field of the same row.
    Field(String),
    /// In a later row.
    Row {
        /// The field that says whether the user or the AI wrote the row.
        role: String,
        /// The field that groups rows into conversations: rows of one conversation have the same
        /// value.
        conversation: Option<String>,
    },
}

/// Where in the file the balance is.
pub(super) enum Balance {
    /// Every user has this many tokens.
    Same(u64),
    /// In a field.
    Field {
        /// The name of the field's model.
        model: String,
        field: String,
        /// The rows of each user. `None` if the field belongs to the user model.
        rows: Option<Links>,
    },
}

impl UserModel {
    /// Finds the user model.
    ///
    /// # Errors
    /// Fails with an error message for the terminal unless exactly one model can be the user model.
    pub fn find(source: &dyn Source, choices: &ModelChoices) -> Result<Self, String> {
        if let Some(name) = &choices.user_model {
            let model = chosen(source, "--user-model", name)?;
            return Self::from_model(source, model, choices)?
                .map_err(|lack| format!("--user-model: {} has {lack}.", model.name));
        }
        let mut candidates = Vec::new();
        for model in source.models().iter().filter(|model| !model.is_empty) {
            candidates.extend(Self::from_model(source, model, choices)?.ok());
        }
        // If the file says which model chats refer to, that is the user model.
        let has_chats = |user: &Self| {
            source.models().iter().filter(|model| !model.is_empty && is_chat_like(&model.name)).any(
                |model| {
                    let mut targets =
                        model.fields.iter().filter_map(|field| field.refers_to.as_ref());
                    targets.any(|target| is_same(target, &user.name))
                },
            )
        };
        if candidates.len() > 1 && candidates.iter().filter(|user| has_chats(user)).count() == 1 {
            candidates.retain(has_chats);
        }
        if let [first, _, ..] = candidates.as_slice() {
            let counted = candidates.iter().map(|user| {
                let rows = source.row_ids(&user.name).map_or(0, |ids| ids.len());
                format!("{} ({rows} {})", user.name, if rows == 1 { "row" } else { "rows" })
            });
            return Err(format!(
                "Several models can be the user model: {}. Choose the one with which people log in \
                 and to which messages refer, for example with --user-model {}. The users of the \
                 others aren't imported.",
                counted.collect::<Vec<_>>().join(", "),
                first.name
            ));
        }
        candidates.pop().ok_or_else(|| {
            "No model has users: rows with `password` and with `username` or `email`.".into()
        })
    }

    /// The inner failure is a description of the missing field.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if the operator must choose the field for
    /// log-ins.
    fn from_model(
        source: &dyn Source,
        model: &Model,
        choices: &ModelChoices,
    ) -> Result<Result<Self, String>, String> {
        let optional = |names: &[&'static str]| names.iter().copied().find(|name| has(model, name));
        if optional(&[PASSWORD]).is_none() {
            return Ok(Err("no field `password`".into()));
        }
        let login_field = choices.login_field.as_deref();
        let username = match (login_field, optional(&["username", "email"])) {
            (Some(field), _) if field == PK => PK.to_owned(),
            (Some(field), _) => match field_of(model, field) {
                Some(field) => field.name.clone(),
                None => return Ok(Err(format!("no field `{field}` (--login-field)"))),
            },
            // `dumpdata` doesn't repeat the primary key among the fields.
            (None, Some("email")) if has_names_as_keys(source, model) => {
                return Err(format!(
                    "People may log in to {} with its primary key or with `email`. Choose one with \
                     --login-field pk or --login-field email.",
                    model.name
                ));
            }
            (None, Some(name)) => name.to_owned(),
            (None, None) if has_names_as_keys(source, model) => PK.to_owned(),
            (None, None) => return Ok(Err("no field `username` or `email`".into())),
        };
        Ok(Ok(Self {
            name: model.name.clone(),
            username,
            email: optional(&["email"]),
            verified: optional(&["email_verified"]).filter(|_| source.is_plain()),
            first_name: optional(&["first_name"]),
            last_name: optional(&["last_name"]),
            active: optional(&["is_active"])
                .or_else(|| optional(&["active"]).filter(|_| source.is_plain())),
            superuser: optional(&["is_superuser", "is_admin"]).filter(|_| !source.is_plain()),
            joined: optional(&JOINED),
        }))
    }

    /// Returns the fields that an import reads.
    pub fn used(&self) -> Vec<&str> {
        let Self { email, verified, first_name, last_name, active, superuser, joined, .. } = *self;
        let optional = [email, verified, first_name, last_name, active, superuser, joined];
        [self.username.as_str(), PASSWORD]
            .into_iter()
            .chain(optional.into_iter().flatten())
            .collect()
    }
}

/// Returns true if the first primary key is a name, rather than a number or a UUID.
fn has_names_as_keys(source: &dyn Source, model: &Model) -> bool {
    if source.is_plain() {
        return false;
    }
    let first = source.row_ids(&model.name).unwrap_or_default().into_iter().next();
    let pk = first.and_then(|id| source.read(&model.name, id, &[]).pk);
    pk.is_some_and(|pk| pk.parse::<i128>().is_err() && uuid::Uuid::parse_str(&pk).is_err())
}

impl ChatModel {
    /// Finds the chat model. `None` if no model can be the chat model.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if several models can be the chat model, if the
    /// name of a model suggests chats but a field is missing, or if the model that the operator
    /// chose isn't a chat model.
    pub fn find(
        source: &dyn Source,
        choices: &ModelChoices,
        users: &UserModel,
    ) -> Result<Option<Self>, String> {
        if choices.no_messages {
            return Ok(None);
        }
        if let Some(name) = &choices.chat_model {
            let model = chosen(source, "--chat-model", name)?;
            return Self::from_model(source, model, users, choices)
                .map(Some)
                .map_err(|lack| format!("--chat-model: {} has {lack}.", model.name));
        }
        let others =
            source.models().iter().filter(|model| !model.is_empty && model.name != users.name);
        let (mut fit, mut lacking) = (Vec::new(), Vec::new());
        for model in others {
            match Self::from_model(source, model, users, choices) {
                Ok(chats) => fit.push(chats),
                Err(lack) if is_chat_like(&model.name) => {
                    lacking.push(format!("{} has {lack}", model.name));
                }
                Err(_) => {}
            }
        }
        let (mut called, others): (Vec<_>, Vec<_>) =
            fit.into_iter().partition(|chats| is_chat_like(&chats.name));
        if let (true, Some(first)) = (called.is_empty(), others.first()) {
            let names: Vec<&str> = others.iter().map(|chats| chats.name.as_str()).collect();
            return Err(format!(
                "{} has the fields of chats, but its name doesn't say that it has chats with an \
                 AI. If it has, add --chat-model {}; otherwise --no-messages.",
                alternatives(&names),
                first.name
            ));
        }
        if called.len() > 1 {
            called.extend(others);
        }
        let what = "models can be the chat model";
        let found = only(called, |chats: &Self| chats.name.clone(), what, "--chat-model")?;
        match found {
            None if !lacking.is_empty() => Err(format!(
                "No model can be the chat model: {}. Choose the fields with --user-field, \
                 --message-field, --response-field or --role-field, and --time-field, or import no \
                 messages with --no-messages.",
                lacking.join("; ")
            )),
            found => Ok(found),
        }
    }

    /// If a field is missing, fails with its description.
    fn from_model(
        source: &dyn Source,
        model: &Model,
        users: &UserModel,
        choices: &ModelChoices,
    ) -> Result<Self, String> {
        let relation = match &choices.user_field {
            Some(field) => relation_by(source, model, users, field)?,
            None => relation(source, model, users)?,
        };
        let one_of = |chosen: &Option<String>, flag: &str, names: &[&'static str], what: &str| {
            if let Some(chosen) = chosen {
                let field = field_of(model, chosen);
                return field
                    .map(|field| field.name.clone())
                    .ok_or_else(|| format!("no field `{chosen}` ({flag})"));
            }
            let found = names.iter().find(|name| **name != relation.field && has(model, name));
            let found = found.map(|name| (*name).to_owned());
            found.ok_or_else(|| format!("no {what} ({})", alternatives(names)))
        };
        let message = one_of(&choices.message_field, "--message-field", &MESSAGES, "message")?;
        let answer = match &choices.role_field {
            Some(role) => Err(role),
            None => Ok(one_of(&choices.response_field, "--response-field", &RESPONSES, "response")),
        };
        let by_role = |role: String| Answer::Row {
            role,
            conversation: ["conversation", "session", "thread", "chat", "room"]
                .into_iter()
                .find(|name| has(model, name))
                .map(str::to_owned)
                .or_else(|| relation.via.is_some().then(|| relation.field.clone())),
        };
        let answer = match answer {
            Ok(Ok(field)) => Answer::Field(field),
            Ok(Err(lack)) => {
                let has_roles = |role: &&&str| {
                    **role != relation.field
                        && has(model, role)
                        && has_values(source, model, role, |value| role_of(role, value).is_some())
                };
                by_role(ROLES.iter().find(has_roles).ok_or(lack)?.to_string())
            }
            Err(role) => by_role(
                field_of(model, role)
                    .map(|field| field.name.clone())
                    .ok_or_else(|| format!("no field `{role}` (--role-field)"))?,
            ),
        };
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        Ok(Self {
            name: model.name.clone(),
            message,
            answer,
            time: one_of(&choices.time_field, "--time-field", &TIMES, "time")?,
            model: MODEL_NAMES
                .into_iter()
                .find(|name| has(model, name) && has_values(source, model, name, is_text)),
            user: relation,
        })
    }

    /// Returns the fields that an import reads.
    pub fn used(&self) -> Vec<&str> {
        let mut used = vec![self.message.as_str(), self.time.as_str()];
        match &self.answer {
            Answer::Field(response) => used.push(response),
            Answer::Row { role, conversation } => {
                used.push(role);
                used.extend(conversation.as_deref());
            }
        }
        used.extend(self.model);
        used
    }
}

/// The writer of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Ai,
    /// Instructions for the AI, or a tool's result.
    System,
}

/// Returns who wrote a row, according to the value of its role field. `None` if the value doesn't
/// say.
pub(super) fn role_of(field: &str, value: &Value) -> Option<Role> {
    let has = |word: &str| field.split('_').any(|part| part.eq_ignore_ascii_case(word));
    let is_user_if =
        match (has("user") || has("human"), has("bot") || has("ai") || has("assistant")) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
    let by_flag = |flag: bool| Some(if flag == is_user_if? { Role::User } else { Role::Ai });
    match value {
        Value::Bool(flag) => by_flag(*flag),
        Value::Number(number) if number == "1" => by_flag(true),
        Value::Number(number) if number == "0" => by_flag(false),
        Value::Text(text) => match text.to_lowercase().as_str() {
            "user" | "human" => Some(Role::User),
            "assistant" | "ai" | "bot" | "model" | "chatbot" | "gpt" => Some(Role::Ai),
            "system" | "developer" | "tool" | "function" => Some(Role::System),
            _ => None,
        },
        _ => None,
    }
}

impl Balance {
    /// Finds the balance.
    ///
    /// # Errors
    /// Fails with an error message for the terminal unless exactly one field can be identified as
    /// the balance.
    pub fn find(
        source: &dyn Source,
        choices: &Choices,
        users: &UserModel,
        chats: Option<&ChatModel>,
        index: &UserIndex,
    ) -> Result<Self, String> {
        if let Some(tokens) = choices.tokens {
            return Ok(Self::Same(tokens));
        }
        if let Some(path) = &choices.models.tokens_field {
            return Self::chosen(source, path, users, chats, index);
        }
        let own = |model: &&Model| model.name == users.name;
        let mut certain = Vec::new();
        for model in source.models().iter().filter(own) {
            for field in numbers(source, model) {
                certain.push(Self::Field { model: model.name.clone(), field, rows: None });
            }
        }
        let mut possible = Vec::new();
        if certain.is_empty() {
            let is_chat = |model: &Model| chats.is_some_and(|chats| chats.name == model.name);
            for model in source.models().iter().filter(|model| !own(model) && !is_chat(model)) {
                let Ok(relation) = relation_or_key(source, model, users, index) else { continue };
                for field in numbers(source, model) {
                    if !relation.is_unique {
                        possible.push(format!("{}.{field}", model.name));
                        continue;
                    }
                    let rows = Some(Links::read(source, &model.name, &relation, index)?);
                    certain.push(Self::Field { model: model.name.clone(), field, rows });
                }
            }
        }
        let what = "fields can be the balance";
        let found = only(certain, Self::path, what, "--tokens-field")?;
        if source.is_plain() {
            return found.ok_or_else(|| {
                "No row has `tokens`. Write it into every row, or give every user the same balance, for example with --tokens 4000.".into()
            });
        }
        let others = match other_numbers(source, users) {
            others if others.is_empty() => String::new(),
            others => format!(" ({} has the numbers {})", users.name, others.join(", ")),
        };
        found.ok_or_else(|| match possible.as_slice() {
            [] => format!(
                "Users have no number called {}{others}. Choose the balance with --tokens-field, \
                 or give every user the same balance, for example with --tokens 4000.",
                alternatives(&BALANCES)
            ),
            [first, ..] => format!(
                "{} may be the balance, but the file doesn't say that a user has only one such \
                 row: it may also be what each message used. Choose the balance, for example with \
                 --tokens-field {first}{others}, or give every user the same balance, for example \
                 with --tokens 4000.",
                alternatives(&possible.iter().map(String::as_str).collect::<Vec<_>>())
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
        let Some(field) = field_of(model, field).map(|field| field.name.clone()) else {
            return Err(format!("{flag}: {} has only the fields {}.", model.name, fields(model)));
        };
        if chats.is_some_and(|chats| chats.name == model.name) {
            return Err(format!("{flag}: {} is the chat model.", model.name));
        }
        let rows = match model.name == users.name {
            true => None,
            false => {
                let relation = relation_or_key(source, model, users, index)
                    .map_err(|lack| format!("{flag}: {} has {lack}.", model.name))?;
                Some(Links::read(source, &model.name, &relation, index)?)
            }
        };
        Ok(Self::Field { model: model.name.clone(), field, rows })
    }

    /// Returns the name of the balance's field, such as `chat.user.tokens`.
    pub fn path(&self) -> String {
        match self {
            Self::Same(tokens) => format!("--tokens {tokens}"),
            Self::Field { model, field, .. } => format!("{model}.{field}"),
        }
    }
}

/// Returns the model that the operator named, either by a label such as `chat.user` or by a table
/// such as `chat_user`.
fn chosen<'a>(source: &'a dyn Source, flag: &str, name: &str) -> Result<&'a Model, String> {
    let models = source.models();
    let exact = models.iter().find(|model| model.name == name);
    exact.or_else(|| models.iter().find(|model| is_same(&model.name, name))).ok_or_else(|| {
        let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        format!("{flag}: there is no model {name:?}, only {}.", known.join(", "))
    })
}

/// Returns true if the names of two models differ only in case or in how the dot is written.
fn is_same(one: &str, other: &str) -> bool {
    let spelled = |name: &str| name.to_lowercase().replace('.', "_");
    spelled(one) == spelled(other)
}

/// Returns true if the name of a model suggests that the model contains chats.
pub(super) fn is_chat_like(model: &str) -> bool {
    // If a table has no label, its name begins with the name of its app.
    let name = model.split_once('.').or_else(|| model.split_once('_'));
    let name = name.map_or(model, |(_, name)| name).to_lowercase();
    CHAT_WORDS.iter().any(|word| name.contains(word))
}

/// Returns the only candidate. `None` if there are no candidates.
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

/// Returns the field that the operator named.
pub(super) fn field_of<'m>(model: &'m Model, name: &str) -> Option<&'m Field> {
    model.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
}

/// Returns the names of a model's fields, for an error message.
pub(super) fn fields(model: &Model) -> String {
    let names: Vec<&str> = model.fields.iter().map(|field| field.name.as_str()).collect();
    names.join(", ")
}

/// Returns how a model refers to the user model, directly or through another model. If the model
/// doesn't refer to the user model, fails with a description of what is missing.
fn relation(source: &dyn Source, model: &Model, users: &UserModel) -> Result<Relation, String> {
    direct(source, model, users)
        .or_else(|| model.fields.iter().find_map(|field| through(source, model, field, users)))
        .ok_or_else(|| format!("no relation to {} ({})", users.name, alternatives(&RELATIONS)))
}

/// Returns how a model refers to the user model through the field that the operator chose.
fn relation_by(
    source: &dyn Source,
    model: &Model,
    users: &UserModel,
    name: &str,
) -> Result<Relation, String> {
    let Some(field) = field_of(model, name) else {
        return Err(format!("no field `{name}` (--user-field)"));
    };
    let through = through(source, model, field, users);
    Ok(through.unwrap_or_else(|| Relation {
        field: field.name.clone(),
        via: None,
        is_unique: field.is_unique,
    }))
}

/// Returns the field that refers directly to the user model.
fn direct(source: &dyn Source, model: &Model, users: &UserModel) -> Option<Relation> {
    let refers = |field: &&Field| match &field.refers_to {
        Some(target) => is_same(target, &users.name),
        // If the file contains two user models, only the chosen one counts.
        None => {
            field.name == "user"
                || RELATIONS.contains(&field.name.as_str())
                    && targets(source, model, field, users).is_empty()
        }
    };
    let named = RELATIONS
        .into_iter()
        .find_map(|name| model.fields.iter().filter(refers).find(|field| field.name == name));
    // A foreign key to the user model may have any name.
    let mut others = model.fields.iter().filter(refers);
    let only = others.next().filter(|_| others.next().is_none());
    let field = named.or(only)?;
    Some(Relation { field: field.name.clone(), via: None, is_unique: field.is_unique })
}

/// Returns the relation through another model, if this field refers to a model that refers to
/// users.
fn through(
    source: &dyn Source,
    model: &Model,
    field: &Field,
    users: &UserModel,
) -> Option<Relation> {
    let [target] = targets(source, model, field, users)[..] else { return None };
    let own = direct(source, target, users)?;
    Some(Relation {
        field: field.name.clone(),
        is_unique: field.is_unique && own.is_unique,
        via: Some((target.name.clone(), own.field)),
    })
}

/// Returns the models that a field may refer to, except the user model. If any of them are in the
/// same app, returns only those.
fn targets<'s>(
    source: &'s dyn Source,
    model: &Model,
    field: &Field,
    users: &UserModel,
) -> Vec<&'s Model> {
    let others = source.models().iter().filter(|other| {
        other.name != model.name && other.name != users.name && may_mean(field, other)
    });
    let others: Vec<&Model> = others.collect();
    let app = |model: &Model| model.name.split_once('.').map(|(app, _)| app.to_owned());
    let near: Vec<&Model> =
        others.iter().copied().filter(|other| app(other) == app(model)).collect();
    if near.is_empty() { others } else { near }
}

/// Returns true if a field may refer to this model. `dumpdata` doesn't say which model a field
/// refers to, so in its files the names must be equal.
fn may_mean(field: &Field, model: &Model) -> bool {
    match &field.refers_to {
        Some(target) => is_same(target, &model.name),
        None => model
            .name
            .rsplit_once('.')
            .is_some_and(|(_, name)| name == field.name.replace('_', "") || name == field.name),
    }
}

/// Like [`relation`], but also accepts a model whose primary keys equal those of the users, because
/// `dumpdata` doesn't repeat the primary key among the fields. Two cases are excluded: a file with
/// foreign keys says which model the keys refer to, and a model that the user model refers to has
/// its own keys.
fn relation_or_key(
    source: &dyn Source,
    model: &Model,
    users: &UserModel,
    index: &UserIndex,
) -> Result<Relation, String> {
    let lack = match relation(source, model, users) {
        Ok(relation) => return Ok(relation),
        Err(lack) => lack,
    };
    let of_users = source.models().iter().filter(|other| other.name == users.name);
    let mut fields = of_users.flat_map(|users| &users.fields);
    if source.has_foreign_keys() || fields.any(|field| may_mean(field, model)) {
        return Err(lack);
    }
    let ids = source.row_ids(&model.name)?;
    let mut keys = ids.iter().map(|id| source.read(&model.name, *id, &[]).pk);
    let are_users = !ids.is_empty() && keys.all(|pk| pk.is_some_and(|pk| index.has(&pk)));
    // The keys of another model may happen to be the same numbers.
    let relation = Relation { field: PK.into(), via: None, is_unique: false };
    are_users.then_some(relation).ok_or(lack)
}

/// Returns the fields that could be a balance, judging by their names and first values.
fn numbers(source: &dyn Source, model: &Model) -> Vec<String> {
    let is_number = |value: &Value| match value {
        Value::Number(_) => true,
        Value::Text(text) => text.parse::<f64>().is_ok(),
        _ => false,
    };
    let is_balance = |name: &str| {
        let is_relation = |name: &str| {
            model.fields.iter().any(|field| field.name == name && field.refers_to.is_some())
        };
        has(model, name) && !is_relation(name) && has_values(source, model, name, is_number)
    };
    let names = if source.is_plain() { &["tokens"][..] } else { &BALANCES[..] };
    names.iter().copied().filter(|name| is_balance(name)).map(str::to_owned).collect()
}

/// Returns the user model's fields that contain numbers, for a question about the balance.
fn other_numbers(source: &dyn Source, users: &UserModel) -> Vec<String> {
    let is_number = |value: &Value| matches!(value, Value::Number(_));
    let Some(model) = source.models().iter().find(|model| model.name == users.name) else {
        return Vec::new();
    };
    let others = model.fields.iter().filter(|field| {
        field.refers_to.is_none()
            && field.name != "id"
            && has_values(source, model, &field.name, is_number)
    });
    others.map(|field| field.name.clone()).collect()
}

/// Returns true if the field's first value other than null satisfies `is`.
fn has_values(
    source: &dyn Source,
    model: &Model,
    field: &str,
    is: impl Fn(&Value) -> bool,
) -> bool {
    let ids = source.row_ids(&model.name).unwrap_or_default();
    let mut records = ids.into_iter().map(|id| source.read(&model.name, id, &[field]));
    records.find_map(|record: Record| record.required(field).ok().map(&is)).unwrap_or(false)
}

/// Returns `a, b or c`.
fn alternatives(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.join(""),
    }
}
