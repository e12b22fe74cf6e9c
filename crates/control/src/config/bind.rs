//! Fits a located tree to typed shapes, field by field, and collects everything that does not fit; it never stops at the first problem.

use std::collections::BTreeMap;
use std::io;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::problem::{Problem, Report, did_you_mean, quoted};
use super::tree::{Entry, Node, Path, Step, Value};

/// The process's surroundings, handed in so that reading a configuration touches nothing by itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The environment.
    pub variables: &'a BTreeMap<String, String>,
    /// Reads a secret that is kept in a file of its own.
    pub read_file: &'a dyn Fn(&std::path::Path) -> io::Result<String>,
}

/// More of anything than a configuration written by people or by a script has.
const ITEMS_MAX: usize = 10_000;

/// What `${VAR}` and `file:/path` mean in a secret.
#[derive(Clone, Copy)]
pub(crate) enum References<'a> {
    /// In a configuration file: the variable's or the file's content.
    Resolved(Surroundings<'a>),
    /// In the body of an API call: refused, or a caller could read the host's environment and files.
    Refused,
}

/// A type that a value of the tree can be fitted to.
pub(crate) trait Bind: Sized {
    /// Fits a node; what does not fit is reported, and then nothing is returned.
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self>;

    /// What a key that is left out means; nothing where it must not be left out.
    fn absent() -> Option<Self> {
        None
    }
}

/// One pass over a tree: where it is, and what it found wrong.
pub(crate) struct Binder<'a> {
    pub(crate) references: References<'a>,
    pub(crate) report: Report,
    path: Path,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(references: References<'a>) -> Self {
        Self { references, report: Report::default(), path: Path::default() }
    }

    /// Reports a problem at the place of `node`.
    pub(crate) fn refuse<T>(
        &mut self,
        node: &Node,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) -> Option<T> {
        self.report.add(Problem {
            origin: node.origin.clone(),
            path: self.path.clone(),
            message: message.into(),
            suggestion,
        });
        None
    }

    /// Reports that something else was expected here. The value itself is not repeated: it may be a secret.
    pub(crate) fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        let message = format!("expected {what}, found {}", node.value.kind());
        self.refuse(node, message, None)
    }

    /// The entries of a mapping whose keys must all be among `known`.
    pub(crate) fn mapping<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<&'n [Entry]> {
        let Value::Map(entries) = &node.value else {
            return self.expected(node, "a mapping");
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.report.add(Problem {
                origin: entry.origin.clone(),
                path: self.path.then(entry.key.as_str()),
                message: format!("unknown key {}", quoted(&entry.key)),
                suggestion: elsewhere(&entry.key, known).or_else(|| did_you_mean(&entry.key, known)),
            });
        }
        Some(entries)
    }

    /// One field of a shape. A field that may be left out counts as left out when it does not fit, so that
    /// the rest can still be held against each other; the report already says that this is not all.
    pub(crate) fn field<T: Bind>(&mut self, node: &Node, entries: &[Entry], name: &str) -> Option<T> {
        let found = entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node);
        match found {
            Some(value) if value.value != Value::Null => {
                self.step(name, |binder| T::bind(value, binder)).or_else(T::absent)
            }
            Some(_) | None => T::absent().or_else(|| {
                let near = found.unwrap_or(node);
                self.step(name, |binder| binder.refuse(near, "must be given", None))
            }),
        }
    }

    /// Does something one step further into the tree.
    pub(crate) fn step<T>(&mut self, step: impl Into<Step>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let outcome = work(self);
        self.path.pop();
        outcome
    }
}

/// What people look for in one place and is written in another.
fn elsewhere(key: &str, known: &[&str]) -> Option<String> {
    let is_budget = matches!(key, "budget" | "budgets") && !known.contains(&"budgets");
    is_budget
        .then(|| "budgets stand beside `keys`: `budgets: [{key: NAME, amount: 50, per: day}]`".to_owned())
}

impl<T: Bind> Bind for Option<T> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        T::bind(node, binder).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Bind> Bind for Vec<T> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let Value::List(nodes) = &node.value else {
            return binder.expected(node, "a list");
        };
        if nodes.len() > ITEMS_MAX {
            return binder.refuse(node, format!("has more than {ITEMS_MAX} entries"), None);
        }
        // Every item is looked at before the first one that failed spoils the list.
        let items: Vec<Option<T>> = nodes
            .iter()
            .enumerate()
            .map(|(index, item)| binder.step(index, |binder| T::bind(item, binder)))
            .collect();
        items.into_iter().collect()
    }
}

/// A list of objects, each with its place: one that does not fit is left out, and the others are still looked at.
#[derive(Debug, Clone)]
pub struct List<T> {
    items: Vec<(usize, T)>,
    whole: bool,
}

impl<T> List<T> {
    /// What fits, with its place in the list as it was written.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.items.iter().map(|(index, item)| (*index, item))
    }

    /// Whether everything fits.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }
}

impl<T: Bind> Bind for List<T> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let Value::List(nodes) = &node.value else {
            return binder.expected(node, "a list");
        };
        if nodes.len() > ITEMS_MAX {
            return binder.refuse(node, format!("has more than {ITEMS_MAX} entries"), None);
        }
        let items: Vec<(usize, T)> = nodes
            .iter()
            .enumerate()
            .filter_map(|(index, item)| binder.step(index, |binder| Some((index, T::bind(item, binder)?))))
            .collect();
        Some(Self { whole: items.len() == nodes.len(), items })
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("List_of_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

/// A mapping whose keys are names that the user chose, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<T>(pub Vec<(String, T)>);

impl<T: Bind> Bind for Table<T> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            return binder.expected(node, "a mapping of names");
        };
        if entries.len() > ITEMS_MAX {
            return binder.refuse(node, format!("has more than {ITEMS_MAX} entries"), None);
        }
        let bound: Vec<Option<(String, T)>> = entries
            .iter()
            .map(|entry| {
                binder.step(entry.key.as_str(), |binder| {
                    if !super::leaf::is_model_name(&entry.key) {
                        let at = Node::new(entry.origin.clone(), Value::Null);
                        return binder.refuse(&at, super::leaf::MODEL_NAME_RULE, None);
                    }
                    T::bind(&entry.node, binder).map(|value| (entry.key.clone(), value))
                })
            })
            .collect();
        bound.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Table_of_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        schemars::json_schema!({"type": "object", "additionalProperties": values})
    }
}

impl Bind for bool {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        match &node.value {
            Value::Bool(yes) => Some(*yes),
            _ => binder.expected(node, "true or false"),
        }
    }
}

/// Declares a mapping of the configuration once: its type, its JSON Schema, and how a tree is fitted to it.
macro_rules! shape {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $vis struct $name { $($(#[$field_meta])* pub $field: $kind,)* }

        impl $crate::config::bind::Bind for $name {
            fn bind(node: &$crate::config::tree::Node, binder: &mut $crate::config::bind::Binder<'_>) -> Option<Self> {
                let entries = binder.mapping(node, &[$(stringify!($field)),*])?;
                $(let $field = binder.field::<$kind>(node, entries, stringify!($field));)*
                Some(Self { $($field: $field?,)* })
            }
        }
    };
}

/// Declares a word out of a short list once: its type, its JSON Schema, and how text is fitted to it.
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$word_meta:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $($(#[$word_meta])* $word,)* }

        impl $name {
            /// All words.
            $vis const NAMES: &'static [&'static str] = &[$($text),*];

            /// The word as it is written.
            $vis fn name(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }
        }

        impl $crate::config::bind::Bind for $name {
            fn bind(node: &$crate::config::tree::Node, binder: &mut $crate::config::bind::Binder<'_>) -> Option<Self> {
                let known = Self::NAMES;
                let $crate::config::tree::Value::Text(text) = &node.value else {
                    return binder.expected(node, &format!("one of {}", known.join(", ")));
                };
                match text.as_str() {
                    $($text => Some(Self::$word),)*
                    _ => {
                        let near = $crate::config::problem::closest(text, known.iter().copied());
                        let suggestion = near.map(|name| format!("did you mean `{name}`?"));
                        binder.refuse(node, format!("must be one of {}", known.join(", ")), suggestion)
                    }
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($text),*]})
            }
        }
    };
}

pub(crate) use {choice, shape};
