//! The types for a setting's row in [`rows`](super::rows).
//!
//! The first part of a row becomes a small constant, which functions use to read the setting. The
//! second part describes the setting for `template.yaml` and the documents, and isn't included in
//! the functions' binaries.

/// A setting that is a whole number.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// The environment variable.
    pub name: &'static str,
    /// The value if the variable isn't set.
    pub default: u64,
    /// The smallest number.
    pub least: u64,
    /// The largest number.
    pub most: u64,
}

impl Number {
    pub(super) const fn new(default: u64, least: u64, most: u64) -> Self {
        Self { name: "", default, least, most }
    }

    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(super) const fn variable(self) -> Variable {
        let Self { name, default, least, most } = self;
        let default = DefaultValue::Number(default);
        Variable { name, default, values: Values::Range { least, most: Some(most) } }
    }
}

/// A setting that is a string.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The environment variable.
    pub name: &'static str,
    /// The value if the variable isn't set. Empty if the setting doesn't have a default.
    pub default: &'static str,
}

impl Text {
    pub(super) const fn new(default: &'static str) -> Self {
        Self { name: "", default }
    }

    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(super) const fn variable(self) -> Variable {
        Variable {
            name: self.name,
            default: DefaultValue::Text(self.default),
            values: Values::Text,
        }
    }
}

/// A setting whose value is one of a few words.
#[derive(Clone, Copy, Debug)]
pub struct Choice<T: 'static> {
    /// The environment variable.
    pub name: &'static str,
    /// The word if the variable isn't set.
    pub default: &'static str,
    /// The words.
    pub words: &'static [&'static str],
    /// The value of each word, in the same order.
    pub values: &'static [T],
}

impl<T: 'static> Choice<T> {
    pub(super) const fn new<const WORDS: usize>(
        default: &'static str,
        words: &'static [&'static str; WORDS],
        values: &'static [T; WORDS],
    ) -> Self {
        Self { name: "", default, words, values }
    }

    pub(super) const fn named(self, name: &'static str) -> Self
    where
        T: Copy,
    {
        Self { name, ..self }
    }

    pub(super) const fn variable(self) -> Variable
    where
        T: Copy,
    {
        let default = DefaultValue::Text(self.default);
        Variable { name: self.name, default, values: Values::Words(self.words) }
    }
}

/// Settings that belong together. The CloudFormation console shows their parameters under the
/// label.
#[derive(Debug)]
pub struct Group {
    /// The label.
    pub label: &'static str,
    /// The settings, in the order in which the console shows them.
    pub settings: &'static [Setting],
}

/// A setting's row.
#[derive(Debug)]
pub struct Setting {
    /// How functions read the setting, or `None` for a parameter that only the template uses.
    pub variable: Option<Variable>,
    /// Where the setting comes from, and its description in the documents.
    pub described: Described,
}

impl Setting {
    /// Returns the stack parameter, or `None` if the setting isn't a parameter.
    pub fn parameter(&self) -> Option<&Parameter> {
        match &self.described.source {
            Source::Parameter(parameter) => Some(parameter),
            _ => None,
        }
    }

    /// Returns the values that the stack accepts.
    pub fn values(&self) -> Values {
        let own = self.parameter().and_then(|parameter| parameter.values);
        own.or(self.variable.map(|variable| variable.values)).unwrap_or(Values::Text)
    }

    /// Returns the setting's default on AWS.
    pub fn default(&self) -> DefaultValue {
        let own = match self.described.source {
            Source::Parameter(parameter) => parameter.default,
            Source::Fixed(value) => Some(DefaultValue::Text(value)),
            _ => None,
        };
        own.or(self.variable.map(|variable| variable.default)).unwrap_or(DefaultValue::Text(""))
    }
}

/// An environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The variable's name.
    pub name: &'static str,
    /// The value if the variable isn't set.
    pub default: DefaultValue,
    /// The accepted values.
    pub values: Values,
}

/// A setting's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum DefaultValue {
    Number(u64),
    Text(&'static str),
}

/// The values that a setting accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// The whole numbers in a range.
    Range {
        /// The smallest number.
        least: u64,
        /// The largest number.
        most: Option<u64>,
    },
    /// Certain numbers.
    Numbers(&'static [u64]),
    /// Certain words.
    Words(&'static [&'static str]),
    /// A string.
    Text,
    /// Strings, separated by commas.
    List,
}

/// The part of a row that describes the setting for the template and the documents.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Where the setting comes from on AWS.
    pub source: Source,
    /// The default as the documents show it, or `None` to show the value.
    pub shown: Option<&'static str>,
    /// The setting's description in the documents, in Markdown. Its links are relative to
    /// `docs/operate`.
    pub docs: &'static str,
}

/// Where a setting comes from on AWS.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A parameter of the stack.
    Parameter(Parameter),
    /// The variable's default, in every stack.
    AsByDefault,
    /// The same value in every stack.
    Fixed(&'static str),
    /// A value that depends on whether the function streams its replies.
    ByReply {
        /// The value for functions that send whole replies.
        whole: &'static str,
        /// For functions that stream, the value is this number of seconds below the time-out.
        rest: u32,
    },
    /// An expression in the template.
    Expression(&'static str),
    /// Only the local server reads the setting.
    LocalOnly,
}

/// A stack parameter
/// ([properties](https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html)).
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The parameter's name.
    pub name: &'static str,
    /// The description in the console.
    pub about: &'static str,
    /// The default, if it differs from the variable's.
    pub default: Option<DefaultValue>,
    /// The accepted values, if they differ from the variable's.
    pub values: Option<Values>,
    /// The minimum length, in characters.
    pub shortest: Option<usize>,
    /// The maximum length, in characters. Lengths are limited because a function's variables must
    /// not exceed 4,096 bytes in total.
    pub longest: Option<usize>,
    /// The regular expression that matches every accepted string.
    pub pattern: Option<&'static str>,
    /// CloudFormation's `ConstraintDescription`, which describes a valid value.
    pub must_be: Option<&'static str>,
}

/// Describes a setting that is a stack parameter.
pub(super) const fn parameter(name: &'static str, about: &'static str) -> Described {
    described_by(Source::Parameter(Parameter {
        name,
        about,
        default: None,
        values: None,
        shortest: None,
        longest: None,
        pattern: None,
        must_be: None,
    }))
}

/// Describes a setting that uses its default in every stack.
pub(super) const fn as_by_default() -> Described {
    described_by(Source::AsByDefault)
}

/// Describes a setting that every stack sets to this value, which isn't the default.
pub(super) const fn fixed(value: &'static str) -> Described {
    described_by(Source::Fixed(value))
}

/// Describes a time limit that depends on whether the function streams its replies. `rest` is the
/// number of seconds between the limit and the time-out of a function that streams.
pub(super) const fn by_reply(whole: &'static str, rest: u32) -> Described {
    described_by(Source::ByReply { whole, rest })
}

/// Describes a setting whose value is a CloudFormation expression.
pub(super) const fn expression(yaml: &'static str) -> Described {
    described_by(Source::Expression(yaml))
}

/// Describes a setting that only the local server reads.
pub(super) const fn local_only() -> Described {
    described_by(Source::LocalOnly)
}

const fn described_by(source: Source) -> Described {
    Described { source, shown: None, docs: "" }
}

impl Described {
    #[expect(clippy::panic, reason = "the compiler evaluates it")]
    const fn parameter(self) -> Parameter {
        match self.source {
            Source::Parameter(parameter) => parameter,
            _ => panic!("only a parameter has a default, values, lengths and a pattern"),
        }
    }

    const fn with(self, parameter: Parameter) -> Self {
        Self { source: Source::Parameter(parameter), ..self }
    }

    /// Sets a default that differs from the variable's.
    pub(super) const fn default(self, default: &'static str) -> Self {
        self.with(Parameter { default: Some(DefaultValue::Text(default)), ..self.parameter() })
    }

    /// Sets a number as the default.
    pub(super) const fn default_number(self, default: u64) -> Self {
        self.with(Parameter { default: Some(DefaultValue::Number(default)), ..self.parameter() })
    }

    /// Accepts the whole numbers from `least` to `most`.
    pub(super) const fn range(self, least: u64, most: Option<u64>) -> Self {
        self.with(Parameter { values: Some(Values::Range { least, most }), ..self.parameter() })
    }

    /// Accepts these numbers.
    pub(super) const fn one_of_numbers(self, numbers: &'static [u64]) -> Self {
        self.with(Parameter { values: Some(Values::Numbers(numbers)), ..self.parameter() })
    }

    /// Accepts these words.
    pub(super) const fn one_of(self, words: &'static [&'static str]) -> Self {
        self.with(Parameter { values: Some(Values::Words(words)), ..self.parameter() })
    }

    /// Accepts strings that are separated by commas.
    pub(super) const fn list(self) -> Self {
        self.with(Parameter { values: Some(Values::List), ..self.parameter() })
    }

    /// Sets the minimum length, in characters.
    pub(super) const fn shortest(self, characters: usize) -> Self {
        self.with(Parameter { shortest: Some(characters), ..self.parameter() })
    }

    /// Sets the maximum length, in characters.
    pub(super) const fn longest(self, characters: usize) -> Self {
        self.with(Parameter { longest: Some(characters), ..self.parameter() })
    }

    /// Sets the regular expression that matches every accepted string.
    pub(super) const fn pattern(self, pattern: &'static str) -> Self {
        self.with(Parameter { pattern: Some(pattern), ..self.parameter() })
    }

    /// Sets the description of a valid value. CloudFormation shows it when it refuses a value.
    pub(super) const fn must_be(self, what: &'static str) -> Self {
        self.with(Parameter { must_be: Some(what), ..self.parameter() })
    }

    /// Sets the default that the documents show.
    pub(super) const fn shown(self, shown: &'static str) -> Self {
        Self { shown: Some(shown), ..self }
    }

    /// Sets the description in the documents.
    pub(super) const fn docs(self, docs: &'static str) -> Self {
        Self { docs, ..self }
    }
}

/// Defines the constants that functions use to read settings, and [`GROUPS`], the table of all
/// rows.
///
/// A row without a name describes a parameter that only the template uses.
///
/// [`GROUPS`]: super::rows::GROUPS
macro_rules! settings {
    ($($label:literal {
        $($($name:ident: $type:ty = $facts:expr)? => $described:expr;)+
    })+) => {
        $($($(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub const $name: $type = $facts.named(stringify!($name));
        )?)+)+

        /// Every setting and every stack parameter.
        pub const GROUPS: &[Group] = &[$(Group {
            label: $label,
            settings: &[$(
                Setting { variable: settings!(@variable $($name)?), described: $described },
            )+],
        }),+];
    };
    (@variable) => { None };
    (@variable $name:ident) => { Some($name.variable()) };
}
