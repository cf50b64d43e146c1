//! The effects of a deployment's parameters: which values CloudFormation refuses, which functions
//! start with the accepted values, and which errors the other functions report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use emulator::template::{Function, Template};
use functions::{ENDPOINTS, background, pages};
use local::server::environment_of;
use regex_automata::meta::Regex;
use serde_norway::Value as Yaml;
use shared::App;
use shared::app::{MailApp, PaymentsApp, Scheduled};
use shared::clock::Clock;
use shared::config::{Config, ConfigError, EdgeConfig, LogConfig, Names, Settings};

use crate::support::client::Api;

type Parameters = [(&'static str, &'static str)];

static TEMPLATE: LazyLock<Yaml> =
    LazyLock::new(|| emulator::template::parse(include_str!("../../template.yaml")).unwrap());

const OPENAI_KEY: (&str, &str) =
    ("OpenAiKeyArn", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:openai-AbCdEf");
const ANTHROPIC_KEY: (&str, &str) =
    ("AnthropicKeyArn", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:anthropic-AbCdEf");
const LAYER: (&str, &str) =
    ("TracesLayerArn", "arn:aws:lambda:eu-central-1:111122223333:layer:collector-arm64:7");
const CERTIFICATE: (&str, &str) =
    ("CertificateArn", "arn:aws:acm:eu-central-1:111122223333:certificate/0b1c-2d3e");

/// The deployments in README.md and the documents.
const DOCUMENTED: &[&Parameters] = &[
    &[],
    &[("Protection", "on"), ("LogRetentionDays", "90")],
    &[("Protection", "off"), ("LogRetentionDays", "7")],
    &[("DomainName", "api.example.com"), CERTIFICATE],
    &[("DomainName", "api.example.com"), CERTIFICATE, ("ExecuteApi", "closed")],
    &[("MailFrom", "no-reply@example.com")],
    &[("MailFrom", "no-reply@example.com"), ("MailUrl", "https://app.example.com")],
    &[("MailFrom", "no-reply@example.com"), ("MailConfigurationSet", "farebox-mail")],
    &[("AccessLogs", "on"), ("GatewayLogRole", "on"), ("LogLevel", "warn")],
    &[("TracesEndpoint", "http://localhost:4318"), LAYER, ("XRay", "PassThrough")],
    &[("TracesEndpoint", "https://otel.example.com/farebox"), ("TracesSampling", "0.05")],
    &[("XRay", "Active")],
    &[("AiProvider", "openai"), ("OpenAiModel", "gpt-4o-mini"), OPENAI_KEY],
    &[
        ("AiProvider", "openai"),
        ("OpenAiModel", "llama3.2"),
        ("OpenAiBaseUrl", "http://127.0.0.1:9/v1"),
        ("AiSystemPrompt", "Be brief.\nSay \"please\"."),
        ("AiTemperature", "0.7"),
    ],
    &[("AiProvider", "bedrock"), ("BedrockModel", "eu.amazon.nova-lite-v1:0")],
    &[
        ("AiProvider", "bedrock,openai, openai2"),
        ("BedrockModel", "eu.amazon.nova-lite-v1:0"),
        ("OpenAiModel", "gpt-4o-mini"),
        OPENAI_KEY,
        ("OpenAi2Model", "llama3.2"),
        ("OpenAi2BaseUrl", "http://127.0.0.1:9/v1"),
    ],
    &[("AiProvider", "anthropic"), ("AnthropicModel", "claude-sonnet-5-5"), ANTHROPIC_KEY],
    &[
        ("AiProvider", "anthropic"),
        ("AnthropicModel", "claude-sonnet-5-5"),
        ("AnthropicBaseUrl", "http://127.0.0.1:9"),
    ],
    &[("AllowedOrigins", "https://app.example.com, http://localhost:5173")],
    &[("EmptyBalanceStatus", "429")],
    &[("AdminChats", "off")],
    &[("AdminChats", "read")],
    &[("Sharing", "on")],
    &[("LoginFailuresPerAddress", "0"), ("RegistrationsPerAddress", "0")],
    &[
        ("TopUpText", "Buy more in our shop."),
        ("TopUpUrl", "https://shop.example.com/tokens?from=chat"),
    ],
    &[("TopUpUrl", "mailto:tokens@example.com")],
    &[("LowBalance", "500"), ("MailFrom", "no-reply@example.com")],
    &[("Allowance", "1000/day")],
    &[("Allowance", "1000000/month,admin=999999/month")],
    &[("Allowance", "5000/week,admin=none")],
    &[("Allowance", "none,admin=20000/month")],
    &[("DeploymentPreference", "AllAtOnce"), ("Alarms", "off")],
    &[("LedgerVaultArn", "arn:aws:backup:eu-central-1:444455556666:backup-vault:ledger")],
    &[
        ("AskConcurrency", "91"),
        ("ProgramConcurrency", "91"),
        ("HashConcurrency", "20"),
        ("ParallelChats", "16"),
    ],
    &[
        ("KmsKeyArn", "arn:aws:kms:eu-central-1:111122223333:key/0b1c-2d3e"),
        ("FirewallRate", "2000"),
        ("MethodMetrics", "on"),
    ],
];

/// Invalid parameters.
struct Mistake {
    given: &'static Parameters,
    /// The name of the parameter that CloudFormation refuses, or the description of the rule that
    /// the parameters break.
    refused: &'static str,
    /// The beginning of the error that stops each function that reads the setting. Its first word
    /// is the setting's variable. Empty if all functions start.
    says: &'static str,
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        given: &[("AiProvider", "openai"), ("OpenAiBaseUrl", "http://127.0.0.1:9/v1")],
        refused: "The provider openai needs OpenAiModel.",
        says: "OPENAI_MODEL must be set",
    },
    Mistake {
        given: &[("AiProvider", "openai"), ("OpenAiModel", "gpt-4o-mini")],
        refused: "OpenAI itself needs OpenAiKeyArn; another server needs its OpenAiBaseUrl.",
        says: "",
    },
    Mistake {
        given: &[("AiProvider", "echo,openai2"), ("OpenAi2Model", "llama3.2")],
        refused: "The provider openai2 needs OpenAi2BaseUrl.",
        says: "OPENAI2_BASE_URL must be set",
    },
    Mistake {
        given: &[("AiProvider", "openai2"), ("OpenAi2BaseUrl", "http://127.0.0.1:9/v1")],
        refused: "The provider openai2 needs OpenAi2Model.",
        says: "OPENAI2_MODEL must be set",
    },
    Mistake {
        given: &[("AiProvider", "anthropic"), ANTHROPIC_KEY],
        refused: "The provider anthropic needs AnthropicModel.",
        says: "ANTHROPIC_MODEL must be set",
    },
    Mistake {
        given: &[("AiProvider", "anthropic"), ("AnthropicModel", "claude-sonnet-5-5")],
        refused: "Anthropic itself needs AnthropicKeyArn; another server needs its AnthropicBaseUrl.",
        says: "",
    },
    Mistake {
        given: &[("AiProvider", "echo,bedrock")],
        refused: "The provider bedrock needs BedrockModel.",
        says: "BEDROCK_MODEL must be set",
    },
    Mistake {
        given: &[("AiProvider", "echo,parrot")],
        refused: "AiProvider",
        says: "AI_PROVIDER must list echo, openai, openai2, anthropic and bedrock, separated by commas (got \"parrot\")",
    },
    Mistake {
        given: &[("AiTemperature", "2.5")],
        refused: "AiTemperature",
        says: "AI_TEMPERATURE must be a number from 0 to 2 (got \"2.5\")",
    },
    Mistake {
        given: &[("AiMaxTokens", "0")],
        refused: "AiMaxTokens",
        says: "AI_MAX_TOKENS must be a whole number from 1 to 65536 (got \"0\")",
    },
    Mistake {
        given: &[
            ("AiProvider", "openai"),
            ("OpenAiModel", "llama3.2"),
            ("OpenAiBaseUrl", "ollama:11434"),
        ],
        refused: "OpenAiBaseUrl",
        says: "OPENAI_BASE_URL must begin with http:// or https:// (got \"ollama:11434\")",
    },
    Mistake {
        given: &[
            ("AiProvider", "openai"),
            ("OpenAiModel", "llama3.2"),
            ("OpenAiBaseUrl", "http://ol lama/v1"),
        ],
        refused: "OpenAiBaseUrl",
        says: "OPENAI_BASE_URL: ",
    },
    // With an API key instead of its ARN, the functions would start, but anyone who can read their
    // settings could also read the API key.
    Mistake {
        given: &[("OpenAiKeyArn", "a-key-and-not-where-it-is")],
        refused: "OpenAiKeyArn",
        says: "",
    },
    Mistake {
        given: &[("AllowedOrigins", "https://app.example.com/")],
        refused: "AllowedOrigins",
        says: "ALLOWED_ORIGINS must list origins such as https://app.example.com (got \"https://app.example.com/\")",
    },
    Mistake {
        given: &[("AllowedOrigins", "https://app.example.com,*")],
        refused: "AllowedOrigins",
        says: "ALLOWED_ORIGINS must list origins such as https://app.example.com (got \"*\")",
    },
    Mistake {
        given: &[("BodyLimit", "1000")],
        refused: "BodyLimit",
        says: "BODY_LIMIT must be a whole number from 1024 to 1048576 (got \"1000\")",
    },
    Mistake {
        given: &[("V1BodyLimit", "6000000")],
        refused: "V1BodyLimit",
        says: "V1_BODY_LIMIT must be a whole number from 1024 to 4194304 (got \"6000000\")",
    },
    Mistake {
        given: &[("PromptLimit", "1000")],
        refused: "PromptLimit",
        says: "PROMPT_LIMIT must be a whole number from 1024 to 4194304 (got \"1000\")",
    },
    Mistake {
        given: &[("PricedBytes", "64 KB")],
        refused: "PricedBytes",
        says: "PRICED_BYTES must be a whole number from 1024 to 4194304 (got \"64 KB\")",
    },
    Mistake {
        given: &[("FreeWork", "-1")],
        refused: "FreeWork",
        says: "FREE_WORK must be a whole number from 0 to 1000000 (got \"-1\")",
    },
    Mistake {
        given: &[("ChatPrice", "1.5")],
        refused: "ChatPrice",
        says: "CHAT_PRICE must be a whole number from 1 to 1000000 (got \"1.5\")",
    },
    Mistake {
        given: &[("LowBalance", "500")],
        refused: "LowBalance needs MailFrom, or no e-mail would be sent.",
        says: "",
    },
    Mistake {
        given: &[("LowBalance", "-1"), ("MailFrom", "no-reply@example.com")],
        refused: "LowBalance",
        says: "LOW_BALANCE must be a whole number from 0 to 1000000 (got \"-1\")",
    },
    Mistake {
        given: &[("Allowance", "1000/day,admin=1000001/day")],
        refused: "Allowance",
        says: "ALLOWANCE must be none, or an allowance such as 1000/day, 5000/week or 1000/day,admin=none (got \"1000/day,admin=1000001/day\")",
    },
    Mistake {
        given: &[("Allowance", "1000/year")],
        refused: "Allowance",
        says: "ALLOWANCE must be none, or an allowance such as 1000/day, 5000/week or 1000/day,admin=none (got \"1000/year\")",
    },
    Mistake {
        given: &[("TopUpText", "Buy more\nin our shop.")],
        refused: "TopUpText",
        says: "TOP_UP_TEXT must be at most 200 characters on one line",
    },
    Mistake {
        given: &[("TopUpUrl", "shop.example.com")],
        refused: "TopUpUrl",
        says: "TOP_UP_URL must begin with https://, http:// or mailto:, without spaces (got \"shop.example.com\")",
    },
    Mistake {
        given: &[("SessionSeconds", "1e6")],
        refused: "SessionSeconds",
        says: "SESSION_SECONDS must be a whole number from 3600 to 31622400 (got \"1e6\")",
    },
    Mistake {
        given: &[("ParallelChats", "65")],
        refused: "ParallelChats",
        says: "PARALLEL_CHATS must be a whole number from 1 to 64 (got \"65\")",
    },
    Mistake {
        given: &[("EmptyBalanceStatus", "403")],
        refused: "EmptyBalanceStatus",
        says: "EMPTY_BALANCE_STATUS must be 402 or 429 (got \"403\")",
    },
    Mistake {
        given: &[("AdminChats", "on")],
        refused: "AdminChats",
        says: "ADMIN_CHATS must be off, read or search (got \"on\")",
    },
    Mistake {
        given: &[("MailFrom", "Farebox")],
        refused: "MailFrom",
        says: "MAIL_FROM must be an e-mail address (got \"Farebox\")",
    },
    Mistake {
        given: &[("MailFrom", "Farebox <no-reply@example.com>")],
        refused: "MailFrom",
        says: "MAIL_FROM must be an e-mail address (got \"Farebox <no-reply@example.com>\")",
    },
    Mistake {
        given: &[("MailFrom", "no-reply@example.com"), ("MailUrl", "app.example.com")],
        refused: "MailUrl",
        says: "MAIL_URL must begin with http:// or https:// (got \"app.example.com\")",
    },
    Mistake {
        given: &[("MailFrom", "no-reply@example.com"), ("MailConfigurationSet", "my set")],
        refused: "MailConfigurationSet",
        says: "MAIL_CONFIGURATION_SET must be at most 64 letters, digits and -_ (got \"my set\")",
    },
    Mistake {
        given: &[("LogLevel", "debug")],
        refused: "LogLevel",
        says: "LOG_LEVEL must be error, warn or info (got \"debug\")",
    },
    Mistake {
        given: &[("TracesEndpoint", "localhost:4318")],
        refused: "TracesEndpoint",
        says: "TRACES_ENDPOINT must be a URL that begins with http:// or https://",
    },
    Mistake {
        given: &[("TracesEndpoint", "http://user:password@localhost:4318")],
        refused: "TracesEndpoint",
        says: "TRACES_ENDPOINT must be a URL that begins with http:// or https://",
    },
    Mistake {
        given: &[("TracesSampling", "1.5")],
        refused: "TracesSampling",
        says: "TRACES_SAMPLING must be a number from 0 to 1 (got \"1.5\")",
    },
    Mistake { given: &[("TracesLayerArn", "collector")], refused: "TracesLayerArn", says: "" },
    Mistake {
        given: &[("MailUrl", "https://app.example.com")],
        refused: "MailUrl needs MailFrom, or no e-mail would be sent.",
        says: "",
    },
    Mistake {
        given: &[("DomainName", "api.example.com")],
        refused: "DomainName and CertificateArn must be given together.",
        says: "",
    },
    Mistake {
        given: &[CERTIFICATE],
        refused: "DomainName and CertificateArn must be given together.",
        says: "",
    },
    Mistake {
        given: &[("ExecuteApi", "closed")],
        refused: "ExecuteApi=closed needs a DomainName, or no client could reach the API.",
        says: "",
    },
    Mistake {
        given: &[("DomainName", "https://api.example.com/"), CERTIFICATE],
        refused: "DomainName",
        says: "",
    },
    Mistake { given: &[("Protection", "yes")], refused: "Protection", says: "" },
    Mistake { given: &[("FirewallRate", "9")], refused: "FirewallRate", says: "" },
    Mistake { given: &[("KmsKeyArn", "alias/farebox")], refused: "KmsKeyArn", says: "" },
    Mistake { given: &[("RequestRate", "0")], refused: "RequestRate", says: "" },
];

/// Returns a parameter's value in a deployment with the parameters `given`.
fn value(name: &str, given: &[(&str, &str)]) -> String {
    match given.iter().find(|(other, _)| *other == name) {
        Some((_, value)) => (*value).to_owned(),
        None => text(&TEMPLATE["Parameters"][name]["Default"]),
    }
}

fn text(value: &Yaml) -> String {
    match value {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Returns the errors that stop a deployment with these parameters before it changes anything:
/// names of parameters, and descriptions of broken rules. CloudFormation finds all of these errors
/// except fractional numbers, which `scripts/deploy` and `scripts/preflight` find.
fn refused(given: &[(&str, &str)]) -> Vec<String> {
    let mut refused = Vec::new();
    for (name, parameter) in TEMPLATE["Parameters"].as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        if !accepts(parameter, &value(name, given)) {
            refused.push(name.to_owned());
        }
    }
    for rule in TEMPLATE["Rules"].as_mapping().unwrap().values() {
        let condition = &rule["RuleCondition"];
        if !condition.is_null() && !holds(condition, given) {
            continue;
        }
        let broken = rule["Assertions"]
            .as_sequence()
            .unwrap()
            .iter()
            .filter(|assertion| !holds(&assertion["Assert"], given));
        refused.extend(broken.map(|assertion| text(&assertion["AssertDescription"])));
    }
    refused
}

/// Returns true if a parameter may have this value
/// ([constraints](https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html)).
fn accepts(parameter: &Yaml, value: &str) -> bool {
    let pattern = parameter["AllowedPattern"].as_str();
    // CloudFormation compares a pattern with the whole value.
    let matches = |value: &str| {
        pattern.is_none_or(|pattern| {
            Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap().is_match(value)
        })
    };
    let is_listed = parameter["AllowedValues"]
        .as_sequence()
        .is_none_or(|allowed| allowed.iter().any(|one| text(one) == value));
    is_listed
        && match parameter["Type"].as_str().unwrap() {
            "Number" => whole(value).is_some_and(|number| {
                parameter["MinValue"].as_u64().is_none_or(|least| number >= least)
                    && parameter["MaxValue"].as_u64().is_none_or(|most| number <= most)
            }),
            "CommaDelimitedList" => value.split(',').all(|one| matches(one.trim())),
            "String" => {
                let length = u64::try_from(value.chars().count()).unwrap();
                parameter["MaxLength"].as_u64().is_none_or(|most| length <= most) && matches(value)
            }
            other => panic!("{other}"),
        }
}

/// Parses a number as `scripts/deploy` and `scripts/preflight` do: digits without a leading zero.
/// `scripts/check/deploy` and `scripts/check/preflight` test how the two scripts parse numbers.
fn whole(value: &str) -> Option<u64> {
    let is_plain = value == "0" || !value.starts_with(['0', '+']);
    value.parse().ok().filter(|_| is_plain)
}

/// Evaluates a rule's condition
/// ([functions](https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-rules.html)).
fn holds(condition: &Yaml, given: &[(&str, &str)]) -> bool {
    let Yaml::Tagged(function) = condition else { panic!("{condition:?}") };
    let arguments = function.value.as_sequence().unwrap_or_else(|| panic!("{condition:?}"));
    let texts = |index: usize| texts(&arguments[index], given);
    match function.tag.to_string().as_str() {
        "!And" => arguments.iter().all(|one| holds(one, given)),
        "!Or" => arguments.iter().any(|one| holds(one, given)),
        "!Not" => !holds(&arguments[0], given),
        "!Equals" => texts(0) == texts(1),
        "!Contains" => texts(1).iter().all(|one| texts(0).contains(one)),
        other => panic!("{other} in a rule"),
    }
}

/// Returns the strings in a string, a list or a reference.
fn texts(value: &Yaml, given: &[(&str, &str)]) -> Vec<String> {
    match value {
        Yaml::Sequence(list) => list.iter().flat_map(|one| texts(one, given)).collect(),
        Yaml::Tagged(reference) => {
            assert_eq!(reference.tag, "!Ref", "{value:?}");
            let name = reference.value.as_str().unwrap();
            let value = self::value(name, given);
            if TEMPLATE["Parameters"][name]["Type"] == "CommaDelimitedList" {
                value.split(',').map(|one| one.trim().to_owned()).collect()
            } else {
                vec![value]
            }
        }
        other => vec![text(other)],
    }
}

/// Returns a function's environment variable in a deployment that uses the store at `dynamodb`.
fn variable(function: &Function, name: &str, dynamodb: &str, secret: &str) -> Option<String> {
    let value = function.environment.get(name)?.clone();
    Some(match name {
        "PARALLEL_CHATS" | "LOGIN_FAILURES_PER_ADDRESS" | "REGISTRATIONS_PER_ADDRESS" => value,
        // The tests have no Secrets Manager, so give the function an API key instead of a secret's
        // ARN.
        "OPENAI_API_KEY" | "OPENAI2_API_KEY" | "ANTHROPIC_API_KEY" if !value.is_empty() => {
            "a key".to_owned()
        }
        // Replace the providers' addresses with an address where no server listens, so that no test
        // connects to OpenAI, Anthropic or AWS.
        "OPENAI_BASE_URL" if value.contains("openai.com") => "http://127.0.0.1:9/v1".to_owned(),
        "ANTHROPIC_BASE_URL" if value.contains("anthropic.com") => "http://127.0.0.1:9".to_owned(),
        "BEDROCK_ENDPOINT" => "http://127.0.0.1:9".to_owned(),
        name => environment_of(function, name, dynamodb, secret)?,
    })
}

/// Starts a function as its binary does.
async fn start(function: &str, settings: &Settings<'_>) -> Result<(), ConfigError> {
    LogConfig::read(settings)?;
    let clock = Clock::default();
    match function {
        "mail" => MailApp::connect(settings, clock).await.map(drop),
        "payments_check" => PaymentsApp::connect(settings, clock).await.map(drop),
        name if background::FUNCTIONS.iter().any(|each| each.name == name) => {
            App::connect(settings, clock).await.map(drop)
        }
        name => {
            let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.name == name);
            let endpoint = endpoint.unwrap_or_else(|| panic!("no endpoint {name}"));
            endpoint.start(settings, clock).await.map(drop)
        }
    }
}

/// Returns the functions that read a setting.
fn readers(variable: &str) -> BTreeSet<&'static str> {
    let reads = |name: &str, own: &[Names]| {
        if LogConfig::SETTINGS.contains(&variable) {
            true
        } else if EdgeConfig::SETTINGS.contains(&variable) {
            ENDPOINTS.iter().any(|endpoint| endpoint.name == name)
        } else if Config::SETTINGS.contains(&variable) {
            // Of the pages' functions, only `brand` uses the store.
            name == "brand" || pages::ENDPOINTS.iter().all(|page| page.name != name)
        } else {
            own.concat().contains(&variable)
        }
    };
    let endpoints = ENDPOINTS.iter().map(|endpoint| (endpoint.name, endpoint.settings));
    let background = background::FUNCTIONS.iter().map(|each| (each.name, each.settings));
    let readers = endpoints.chain(background).filter(|(name, own)| reads(name, own));
    readers.map(|(name, _)| name).collect()
}

/// Returns the functions that don't start in a deployment with these parameters, with their errors.
async fn stopped(api: &Api, given: &Parameters) -> BTreeMap<String, String> {
    let secret = api.signing_secret();
    let mut stopped = BTreeMap::new();
    for function in &Template::with_parameters(given).unwrap().functions {
        let settings = Settings::new(|name| variable(function, name, &api.dynamodb, &secret));
        if let Err(error) = start(&function.name, &settings).await {
            stopped.insert(function.name.clone(), error.to_string());
        }
    }
    stopped
}

#[tokio::test]
async fn every_function_starts_in_every_documented_deployment() {
    let api = Api::own(&[]).await;
    for given in DOCUMENTED {
        assert_eq!(refused(given), Vec::<String>::new(), "{given:?}");
        assert_eq!(stopped(&api, given).await, BTreeMap::new(), "{given:?}");
    }
}

#[tokio::test]
async fn invalid_parameters_are_refused_before_a_deployment() {
    let api = Api::own(&[]).await;
    for Mistake { given, refused, says } in MISTAKES {
        assert_eq!(self::refused(given), [*refused], "{given:?}");
        let stopped = stopped(&api, given).await;
        let names: BTreeSet<&str> = stopped.keys().map(String::as_str).collect();
        let variable = says.split([' ', ':']).next().unwrap();
        assert_eq!(names, readers(variable), "{given:?}: {stopped:?}");
        for (function, sentence) in stopped {
            assert!(sentence.starts_with(says), "{function}: {sentence}");
        }
    }
}

#[tokio::test]
async fn functions_have_only_common_variables_and_those_they_read() {
    let api = Api::own(&[]).await;
    let secret = api.signing_secret();
    let every_provider: &Parameters = &[
        ("AiProvider", "openai,openai2,anthropic,bedrock"),
        ("OpenAiModel", "gpt-4o-mini"),
        ("OpenAi2Model", "llama3.2"),
        ("OpenAi2BaseUrl", "http://127.0.0.1:9/v1"),
        ("AnthropicModel", "claude-sonnet-5-5"),
        ("BedrockModel", "nova"),
    ];
    let common = &TEMPLATE["Globals"]["Function"]["Environment"]["Variables"];
    for function in &Template::with_parameters(every_provider).unwrap().functions {
        let read = Mutex::new(BTreeSet::new());
        let settings = Settings::new(|name| {
            read.lock().unwrap().insert(name.to_owned());
            variable(function, name, &api.dynamodb, &secret)
        });
        start(&function.name, &settings).await.unwrap();
        drop(settings);
        let mut read = read.into_inner().unwrap();
        // SAM CLI sets `AWS_SAM_LOCAL`.
        read.remove("AWS_SAM_LOCAL");
        let (all, own): (BTreeSet<String>, BTreeSet<String>) = (
            function.environment.keys().cloned().collect(),
            function
                .environment
                .keys()
                .filter(|name| common[name.as_str()].is_null())
                .cloned()
                .collect(),
        );
        assert!(read.is_subset(&all), "{} lacks {:?}", function.name, &read - &all);
        assert!(own.is_subset(&read), "{} does not read {:?}", function.name, &own - &read);
    }
}

/// The size limit of a function's environment as JSON, in bytes.
const ENVIRONMENT: usize = 4096;

/// How many bytes every environment must leave free for later settings.
const FREE: usize = 130;

#[test]
fn the_longest_parameters_fit_into_a_functions_environment() {
    let parameters = TEMPLATE["Parameters"].as_mapping().unwrap();
    let longest = parameters.iter().map(|(name, parameter)| {
        let (name, default) = (name.as_str().unwrap(), text(&parameter["Default"]));
        let longest = match (parameter["MaxLength"].as_u64(), &parameter["MaxValue"]) {
            _ if name == "AiProvider" => "openai,openai2,anthropic,bedrock,echo".to_owned(),
            (Some(most), _) => "x".repeat(usize::try_from(most).unwrap()),
            (None, Yaml::Null) => default,
            (None, most) => text(most),
        };
        (name, longest)
    });
    let longest: Vec<(&str, String)> = longest.collect();
    let given: Vec<(&str, &str)> =
        longest.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for function in Template::with_parameters(&given).unwrap().functions {
        let made = |(name, value): (&String, &String)| {
            let value = match name.as_str() {
                // A table's full name contains the stack's name, which is at most 64 characters
                // long.
                _ if name.ends_with("_TABLE") => "x".repeat(64 + value.len() + 15),
                "SIGNING_SECRET" => "x".repeat(160),
                "METRICS_NAMESPACE" => "x".repeat(64),
                _ => value.clone(),
            };
            (name.clone(), value)
        };
        let environment: BTreeMap<String, String> = function.environment.iter().map(made).collect();
        let bytes = serde_json::to_string(&environment).unwrap().len();
        assert!(bytes + FREE <= ENVIRONMENT, "{}: {bytes} bytes", function.name);
    }
    for (name, bytes) in [("AiSystemPrompt", 480), ("TopUpText", 120)] {
        let accepts = |text: &str| accepts(&TEMPLATE["Parameters"][name], text);
        assert!(accepts(&"x".repeat(bytes)) && accepts(&"\u{20ac}".repeat(bytes / 4)), "{name}");
        let more = ["x".repeat(bytes + 1), "\u{20ac}".repeat(bytes / 4 + 1)];
        assert!(!more.iter().any(|text| accepts(text)), "{name}: more bytes than were counted");
    }
}
