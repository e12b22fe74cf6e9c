//! The working model behind `openai_chat`; never anything that depends on another dialect.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::openai::Answer;
use super::{Asked, Move, Named, Refused, list, pieces, stream, text, whole};

pub(super) fn answer(body: &Value) -> Result<Answer, Refused> {
    let asked = read(body)?;
    let wants_usage = body["stream_options"]["include_usage"] == true;
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30});
    let id = format!("chatcmpl-agent-{}", asked.results.len());
    let (deltas, reason) = said(&asked.next());
    if !asked.streams {
        let message = deltas.into_iter().fold(json!({"role": "assistant", "content": null}), joined);
        return Ok(whole(&json!({
            "id": id, "object": "chat.completion", "created": 1_700_000_000, "model": asked.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}], "usage": usage,
        })));
    }
    let chunk = |choices: Value, usage: Value| {
        json!({"id": id, "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": asked.model, "choices": choices, "usage": usage})
    };
    let choice =
        |delta: &Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let mut events =
        vec![chunk(choice(&json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    events.extend(deltas.iter().map(|delta| chunk(choice(delta, Value::Null), Value::Null)));
    events.push(chunk(choice(&json!({}), json!(reason)), Value::Null));
    if wants_usage {
        events.push(chunk(json!([]), usage));
    }
    let (kind, mut frames, shown) = stream(events, Named::Not);
    frames.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Ok((kind, frames, shown))
}

fn read(body: &Value) -> Result<Asked, Refused> {
    let (mut open, mut results) = (Vec::new(), Vec::new());
    for (index, message) in list(&body["messages"]).iter().enumerate() {
        match message["role"].as_str() {
            Some("assistant") => {
                open.extend(list(&message["tool_calls"]).iter().map(|call| call["id"].clone()));
            }
            Some("tool") => {
                let id = &message["tool_call_id"];
                let place = open.iter().position(|call| call == id);
                let place = place.ok_or_else(|| Refused(format!("messages[{index}]: no tool call {id}")))?;
                open.remove(place);
                results.push(text(&message["content"]));
            }
            Some("user") if !open.is_empty() => {
                return Err(Refused(format!(
                    "messages[{index}]: tool calls without their results: {open:?}"
                )));
            }
            Some("user" | "system" | "developer") => {}
            role => return Err(Refused(format!("messages[{index}]: no role {role:?}"))),
        }
    }
    let tools = list(&body["tools"]).iter().filter_map(|tool| tool["function"]["name"].as_str());
    Ok(Asked {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        streams: body["stream"] == true,
        tools: tools.map(str::to_owned).collect(),
        results,
        thinks: false,
    })
}

fn said(next: &Move) -> (Vec<Value>, &'static str) {
    match next {
        Move::Say(said) => (pieces(said).iter().map(|piece| json!({"content": piece})).collect(), "stop"),
        Move::Call(calls) => {
            let mut deltas = Vec::new();
            for (index, call) in calls.iter().enumerate() {
                let function = json!({"name": call.name, "arguments": ""});
                let begun = json!({"index": index, "id": call.id, "type": "function", "function": function});
                deltas.push(json!({"tool_calls": [begun]}));
                let more = pieces(&call.arguments.to_string());
                deltas.extend(more.iter().map(
                    |piece| json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
                ));
            }
            (deltas, "tool_calls")
        }
    }
}

/// The message with one more delta in it.
fn joined(mut message: Value, delta: Value) -> Value {
    if let Some(piece) = delta["content"].as_str() {
        message["content"] = json!(message["content"].as_str().unwrap_or_default().to_owned() + piece);
    }
    for part in list(&delta["tool_calls"]) {
        let index = usize::try_from(part["index"].as_u64().unwrap_or_default()).unwrap_or_default();
        if part["id"].is_string() {
            let mut calls = list(&message["tool_calls"]).to_vec();
            calls.push(json!({"id": part["id"], "type": "function", "function": part["function"]}));
            message["tool_calls"] = json!(calls);
        } else {
            let so_far = message["tool_calls"][index]["function"]["arguments"].as_str().unwrap_or_default();
            let more = so_far.to_owned() + part["function"]["arguments"].as_str().unwrap_or_default();
            message["tool_calls"][index]["function"]["arguments"] = json!(more);
        }
    }
    message
}
