//! A configuration as a tree whose every value knows where it was written; it decides how sources overlay, never what values mean.

use std::fmt;
use std::sync::Arc;

/// Where a value came from, in reading order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A place in the configuration file.
    File {
        /// The file's name as it was given.
        file: Arc<str>,
        /// Counted from 1; 0 when the format gave no place.
        line: u32,
        /// Counted from 1, in characters.
        column: u32,
    },
    /// An environment variable.
    Environment(Arc<str>),
    /// A command line argument.
    CommandLine(Arc<str>),
    /// A setting stored through the API.
    Stored,
    /// The body of an API call.
    Request,
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: 0, .. } => f.write_str(file),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(flag) => write!(f, "command line {flag}"),
            Self::Stored => f.write_str("stored by API"),
            Self::Request => f.write_str("request body"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One step into a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The way from the root to a setting, shown as `backends[1].limits.rpm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Step>);

impl Path {
    /// A path of plain keys, as in `limits.queue_max`.
    pub(crate) fn dotted(text: &str) -> Self {
        Self(text.split('.').map(Step::from).collect())
    }

    /// This path, one step further.
    pub(crate) fn then(&self, step: impl Into<Step>) -> Self {
        let mut longer = self.clone();
        longer.0.push(step.into());
        longer
    }

    /// Whether this is the whole configuration.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, step: impl Into<Step>) {
        self.0.push(step.into());
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl<S: Into<Step>> FromIterator<S> for Path {
    fn from_iter<I: IntoIterator<Item = S>>(steps: I) -> Self {
        Self(steps.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    for c in key.chars().take(64) {
                        write!(f, "{}", if c.is_control() { '?' } else { c })?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

/// What was written. Numbers stay the text they were, so that a price never passes through a float.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) node: Node,
}

impl fmt::Debug for Node {
    /// Only the shape: any text in a tree may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.value.kind(), self.origin)
    }
}

impl Value {
    /// What a reader would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// An unquoted word as YAML's core schema reads it; environment and command line values are read so too.
    pub(crate) fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            number if is_number(number) => Self::Number(number.to_owned()),
            other => Self::Text(other.to_owned()),
        }
    }
}

impl Node {
    pub(crate) fn new(origin: Origin, value: Value) -> Self {
        Self { origin, value }
    }

    /// A mapping without keys.
    pub(crate) fn empty(origin: Origin) -> Self {
        Self::new(origin, Value::Map(Vec::new()))
    }

    /// The value under a key, where this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// The same as JSON; numbers stay the text they were.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(yes) => serde_json::Value::Bool(*yes),
            Value::Number(text) | Value::Text(text) => serde_json::Value::String(text.clone()),
            Value::List(nodes) => nodes.iter().map(Self::json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.json())).collect()
            }
        }
    }

    /// The value at a place of a list.
    pub(crate) fn get_index(&self, index: usize) -> Option<&Self> {
        match &self.value {
            Value::List(nodes) => nodes.get(index),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => None,
        }
    }

    /// How many values this list holds; none when it is no list.
    pub(crate) fn children(&self) -> usize {
        match &self.value {
            Value::List(nodes) => nodes.len(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => 0,
        }
    }

    /// The value at a path.
    pub(crate) fn at(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, Self::child)
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match step {
            Step::Key(key) => self.get(key),
            Step::Index(index) => self.get_index(*index),
        }
    }

    /// Where the value at a path was written, or the nearest thing around it that was written at all.
    pub(crate) fn origin_near(&self, path: &Path) -> Origin {
        let mut node = self;
        for step in &path.0 {
            let Some(found) = node.child(step) else { break };
            node = found;
        }
        node.origin.clone()
    }

    /// Puts a value at a path of keys, making the mappings on the way.
    pub(crate) fn set(&mut self, path: &Path, leaf: Self) {
        let mut node = self;
        for step in &path.0 {
            let Step::Key(key) = step else { return };
            if !matches!(node.value, Value::Map(_)) {
                node.value = Value::Map(Vec::new());
            }
            let Value::Map(entries) = &mut node.value else { return };
            let position = entries.iter().position(|entry| &entry.key == key).unwrap_or_else(|| {
                let origin = leaf.origin.clone();
                entries.push(Entry { key: key.clone(), origin: origin.clone(), node: Self::empty(origin) });
                entries.len() - 1
            });
            node = &mut entries[position].node;
        }
        *node = leaf;
    }

    /// Lays a stronger source over this one: mappings join, everything else is replaced.
    pub(crate) fn overlay(&mut self, stronger: Self) {
        let Value::Map(theirs) = stronger.value else {
            if stronger.value != Value::Null {
                *self = stronger;
            }
            return;
        };
        if !matches!(self.value, Value::Map(_)) {
            *self = Self::empty(stronger.origin);
        }
        let Value::Map(ours) = &mut self.value else { return };
        for entry in theirs {
            match ours.iter_mut().find(|mine| mine.key == entry.key) {
                Some(mine) => {
                    mine.origin = entry.origin;
                    mine.node.overlay(entry.node);
                }
                None => ours.push(entry),
            }
        }
    }
}

/// Decimal integers and fractions, with an exponent or without.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
        None => !mantissa.is_empty() && digits(mantissa),
    };
    whole && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
