//! E-mail addresses.

use crate::values::Invalid;
use crate::values::text::{is_invisible, is_mark, key};

/// The maximum length of an e-mail address, in characters ([RFC
/// 5321](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3)).
pub(crate) const EMAIL_LENGTH: usize = 254;

/// An e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    shown: String,
    key: String,
}

impl Email {
    /// Parses an address: a local part, an `@` and a domain. Whether the address exists can be
    /// proven only by an e-mail to it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let key = key(text);
        // Check both the typed form and the key form, because one of them may be valid and the
        // other invalid.
        if [text, &key].iter().all(|form| is_address(form)) {
            Ok(Self { shown: text.to_owned(), key })
        } else {
            Err("This is not an e-mail address.".into())
        }
    }

    /// Parses an address that a user chooses for an account. In addition to the rules of
    /// [`Self::parse`], the domain may contain only dots, hyphens, and letters, digits and
    /// combining marks of any script.
    ///
    /// ```
    /// use shared::values::Email;
    /// assert!(Email::choose("ann@münchen.example").is_ok());
    /// assert!(Email::choose("ann@evil.example/x?y=").is_err());
    /// ```
    pub fn choose(text: &str) -> Result<Self, Invalid> {
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
            false => Err("This is not an e-mail address: a domain has only letters, digits, hyphens and dots.".into()),
        }
    }

    /// Returns the address as the user typed it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the address's key form. Its claim is stored under this key form.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::login_key;

    #[test]
    fn addresses_have_a_name_and_a_domain() {
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
}
