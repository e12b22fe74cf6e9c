//! The grammar of Gemini's streamed contents; never that of whole ones, which are the same in one piece.

use serde_json::Value;

use super::{End, Fault, Framed, Reading, Rules, count, full_text, json, must, text};

#[derive(Default)]
pub(super) struct Contents {
    reading: Reading,
    error: Option<Value>,
}

const REASONS: [&str; 9] = [
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "OTHER",
];

impl Rules for Contents {
    fn take(&mut self, event: Framed<'_>) -> Result<(), Fault> {
        must(self.reading.end == End::Open, "nothing follows the end", &Value::Null)?;
        must(event.name.is_none(), "contents have no name", &Value::Null)?;
        let data = json(event)?;
        if !data["error"].is_null() {
            count(&data["error"], "code")?;
            full_text(&data["error"], "message")?;
            full_text(&data["error"], "status")?;
            self.reading.end = End::Failed;
            self.error = Some(data);
            return Ok(());
        }
        text(&data, "modelVersion")?;
        full_text(&data, "responseId")?;
        if data["usageMetadata"].is_object() {
            count(&data["usageMetadata"], "totalTokenCount")?;
        }
        let candidates = data["candidates"].as_array().ok_or("there are candidates")?;
        let [candidate] = candidates.as_slice() else { return Err("there is one candidate".to_owned()) };
        if let Some(content) = candidate.get("content") {
            must(content["role"] == "model", "the model speaks", &data)?;
            for part in content["parts"].as_array().into_iter().flatten() {
                self.part(part)?;
            }
        }
        if !candidate["finishReason"].is_null() {
            let reason = text(candidate, "finishReason")?;
            must(REASONS.contains(&reason), "the reason is one of Google's", &data)?;
            self.reading.end = End::Complete;
        }
        Ok(())
    }

    /// Errors are told once more, bare: that is where Google's own clients look for them.
    fn tail(&mut self, rest: &str) -> Result<(), Fault> {
        let told: Option<Value> = serde_json::from_str(rest).ok();
        must(told.is_some() && told == self.error, "nothing but the error follows", &Value::from(rest))
    }

    fn reading(self: Box<Self>) -> Reading {
        self.reading
    }
}

impl Contents {
    fn part(&mut self, part: &Value) -> Result<(), Fault> {
        let kinds =
            ["text", "functionCall", "executableCode", "codeExecutionResult", "inlineData", "fileData"];
        must(
            kinds.iter().filter(|kind| part.get(**kind).is_some()).count() == 1,
            "a part is one thing",
            part,
        )?;
        if let Some(signature) = part["thoughtSignature"].as_str() {
            let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
            must(signature.bytes().all(is_base64), "a signature is base64", part)?;
        }
        if let Some(text) = part["text"].as_str() {
            let into =
                if part["thought"] == true { &mut self.reading.thoughts } else { &mut self.reading.text };
            into.push_str(text);
        }
        let call = &part["functionCall"];
        if !call.is_null() {
            let name = text(call, "name")?.to_owned();
            must(call["args"].is_object() || call["args"].is_null(), "arguments are an object", part)?;
            let arguments = if call["args"].is_null() { "{}".to_owned() } else { call["args"].to_string() };
            self.reading.calls.push((name, arguments));
        }
        Ok(())
    }
}
