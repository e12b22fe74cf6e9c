//! Turns YAML, TOML or JSON text into a located tree within fixed bounds; it never gives a value a meaning.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Report, quoted};
use super::tree::{Entry, Node, Origin, Path, Value};

/// No hand-written configuration is longer.
pub(crate) const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deeper than the configuration goes, shallow enough for any stack.
const DEPTH_MAX: usize = 32;
/// Counts values after YAML aliases are followed, so that a small file cannot unfold into a huge one.
const NODES_MAX: usize = 500_000;

/// How a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.yaml`, `.yml`, and whatever has no known ending.
    Yaml,
    /// `.toml`
    Toml,
    /// `.json`
    Json,
}

impl Format {
    /// The format that a file's name promises.
    pub fn of(file: &str) -> Self {
        match file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("toml") => Self::Toml,
            Some("json") => Self::Json,
            Some(_) | None => Self::Yaml,
        }
    }
}

/// Reads a whole text; what is wrong with its grammar goes to the report.
pub(crate) fn read(text: &str, format: Format, place: &Place, report: &mut Report) -> Option<Node> {
    if text.len() > TEXT_BYTES_MAX {
        report.add(place.problem(0, 0, format!("the file is longer than {TEXT_BYTES_MAX} bytes")));
        return None;
    }
    match format {
        Format::Yaml => yaml(text, place, report),
        Format::Toml => toml(text, place, report),
        Format::Json => json(text, place, report),
    }
}

/// What the text is: a named file, the body of an API call, or what such a body left in the store.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    File(Arc<str>),
    Request,
    Stored,
}

impl Place {
    fn origin(&self, line: usize, column: usize) -> Origin {
        match self {
            Self::File(file) => Origin::File {
                file: Arc::clone(file),
                line: u32::try_from(line).unwrap_or(u32::MAX),
                // serde_json counts an empty line's columns from 0.
                column: u32::try_from(column.max(1)).unwrap_or(u32::MAX),
            },
            Self::Request => Origin::Request,
            Self::Stored => Origin::Stored,
        }
    }

    pub(super) fn problem(&self, line: usize, column: usize, message: String) -> Problem {
        Problem { origin: self.origin(line, column), path: Path::default(), message, suggestion: None }
    }
}

/// JSON is YAML as far as values and places go; its stricter grammar is checked first.
fn json(text: &str, place: &Place, report: &mut Report) -> Option<Node> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let message = match error.classify() {
            serde_json::error::Category::Eof => "the JSON ends too early",
            _ => "this is not valid JSON",
        };
        report.add(place.problem(error.line(), error.column(), message.to_owned()));
        return None;
    }
    yaml(text, place, report)
}

fn yaml(text: &str, place: &Place, report: &mut Report) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
        simple_key_max_lookahead: 4096,
    };
    let mut builder = Builder::new(place, report);
    for event in Parser::new_from_str_with_options(text, options) {
        let outcome = match event {
            Ok((event, span)) => builder.take(event, span),
            // The parser's own text may quote the source, and the source may be a secret.
            Err(error) => Err(place.problem(
                error.marker().line(),
                error.marker().col() + 1,
                "this is not valid YAML: check indentation, quotes and brackets here and just above"
                    .to_owned(),
            )),
        };
        if let Err(problem) = outcome {
            builder.report.add(problem);
            return None;
        }
    }
    Some(builder.root.unwrap_or_else(|| Node::empty(place.origin(1, 1))))
}

/// A collection that is still open.
enum Open {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Origin)> },
}

struct Builder<'a> {
    place: &'a Place,
    report: &'a mut Report,
    open: Vec<(Open, Origin, usize)>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
}

impl<'a> Builder<'a> {
    fn new(place: &'a Place, report: &'a mut Report) -> Self {
        Self { place, report, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None, documents: 0 }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let origin = self.place.origin(line, column);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(self.place.problem(line, column, "only one YAML document is read".to_owned())),
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let value = match style {
                    ScalarStyle::Plain => Value::plain(&text),
                    _ => Value::Text(text.into_owned()),
                };
                self.put(Node::new(origin, value), anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), origin, anchor),
            Event::MappingStart(_, anchor, _) => {
                self.open(Open::Map { entries: Vec::new(), key: None }, origin, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((node, size)) => self.put(node, 0, size),
                None => {
                    Err(self.place.problem(line, column, "this alias names nothing before it".to_owned()))
                }
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, origin: Origin, anchor: usize) -> Result<(), Problem> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(Problem { origin, path: Path::default(), message, suggestion: None });
        }
        self.open.push((open, origin, anchor));
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some((open, origin, anchor)) = self.open.pop() else { return Ok(()) };
        let value = match open {
            Open::List(nodes) => Value::List(nodes),
            Open::Map { entries, .. } => Value::Map(entries),
        };
        let node = Node::new(origin, value);
        let size = if anchor == 0 { 1 } else { count(&node) };
        self.put(node, anchor, size)
    }

    /// Files a finished node under whatever is open. `size` is what it adds when it is a copy.
    fn put(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Problem> {
        self.nodes += size;
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values, aliases included");
            return Err(Problem { origin: node.origin, path: Path::default(), message, suggestion: None });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((Open::List(nodes), ..)) => nodes.push(node),
            Some((Open::Map { entries, key }, ..)) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some((key, origin)) if entries.iter().any(|entry| entry.key == key) => {
                    let message = format!("the key {} is written twice in one mapping", quoted(&key));
                    self.report.add(Problem { origin, path: Path::default(), message, suggestion: None });
                }
                Some((key, origin)) => entries.push(Entry { key, origin, node }),
            },
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<(String, Origin), Problem> {
    match node.value {
        Value::Text(text) | Value::Number(text) => Ok((text, node.origin)),
        Value::Bool(yes) => Ok((yes.to_string(), node.origin)),
        Value::Null | Value::List(_) | Value::Map(_) => Err(Problem {
            origin: node.origin,
            path: Path::default(),
            message: "a key must be a word".to_owned(),
            suggestion: None,
        }),
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(nodes) => nodes.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|entry| count(&entry.node)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => 0,
    }
}

fn toml(text: &str, place: &Place, report: &mut Report) -> Option<Node> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let (line, column) = error.span().map_or((0, 0), |span| lines.place(text, span.start));
        report.add(place.problem(line, column, "this is not valid TOML".to_owned()));
    }
    if !errors.is_empty() {
        return None;
    }
    let origin = place.origin(1, 1);
    let reader = TomlReader { text, lines, place };
    match reader.table(table.get_ref(), 0) {
        Ok(value) => Some(Node::new(origin, value)),
        Err(problem) => {
            report.add(problem);
            None
        }
    }
}

struct TomlReader<'a> {
    text: &'a str,
    lines: Lines,
    place: &'a Place,
}

impl TomlReader<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let (line, column) = self.lines.place(self.text, offset);
        self.place.origin(line, column)
    }

    fn table(&self, table: &DeTable<'_>, depth: usize) -> Result<Value, Problem> {
        let mut keys: Vec<_> = table.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let entries = keys.into_iter().map(|(key, value)| {
            let origin = self.origin(key.span().start);
            let node = Node::new(self.origin(value.span().start), self.value(value, depth)?);
            Ok(Entry { key: key.get_ref().to_string(), origin, node })
        });
        Ok(Value::Map(entries.collect::<Result<_, Problem>>()?))
    }

    fn value(&self, value: &toml::Spanned<DeValue<'_>>, depth: usize) -> Result<Value, Problem> {
        let at = || self.origin(value.span().start);
        if depth > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(Problem { origin: at(), path: Path::default(), message, suggestion: None });
        }
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Integer(number) if number.radix() == 10 => Value::Number(number.as_str().to_owned()),
            DeValue::Integer(number) => match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Number(number.to_string()),
                Err(_) => Value::Text(number.to_string()),
            },
            DeValue::Float(number) => Value::plain(number.as_str()),
            DeValue::Datetime(time) => Value::Text(time.to_string()),
            DeValue::Array(list) => {
                let nodes = list
                    .iter()
                    .map(|item| Ok(Node::new(self.origin(item.span().start), self.value(item, depth + 1)?)));
                Value::List(nodes.collect::<Result<_, Problem>>()?)
            }
            DeValue::Table(table) => self.table(table, depth + 1)?,
        })
    }
}

/// Where each line starts, to turn a byte offset into a place.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(offset, _)| offset + 1)).collect())
    }

    fn place(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.0.get(index)).copied().unwrap_or(0);
        let column = text.get(start..offset).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }
}
