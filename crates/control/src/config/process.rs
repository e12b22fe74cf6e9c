//! Local processes as they are meant: what a pool of them becomes, and which backends; never started here.

use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use policy::{BackendSpec, Secret};

use super::bind::List;
use super::file::{self, File};

/// A pool of instances of one program.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is what the file calls it")]
pub struct ProcessPool {
    pub name: String,
    pub profile: &'static str,
    pub program: PathBuf,
    pub codec: Option<&'static str>,
    pub starts_at_boot: bool,
    pub startup_timeout: Duration,
    pub rpc_timeout: Duration,
    pub mode: String,
    pub default_model: Option<String>,
    pub endpoint: Option<String>,
    pub environment: Vec<(String, Secret)>,
    pub login: ProcessLogin,
    pub restart: ProcessRestart,
    /// Of a single instance; 0 leaves it to the profile, or takes a free one.
    pub ports: (u16, u16),
    pub instances: Vec<ProcessInstance>,
}

impl ProcessPool {
    /// Where they work: a single instance there, several in a folder each inside of it.
    pub(super) fn work_dir(&self) -> &FilePath {
        match self.instances.as_slice() {
            [] => FilePath::new(""),
            [one] => &one.work_dir,
            [first, ..] => first.work_dir.parent().unwrap_or(&first.work_dir),
        }
    }

    /// Whether one of its instances has this name.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.instances.iter().any(|one| one.name == name)
    }
}

/// How a pool is signed in.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is what the file calls it")]
pub struct ProcessLogin {
    pub is_automatic: bool,
    pub is_headless: bool,
    pub driver: PathBuf,
    pub browser: Option<PathBuf>,
    pub timeout: Duration,
    pub retries: u32,
    pub page_timeout: Duration,
    pub pause: Duration,
    pub pause_max: Duration,
}

/// How unwanted ends are met.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "each is what the file calls it")]
pub struct ProcessRestart {
    pub pause: Duration,
    pub pause_max: Duration,
    pub ends_max: u32,
    pub window: Duration,
    pub rest: Duration,
}

/// One instance.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessInstance {
    /// The name of its backend: `inst-1`, `inst-2`, counted through all pools.
    pub name: String,
    /// Where it works.
    pub work_dir: PathBuf,
    /// Whose it is.
    pub account: Option<ProcessAccount>,
}

/// Who an instance is signed in as.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessAccount {
    /// By name and password.
    Password(String, Secret),
    /// By a personal token, to an organization of its owner's.
    Token(Secret, Option<String>),
    /// By an access key and its secret, to an organization of its owner's.
    Key(Secret, Secret, Option<String>),
}

impl ProcessAccount {
    /// What it signs in with, in a word.
    pub(crate) fn signs_in_with(&self) -> &'static str {
        match self {
            Self::Password(..) => "password",
            Self::Token(..) => "token",
            Self::Key(..) => "key",
        }
    }
}

/// All pools of a checked file.
pub(super) fn pools(file: &File, data_dir: &FilePath) -> Vec<ProcessPool> {
    let mut count = 0;
    let backends = file.backends.iter().flat_map(List::iter);
    let processes = backends.filter_map(|(_, backend)| Some((backend, process_of(backend)?)));
    processes.map(|(backend, typed)| pool(&backend.name.0, typed, data_dir, &mut count)).collect()
}

/// What describes the program of a backend, where it has one.
fn process_of(backend: &file::Backend) -> Option<&file::Process> {
    let is_process = backend.kind.as_ref().is_some_and(|kind| kind.0 == "process");
    backend.process.as_ref().filter(|_| is_process)
}

fn profile(typed: &file::Process) -> &'static str {
    typed.profile.unwrap_or(file::ProcessProfile::Lingma).name()
}

fn size(typed: &file::Process) -> usize {
    let accounts = typed.accounts.iter().flat_map(List::iter).count();
    typed.instances.map_or(accounts.max(1), |count| usize::try_from(count.0).unwrap_or(1))
}

/// One backend for each instance, in place of the one that stands for all; `count` are the instances before it.
pub(super) fn expanded(typed: &file::Backend, whole: BackendSpec, count: &mut usize) -> Vec<BackendSpec> {
    let Some(process) = process_of(typed) else { return vec![whole] };
    let label = profile(process);
    let first = *count + 1;
    *count += size(process);
    let instances = (first..=*count).map(|number| {
        let mut one = whole.clone();
        one.name = instance_name(number);
        one.base_url = format!("process://{}", one.name);
        one.label.get_or_insert_with(|| label.to_owned());
        one
    });
    instances.collect()
}

fn instance_name(number: usize) -> String {
    format!("inst-{number}")
}

fn pool(name: &str, typed: &file::Process, data_dir: &FilePath, count: &mut usize) -> ProcessPool {
    let path = |text: Option<&super::leaf::Text>| text.map(|text| PathBuf::from(&text.0));
    let text = |text: Option<&super::leaf::Text>| text.map(|text| text.0.clone());
    let wait = |span: Option<file::Wait>, seconds| span.map_or(Duration::from_secs(seconds), |span| span.0);
    let port = |count: Option<super::quantity::Count<1, 65_535>>| {
        count.and_then(|count| u16::try_from(count.0).ok()).unwrap_or(0)
    };
    let size = size(typed);
    let root = path(typed.work_dir.as_ref()).unwrap_or_else(|| data_dir.join("instances").join(name));
    let mut accounts = typed.accounts.iter().flat_map(List::iter).map(|(_, account)| account);
    let instances = (0..size).map(|_| {
        *count += 1;
        let name = instance_name(*count);
        // A single instance keeps the folder that was named, where an earlier gateway may have left its login.
        let work_dir = if size == 1 { root.clone() } else { root.join(&name) };
        ProcessInstance { name, work_dir, account: accounts.next().and_then(account) }
    });
    let instances = instances.collect();
    ProcessPool {
        name: name.to_owned(),
        profile: profile(typed),
        program: PathBuf::from(&typed.program.0),
        codec: typed.codec.map(file::ProcessCodec::name),
        starts_at_boot: typed.start == Some(file::ProcessStart::Boot),
        startup_timeout: wait(typed.startup_timeout, 30),
        rpc_timeout: wait(typed.rpc_timeout, 30),
        mode: text(typed.mode.as_ref()).unwrap_or_else(|| "chat".to_owned()),
        default_model: text(typed.default_model.as_ref()),
        endpoint: text(typed.endpoint.as_ref()),
        environment: typed
            .environment
            .iter()
            .flat_map(|table| &table.0)
            .map(|(name, value)| (name.clone(), value.0.clone()))
            .collect(),
        login: login(typed.login.as_ref()),
        restart: restart(typed.restart.as_ref()),
        ports: (port(typed.socket_port), port(typed.http_port)),
        instances,
    }
}

/// What an account signs in with; nothing where it is not whole, or more than one.
pub(super) fn account(typed: &file::ProcessAccount) -> Option<ProcessAccount> {
    let file::ProcessAccount { username, password, token, access_key, secret_key, organization } = typed;
    let organization = organization.as_ref().map(|text| text.0.clone());
    match (username, password, token, access_key, secret_key) {
        (Some(name), Some(password), None, None, None) if organization.is_none() => {
            Some(ProcessAccount::Password(name.0.expose().to_owned(), password.0.clone()))
        }
        (None, None, Some(token), None, None) => Some(ProcessAccount::Token(token.0.clone(), organization)),
        (None, None, None, Some(key), Some(secret)) => {
            Some(ProcessAccount::Key(key.0.clone(), secret.0.clone(), organization))
        }
        _ => None,
    }
}

fn login(typed: Option<&file::ProcessLogin>) -> ProcessLogin {
    let path = |text: Option<&super::leaf::Text>| text.map(|text| PathBuf::from(&text.0));
    let wait = |span: Option<file::Wait>, seconds| span.map_or(Duration::from_secs(seconds), |span| span.0);
    ProcessLogin {
        is_automatic: typed.and_then(|login| login.automatic).unwrap_or(false),
        is_headless: typed.and_then(|login| login.headless).unwrap_or(false),
        driver: path(typed.and_then(|login| login.driver.as_ref())).unwrap_or_else(|| "chromedriver".into()),
        browser: path(typed.and_then(|login| login.browser.as_ref())),
        timeout: wait(typed.and_then(|login| login.timeout), 300),
        retries: typed.and_then(|login| login.retries).map_or(2, |count| count.get32()),
        page_timeout: wait(typed.and_then(|login| login.page_timeout), 30),
        pause: wait(typed.and_then(|login| login.pause), 60),
        pause_max: wait(typed.and_then(|login| login.pause_max), 3600),
    }
}

fn restart(typed: Option<&file::ProcessRestart>) -> ProcessRestart {
    let wait = |span: Option<file::Wait>, seconds| span.map_or(Duration::from_secs(seconds), |span| span.0);
    ProcessRestart {
        pause: typed.and_then(|one| one.pause).map_or(Duration::from_millis(500), |span| span.0),
        pause_max: wait(typed.and_then(|one| one.pause_max), 60),
        ends_max: typed.and_then(|one| one.ends_max).map_or(5, |count| count.get32()),
        window: wait(typed.and_then(|one| one.window), 120),
        rest: wait(typed.and_then(|one| one.rest), 3600),
    }
}
