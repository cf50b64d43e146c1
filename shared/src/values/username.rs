//! Usernames.

use icu_normalizer::ComposingNormalizer;
use icu_properties::props::Script;
use icu_properties::script::ScriptWithExtensions;

use crate::values::text::{is_invisible, is_mark, key};
use crate::values::{Email, Invalid};

/// The maximum length of a username, in characters. It is the same as Django's, because existing
/// clients expect this limit.
pub(crate) const NAME_LENGTH: usize = 150;

/// A username, with its original spelling and its key form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

impl Username {
    /// Parses a username of at most 150 characters: letters and digits of any writing system, with
    /// their combining marks, and `@ . + - _`. Usernames that differ only in case or Unicode form
    /// have the same key form, and count as the same username.
    ///
    /// ```
    /// use shared::values::Username;
    /// let shown = Username::parse("Ann").unwrap();
    /// assert_eq!(shown.key(), Username::parse("ａＮＮ").unwrap().key());
    /// assert!(Username::parse("ann smith").unwrap_err().sentence().contains("letters, digits"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err("This field must not be empty.".into());
        }
        let (key, composed) = (key(text), ComposingNormalizer::new_nfkc().normalize(text));
        if [text, &key].iter().any(|form| form.chars().count() > NAME_LENGTH) {
            return Err(format!("A name can have at most {NAME_LENGTH} characters.").into());
        }
        let allowed = |(index, c): (usize, char)| {
            !is_invisible(c)
                && (c.is_alphanumeric() || "@.+-_".contains(c) || (index > 0 && is_mark(c)))
        };
        if !composed.chars().enumerate().all(allowed) {
            return Err("A name can only have letters, digits and @ . + - _".into());
        }
        Ok(Self { shown: text.to_owned(), key })
    }

    /// Parses a username for a new account. A username with an `@` must be an e-mail address,
    /// because it becomes the account's address. All letters of a username, or of each part of an
    /// address, must belong to one script, or to the scripts that are used together to write
    /// Chinese, Japanese or Korean ([UTS
    /// 39](https://www.unicode.org/reports/tr39/#Restriction_Level_Detection), highly restrictive).
    /// This rule prevents usernames that imitate others with letters from a different script.
    ///
    /// ```
    /// use shared::values::Username;
    /// assert!(Username::choose("ann@example.com").is_ok());
    /// assert!(Username::choose("@ann").unwrap_err().sentence().contains("e-mail address"));
    /// ```
    pub fn choose(text: &str) -> Result<Self, Invalid> {
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
            return Err(
                "A name must have letters of one script only, such as Latin or Cyrillic.".into()
            );
        }
        Ok(name)
    }

    /// Returns the username as an e-mail address. `None` if the username isn't an e-mail address.
    pub fn address(&self) -> Option<Email> {
        Email::choose(&self.shown).ok()
    }

    /// Returns the username as its owner typed it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the username's key form. The account is stored under this key form.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Groups of scripts that are used together in one language.
const TOGETHER: [&[Script]; 3] = [
    &[Script::Latin, Script::Han, Script::Hiragana, Script::Katakana],
    &[Script::Latin, Script::Han, Script::Bopomofo],
    &[Script::Latin, Script::Han, Script::Hangul],
];

/// Returns true if all letters belong to one script, or to scripts that are used together in one
/// language. Digits and punctuation belong to every script.
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

/// Returns the key form under which the account for `login` is looked up. `None` if `login` is
/// neither a valid username nor a valid e-mail address.
pub fn login_key(login: &str) -> Option<String> {
    let name = Username::parse(login).map(|name| name.key().to_owned());
    name.or_else(|_| Email::parse(login).map(|email| email.key().to_owned())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::login_key;

    #[test]
    fn usernames_ignore_case_and_unicode_form() {
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
    fn usernames_need_letters_and_allow_few_other_characters() {
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
    fn only_new_names_are_limited_to_one_script() {
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
            assert!(
                Username::choose(bad).unwrap_err().sentence().contains("one script"),
                "{bad:?}"
            );
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
}
