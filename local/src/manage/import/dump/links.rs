//! The rows that refer to each user.

use std::collections::HashMap;

use super::record::{Place, Record, Source, Value};

/// The users by the values with which other rows refer to them. A user is identified by its number
/// in the order of the file.
#[derive(Default)]
pub(super) struct UserIndex {
    /// The number of users.
    count: usize,
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
    of: Vec<Vec<Place>>,
    /// The rows whose user isn't in the file, in the order of the file, with the reason.
    pub unlinked: Vec<(Place, String)>,
    /// The rows that are refused because of their primary key, with the reason.
    pub refused: HashMap<Place, String>,
}

/// The primary keys of a model's rows, each with the place and the line of its first row.
#[derive(Default)]
pub(super) struct Keys(HashMap<String, (Place, Option<usize>)>);

impl Keys {
    /// Records the primary key of the next row. If an earlier row has the same key, refuses both rows
    /// with the reason, because either could be the right one.
    pub fn insert(
        &mut self,
        pk: &str,
        place: Place,
        line: Option<usize>,
        refused: &mut HashMap<Place, String>,
    ) {
        let Some((first, first_line)) = self.0.get(pk) else {
            self.0.insert(pk.to_owned(), (place, line));
            return;
        };
        let reason = |line: &Option<usize>| match line {
            Some(line) => format!("the same pk is on line {line}"),
            None => "another row has the same pk".into(),
        };
        refused.entry(*first).or_insert_with(|| reason(&line));
        refused.insert(place, reason(first_line));
    }
}

impl UserIndex {
    /// Reads the keys and names of the users at these places. The names are in the fields
    /// `username` and `email`. Also returns the users that are refused because of their primary
    /// key, with the reason.
    pub fn read(
        source: &dyn Source,
        model: &str,
        (username, email): (&str, Option<&str>),
        places: &[Place],
    ) -> (Self, HashMap<Place, String>) {
        let (mut keys, mut refused) = (Keys::default(), HashMap::new());
        let mut index = Self { count: places.len(), ..Self::default() };
        let fields: Vec<&str> = [username].into_iter().chain(email).collect();
        for (user, place) in places.iter().enumerate() {
            let record = source.read(model, *place, &fields);
            let username = record.text(username).ok();
            let Some(pk) = record.pk.as_ref().or(username.as_ref()) else { continue };
            keys.insert(pk, *place, record.line, &mut refused);
            if refused.contains_key(place) {
                continue;
            }
            index.by_pk.insert(pk.clone(), user);
            let address = record.optional_text(email).ok().flatten();
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
    /// Reads to which user each row of a model refers.
    ///
    /// # Errors
    /// Fails with a sentence for the terminal.
    pub fn read(
        source: &dyn Source,
        model: &str,
        relation: &str,
        users: &UserIndex,
    ) -> Result<Self, String> {
        let mut links = Self {
            of: vec![Vec::new(); users.count],
            unlinked: Vec::new(),
            refused: HashMap::new(),
        };
        let mut keys = Keys::default();
        for place in source.places(model)? {
            let record = source.read(model, place, &[relation]);
            match users.find(&record, relation) {
                Ok(user) => links.of.get_mut(user).into_iter().for_each(|of| of.push(place)),
                Err(reason) => links.unlinked.push((place, reason)),
            }
            match &record.pk {
                Some(pk) => keys.insert(pk, place, record.line, &mut links.refused),
                None => {
                    links.refused.insert(place, "the pk is missing".into());
                }
            }
        }
        Ok(links)
    }

    /// Returns the rows of a user, in the order of the file.
    pub fn of(&self, user: usize) -> &[Place] {
        self.of.get(user).map_or(&[], Vec::as_slice)
    }

    /// Returns true if no user has several rows.
    pub fn are_one_to_one(&self) -> bool {
        self.of.iter().all(|rows| rows.len() <= 1)
    }
}
