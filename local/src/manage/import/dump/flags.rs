//! The fields of the user model that an import doesn't read. Some of them may mean that a user must
//! not log in, so the operator must decide about those fields.

use std::collections::HashMap;

use super::models::{Balance, UserModel, field_of, fields};
use super::record::{Record, Source, Value};
use super::{Dump, UserKey};

/// Parts of field names. If a field with such a name is set, the user is banned or deleted.
const BANS: [&str; 15] = [
    "delet",
    "banned",
    "is_ban",
    "block",
    "suspend",
    "disab",
    "lock",
    "deactiv",
    "archiv",
    "closed",
    "frozen",
    "removed",
    "inactive",
    "terminat",
    "blacklist",
];

/// Parts of field names. If a field with such a name is true, the user can log in.
const ADMISSIONS: [&str; 6] =
    ["approved", "enabled", "verified", "confirmed", "activated", "active"];

/// The names of fields that contain one of several states.
const STATES: [&str; 4] = ["status", "account_status", "user_status", "account_state"];

/// The fields that every Django user has. Reports don't list them.
const OF_DJANGO: [&str; 4] = ["groups", "id", "last_login", "user_permissions"];

/// Parts of field names. Reports don't show the values of fields with such names.
const SECRETS: [&str; 10] =
    ["pass", "secret", "token", "key", "otp", "hash", "code", "phone", "mail", "salt"];

/// The maximum number of values that a report shows for a field.
const SHOWN: usize = 3;

/// The maximum number of characters that a report shows of a value.
const LONGEST: usize = 40;

/// A condition on a field of the user model, which the operator wrote as `field` or `field=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub field: String,
    /// `None` if every value except null, false, 0 and the empty string satisfies the condition.
    value: Option<String>,
}

/// A field that an import doesn't read, and the field's most common values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// The field's name.
    pub field: String,
    /// The most common values that several users share, each with its number of users. Empty if the
    /// values may be secrets.
    pub values: Vec<(String, u64)>,
    /// The number of different values.
    pub different: usize,
}

/// A field that may mean that users must not log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The condition that makes these users inactive, such as `is_banned` or `status=closed`.
    pub condition: String,
    /// The field's name.
    pub field: String,
    /// How many users could log in even though this field may forbid it.
    pub users: u64,
}

impl Condition {
    /// Parses the names of fields.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if the user model lacks a field, or if a name
    /// is followed by a value.
    pub fn parse_fields(
        fields: &[String],
        source: &dyn Source,
        users: &UserModel,
    ) -> Result<Vec<String>, String> {
        let conditions = Self::parse_all(fields, source, users)?;
        match conditions.iter().find(|condition| condition.value.is_some()) {
            Some(Self { field, .. }) => {
                Err(format!("--ignore takes a field, and not one of its values: --ignore {field}."))
            }
            None => Ok(conditions.into_iter().map(|condition| condition.field).collect()),
        }
    }

    /// Parses the operator's conditions.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if the user model lacks a field.
    pub fn parse_all(
        conditions: &[String],
        source: &dyn Source,
        users: &UserModel,
    ) -> Result<Vec<Self>, String> {
        let Some(model) = source.models().iter().find(|model| model.name == users.name) else {
            return Ok(Vec::new());
        };
        let parse = |condition: &String| {
            let (field, value) = match condition.split_once('=') {
                Some((field, value)) => (field, Some(value.to_owned())),
                None => (condition.as_str(), None),
            };
            let field = field_of(model, field).ok_or_else(|| {
                format!("{} has no field `{field}`, only {}.", model.name, fields(model))
            })?;
            Ok(Self { field: field.name.clone(), value })
        };
        conditions.iter().map(parse).collect()
    }

    /// Returns true if the row satisfies the condition.
    pub fn holds(&self, record: &Record) -> bool {
        let value = record.required(&self.field).ok();
        match &self.value {
            // Null isn't true, so it also satisfies `field=false`.
            Some(wanted) if wanted.eq_ignore_ascii_case("false") => !value.is_some_and(is_set),
            Some(wanted) => shown(value).eq_ignore_ascii_case(wanted),
            None => value.is_some_and(is_set),
        }
    }
}

impl Dump {
    /// Returns the fields of the user model that the import doesn't read. Also returns questions
    /// for the operator about fields that may mean that seemingly active users must not log in.
    pub fn unused(&self) -> (Vec<Unused>, Vec<Flag>) {
        let models = self.source.models();
        let Some(model) = models.iter().find(|model| model.name == self.user_model.name) else {
            return (Vec::new(), Vec::new());
        };
        let mut used = self.user_model.used();
        if let Balance::Field { field, rows: None, .. } = &self.balance {
            used.push(field);
        }
        let is_decided = |name: &str| {
            self.ignored.iter().any(|ignored| ignored == name)
                || self.inactive_if.iter().any(|condition| condition.field == name)
        };
        let is_used =
            |name: &str| used.contains(&name) || OF_DJANGO.contains(&name) || is_decided(name);
        let unused: Vec<&str> = model
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .filter(|name| !is_used(name))
            .collect();
        let mut all: Vec<HashMap<String, u64>> = vec![HashMap::new(); unused.len()];
        // The same counts for users who can log in. Some of them may be banned.
        let mut active = all.clone();
        let mut kinds = vec![Kind::default(); unused.len()];
        for (user, id) in self.users.iter().enumerate() {
            let is_active = self.user(UserKey(user), *id).is_ok_and(|user| user.active);
            let record = self.source.read(&model.name, *id, &unused);
            for (index, field) in unused.iter().enumerate() {
                let value = record.required(field).ok();
                if let (Some(all), Some(active), Some(kind)) =
                    (all.get_mut(index), active.get_mut(index), kinds.get_mut(index))
                {
                    *all.entry(shown(value)).or_default() += 1;
                    if is_active {
                        *active.entry(shown(value)).or_default() += 1;
                        kind.note(value);
                    }
                }
            }
        }
        let mut flags = Vec::new();
        let reported = unused.iter().zip(all).zip(active.into_iter().zip(kinds));
        let reported = reported.map(|((field, all), (active, kind))| {
            flags.extend(flag(field, &active, kind));
            let different = all.len();
            let may_show = |(value, users): &(String, u64)| {
                *users > 1 || ["true", "false", "null", "\"\""].contains(&value.as_str())
            };
            let mut values: Vec<(String, u64)> = all.into_iter().filter(may_show).collect();
            if SECRETS.iter().any(|part| field.to_lowercase().contains(part)) {
                values.clear();
            }
            values.sort_by(|(one, many), (other, more)| more.cmp(many).then(one.cmp(other)));
            values.truncate(SHOWN);
            Unused { field: (*field).to_owned(), values, different }
        });
        let reported = reported.collect();
        (reported, flags)
    }

    /// Returns the models that contain rows but aren't imported, each with the number of its rows.
    /// Omits Django's own models.
    pub fn unused_models(&self) -> Vec<(String, usize)> {
        let balance = match &self.balance {
            Balance::Field { model, .. } => Some(model.as_str()),
            Balance::Same(_) => None,
        };
        let chats = self.chats.as_ref().map(|(chats, _)| chats);
        let via = chats.and_then(|chats| Some(chats.user.via.as_ref()?.0.as_str()));
        let used = [
            Some(self.user_model.name.as_str()),
            balance,
            chats.map(|chats| chats.name.as_str()),
            via,
        ];
        let is_of_django = |name: &str| {
            [
                "auth.",
                "auth_",
                "admin.",
                "contenttypes.",
                "sessions.",
                "django_",
                "authtoken",
                "token_blacklist",
            ]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        };
        let unused = self.source.models().iter().filter(|model| {
            let is_user_model = ["auth.user", "auth_user"].contains(&model.name.as_str());
            !model.is_empty
                && (is_user_model || !is_of_django(&model.name))
                && !used.contains(&Some(model.name.as_str()))
        });
        let counted = unused.map(|model| {
            let rows = self.source.row_ids(&model.name).map_or(0, |ids| ids.len());
            (model.name.clone(), rows)
        });
        counted.collect()
    }
}

/// How many active users have a value that is set, and how many have no such value.
#[derive(Clone, Copy, Default)]
struct Kind {
    set: u64,
    unset: u64,
    /// True if a value is neither true nor false.
    has_others: bool,
}

impl Kind {
    fn note(&mut self, value: Option<&Value>) {
        match value {
            Some(value) if is_set(value) => self.set += 1,
            _ => self.unset += 1,
        }
        self.has_others |= !matches!(value, None | Some(Value::Bool(_)));
    }
}

/// Returns the question about a field. `active` contains the number of active users for each value.
fn flag(field: &str, active: &HashMap<String, u64>, kind: Kind) -> Option<Flag> {
    let name = field.to_lowercase();
    let of = |condition: String, users: u64| {
        (users > 0).then(|| Flag { condition, field: field.to_owned(), users })
    };
    if BANS.iter().any(|part| name.contains(part)) {
        return of(field.to_owned(), kind.set);
    }
    if !kind.has_others && ADMISSIONS.iter().any(|part| name.contains(part)) {
        return of(format!("{field}=false"), kind.unset);
    }
    if STATES.contains(&name.as_str()) && active.len() > 1 {
        let rarest = active.iter().min_by_key(|(value, users)| (**users, value.as_str()))?;
        return of(format!("{field}={}", rarest.0), *rarest.1);
    }
    None
}

/// Returns true if the value isn't null, false, 0 or empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number != "0",
        Value::Text(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Bool(true) | Value::Other => true,
    }
}

/// Formats a value the way a report shows it and the operator writes it in a condition.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "null".into(),
        Some(Value::Text(text)) if text.is_empty() => "\"\"".into(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(text) | Value::Text(text)) => match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text.clone(),
        },
        Some(Value::List(items)) => format!("a list of {}", items.len()),
        Some(Value::Other) => "another value".into(),
    }
}
