//! The cache breakpoints of a request, in the form of Anthropic's API. Clients of OpenAI's API send
//! the same form to gateways.

use serde::Deserialize;
use shared::values::CacheTtl;
use utoipa::ToSchema;

/// Asks the provider to cache the prompt up to the end of this block. Passed on to providers that
/// have such caches. Doesn't change the answer.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicCacheControl)]
pub(crate) struct CacheControl {
    /// Always `ephemeral`.
    #[serde(rename = "type")]
    #[schema(examples("ephemeral"))]
    kind: Option<String>,
    /// How long the provider keeps the prompt: `5m` or `1h`. The default is `5m`.
    #[schema(examples("5m"))]
    ttl: Option<String>,
}

impl CacheControl {
    /// Returns how long the provider keeps the prompt. `None` for unknown kinds.
    pub(crate) fn ttl(self) -> Option<CacheTtl> {
        let ttl = match self.ttl.as_deref() {
            Some("1h") => CacheTtl::OneHour,
            _ => CacheTtl::FiveMinutes,
        };
        (self.kind.as_deref() == Some("ephemeral")).then_some(ttl)
    }
}
