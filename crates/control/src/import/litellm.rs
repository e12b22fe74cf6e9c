//! Reads a configuration of LiteLLM's proxy; what it cannot say in our words is reported by its place, never guessed.

mod deployment;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use super::written::{Flow, list, section, word};
use super::{Fate, Imported, Item};
use crate::config::tree::{Entry, Node, Origin, Path, Value};
use crate::config::{Report, read_yaml};
use deployment::Backend;

/// Says a LiteLLM configuration in our words. `name` is shown with every place.
pub fn litellm(name: &str, text: &str) -> Result<Imported, Report> {
    let tree = merged(read_yaml(Arc::from(name), text)?);
    let mut import = Import::default();
    match &tree.value {
        Value::Map(entries) => import.whole(entries),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
            import.note(&tree.origin, &Path::default(), Fate::Unsupported, "a configuration is a mapping");
        }
    }
    let yaml = import.written();
    Ok(Imported { yaml, items: import.items })
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Import {
    items: Vec<Item>,
    backends: Vec<Backend>,
    keys: Vec<Flow>,
    budgets: Vec<Flow>,
    /// Other names, and what they lead to, with the place of each.
    aliases: Vec<Alias>,
    fallbacks: Vec<Alias>,
    /// Both, as they are written.
    joined: Vec<(String, Vec<String>)>,
    limits: Flow,
    retry: Flow,
    cooldown: Flow,
    breaker: Flow,
    deadlines: Flow,
    strategy: Option<&'static str>,
    budget: settings::Budget,
}

/// One name that leads to models.
struct Alias {
    name: String,
    targets: Vec<String>,
    origin: Origin,
    path: Path,
}

impl Import {
    fn whole(&mut self, entries: &[Entry]) {
        for entry in entries {
            let path = Path::default().then(entry.key.as_str());
            match (entry.key.as_str(), &entry.node.value) {
                ("model_list", Value::List(models)) => {
                    for (index, model) in models.iter().enumerate() {
                        self.model(model, &path.then(index));
                    }
                }
                ("router_settings", Value::Map(fields)) => self.router_settings(fields, &path),
                ("litellm_settings", Value::Map(fields)) => self.litellm_settings(fields, &path),
                ("general_settings", Value::Map(fields)) => self.general_settings(fields, &path),
                ("environment_variables", Value::Map(fields)) => {
                    for field in fields {
                        let note =
                            "set this variable where the gateway is started; its value is not taken over";
                        self.note(&field.origin, &path.then(field.key.as_str()), Fate::Unsupported, note);
                    }
                }
                (_, Value::Null) => self.note(&entry.origin, &path, Fate::Kept, "nothing is said"),
                (_, _) => self.unknown(entry, &path),
            }
        }
        self.close_budget();
        self.close_aliases();
    }

    fn note(&mut self, origin: &Origin, path: &Path, fate: Fate, note: impl Into<String>) {
        let (at, setting) = (origin.to_string(), path.to_string());
        self.items.push(Item { at, setting, fate, note: note.into() });
    }

    fn kept(&mut self, entry: &Entry, path: &Path, note: impl Into<String>) {
        self.note(&entry.origin, path, Fate::Kept, note);
    }

    fn changed(&mut self, entry: &Entry, path: &Path, note: impl Into<String>) {
        self.note(&entry.origin, path, Fate::Changed, note);
    }

    fn unsupported(&mut self, entry: &Entry, path: &Path, note: impl Into<String>) {
        self.note(&entry.origin, path, Fate::Unsupported, note);
    }

    fn unknown(&mut self, entry: &Entry, path: &Path) {
        self.unsupported(entry, path, "nothing here does this");
    }

    /// A secret as our file names it. One that stands in clear goes into a variable of this name; it is not repeated.
    fn secret(&mut self, entry: &Entry, path: &Path, variable: &str) -> Option<String> {
        let text = scalar(&entry.node)?;
        if let Some(name) = text.strip_prefix("os.environ/") {
            if !is_variable(name) {
                self.unsupported(entry, path, "is no name of a variable");
                return None;
            }
            self.kept(entry, path, format!("from the environment variable {name}"));
            return Some(format!("${{{name}}}"));
        }
        self.changed(
            entry,
            path,
            format!("stands here in clear: put it into the environment variable {variable}"),
        );
        Some(format!("${{{variable}}}"))
    }

    /// Joins names and fallbacks: a model with others to fall back on is a list that begins with itself.
    fn close_aliases(&mut self) {
        let mut joined: Vec<(String, Vec<String>)> = Vec::new();
        for alias in std::mem::take(&mut self.aliases) {
            if self.backends.iter().any(|backend| backend.maps(&alias.name)) {
                let note = "a model of this name is served, which would hide the other name";
                self.note(&alias.origin, &alias.path, Fate::Unsupported, note);
                continue;
            }
            let targets = self.served_only(&alias);
            if !targets.is_empty() {
                self.note(&alias.origin, &alias.path, Fate::Kept, "an alias");
                joined.push((alias.name, targets));
            }
        }
        for fallback in std::mem::take(&mut self.fallbacks) {
            let others = self.served_only(&fallback);
            if others.is_empty() {
                continue;
            }
            let note = "an alias that tries these models in order";
            match joined.iter_mut().find(|(name, _)| *name == fallback.name) {
                Some((_, targets)) => targets.extend(others),
                None if self.serves(&fallback.name) => {
                    let own = std::iter::once(fallback.name.clone());
                    joined.push((fallback.name.clone(), own.chain(others).collect()));
                }
                None => {
                    let note = "no model of this name is left to fall back from";
                    self.note(&fallback.origin, &fallback.path, Fate::Unsupported, note);
                    continue;
                }
            }
            self.note(&fallback.origin, &fallback.path, Fate::Changed, note);
        }
        for (_, targets) in &mut joined {
            let mut seen = HashSet::new();
            targets.retain(|target| seen.insert(target.clone()));
        }
        self.joined = joined;
    }

    fn serves(&self, name: &str) -> bool {
        self.backends.iter().any(|backend| backend.serves(name))
    }

    /// What of an alias leads somewhere; what does not is told.
    fn served_only(&mut self, alias: &Alias) -> Vec<String> {
        let (served, lost): (Vec<String>, Vec<String>) =
            alias.targets.iter().cloned().partition(|target| self.serves(target));
        for target in lost {
            let note = format!("no model `{}` came over", shown(&target));
            self.note(&alias.origin, &alias.path, Fate::Unsupported, note);
        }
        served
    }

    fn written(&self) -> String {
        let mut yaml =
            String::from("# Made from a LiteLLM configuration. Secrets are read from the environment.\n");
        for (name, flow) in [
            ("limits", &self.limits),
            ("retry", &self.retry),
            ("cooldown", &self.cooldown),
            ("breaker", &self.breaker),
            ("deadlines", &self.deadlines),
        ] {
            if !flow.is_empty() {
                yaml.push_str(&format!("{name}: {flow}\n"));
            }
        }
        if let Some(strategy) = self.strategy {
            yaml.push_str(&format!("pools: {{primary: {{strategy: {strategy}}}}}\n"));
        }
        let item = |flow: &Flow| format!("  - {flow}");
        section(&mut yaml, "keys", &self.keys.iter().map(item).collect::<Vec<_>>());
        section(&mut yaml, "budgets", &self.budgets.iter().map(item).collect::<Vec<_>>());
        let backends: Vec<String> = self.backends.iter().map(|backend| item(&backend.flow())).collect();
        section(&mut yaml, "backends", &backends);
        let alias = |(name, targets): &(String, Vec<String>)| format!("  {}: {}", word(name), list(targets));
        section(&mut yaml, "aliases", &self.joined.iter().map(alias).collect::<Vec<_>>());
        yaml
    }
}

/// The same with YAML's merge keys resolved: what `<<` brings stands behind what is written.
fn merged(node: Node) -> Node {
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(merged).collect()),
        Value::Map(entries) => {
            let (brought, mut own): (Vec<Entry>, Vec<Entry>) =
                entries.into_iter().partition(|entry| entry.key == "<<");
            for entry in &mut own {
                let value = std::mem::replace(&mut entry.node.value, Value::Null);
                entry.node = merged(Node { origin: entry.node.origin.clone(), value });
            }
            for entry in brought.into_iter().flat_map(|entry| maps(merged(entry.node))) {
                if !own.iter().any(|known| known.key == entry.key) {
                    own.push(entry);
                }
            }
            Value::Map(own)
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_)) => scalar,
    };
    Node { origin: node.origin, value }
}

/// The entries of a mapping, or of several.
fn maps(node: Node) -> Vec<Entry> {
    match node.value {
        Value::Map(entries) => entries,
        Value::List(items) => items.into_iter().flat_map(maps).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Vec::new(),
    }
}

/// What a scalar says, whatever it looks like.
fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text.trim().to_owned()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

fn is_variable(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A name as it may be repeated in a report.
fn shown(name: &str) -> String {
    name.chars().take(64).filter(|c| !c.is_control()).collect()
}

/// Seconds as LiteLLM writes them (`30`, `0.5`), as we do.
fn seconds(text: &str) -> Option<String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = whole.parse().ok()?;
    let part = part.trim_end_matches('0');
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: u64 = format!("{part:0<3}").parse().ok()?;
    let total = whole.checked_mul(1000)?.checked_add(millis)?;
    let in_range = (1..=86_400_000).contains(&total);
    in_range.then(|| if millis == 0 { format!("{whole}s") } else { format!("{total}ms") })
}
