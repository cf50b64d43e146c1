//! The settings of the AI: its providers, and the parameters of every request to them.

use std::time::Duration;

use super::{ConfigError, Settings};
use crate::Credits;
use crate::config::Secret;

/// The default of `PROMPT_LIMIT`.
const PROMPT_LIMIT: usize = 524_288;

/// How often a function checks whether the user has stopped its chat.
pub const STOP_PACE: Duration = Duration::from_secs(1);

/// The longest time for which a stream sends nothing. Proxies cut off streams that are silent for a
/// minute.
const SILENCE: Duration = Duration::from_secs(10);

/// The settings of the functions that ask the AI.
#[derive(Clone, Debug)]
pub struct AiConfig {
    /// `AI_PROVIDER`: the providers, in order. If a provider fails, the next one is asked.
    pub providers: Vec<AiProvider>,
    /// `AI_SYSTEM_PROMPT`: the system prompt of every conversation.
    pub system_prompt: Option<String>,
    /// `AI_TEMPERATURE`: the temperature, from 0 to 2. `None` for the provider's default.
    pub temperature: Option<f64>,
    /// `AI_MAX_TOKENS`: the maximum number of model tokens in an answer.
    pub max_tokens: u32,
    /// `AI_TIMEOUT_SECONDS`: the total time that all providers may take.
    pub timeout: Duration,
    /// `ANSWER_LIMIT`: the maximum size of an answer, in bytes. A longer answer counts as a
    /// failure.
    pub answer_limit: usize,
    /// `PROMPT_LIMIT`: the maximum size of a prompt under `/v1` with its functions and schemas, in
    /// bytes.
    pub prompt_limit: usize,
    /// `PRICED_BYTES`: the number of bytes in a prompt under `/v1` that the price of one chat pays
    /// for. A longer prompt costs the price once for each started block of this size.
    pub priced_bytes: usize,
    /// `LOW_BALANCE`: users get an e-mail when a chat leaves fewer credits than this. 0 turns these
    /// e-mails off.
    pub low_balance: Credits,
    /// `CONTEXT_CHATS`: the maximum number of earlier chats of the conversation in a prompt.
    pub context_chats: usize,
    /// `CONTEXT_BYTES`: the maximum total size of the earlier chats in a prompt, in bytes.
    pub context_bytes: usize,
    /// How often a function checks whether its chat was stopped: [`STOP_PACE`]. No setting changes
    /// it.
    pub stop_pace: Duration,
    /// The longest time for which a stream sends nothing. No setting changes it.
    pub silence: Duration,
}

/// A provider of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AiProvider {
    /// `echo`: answers offline with a copy of the message.
    Echo,
    /// `openai` and `openai2`: a server that implements OpenAI's chat completions.
    OpenAi(OpenAiServer),
    /// `bedrock`: Amazon Bedrock in the function's region.
    Bedrock {
        /// `BEDROCK_MODEL`: the id of a model or an inference profile.
        model: String,
        /// `BEDROCK_ENDPOINT`: the URL of Bedrock. `None` for the AWS endpoint.
        endpoint: Option<String>,
    },
    /// `scripted`: fails, hangs or answers too much if the message contains such a command. For
    /// tests.
    Scripted,
}

impl AiProvider {
    /// Returns the provider's name in `AI_PROVIDER`.
    pub fn name(&self) -> &str {
        match self {
            Self::Echo => "echo",
            Self::OpenAi(server) => &server.name,
            Self::Bedrock { .. } => "bedrock",
            Self::Scripted => "scripted",
        }
    }

    /// Returns the model's name.
    pub fn model(&self) -> &str {
        match self {
            Self::Echo => "echo",
            Self::OpenAi(server) => &server.model,
            Self::Bedrock { model, .. } => model,
            Self::Scripted => "scripted",
        }
    }
}

/// A server that implements OpenAI's chat completions, from the settings `OPENAI_..` or
/// `OPENAI2_..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAiServer {
    /// The server's name in `AI_PROVIDER`: `openai` or `openai2`.
    pub name: String,
    /// `.._BASE_URL`, without a trailing slash.
    pub url: String,
    /// `.._API_KEY`. `None` if the server requires no API key.
    pub key: Option<Secret>,
    /// `.._MODEL`: the model's name.
    pub model: String,
}

impl AiConfig {
    /// Reads the settings of the AI.
    ///
    /// # Errors
    /// Fails at the first setting that is missing or can't be used.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            providers: settings.ai_providers("AI_PROVIDER")?,
            system_prompt: settings.optional("AI_SYSTEM_PROMPT"),
            temperature: settings.fraction("AI_TEMPERATURE", 2.0)?,
            max_tokens: max_tokens(settings)?,
            timeout: settings.seconds("AI_TIMEOUT_SECONDS", 20, 1, 840)?,
            answer_limit: settings.number("ANSWER_LIMIT", 65_536, 1, 131_072)?,
            prompt_limit: prompt_limit(settings)?,
            priced_bytes: settings.number("PRICED_BYTES", 65_536, 1024, 4_194_304)?,
            low_balance: settings.credits("LOW_BALANCE", 0, 0)?,
            context_chats: context_chats(settings)?,
            context_bytes: context_bytes(settings)?,
            stop_pace: STOP_PACE,
            silence: SILENCE,
        })
    }

    /// Returns the names of the providers' models, in the order in which the providers are asked.
    /// Only endpoints that ask no provider need this function.
    ///
    /// # Errors
    /// Fails at the first setting that is missing or can't be used.
    pub fn models(settings: &Settings<'_>) -> Result<Vec<String>, ConfigError> {
        settings.ai_models("AI_PROVIDER")
    }

    /// Returns `AI_MAX_TOKENS`, for endpoints that ask no provider.
    ///
    /// # Errors
    /// Fails if the setting can't be used.
    pub fn longest_answer(settings: &Settings<'_>) -> Result<u32, ConfigError> {
        max_tokens(settings)
    }

    /// Returns the maximum size of a prompt in bytes, for endpoints that ask no provider. `None` if
    /// the setting has its default, which doesn't depend on the models.
    ///
    /// # Errors
    /// Fails if the setting can't be used.
    pub fn chosen_prompt_limit(settings: &Settings<'_>) -> Result<Option<usize>, ConfigError> {
        let limit = prompt_limit(settings)?;
        Ok(Some(limit).filter(|limit| *limit != PROMPT_LIMIT))
    }
}

/// The settings by which endpoints that ask no provider say what a message can cost.
#[derive(Clone, Debug)]
pub struct CatalogConfig {
    /// The names of the providers' models, in the order in which the providers are asked.
    pub models: Vec<String>,
    /// `AI_SYSTEM_PROMPT`.
    pub system_prompt: Option<String>,
    /// `AI_MAX_TOKENS`.
    pub max_tokens: u32,
    /// `CONTEXT_CHATS`.
    pub context_chats: usize,
    /// `CONTEXT_BYTES`.
    pub context_bytes: usize,
}

impl CatalogConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// Fails at the first setting that is missing or can't be used.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            models: settings.ai_models("AI_PROVIDER")?,
            system_prompt: settings.optional("AI_SYSTEM_PROMPT"),
            max_tokens: max_tokens(settings)?,
            context_chats: context_chats(settings)?,
            context_bytes: context_bytes(settings)?,
        })
    }
}

fn max_tokens(settings: &Settings<'_>) -> Result<u32, ConfigError> {
    settings.number("AI_MAX_TOKENS", 1024, 1, 65_536)
}

fn context_chats(settings: &Settings<'_>) -> Result<usize, ConfigError> {
    settings.number("CONTEXT_CHATS", 20, 0, 50)
}

fn context_bytes(settings: &Settings<'_>) -> Result<usize, ConfigError> {
    settings.number("CONTEXT_BYTES", 32_768, 0, 1_048_576)
}

fn prompt_limit(settings: &Settings<'_>) -> Result<usize, ConfigError> {
    settings.number("PROMPT_LIMIT", PROMPT_LIMIT, 1024, 4_194_304)
}

impl Settings<'_> {
    fn ai_providers(&self, name: &str) -> Result<Vec<AiProvider>, ConfigError> {
        let names = self.text(name, "echo");
        names.split(',').map(str::trim).map(|provider| self.ai_provider(name, provider)).collect()
    }

    /// Reads the models of the providers in the setting `name`, but not their other settings.
    fn ai_models(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        let names = self.text(name, "echo");
        names.split(',').map(str::trim).map(|provider| self.ai_model(name, provider)).collect()
    }

    fn ai_model(&self, name: &str, provider: &str) -> Result<String, ConfigError> {
        match provider {
            "echo" | "scripted" => Ok(provider.to_owned()),
            "openai" => self.required("OPENAI_MODEL"),
            "openai2" => self.required("OPENAI2_MODEL"),
            "bedrock" => self.required("BEDROCK_MODEL"),
            other => Err(no_provider(name, other)),
        }
    }

    fn ai_provider(&self, name: &str, provider: &str) -> Result<AiProvider, ConfigError> {
        match provider {
            "echo" => Ok(AiProvider::Echo),
            "scripted" => Ok(AiProvider::Scripted),
            "openai" => {
                self.openai("OPENAI", Some("https://api.openai.com/v1")).map(AiProvider::OpenAi)
            }
            // `openai2` has no default URL: otherwise another server's API key could be sent to
            // OpenAI.
            "openai2" => self.openai("OPENAI2", None).map(AiProvider::OpenAi),
            "bedrock" => Ok(AiProvider::Bedrock {
                model: self.required("BEDROCK_MODEL")?,
                endpoint: self.url("BEDROCK_ENDPOINT")?,
            }),
            other => Err(no_provider(name, other)),
        }
    }

    fn openai(&self, prefix: &str, usual: Option<&str>) -> Result<OpenAiServer, ConfigError> {
        let name = format!("{prefix}_BASE_URL");
        let url = self
            .url(&name)?
            .or(usual.map(str::to_owned))
            .ok_or_else(|| ConfigError(format!("{name} must be set")))?;
        Ok(OpenAiServer {
            name: prefix.to_ascii_lowercase(),
            url: url.trim_end_matches('/').to_owned(),
            key: self.secret(&format!("{prefix}_API_KEY"))?,
            model: self.required(&format!("{prefix}_MODEL"))?,
        })
    }
}

fn no_provider(name: &str, other: &str) -> ConfigError {
    ConfigError(format!(
        "{name} must list echo, openai, openai2 and bedrock, separated by commas (got {other:?})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_omit_server_settings() {
        let settings = Settings::new(|name| {
            let value = match name {
                "AI_PROVIDER" => "bedrock, openai2,echo",
                "BEDROCK_MODEL" => "nova",
                "OPENAI2_MODEL" => "llama",
                "AI_TEMPERATURE" => "warm",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let models = ["nova", "llama", "echo"].map(str::to_owned);
        assert_eq!(AiConfig::models(&settings), Ok(models.to_vec()));
        let openai = |name: &str| (name == "AI_PROVIDER").then(|| "openai".to_owned());
        let missing = AiConfig::models(&Settings::new(openai)).unwrap_err();
        assert_eq!(missing.0, "OPENAI_MODEL must be set");
    }
}
