//! The table of all settings. A row contains a setting's name, type, range and default, its
//! parameter on AWS, and its description in the documents. A row that begins with `=>` describes a
//! parameter that only the template uses.
//!
//! `cargo xtask generate` uses these rows to write the parameters and their groups in
//! `template.yaml`, each function's environment, and the tables in docs/operate/configuration.md.

use tracing::Level;

use super::choices::{ChatAccess, EmptyBalance, Sharing, StripeMode, UnknownModels, Unsupported};
use super::setting::{
    Choice, Group, Number, Setting, Text, as_by_default, by_reply, expression, fixed, local_only,
    parameter,
};

/// A URL without a query.
const URL: &str = "(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/%-]*)?)?";
const A_URL: &str = "a URL that begins with https:// or http://, without a query";

/// The ARN of a secret in Secrets Manager.
const SECRET_ARN: &str =
    "(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6})?";
const A_SECRET_ARN: &str =
    "the complete ARN of a Secrets Manager secret, including the six characters at its end";

/// The ARN of a table in DynamoDB.
const TABLE_ARN: &str = "(arn:[a-z-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255})?";

settings! {
    "The address of the API" {
        =>
            parameter("StageName", "The stage, the first segment of every path under AWS's host \
                name")
            .pattern("[a-z0-9]+")
            .default("live")
            .docs("the stage: the first segment of every path under AWS's host name");

        =>
            parameter("DomainName", "A domain of your own, such as api.example.com; empty for none")
            .longest(253)
            .pattern(r"(([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?)?")
            .must_be("a host name in lower case, such as api.example.com")
            .docs("a domain of your own");

        =>
            parameter("CertificateArn", "The ACM certificate of that domain, in this region")
            .pattern("(arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+)?")
            .must_be("the ARN of an ACM certificate")
            .docs("the domain's ACM certificate, in the same region");

        =>
            parameter("ExecuteApi", "Whether the API also answers under AWS's host name \
                (execute-api), in addition to a domain")
            .one_of(&["open", "closed"])
            .default("open")
            .docs("`closed`: the API answers only under the domain, not under AWS's host name");
    }
    "Functions and deployments" {
        =>
            parameter("Architecture", "The processor architecture of the functions")
            .one_of(&["arm64", "x86_64"])
            .default("arm64")
            .docs("the processor of the functions: `arm64` or `x86_64`");

        =>
            parameter("DeploymentPreference", "How requests to functions with an alias move to a \
                new version")
            .one_of(&[
                "AllAtOnce",
                "Canary10Percent5Minutes",
                "Canary10Percent15Minutes",
                "Linear10PercentEvery1Minute",
            ])
            .default("Canary10Percent5Minutes")
            .docs("how requests move to a function's new version: with a \
                [canary](release.md#canary), or all at the same time (`AllAtOnce`)");

        =>
            parameter("AskConcurrency", "The reserved concurrency of each function that calls \
                the AI for the pages; 0 for none")
            .range(0, Some(10_000))
            .default_number(0)
            .docs("how many [instances](capacity.md#capacity) are reserved for each function that \
                calls the AI for the pages: for messages, streamed messages and titles. This \
                number is also the function's limit. 0: no reservation and no limit");

        =>
            parameter("ProgramConcurrency", "The reserved concurrency of each function under /v1 \
                that calls the AI; 0 for none")
            .range(0, Some(10_000))
            .default_number(0)
            .docs("how many instances are reserved for each function under `/v1` that calls the \
                AI for a program. This number is also the function's limit. 0: no reservation and \
                no limit");

        =>
            parameter("HashConcurrency", "The reserved concurrency of each function that hashes \
                users' passwords; 0 for none")
            .range(0, Some(1000))
            .default_number(0)
            .docs("how many instances are reserved for each function that hashes users' passwords. \
                This number is also the function's limit. 0: no reservation and no limit");
    }
    "Accounts and sessions" {
        FIRST_GRANT: Number = Number::new(4000, 0, 1_000_000) =>
            parameter("FirstGrant", "The balance of a new account, in tokens")
            .docs("the tokens that a new account gets, from 0 to 1,000,000");

        ACCESS_TOKEN_SECONDS: Number = Number::new(3600, 60, 86_400) =>
            parameter("AccessTokenSeconds", "How long an access token is valid")
            .docs("the lifetime of an access token");

        SESSION_SECONDS: Number = Number::new(2_592_000, 3600, 31_622_400) =>
            parameter("SessionSeconds", "How long a session is valid, with its refresh tokens")
            .docs("the lifetime of a session, its refresh tokens and `token`");

        LOGIN_ATTEMPTS: Number = Number::new(100, 3, 100) =>
            parameter("LoginAttempts", "How many wrong passwords per day an account accepts from \
                unknown clients")
            .docs("how many wrong passwords a day are accepted before further log-ins from unknown \
                clients, and further confirmations of the current password, are refused. [The \
                limits](../internals/security.md#limits) explain how this number is divided, and \
                what known clients may do");

        LOGIN_FAILURES_PER_ADDRESS: Number = Number::new(100, 0, 1000) =>
            parameter("LoginFailuresPerAddress", "How many log-ins from one source address may \
                fail per hour; 0 for no limit")
            .docs("how many log-ins from one IP address may fail per hour. 0 means no limit, as in \
                `cargo run`");

        REGISTRATIONS_PER_ADDRESS: Number = Number::new(20, 0, 10_000) =>
            parameter("RegistrationsPerAddress", "How many accounts one source address may create \
                per hour; 0 for no limit")
            .docs("how many accounts one IP address may create per hour. 0 means no limit, as in \
                `cargo run`");

        ADMIN_CHATS: Choice<ChatAccess> = Choice::new(
            "read",
            &["off", "read", "search"],
            &[ChatAccess::Off, ChatAccess::Read, ChatAccess::Search],
        ) =>
            parameter("AdminChats", "What administrators may do with users' messages: nothing, \
                list and export them, or search them too")
            .docs("what administrators may do with users' messages: search, read and export them \
                (`search`), only read and export them (`read`), or nothing (`off`). With `off`, \
                the statements that administrators read don't show the beginnings of messages. \
                [Readings](accounts.md#the-audit-log) are in the audit log");

        SHARING: Choice<Sharing> = Choice::new(
            "off",
            &["off", "on"],
            &[Sharing::Off, Sharing::On],
        ) =>
            parameter("Sharing", "Whether users may share a copy of a chat with everybody who \
                knows its link: on or off")
            .docs("`on`: users can [share a copy of a chat](accounts.md#shared-chats) with \
                everybody who knows its link, and administrators get the readers' reports. `off`: \
                chats can't be shared, and shared chats can't be read or reported \
                (`sharing_off`), but can still be listed and ended");

        CLIENT_STATUSES: Text = Text::new("") =>
            parameter("ClientStatuses", "Other statuses that old clients expect, such as \
                message=201,balance=403,login=400; empty for 200, 402 and 401")
            .pattern("^$|^(message=20[01]|balance=40[023]|login=40[01])(,(message=20[01]|balance=40[023]|login=40[01]))*$")
            .must_be("must list message=200 or 201, balance=400, 402 or 403, and login=400 or 401, \
                separated by commas")
            .docs("other statuses that [old clients](move-from-django.md#what-clients-notice) \
                expect from `/api/chat/`, `/api/chat_msg/`, `/api/login/` and `/api/token/`, \
                separated by commas: `message=201` for a message and its answer (200), \
                `balance=400` or `balance=403` for a message that costs more than the balance \
                (402), `login=400` for refused credentials (401)");

        SIGNING_SECRET: Text = Text::new("") =>
            expression("!Ref SigningSecret")
            .shown("made by the template")
            .docs("the secret from which the signing key is derived: the ARN of a Secrets Manager \
                secret, the URL of a file (`file:///path`), or the secret itself");

        TOKEN_ISSUER: Text = Text::new("farebox") =>
            as_by_default()
            .docs("the `iss` and `aud` claims of every JWT");
    }
    "Messages and their price" {
        CHAT_PRICE: Number = Number::new(100, 1, 1_000_000) =>
            parameter("ChatPrice", "The price of a message, in tokens")
            .docs("the price of a message and its answer, in tokens, if there is no [price \
                list](prices.md)");

        PRICED_BYTES: Number = Number::new(65_536, 1024, 4_194_304) =>
            parameter("PricedBytes", "How many bytes of a prompt under /v1 the price of one \
                message covers")
            .docs("how many bytes of a prompt on `/v1` are included in one `CHAT_PRICE`, or in one \
                flat fare from a price list. Each additional block of this size, even if \
                incomplete, costs as much again. For the price, a picture counts as 16 KB. On \
                other endpoints the price doesn't depend on the prompt's length. A model that is \
                [charged by usage](prices.md#what-a-message-costs) ignores this setting");

        ALLOWANCE: Text = Text::new("none") =>
            parameter("Allowance", "The number of tokens to which lower balances are topped up in \
                each period")
            .longest(33)
            .pattern("(none|([1-9][0-9]{0,5}|1000000)/(day|week|month))(,admin=(none|([1-9][0-9]{0,5}|1000000)/(day|week|month)))?")
            .must_be("none, or an allowance such as 1000/day, 5000/week or 1000/day,admin=none")
            .docs("the number of tokens to which a lower balance is topped up once per day, week \
                or month: for example `1000/day`, `5000/week` or `20000/month`, from 1 to \
                1,000,000 tokens. Administrators get the same allowance, unless the setting \
                specifies a different one for them: `1000/day,admin=none` or \
                `1000/day,admin=20000/month`. [More about allowances](sell.md#allowances)");

        LOW_BALANCE: Number = Number::new(0, 0, 1_000_000) =>
            parameter("LowBalance", "Users get an e-mail when a message leaves them with fewer \
                tokens than this; 0 for no e-mails")
            .docs("a user with a verified address gets [an \
                e-mail](sell.md#e-mails-about-a-low-balance) when a message leaves them with fewer \
                tokens than this number, which is at most 1,000,000. 0 means no e-mails. On AWS, \
                any other number requires `MailFrom`");

        TOP_UP_TEXT: Text = Text::new("") =>
            parameter("TopUpText", "How to get more tokens")
            .longest(120)
            .pattern(r"[ -~]*|[^\x00-\x1f\x7f-\x9f]{0,30}")
            .must_be("a line of at most 120 ASCII characters, or 30 characters of any script")
            .docs("a line that tells users how to get more tokens; on AWS at most 120 ASCII \
                characters, or 30 characters of any script. The pages show the text to users whose \
                tokens cover fewer than five answers");

        TOP_UP_URL: Text = Text::new("") =>
            parameter("TopUpUrl", "Where to get more tokens")
            .longest(100)
            .pattern(r"((https?://|mailto:)[!#-\[\]-~]*)?")
            .must_be("an address that begins with https://, http:// or mailto:")
            .docs("the link to a page where users can get more tokens. The link begins with \
                `https://`, `http://` or `mailto:`; on AWS it may contain at most 100 characters");

        CURRENCY: Text = Text::new("tokens") =>
            parameter("Currency", "What the pages call the tokens")
            .shortest(1)
            .longest(20)
            .pattern(r"[^\x00-\x1f!-@\[-`{-~\x7f-\xbf]+")
            .must_be("a plural noun")
            .docs("the plural noun that the pages use for the users' tokens, such as `credits`. \
                The price list specifies the currency of money");

        EMPTY_BALANCE_STATUS: Choice<EmptyBalance> = Choice::new(
            "402",
            &["402", "429"],
            &[EmptyBalance::PaymentRequired, EmptyBalance::TooManyRequests],
        ) =>
            parameter("EmptyBalanceStatus", "The status of a reply under /v1 if the balance is \
                too low; OpenAI's API uses 429")
            .docs("the status on `/v1` if the balance, or the [limit of the API \
                key](../use/api-tour.md#api-keys), is too low for a message. With 429, OpenAI's \
                own status, many agents [retry without saying \
                why](../use/clients.md#an-empty-balance)");

        UNKNOWN_MODELS: Choice<UnknownModels> = Choice::new(
            "default",
            &["default", "refuse"],
            &[UnknownModels::Default, UnknownModels::Refuse],
        ) =>
            parameter("UnknownModels", "What happens if a request under /v1 names a model that \
                isn't in the price list: the list's first model answers, or the request gets a 404")
            .docs("what happens on `/v1` if a request's `model` isn't in the price list \
                ([names](prices.md#names)): the list's first model that the API key may use \
                answers (`default`), or the request gets 404 `model_not_found` (`refuse`)");

        UNSUPPORTED: Choice<Unsupported> = Choice::new(
            "refuse",
            &["refuse", "ignore"],
            &[Unsupported::Refuse, Unsupported::Ignore],
        ) =>
            parameter("Unsupported", "Whether requests under /v1 are refused if the model's \
                provider lacks one of their parameters, such as seed, or the parameter is ignored")
            .docs("what happens on `/v1` to a parameter that changes the answer and that the \
                model's provider lacks ([which \
                provider has what](../use/clients.md#parameters)): the request is refused with a \
                400 that names the parameter (`refuse`), or the parameter is ignored (`ignore`)");

        MESSAGE_LIMIT: Number = Number::new(32_000, 1, 32_000) =>
            parameter("MessageLimit", "The maximum length of a message, in characters")
            .docs("the longest message in characters. On `/v1`, the history keeps this many \
                characters of a message");

        PROMPT_LIMIT: Number = Number::new(524_288, 1024, 4_194_304) =>
            parameter("PromptLimit", "The maximum size of a prompt under /v1, in bytes")
            .docs("the longest prompt on `/v1` in bytes, including functions, schemas and `stop` \
                texts; a picture adds 4 KB. In a price list, a model can have [a different \
                limit](prices.md#limits-by-model) (`prompt_limit`). If you change the default, \
                `/v1/models` shows the limit as `max_model_len`, in tokens of four bytes");

        PARALLEL_CHATS: Number = Number::new(64, 1, 64) =>
            parameter("ParallelChats", "How many messages of one account may wait for the AI at \
                once; each occupies an instance of a function")
            .default_number(8)
            .docs("how many messages of one account may wait for the AI at the same time, at most \
                64. With `cargo run`, the default is 64 messages");

        CHATS_PER_MINUTE: Number = Number::new(300, 1, 10_000) =>
            parameter("ChatsPerMinute", "How many messages per minute an account may send")
            .docs("how many messages one account may send per minute");

        // With a limit of 1, the refunds from more of the preceding minutes would have to be
        // checked. That would need more conditions than an expression can contain.
        REFUNDS_PER_MINUTE: Number = Number::new(20, 2, 10_000) =>
            parameter("RefundsPerMinute", "How many refunds per minute an account may get")
            .docs("how many failed messages of one account are refunded per minute, on average. \
                An account above this limit must wait before it can send messages");

        FREE_WORK: Number = Number::new(0, 0, 1_000_000) =>
            parameter("FreeWork", "How many tokens an account's failed and stopped messages may be \
                worth per day, even if the account has earned less; 0 means a hundred times \
                ChatPrice")
            .docs("the limit, in tokens, on the price of an account's [failed and stopped \
                messages](../internals/security.md#free-use-of-the-ai) per day (UTC). The limit \
                is the larger of this number and a quarter of the account's charges of today and \
                yesterday. 0 means a hundred times `CHAT_PRICE`, which is 10,000 tokens by \
                default. An account that was charged 60,000 tokens today and yesterday gets a \
                quarter of that, 15,000. If the prices of an account's messages exceed their \
                [holds](../internals/money.md#above-the-hold) by this number or more in a month, \
                its next messages are held at the highest possible price. If the fares of a price list are much higher, set the \
                price of a hundred messages");
    }
    "The AI" {
        AI_PROVIDER: Text = Text::new("echo") =>
            parameter("AiProvider", "The AI providers, separated by commas; if one fails, the next \
                one is called")
            .list()
            .pattern("echo|openai|openai2|anthropic|bedrock")
            .must_be("echo, openai, openai2, anthropic or bedrock, or several of them, separated \
                by commas")
            .docs("`echo`, `openai`, `openai2`, `anthropic` or `bedrock`, or several of them, \
                separated by commas. Without this setting, `cargo run` first looks for [a chat \
                model on the same machine](../use/local.md#the-ai)");

        AI_SYSTEM_PROMPT: Text = Text::new("") =>
            parameter("AiSystemPrompt", "A short system prompt; a longer one belongs in the price \
                list")
            .longest(480)
            .pattern(r"[ -~\n\r\t]*|[\s\S]{0,120}")
            .must_be("at most 480 ASCII characters, or 120 characters of any script")
            .docs("your instructions for the AI in every conversation, before [the user's \
                instructions](../internals/security.md#input), unless the price list sets [a \
                system prompt](prices.md#system-prompts) for the model; on AWS at most 480 ASCII \
                characters, or 120 characters of any script");

        AI_TEMPERATURE: Text = Text::new("") =>
            parameter("AiTemperature", "The AI's temperature, from 0 to 2; empty for the \
                provider's default")
            .longest(6)
            .pattern(r"([01](\.[0-9]+)?|2(\.0+)?)?")
            .shown("the provider's")
            .docs("the sampling temperature, 0 to 2");

        AI_MAX_TOKENS: Number = Number::new(1024, 1, 65_536) =>
            parameter("AiMaxTokens", "The maximum length of an answer, in the model's tokens")
            .docs("the longest answer, in model tokens. In a price list, a model can have a \
                different limit (`most`)");

        TITLE_MODEL: Text = Text::new("") =>
            parameter("TitleModel", "The model that writes the titles of chats; empty for titles \
                from their first messages")
            .longest(80)
            .pattern("[!-~]*")
            .must_be("a name without spaces")
            .docs("the model that [writes the titles](cost.md#titles) of chats: a model of the \
                price list, or otherwise a model of the first provider. You pay for it, so choose \
                a cheap one that answers without reasoning. Without this setting, a title is the \
                first line of the first message");

        TITLES_PER_DAY: Number = Number::new(50, 1, 1000) =>
            parameter("TitlesPerDay", "How many titles a model writes for one account per day")
            .docs("how many titles a model writes for one account per day (UTC)");

        OPENAI_BASE_URL: Text = Text::new("https://api.openai.com/v1") =>
            parameter("OpenAiBaseUrl", "The URL of openai, a server with OpenAI's chat completions")
            .longest(100)
            .pattern(URL)
            .must_be(A_URL)
            .docs("the base URL of the `openai` provider");

        OPENAI_MODEL: Text = Text::new("") =>
            parameter("OpenAiModel", "The model of this provider")
            .longest(80)
            .pattern("[!-~]*")
            .must_be("a name without spaces")
            .docs("the model of the `openai` provider");

        OPENAI_API_KEY: Text = Text::new("") =>
            parameter("OpenAiKeyArn", "The ARN of a Secrets Manager secret with its API key; empty \
                for a server that doesn't require a key")
            .longest(140)
            .pattern(SECRET_ARN)
            .must_be(A_SECRET_ARN)
            .docs("the key of the `openai` provider: the key itself, the URL of a file \
                (`file:///path`), or the ARN of a Secrets Manager secret");

        OPENAI2_BASE_URL: Text = Text::new("") =>
            parameter("OpenAi2BaseUrl", "The base URL of the openai2 provider, a second server \
                with OpenAI's chat completions")
            .longest(100)
            .pattern(URL)
            .must_be(A_URL)
            .docs("the base URL of the `openai2` provider");

        OPENAI2_MODEL: Text = Text::new("") =>
            parameter("OpenAi2Model", "The model of this provider")
            .longest(80)
            .pattern("[!-~]*")
            .must_be("a name without spaces")
            .docs("the model of the `openai2` provider");

        OPENAI2_API_KEY: Text = Text::new("") =>
            parameter("OpenAi2KeyArn", "The ARN of a Secrets Manager secret with its API key; \
                empty for a server that doesn't require a key")
            .longest(140)
            .pattern(SECRET_ARN)
            .must_be(A_SECRET_ARN)
            .docs("the key of the `openai2` provider, in one of the same three forms");

        ANTHROPIC_BASE_URL: Text = Text::new("https://api.anthropic.com") =>
            parameter("AnthropicBaseUrl", "The URL of anthropic, a server with Anthropic's \
                Messages API")
            .longest(100)
            .pattern(URL)
            .must_be(A_URL)
            .docs("the base URL of the provider `anthropic`, without `/v1`");

        ANTHROPIC_MODEL: Text = Text::new("") =>
            parameter("AnthropicModel", "The model of this provider")
            .longest(80)
            .pattern("[!-~]*")
            .must_be("a name without spaces")
            .docs("the model of the provider `anthropic`");

        ANTHROPIC_API_KEY: Text = Text::new("") =>
            parameter("AnthropicKeyArn", "The ARN of a Secrets Manager secret with its API key; \
                empty for a server that requires no key")
            .longest(140)
            .pattern(SECRET_ARN)
            .must_be(A_SECRET_ARN)
            .docs("the key of the provider `anthropic`, in one of the same three forms");

        BEDROCK_MODEL: Text = Text::new("") =>
            parameter("BedrockModel", "The id of the bedrock provider's model or inference profile")
            .longest(120)
            .pattern("[A-Za-z0-9.:/_-]*")
            .must_be("the id of a model or of an inference profile")
            .docs("the model of the `bedrock` provider: the id or ARN of a model, inference \
                profile or application inference profile");

        =>
            parameter("BedrockModelArns", "The ARNs of additional Bedrock models in the price list")
            .list()
            .pattern(r"(arn:[a-z-]+:bedrock:[a-z0-9*-]*:([0-9]{12}|\*)?:[a-z*-]+/[A-Za-z0-9.:_*-]+)?")
            .must_be("ARNs of foundation models and inference profiles, separated by commas")
            .docs("the ARNs of the [price list's](prices.md#several-providers) Bedrock models and \
                inference profiles, separated by commas. The functions that call the AI may use \
                these models and `BedrockModel`");

        AI_TIMEOUT_SECONDS: Number = Number::new(20, 1, 840) =>
            by_reply("20", 20)
            .shown("20, streamed 100, on `/v1` 580")
            .docs("the time limit for an answer, across all providers. An answer that isn't \
                streamed may take at most 22 seconds, because API Gateway waits for 29; on `/v1` \
                at most 280 seconds, because the gateway closes connections that are silent for \
                five minutes");

        ANSWER_LIMIT: Number = Number::new(65_536, 1, 131_072) =>
            as_by_default()
            .docs("the longest answer in bytes. A longer streamed answer is cut off and charged; \
                any other longer answer fails and costs nothing. The reasoning before an answer is \
                stored up to the same length. In a price list, a model can have [a different \
                limit](prices.md#limits-by-model) (`answer_limit`)");

        CONTEXT_CHATS: Number = Number::new(20, 0, 50) =>
            as_by_default()
            .docs("the maximum number of earlier messages from a conversation's branch that the AI \
                gets");

        CONTEXT_BYTES: Number = Number::new(32_768, 0, 1_048_576) =>
            as_by_default()
            .docs("the maximum number of bytes of earlier messages and of the user's instructions \
                that the AI gets");

        BEDROCK_ENDPOINT: Text = Text::new("") =>
            fixed("")
            .shown("AWS's")
            .docs("Bedrock's endpoint");

        MODELS: Text = Text::new("") =>
            local_only()
            .shown("none")
            .docs("the URL of a file (`file:///path`) with a [price list](prices.md), only for \
                `cargo run`. On AWS, set the list with `manage models set`");
    }
    "Payments" {
        STRIPE_MODE: Choice<StripeMode> = Choice::new(
            "live",
            &["live", "test"],
            &[StripeMode::Live, StripeMode::Test],
        ) =>
            parameter("StripeMode", "Whether payments use real money; in test mode, test cards buy \
                tokens")
            .docs("`live` or `test`: whether payments use real money. Keys and events from \
                Stripe's other mode are refused, because test cards would buy tokens. `cargo run` \
                sets `test` unless you set the variable");

        STRIPE_API_KEY: Text = Text::new("") =>
            parameter("StripeKeyArn", "The ARN of a Secrets Manager secret with Stripe's \
                restricted API key; empty to sell nothing")
            .longest(140)
            .pattern(SECRET_ARN)
            .must_be(A_SECRET_ARN)
            .docs("Stripe's restricted API key, with which the `purchase_create` function opens \
                payment pages: the key itself, the URL of a file (`file:///path`), or the ARN of a \
                Secrets Manager secret. On AWS it must be an ARN. Without a key [nothing is \
                sold](sell.md)");

        STRIPE_WEBHOOK_SECRET: Text = Text::new("") =>
            parameter("StripeWebhookSecretArn", "The ARN of a Secrets Manager secret with the \
                webhook's secret; two, separated by a comma, during a rotation")
            .longest(140)
            .pattern(SECRET_ARN)
            .must_be(A_SECRET_ARN)
            .docs("the secret with which Stripe signs events (`whsec_..`), in one of the same \
                three forms. During [a rotation](secrets.md#stripes-secrets), set two secrets, \
                separated by a comma. Without a secret no events are accepted, and no tokens are \
                granted for payments");

        STRIPE_RETURN_URL: Text = Text::new("") =>
            parameter("StripeReturnUrl", "The page to which buyers return; empty for the pages of \
                this stack")
            .longest(200)
            .pattern("(https?://[!-~]+)?")
            .must_be("a URL that begins with https:// or http://")
            .docs("the web page to which buyers return from the payment page. `?order=` and the \
                purchase's id are added to the URL, which must not contain a `?` itself; on AWS \
                at most 200 characters. Without this setting buyers return to the page \
                `/#/buy` under the API's own address");

        STRIPE_URL: Text = Text::new("https://api.stripe.com") =>
            fixed("")
            .shown("Stripe's")
            .docs("the URL of Stripe's API");

        PAYMENTS: Text = Text::new("") =>
            local_only()
            .shown("none")
            .docs("only for `cargo run`: `simulated` [simulates \
                Stripe](../use/local.md#cargo-run) without money, and replaces `STRIPE_URL`, \
                `STRIPE_API_KEY` and `STRIPE_WEBHOOK_SECRET`");
    }
    "Requests" {
        =>
            parameter("RequestRate", "How many requests per second each path accepts across all \
                callers, and how many at once. If the template lists the methods of a path, the \
                limit applies to each method. All paths together are limited only by the AWS \
                account's quota")
            .range(1, Some(100_000))
            .default_number(200)
            .docs("how many requests a second, and how many simultaneous requests, [each \
                path](capacity.md#limits) accepts across all callers");

        =>
            parameter("AccountRate", "Like RequestRate, but for each expensive method - \
                registration, log-in, changes of a password or profile, deletion and export of an \
                account, shared chats, statistics and exports for administrators")
            .range(1, Some(100_000))
            .default_number(20)
            .docs("like `RequestRate`, for each [expensive \
                method](../internals/security.md#limits)");

        =>
            parameter("FirewallRate", "How many requests in five minutes AWS WAF accepts from one \
                IP address; 0 for no AWS WAF")
            .pattern("0|[1-9][0-9]{1,8}")
            .must_be("0, or a whole number from 10 to 999999999")
            .default("0")
            .docs("how many requests [AWS WAF](capacity.md#aws-waf) accepts from one IP address \
                in five minutes. 0: no AWS WAF");

        BODY_LIMIT: Number = Number::new(65_536, 1024, 1_048_576) =>
            parameter("BodyLimit", "The maximum size of a request's body, in bytes, except under \
                /v1")
            .docs("the largest request body in bytes, except on `/v1`, for messages, which may be \
                2 MB long with their files, and for Stripe's events, which may be 512 KB long");

        // Lambda accepts events of up to 6 MB. In an event, each quotation mark and line break in
        // the request's body needs two bytes.
        V1_BODY_LIMIT: Number = Number::new(2_097_152, 1024, 4_194_304) =>
            parameter("V1BodyLimit", "The maximum size of a body under /v1, in bytes; Lambda \
                accepts 6 MB")
            .docs("the largest request body on `/v1` in bytes. API Gateway refuses requests above \
                Lambda's limit of 6 MB");

        ALLOWED_ORIGINS: Text = Text::new("") =>
            parameter("AllowedOrigins", "Web origins that browsers may call from, separated by \
                commas")
            .longest(300)
            .pattern("(https?://[A-Za-z0-9.:-]+(, ?https?://[A-Za-z0-9.:-]+)*)?")
            .must_be("origins such as https://app.example.com, without a slash at the end, \
                separated by commas")
            .docs("web origins from which browsers may call the API, separated by commas. On \
                `/v1`, their pages may also send the headers of OpenAI's, Anthropic's and \
                OpenRouter's SDKs");
    }
    "E-mail" {
        MAIL_FROM: Text = Text::new("") =>
            parameter("MailFrom", "The sender of e-mails, a verified Amazon SES identity in this \
                region; empty to send no e-mails")
            .longest(254)
            .pattern(r"([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+)?")
            .must_be("an e-mail address without a name, such as no-reply@example.com")
            .docs("the sender of e-mails, an Amazon SES identity. Without a sender, no e-mails are \
                sent");

        MAIL_CONFIGURATION_SET: Text = Text::new("") =>
            parameter("MailConfigurationSet", "The Amazon SES configuration set for these e-mails; \
                empty for the sender's default, if any")
            .longest(64)
            .pattern("[a-zA-Z0-9_-]*")
            .must_be("a name of letters, digits, - and _")
            .docs("the Amazon SES configuration set");

        MAIL_URL: Text = Text::new("") =>
            parameter("MailUrl", "The web page that e-mailed links lead to, such as \
                https://app.example.com; empty for the bare token")
            .longest(200)
            .pattern(URL)
            .must_be(A_URL)
            .docs("the web page for links in e-mails: `<MAIL_URL>/verify-email/?token=..` and \
                `/reset-password/?token=..`. Without this setting e-mails contain only the token");
    }
    "Data" {
        =>
            parameter("Protection", "Deletion protection and point-in-time recovery of the tables")
            .one_of(&["on", "off"])
            .default("on")
            .docs("deletion protection and point-in-time recovery of the tables");

        =>
            parameter("KmsKeyArn", "A KMS key of your own for the tables, the signing secret and \
                the logs; empty for AWS's keys")
            .pattern("(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?")
            .must_be("the ARN of an AWS KMS key, not of an alias")
            .docs("[a KMS key of your own](secrets.md#a-kms-key-of-your-own)");

        =>
            parameter("LedgerVaultArn", "The ARN of a backup vault, in another account of the \
                organization, that gets a copy of the ledger every day; empty for no copies")
            .pattern("(arn:[a-z-]+:backup:[a-z0-9-]+:[0-9]{12}:backup-vault:[A-Za-z0-9_-]{2,50})?")
            .docs("the backup vault for [a copy of the ledger](backup.md#what-is-backed-up) in \
                another AWS account");
    }
    "Existing tables" {
        =>
            parameter("UsersTableArn", "The ARN of an existing Users table in this region and \
                account, which the functions then use; empty to create a table. Give the ARNs of \
                the stream and of all tables except Files, or none of them")
            .pattern(TABLE_ARN)
            .docs("an [existing Users table](backup.md#restore) instead of the stack's own");

        =>
            parameter("TokensTableArn", "The ARN of the existing Tokens table that belongs to the \
                Users table")
            .pattern(TABLE_ARN)
            .docs("an [existing Tokens table](backup.md#restore) instead of the stack's own");

        =>
            parameter("KeysTableArn", "The ARN of the existing Keys table that belongs to the \
                Users table")
            .pattern(TABLE_ARN)
            .docs("an [existing Keys table](backup.md#restore) instead of the stack's own");

        =>
            parameter("ChatsTableArn", "The ARN of the existing Chats table that belongs to the \
                Users table")
            .pattern(TABLE_ARN)
            .docs("an [existing Chats table](backup.md#restore) instead of the stack's own");

        =>
            parameter("LedgerTableArn", "The ARN of the existing Ledger table that belongs to the \
                Users table")
            .pattern(TABLE_ARN)
            .docs("an [existing Ledger table](backup.md#restore) instead of the stack's own");

        =>
            parameter("FilesTableArn", "The ARN of the existing Files table that belongs to the \
                Users table; empty to create a table, also beside existing tables from before \
                there were files")
            .pattern(TABLE_ARN)
            .docs("an [existing Files table](backup.md#restore) instead of the stack's own");

        =>
            parameter("TokensStreamArn", "The ARN of the existing Tokens table's stream")
            .pattern("(arn:[a-z-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}/stream/[0-9T:.-]+)?")
            .docs("the stream of the existing Tokens table");

        USERS_TABLE: Text = Text::new("") =>
            expression(
                "!If [OwnUsers, !Ref UsersTable, !Select [1, !Split [/, !Sub \"${UsersTableArn}/\"]]]",
            )
            .shown("made by the template")
            .docs("the name of the Users table");

        TOKENS_TABLE: Text = Text::new("") =>
            expression(
                "!If [OwnTokens, !Ref TokensTable, !Select [1, !Split [/, !Sub \"${TokensTableArn}/\"]]]",
            )
            .shown("made by the template")
            .docs("the name of the Tokens table");

        KEYS_TABLE: Text = Text::new("") =>
            expression(
                "!If [OwnKeys, !Ref KeysTable, !Select [1, !Split [/, !Sub \"${KeysTableArn}/\"]]]",
            )
            .shown("made by the template")
            .docs("the name of the Keys table");

        CHATS_TABLE: Text = Text::new("") =>
            expression(
                "!If [OwnChats, !Ref ChatsTable, !Select [1, !Split [/, !Sub \"${ChatsTableArn}/\"]]]",
            )
            .shown("made by the template")
            .docs("the name of the Chats table");

        LEDGER_TABLE: Text = Text::new("") =>
            expression(
                "!If [OwnLedger, !Ref LedgerTable, !Select [1, !Split [/, !Sub \"${LedgerTableArn}/\"]]]",
            )
            .shown("made by the template")
            .docs("the name of the Ledger table");

        FILES_TABLE: Text = Text::new("") =>
            expression(
                "!If [OwnFiles, !Ref FilesTable, !Select [1, !Split [/, !Sub \"${FilesTableArn}/\"]]]",
            )
            .shown("made by the template")
            .docs("the name of the Files table");

        DYNAMODB_ENDPOINT: Text = Text::new("") =>
            fixed("")
            .shown("AWS's")
            .docs("the URL of an emulator with its access key: `http://ID:SECRET@host:port`");
    }
    "Logs, metrics and traces" {
        =>
            parameter("LogRetentionDays", "How long logs are kept")
            .one_of_numbers(&[1, 3, 5, 7, 14, 30, 60, 90, 180, 365])
            .default_number(90)
            .docs("how many days logs are kept");

        LOG_LEVEL: Choice<Level> = Choice::new(
            "info",
            &["error", "warn", "info"],
            &[Level::ERROR, Level::WARN, Level::INFO],
        ) =>
            parameter("LogLevel", "The least severe level that functions log; only info includes \
                a line per request")
            .docs("the least severe level that is logged: `error`, `warn` or `info`. With `warn` \
                or `error`, the log contains no line per request. On a laptop `RUST_LOG` \
                overrides the setting");

        =>
            parameter("AccessLogs", "Whether the gateway logs each request; API Gateway needs a \
                role for it, see GatewayLogRole")
            .one_of(&["on", "off"])
            .default("off")
            .docs("`on`: the gateway [logs each request](observe.md#access-logs)");

        =>
            parameter("GatewayLogRole", "Whether this stack sets the role with which API Gateway \
                writes logs. It is one setting for all APIs of the AWS account in this region, so \
                leave it off if the account has a role")
            .one_of(&["on", "off"])
            .default("off")
            .docs("`on`: the stack sets the gateway's role for access logs, [once per AWS account \
                and region](observe.md#access-logs)");

        =>
            parameter("MethodMetrics", "Whether CloudWatch gets metrics for each method of a path, \
                which are billed. Metrics for the whole API are free")
            .one_of(&["on", "off"])
            .default("off")
            .docs("`on`: CloudWatch records and bills [metrics of each \
                method](observe.md#metrics-of-each-method)");

        TRACES_ENDPOINT: Text = Text::new("") =>
            parameter("TracesEndpoint", "The base URL of an OpenTelemetry collector that receives \
                traces through OTLP over HTTP; empty for none")
            .longest(64)
            .pattern(URL)
            .must_be(A_URL)
            .docs("the base URL of the collector for [traces](observe.md#traces), such as \
                `http://localhost:4318`. Without a collector traces are off. On AWS the URL may \
                contain at most 64 characters");

        TRACES_SAMPLING: Text = Text::new("1") =>
            parameter("TracesSampling", "The share of requests and runs that are traced")
            .longest(8)
            .pattern(r"0(\.[0-9]{1,6})?|1(\.0{1,6})?")
            .must_be("a number from 0 to 1")
            .docs("the share of requests and scheduled runs that are recorded as traces, 0 to 1");

        =>
            parameter("TracesLayerArn", "The ARN of a layer version with a collector that runs \
                alongside each function; empty for none")
            .pattern("(arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:layer:[A-Za-z0-9_-]+:[0-9]+)?")
            .docs("[the layer](observe.md#traces) of a collector that runs beside each function");

        =>
            parameter("XRay", "Active - X-Ray records the gateway and the functions, which is \
                billed; PassThrough - functions may write to X-Ray")
            .one_of(&["Disabled", "PassThrough", "Active"])
            .default("Disabled")
            .docs("`Active`: X-Ray records requests in the gateway and the functions. \
                `PassThrough`: the functions, and a collector in their layer, may write to X-Ray");

        METRICS_NAMESPACE: Text = Text::new("") =>
            expression("!Ref AWS::StackName")
            .shown("the stack's name")
            .docs("the CloudWatch namespace of the [metrics](observe.md#metrics), and the \
                service's name in [traces](observe.md#traces). Without a namespace, functions \
                don't write metrics");
    }
    "Alarms" {
        =>
            parameter("Alarms", "The alarms and the dashboard of alarms.yaml")
            .one_of(&["on", "off"])
            .default("on")
            .docs("[the alarms and the dashboard](observe.md#alarms-and-the-dashboard) of \
                `alarms.yaml`");

        =>
            parameter("AlarmTopicArn", "The ARN of an SNS topic that alarms notify; empty to show \
                them on the dashboard only")
            .pattern("(arn:.+)?")
            .docs("the SNS topic that alarms notify");

        =>
            parameter("ConcurrencyAlarm", "The number of functions running at once in the account \
                at which the Concurrency alarm fires, usually four fifths of the account's quota")
            .range(1, None)
            .default_number(800)
            .docs("how many function instances may run at the same time in the AWS account before \
                an alarm fires. Set `ConcurrencyAlarm` to four fifths of the quota");

        =>
            parameter("MonthlyBudget", "The account's monthly budget, in dollars; at four fifths \
                of it, AlarmTopicArn is notified; 0 for no budget")
            .range(0, None)
            .default_number(0)
            .docs("how much the AWS account may cost in a month, in dollars. At four fifths of \
                this amount AWS Budgets notifies `AlarmTopicArn`. The bill of an [AI provider \
                outside of AWS](cost.md#limit-what-the-ai-costs) isn't included. 0: no budget");
    }
}
