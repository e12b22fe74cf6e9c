//! Whether a stream is one that its dialect's own service could have sent, and what a client reads in it: an account of each
//! grammar that shares no code with the one that is tested; never a meaning.

mod anthropic_messages;
mod gemini;
mod openai_chat;
mod openai_responses;

use serde_json::Value;

/// What a client that joins the pieces of a stream has read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Texts and refusals, which not all dialects tell apart.
    pub(crate) text: String,
    /// Thoughts.
    pub(crate) thoughts: String,
    /// Names and arguments of calls.
    pub(crate) calls: Vec<(String, String)>,
    /// How it ended.
    pub(crate) end: End,
}

/// How a stream says that it ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It does not say so.
    #[default]
    Open,
    /// With a whole answer.
    Complete,
    /// With an error.
    Failed,
}

impl Reading {
    /// The same with arguments that are objects written in one way: what is none is put into one where it must.
    pub(crate) fn settled(mut self) -> Self {
        for (_, arguments) in &mut self.calls {
            let written = if arguments.is_empty() { "{}" } else { arguments.as_str() };
            let object = serde_json::from_str(written).ok().filter(Value::is_object);
            *arguments = object.unwrap_or_else(|| serde_json::json!({"input": written})).to_string();
        }
        self
    }
}

/// One event as it is framed.
#[derive(Debug, Clone, Copy)]
struct Framed<'a> {
    name: Option<&'a str>,
    data: &'a str,
}

/// What is wrong with a stream.
type Fault = String;

/// Holds if `condition` does; `what` says what must.
fn must(condition: bool, what: &str, seen: &Value) -> Result<(), Fault> {
    if condition { Ok(()) } else { Err(format!("{what}: {seen}")) }
}

/// The text of a field, which must be there.
fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str, Fault> {
    value[name].as_str().ok_or_else(|| format!("`{name}` must be a string: {value}"))
}

/// The text of a field, which must say something.
fn full_text<'v>(value: &'v Value, name: &str) -> Result<&'v str, Fault> {
    let found = text(value, name)?;
    must(!found.is_empty(), &format!("`{name}` must not be empty"), value)?;
    Ok(found)
}

fn count(value: &Value, name: &str) -> Result<u64, Fault> {
    value[name].as_u64().ok_or_else(|| format!("`{name}` must be a count: {value}"))
}

/// One dialect's rules, event by event.
trait Rules {
    /// Takes the next event, or says what is wrong with it.
    fn take(&mut self, event: Framed<'_>) -> Result<(), Fault>;

    /// Takes what follows the last event and is none.
    fn tail(&mut self, rest: &str) -> Result<(), Fault> {
        Err(format!("an event is not ended: {rest:?}"))
    }

    /// What was read.
    fn reading(self: Box<Self>) -> Reading;
}

/// Reads a whole stream of `dialect`.
pub(crate) fn read(dialect: &str, stream: &str) -> Result<Reading, Fault> {
    let mut rules: Box<dyn Rules> = match dialect {
        "openai_chat" => Box::new(openai_chat::Chat::default()),
        "openai_responses" => Box::new(openai_responses::Responses::default()),
        "anthropic_messages" => Box::new(anthropic_messages::Messages::default()),
        "gemini" => Box::new(gemini::Contents::default()),
        other => return Err(format!("no grammar of {other}")),
    };
    for event in stream.split_inclusive("\n\n") {
        let Some(lines) = event.strip_suffix("\n\n") else {
            rules.tail(event)?;
            continue;
        };
        let (name, data) = match lines.split_once('\n') {
            Some((first, second)) => (first.strip_prefix("event: "), second),
            None => (None, lines),
        };
        let data = data.strip_prefix("data: ").filter(|data| !data.contains('\n'));
        let data = data.ok_or_else(|| format!("an event is its name and a line of data: {event:?}"))?;
        rules.take(Framed { name, data }).map_err(|fault| format!("{fault}\n  at {event:?}"))?;
    }
    Ok(rules.reading())
}

fn json(event: Framed<'_>) -> Result<Value, Fault> {
    serde_json::from_str(event.data).map_err(|error| format!("not JSON: {error}"))
}
