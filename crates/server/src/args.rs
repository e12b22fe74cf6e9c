//! Decides what can be typed on the command line; never what a command does, and it reads no environment.

mod budgets;
mod records;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

pub(crate) use budgets::{BudgetsCommand, SetBudgetArguments};
pub(crate) use records::{
    AuditCommand, BackupCommand, CapturesCommand, CapturesOf, ExportArguments, ExportFormat, Exported,
    VaultCommand,
};

use clap::{Args, Parser, Subcommand, ValueHint};

/// An LLM gateway: OpenAI-style requests in front, pools of backends behind, every request settled.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the configuration and the data are.
#[derive(Debug, Args)]
pub(crate) struct PlaceArguments {
    /// The configuration file [default: $LOCKGATE_CONFIG, else ./lockgate.yaml when it exists]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The folder with everything that outlives the process [default: as configured, else ./data]
    #[arg(long, global = true, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<String>,
}

/// How a command shows what it found.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Shape {
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway until SIGTERM or ^C
    Serve(ServeArguments),
    /// Say everything that is wrong with the configuration, with file and line
    Check(Shape),
    /// Show the configuration in force, its schema, or write one to start from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make, list, rotate and revoke gateway keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make, list and remove teams of keys
    #[command(subcommand)]
    Teams(TeamsCommand),
    /// Set, list and remove budgets
    #[command(subcommand)]
    Budgets(BudgetsCommand),
    /// List, add, test and remove backends
    #[command(subcommand)]
    Backends(BackendsCommand),
    /// List and remove the stored accounts of local processes
    #[command(subcommand)]
    InstanceAccounts(InstanceAccountsCommand),
    /// The models that a running gateway offers, or else the configuration, with backends and prices
    Models(ModelsArguments),
    /// What models cost and who says so; take prices over from a file
    #[command(subcommand)]
    Prices(PricesCommand),
    /// Why a request went where it went, or where one for a model would go now
    Explain(ExplainArguments),
    /// Talk to a model through a running gateway
    Chat(ChatArguments),
    /// What requests used and cost
    Usage(UsageArguments),
    /// Who changed what, and whether the log of it holds
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Whole requests and answers that were captured: listed, shown, deleted
    #[command(subcommand)]
    Captures(CapturesCommand),
    /// Export requests, usage or changes as CSV or NDJSON
    Export(ExportArguments),
    /// The master key that stored secrets are under
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Copies of the database: made, listed, proven, restored
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Look at everything a gateway here needs, and say what to do about what is wrong
    Doctor(DoctorArguments),
    /// Make a configuration of another gateway's, and tell what came of each setting
    #[command(subcommand)]
    Import(ImportCommand),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version(Shape),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Add a simulated provider with the models demo/..., so that a first request needs no key
    #[arg(long)]
    pub(crate) demo: bool,
    /// Where clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where Prometheus connects
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Write the bound addresses to this file, as one line of JSON, once serving
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) ready_file: Option<PathBuf>,
    /// The least important line that is logged: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// How log lines look: json, human [default: human on a terminal]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Any single setting by its path, as in limits.queue_max=10
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every effective setting and where it came from; secrets masked
    Show(Shape),
    /// The JSON Schema of the configuration file, for editors
    Schema,
    /// Write a commented configuration to start from; never over an existing file
    Init {
        /// Where to
        #[arg(default_value = "lockgate.yaml", value_hint = ValueHint::FilePath)]
        path: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is shown this once and stored as a digest only
    Create(NewKeyArguments),
    /// All keys, masked
    List(Shape),
    /// Make a new secret for a key; the old one stays valid for a grace
    Rotate {
        /// The key's name or id
        key: String,
        /// How long the old secret stays valid, as in 24h
        #[arg(long, value_name = "TIME", default_value = "0s")]
        grace: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Remove a key: from now on it opens nothing. What it used stays recorded
    Revoke {
        /// The key's name or id
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewKeyArguments {
    /// What people call it
    pub(crate) name: String,
    /// The team it belongs to
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// A model it may use; * stands for any characters. May be repeated [default: all]
    #[arg(long = "model", value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// Requests a minute
    #[arg(long)]
    pub(crate) rpm: Option<u64>,
    /// Tokens a minute
    #[arg(long)]
    pub(crate) tpm: Option<u64>,
    /// Requests at once
    #[arg(long)]
    pub(crate) concurrency: Option<u64>,
    /// An address or network it may be used from. May be repeated [default: any]
    #[arg(long = "ip", value_name = "NETWORK")]
    pub(crate) ip_allow: Vec<String>,
    /// The best class it may ask for: urgent, high, normal, low [default: high]
    #[arg(long, value_name = "CLASS")]
    pub(crate) priority_max: Option<String>,
    /// The model of a request that names none
    #[arg(long, value_name = "MODEL")]
    pub(crate) default_model: Option<String>,
    /// When it stops being valid: 90d, 2027-01-31 or 2027-01-31T12:00:00Z [default: never]
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<String>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Of LiteLLM's proxy: its config.yaml
    Litellm(ImportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The other gateway's file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Where to write the configuration; never over an existing file [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// All prices: set through the API, of the prices file, and built in
    List {
        /// A part of the model's name
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        shape: Shape,
    },
    /// What a model costs
    Show {
        /// The model, or a part of its name
        model: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Set the prices that a file holds, in place of those of the same models
    Update {
        /// YAML, TOML or JSON: prices: [{model: gpt-4o, price: {input: 2.5, output: 10}}]
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TeamsCommand {
    /// Make a team: what is set here holds for all its keys together
    Create(NewTeamArguments),
    /// All teams and their keys
    List(Shape),
    /// Remove a team that has no keys
    Remove {
        /// The team's name or id
        team: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum InstanceAccountsCommand {
    /// All accounts that were given by API or on the dashboard, and which instance each serves
    List(Shape),
    /// Remove one, whether its instance is still there or not
    Remove {
        /// The place that it is for, as in lingma/1
        place: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewTeamArguments {
    /// What people call it
    pub(crate) name: String,
    /// A model its keys may use; * stands for any characters. May be repeated [default: all]
    #[arg(long = "model", value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// Requests a minute
    #[arg(long)]
    pub(crate) rpm: Option<u64>,
    /// Tokens a minute
    #[arg(long)]
    pub(crate) tpm: Option<u64>,
    /// Requests at once
    #[arg(long)]
    pub(crate) concurrency: Option<u64>,
    /// What people should remember of it
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackendsCommand {
    /// All backends, keys masked
    List(Shape),
    /// Add a backend; its key is read from a variable, a file or standard input, never from the command line
    Add(Box<NewBackendArguments>),
    /// Ask a backend for its models: a real call that spends no tokens
    Test {
        /// The backend's name or id
        backend: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Remove a backend and its stored key
    Remove {
        /// The backend's name or id
        backend: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewBackendArguments {
    /// Its name, unique
    pub(crate) name: String,
    /// A provider's name, as in openai, nvidia, groq [default: openai_compatible]
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Where it is, version path included [default: the provider's own]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) base_url: Option<String>,
    #[command(flatten)]
    pub(crate) api_key: ApiKeyArguments,
    /// Its pool [default: primary]
    #[arg(long)]
    pub(crate) pool: Option<String>,
    /// Its share among equals [default: 1]
    #[arg(long)]
    pub(crate) weight: Option<u64>,
    /// Requests a minute; 0 is unlimited [default: 40]
    #[arg(long)]
    pub(crate) rpm: Option<u64>,
    /// Tokens a minute
    #[arg(long)]
    pub(crate) tpm: Option<u64>,
    /// Requests at once
    #[arg(long)]
    pub(crate) concurrency: Option<u64>,
    /// A model it serves, and its own id for it. May be repeated [default: what it lists]
    #[arg(long = "model", value_name = "MODEL[=NATIVE]")]
    pub(crate) models: Vec<String>,
    /// Add it without using it yet
    #[arg(long)]
    pub(crate) disabled: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Where a provider's key is read from. The command line itself is shown to every user of the machine.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ApiKeyArguments {
    /// The environment variable that holds the provider's key
    #[arg(long, value_name = "NAME")]
    pub(crate) api_key_env: Option<String>,
    /// The file that holds the provider's key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Read the provider's key from standard input
    #[arg(long)]
    pub(crate) api_key_stdin: bool,
}

/// Which running gateway is asked, and with which key.
#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// The gateway's address [default: $LOCKGATE_URL, else where the configuration listens]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) url: Option<String>,
    /// The environment variable that holds the gateway key; without one, callers on its machine may be served
    #[arg(long, value_name = "NAME", default_value = "LOCKGATE_KEY")]
    pub(crate) key_env: String,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Show what the configuration offers, whether a gateway runs or not
    #[arg(long, conflicts_with = "url")]
    pub(crate) configured: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The id of a request that came, as its answer's `x-request-id` tells
    #[arg(value_name = "REQUEST_ID", required_unless_present = "model", conflicts_with = "model")]
    pub(crate) request: Option<String>,
    /// The model that a request to come names
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// The key it would come with, by name or id
    #[arg(long, requires = "model")]
    pub(crate) key: Option<String>,
    /// What tells its session from others, such as its `user` field
    #[arg(long, requires = "model")]
    pub(crate) session: Option<String>,
    /// Its class: urgent, high, normal, low
    #[arg(long, value_name = "CLASS", requires = "model")]
    pub(crate) priority: Option<String>,
    /// The gateway's address [default: $LOCKGATE_URL, else where the configuration listens]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) url: Option<String>,
    /// The environment variable that holds the admin token
    #[arg(long, value_name = "NAME", default_value = "LOCKGATE_ADMIN_TOKEN")]
    pub(crate) token_env: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArguments {
    /// Which model
    pub(crate) model: String,
    /// What to say [default: what standard input says; on a terminal, a conversation]
    pub(crate) prompt: Option<String>,
    /// What the model is told beforehand
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// The longest answer, in tokens
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_tokens: Option<u64>,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Add up the whole ledger again too; takes long where there is much
    #[arg(long)]
    pub(crate) deep: bool,
    /// Leave the backends in peace
    #[arg(long)]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, Args)]
pub(crate) struct UsageArguments {
    /// One row for each day, hour, model, backend, key, team or tag:NAME
    #[arg(long, default_value = "day")]
    pub(crate) by: UsageBy,
    /// How far back: 7d, 12h, 2026-11-01 or 2026-11-01T12:00:00Z; hours and days are UTC
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// By what usage is split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UsageBy {
    Day,
    Hour,
    Model,
    Backend,
    Key,
    Team,
    Tag(String),
}

impl FromStr for UsageBy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "day" => Ok(Self::Day),
            "hour" => Ok(Self::Hour),
            "model" => Ok(Self::Model),
            "backend" => Ok(Self::Backend),
            "key" => Ok(Self::Key),
            "team" => Ok(Self::Team),
            _ => match text.strip_prefix("tag:") {
                Some(name) if !name.is_empty() => Ok(Self::Tag(name.to_owned())),
                Some(_) | None => Err("write day, hour, model, backend, key, team or tag:NAME"),
            },
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as PATH=VALUE, for example limits.queue_max=10".to_owned()),
    }
}
