//! Allowances: the amounts to which lower balances are topped up once per period.

use crate::values::{Credits, Role};

/// An allowance. When an account is first used in a period, its balance is topped up to `tokens` if
/// it is lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The credits to which the balance is topped up.
    pub tokens: Credits,
    /// The period.
    pub per: AllowancePeriod,
}

/// The period of an allowance. Periods begin at midnight in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowancePeriod {
    /// Each day.
    Day,
    /// Each week, starting on Monday.
    Week,
    /// Each month.
    Month,
}

impl AllowancePeriod {
    /// Returns the period's name in the settings and in replies.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month].into_iter().find(|period| period.word() == word)
    }
}

/// The maximum number of credits in an allowance.
const MOST: u64 = 1_000_000;

impl Allowance {
    /// Parses an allowance such as `1000/day`.
    fn parse(text: &str) -> Option<Self> {
        let (tokens, per) = text.split_once('/')?;
        let is_number =
            !tokens.starts_with('0') && tokens.bytes().all(|byte| byte.is_ascii_digit());
        let tokens = tokens.parse().ok().filter(|tokens| is_number && *tokens <= MOST)?;
        Some(Self { tokens: Credits::new(tokens)?, per: AllowancePeriod::parse(per)? })
    }
}

/// The allowances of all accounts, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    /// The allowance of accounts that don't belong to administrators. `None` if they don't receive
    /// an allowance.
    pub users: Option<Allowance>,
    /// The allowance of administrators' accounts. `None` if they don't receive an allowance.
    pub administrators: Option<Allowance>,
}

impl Allowances {
    /// Parses either one allowance for all roles, such as `1000/day`, or separate allowances for
    /// users and administrators, such as `1000/day,admin=none`.
    ///
    /// ```
    /// use shared::values::Allowances;
    ///
    /// let of = |text: &str| {
    ///     let Allowances { users, administrators } = Allowances::parse(text)?;
    ///     Some([users, administrators].map(|allowance| allowance.map(|allowance| allowance.tokens.get())))
    /// };
    /// assert_eq!(of("none"), Some([None, None]));
    /// assert_eq!(of("1000/day"), Some([Some(1000), Some(1000)]));
    /// assert_eq!(of("1000/week,admin=none"), Some([Some(1000), None]));
    /// assert_eq!(of("none,admin=300/month"), Some([None, Some(300)]));
    /// for bad in ["", "1000", "0/day", "-1/day", "1000/year", "1000 / day", "1000001/day", "5/day,5/day"] {
    ///     assert_eq!(of(bad), None, "{bad}");
    /// }
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let of_role = |text: &str| match text {
            "none" => Some(None),
            text => Allowance::parse(text).map(Some),
        };
        let (users, administrators) = match text.split_once(",admin=") {
            None => (text, text),
            Some(texts) => texts,
        };
        Some(Self { users: of_role(users)?, administrators: of_role(administrators)? })
    }

    /// Returns the allowance of accounts with this role.
    pub fn for_role(self, role: &Role) -> Option<Allowance> {
        match role {
            Role::Admin => self.administrators,
            Role::User | Role::Other(_) => self.users,
        }
    }
}
