//! Plays a model that works with tools until it has what it needs, in any of four dialects; as strict as the services are
//! about what a next turn must bring back, and never reads more into it than they do.

mod chat;
mod gemini;
mod messages;
mod responses;

use bytes::Bytes;
use serde_json::{Value, json};

use super::openai::{Answer, error_object};
use super::received::Received;

/// How many tools it calls in its first turn, its second, ...; then it says what it got.
const CALLS: &[usize] = &[2, 1];

/// Writes the arguments of a call that is to bring this word back.
type Arguments = fn(&str) -> Value;

/// The tools it knows how to call: those of people's programs, and one that tests bring.
const TOOLS: &[(&str, Arguments)] = &[
    ("Bash", |word| json!({"command": format!("echo {word}"), "description": "Says a word"})),
    ("exec_command", |word| json!({"cmd": format!("echo {word}")})),
    ("shell_command", |word| json!({"command": format!("echo {word}")})),
    ("shell", |word| json!({"command": ["echo", word]})),
    ("run_shell_command", |word| json!({"command": format!("echo {word}"), "description": "Says a word"})),
    ("get_weather", |word| json!({"city": word})),
];

/// What a request comes to, whatever its dialect.
struct Asked {
    model: String,
    streams: bool,
    /// The names of the tools on offer.
    tools: Vec<String>,
    /// What tools have answered so far.
    results: Vec<String>,
    /// The client wants to see thoughts, or will bring them back.
    thinks: bool,
}

/// What the model does next.
enum Move {
    Call(Vec<Call>),
    Say(String),
}

struct Call {
    id: String,
    name: String,
    arguments: Value,
}

/// What it says while it thinks, and what it wants to see again where its service does.
const THOUGHT: &str = "I shall use a tool.";
const SEAL: &str = "c2VhbCBvZiBhIHNjcmlwdGVkIG1vZGVs";

/// A request that the service would refuse.
struct Refused(String);

/// The answer to `request`, or the refusal and its status.
pub(super) fn answer(request: &Received) -> (u16, Answer) {
    let path = request.path.split('?').next().unwrap_or_default();
    let asked = request.json();
    let answered = match path.rsplit('/').next().unwrap_or_default() {
        "completions" => chat::answer(&asked),
        "responses" => responses::answer(&asked),
        "messages" => messages::answer(&asked),
        "count_tokens" => Ok(whole(&json!({"input_tokens": 42}))),
        method if method.contains(":") => gemini::answer(method, &asked),
        _ => Ok(whole(&json!({"object": "list", "data": []}))),
    };
    match answered {
        Ok(answer) => (200, answer),
        Err(Refused(why)) if path.ends_with("/messages") => {
            let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": why}});
            (400, whole(&error))
        }
        Err(Refused(why)) => (400, whole(&error_object(400, &why))),
    }
}

impl Asked {
    fn next(&self) -> Move {
        let known = TOOLS.iter().find(|(name, _)| self.tools.iter().any(|offered| offered == name));
        let Some((name, arguments)) = known else {
            return Move::Say("There is no tool for me here.".to_owned());
        };
        let mut done = 0;
        for calls in CALLS {
            if self.results.len() < done + calls {
                let calls = (self.results.len()..done + calls).map(|number| Call {
                    id: format!("call_{number}"),
                    name: (*name).to_owned(),
                    arguments: arguments(&format!("lockgate-{number}")),
                });
                return Move::Call(calls.collect());
            }
            done += calls;
        }
        Move::Say(format!("The tools said: {}", self.results.join(" | ")))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Object(part) => match (part.get("text"), part.get("output"), part.get("content")) {
            (Some(inner), _, _) | (None, Some(inner), _) | (None, None, Some(inner)) => text(inner),
            (None, None, None) => value.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text in pieces of a few characters, as a model writes it.
fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(7).map(|piece| piece.iter().collect()).collect()
}

fn whole(body: &Value) -> Answer {
    ("application/json", vec![Bytes::from(body.to_string())], None)
}

/// Events that bear their type in their data, and in their name too where `named`.
fn stream(events: Vec<Value>, named: Named) -> Answer {
    let framed = events.into_iter().map(|event| {
        let name = match named {
            Named::ByType => format!("event: {}\n", event["type"].as_str().unwrap_or_default()),
            Named::Not => String::new(),
        };
        Bytes::from(format!("{name}data: {event}\n\n"))
    });
    ("text/event-stream", framed.collect(), None)
}

enum Named {
    ByType,
    Not,
}
