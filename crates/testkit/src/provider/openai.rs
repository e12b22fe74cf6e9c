//! Decides what a healthy OpenAI-style provider answers; never anything but the same answer to the same request.

use bytes::Bytes;
use serde_json::{Value, json};

use super::behaviour::{Behaviour, Newline, UsageShown};
use super::foreign;
use super::received::Received;

/// The content type, the pieces of the body, and the usage shown in it.
pub(super) type Answer = (&'static str, Vec<Bytes>, Option<(u64, u64)>);

const CREATED: u64 = 1_700_000_000;

/// The healthy answer to `request`.
pub(super) fn answer(behaviour: &Behaviour, request: &Received) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    let path = tail(path);
    let asked = request.json();
    let say = Say::new(behaviour, &asked);
    match path {
        "/chat/completions" if say.streams => say.stream(say.chat_events()),
        "/chat/completions" => say.whole(say.chat()),
        "/completions" if say.streams => say.stream(say.completion_events()),
        "/completions" => say.whole(say.completion()),
        "/embeddings" => embeddings(&asked),
        "/models" => {
            plain(&json!({"object": "list", "data": [model("scripted-model"), model("scripted-mini")]}))
        }
        "/responses" if say.streams => say.stream(say.response_events()),
        "/responses" | "/responses/compact" => say.whole(say.response("completed")),
        _ => foreign::answer(path, &say).unwrap_or_else(|| other(path, request, &say)),
    }
}

/// What stands behind the version, or whatever else a provider has before its endpoints.
fn tail(path: &str) -> &str {
    const ENDPOINTS: &[&str] = &["/chat/completions", "/messages", "/models", "/responses", "/embeddings"];
    let found = ENDPOINTS.iter().filter_map(|endpoint| path.find(endpoint)).min();
    match found {
        Some(at) => path.get(at..).unwrap_or(path),
        None => path.strip_prefix("/v1").unwrap_or(path),
    }
}

/// An error as OpenAI words it.
pub(super) fn error_object(status: u16, message: &str) -> Value {
    let kind = match status {
        401 | 403 => "authentication_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
}

fn other(path: &str, request: &Received, say: &Say<'_>) -> Answer {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("models"), Some(name), None) => plain(&model(name)),
        (Some("responses"), Some(id), tail) => {
            let mut known = say.response(if tail == Some("cancel") { "cancelled" } else { "completed" });
            known["id"] = json!(id);
            plain(&known)
        }
        _ => plain(&json!({
            "object": "echo",
            "method": request.method.as_str(),
            "path": request.path,
            "content_type": request.header("content-type"),
            "body_bytes": request.body.len(),
        })),
    }
}

pub(super) fn plain(body: &Value) -> Answer {
    ("application/json", vec![Bytes::from(body.to_string())], None)
}

fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "scripted"})
}

/// Eight numbers per input, which depend on its length alone.
fn embeddings(asked: &Value) -> Answer {
    let inputs = match &asked["input"] {
        Value::Array(inputs) => inputs.clone(),
        one => vec![one.clone()],
    };
    let as_bytes = asked["encoding_format"] == "base64";
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let length = input.as_str().map_or(0, str::len);
            let numbers: Vec<f32> = (1_u8..=8).map(|at| f32::from(at) / (length + 1) as f32).collect();
            let embedding = if as_bytes {
                json!(base64(&numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()))
            } else {
                json!(numbers)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = inputs.iter().map(words).sum();
    let body = json!({
        "object": "list", "data": data, "model": asked["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    ("application/json", vec![Bytes::from(body.to_string())], Some((tokens, 0)))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The words of all strings in a value but its labels: our tokens.
pub(super) fn words(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(values) => values.iter().map(words).sum(),
        Value::Object(fields) => {
            let said = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "role" | "type" | "id"));
            said.map(|(_, value)| words(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Whose dialect an answer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    OpenAi,
    Anthropic,
    Gemini,
}

/// What is to be said, and how.
pub(super) struct Say<'a> {
    pub(super) speech: Speech,
    pub(super) behaviour: &'a Behaviour,
    pub(super) asked: &'a Value,
    pub(super) model: &'a str,
    pub(super) streams: bool,
    pub(super) input: u64,
    pub(super) output: u64,
}

impl<'a> Say<'a> {
    fn new(behaviour: &'a Behaviour, asked: &'a Value) -> Self {
        let prompt =
            ["messages", "prompt", "input", "instructions", "system", "contents", "systemInstruction"];
        Self {
            speech: Speech::OpenAi,
            behaviour,
            asked,
            model: asked["model"].as_str().unwrap_or("scripted-model"),
            streams: asked["stream"] == true,
            input: prompt.iter().map(|field| words(&asked[*field])).sum(),
            output: behaviour.text.split_whitespace().count() as u64,
        }
    }

    pub(super) fn whole(&self, body: Value) -> Answer {
        let shown = self.behaviour.usage != UsageShown::Never;
        ("application/json", vec![Bytes::from(body.to_string())], shown.then_some((self.input, self.output)))
    }

    /// Frames events as a stream, with what the behaviour wants to go wrong in it.
    pub(super) fn stream(&self, events: Vec<Event>) -> Answer {
        let line = match self.behaviour.newline {
            Newline::Lf => "\n",
            Newline::CrLf => "\r\n",
        };
        let mut usage = None;
        let mut chunks = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            if self.behaviour.error_event_at == Some(index) {
                chunks.push(self.error_event().framed(line));
                return ("text/event-stream; charset=utf-8", chunks, None);
            }
            if self.behaviour.bad_line_at == Some(index) {
                chunks.push(Bytes::from(format!("data: {{\"id\":\"chatcmpl-scri{line}{line}")));
            }
            usage = usage.or(event.usage);
            chunks.push(event.framed(line));
        }
        ("text/event-stream; charset=utf-8", chunks, usage)
    }

    /// The error that stands in place of an event, as the dialect's own service words it.
    fn error_event(&self) -> Event {
        let message = "The server had an error while processing your request";
        match self.speech {
            Speech::OpenAi => Event::data(error_object(500, message).to_string()),
            Speech::Anthropic => {
                let error = json!({"type": "error", "error": {"type": "api_error", "message": message}});
                Event { name: Some("error".to_owned()), ..Event::data(error.to_string()) }
            }
            Speech::Gemini => {
                let error = json!({"error": {"code": 500, "message": message, "status": "INTERNAL"}});
                Event::data(error.to_string())
            }
        }
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.input, "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        })
    }

    /// The first tool of the request, where one must be called.
    fn tool(&self) -> Option<&'a Value> {
        let choice = &self.asked["tool_choice"];
        let must = *choice == "required" || choice.is_object();
        must.then(|| &self.asked["tools"][0]["function"]["name"]).filter(|name| name.is_string())
    }

    /// The text in pieces, each with the blank before it.
    pub(super) fn pieces(&self) -> Vec<String> {
        self.behaviour
            .text
            .split_whitespace()
            .enumerate()
            .map(|(index, word)| if index == 0 { word.to_owned() } else { format!(" {word}") })
            .collect()
    }

    fn chat(&self) -> Value {
        let (message, reason) = match self.tool() {
            Some(name) => (
                json!({"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_scripted", "type": "function", "function": {"name": name, "arguments": "{}"}}]}),
                "tool_calls",
            ),
            None => (json!({"role": "assistant", "content": self.behaviour.text, "refusal": null}), "stop"),
        };
        let mut body = json!({
            "id": "chatcmpl-scripted", "object": "chat.completion", "created": CREATED, "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        });
        if self.behaviour.usage != UsageShown::Never {
            body["usage"] = self.usage();
        }
        body
    }

    fn chat_events(&self) -> Vec<Event> {
        let mut deltas = vec![(json!({"role": "assistant", "content": ""}), Value::Null)];
        match self.tool() {
            Some(name) => {
                let call = json!({"index": 0, "id": "call_scripted", "type": "function",
                    "function": {"name": name, "arguments": ""}});
                deltas.push((json!({"tool_calls": [call]}), Value::Null));
                for part in ["{", "}"] {
                    let more = json!({"index": 0, "function": {"arguments": part}});
                    deltas.push((json!({"tool_calls": [more]}), Value::Null));
                }
                deltas.push((json!({}), json!("tool_calls")));
            }
            None => {
                deltas
                    .extend(self.pieces().into_iter().map(|piece| (json!({"content": piece}), Value::Null)));
                deltas.push((json!({}), json!("stop")));
            }
        }
        let choices = deltas.into_iter().map(|(delta, reason)| {
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}])
        });
        self.chunk_events("chatcmpl-scripted", "chat.completion.chunk", choices.collect())
    }

    fn completion(&self) -> Value {
        let mut body = json!({
            "id": "cmpl-scripted", "object": "text_completion", "created": CREATED, "model": self.model,
            "choices": [{"index": 0, "text": self.behaviour.text, "logprobs": null, "finish_reason": "stop"}],
        });
        if self.behaviour.usage != UsageShown::Never {
            body["usage"] = self.usage();
        }
        body
    }

    fn completion_events(&self) -> Vec<Event> {
        let mut texts: Vec<_> = self.pieces().into_iter().map(|piece| (piece, Value::Null)).collect();
        texts.push((String::new(), json!("stop")));
        let choices = texts.into_iter().map(
            |(text, reason)| json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": reason}]),
        );
        self.chunk_events("cmpl-scripted", "text_completion", choices.collect())
    }

    /// A stream of chunks in the manner of chat, its usage where it is due, and its `[DONE]`.
    fn chunk_events(&self, id: &str, object: &str, choices: Vec<Value>) -> Vec<Event> {
        let asked = self.asked["stream_options"]["include_usage"] == true;
        let chunk = |choices: Value| {
            let mut chunk = json!({"id": id, "object": object, "created": CREATED, "model": self.model,
                "system_fingerprint": "fp_scripted", "choices": choices});
            match self.behaviour.usage {
                UsageShown::EachChunk => chunk["usage"] = self.usage(),
                UsageShown::WhenAsked if asked => chunk["usage"] = Value::Null,
                UsageShown::WhenAsked | UsageShown::Never => {}
            }
            chunk
        };
        let shown = Some((self.input, self.output));
        let mut events: Vec<_> = choices
            .into_iter()
            .map(|choices| {
                let each = self.behaviour.usage == UsageShown::EachChunk;
                Event { usage: shown.filter(|_| each), ..Event::data(chunk(choices).to_string()) }
            })
            .collect();
        if asked && self.behaviour.usage == UsageShown::WhenAsked {
            let mut last = chunk(json!([]));
            last["usage"] = self.usage();
            events.push(Event { usage: shown, ..Event::data(last.to_string()) });
        }
        if !self.behaviour.no_done {
            events.push(Event::data("[DONE]".to_owned()));
        }
        events
    }

    fn response(&self, status: &str) -> Value {
        let part = json!({"type": "output_text", "text": self.behaviour.text, "annotations": []});
        let mut body = json!({
            "id": "resp_scripted", "object": "response", "created_at": CREATED, "status": status,
            "model": self.model, "error": null, "incomplete_details": null, "instructions": null,
            "metadata": {}, "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [],
            "top_p": 1.0, "previous_response_id": self.asked["previous_response_id"],
            "output": [{"type": "message", "id": "msg_scripted", "status": "completed", "role": "assistant",
                "content": [part]}],
        });
        if self.behaviour.usage != UsageShown::Never {
            body["usage"] = json!({
                "input_tokens": self.input, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": self.output, "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.input + self.output,
            });
        }
        body
    }

    fn response_events(&self) -> Vec<Event> {
        let mut started = self.response("in_progress");
        started["output"] = json!([]);
        started["usage"] = Value::Null;
        let mut bodies = vec![
            json!({"type": "response.created", "response": started}),
            json!({"type": "response.in_progress", "response": started}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message",
                "id": "msg_scripted", "status": "in_progress", "role": "assistant", "content": []}}),
        ];
        bodies.extend(self.pieces().into_iter().map(|piece| {
            json!({"type": "response.output_text.delta", "item_id": "msg_scripted", "output_index": 0,
                "content_index": 0, "delta": piece, "logprobs": []})
        }));
        bodies
            .push(json!({"type": "response.output_text.done", "item_id": "msg_scripted", "output_index": 0,
            "content_index": 0, "text": self.behaviour.text, "logprobs": []}));
        let done = self.response("completed");
        bodies
            .push(json!({"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]}));
        bodies.push(json!({"type": "response.completed", "response": done}));
        let last = bodies.len().saturating_sub(1);
        let shown = Some((self.input, self.output)).filter(|_| self.behaviour.usage != UsageShown::Never);
        bodies
            .into_iter()
            .enumerate()
            .map(|(index, mut body)| {
                body["sequence_number"] = json!(index);
                Event {
                    name: body["type"].as_str().map(str::to_owned),
                    data: body.to_string(),
                    usage: shown.filter(|_| index == last),
                }
            })
            .collect()
    }
}

/// One event of a stream, and the usage that it shows.
pub(super) struct Event {
    pub(super) name: Option<String>,
    pub(super) data: String,
    pub(super) usage: Option<(u64, u64)>,
}

impl Event {
    fn data(data: String) -> Self {
        Self { name: None, data, usage: None }
    }

    fn framed(&self, line: &str) -> Bytes {
        let name = self.name.as_ref().map_or_else(String::new, |name| format!("event: {name}{line}"));
        Bytes::from(format!("{name}data: {}{line}{line}", self.data))
    }
}
