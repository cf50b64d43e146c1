//! The AI's settings: its providers, and the parameters of every request to them.

use std::time::Duration;

use super::setting::Text;
use super::{ConfigError, Names, Settings, rows};
use crate::Credits;
use crate::config::Secret;

/// How often a function checks whether the user has stopped its chat.
pub const STOP_PACE: Duration = Duration::from_secs(1);

/// The maximum time between two events of a stream. Proxies cut off streams that are silent for a
/// minute.
const SILENCE: Duration = Duration::from_secs(10);

/// The settings for the functions that call the AI.
#[derive(Clone, Debug)]
pub struct AiConfig {
    /// `AI_PROVIDER`: the providers, in order. If a provider fails, the next one is called.
    pub providers: Vec<AiProvider>,
    /// `AI_SYSTEM_PROMPT`: the system prompt for models that don't have one in the price list.
    pub system_prompt: Option<String>,
    /// `AI_TEMPERATURE`: the temperature, from 0 to 2, or `None` for the provider's default.
    pub temperature: Option<f64>,
    /// `AI_MAX_TOKENS`: the maximum number of model tokens in an answer.
    pub max_tokens: u32,
    /// `AI_TIMEOUT_SECONDS`: the time limit across all providers.
    pub timeout: Duration,
    /// `ANSWER_LIMIT`: the maximum size of an answer, in bytes. A longer answer counts as a
    /// failure.
    pub answer_limit: usize,
    /// `PROMPT_LIMIT`: the maximum size of a prompt under `/v1` with its functions and schemas, in
    /// bytes.
    pub prompt_limit: usize,
    /// `PRICED_BYTES`: how many bytes of a prompt under `/v1` the price of one chat covers. A
    /// longer prompt costs that price for each block of this size, rounded up.
    pub priced_bytes: usize,
    /// `LOW_BALANCE`: users get an e-mail when a chat reduces their balance below this value. 0
    /// turns these e-mails off.
    pub low_balance: Credits,
    /// `CONTEXT_CHATS`: how many of the conversation's earlier chats a prompt may include.
    pub context_chats: usize,
    /// `CONTEXT_BYTES`: the maximum total size of the earlier chats in a prompt, in bytes.
    pub context_bytes: usize,
    /// How often a function checks whether its chat was stopped: [`STOP_PACE`]. It can't be changed
    /// by a setting.
    pub stop_pace: Duration,
    /// The maximum time between two events of a stream. It can't be changed by a setting.
    pub silence: Duration,
}

/// An AI provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AiProvider {
    /// `echo`: answers offline with a copy of the message.
    Echo,
    /// `openai` and `openai2`: a server that implements OpenAI's chat completions.
    OpenAi(AiServer),
    /// `anthropic`: Anthropic, or another server that implements its Messages API.
    Anthropic(AiServer),
    /// `bedrock`: Amazon Bedrock in the function's region.
    Bedrock {
        /// `BEDROCK_MODEL`: the id of a model or an inference profile.
        model: String,
        /// `BEDROCK_ENDPOINT`: Bedrock's URL, or `None` for the AWS endpoint.
        endpoint: Option<String>,
    },
    /// `scripted`: for tests. A command in the message can make it fail, hang, or return an answer
    /// that is too long.
    Scripted,
}

impl AiProvider {
    /// Returns the provider's name in `AI_PROVIDER`.
    pub fn name(&self) -> &str {
        match self {
            Self::Echo => "echo",
            Self::OpenAi(server) | Self::Anthropic(server) => &server.name,
            Self::Bedrock { .. } => "bedrock",
            Self::Scripted => "scripted",
        }
    }

    /// Returns the model's name.
    pub fn model(&self) -> &str {
        match self {
            Self::Echo => "echo",
            Self::OpenAi(server) | Self::Anthropic(server) => &server.model,
            Self::Bedrock { model, .. } => model,
            Self::Scripted => "scripted",
        }
    }
}

/// A server with an HTTP API, configured by the `OPENAI_..`, `OPENAI2_..` or `ANTHROPIC_..`
/// settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiServer {
    /// The server's name in `AI_PROVIDER`: `openai`, `openai2` or `anthropic`.
    pub name: String,
    /// `.._BASE_URL`, without a trailing slash.
    pub url: String,
    /// `.._API_KEY`. `None` if the server doesn't require an API key.
    pub key: Option<Secret>,
    /// `.._MODEL`: the model's name.
    pub model: String,
}

impl AiConfig {
    /// The names of the settings.
    pub const SETTINGS: Names = &[
        rows::AI_PROVIDER.name,
        rows::AI_SYSTEM_PROMPT.name,
        rows::AI_TEMPERATURE.name,
        rows::AI_MAX_TOKENS.name,
        rows::AI_TIMEOUT_SECONDS.name,
        rows::ANSWER_LIMIT.name,
        rows::PROMPT_LIMIT.name,
        rows::PRICED_BYTES.name,
        rows::LOW_BALANCE.name,
        rows::CONTEXT_CHATS.name,
        rows::CONTEXT_BYTES.name,
        rows::OPENAI_BASE_URL.name,
        rows::OPENAI_MODEL.name,
        rows::OPENAI_API_KEY.name,
        rows::OPENAI2_BASE_URL.name,
        rows::OPENAI2_MODEL.name,
        rows::OPENAI2_API_KEY.name,
        rows::ANTHROPIC_BASE_URL.name,
        rows::ANTHROPIC_MODEL.name,
        rows::ANTHROPIC_API_KEY.name,
        rows::BEDROCK_MODEL.name,
        rows::BEDROCK_ENDPOINT.name,
    ];

    /// The names of the settings that [`Self::models`] reads.
    pub const MODELS: Names = &[
        rows::AI_PROVIDER.name,
        rows::OPENAI_MODEL.name,
        rows::OPENAI2_MODEL.name,
        rows::ANTHROPIC_MODEL.name,
        rows::BEDROCK_MODEL.name,
    ];

    /// The names of the settings that [`Self::longest_answer`] and [`Self::chosen_prompt_limit`]
    /// read.
    pub const LIMITS: Names = &[rows::AI_MAX_TOKENS.name, rows::PROMPT_LIMIT.name];

    /// Reads the AI's settings.
    ///
    /// # Errors
    /// Returns an error for the first missing or invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            providers: settings.ai_providers()?,
            system_prompt: settings.optional(rows::AI_SYSTEM_PROMPT),
            temperature: settings.fraction(rows::AI_TEMPERATURE, 2.0)?,
            max_tokens: settings.number(rows::AI_MAX_TOKENS)?,
            timeout: settings.seconds(rows::AI_TIMEOUT_SECONDS)?,
            answer_limit: settings.number(rows::ANSWER_LIMIT)?,
            prompt_limit: settings.number(rows::PROMPT_LIMIT)?,
            priced_bytes: settings.number(rows::PRICED_BYTES)?,
            low_balance: settings.credits(rows::LOW_BALANCE)?,
            context_chats: settings.number(rows::CONTEXT_CHATS)?,
            context_bytes: settings.number(rows::CONTEXT_BYTES)?,
            stop_pace: STOP_PACE,
            silence: SILENCE,
        })
    }

    /// Returns the names of the providers' models, in the order in which the providers are called.
    /// This function is for endpoints that don't call providers.
    ///
    /// # Errors
    /// Returns an error for the first missing or invalid setting.
    pub fn models(settings: &Settings<'_>) -> Result<Vec<String>, ConfigError> {
        settings.ai_models()
    }

    /// Returns `AI_MAX_TOKENS`, for endpoints that don't call providers.
    ///
    /// # Errors
    /// Returns an error if the setting is invalid.
    pub fn longest_answer(settings: &Settings<'_>) -> Result<u32, ConfigError> {
        settings.number(rows::AI_MAX_TOKENS)
    }

    /// Returns the maximum size of a prompt in bytes, for endpoints that don't call providers.
    /// Returns `None` if the limit is the default, which doesn't depend on the models.
    ///
    /// # Errors
    /// Returns an error if the setting is invalid.
    pub fn chosen_prompt_limit(settings: &Settings<'_>) -> Result<Option<usize>, ConfigError> {
        let limit = settings.number(rows::PROMPT_LIMIT)?;
        let default = usize::try_from(rows::PROMPT_LIMIT.default).ok();
        Ok(Some(limit).filter(|limit| Some(*limit) != default))
    }
}

/// The settings for endpoints that don't call providers, but compute the highest possible price of
/// a message.
#[derive(Clone, Debug)]
pub struct CatalogConfig {
    /// The names of the providers' models, in the order in which the providers are called.
    pub models: Vec<String>,
    /// `AI_SYSTEM_PROMPT`, as in [`AiConfig`].
    pub system_prompt: Option<String>,
    /// `AI_MAX_TOKENS`.
    pub max_tokens: u32,
    /// `CONTEXT_CHATS`.
    pub context_chats: usize,
    /// `CONTEXT_BYTES`.
    pub context_bytes: usize,
    /// `PRICED_BYTES`.
    pub priced_bytes: usize,
}

impl CatalogConfig {
    /// The names of the settings, in addition to [`AiConfig::MODELS`].
    pub const SETTINGS: Names = &[
        rows::AI_SYSTEM_PROMPT.name,
        rows::AI_MAX_TOKENS.name,
        rows::CONTEXT_CHATS.name,
        rows::CONTEXT_BYTES.name,
        rows::PRICED_BYTES.name,
    ];

    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error for the first missing or invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            priced_bytes: settings.number(rows::PRICED_BYTES)?,
            models: settings.ai_models()?,
            system_prompt: settings.optional(rows::AI_SYSTEM_PROMPT),
            max_tokens: settings.number(rows::AI_MAX_TOKENS)?,
            context_chats: settings.number(rows::CONTEXT_CHATS)?,
            context_bytes: settings.number(rows::CONTEXT_BYTES)?,
        })
    }
}

impl Settings<'_> {
    fn ai_providers(&self) -> Result<Vec<AiProvider>, ConfigError> {
        let names = self.text(rows::AI_PROVIDER);
        names.split(',').map(str::trim).map(|provider| self.ai_provider(provider)).collect()
    }

    /// Reads the providers' models, but not their other settings.
    fn ai_models(&self) -> Result<Vec<String>, ConfigError> {
        let names = self.text(rows::AI_PROVIDER);
        names.split(',').map(str::trim).map(|provider| self.ai_model(provider)).collect()
    }

    fn ai_model(&self, provider: &str) -> Result<String, ConfigError> {
        match provider {
            "echo" | "scripted" => Ok(provider.to_owned()),
            "openai" => self.required(rows::OPENAI_MODEL),
            "openai2" => self.required(rows::OPENAI2_MODEL),
            "anthropic" => self.required(rows::ANTHROPIC_MODEL),
            "bedrock" => self.required(rows::BEDROCK_MODEL),
            other => Err(no_provider(other)),
        }
    }

    fn ai_provider(&self, provider: &str) -> Result<AiProvider, ConfigError> {
        match provider {
            "echo" => Ok(AiProvider::Echo),
            "scripted" => Ok(AiProvider::Scripted),
            "openai" => self
                .ai_server(
                    provider,
                    rows::OPENAI_BASE_URL,
                    rows::OPENAI_API_KEY,
                    rows::OPENAI_MODEL,
                )
                .map(AiProvider::OpenAi),
            // `openai2` doesn't have a default URL, because a key for a different server could then
            // be sent to OpenAI.
            "openai2" => self
                .ai_server(
                    provider,
                    rows::OPENAI2_BASE_URL,
                    rows::OPENAI2_API_KEY,
                    rows::OPENAI2_MODEL,
                )
                .map(AiProvider::OpenAi),
            "anthropic" => self
                .ai_server(
                    provider,
                    rows::ANTHROPIC_BASE_URL,
                    rows::ANTHROPIC_API_KEY,
                    rows::ANTHROPIC_MODEL,
                )
                .map(AiProvider::Anthropic),
            "bedrock" => Ok(AiProvider::Bedrock {
                model: self.required(rows::BEDROCK_MODEL)?,
                endpoint: self.url(rows::BEDROCK_ENDPOINT)?,
            }),
            other => Err(no_provider(other)),
        }
    }

    fn ai_server(
        &self,
        name: &str,
        url: Text,
        key: Text,
        model: Text,
    ) -> Result<AiServer, ConfigError> {
        let given = self.url(url)?;
        let url = given.ok_or_else(|| ConfigError(format!("{} must be set", url.name)))?;
        Ok(AiServer {
            name: name.to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            key: self.secret(key)?,
            model: self.required(model)?,
        })
    }
}

fn no_provider(other: &str) -> ConfigError {
    let name = rows::AI_PROVIDER.name;
    ConfigError(format!(
        "{name} must list echo, openai, openai2, anthropic and bedrock, separated by commas (got {other:?})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_omit_server_settings() {
        let settings = Settings::new(|name| {
            let value = match name {
                "AI_PROVIDER" => "bedrock, openai2,anthropic,echo",
                "BEDROCK_MODEL" => "nova",
                "OPENAI2_MODEL" => "llama",
                "ANTHROPIC_MODEL" => "claude",
                "AI_TEMPERATURE" => "warm",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let models = ["nova", "llama", "claude", "echo"].map(str::to_owned);
        assert_eq!(AiConfig::models(&settings), Ok(models.to_vec()));
        let openai = |name: &str| (name == "AI_PROVIDER").then(|| "openai".to_owned());
        let missing = AiConfig::models(&Settings::new(openai)).unwrap_err();
        assert_eq!(missing.0, "OPENAI_MODEL must be set");
    }
}
