//! The working model behind `openai_responses`, without a memory of its own: what it needs must come back.

use serde_json::{Value, json};

use super::super::openai::Answer;
use super::{Asked, Move, Named, Refused, SEAL, THOUGHT, list, pieces, stream, text, whole};

pub(super) fn answer(body: &Value) -> Result<Answer, Refused> {
    let asked = read(body)?;
    let items = items(&asked, &asked.next());
    let response = |status: &str, output: Value| {
        let usage = json!({"input_tokens": 20, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 30});
        json!({"id": format!("resp_agent_{}", asked.results.len()), "object": "response", "created_at": 1_700_000_000, "status": status,
            "model": asked.model, "error": null, "incomplete_details": null, "instructions": body["instructions"],
            "metadata": {}, "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto",
            "tools": [], "top_p": 1.0, "output": output,
            "usage": if status == "completed" { usage } else { Value::Null }})
    };
    if !asked.streams {
        return Ok(whole(&response("completed", json!(items))));
    }
    let begun = response("in_progress", json!([]));
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    for (index, item) in items.iter().enumerate() {
        events.extend(fragments(index, item));
    }
    events.push(json!({"type": "response.completed", "response": response("completed", json!(items))}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    Ok(stream(events, Named::ByType))
}

fn read(body: &Value) -> Result<Asked, Refused> {
    let (mut open, mut results): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for (index, item) in list(&body["input"]).iter().enumerate() {
        match item["type"].as_str() {
            Some("function_call") => open.push(item["call_id"].clone()),
            Some("function_call_output") => {
                let id = &item["call_id"];
                let place = open.iter().position(|call| call == id);
                let missing =
                    || Refused(format!("No tool call found for function call output with call_id {id}."));
                open.remove(place.ok_or_else(missing)?);
                results.push(text(&item["output"]));
            }
            Some("reasoning") if item["encrypted_content"].as_str().is_some_and(|kept| kept != SEAL) => {
                return Err(Refused(format!("input[{index}]: the encrypted content could not be verified")));
            }
            _ => {}
        }
    }
    if let Some(open) = open.first() {
        return Err(Refused(format!("No tool output found for function call {open}.")));
    }
    let encrypted = list(&body["include"]).contains(&json!("reasoning.encrypted_content"));
    Ok(Asked {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        streams: body["stream"] == true,
        tools: list(&body["tools"]).iter().flat_map(tool_names).collect(),
        results,
        thinks: encrypted || body["reasoning"].is_object(),
    })
}

/// Its name; those within it, where it is a namespace.
fn tool_names(tool: &Value) -> Vec<String> {
    match tool["type"].as_str() {
        Some("function") => tool["name"].as_str().map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn items(asked: &Asked, next: &Move) -> Vec<Value> {
    let (mut items, turn) = (Vec::new(), asked.results.len());
    if asked.thinks {
        items.push(json!({"type": "reasoning", "id": format!("rs_agent_{turn}"), "encrypted_content": SEAL,
            "summary": [{"type": "summary_text", "text": THOUGHT}]}));
    }
    match next {
        Move::Say(said) => items.push(json!({"type": "message", "id": format!("msg_agent_{turn}"), "status": "completed",
            "role": "assistant", "content": [{"type": "output_text", "text": said, "annotations": []}]})),
        Move::Call(calls) => items.extend(calls.iter().map(|call| {
            json!({"type": "function_call", "id": format!("fc_{}", call.id), "call_id": call.id, "name": call.name,
                "arguments": call.arguments.to_string(), "status": "completed"})
        })),
    }
    items
}

/// The events of one item.
fn fragments(index: usize, item: &Value) -> Vec<Value> {
    let id = &item["id"];
    let mut begun = item.clone();
    begun["status"] = json!("in_progress");
    let mut events = Vec::new();
    let added =
        |begun: Value| json!({"type": "response.output_item.added", "output_index": index, "item": begun});
    let at = |kind: &str| json!({"type": kind, "item_id": id, "output_index": index});
    match item["type"].as_str() {
        Some("function_call") => {
            begun["arguments"] = json!("");
            events.push(added(begun));
            let written = item["arguments"].as_str().unwrap_or_default();
            for piece in pieces(written) {
                let mut event = at("response.function_call_arguments.delta");
                event["delta"] = json!(piece);
                events.push(event);
            }
            let mut done = at("response.function_call_arguments.done");
            done["arguments"] = json!(written);
            events.push(done);
        }
        Some("message") => {
            begun["content"] = json!([]);
            events.push(added(begun));
            let empty = json!({"type": "output_text", "text": "", "annotations": []});
            events.extend(text_events(at, "output_text", ("content_part", empty), &item["content"][0]));
        }
        _ => {
            begun["summary"] = json!([]);
            begun["encrypted_content"] = json!("");
            events.push(added(begun));
            let empty = json!({"type": "summary_text", "text": ""});
            events.extend(text_events(
                at,
                "reasoning_summary_text",
                ("reasoning_summary_part", empty),
                &item["summary"][0],
            ));
        }
    }
    events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    events
}

fn text_events(
    at: impl Fn(&str) -> Value,
    kind: &str,
    (part_kind, empty): (&str, Value),
    part: &Value,
) -> Vec<Value> {
    let index = if part_kind == "content_part" { "content_index" } else { "summary_index" };
    let with = |kind: String, field: &str, value: &Value| {
        let mut event = at(&kind);
        event[index] = json!(0);
        event[field] = value.clone();
        event
    };
    let mut events = vec![with(format!("response.{part_kind}.added"), "part", &empty)];
    let text = part["text"].as_str().unwrap_or_default();
    events.extend(
        pieces(text).iter().map(|piece| with(format!("response.{kind}.delta"), "delta", &json!(piece))),
    );
    events.push(with(format!("response.{kind}.done"), "text", &part["text"]));
    events.push(with(format!("response.{part_kind}.done"), "part", part));
    events
}
