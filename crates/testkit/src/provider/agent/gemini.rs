//! The working model behind `gemini`; wants the signatures of its calls back, as the service does.

use serde_json::{Value, json};

use super::super::openai::Answer;
use super::{Asked, Move, Named, Refused, SEAL, THOUGHT, list, pieces, stream, text, whole};

/// What the service's documentation says to write where a call was made by another model.
const UNSIGNED: &str = "skip_thought_signature_validator";

pub(super) fn answer(method: &str, body: &Value) -> Result<Answer, Refused> {
    let (model, operation) = method.split_once(':').unwrap_or_default();
    if operation == "countTokens" {
        return Ok(whole(&json!({"totalTokens": 42})));
    }
    let mut asked = read(body)?;
    asked.streams = operation == "streamGenerateContent";
    let parts = parts(&asked, &asked.next());
    let chunk = |parts: &[Value], finish: Value| {
        json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": finish}],
            "modelVersion": model, "responseId": format!("agent-{}", asked.results.len()),
            "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 10, "totalTokenCount": 30}})
    };
    if !asked.streams {
        return Ok(whole(&chunk(&parts, json!("STOP"))));
    }
    let mut events: Vec<Value> =
        parts.iter().flat_map(fragments).map(|part| chunk(&[part], Value::Null)).collect();
    events.iter_mut().for_each(|event| {
        event["candidates"][0].as_object_mut().expect("an object").remove("finishReason");
    });
    events.push(chunk(&[json!({"text": ""})], json!("STOP")));
    Ok(stream(events, Named::Not))
}

fn read(body: &Value) -> Result<Asked, Refused> {
    let (mut open, mut results): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    // Only the first call of a turn is signed; a client that streams may keep a turn in several contents.
    let mut calls = 0;
    for (index, content) in list(&body["contents"]).iter().enumerate() {
        if content["role"] != "model" {
            calls = 0;
        }
        for part in list(&content["parts"]) {
            if let Some(call) = part.get("functionCall") {
                let signature = part["thoughtSignature"].as_str();
                if calls == 0 && !matches!(signature, Some(SEAL | UNSIGNED)) {
                    return Err(Refused(format!(
                        "Function call {} in contents[{index}] is missing a thought_signature",
                        call["name"]
                    )));
                }
                calls += 1;
                open.push(call["name"].clone());
            }
            if let Some(response) = part.get("functionResponse") {
                let name = &response["name"];
                let place = open.iter().position(|call| call == name);
                let unasked = || Refused(format!("contents[{index}]: nobody called the function {name}"));
                open.remove(place.ok_or_else(unasked)?);
                results.push(response["response"].as_object().map_or_else(String::new, |fields| {
                    fields.values().map(text).collect::<Vec<_>>().join(" ")
                }));
            }
        }
        if content["role"] == "user" && !open.is_empty() {
            return Err(Refused("the number of function response parts must equal the calls".to_owned()));
        }
    }
    let tools = list(&body["tools"]).iter().flat_map(|tool| list(&tool["functionDeclarations"]));
    Ok(Asked {
        model: String::new(),
        streams: false,
        tools: tools.filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect(),
        results,
        thinks: body["generationConfig"]["thinkingConfig"]["includeThoughts"] == true,
    })
}

fn parts(asked: &Asked, next: &Move) -> Vec<Value> {
    let mut parts = Vec::new();
    if asked.thinks {
        parts.push(json!({"text": THOUGHT, "thought": true}));
    }
    match next {
        Move::Say(said) => parts.push(json!({"text": said})),
        Move::Call(calls) => parts.extend(calls.iter().enumerate().map(|(index, call)| {
            let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
            if index == 0 {
                part["thoughtSignature"] = json!(SEAL);
            }
            part
        })),
    }
    parts
}

/// A text in pieces; a call whole.
fn fragments(part: &Value) -> Vec<Value> {
    match part["text"].as_str() {
        Some(text) => {
            let piece = |piece: &String| {
                let mut fragment = part.clone();
                fragment["text"] = json!(piece);
                fragment
            };
            pieces(text).iter().map(piece).collect()
        }
        None => vec![part.clone()],
    }
}
