//! Decides what to import from a dump. Each user becomes either an account or a refusal, and each
//! message becomes either a chat or a refusal. No value is guessed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use aws_lc_rs::digest::{Context, SHA256};
use shared::clock::{self, Day};
use shared::passwords::{self, DjangoHash};
use shared::store::{NewAccount, chat_month, nonce};
use shared::values::{
    Account, Chat, Email, GivenName, Invalid, Message, Role, Source, Username, stand_in, turns_text,
};
use shared::{App, Credits};
use uuid::Uuid;

use super::dump::{BadRow, DjangoChat, DjangoUser, Dump, Row, UserKey, shown_pk};
use crate::manage::sentence;

/// The maximum combined size of a message and its answer, in bytes. The maximum size of a DynamoDB
/// item is 400 KB.
const LARGEST: usize = 380_000;

/// The maximum length of a user's primary key in bytes. The key is part of a key in the store.
const LONGEST_PK: usize = 1000;

/// The maximum length of the name of a model, in characters.
const LONGEST_MODEL: usize = 200;

/// The last position of a message within a millisecond. All later messages share it, so their order
/// is lost.
const LAST_ORDER: u16 = 0xfff;

/// The AI model of a message whose row doesn't name one.
const UNKNOWN_MODEL: &str = "imported";

/// The first day of 2005, the year of Django's first release, in milliseconds since 1970.
const EARLIEST: u64 = 1_104_537_600_000;

/// The maximum number of different kinds of password hashes among imported accounts. The record of
/// imports contains a hash of each kind, and is a single item of at most 400 KB.
const MOST_KINDS: usize = 100;

/// The maximum number of rows that a reason lists.
const NAMED: usize = 5;

/// The reason for refusing a user whose username belongs to another account.
pub const NAME_TAKEN: &str = "another account here has the username";

/// The reason for refusing a user whose address belongs to another account.
pub const ADDRESS_TAKEN: &str = "another account here has the e-mail address";

/// The reason for refusing a user whose imported account no longer exists under this username.
pub const WAS_IMPORTED: &str =
    "an account was imported from this row before, and was deleted or has another name";

/// The reason for refusing a user whose primary key and name belong to an account from another
/// system.
pub const OTHER_SYSTEM: &str = "an account was imported from this key before, with another time of \
    registration; another system needs its own --name";

/// Two registration times for an account count as equal if they differ by at most this many
/// milliseconds, because dump formats differ in precision.
pub const SAME_TIME: u64 = 1000;

/// The operator's decisions about the users.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The import's name, which distinguishes the data of several systems.
    pub name: &'a str,
    /// True if superusers become administrators.
    pub superusers: bool,
    /// True if users whose passwords can't be checked are imported, provided that they have an
    /// address. They set a new password by e-mail.
    pub reset_passwords: bool,
    /// True if passwords in clear text are hashed.
    pub clear_text_passwords: bool,
    /// True if invalid characters in usernames are replaced.
    pub rename: bool,
    /// The current time in milliseconds since 1970.
    pub now: u64,
}

/// The users and messages that will be imported from a dump, and the rows that are refused.
pub struct Plan {
    /// The users to import.
    pub users: Vec<PlannedUser>,
    /// The rows that aren't imported.
    pub refused: Vec<BadRow>,
    /// The number of messages to import.
    pub chats: u64,
    /// How many superusers become ordinary users.
    pub demoted: u64,
    /// The differences from an earlier import of the same users.
    pub differences: Vec<Difference>,
}

/// A difference between a user's earlier import and the dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The user's row.
    pub row: Row,
    /// The username here.
    pub name: String,
    /// The difference.
    pub what: Differing,
}

/// A kind of difference between two dumps of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Differing {
    /// The balance. Later imports never change it.
    Balance {
        /// The credits that were imported.
        then: i64,
        /// The credits in the dump.
        now: i64,
    },
    /// The user can no longer log in to the other system, but can still log in here.
    Inactive,
    /// Like [`Differing::Inactive`], but this import has deactivated the account.
    Ended,
    /// The user has changed the password in the other system, and hasn't logged in here.
    Password,
}

/// A message to import.
pub struct PlannedChat {
    /// The message's row.
    pub row: Row,
    /// The message.
    pub chat: Chat,
}

/// A user to import.
pub struct PlannedUser {
    /// The user's row.
    pub row: Row,
    /// The key of the user's chats in the dump.
    key: UserKey,
    /// The account. If an earlier import created it, only the id is reliable.
    pub account: Account,
    /// The address that the account claims.
    pub email: Option<Email>,
    /// The source of the account's balance.
    pub source: Source,
    /// The password.
    pub password: Password,
    /// The username in the other system, if it was changed here.
    pub renamed: Option<String>,
    /// True if an earlier import created the account.
    pub is_known: bool,
}

/// The password of a user to import.
#[derive(PartialEq, Eq)]
pub enum Password {
    /// A hash that another system made.
    Hash(DjangoHash),
    /// The password in clear text.
    Clear(String),
    /// No password. The user sets a new one by e-mail.
    Reset,
}

impl Password {
    /// Reads the value of the `password` field.
    fn read(text: &str, has_address: bool, rules: Rules<'_>) -> Result<Self, String> {
        match DjangoHash::parse(&in_django_form(text)) {
            Ok(hash) => Ok(Self::Hash(hash)),
            Err(_) if is_clear_text(text) && rules.clear_text_passwords => {
                match text.len() <= passwords::MOST_BYTES {
                    true => Ok(Self::Clear(text.to_owned())),
                    false => {
                        Err(format!("the password has more than {} bytes", passwords::MOST_BYTES))
                    }
                }
            }
            Err(_) if rules.reset_passwords && has_address => Ok(Self::Reset),
            Err(_) if is_clear_text(text) => Err("the password is in clear text".into()),
            Err(invalid) => Err(reason(invalid)),
        }
    }

    /// Returns the hash that the other system stored. `None` if there is no hash.
    pub fn hash(&self) -> Option<&DjangoHash> {
        match self {
            Self::Hash(hash) => Some(hash),
            Self::Clear(_) | Self::Reset => None,
        }
    }
}

/// Adds the name of the algorithm, as Django writes it, to a hash that lacks it. Other systems
/// store bcrypt hashes and Argon2 PHC strings without this name.
fn in_django_form(text: &str) -> Cow<'_, str> {
    match text {
        _ if text.starts_with("$2") => format!("bcrypt${text}").into(),
        _ if text.starts_with("$argon2") => format!("argon2{text}").into(),
        text => text.into(),
    }
}

/// Returns true if the string is a clear-text password. A hash would begin with the name of its
/// algorithm.
fn is_clear_text(text: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_hash = text.split_once('$').is_some_and(|(name, _)| name.chars().all(of_name));
    // Old systems store digests without the name of the algorithm.
    let is_digest = text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit());
    !text.is_empty() && !text.starts_with('!') && !is_hash && !is_digest
}

/// A user whose row is valid on its own, regardless of what the other rows contain.
struct Candidate {
    user: DjangoUser,
    name: Username,
    email: Option<Email>,
    password: Password,
    tokens: Credits,
    names: [Option<String>; 2],
    renamed: Option<String>,
}

impl Plan {
    /// Reads the whole dump, and compares its users with one another and with the store.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if the store doesn't answer.
    pub async fn make(app: &App, dump: &Dump, rules: Rules<'_>) -> Result<Self, String> {
        let (mut candidates, mut refused) = (Vec::new(), dump.chats_without_user());
        for user in dump.users() {
            let user = match user {
                Ok(user) => user,
                Err(bad) => {
                    refused.push(bad);
                    continue;
                }
            };
            let key = user.key;
            match Candidate::check(user, rules) {
                Ok(candidate) => candidates.push(candidate),
                Err(bad) => refuse_user(dump, key, bad, &mut refused),
            }
        }
        let mut plan =
            Self { users: Vec::new(), refused, chats: 0, demoted: 0, differences: Vec::new() };
        let mut store = Store::read(app, &candidates, rules).await?;
        let (names, addresses) =
            (of_several(&candidates, by_name), of_several(&candidates, by_address));
        for candidate in candidates {
            let refusal = shared_name(&candidate, &names)
                .or_else(|| shared_address(&candidate, &addresses))
                .or_else(|| store.refusal(&candidate, rules))
                .or_else(|| store.refusal_of_hash(&candidate));
            match refusal {
                Some(reason) => {
                    let (row, key) = (candidate.user.row.clone(), candidate.user.key);
                    refuse_user(dump, key, BadRow { row, reason }, &mut plan.refused);
                }
                None => plan.add(dump, candidate, &store, rules),
            }
        }
        Ok(plan)
    }

    fn add(&mut self, dump: &Dump, candidate: Candidate, store: &Store, rules: Rules<'_>) {
        let is_demoted = candidate.user.superuser && !rules.superusers;
        let (chats, bad) = accepted(dump.chats_of(candidate.user.key), rules);
        // The chats are sorted by time.
        let times = (chats.first().map(|chat| chat.time), chats.last().map(|chat| chat.time));
        if store.is_of_another(&candidate, times.0) {
            let (row, key) = (candidate.user.row.clone(), candidate.user.key);
            refuse_user(dump, key, BadRow { row, reason: OTHER_SYSTEM.into() }, &mut self.refused);
            return;
        }
        self.differences.extend(store.differences(&candidate, rules));
        let planned = candidate.plan(times, store, rules);
        self.demoted += u64::from(is_demoted && !planned.is_known);
        self.chats += u64::try_from(chats.len()).unwrap_or(u64::MAX);
        self.refused.extend(bad);
        self.users.push(planned);
    }

    /// Returns each kind of hash among the new accounts, with an example and the number of new
    /// accounts that use it.
    pub fn new_hashes(&self) -> BTreeMap<String, (&DjangoHash, u64)> {
        let mut kinds = BTreeMap::new();
        for hash in self.new_users().filter_map(|user| user.password.hash()) {
            kinds.entry(hash.kind()).or_insert((hash, 0)).1 += 1;
        }
        kinds
    }

    /// Returns the rows of users whose username was changed here, each with both names.
    pub fn renamed(&self) -> Vec<(Row, String, String)> {
        let renamed = self.users.iter().filter_map(|user| {
            Some((user.row.clone(), user.renamed.clone()?, user.account.name.clone()))
        });
        renamed.collect()
    }

    /// Returns the users who don't have an account yet.
    pub fn new_users(&self) -> impl Iterator<Item = &PlannedUser> {
        self.users.iter().filter(|user| !user.is_known)
    }

    /// Returns the first day with imported data. `None` if there are no users.
    pub fn first_day(&self) -> Option<Day> {
        let created = self.users.iter().map(|user| user.account.created).min();
        created.map(Day::from_millis)
    }
}

impl PlannedUser {
    /// Returns the user's messages as chats, oldest first.
    pub fn chats(&self, dump: &Dump, rules: Rules<'_>) -> Vec<PlannedChat> {
        let (chats, _) = accepted(dump.chats_of(self.key), rules);
        converted(chats, &self.account, rules)
    }
}

/// Refuses a user and all the user's chats.
fn refuse_user(dump: &Dump, key: UserKey, bad: BadRow, refused: &mut Vec<BadRow>) {
    let reason = format!("the user {} is refused", shown_pk(&bad.row.pk));
    let rows = dump.chats_of(key).into_iter().map(|chat| match chat {
        Ok(DjangoChat { row, .. }) => BadRow { row, reason: reason.clone() },
        Err(bad) => bad,
    });
    refused.push(bad);
    refused.extend(rows);
}

impl Candidate {
    /// Checks a user's row on its own, without considering the other rows.
    fn check(user: DjangoUser, rules: Rules<'_>) -> Result<Self, BadRow> {
        let read = || {
            let (name, renamed) = match Username::choose(&user.username) {
                Ok(name) => (name, None),
                Err(invalid) if !rules.rename => return Err(reason(invalid)),
                Err(invalid) => {
                    let name = Username::choose(&valid_name(&user.username));
                    (name.map_err(|_| reason(invalid))?, Some(user.username.clone()))
                }
            };
            let given = user.email.as_deref().map(Email::choose).transpose();
            let given = given.map_err(reason)?;
            let email = match (given, name.address()) {
                (Some(given), Some(named)) if given.key() != named.key() => {
                    return Err("the username is another address than the e-mail address".into());
                }
                (given, named) => given.or(named),
            };
            let password = Password::read(&user.password, email.is_some(), rules)?;
            let tokens = u64::try_from(user.tokens).ok().and_then(Credits::new);
            let tokens = tokens.ok_or_else(|| {
                format!("the balance {} isn't a number from 0 to {}", user.tokens, Credits::MAX)
            })?;
            let name_of = |given: &Option<String>| {
                let parsed = given.as_deref().map(GivenName::parse).transpose().map_err(reason)?;
                Ok::<_, String>(parsed.and_then(|name| name.text().map(str::to_owned)))
            };
            let names = [name_of(&user.first_name)?, name_of(&user.last_name)?];
            if user.row.pk.len() > LONGEST_PK {
                return Err(format!("the primary key has more than {LONGEST_PK} bytes"));
            }
            if let Some(joined) = user.joined.filter(|joined| !is_time(*joined, rules.now)) {
                return Err(impossible("the time of registration", joined));
            }
            Ok((name, renamed, email, password, tokens, names))
        };
        match read() {
            Ok((name, renamed, email, password, tokens, names)) => {
                Ok(Self { user, name, email, password, tokens, names, renamed })
            }
            Err(reason) => Err(BadRow { row: user.row, reason }),
        }
    }

    fn source(&self, rules: Rules<'_>) -> Source {
        Source::import(rules.name, &self.user.row.pk)
    }

    fn hash_of_row(&self, rules: Rules<'_>) -> u64 {
        hash(rules.name, "user", &self.user.row)
    }

    /// Plans the account. `first` and `last` are the times of the user's first and last messages.
    fn plan(
        self,
        (first, last): (Option<u64>, Option<u64>),
        store: &Store,
        rules: Rules<'_>,
    ) -> PlannedUser {
        let (hash_of_row, source) = (self.hash_of_row(rules), self.source(rules));
        let Self { user, name, email, password, tokens, names, renamed } = self;
        let today = Day::from_millis(rules.now).begins();
        // The account must be at least as old as its first message, so that the grant precedes the
        // message.
        let created = [user.joined, first].into_iter().flatten().min().unwrap_or(today);
        // The table contains values that are derived from this secret. A clear-text password must
        // not be part of it, because the values would then be fast hashes of the password.
        let secret = match &password {
            Password::Hash(hash) => [rules.name, &user.row.pk, hash.text()].join("\0"),
            Password::Clear(_) | Password::Reset => {
                [Uuid::new_v4(), Uuid::new_v4()].map(|id| id.to_string()).join("\0")
            }
        };
        let existing = store.accounts.get(name.key());
        let new = NewAccount {
            // A user who must set a new password gets a hash that no password matches. A clear-text
            // password is hashed only when its account is created.
            password: match &password {
                Password::Hash(hash) => stand_in(hash.text()),
                Password::Clear(_) | Password::Reset => stand_in(&secret),
            },
            name,
            email: email.clone(),
            key: None,
            role: if user.superuser && rules.superusers { Role::Admin } else { Role::User },
            grant: tokens,
            reason: "imported",
        };
        let account =
            new.open_as(clock::foreign_id(created, 0, hash_of_row), nonce(secret.as_bytes()));
        let [first_name, last_name] = names;
        let minute = |last: u64| BTreeMap::from([((last / 60_000).to_string(), 1)]);
        let account = Account {
            id: existing.map_or(account.id, |existing| existing.id.clone()),
            first_name,
            last_name,
            active: user.active,
            email_verified: user.verified && email.is_some(),
            imported: password.hash().map(|hash| hash.text().to_owned()),
            minutes: Some(last.map(minute).unwrap_or_default()),
            ..account
        };
        PlannedUser {
            key: user.key,
            account,
            email,
            source,
            row: user.row,
            password,
            renamed,
            is_known: existing.is_some(),
        }
    }
}

/// The accounts and claims in the store that may conflict with the dump's users.
struct Store {
    accounts: HashMap<String, Account>,
    /// The ids of accounts, by claimed address.
    claimants: HashMap<String, String>,
    /// The sources of the imported balances, each with its balance.
    sources: HashMap<Source, i64>,
    /// The kinds of hashes in the record of imports, and those that this import adds.
    kinds: HashSet<String>,
}

impl Store {
    async fn read(app: &App, candidates: &[Candidate], rules: Rules<'_>) -> Result<Self, String> {
        let names: HashSet<&str> = candidates.iter().map(|user| user.name.key()).collect();
        let addresses: HashSet<&str> =
            candidates.iter().filter_map(|user| user.email.as_ref().map(Email::key)).collect();
        // Read the sources before the accounts. If a run was killed, one of its late writes may
        // create an account between the two reads. If the accounts were read first, that account
        // would seem to be missing, and its source would look like that of a deleted account.
        let sources: HashSet<Source> = candidates.iter().map(|user| user.source(rules)).collect();
        let sources = app.store.used_sources(sources.iter()).await.map_err(sentence)?;
        let accounts = app.store.accounts_with_names(names.into_iter()).await.map_err(sentence)?;
        let claimants = app.store.claimants(addresses.into_iter()).await.map_err(sentence)?;
        let recorded = app.store.imports().await.map_err(sentence)?.unwrap_or_default();
        let kinds = recorded.hashes.into_iter().map(|hashes| hashes.kind).collect();
        Ok(Self { accounts, claimants, sources, kinds })
    }

    /// Returns the reason why the store refuses the user.
    fn refusal(&self, candidate: &Candidate, rules: Rules<'_>) -> Option<String> {
        if let Some(account) = self.accounts.get(candidate.name.key()) {
            if !clock::is_foreign_id(&account.id, candidate.hash_of_row(rules)) {
                return Some(NAME_TAKEN.into());
            }
            return account.deleted.map(|_| WAS_IMPORTED.into());
        }
        if self.sources.contains_key(&candidate.source(rules)) {
            return Some(WAS_IMPORTED.into());
        }
        let address = candidate.email.as_ref()?;
        let claimant = self.claimants.get(address.key())?;
        // A run that was killed may have claimed the address: its last writes may arrive during
        // these reads.
        let is_own = clock::is_foreign_id(claimant, candidate.hash_of_row(rules));
        (!is_own).then(|| ADDRESS_TAKEN.into())
    }

    /// Returns true if the account that was imported with this primary key has a different
    /// registration time. The account then belongs to a different person, on a different system.
    /// `first` is the time of the first message, because an account is at least as old as its first
    /// message.
    fn is_of_another(&self, candidate: &Candidate, first: Option<u64>) -> bool {
        let existing = self.accounts.get(candidate.name.key());
        let (Some(account), Some(joined)) = (existing, candidate.user.joined) else { return false };
        let is_at = |time: u64| account.created.abs_diff(time) < SAME_TIME;
        !is_at(joined) && !first.is_some_and(|first| is_at(first.min(joined)))
    }

    /// Returns the differences from a user's earlier import.
    fn differences(&self, candidate: &Candidate, rules: Rules<'_>) -> Vec<Difference> {
        let Some(account) = self.accounts.get(candidate.name.key()) else { return Vec::new() };
        let mut differing = Vec::new();
        let now = candidate.tokens.signed();
        if let Some(then) = self.sources.get(&candidate.source(rules)).filter(|then| **then != now)
        {
            differing.push(Differing::Balance { then: *then, now });
        }
        if account.active && !candidate.user.active {
            differing.push(Differing::Inactive);
        }
        let hash = candidate.password.hash().map(DjangoHash::text);
        if account.imported_hash().zip(hash).is_some_and(|(then, now)| then != now) {
            differing.push(Differing::Password);
        }
        let difference =
            |what| Difference { row: candidate.user.row.clone(), name: account.name.clone(), what };
        differing.into_iter().map(difference).collect()
    }

    /// Returns the reason why a new account's hash is refused. Counts the kind of an accepted hash.
    fn refusal_of_hash(&mut self, candidate: &Candidate) -> Option<String> {
        let is_known = self.accounts.contains_key(candidate.name.key());
        let kind = candidate.password.hash().filter(|_| !is_known)?.kind();
        if !self.kinds.contains(&kind) && self.kinds.len() >= MOST_KINDS {
            return Some(format!(
                "the hash is of a new kind, {kind}, and at most {MOST_KINDS} kinds are imported"
            ));
        }
        self.kinds.insert(kind);
        None
    }
}

fn by_name(candidate: &Candidate) -> Option<&str> {
    Some(candidate.name.key())
}

fn by_address(candidate: &Candidate) -> Option<&str> {
    candidate.email.as_ref().map(Email::key)
}

/// Returns the keys that several candidates share, each with the rows' primary keys.
fn of_several(
    candidates: &[Candidate],
    key: fn(&Candidate) -> Option<&str>,
) -> HashMap<String, Vec<String>> {
    let mut rows: HashMap<String, Vec<String>> = HashMap::new();
    for candidate in candidates {
        if let Some(key) = key(candidate) {
            rows.entry(key.to_owned()).or_default().push(candidate.user.row.pk.clone());
        }
    }
    rows.retain(|_, rows| rows.len() > 1);
    rows
}

fn others(candidate: &Candidate, rows: &[String]) -> String {
    let mut others = rows.iter().filter(|pk| **pk != candidate.user.row.pk);
    let named: Vec<String> = others.by_ref().take(NAMED).map(|pk| shown_pk(pk).into()).collect();
    let named = named.join(", ");
    match others.count() {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn shared_name(candidate: &Candidate, names: &HashMap<String, Vec<String>>) -> Option<String> {
    let others = others(candidate, names.get(by_name(candidate)?)?);
    Some(format!("the username differs from that of {others} only in case or Unicode form"))
}

fn shared_address(
    candidate: &Candidate,
    addresses: &HashMap<String, Vec<String>>,
) -> Option<String> {
    let others = others(candidate, addresses.get(by_address(candidate)?)?);
    Some(format!("the e-mail address is also that of {others}"))
}

/// Returns the messages that can be imported, oldest first, and the refused rows.
fn accepted(
    chats: Vec<Result<DjangoChat, BadRow>>,
    rules: Rules<'_>,
) -> (Vec<DjangoChat>, Vec<BadRow>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for chat in chats {
        match chat {
            Ok(chat) => match refusal_of_chat(&chat, rules) {
                None => good.push(chat),
                Some(reason) => bad.push(BadRow { row: chat.row, reason }),
            },
            Err(row) => bad.push(row),
        }
    }
    (good, bad)
}

/// Converts an account's messages into chats.
fn converted(chats: Vec<DjangoChat>, account: &Account, rules: Rules<'_>) -> Vec<PlannedChat> {
    let mut all: Vec<PlannedChat> = Vec::new();
    let mut order: u16 = 0;
    for DjangoChat { row, message, response, model, time } in chats {
        let follows = all.last().is_some_and(|last| last.chat.time == time);
        order = if follows { (order + 1).min(LAST_ORDER) } else { 0 };
        let chat_id = clock::foreign_id(time, order, hash(rules.name, "chat", &row)).to_string();
        let chat = Chat {
            user_id: account.id.clone(),
            month: chat_month(&account.id, &chat_id),
            chat_id,
            message,
            response,
            model: model.unwrap_or_else(|| UNKNOWN_MODEL.to_owned()),
            tokens_left: account.granted,
            time,
            name: account.name.clone(),
            ..Chat::default()
        };
        let chat = Chat { usage: Some(chat.usage()), ..chat };
        all.push(PlannedChat { row, chat });
    }
    all
}

/// Returns the reason why a message can't be imported. `None` if it can be.
fn refusal_of_chat(chat: &DjangoChat, rules: Rules<'_>) -> Option<String> {
    let DjangoChat { message, response, model, time, .. } = chat;
    let bytes = message.len() + response.len();
    if !is_time(*time, rules.now) {
        return Some(impossible("the time", *time));
    }
    if bytes > LARGEST {
        return Some(format!("{bytes} bytes are more than the {LARGEST} that fit"));
    }
    let model = model.as_deref().unwrap_or_default();
    if model.chars().count() > LONGEST_MODEL {
        return Some(format!("the model's name has more than {LONGEST_MODEL} characters"));
    }
    if model.chars().any(|c| c.is_control() || turns_text(c)) {
        return Some("the model's name has control characters".into());
    }
    if response.contains('\0') {
        return Some("the response has a null character".into());
    }
    Message::parse(message.clone(), usize::MAX).err().map(reason)
}

/// Formats the failure as a reason, which begins in lower case and doesn't end with a full stop.
fn reason(invalid: Invalid) -> String {
    let sentence = invalid.sentence().trim_end_matches('.');
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Makes a username valid. Each run of blanks, and each @ in a name that isn't an address, becomes
/// `_`; other invalid characters are removed.
fn valid_name(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    let is_valid = |c: &char| c.is_alphanumeric() || ".+-_".contains(*c);
    let replaced = words.join("_").replace('@', "_");
    replaced.chars().filter(is_valid).collect()
}

/// Returns true if Django could have stored this time.
fn is_time(millis: u64, now: u64) -> bool {
    (EARLIEST..=now).contains(&millis)
}

fn impossible(what: &str, millis: u64) -> String {
    let side = if millis < EARLIEST { "before 2005" } else { "in the future" };
    format!("{what} is {side}: {}", clock::rfc3339(millis))
}

/// Returns a hash of the facts that identify a row: the import's name, the kind of row, and its
/// primary key. Excludes the model, because an SQLite file may name the model differently.
fn hash(name: &str, kind: &str, row: &Row) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in [name, kind, &row.pk] {
        context.update(part.as_bytes());
        context.update(b"\0");
    }
    let digest = context.finish();
    digest.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
