//! The working model behind `anthropic_messages`; wants its signed thoughts back, as the service does.

use serde_json::{Value, json};

use super::super::openai::Answer;
use super::{Asked, Move, Named, Refused, SEAL, THOUGHT, list, pieces, stream, text, whole};

pub(super) fn answer(body: &Value) -> Result<Answer, Refused> {
    let asked = read(body)?;
    let next = asked.next();
    let (blocks, reason) = blocks(&asked, &next);
    let message = |content: Value, reason: Value, output: u64| {
        json!({"id": format!("msg_agent_{}", asked.results.len()), "type": "message", "role": "assistant", "model": asked.model, "content": content,
            "stop_reason": reason, "stop_sequence": null,
            "usage": {"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": output}})
    };
    if !asked.streams {
        return Ok(whole(&message(json!(blocks), json!(reason), 10)));
    }
    let mut events = vec![json!({"type": "message_start", "message": message(json!([]), Value::Null, 1)})];
    events.push(json!({"type": "ping"}));
    for (index, block) in blocks.iter().enumerate() {
        let (begun, deltas) = fragments(block);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        events.extend(
            deltas
                .into_iter()
                .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": 10}}));
    events.push(json!({"type": "message_stop"}));
    Ok(stream(events, Named::ByType))
}

fn read(body: &Value) -> Result<Asked, Refused> {
    if body["max_tokens"].as_u64().is_none_or(|tokens| tokens == 0) {
        return Err(Refused("max_tokens: Field required".to_owned()));
    }
    let thinks = matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive"));
    if let Some(budget) = body["thinking"]["budget_tokens"].as_u64()
        && Some(budget) >= body["max_tokens"].as_u64()
    {
        return Err(Refused("`max_tokens` must be greater than `thinking.budget_tokens`".to_owned()));
    }
    let (mut open, mut results): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    let messages = list(&body["messages"]);
    for (index, message) in messages.iter().enumerate() {
        let blocks = list(&message["content"]);
        match message["role"].as_str() {
            Some("assistant") => {
                let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
                open = calls.map(|block| block["id"].clone()).collect();
                let signed = |block: &Value| block["type"] == "thinking" && block["signature"] == SEAL;
                let is_last = !messages[index + 1..].iter().any(|later| later["role"] == "assistant");
                if thinks && is_last && !open.is_empty() && !blocks.first().is_some_and(signed) {
                    return Err(Refused(format!(
                        "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`",
                        blocks.first().map_or(&Value::Null, |block| &block["type"])
                    )));
                }
            }
            Some("user") => {
                for result in blocks.iter().filter(|block| block["type"] == "tool_result") {
                    let id = &result["tool_use_id"];
                    let place = open.iter().position(|call| call == id);
                    open.remove(place.ok_or_else(|| Refused(format!("unexpected `tool_use_id`: {id}")))?);
                    results.push(text(&result["content"]));
                }
                if !open.is_empty() {
                    return Err(Refused(format!("`tool_use` ids without `tool_result` blocks: {open:?}")));
                }
            }
            // Claude Code tells its model of changes in the middle.
            Some("system") => {}
            role => return Err(Refused(format!("messages.{index}: no role {role:?}"))),
        }
    }
    let tools = list(&body["tools"]).iter().filter_map(|tool| tool["name"].as_str());
    Ok(Asked {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        streams: body["stream"] == true,
        tools: tools.map(str::to_owned).collect(),
        results,
        thinks,
    })
}

fn blocks(asked: &Asked, next: &Move) -> (Vec<Value>, &'static str) {
    let mut blocks = Vec::new();
    if asked.thinks {
        blocks.push(json!({"type": "thinking", "thinking": THOUGHT, "signature": SEAL}));
    }
    match next {
        Move::Say(said) => {
            blocks.push(json!({"type": "text", "text": said}));
            (blocks, "end_turn")
        }
        Move::Call(calls) => {
            blocks.extend(calls.iter().map(|call| {
                json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name,
                    "input": call.arguments})
            }));
            (blocks, "tool_use")
        }
    }
}

/// A block as it begins, and its deltas.
fn fragments(block: &Value) -> (Value, Vec<Value>) {
    let mut begun = block.clone();
    let of = |field: &str| block[field].as_str().unwrap_or_default().to_owned();
    match block["type"].as_str() {
        Some("text") => {
            begun["text"] = json!("");
            (begun, pieces(&of("text")).iter().map(|p| json!({"type": "text_delta", "text": p})).collect())
        }
        Some("thinking") => {
            begun["thinking"] = json!("");
            begun["signature"] = json!("");
            let thought = pieces(&of("thinking"));
            let mut deltas: Vec<_> =
                thought.iter().map(|p| json!({"type": "thinking_delta", "thinking": p})).collect();
            deltas.push(json!({"type": "signature_delta", "signature": of("signature")}));
            (begun, deltas)
        }
        _ => {
            begun["input"] = json!({});
            let written = pieces(&block["input"].to_string());
            (begun, written.iter().map(|p| json!({"type": "input_json_delta", "partial_json": p})).collect())
        }
    }
}
