//! Decides how a configuration of ours is written out; never what it says.

use std::fmt::Write as _;

/// One mapping in flow style, in the order in which it was filled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Flow(Vec<(String, String)>);

impl Flow {
    /// Adds a text.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.raw(key, quoted(value));
    }

    /// Adds what is written already: a number, a mapping, a list.
    pub(super) fn raw(&mut self, key: &str, value: impl ToString) {
        self.0.push((word(key), value.to_string()));
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        write!(f, "{{{}}}", fields.join(", "))
    }
}

/// A list of texts in flow style.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<String> = items.iter().map(|item| word(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A section with one item a line.
pub(super) fn section(yaml: &mut String, name: &str, items: &[String]) {
    if !items.is_empty() {
        let _ = writeln!(yaml, "{name}:");
        for item in items {
            let _ = writeln!(yaml, "{item}");
        }
    }
}

/// A plain word where it can be one, else quoted as JSON does, which YAML reads the same.
pub(super) fn word(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
