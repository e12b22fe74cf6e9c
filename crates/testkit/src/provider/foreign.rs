//! Decides what a healthy provider answers in the dialects of Anthropic and Google; never anything but the same answer to
//! the same request.

use serde_json::{Value, json};

use super::behaviour::UsageShown;
use super::openai::{Answer, Event, Say, Speech, plain};

/// The healthy answer at `path`, if it is one of theirs.
pub(super) fn answer(path: &str, say: &Say<'_>) -> Option<Answer> {
    let anthropic = say.speaking(Speech::Anthropic);
    match path {
        "/messages" if say.streams => return Some(anthropic.stream(message_events(&anthropic))),
        "/messages" => return Some(anthropic.whole(message(&anthropic))),
        "/messages/count_tokens" => return Some(plain(&json!({"input_tokens": say.input}))),
        _ => {}
    }
    let (model, method) = path.strip_prefix("/models/")?.rsplit_once(':')?;
    let gemini = Say { model, ..say.speaking(Speech::Gemini) };
    Some(match method {
        "generateContent" => gemini.whole(content(&gemini, &say.behaviour.text, Some("STOP"))),
        "streamGenerateContent" => gemini.stream(content_events(&gemini)),
        "countTokens" => plain(&json!({"totalTokens": say.input})),
        "embedContent" => plain(&json!({"embedding": {"values": [0.5, 0.25]}})),
        _ => return None,
    })
}

fn message(say: &Say<'_>) -> Value {
    let (parts, reason) = match say.offered() {
        Some(name) => {
            (json!([{"type": "tool_use", "id": "toolu_scripted", "name": name, "input": {}}]), "tool_use")
        }
        None => (json!([{"type": "text", "text": say.behaviour.text}]), "end_turn"),
    };
    json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": say.model, "content": parts,
        "stop_reason": reason, "stop_sequence": null,
        "usage": {"input_tokens": say.input, "output_tokens": say.output},
    })
}

fn message_events(say: &Say<'_>) -> Vec<Event> {
    let event = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        Event { name: Some(kind.to_owned()), data: data.to_string(), usage: None }
    };
    let mut begun = message(say);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"]["output_tokens"] = json!(0);
    let mut events = vec![event("message_start", json!({"message": begun}))];
    let (block, deltas, reason) = match say.offered() {
        Some(name) => (
            json!({"type": "tool_use", "id": "toolu_scripted", "name": name, "input": {}}),
            vec![json!({"type": "input_json_delta", "partial_json": "{}"})],
            "tool_use",
        ),
        None => (
            json!({"type": "text", "text": ""}),
            say.pieces().into_iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect(),
            "end_turn",
        ),
    };
    events.push(event("content_block_start", json!({"index": 0, "content_block": block})));
    events.push(event("ping", json!({})));
    let deltas =
        deltas.into_iter().map(|delta| event("content_block_delta", json!({"index": 0, "delta": delta})));
    events.extend(deltas);
    events.push(event("content_block_stop", json!({"index": 0})));
    let ending = json!({
        "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": say.output},
    });
    let shown = say.behaviour.usage != UsageShown::Never;
    events.push(Event { usage: shown.then_some((say.input, say.output)), ..event("message_delta", ending) });
    events.push(event("message_stop", json!({})));
    events
}

fn content(say: &Say<'_>, text: &str, reason: Option<&str>) -> Value {
    let part = match say.offered() {
        Some(name) => json!({"functionCall": {"name": name, "args": {}}}),
        None => json!({"text": text}),
    };
    let mut candidate = json!({"content": {"role": "model", "parts": [part]}, "index": 0});
    if let Some(reason) = reason {
        candidate["finishReason"] = json!(reason);
    }
    let mut body =
        json!({"candidates": [candidate], "modelVersion": say.model, "responseId": "gemini-scripted"});
    if say.behaviour.usage != UsageShown::Never {
        body["usageMetadata"] = json!({
            "promptTokenCount": say.input, "candidatesTokenCount": say.output,
            "totalTokenCount": say.input + say.output,
        });
    }
    body
}

fn content_events(say: &Say<'_>) -> Vec<Event> {
    let pieces = if say.offered().is_some() { vec![String::new()] } else { say.pieces() };
    let last = pieces.len().saturating_sub(1);
    let shown = say.behaviour.usage != UsageShown::Never;
    let events = pieces.iter().enumerate().map(|(index, piece)| {
        let body = content(say, piece, (index == last).then_some("STOP"));
        let usage = (shown && index == last).then_some((say.input, say.output));
        Event { name: None, data: body.to_string(), usage }
    });
    events.collect()
}

impl<'a> Say<'a> {
    fn speaking(&self, speech: Speech) -> Say<'a> {
        let Say { behaviour, asked, model, streams, input, output, .. } = *self;
        Say { speech, behaviour, asked, model, streams, input, output }
    }

    /// The first tool of the request, where one must be called.
    fn offered(&self) -> Option<&'a Value> {
        let asked = self.asked;
        let (must, name) = match self.speech {
            Speech::Anthropic => (
                matches!(asked["tool_choice"]["type"].as_str(), Some("any" | "tool")),
                &asked["tools"][0]["name"],
            ),
            Speech::Gemini => (
                asked["toolConfig"]["functionCallingConfig"]["mode"] == "ANY",
                &asked["tools"][0]["functionDeclarations"][0]["name"],
            ),
            Speech::OpenAi => (false, &Value::Null),
        };
        Some(name).filter(|name| must && name.is_string())
    }
}
