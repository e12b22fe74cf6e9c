//! Decides what the operator wants: file, environment, command line and stored settings become one checked
//! [`Settings`]; it reads nothing from the machine by itself.

mod backend;
mod bind;
pub(crate) mod body;
mod callers;
mod check;
pub mod file;
mod leaf;
mod money;
mod pacing;
mod problem;
mod process;
mod providers;
mod quantity;
mod read;
mod records;
mod schema;
mod settings;
mod show;
mod sources;
mod streaming;
pub(crate) mod tree;
mod url;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use policy::Secret;
use store::MasterKeySource;

pub use bind::Surroundings;
pub use file::{Durability, LogFormat, LogLevel};
pub use leaf::SecretText;
pub use money::Alerts;
pub use problem::{Notice, Problem, Report};
pub use process::{ProcessAccount, ProcessInstance, ProcessLogin, ProcessPool, ProcessRestart};
pub use read::Format;
pub use records::BackupRules;
pub use schema::{example, schema};
pub use settings::{ClientTimeouts, Limits, Settings};
pub use show::Effective;
pub(crate) use show::time as duration_of;
pub use sources::Overrides;
pub use streaming::{Keepalive, Streams};
pub use tree::{Origin, Path};

use bind::{Bind, Binder, References};
use check::Checker;
use read::Place;
use tree::{Node, Value};

/// A configuration file as it was read.
#[derive(Debug, Clone, Copy)]
pub struct FileText<'a> {
    /// Its name, for problems and for its format.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// Everything a configuration is made from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The file, where there is one.
    pub file: Option<FileText<'a>>,
    /// What the command line says.
    pub overrides: &'a Overrides,
    /// The environment, and how secrets in files are read.
    pub surroundings: Surroundings<'a>,
    /// Settings changed through the API: path and value.
    pub stored: &'a [(String, String)],
}

/// A configuration that holds, with what the operator should know about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is meant.
    pub settings: Settings,
    /// What works but should be known.
    pub notices: Vec<Notice>,
    tree: Node,
}

impl Loaded {
    /// Where a setting came from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.tree.at(&Path::dotted(path)).map_or(Origin::Default, |node| node.origin.clone())
    }
}

/// Sections whose settings are in force from the moment they are published, and destroy nothing. How long records and
/// backups are kept is for whoever writes the file: a slip would delete them.
const HOT: &[&str] = &[
    "limits",
    "retry",
    "cooldown",
    "breaker",
    "adaptive",
    "routing",
    "affinity",
    "hedging",
    "probe",
    "keepalive",
    "captures",
    "log",
];
/// What they hold that is read at the start only.
const COLD: &[&str] = &["limits.connections_max", "log.format"];

/// Whether a setting can be changed through the API while the gateway runs.
pub(crate) fn is_hot(path: &str) -> bool {
    let section = path.split('.').next().unwrap_or_default();
    HOT.contains(&section) && !COLD.contains(&path) && sources::SCALARS.contains(&path)
}

/// Reads, joins and checks all sources. Everything that is wrong is reported at once.
pub fn load(inputs: &Inputs<'_>) -> Result<Loaded, Report> {
    let mut notices = Vec::new();
    let mut report = Report::default();
    let tree = join(inputs, &mut report, &mut notices);
    let Some(tree) = tree else {
        report.sort();
        return Err(report);
    };
    let mut binder = Binder::new(References::Resolved(inputs.surroundings));
    let file = file::File::bind(&tree, &mut binder);
    let well_formed = report.is_empty() && binder.report.is_empty();
    report.absorb(binder.report);
    if let Some(file) = &file {
        Checker { tree: &tree, report: &mut report }.file(file);
        let prices = money::prices(file, inputs.surroundings, &mut report);
        if well_formed && report.is_empty() {
            let master_key = master_key(inputs.surroundings, &mut notices);
            let settings = Settings { prices, ..Settings::of(file, &tree, master_key) };
            return Ok(Loaded { settings, notices, tree });
        }
    }
    report.sort();
    Err(report)
}

/// The prices that a file holds, as the API takes them.
pub fn written_prices(name: &str, text: &str) -> Result<serde_json::Value, Report> {
    let mut report = Report::default();
    let place = Place::File(Arc::from(name));
    let Some(tree) = read::read(text, Format::of(name), &place, &mut report) else { return Err(report) };
    let mut binder = Binder::new(References::Refused);
    let typed = file::Prices::bind(&tree, &mut binder);
    report.absorb(binder.report);
    match typed {
        Some(_) if report.is_empty() => Ok(tree.get("prices").map_or(serde_json::Value::Null, Node::json)),
        Some(_) | None => Err(report),
    }
}

/// A file of another program, as it was typed.
pub(crate) fn read_yaml(name: Arc<str>, text: &str) -> Result<Node, Report> {
    let mut report = Report::default();
    read::read(text, Format::Yaml, &Place::File(name), &mut report).ok_or(report)
}

/// Whether a backend may be at this address; what is wrong with it otherwise.
pub(crate) fn check_base_url(text: &str) -> Result<(), String> {
    url::base_url(text, url::LinkLocal::Refused).map(drop).map_err(|error| error.to_string())
}

/// Lays the sources over each other, weakest first. Nothing when the file's grammar is broken: what the
/// other sources say would only be noise beside that.
fn join(inputs: &Inputs<'_>, report: &mut Report, notices: &mut Vec<Notice>) -> Option<Node> {
    let mut tree = Node::empty(Origin::Default);
    for (path, value) in inputs.stored {
        tree.set(&Path::dotted(path), Node::new(Origin::Stored, Value::plain(value)));
    }
    if let Some(file) = inputs.file {
        let place = Place::File(Arc::from(file.name));
        let typed = read::read(file.text, Format::of(file.name), &place, report)?;
        let nothing = typed.value == Value::Null;
        if !nothing {
            tree.overlay(typed);
        }
    }
    let variables = inputs.surroundings.variables;
    sources::environment(&mut tree, variables, notices);
    providers::from_environment(&mut tree, variables, report, notices);
    sources::command_line(&mut tree, inputs.overrides);
    Some(tree)
}

/// The vault's key is never written in a file that also names what it protects.
fn master_key(surroundings: Surroundings<'_>, notices: &mut Vec<Notice>) -> MasterKeySource {
    let given =
        |name: &str| surroundings.variables.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let next = given("LOCKGATE_MASTER_KEY_NEXT").map(Secret::from);
    if let Some(key) = given("LOCKGATE_MASTER_KEY") {
        return MasterKeySource::Value { key: Secret::from(key), next };
    }
    if let Some(path) = given("LOCKGATE_MASTER_KEY_FILE") {
        return MasterKeySource::File(path.into());
    }
    let Some(old) = given("SIDECAR_ENCRYPTION_KEY") else { return MasterKeySource::DataFolder };
    notices.push(sources::old_name("SIDECAR_ENCRYPTION_KEY", "LOCKGATE_MASTER_KEY"));
    MasterKeySource::Value { key: Secret::from(old), next }
}
