//! The rows that refer to each user.

use std::collections::HashMap;

use super::record::{Record, Relation, RowId, Source, Value};

/// Finds the users that other rows refer to. A user is identified by the position of its row in the
/// file.
#[derive(Default)]
pub(super) struct UserIndex {
    /// The number of users.
    count: usize,
    /// False if the users have no primary keys, for example after `dumpdata --natural-primary`.
    has_keys: bool,
    by_pk: HashMap<String, usize>,
    by_username: HashMap<String, Match>,
    by_address: HashMap<String, Match>,
}

#[derive(Clone, Copy)]
enum Match {
    One(usize),
    Several,
}

/// The rows of a model that refer to each user.
pub(super) struct Links {
    /// The rows of each user, in the order of the file.
    of: Vec<Vec<RowId>>,
    /// The rows whose user isn't in the file, each with the reason, in the order of the file.
    pub unlinked: Vec<(RowId, String)>,
    /// The rows that are refused because of their primary key, each with the reason.
    pub refused: HashMap<RowId, String>,
}

/// The primary keys of a model's rows, each with the id and the line of the first row that uses it.
#[derive(Default)]
pub(super) struct Keys(HashMap<String, (RowId, Option<usize>)>);

impl Keys {
    /// Records the primary key of the next row. If an earlier row uses the same key, refuses both
    /// rows with the reason, because either could be the right one.
    pub fn insert(
        &mut self,
        pk: &str,
        id: RowId,
        line: Option<usize>,
        refused: &mut HashMap<RowId, String>,
    ) {
        let Some((first, first_line)) = self.0.get(pk) else {
            self.0.insert(pk.to_owned(), (id, line));
            return;
        };
        let reason = |line: &Option<usize>| match line {
            Some(line) => format!("the same pk is on line {line}"),
            None => "another row has the same pk".into(),
        };
        refused.entry(*first).or_insert_with(|| reason(&line));
        refused.insert(id, reason(first_line));
    }
}

impl UserIndex {
    /// Reads the keys and names of the users with these ids. The names are in the `username` and
    /// `email` fields. Also returns the users that are refused because of their primary key, each
    /// with the reason.
    pub fn read(
        source: &dyn Source,
        model: &str,
        (username, email): (&str, Option<&str>),
        ids: &[RowId],
    ) -> (Self, HashMap<RowId, String>) {
        let (mut keys, mut refused) = (Keys::default(), HashMap::new());
        let mut index = Self { count: ids.len(), ..Self::default() };
        let fields: Vec<&str> = [username].into_iter().chain(email).collect();
        for (user, id) in ids.iter().enumerate() {
            let record = source.read(model, *id, &fields);
            index.has_keys |= record.pk.is_some();
            let username = record.text(username).ok();
            let address = record.optional_text(email).ok().flatten();
            let named = username.as_ref().filter(|name| !source.is_plain() || !name.is_empty());
            let by_name = named.or(address.as_ref().filter(|_| source.is_plain()));
            let Some(pk) = record.pk.as_ref().or(by_name) else { continue };
            keys.insert(pk, *id, record.line, &mut refused);
            if refused.contains_key(id) {
                continue;
            }
            index.by_pk.insert(pk.clone(), user);
            for (map, name) in
                [(&mut index.by_username, username), (&mut index.by_address, address)]
            {
                let Some(name) = name else { continue };
                map.entry(name)
                    .and_modify(|found| *found = Match::Several)
                    .or_insert(Match::One(user));
            }
        }
        (index, refused)
    }

    /// Returns true if a user has this primary key.
    pub fn has(&self, pk: &str) -> bool {
        self.by_pk.contains_key(pk)
    }

    /// Returns the user that a row refers to. Fails with the reason if there is no such user.
    fn find(&self, record: &Record, relation: &str) -> Result<usize, String> {
        let name = match record.required(relation)? {
            Value::Number(pk) | Value::Text(pk) => {
                let user = self.by_pk.get(pk).copied();
                return user.ok_or_else(|| format!("the user {pk} isn't in the dump"));
            }
            Value::List(key) => match key.as_slice() {
                [name] => name,
                _ => return Err(format!("`{relation}` isn't a username or an address")),
            },
            _ => return Err(format!("`{relation}` isn't the key of a user")),
        };
        match self.by_username.get(name).or_else(|| self.by_address.get(name)) {
            Some(Match::One(user)) => Ok(*user),
            Some(Match::Several) => Err(format!("several users are called {name}")),
            None => Err(format!("the user {name} isn't in the dump")),
        }
    }
}

impl Links {
    /// Reads which user each row of a model refers to, directly or through another model.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub fn read(
        source: &dyn Source,
        model: &str,
        relation: &Relation,
        users: &UserIndex,
    ) -> Result<Self, String> {
        let Relation { field, via, .. } = relation;
        let between = match via {
            None => HashMap::new(),
            Some((model, field)) => between(source, model, field, users)?,
        };
        let mut links = Self {
            of: vec![Vec::new(); users.count],
            unlinked: Vec::new(),
            refused: HashMap::new(),
        };
        let mut keys = Keys::default();
        let (mut numbers, mut names) = (0, 0);
        for id in source.row_ids(model)? {
            let record = source.read(model, id, &[field.as_str()]);
            match record.required(field) {
                Ok(Value::Number(_)) => numbers += 1,
                Ok(Value::List(_)) => names += 1,
                _ => {}
            }
            let user = match via {
                None => users.find(&record, field),
                Some((model, _)) => match record.required(field) {
                    Ok(Value::Number(pk) | Value::Text(pk)) => {
                        let of_pk = between.get(pk).cloned();
                        of_pk.unwrap_or_else(|| Err(format!("the {model} {pk} isn't in the dump")))
                    }
                    Ok(_) => Err(format!("`{field}` isn't the key of a {model}")),
                    Err(reason) => Err(reason),
                },
            };
            match user {
                Ok(user) => links.of.get_mut(user).into_iter().for_each(|of| of.push(id)),
                Err(reason) => links.unlinked.push((id, reason)),
            }
            match &record.pk {
                Some(pk) => keys.insert(pk, id, record.line, &mut links.refused),
                None => {
                    links.refused.insert(id, "the pk is missing".into());
                }
            }
        }
        if !users.has_keys && via.is_none() && numbers > 0 && names == 0 {
            return Err("The file was written with `dumpdata --natural-primary` but without \
                `--natural-foreign`, so its rows name users by keys that the file doesn't have. \
                Dump again with both options, or with neither."
                .into());
        }
        Ok(links)
    }

    /// Returns the rows of a user, in the order of the file.
    pub fn rows_of(&self, user: usize) -> &[RowId] {
        self.of.get(user).map_or(&[], Vec::as_slice)
    }
}

/// Maps the primary keys of a model's rows to the users. If a row has no user, the value is the
/// reason.
fn between(
    source: &dyn Source,
    model: &str,
    field: &str,
    users: &UserIndex,
) -> Result<HashMap<String, Result<usize, String>>, String> {
    let mut between = HashMap::new();
    for id in source.row_ids(model)? {
        let record = source.read(model, id, &[field]);
        let user = users.find(&record, field);
        if let Some(pk) = record.pk {
            between.insert(pk, user);
        }
    }
    Ok(between)
}
