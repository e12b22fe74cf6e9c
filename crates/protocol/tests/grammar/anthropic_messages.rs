//! The grammar of Anthropic's message events; never that of whole messages.

use serde_json::Value;

use super::{End, Fault, Framed, Reading, Rules, count, full_text, json, must, text};

#[derive(Default)]
pub(super) struct Messages {
    reading: Reading,
    has_started: bool,
    /// Index and type of the one block that is open.
    block: Option<(u64, String)>,
    blocks: u64,
    has_reason: bool,
}

const REASONS: [&str; 8] = [
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "compaction",
];

impl Rules for Messages {
    fn take(&mut self, event: Framed<'_>) -> Result<(), Fault> {
        must(self.reading.end == End::Open, "nothing follows the end", &Value::Null)?;
        let data = json(event)?;
        let kind = text(&data, "type")?;
        must(event.name == Some(kind), "an event is named after its type", &data)?;
        match kind {
            "ping" => return Ok(()),
            "error" => {
                full_text(&data["error"], "type")?;
                full_text(&data["error"], "message")?;
                self.reading.end = End::Failed;
                return Ok(());
            }
            "message_start" => {
                must(!self.has_started, "a message starts once", &data)?;
                self.has_started = true;
                return start(&data["message"]);
            }
            _ => must(self.has_started, "a message starts first", &data)?,
        }
        must(!self.has_reason || kind == "message_stop", "only the end follows the reason", &data)?;
        match kind {
            "content_block_start" => self.begin(&data),
            "content_block_delta" => self.delta(&data),
            "content_block_stop" => {
                let (index, _) = self.block.take().ok_or("no block is open")?;
                must(data["index"] == index, "the open block stops", &data)
            }
            "message_delta" => {
                must(self.block.is_none(), "no block is open at the end", &data)?;
                let reason = text(&data["delta"], "stop_reason")?;
                must(REASONS.contains(&reason), "the reason is one of Anthropic's", &data)?;
                must(data["delta"].get("stop_sequence").is_some(), "it says which text ended it", &data)?;
                count(&data["usage"], "output_tokens")?;
                self.has_reason = true;
                Ok(())
            }
            "message_stop" => {
                must(self.has_reason, "a message ends for a reason", &data)?;
                self.reading.end = End::Complete;
                Ok(())
            }
            _ => Err(format!("no such event: {kind}")),
        }
    }

    fn reading(self: Box<Self>) -> Reading {
        self.reading
    }
}

fn start(message: &Value) -> Result<(), Fault> {
    full_text(message, "id")?;
    text(message, "model")?;
    must(message["type"] == "message" && message["role"] == "assistant", "it is a message", message)?;
    must(message["content"] == Value::Array(Vec::new()), "it is empty at first", message)?;
    must(message["stop_reason"].is_null(), "it has not stopped", message)?;
    count(&message["usage"], "input_tokens")?;
    count(&message["usage"], "output_tokens")?;
    Ok(())
}

impl Messages {
    fn begin(&mut self, data: &Value) -> Result<(), Fault> {
        must(self.block.is_none(), "one block is open at a time", data)?;
        must(data["index"] == self.blocks, "blocks are numbered from 0", data)?;
        let block = &data["content_block"];
        let kind = text(block, "type")?;
        match kind {
            "text" => must(block["text"] == "", "a text is empty at first", data)?,
            "thinking" => {
                must(
                    block["thinking"] == "" && block["signature"] == "",
                    "a thought is empty at first",
                    data,
                )?;
            }
            "redacted_thinking" => {
                full_text(block, "data")?;
            }
            "tool_use" => {
                let id = full_text(block, "id")?;
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                must(id.bytes().all(is_plain), "an id is letters, digits, _ and -", data)?;
                let empty = Value::Object(serde_json::Map::new());
                must(block["input"] == empty, "the input is empty at first", data)?;
                self.reading.calls.push((text(block, "name")?.to_owned(), String::new()));
            }
            _ => {}
        }
        self.block = Some((self.blocks, kind.to_owned()));
        self.blocks += 1;
        Ok(())
    }

    fn delta(&mut self, data: &Value) -> Result<(), Fault> {
        let Some((index, kind)) = &self.block else { return Err("no block is open".to_owned()) };
        must(data["index"] == *index, "the open block goes on", data)?;
        let delta = &data["delta"];
        match (kind.as_str(), text(delta, "type")?) {
            ("text", "text_delta") => self.reading.text.push_str(text(delta, "text")?),
            ("text", "citations_delta") => {
                text(&delta["citation"], "type")?;
            }
            ("thinking", "thinking_delta") => self.reading.thoughts.push_str(text(delta, "thinking")?),
            ("thinking", "signature_delta") => {
                full_text(delta, "signature")?;
            }
            ("tool_use", "input_json_delta") => {
                let call = self.reading.calls.last_mut().ok_or("a call is open")?;
                call.1.push_str(text(delta, "partial_json")?);
            }
            ("server_tool_use" | "mcp_tool_use", "input_json_delta") | ("compaction", "compaction_delta") => {
            }
            (kind, delta) => return Err(format!("a {kind} has no {delta}")),
        }
        Ok(())
    }
}
