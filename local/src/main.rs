//! `cargo run` serves the API on one machine, and `cargo run -- dynamodb` only its store.
//! `cargo run -- manage` has the commands of administrators, and `cargo run -- estimate` estimates
//! what a deployment costs.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::env::VarError;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use emulator::dynamo::{Data, Dynamo};
use emulator::template::Template;
use local::estimate::Load;
use local::estimate::models::AverageChat;
use local::manage::import::dump::Choices;
use local::manage::{self, Target, import, prices, restore, till, vouchers};
use local::offer_file;
use local::server::model_servers::{ModelServer, Program};
use local::server::outbox::OutboxWorker;
use local::server::{Server, environment_of, write_environments};
use local::terminal::{may_close, print_result};
use local::{note, say};
use mimalloc::MiMalloc;
use serde_json::json;
use shared::app::MailApp;
use shared::aws::Endpoint;
use shared::clock::Clock;
use shared::config::{LogConfig, Settings, variable};
use shared::store::{VOUCHER_CODES, VOUCHER_USES};
use shared::telemetry::metrics;
use tracing_subscriber::filter::{FilterExt, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Farebox, a token-metered AI chat back end. Without a command, Farebox serves the whole API on
/// this machine, over an embedded DynamoDB.
#[derive(Parser)]
#[command(name = "farebox", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The port to serve on
    #[arg(long, default_value_t = 3000)]
    port: u16,
    #[command(flatten)]
    keep: Keep,
    #[command(flatten)]
    model_ports: ModelPorts,
}

#[derive(Args)]
struct ModelPorts {
    /// The port on which to look for Ollama
    #[arg(long, value_name = "PORT", default_value_t = Program::Ollama.usual_port())]
    ollama_port: u16,
    /// The port on which to look for LM Studio
    #[arg(long, value_name = "PORT", default_value_t = Program::LmStudio.usual_port())]
    lm_studio_port: u16,
    /// The port on which to look for llama.cpp's server
    #[arg(long, value_name = "PORT", default_value_t = Program::LlamaCpp.usual_port())]
    llama_cpp_port: u16,
}

impl ModelPorts {
    /// Returns the model servers that may run on this machine. The first one with a chat model
    /// answers.
    fn servers(&self) -> [ModelServer; 3] {
        [
            ModelServer { program: Program::Ollama, port: self.ollama_port },
            ModelServer { program: Program::LmStudio, port: self.lm_studio_port },
            ModelServer { program: Program::LlamaCpp, port: self.llama_cpp_port },
        ]
    }
}

#[derive(Args)]
struct Keep {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Keep the data in memory only
    #[arg(long, conflicts_with = "data")]
    memory: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve only the embedded DynamoDB, for `cargo lambda watch` and `sam local start-api`
    Dynamodb {
        /// The port to serve on
        #[arg(long, default_value_t = 8000)]
        port: u16,
        /// The address to serve on; containers can't reach 127.0.0.1
        #[arg(long, default_value = "127.0.0.1")]
        host: IpAddr,
        #[command(flatten)]
        keep: Keep,
    },
    /// Manage the store in the data folder, of a deployed stack, or that the environment names
    #[command(arg_required_else_help = false)]
    Manage {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: Manage,
    },
    /// Estimate the monthly costs of a deployment on AWS, and the limit that it reaches first
    Estimate {
        /// The number of people who chat every day
        #[arg(long, value_name = "N")]
        users: f64,
        /// The number of chats per user and day
        #[arg(long, value_name = "C")]
        chats_per_day: f64,
        /// The number of seconds that the AI takes for an answer
        #[arg(long, value_name = "S")]
        ai_seconds: f64,
        /// The share of chats that are streamed, from 0 to 1
        #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
        streamed: f64,
        /// The file of a price list, whose models are priced
        #[arg(long, value_name = "FILE")]
        models: Option<PathBuf>,
        /// The number of model tokens in an average prompt, instead of the assumption
        #[arg(long, value_name = "N", requires = "models")]
        prompt_tokens: Option<u32>,
        /// The number of model tokens in an average answer, instead of the assumption
        #[arg(long, value_name = "N", requires = "models")]
        answer_tokens: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum Manage {
    /// Create an administrator
    CreateAdmin {
        /// The username. A username with an @ is also the e-mail address
        name: String,
        /// The e-mail address. The address is needed to reset a forgotten password
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// The balance of the new account
        #[arg(long, default_value_t = 10_000)]
        tokens: u64,
        /// Read the password from this environment variable instead of asking for it
        #[arg(long, value_name = "VARIABLE")]
        password_env: Option<String>,
    },
    /// Return the tokens held for messages whose function died
    Settle,
    /// Erase the data of deleted accounts
    Erase,
    /// Count the accounts, and sort them for the administrators' list
    Census,
    /// Grant an account tokens, or take some away
    Adjust {
        /// The account's username, verified e-mail address or id
        name: String,
        /// The number of tokens. A negative number takes tokens away
        #[arg(allow_negative_numbers = true)]
        amount: i64,
        /// The reason. The user can read the reason
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List the public keys, which verify tokens
    Keys,
    /// Replace the signing key. Within five minutes, all new tokens are signed with the new key
    RotateKey,
    /// Withdraw a public key. The tokens that the key verifies become invalid
    WithdrawKey {
        /// The key's id in the output of `keys`
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
    /// Let a user log in again after too many failures
    Unlock {
        /// The account's username, verified e-mail address or id
        name: String,
    },
    /// In restored tables, end the accounts, sessions, keys and links that have ended since the
    /// restored second
    Reapply {
        /// The second to which the tables were restored, such as 2026-11-21T10:00:00Z
        second: String,
        /// A file with the ids of the accounts that were deleted since the restored second, one per
        /// line
        #[arg(long, value_name = "FILE")]
        deleted: Option<PathBuf>,
        /// Also delete the messages that are missing from the newer tables
        #[arg(long)]
        deleted_messages: bool,
    },
    /// Complete or undo the transactions that a restore has cut in two
    Reconcile {
        /// The second to which the tables were restored, such as 2026-11-21T10:00:00Z
        second: String,
    },
    /// Show, check, set or remove the price list
    #[command(subcommand, arg_required_else_help = false)]
    Models(Models),
    /// Create, list or void vouchers
    #[command(subcommand, arg_required_else_help = false)]
    Vouchers(Vouchers),
    /// Manage packs and orders, and compare payments with Stripe
    #[command(subcommand, arg_required_else_help = false)]
    Till(Till),
    /// Import the users, balances and messages of another system
    #[command(subcommand, arg_required_else_help = false)]
    Import(Import),
    /// Recompute every balance from the ledger, and list the differences
    Audit {
        /// The username, verified e-mail address or id of the only account to audit
        #[arg(value_name = "USER")]
        name: Option<String>,
    },
}

impl Manage {
    async fn run(self, target: &Target) -> Result<(), String> {
        let done = match self {
            Self::CreateAdmin { name, email, tokens, password_env } => {
                let password = || password_for(&name, password_env.as_deref());
                manage::create_admin(target, &name, email.as_deref(), tokens, password).await
            }
            Self::Settle => manage::settle(target).await,
            Self::Erase => manage::erase(target).await,
            Self::Census => manage::census(target).await,
            Self::Adjust { name, amount, reason } => {
                manage::adjust(target, &name, amount, &reason).await
            }
            Self::Keys => manage::keys(target).await,
            Self::RotateKey => manage::rotate_key(target).await,
            Self::WithdrawKey { kid } => manage::withdraw_key(target, &kid).await,
            Self::Unlock { name } => manage::unlock(target, &name).await,
            Self::Reapply { second, deleted, deleted_messages } => {
                restore::reapply(target, &second, deleted.as_deref(), deleted_messages).await
            }
            Self::Reconcile { second } => restore::reconcile(target, &second).await,
            Self::Models(command) => command.run(target).await,
            Self::Vouchers(command) => command.run(target).await,
            Self::Till(command) => command.run(target).await,
            Self::Import(command) => command.run(target).await,
            Self::Audit { name } => manage::audit(target, name.as_deref()).await,
        };
        print_result(done?)
    }
}

#[derive(Subcommand)]
enum Import {
    /// Import from Django. Without --apply, say what would be imported, and write nothing
    Django(Box<DjangoImport>),
    /// Import users from JSON lines. Without --apply, say what would be imported, and write nothing
    Users(Box<UsersImport>),
}

#[derive(Args)]
struct DjangoImport {
    /// The file that `manage.py dumpdata` wrote, or the SQLite database
    file: PathBuf,
    /// A name for the import, if several systems are imported
    #[arg(long, value_name = "NAME", default_value = "django")]
    name: String,
    /// Make superusers administrators
    #[arg(long)]
    superusers: bool,
    /// The user model, if several models fit
    #[arg(long, value_name = "APP.MODEL")]
    user_model: Option<String>,
    /// The field of the user model with which people log in, or pk
    #[arg(long, value_name = "FIELD")]
    login_field: Option<String>,
    /// The balance: a field of the user model, or app.model.field
    #[arg(long, value_name = "FIELD", conflicts_with = "tokens")]
    tokens_field: Option<String>,
    /// The chat model, if several models fit
    #[arg(long, value_name = "APP.MODEL")]
    chat_model: Option<String>,
    /// The field of the chat model that refers to the user
    #[arg(long, value_name = "FIELD")]
    user_field: Option<String>,
    /// The field with the message
    #[arg(long, value_name = "FIELD")]
    message_field: Option<String>,
    /// The field with the response
    #[arg(long, value_name = "FIELD", conflicts_with = "role_field")]
    response_field: Option<String>,
    /// The field that says who wrote a row, if the user and the AI have a row each
    #[arg(long, value_name = "FIELD")]
    role_field: Option<String>,
    /// The field with the time
    #[arg(long, value_name = "FIELD")]
    time_field: Option<String>,
    /// Import no messages
    #[arg(long, conflicts_with = "chat_model")]
    no_messages: bool,
    #[command(flatten)]
    common: ImportOptions,
}

#[derive(Args)]
struct UsersImport {
    /// The file with a JSON object for each user
    file: PathBuf,
    /// A name for the import, if several systems are imported
    #[arg(long, value_name = "NAME", default_value = "users")]
    name: String,
    #[command(flatten)]
    common: ImportOptions,
}

#[derive(Args)]
struct ImportOptions {
    /// Write to the store. The import may be interrupted and run again
    #[arg(long)]
    apply: bool,
    /// Give every user this balance, instead of one from the file
    #[arg(long, value_name = "TOKENS")]
    tokens: Option<u64>,
    /// Multiply balances, for example by 100 if the file has dollars and a token is a cent
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    scale: Option<u32>,
    /// Users can't log in if this field is true, or has this value: FIELD or FIELD=VALUE
    #[arg(long, value_name = "FIELD")]
    inactive_if: Vec<String>,
    /// This field doesn't say whether users can log in
    #[arg(long, value_name = "FIELD")]
    ignore: Vec<String>,
    /// Also import users whose password can't be checked here, if they have an e-mail address. They
    /// must set a new password by e-mail
    #[arg(long)]
    reset_passwords: bool,
    /// Hash passwords that the file has in clear text
    #[arg(long)]
    clear_text_passwords: bool,
    /// Replace characters that a username can't have
    #[arg(long)]
    rename: bool,
    /// Also end the accounts of users who can't log in at the other system since an earlier import
    #[arg(long, requires = "apply")]
    update_inactive: bool,
    /// Write a line for each refused, renamed or differing row to this file, as JSON, or as CSV if its
    /// name ends with .csv
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the primary keys with the ids here to this file, as CSV
    #[arg(long, value_name = "FILE", requires = "apply")]
    map: Option<PathBuf>,
    /// Confirm that every running function supports imported password hashes. Only needed for
    /// tables on AWS
    #[arg(long)]
    yes: bool,
}

impl ImportOptions {
    fn choices(&self) -> Choices<'_> {
        Choices {
            tokens: self.tokens,
            scale: self.scale,
            inactive_if: &self.inactive_if,
            ignored: &self.ignore,
            ..Choices::default()
        }
    }

    fn import<'a>(
        &'a self,
        file: &'a Path,
        name: &'a str,
        superusers: bool,
        choices: Choices<'a>,
    ) -> import::Import<'a> {
        import::Import {
            file,
            name,
            choices,
            superusers,
            reset_passwords: self.reset_passwords,
            clear_text_passwords: self.clear_text_passwords,
            rename: self.rename,
            update_inactive: self.update_inactive,
            report: self.report.as_deref(),
            map: self.map.as_deref(),
            apply: self.apply,
            is_ready: self.yes,
        }
    }
}

impl Import {
    async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Django(options) => {
                let DjangoImport { file, name, superusers, common, .. } = options.as_ref();
                let choices = Choices {
                    user_model: options.user_model.as_deref(),
                    login_field: options.login_field.as_deref(),
                    tokens_field: options.tokens_field.as_deref(),
                    chat_model: options.chat_model.as_deref(),
                    user_field: options.user_field.as_deref(),
                    message_field: options.message_field.as_deref(),
                    response_field: options.response_field.as_deref(),
                    role_field: options.role_field.as_deref(),
                    time_field: options.time_field.as_deref(),
                    no_messages: options.no_messages,
                    ..common.choices()
                };
                import::django(target, common.import(file, name, *superusers, choices)).await
            }
            Self::Users(options) => {
                let UsersImport { file, name, common } = options.as_ref();
                import::users(target, common.import(file, name, false, common.choices())).await
            }
        }
    }
}

#[derive(Subcommand)]
enum Models {
    /// Show the price list
    Show {
        /// An earlier version
        version: Option<String>,
    },
    /// Check a price list without setting it
    Check {
        /// The file with the list
        file: PathBuf,
    },
    /// Set the price list. Functions use it within a minute
    Set {
        /// The file with the list
        file: PathBuf,
        #[command(flatten)]
        ready: Ready,
    },
    /// Remove the price list, so that every message costs CHAT_PRICE
    Remove {
        #[command(flatten)]
        ready: Ready,
    },
}

#[derive(Args)]
struct Ready {
    /// Confirm that every running function can read the price list. Only needed for tables on AWS
    #[arg(long)]
    yes: bool,
}

impl Models {
    async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Show { version } => prices::show(target, version.as_deref()).await,
            Self::Check { file } => prices::check(&file),
            Self::Set { file, ready } => prices::set(target, Some(&file), ready.yes).await,
            Self::Remove { ready } => prices::set(target, None, ready.yes).await,
        }
    }
}

#[derive(Subcommand)]
enum Vouchers {
    /// Create vouchers, and print their codes, one per line. The codes can't be shown again
    Create {
        /// The number of tokens that each use of a code grants
        tokens: u64,
        /// The name, which users see in their statement
        #[arg(long, value_name = "TEXT")]
        name: String,
        /// The number of codes. About 50 of a batch can be redeemed a second. Create several
        /// batches if that isn't enough
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(VOUCHER_CODES)))]
        count: u32,
        /// The number of accounts that can use each code
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(VOUCHER_USES)))]
        uses: u32,
        /// The last day on which the codes are accepted, in UTC
        #[arg(long, value_name = "YYYY-MM-DD")]
        ends: Option<String>,
    },
    /// List the batches of vouchers, newest first
    List {
        /// List only the valid batches that this account created. Give its username, verified
        /// e-mail address or id; for a deleted account, give the id
        #[arg(long, value_name = "USER")]
        creator: Option<String>,
    },
    /// End a batch, or all valid batches of an account: none of their codes is accepted any more
    Void {
        /// The batch's id
        #[arg(required_unless_present = "creator", conflicts_with = "creator")]
        id: Option<String>,
        /// The account that has created the batches, as for `list`
        #[arg(long, value_name = "USER")]
        creator: Option<String>,
    },
}

impl Vouchers {
    async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Create { tokens, name, count, uses, ends } => {
                let ends = ends.as_deref();
                let new = vouchers::NewVouchers { name: &name, tokens, count, uses, ends };
                vouchers::create(target, &new).await
            }
            Self::List { creator } => vouchers::list(target, creator.as_deref()).await,
            Self::Void { id: Some(id), .. } => vouchers::void(target, &id).await,
            Self::Void { id: None, creator } => {
                vouchers::void_all_of(target, &creator.unwrap_or_default()).await
            }
        }
    }
}

#[derive(Subcommand)]
enum Till {
    /// Show, set or remove the packs that users can buy
    #[command(subcommand, arg_required_else_help = false)]
    Packs(Packs),
    /// List the orders of packs, newest first
    Orders {
        /// Only those that owe tokens, whose tokens couldn't be granted, or that a bank disputes
        #[arg(long)]
        attention: bool,
    },
    /// Take the tokens that refunded purchases owe, and delete orders that were not paid within a week
    Collect,
    /// Compare the orders with Stripe's lists, and catch up on missed events. The API key is the
    /// stack's, or STRIPE_API_KEY
    Reconcile {
        /// The number of days to compare
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
    },
}

#[derive(Subcommand)]
enum Packs {
    /// Show the packs
    Show,
    /// Set the packs
    Set {
        /// The file with the packs
        file: PathBuf,
    },
    /// Sell nothing any more
    Remove,
}

impl Till {
    async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Packs(Packs::Show) => till::show_packs(target).await,
            Self::Packs(Packs::Set { file }) => till::set_packs(target, Some(&file)).await,
            Self::Packs(Packs::Remove) => till::set_packs(target, None).await,
            Self::Orders { attention } => till::orders(target, attention).await,
            Self::Collect => till::collect(target).await,
            Self::Reconcile { days } => till::reconcile(target, days).await,
        }
    }
}

impl Keep {
    fn data(&self) -> Data {
        if self.memory { Data::Memory } else { Data::Folder(self.data.clone()) }
    }
}

fn main() -> ExitCode {
    may_close();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            note!("error: The program can't start: {error}.");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // The first paragraph of clap's message is the failure, and the rest is the usage.
            let text = error.to_string();
            let sentence: Vec<&str> =
                text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let sentence = sentence.join(" ");
            note!("{sentence} (--help lists commands and options)");
            return ExitCode::from(2);
        }
        Err(help) => {
            // A reader that closes the pipe has read enough.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let log = match LogConfig::read(&Settings::from_env()) {
        Ok(log) => log,
        Err(error) => {
            note!("error: {error}.");
            return ExitCode::FAILURE;
        }
    };
    let asked = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{},aws_config=error", log.level)));
    // Never log below INFO, not even if RUST_LOG has a lower level: at lower levels, AWS's clients
    // log whole requests and replies, with hashes, addresses and messages.
    let lines =
        fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(asked.and(LevelFilter::INFO))).init();
    // A terminal shows metrics only on request. On AWS, metrics are lines in the log.
    if let Some(namespace) = log.metrics {
        metrics::start(namespace, metrics::to_stdout);
    }
    let done = match cli.command {
        None => serve(cli.port, &cli.keep.data(), &cli.model_ports.servers()).await,
        Some(Command::Dynamodb { port, host, keep }) => {
            dynamodb(SocketAddr::new(host, port), &keep).await
        }
        Some(Command::Manage { target, command }) => command.run(&target).await,
        Some(Command::Estimate {
            users,
            chats_per_day,
            ai_seconds,
            streamed,
            models,
            prompt_tokens,
            answer_tokens,
            json,
        }) => {
            let assumed = AverageChat::default();
            let chat = AverageChat {
                prompt_tokens: prompt_tokens.unwrap_or(assumed.prompt_tokens),
                answer_tokens: answer_tokens.unwrap_or(assumed.answer_tokens),
            };
            let load = Load { users, chats_per_day, ai_seconds, streamed };
            estimate(load, models.as_deref(), chat, json)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            note!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16, data: &Data, model_servers: &[ModelServer]) -> Result<(), String> {
    let interruption = interruption()?;
    // Links in e-mails lead to the pages of this server. With port 0, the server's port isn't known
    // yet.
    let pages = (port != 0).then(|| format!("http://127.0.0.1:{port}"));
    let default = |name: &str| pages.clone().filter(|_| name == "MAIL_URL");
    let environment = |name: &str| variable(name).or_else(|| default(name));
    let server =
        Server::start_beside(model_servers, port, data, Clock::default(), environment).await?;
    let url = &server.url;
    say!("Farebox listens on {url} (Ctrl-C stops it)");
    say!();
    for route in functions::ROUTES.iter().filter(|route| route.method != "ANY") {
        say!("  {:6} {}", route.method, route.path);
    }
    say!();
    let address = server.dynamo.address;
    let elsewhere = variable("DYNAMODB_ENDPOINT").and_then(|url| Endpoint::parse(&url));
    match (elsewhere, data) {
        (Some(store), _) => {
            say!("DYNAMODB_ENDPOINT says where the data is: in the tables at {}.", store.url);
        }
        (None, Data::Folder(folder)) => {
            say!(
                "The data is in the folder {}; the embedded DynamoDB listens on {address}.",
                folder.display()
            );
            say!(
                "E-mails are not sent: each is shown here and stored in {}.",
                folder.join("mail").display()
            );
        }
        (None, Data::Memory) => {
            say!("The data is in memory only; the embedded DynamoDB listens on {address}.")
        }
    }
    if let Some(checkout) = &server.checkout {
        let all = &checkout.dashboard;
        say!("Payments are simulated. {all} lists all payments; refund or dispute them there.");
    }
    say!("{}", server.answering);
    say!("Create an account:");
    say!();
    say!(
        r#"  curl -s {url}/api/register -H 'Content-Type: application/json' -d '{{"username": "ann", "password": "secret123"}}'"#
    );
    say!();
    interruption.await;
    say!("Stopping.");
    server.stop().await;
    Ok(())
}

async fn dynamodb(address: SocketAddr, keep: &Keep) -> Result<(), String> {
    let interruption = interruption()?;
    let dynamo = Dynamo::start(&keep.data(), address).await?;
    let worker = outbox_worker(&dynamo, &keep.data()).await?;
    say!("The embedded DynamoDB listens on http://{} (Ctrl-C stops it)", dynamo.address);
    match keep.data() {
        Data::Folder(folder) => {
            write_environments(&folder, &dynamo)?;
            say!(
                "The environment of the functions is in {0}/lambda.env (cargo lambda watch) and {0}/sam.json (sam local start-api).",
                folder.display()
            );
        }
        // Without a data folder, the access key and the signing secret are shown only on the
        // terminal.
        Data::Memory => {
            say!("Nothing is written to disk. The access key and the signing secret of this run:");
            say!();
            say!("  DYNAMODB_ENDPOINT={}", dynamo.url);
            say!("  SIGNING_SECRET={}", dynamo.signing_secret);
            say!();
        }
    }
    say!("E-mails are not sent: each is shown here.");
    let delivery = tokio::spawn(worker.work());
    interruption.await;
    say!("Stopping.");
    delivery.abort();
    dynamo.stop().await;
    Ok(())
}

/// Returns the worker of this store's outbox, because no Lambda follows the stream here.
async fn outbox_worker(dynamo: &Dynamo, data: &Data) -> Result<OutboxWorker, String> {
    let template = Template::load()?;
    let function = template
        .functions
        .iter()
        .find(|function| function.name == "mail")
        .ok_or("template.yaml has no function mail")?;
    let settings = Settings::new(|name| match name {
        "DYNAMODB_ENDPOINT" => Some(dynamo.url.clone()),
        name => {
            variable(name).or_else(|| environment_of(function, name, &dynamo.url, &dynamo.secret))
        }
    });
    let mailing = MailApp::connect(&settings, Clock::default()).await;
    OutboxWorker::new(mailing.map_err(|error| format!("{error}."))?, data)
        .ok_or_else(|| "The embedded DynamoDB has no URL.".into())
}

fn estimate(
    load: Load,
    models: Option<&Path>,
    chat: AverageChat,
    as_json: bool,
) -> Result<(), String> {
    let list = models.map(offer_file::read).transpose()?;
    let mut estimate = load.estimate()?;
    estimate.models = list.map(|list| load.models(&list, chat)).transpose()?;
    match as_json {
        true => print_result(format!("{:#}", json!(estimate))),
        false => print_result(estimate.to_string().trim_end()),
    }
}

/// Returns the password for a new administrator: from the environment, or as typed twice in the
/// terminal.
fn password_for(name: &str, variable: Option<&str>) -> Result<String, String> {
    if let Some(variable) = variable {
        return std::env::var(variable).map_err(|error| match error {
            VarError::NotPresent => format!("The environment variable {variable} is not set."),
            VarError::NotUnicode(_) => {
                format!("The environment variable {variable} is not UTF-8 text.")
            }
        });
    }
    let asked = |prompt: &str| {
        rpassword::prompt_password(prompt).map_err(|error| {
            format!("The password can't be read from here ({error}); use --password-env.")
        })
    };
    let password = asked(&format!("Password for {name}: "))?;
    match asked("The password again: ")? == password {
        true => Ok(password),
        false => Err("The two passwords are different.".into()),
    }
}

/// Returns a future that waits for Ctrl-C, or for the signal that stops a service. The future also
/// notices signals that arrive before it is awaited.
#[cfg(unix)]
fn interruption() -> Result<impl Future<Output = ()>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn interruption() -> Result<impl Future<Output = ()>, String> {
    let mut interrupt = tokio::signal::windows::ctrl_c().map_err(|error| error.to_string())?;
    Ok(async move {
        interrupt.recv().await;
    })
}
