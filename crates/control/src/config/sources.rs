//! Decides what the environment and the command line say about the configuration, old names included; never what a value is worth.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{Notice, closest};
use super::tree::{Entry, Node, Origin, Path, Value};

/// Command line arguments that set something, strongest of all sources.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<String>,
    /// `--metrics-listen`
    pub metrics_listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<String>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--set limits.queue_max=10`: any single setting by its path.
    pub set: Vec<(String, String)>,
}

/// Variables with a name of their own; every path of [`SCALARS`] has a derived one besides.
const HOST: &str = "LOCKGATE_HOST";
const PORT: &str = "LOCKGATE_PORT";
const METRICS_PORT: &str = "LOCKGATE_METRICS_PORT";
const DEFAULT_LISTEN: (&str, &str) = ("127.0.0.1", "9190");
const DEFAULT_METRICS_LISTEN: (&str, &str) = ("127.0.0.1", "9191");

/// Settings that a variable `LOCKGATE_<PATH>` can set.
pub(crate) const SCALARS: &[&str] = &[
    "listen",
    "metrics_listen",
    "data_dir",
    "backup_dir",
    "admin.token",
    "metrics_token",
    "log.level",
    "log.format",
    "drain_timeout",
    "limits.max_in_flight",
    "limits.queue_max",
    "limits.queue_bytes_max",
    "limits.queue_timeout",
    "limits.low_timeout",
    "limits.ageing",
    "limits.queue_policy",
    "limits.rate_window",
    "limits.body_max",
    "limits.image_body_max",
    "limits.connections_max",
    "client_timeouts.first_byte",
    "client_timeouts.headers",
    "client_timeouts.body",
    "client_timeouts.idle",
    "retry.attempts_max",
    "retry.limited_max",
    "retry.budget_percent",
    "cooldown.base",
    "cooldown.max",
    "cooldown.growth",
    "cooldown.retry_after",
    "cooldown.precheck",
    "routing.spill",
    "routing.emergency_fraction",
    "affinity.enabled",
    "affinity.cold_cache",
    "hedging.enabled",
    "hedging.quantile",
    "hedging.spend_max_percent",
    "probe.enabled",
    "probe.interval",
    "probe.timeout",
    "breaker.failures",
    "breaker.share_percent",
    "breaker.calls_min",
    "breaker.window",
    "breaker.base",
    "breaker.max",
    "adaptive.mode",
    "adaptive.retreat.window",
    "adaptive.retreat.enter_percent",
    "adaptive.retreat.again_percent",
    "adaptive.retreat.factor_percent",
    "adaptive.retreat.floor_rpm",
    "adaptive.retreat.calm_percent",
    "adaptive.retreat.calm_for",
    "adaptive.retreat.step_rpm",
    "adaptive.retreat.alert_percent",
    "adaptive.retreat.samples_min",
    "deadlines.connect",
    "deadlines.first_event",
    "deadlines.answer",
    "deadlines.idle",
    "deadlines.total",
    "keepalive.stream",
    "keepalive.nonstream",
    "streams.resumable",
    "streams.buffer",
    "streams.grace",
    "streams.resumable_max",
    "responses.kept_for",
    "responses.kept_bytes",
    "captures.body_max",
    "captures.keep_for",
    "captures.bytes_max",
    "ledger.durability",
    "ledger.journal_bytes_max",
    "records.retention_days",
    "records.rows_max",
    "backups.daily",
    "backups.retention_days",
];

/// Variables of ours that other parts of the program read.
const READ_ELSEWHERE: &[&str] = &[
    "LOCKGATE_CONFIG",
    "LOCKGATE_MASTER_KEY",
    "LOCKGATE_MASTER_KEY_NEXT",
    "LOCKGATE_MASTER_KEY_FILE",
    "LOCKGATE_URL",
    "LOCKGATE_KEY",
];

/// How the text of an old variable becomes a value.
#[derive(Clone, Copy)]
enum Reading {
    Plain,
    Secret,
    /// A bare number counts seconds.
    Seconds,
    /// Upper case and some synonyms were allowed.
    Level,
    /// `text` was the word for what is `human` now.
    Look,
    /// Yes or no to what is one of several policies now.
    Passthrough,
    /// Secrets parted by commas.
    SecretList,
    /// A database file, in the folder that is meant.
    FolderOf,
}

struct Legacy {
    name: &'static str,
    path: &'static str,
    reading: Reading,
    /// What to write today.
    today: &'static str,
}

const fn legacy(name: &'static str, path: &'static str, reading: Reading, today: &'static str) -> Legacy {
    Legacy { name, path, reading, today }
}

/// Names of the older sidecars that set a single setting.
const LEGACY: &[Legacy] = &[
    legacy("SIDECAR_QUEUE_MAX", "limits.queue_max", Reading::Plain, "LOCKGATE_LIMITS_QUEUE_MAX"),
    legacy(
        "SIDECAR_QUEUE_TIMEOUT",
        "limits.queue_timeout",
        Reading::Seconds,
        "LOCKGATE_LIMITS_QUEUE_TIMEOUT",
    ),
    legacy("SIDECAR_LOW_TIMEOUT", "limits.low_timeout", Reading::Seconds, "LOCKGATE_LIMITS_LOW_TIMEOUT"),
    legacy(
        "SIDECAR_FALLBACK_PASSTHROUGH",
        "limits.queue_policy",
        Reading::Passthrough,
        "LOCKGATE_LIMITS_QUEUE_POLICY",
    ),
    legacy("SIDECAR_TIMEOUT", "deadlines.first_event", Reading::Seconds, "LOCKGATE_DEADLINES_FIRST_EVENT"),
    legacy("SIDECAR_COOLDOWN_BASE", "cooldown.base", Reading::Seconds, "LOCKGATE_COOLDOWN_BASE"),
    legacy("SIDECAR_COOLDOWN_MAX", "cooldown.max", Reading::Seconds, "LOCKGATE_COOLDOWN_MAX"),
    legacy("SIDECAR_LOG_LEVEL", "log.level", Reading::Level, "LOCKGATE_LOG_LEVEL"),
    legacy("SIDECAR_ADMIN_TOKEN", "admin.token", Reading::Secret, "LOCKGATE_ADMIN_TOKEN"),
    legacy("SIDECAR_DB_PATH", "data_dir", Reading::FolderOf, "LOCKGATE_DATA_DIR"),
    legacy("SIDECAR_BACKUP_DIR", "backup_dir", Reading::Plain, "LOCKGATE_BACKUP_DIR"),
    legacy("LOG_LEVEL", "log.level", Reading::Level, "LOCKGATE_LOG_LEVEL"),
    legacy("LOG_FORMAT", "log.format", Reading::Look, "LOCKGATE_LOG_FORMAT"),
    legacy("API_KEYS", "api_keys", Reading::SecretList, "`api_keys` or `keys` in lockgate.yaml"),
    legacy("METRICS_TOKEN", "metrics_token", Reading::Secret, "LOCKGATE_METRICS_TOKEN"),
    legacy("GATEWAY_MAX_IN_FLIGHT", "limits.max_in_flight", Reading::Plain, "LOCKGATE_LIMITS_MAX_IN_FLIGHT"),
    legacy(
        "GATEWAY_QUEUE_TIMEOUT_SEC",
        "limits.queue_timeout",
        Reading::Seconds,
        "LOCKGATE_LIMITS_QUEUE_TIMEOUT",
    ),
    legacy(
        "GATEWAY_OPENAI_COMPACT_NONSTREAM_KEEPALIVE_INTERVAL",
        "keepalive.endpoints./v1/responses/compact",
        Reading::Seconds,
        "`keepalive: {endpoints: {/v1/responses/compact: ..}}` in lockgate.yaml",
    ),
];

/// Lays the environment over what the file and the store said.
pub(crate) fn environment(tree: &mut Node, variables: &BTreeMap<String, String>, notices: &mut Vec<Notice>) {
    let set = |name: &str| variables.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    for row in LEGACY {
        if let Some(text) = set(row.name) {
            tree.set(&Path::dotted(row.path), row.reading.node(text, &from_variable(row.name)));
            notices.push(old_name(row.name, row.today));
        }
    }
    for path in SCALARS {
        let name = variable_of(path);
        if let Some(text) = set(&name) {
            let secret = path.ends_with("token");
            let reading = if secret { Reading::Secret } else { Reading::Plain };
            tree.set(&Path::dotted(path), reading.node(text, &from_variable(&name)));
        }
    }
    for (host, port, old) in [("SIDECAR_HOST", "SIDECAR_PORT", true), (HOST, PORT, false)] {
        listen(tree, "listen", DEFAULT_LISTEN, (variable(host, set(host)), variable(port, set(port))));
        if old && (set(host).is_some() || set(port).is_some()) {
            notices.push(old_name("SIDECAR_HOST, SIDECAR_PORT", "LOCKGATE_HOST, LOCKGATE_PORT"));
        }
    }
    for (port, old) in [("SIDECAR_METRICS_PORT", true), (METRICS_PORT, false)] {
        listen(tree, "metrics_listen", DEFAULT_METRICS_LISTEN, (None, variable(port, set(port))));
        if old && set(port).is_some() {
            notices.push(old_name(port, METRICS_PORT));
        }
    }
    unknown_variables(variables, notices);
}

/// Lays the command line over everything else.
pub(crate) fn command_line(tree: &mut Node, overrides: &Overrides) {
    let flag = |name: &str| Origin::CommandLine(Arc::from(name));
    for (name, path, text) in [
        ("--listen", "listen", &overrides.listen),
        ("--metrics-listen", "metrics_listen", &overrides.metrics_listen),
        ("--data-dir", "data_dir", &overrides.data_dir),
        ("--log-level", "log.level", &overrides.log_level),
        ("--log-format", "log.format", &overrides.log_format),
    ] {
        if let Some(text) = text {
            tree.set(&Path::dotted(path), Node::new(flag(name), Value::Text(text.clone())));
        }
    }
    for (path, text) in &overrides.set {
        tree.set(&Path::dotted(path), Node::new(flag("--set"), Value::plain(text)));
    }
}

/// A mapping node with these entries, all from one place.
pub(crate) fn map_node(origin: &Origin, entries: Vec<(&str, Value)>) -> Node {
    let entries = entries
        .into_iter()
        .map(|(key, value)| Entry {
            key: key.to_owned(),
            origin: origin.clone(),
            node: Node::new(origin.clone(), value),
        })
        .collect();
    Node::new(origin.clone(), Value::Map(entries))
}

pub(crate) fn from_variable(name: &str) -> Origin {
    Origin::Environment(Arc::from(name))
}

pub(crate) fn old_name(name: &str, today: &str) -> Notice {
    Notice {
        subject: name.to_owned(),
        message: format!("is an old name and still works; write {today} instead"),
    }
}

/// A bare number with the unit that old variables left out.
pub(crate) fn seconds_text(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(_) => format!("{text}s"),
        Err(_) => match text.strip_suffix("s").unwrap_or(text).split_once('.') {
            // Fractions of a second were allowed; three digits of them are kept.
            Some((whole, fraction))
                if !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit()) =>
            {
                let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
                format!("{whole}s{thousandths}ms")
            }
            Some(_) | None => text.to_owned(),
        },
    }
}

type Part = Option<(String, Origin)>;

fn variable(name: &str, text: Option<&str>) -> Part {
    text.map(|text| (text.to_owned(), from_variable(name)))
}

/// Replaces the host, the port, or both of an address that weaker sources may have set.
fn listen(tree: &mut Node, key: &str, default: (&str, &str), (host, port): (Part, Part)) {
    let Some((_, origin)) = port.as_ref().or(host.as_ref()).cloned() else { return };
    let present = match tree.get(key).map(|node| &node.value) {
        Some(Value::Text(text)) => {
            text.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned()))
        }
        _ => None,
    };
    let (old_host, old_port) = present.unwrap_or((default.0.to_owned(), default.1.to_owned()));
    let host = host.map_or(old_host, |(host, _)| host);
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let port = port.map_or(old_port, |(port, _)| port);
    tree.set(&Path::dotted(key), Node::new(origin, Value::Text(format!("{host}:{port}"))));
}

impl Reading {
    fn node(self, text: &str, origin: &Origin) -> Node {
        let value = match self {
            Self::Plain => Value::plain(text),
            Self::Secret => Value::Text(text.to_owned()),
            Self::Seconds => Value::Text(seconds_text(text)),
            Self::Level => Value::Text(match text.to_ascii_lowercase().as_str() {
                "warning" => "warn".to_owned(),
                "critical" | "fatal" => "error".to_owned(),
                level => level.to_owned(),
            }),
            Self::Look => Value::Text(match text.to_ascii_lowercase().as_str() {
                "text" | "console" | "pretty" | "plain" => "human".to_owned(),
                look => look.to_owned(),
            }),
            Self::Passthrough => Value::plain(match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => "passthrough",
                "0" | "false" | "no" | "off" => "reject",
                _ => text,
            }),
            Self::SecretList => Value::List(
                text.split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(|part| Node::new(origin.clone(), Value::Text(part.to_owned())))
                    .collect(),
            ),
            Self::FolderOf => Value::Text(match std::path::Path::new(text).parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.display().to_string(),
                Some(_) | None => ".".to_owned(),
            }),
        };
        Node::new(origin.clone(), value)
    }
}

pub(crate) fn variable_of(path: &str) -> String {
    format!("LOCKGATE_{}", path.replace('.', "_").to_ascii_uppercase())
}

/// A misspelt variable would otherwise be silence where a limit was meant.
fn unknown_variables(variables: &BTreeMap<String, String>, notices: &mut Vec<Notice>) {
    let mut known: Vec<String> = SCALARS.iter().map(|path| variable_of(path)).collect();
    known.extend(
        [HOST, PORT, METRICS_PORT].into_iter().chain(READ_ELSEWHERE.iter().copied()).map(str::to_owned),
    );
    for name in variables.keys().filter(|name| name.starts_with("LOCKGATE_") && !known.contains(name)) {
        let near = closest(name, known.iter().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        notices.push(Notice { subject: name.clone(), message: format!("sets nothing{hint}") });
    }
}
