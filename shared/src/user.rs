//! People: their names, addresses, roles and accounts.

use std::collections::BTreeMap;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, Script,
};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Tokens;

/// The most characters of a name, as Django's clients know it.
pub(crate) const NAME_LENGTH: usize = 150;

/// The most characters of an e-mail address ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3)).
pub(crate) const EMAIL_LENGTH: usize = 254;

/// A name that an account can have, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

impl Username {
    /// Letters and digits of any script, with their accents, and `@ . + - _`; at most 150
    /// characters. Names that differ only in case or in their Unicode form have one key, and
    /// are one name.
    ///
    /// ```
    /// use shared::user::Username;
    /// let shown = Username::parse("Ann").unwrap();
    /// assert_eq!(shown.key(), Username::parse("ａＮＮ").unwrap().key());
    /// assert!(Username::parse("ann smith").unwrap_err().contains("letters, digits"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("This field may not be empty.".into());
        }
        let (key, composed) = (key(text), ComposingNormalizer::new_nfkc().normalize(text));
        if [text, &key].iter().any(|form| form.chars().count() > NAME_LENGTH) {
            return Err(format!("A name has at most {NAME_LENGTH} characters."));
        }
        let allowed = |(index, c): (usize, char)| {
            !is_invisible(c)
                && (c.is_alphanumeric() || "@.+-_".contains(c) || (index > 0 && is_mark(c)))
        };
        if !composed.chars().enumerate().all(allowed) {
            return Err("A name has only letters, digits and @ . + - _".into());
        }
        Ok(Self { shown: text.to_owned(), key })
    }

    /// A name that a new account may have. One with an `@` must be an e-mail address, for it
    /// becomes the account's address too. The letters of a name, or of each part of an address,
    /// are of one script, or of those that Chinese, Japanese or Korean are written in ([UTS 39](https://www.unicode.org/reports/tr39/#Restriction_Level_Detection), highly restrictive), so that no name looks like another one by letters of
    /// different scripts.
    ///
    /// ```
    /// use shared::user::Username;
    /// assert!(Username::choose("ann@example.com").is_ok());
    /// assert!(Username::choose("@ann").unwrap_err().contains("e-mail address"));
    /// ```
    pub fn choose(text: &str) -> Result<Self, String> {
        let name = Self::parse(text)?;
        if name.key.contains('@') && name.address().is_none() {
            return Err(
                "A name with an @ must be an e-mail address, such as ann@example.com.".into()
            );
        }
        let composed = ComposingNormalizer::new_nfkc().normalize(text);
        let mut parts: Vec<&str> = vec![&composed];
        if let Some((local, domain)) = composed.rsplit_once('@') {
            parts = domain.split('.').chain([local]).collect();
        }
        if !parts.into_iter().all(is_of_one_script) {
            return Err("A name has letters of one script only, such as Latin or Cyrillic.".into());
        }
        Ok(name)
    }

    /// The e-mail address that the name is, if it is one.
    pub fn address(&self) -> Option<Email> {
        Email::choose(&self.shown).ok()
    }

    /// The name as it was typed.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What the account is found by.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// An e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    shown: String,
    key: String,
}

impl Email {
    /// Something before an `@` and a domain after it; whether anybody reads it, only a mail can
    /// tell.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let key = key(text);
        // What looks like one may be none in the form that is compared, and the other way round.
        if [text, &key].iter().all(|form| is_address(form)) {
            Ok(Self { shown: text.to_owned(), key })
        } else {
            Err("This is not an e-mail address.".into())
        }
    }

    /// An address that an account may take: as [`Self::parse`], and its domain has only letters and
    /// digits of any script, with their marks, hyphens and dots.
    ///
    /// ```
    /// use shared::user::Email;
    /// assert!(Email::choose("ann@münchen.example").is_ok());
    /// assert!(Email::choose("ann@evil.example/x?y=").is_err());
    /// ```
    pub fn choose(text: &str) -> Result<Self, String> {
        let email = Self::parse(text)?;
        let label = |label: &str| {
            label
                .chars()
                .enumerate()
                .all(|(index, c)| c == '-' || c.is_alphanumeric() || (index > 0 && is_mark(c)))
        };
        let domain = |form: &str| {
            form.rsplit_once('@').is_some_and(|(_, domain)| domain.split('.').all(label))
        };
        match [&email.shown, &email.key].iter().all(|form| domain(form)) {
            true => Ok(email),
            false => Err("This is not an e-mail address: after the @ come only letters, digits, hyphens and dots.".into()),
        }
    }

    /// The address as it was typed.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What the claim of the address is found by.
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |c: char| {
        !c.is_whitespace() && !c.is_control() && !is_invisible(c) && !"<>()[],;:\\\"".contains(c)
    };
    let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    text.chars().all(plain)
        && !local.is_empty()
        && !local.contains('@')
        && domain.contains('.')
        && domain.split('.').all(label)
        && text.chars().count() <= EMAIL_LENGTH
}

/// The scripts that are written together.
const TOGETHER: [&[Script]; 3] = [
    &[Script::Latin, Script::Han, Script::Hiragana, Script::Katakana],
    &[Script::Latin, Script::Han, Script::Bopomofo],
    &[Script::Latin, Script::Han, Script::Hangul],
];

/// Whether all letters are of one script, or of those that are written together. Digits and signs
/// are of every script.
fn is_of_one_script(text: &str) -> bool {
    let scripts = ScriptWithExtensions::new();
    let is_common =
        |c: char| scripts.has_script(c, Script::Common) || scripts.has_script(c, Script::Inherited);
    let letters: Vec<char> = text.chars().filter(|c| !is_common(*c)).collect();
    let are_of = |set: &[Script]| {
        letters.iter().all(|c| set.iter().any(|script| scripts.has_script(*c, *script)))
    };
    let Some(first) = letters.first() else { return true };
    scripts.get_script_extensions_val(*first).iter().any(|script| are_of(&[script]))
        || TOGETHER.into_iter().any(are_of)
}

/// Characters that change the direction of the text around them, so that it reads as another one.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether nothing of a text can be seen.
pub(crate) fn is_blank(text: &str) -> bool {
    let is_format =
        |c: char| CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format;
    text.chars().all(|c| c.is_whitespace() || c == '\u{2800}' || is_invisible(c) || is_format(c))
}

/// Characters that belong to the letter before them.
fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

/// Characters that nobody sees, with which one name could be written in many ways.
fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// What an account may be found by, if `login` can be a name or an address at all.
pub fn login_key(login: &str) -> Option<String> {
    let name = Username::parse(login).map(|name| name.key);
    name.or_else(|_| Email::parse(login).map(|email| email.key)).ok()
}

/// Compatibility form and case folded, twice, since folding may leave what normalising changes
/// again.
pub(crate) fn key(text: &str) -> String {
    let nfkc = ComposingNormalizer::new_nfkc();
    let fold = CaseMapper::new();
    let once = nfkc.normalize(&fold.fold_string(&nfkc.normalize(text))).into_owned();
    nfkc.normalize(&fold.fold_string(&once)).into_owned()
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Chats, and sees what is its own.
    User,
    /// Manages users, chats and balances too.
    Admin,
}

impl Role {
    /// The role in one word, as it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role that this word stands for.
    pub fn parse(word: &str) -> Result<Self, String> {
        let role = [Self::User, Self::Admin].into_iter().find(|role| role.word() == word);
        role.ok_or_else(|| "A role is user or admin.".into())
    }
}

/// Tokens taken from a balance for a chat whose answer is awaited, as the account holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How many were taken.
    pub cost: Tokens,
    /// The id of the chat they were taken for: only who knows it may settle or release.
    pub owner: String,
    /// The second at which the lease ends: from then on it can't be settled, and anybody may
    /// release it.
    pub expires_at: u64,
    /// What was asked, as a hash: an idempotency key with another payload is refused. Empty where
    /// there is no key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

/// An account as the table Users holds it, under `user:<key of its name>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// `user:<key of the name>`.
    pub pk: String,
    /// UUIDv7: what chats, the ledger and tokens hang on. A name that is used again is another
    /// account.
    pub id: String,
    /// The name as it was typed.
    pub name: String,
    /// The e-mail address as it was typed, which the account's claim stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether somebody has read a mail to that address.
    #[serde(default)]
    pub email_verified: bool,
    /// An address that is to take its place once it is verified: another account claims it without
    /// proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<String>,
    /// What the owner is called; shown to the owner alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// The password's hash, a PHC string.
    pub password: String,
    /// The id of the idempotency key that it was registered under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it may do.
    pub role: Role,
    /// A deactivated account can do nothing.
    pub active: bool,
    /// What can be spent: `granted = tokens + reservations + spent` at every moment.
    pub tokens: Tokens,
    /// Everything ever granted, adjustments included.
    pub granted: Tokens,
    /// Everything ever spent on settled chats.
    pub spent: Tokens,
    /// Tokens that are held for chats whose answer is awaited, by reservation id.
    pub reservations: BTreeMap<String, Reservation>,
    /// Reservation ids that may not be used again, with the second until which that holds.
    pub closed: BTreeMap<String, u64>,
    /// How many chats began in which minute since 1970. Nothing where the account is from before
    /// they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<BTreeMap<String, u32>>,
    /// Raised by everything that ends all tokens of the account.
    pub auth_epoch: u64,
    /// Sessions that were ended before their time, with the second at which that would have come.
    pub revoked: BTreeMap<String, u64>,
    /// How many API keys it has.
    #[serde(default)]
    pub api_keys: u32,
    /// API keys of earlier epochs open nothing: they were made before the address was proven.
    /// `None` where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_from: Option<u64>,
    /// When it was registered, in milliseconds since 1970.
    pub created: u64,
    /// The second at which it was deleted: what stands since then is a tombstone, which keeps the
    /// name taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// Random: tells a retried registration from another one, and seals this account's page
    /// cursors.
    pub nonce: String,
    /// Partition of the index by_time: `<yyyy-mm>#<shard>`. A tombstone has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub month: String,
    /// Partition of the index by_label. A tombstone has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shard: String,
    /// Sort key of the index by_label: the name's key.
    pub label: String,
}

impl Account {
    /// What can be spent at `now` (seconds): reservations whose lease is over count as free, though
    /// nobody released them yet.
    pub fn balance(&self, now: u64) -> Tokens {
        let free = self.reservations.values().filter(|reservation| reservation.expires_at <= now);
        free.fold(self.tokens, |sum, reservation| sum.checked_add(reservation.cost).unwrap_or(sum))
    }

    /// Whether it is an active administrator's.
    pub fn administers(&self) -> bool {
        self.active && self.role == Role::Admin
    }

    /// How many chats began in this minute since 1970.
    pub fn chats_in(&self, minute: u64) -> u32 {
        self.minutes
            .as_ref()
            .and_then(|minutes| minutes.get(&minute.to_string()))
            .copied()
            .unwrap_or(0)
    }

    /// What the ledger sums to: the balance with everything that is held. Below zero only where the
    /// account was tampered with.
    pub fn booked(&self) -> i64 {
        self.granted.signed().saturating_sub(self.spent.signed())
    }

    /// What the owner says of themselves, by attribute.
    pub(crate) fn profile(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("first_name", self.first_name.as_deref()),
            ("last_name", self.last_name.as_deref()),
            ("email", self.email.as_deref()),
            ("pending_email", self.pending_email.as_deref()),
        ]
    }

    /// The address that waits to be verified, if one does.
    pub fn unverified(&self) -> Option<&str> {
        let own = self.email.as_deref().filter(|_| !self.email_verified);
        self.pending_email.as_deref().or(own)
    }

    /// Whether it has proven this address, which is compared by its key.
    pub fn has_proven(&self, address_key: &str) -> bool {
        self.email_verified && self.email.as_deref().map(key).as_deref() == Some(address_key)
    }

    /// The same account with `address` as its own, proven one. Nothing where it wants another one.
    /// A first proof begins an epoch: until then anybody may have registered the address, so
    /// that nothing made before opens the account.
    pub(crate) fn proving(&self, address: &str) -> Option<Self> {
        let is_it = |wanted: &Option<String>| {
            wanted.as_deref().is_some_and(|wanted| key(wanted) == key(address))
        };
        let was_pending = is_it(&self.pending_email);
        if !was_pending && !is_it(&self.email) {
            return None;
        }
        let pending_email = if was_pending { None } else { self.pending_email.clone() };
        let mut after = Self {
            email: Some(address.to_owned()),
            email_verified: true,
            pending_email,
            ..self.clone()
        };
        if !self.has_proven(&key(address)) {
            after.auth_epoch += 1;
            after.keys_from = Some(after.auth_epoch);
            after.revoked.clear();
            after.api_keys = 0;
        }
        Some(after)
    }
}

/// What the owner of an account wants changed. Nothing stays as it is; an empty name is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The first name.
    pub first_name: Option<GivenName>,
    /// The last name.
    pub last_name: Option<GivenName>,
    /// The address.
    pub email: Option<Email>,
}

/// A name as people call each other, which need not be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenName(Option<String>);

impl GivenName {
    /// At most 150 characters, none that controls anything or changes the direction of text. Empty
    /// is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.chars().count() > NAME_LENGTH {
            return Err(format!("A name has at most {NAME_LENGTH} characters."));
        }
        if text.chars().any(char::is_control) {
            return Err("A name has no control characters.".into());
        }
        if text.chars().any(turns_text) {
            return Err("A name has no characters that change the direction of text.".into());
        }
        Ok(Self(Some(text.to_owned()).filter(|text| !text.is_empty())))
    }
}

impl ProfileChange {
    /// The new address, where it is really another one than the account's.
    pub fn address_for(&self, account: &Account) -> Option<&Email> {
        self.email
            .as_ref()
            .filter(|new| account.email.as_deref().map(key).as_deref() != Some(new.key()))
    }

    /// The account after this change, where a new address stays `pending` or becomes its own.
    pub(crate) fn applied_to(&self, account: &Account, pending: bool) -> Account {
        let mut after = account.clone();
        if let Some(GivenName(name)) = &self.first_name {
            after.first_name.clone_from(name);
        }
        if let Some(GivenName(name)) = &self.last_name {
            after.last_name.clone_from(name);
        }
        let Some(email) = &self.email else { return after };
        let shown = Some(email.shown().to_owned());
        if pending {
            after.pending_email = shown;
        } else {
            after.email_verified &= self.address_for(account).is_none();
            after.email = shown;
            after.pending_email = None;
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_only_in_case_or_unicode_form_are_one() {
        for (one, other) in [
            ("Ann", "aNN"),
            ("STRASSE", "straße"),
            ("José", "JOSE\u{301}"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("ﬁne", "FINE"),
            ("①", "1"),
            ("İzmir", "i\u{307}ZMIR"),
        ] {
            assert_eq!(
                Username::parse(one).map(|name| name.key),
                Username::parse(other).map(|name| name.key),
                "{one} {other}"
            );
        }
        assert_ne!(Username::parse("ann").unwrap().key, Username::parse("anne").unwrap().key);
    }

    #[test]
    fn a_name_without_letters_or_with_anything_else_is_refused() {
        for bad in [
            "",
            " ann",
            "ann\0",
            "ann\n",
            "😀",
            "a/b",
            "a:b",
            "a#b",
            "<b>",
            "\u{202e}ann",
            "½",
            "⑴",
            "ann\u{fe0f}",
            "ann\u{34f}",
            "ann\u{3164}",
            "\u{301}",
            &"x".repeat(151),
        ] {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
        for good in
            ["a", "ann@example.com", "a.b+c-d_e", "安娜", "हिन्दी", "ไม้", "Ωmega", &"x".repeat(150)]
        {
            assert!(Username::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_new_name_has_letters_of_one_script_and_an_old_one_may_have_others() {
        for bad in [
            "r\u{43e}\u{43e}t",
            "\u{430}dmin",
            "\u{3b1}dmin",
            "r\u{3bf}ot",
            "a\u{501}min",
            "an\u{561}",
            "мария-ann",
            "हिन्दीann",
            "김たろう",
            "r\u{43e}ot@example.com",
        ] {
            assert!(Username::choose(bad).unwrap_err().contains("one script"), "{bad:?}");
            assert!(Username::parse(bad).is_ok() && login_key(bad).is_some(), "{bad:?}");
        }
        for good in [
            "ann",
            "josé-2",
            "jose\u{301}",
            "мария.2",
            "Ωμέγα",
            "हिन्दी",
            "ไม้",
            "محمد٢",
            "安娜ann",
            "田中たろうタナカ",
            "スーパー",
            "김ann金",
            "ㄅ安",
            "иван@example.com",
            "2",
            "_",
        ] {
            assert!(Username::choose(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn the_word_of_a_role_is_the_one_that_is_stored() {
        for role in [Role::User, Role::Admin] {
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
            assert_eq!(Role::parse(role.word()), Ok(role));
        }
        assert!(Role::parse("Admin").is_err());
    }

    #[test]
    fn an_address_has_a_name_and_a_domain() {
        for bad in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@localhost",
            "a b@example.com",
            "ann@@example.com",
            "ann@.com",
            "ann@example.com\0",
            "ann@-x.com",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "a@evil.example/x?y=",
            "a@evil.example#",
            "a@b.example=c",
            "a@b_c.example",
            "a@b.example%2f",
            "a@\u{301}b.example",
            "a@b\u{2044}c.example",
            "a@b．example.com",
        ] {
            assert!(Email::choose(bad).is_err(), "{bad:?}");
        }
        for good in [
            "ann+x/y=z@example.com",
            "ann@xn--mnchen-3ya.example",
            "ann@münchen.example",
            "ann@mu\u{308}nchen.example",
            "ann@हिन्दी.example",
            "ann@例え.テスト",
        ] {
            assert!(Email::choose(good).is_ok(), "{good:?}");
        }
        assert_eq!(
            login_key("a@evil.example/x?y=").as_deref(),
            Some("a@evil.example/x?y="),
            "an account from before has this one"
        );
        let long_once_it_is_compared = format!("{}@example.com", "\u{fdfa}".repeat(200));
        assert!(Email::parse(&long_once_it_is_compared).is_err());
        assert_eq!(Email::parse(" Ann@Example.COM ").unwrap().key(), "ann@example.com");
    }

    #[test]
    fn an_expired_reservation_counts_as_free() {
        let tokens = |n| Tokens::new(n).unwrap();
        let reservation = |expires_at| Reservation {
            cost: tokens(100),
            owner: "o".into(),
            expires_at,
            fingerprint: String::new(),
        };
        let account = Account {
            pk: "user:ann".into(),
            id: "i".into(),
            name: "ann".into(),
            email: None,
            email_verified: false,
            pending_email: None,
            first_name: None,
            last_name: None,
            password: String::new(),
            key: None,
            role: Role::User,
            active: true,
            tokens: tokens(3800),
            granted: tokens(4000),
            spent: Tokens::ZERO,
            reservations: BTreeMap::from([
                ("a".into(), reservation(10)),
                ("b".into(), reservation(20)),
            ]),
            closed: BTreeMap::new(),
            minutes: None,
            auth_epoch: 1,
            revoked: BTreeMap::new(),
            api_keys: 0,
            keys_from: None,
            created: 0,
            deleted: None,
            nonce: String::new(),
            month: String::new(),
            shard: String::new(),
            label: String::new(),
        };
        assert_eq!([9, 10, 20].map(|now| account.balance(now).get()), [3800, 3900, 4000]);
    }
}
