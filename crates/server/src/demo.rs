//! Decides what the simulated provider of `serve --demo` answers: plainly labelled text, so that a first request needs no key.

mod text;

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Json, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream::{self, StreamExt};
use gateway::{ConnectionLimits, Tasks, listen};
use protocol::Dialect;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::site::Site;

/// The models of the simulated provider.
pub(crate) const MODELS: &[&str] = &["demo/chat", "demo/echo", "demo/embedding"];

/// What it speaks. Other dialects are translated, and what it answers is kept by the gateway.
pub(crate) const DIALECTS: &[Dialect] =
    &[Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::OpenAiCompletions, Dialect::OpenAiEmbeddings];

/// About the pace of a small local model.
const WORD_INTERVAL: Duration = Duration::from_millis(40);

/// Starts the simulated provider on a free loopback port and gives its base URL.
pub(crate) async fn start(tasks: &Tasks, stop: watch::Receiver<bool>) -> anyhow::Result<String> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port for the demo provider")?;
    let address = listener.local_addr()?;
    let site = Arc::new(Site::new(router()));
    tasks.spawn("demo", listen(listener, site, ConnectionLimits::default(), tasks.clone(), stop));
    Ok(format!("http://{address}/v1"))
}

fn router() -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completion))
        .route("/v1/embeddings", post(embedding))
        .route("/v1/responses", post(response))
        .layer(DefaultBodyLimit::disable())
}

async fn models() -> Json<Value> {
    let data: Vec<Value> = MODELS
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "demo"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

/// What the simulated provider reads of any request.
#[derive(Deserialize)]
struct Ask {
    model: String,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    prompt: Value,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

fn read(body: &Bytes) -> Result<Ask, Unreadable> {
    serde_json::from_slice(body).map_err(Unreadable)
}

/// A request that is not what any client sends.
struct Unreadable(serde_json::Error);

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        let error = json!({"message": self.0.to_string(), "type": "invalid_request_error", "code": null});
        (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
    }
}

async fn chat(body: Bytes) -> Result<Response, Unreadable> {
    let ask = read(&body)?;
    let said = text::last_said(&ask.messages);
    let answer = text::answer(&ask.model, &said);
    let usage = usage(&said, &answer);
    if !ask.stream {
        return Ok(Json(json!({
            "id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": ask.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
            "usage": usage,
        }))
        .into_response());
    }
    let chunk = |choices: Value| json!({"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": ask.model, "choices": choices});
    let mut events = vec![chunk(
        json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
    )];
    events.extend(
        text::pieces(&answer)
            .map(|piece| chunk(json!([{"index": 0, "delta": {"content": piece}, "finish_reason": null}]))),
    );
    events.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])));
    if ask.stream_options.is_some_and(|options| options.include_usage) {
        let mut last = chunk(json!([]));
        last["usage"] = usage;
        events.push(last);
    }
    let mut lines: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    lines.push("data: [DONE]\n\n".to_owned());
    Ok(paced(lines))
}

async fn completion(body: Bytes) -> Result<Response, Unreadable> {
    let ask = read(&body)?;
    let said = text::plain(&ask.prompt);
    let answer = text::answer(&ask.model, &said);
    if !ask.stream {
        return Ok(Json(json!({
            "id": "cmpl-demo", "object": "text_completion", "created": 0, "model": ask.model,
            "choices": [{"index": 0, "text": answer, "logprobs": null, "finish_reason": "stop"}],
            "usage": usage(&said, &answer),
        }))
        .into_response());
    }
    let chunk = |text: &str, finish: Value| json!({"id": "cmpl-demo", "object": "text_completion", "created": 0, "model": ask.model, "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]});
    let mut lines: Vec<String> =
        text::pieces(&answer).map(|piece| format!("data: {}\n\n", chunk(piece, Value::Null))).collect();
    lines.push(format!("data: {}\n\ndata: [DONE]\n\n", chunk("", json!("stop"))));
    Ok(paced(lines))
}

async fn embedding(body: Bytes) -> Result<Response, Unreadable> {
    let ask = read(&body)?;
    let inputs: Vec<String> = match &ask.input {
        Value::Array(items) if items.iter().any(|item| !item.is_number()) => {
            items.iter().map(text::plain).collect()
        }
        single => vec![text::plain(single)],
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| json!({"object": "embedding", "index": index, "embedding": text::embedding(input)}))
        .collect();
    let tokens: usize = inputs.iter().map(|input| text::tokens(input)).sum();
    Ok(Json(json!({"object": "list", "model": ask.model, "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}))
    .into_response())
}

async fn response(body: Bytes) -> Result<Response, Unreadable> {
    let ask = read(&body)?;
    let said = match &ask.input {
        Value::Array(items) => text::last_said(items),
        single => text::plain(single),
    };
    let answer = text::answer(&ask.model, &said);
    let (input, output) = (text::tokens(&said), text::tokens(&answer));
    let whole = |status: &str, output_items: Value| {
        json!({
            "id": "resp_demo", "object": "response", "created_at": 0, "status": status, "model": ask.model,
            "output": output_items, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
            "usage": {"input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output},
        })
    };
    let item = |status: &str, text: &str| {
        json!({"id": "msg_demo", "type": "message", "role": "assistant", "status": status,
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
    };
    let completed = whole("completed", json!([item("completed", &answer)]));
    if !ask.stream {
        return Ok(Json(completed).into_response());
    }
    let begun = whole("in_progress", json!([]));
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let place = json!({"item_id": "msg_demo", "output_index": 0, "content_index": 0});
    let mut events = vec![
        ("response.created", json!({"response": begun})),
        ("response.in_progress", json!({"response": begun})),
        (
            "response.output_item.added",
            json!({"output_index": 0, "item": {"id": "msg_demo", "type": "message",
            "role": "assistant", "status": "in_progress", "content": []}}),
        ),
        ("response.content_part.added", merged(&place, json!({"part": part("")}))),
    ];
    events.extend(text::pieces(&answer).map(|piece| {
        ("response.output_text.delta", merged(&place, json!({"delta": piece, "logprobs": []})))
    }));
    events.push(("response.output_text.done", merged(&place, json!({"text": answer, "logprobs": []}))));
    events.push(("response.content_part.done", merged(&place, json!({"part": part(&answer)}))));
    events
        .push(("response.output_item.done", json!({"output_index": 0, "item": item("completed", &answer)})));
    events.push(("response.completed", json!({"response": completed})));
    let lines = events.into_iter().enumerate().map(|(number, (name, event))| {
        let event = merged(&event, json!({"type": name, "sequence_number": number}));
        format!("event: {name}\ndata: {event}\n\n")
    });
    Ok(paced(lines.collect()))
}

fn merged(base: &Value, more: Value) -> Value {
    let mut merged = base.as_object().cloned().unwrap_or_default();
    merged.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(merged)
}

fn usage(said: &str, answer: &str) -> Value {
    let (prompt, completion) = (text::tokens(said), text::tokens(answer));
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

/// An event stream, one event an interval.
fn paced(events: Vec<String>) -> Response {
    let events = stream::iter(events).then(|event| async move {
        tokio::time::sleep(WORD_INTERVAL).await;
        Ok::<_, Infallible>(event)
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], axum::body::Body::from_stream(events)).into_response()
}
