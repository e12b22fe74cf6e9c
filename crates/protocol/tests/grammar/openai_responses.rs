//! The grammar of Responses events; never that of whole responses.

use serde_json::Value;

use super::{End, Fault, Framed, Reading, Rules, count, full_text, json, must, text};

#[derive(Default)]
pub(super) struct Responses {
    reading: Reading,
    sequence: u64,
    id: Option<String>,
    items: Vec<Item>,
    has_error: bool,
}

/// An output item, and what its events have said so far.
struct Item {
    id: String,
    kind: String,
    /// Content or summary parts: what was said, and whether it is done.
    parts: Vec<(String, bool)>,
    /// Arguments or input.
    input: String,
    call: Option<usize>,
    done: Option<Value>,
}

impl Rules for Responses {
    fn take(&mut self, event: Framed<'_>) -> Result<(), Fault> {
        let data = json(event)?;
        let kind = text(&data, "type")?.to_owned();
        // The older clients know the one, the newer the other.
        let says_twice = self.has_error && kind == "response.failed";
        must(self.reading.end == End::Open || says_twice, "nothing follows the end", &data)?;
        must(event.name == Some(&kind), "an event is named after its type", &data)?;
        must(data["sequence_number"] == self.sequence, "events are numbered from 0", &data)?;
        match (self.sequence, kind.as_str()) {
            (0, "response.created" | "error" | "response.failed") | (1.., _) => {}
            (0, _) => return Err("a response is created first".to_owned()),
        }
        self.sequence += 1;
        match kind.as_str() {
            "error" => {
                text(&data, "message")?;
                self.has_error = true;
                self.reading.end = End::Failed;
                Ok(())
            }
            "response.created" | "response.in_progress" => {
                self.response(&data)?;
                must(data["response"]["status"] == "in_progress", "it is in progress", &data)
            }
            "response.failed" => {
                text(&data["response"]["error"], "code")?;
                must(data["response"]["status"] == "failed", "it has failed", &data)?;
                self.has_error = false;
                self.reading.end = End::Failed;
                Ok(())
            }
            "response.completed" | "response.incomplete" => self.finish(&kind, &data),
            "response.output_item.added" => self.add(&data),
            _ => self.item_event(&kind, &data),
        }
    }

    fn reading(self: Box<Self>) -> Reading {
        self.reading
    }
}

impl Responses {
    fn response(&mut self, data: &Value) -> Result<(), Fault> {
        let response = &data["response"];
        must(response["object"] == "response", "it is a response", data)?;
        count(response, "created_at")?;
        text(response, "model")?;
        must(response["output"].is_array(), "it has an output", data)?;
        let id = full_text(response, "id")?;
        must(self.id.get_or_insert_with(|| id.to_owned()) == id, "it is the same response", data)
    }

    fn finish(&mut self, kind: &str, data: &Value) -> Result<(), Fault> {
        self.response(data)?;
        let response = &data["response"];
        let status = kind.strip_prefix("response.").unwrap_or_default();
        must(response["status"] == status, "the status is that of the event", data)?;
        if status == "incomplete" {
            full_text(&response["incomplete_details"], "reason")?;
        }
        let done: Option<Vec<&Value>> = self.items.iter().map(|item| item.done.as_ref()).collect();
        let done = done.ok_or("all items are done")?;
        let output = response["output"].as_array().map(Vec::as_slice).unwrap_or_default();
        must(output.iter().eq(done), "the output is the items", data)?;
        if let Some(usage) = response.get("usage").filter(|usage| !usage.is_null()) {
            let total = count(usage, "input_tokens")? + count(usage, "output_tokens")?;
            must(count(usage, "total_tokens")? == total, "the total is the sum", usage)?;
            count(&usage["input_tokens_details"], "cached_tokens")?;
            count(&usage["output_tokens_details"], "reasoning_tokens")?;
        }
        self.reading.end = End::Complete;
        Ok(())
    }

    fn add(&mut self, data: &Value) -> Result<(), Fault> {
        must(data["output_index"] == self.items.len(), "items are numbered from 0", data)?;
        let item = &data["item"];
        let kind = text(item, "type")?.to_owned();
        let call = match kind.as_str() {
            "function_call" | "custom_tool_call" => {
                full_text(item, "call_id")?;
                let field = if kind == "function_call" { "arguments" } else { "input" };
                must(item[field] == "", "a call is empty at first", data)?;
                self.reading.calls.push((text(item, "name")?.to_owned(), String::new()));
                Some(self.reading.calls.len() - 1)
            }
            "message" => {
                must(item["content"] == Value::Array(Vec::new()), "a message is empty at first", data)?;
                must(item["role"] == "assistant", "the assistant speaks", data)?;
                None
            }
            "reasoning" => {
                must(item["summary"] == Value::Array(Vec::new()), "a summary is empty at first", data)?;
                None
            }
            _ => None,
        };
        let id = full_text(item, "id")?.to_owned();
        self.items.push(Item { id, kind, parts: Vec::new(), input: String::new(), call, done: None });
        Ok(())
    }

    fn item_event(&mut self, kind: &str, data: &Value) -> Result<(), Fault> {
        let index = usize::try_from(count(data, "output_index")?).map_err(|error| error.to_string())?;
        let item = self.items.get_mut(index).ok_or("an item is added first")?;
        must(item.done.is_none(), "nothing follows an item that is done", data)?;
        if kind == "response.output_item.done" {
            must(data["item"]["id"] == item.id.as_str(), "it is the same item", data)?;
            must(data["item"]["type"] == item.kind.as_str(), "an item keeps its type", data)?;
            item.check_done(&data["item"])?;
            item.done = Some(data["item"].clone());
            return Ok(());
        }
        must(data["item_id"] == item.id.as_str(), "an event names its item", data)?;
        let (verb, place) = match kind {
            "response.content_part.added" | "response.reasoning_summary_part.added" => ("add", "part"),
            "response.content_part.done" | "response.reasoning_summary_part.done" => ("end", "part"),
            "response.output_text.annotation.added" => return Ok(()),
            // How a picture comes along; the item has it when it is done.
            _ if kind.starts_with("response.image_generation_call.") => return Ok(()),
            _ => match kind.rsplit_once('.') {
                Some((_, "delta")) => ("delta", ""),
                Some((_, "done")) => ("done", ""),
                _ => return Err(format!("no such event: {kind}")),
            },
        };
        if kind.contains("arguments") || kind.contains("tool_call_input") {
            return item.input(kind, data, &mut self.reading);
        }
        let field = if kind.contains("summary") { "summary_index" } else { "content_index" };
        let at = usize::try_from(count(data, field)?).map_err(|error| error.to_string())?;
        if verb == "add" {
            must(at == item.parts.len(), "parts are numbered from 0", data)?;
            must(item.parts.iter().all(|(_, done)| *done), "one part is open at a time", data)?;
            if field == "summary_index" && at > 0 {
                // Elsewhere the summaries of one thought are its paragraphs.
                self.reading.thoughts.push_str("\n\n");
            }
            item.parts.push((String::new(), false));
            return Ok(());
        }
        let (said, done) = item.parts.get_mut(at).ok_or("a part is added first")?;
        must(!*done, "nothing follows a part that is done", data)?;
        match (verb, place) {
            ("end", _) => {
                let part = &data["part"];
                let text = part["text"].as_str().or(part["refusal"].as_str()).unwrap_or_default();
                must(text == said, "the part is what was said", data)?;
                *done = true;
            }
            ("delta", _) => {
                let delta = text(data, "delta")?;
                said.push_str(delta);
                let thinks = kind.contains("reasoning");
                let into = if thinks { &mut self.reading.thoughts } else { &mut self.reading.text };
                into.push_str(delta);
            }
            _ => {
                let text = data["text"].as_str().or(data["refusal"].as_str()).unwrap_or_default();
                must(text == said, "the text is what was said", data)?;
            }
        }
        Ok(())
    }
}

impl Item {
    fn input(&mut self, kind: &str, data: &Value, reading: &mut Reading) -> Result<(), Fault> {
        if kind.ends_with(".delta") {
            let delta = text(data, "delta")?;
            self.input.push_str(delta);
            let call = self.call.and_then(|call| reading.calls.get_mut(call));
            call.ok_or("only calls have arguments")?.1.push_str(delta);
            return Ok(());
        }
        let whole = data["arguments"].as_str().or(data["input"].as_str()).unwrap_or_default();
        must(whole == self.input, "the arguments are what was said", data)
    }

    fn check_done(&self, item: &Value) -> Result<(), Fault> {
        must(self.parts.iter().all(|(_, done)| *done), "all parts are done", item)?;
        match self.kind.as_str() {
            "function_call" => {
                must(item["arguments"] == self.input.as_str(), "the call is what was said", item)
            }
            "custom_tool_call" => {
                must(item["input"] == self.input.as_str(), "the call is what was said", item)
            }
            "message" => {
                let parts = item["content"].as_array().map(Vec::as_slice).unwrap_or_default();
                let said = parts
                    .iter()
                    .map(|part| part["text"].as_str().or(part["refusal"].as_str()).unwrap_or_default());
                let same = said.eq(self.parts.iter().map(|(said, _)| said.as_str()));
                must(same, "the message is what was said", item)
            }
            _ => Ok(()),
        }
    }
}
