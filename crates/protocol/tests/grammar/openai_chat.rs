//! The grammar of chat chunks; never that of whole answers.

use serde_json::Value;

use super::{End, Fault, Framed, Reading, Rules, count, full_text, json, must, text};

#[derive(Default)]
pub(super) struct Chat {
    reading: Reading,
    /// Id, model and time, which all chunks share.
    head: Option<[Value; 3]>,
    has_role: bool,
    is_finished: bool,
    has_usage: bool,
    pictures: u64,
    sources: u64,
}

const REASONS: [&str; 5] = ["stop", "length", "tool_calls", "function_call", "content_filter"];

impl Rules for Chat {
    fn take(&mut self, event: Framed<'_>) -> Result<(), Fault> {
        must(self.reading.end == End::Open, "nothing follows the end", &Value::Null)?;
        must(event.name.is_none(), "chunks have no name", &Value::Null)?;
        if event.data == "[DONE]" {
            must(self.is_finished, "[DONE] follows the reason", &Value::Null)?;
            self.reading.end = End::Complete;
            return Ok(());
        }
        let chunk = json(event)?;
        if !chunk["error"].is_null() {
            full_text(&chunk["error"], "message")?;
            self.reading.end = End::Failed;
            return Ok(());
        }
        must(chunk["object"] == "chat.completion.chunk", "`object` is that of a chunk", &chunk)?;
        full_text(&chunk, "id")?;
        text(&chunk, "model")?;
        count(&chunk, "created")?;
        let head = [chunk["id"].clone(), chunk["model"].clone(), chunk["created"].clone()];
        must(self.head.get_or_insert_with(|| head.clone()) == &head, "all chunks are of one answer", &chunk)?;
        let choices = chunk["choices"].as_array().ok_or("`choices` must be a list")?;
        match choices.as_slice() {
            [] => self.usage(&chunk),
            [choice] => self.choice(choice),
            _ => Err("one answer was asked for".to_owned()),
        }
    }

    fn reading(self: Box<Self>) -> Reading {
        self.reading
    }
}

impl Chat {
    fn usage(&mut self, chunk: &Value) -> Result<(), Fault> {
        must(self.is_finished && !self.has_usage, "the usage comes once, after the reason", chunk)?;
        self.has_usage = true;
        let usage = &chunk["usage"];
        let total = count(usage, "prompt_tokens")? + count(usage, "completion_tokens")?;
        must(count(usage, "total_tokens")? == total, "the total is the sum", usage)
    }

    fn choice(&mut self, choice: &Value) -> Result<(), Fault> {
        must(!self.is_finished, "no choice follows the reason", choice)?;
        must(choice["index"] == 0, "one answer was asked for", choice)?;
        let delta = &choice["delta"];
        must(delta.is_object(), "a choice has a delta", choice)?;
        if !choice["finish_reason"].is_null() {
            let reason = text(choice, "finish_reason")?;
            must(REASONS.contains(&reason), "the reason is one of OpenAI's", choice)?;
            must(self.has_role, "the role comes first", choice)?;
            self.is_finished = true;
        } else if !self.has_role {
            must(delta["role"] == "assistant", "the role comes first", choice)?;
            self.has_role = true;
        } else {
            must(delta.get("role").is_none(), "the role comes once", choice)?;
        }
        self.delta(delta)
    }

    fn delta(&mut self, delta: &Value) -> Result<(), Fault> {
        for name in ["content", "refusal"] {
            if !delta[name].is_null() {
                self.reading.text.push_str(text(delta, name)?);
            }
        }
        if !delta["reasoning_content"].is_null() {
            self.reading.thoughts.push_str(text(delta, "reasoning_content")?);
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            let kind = text(detail, "type")?;
            must(kind.starts_with("reasoning."), "a detail is one of reasoning", detail)?;
        }
        for picture in delta["images"].as_array().into_iter().flatten() {
            must(picture["type"] == "image_url", "a picture has an address", picture)?;
            full_text(&picture["image_url"], "url")?;
            must(count(picture, "index")? == self.pictures, "pictures are numbered from 0", picture)?;
            self.pictures += 1;
        }
        for source in delta["annotations"].as_array().into_iter().flatten() {
            must(count(source, "index")? == self.sources, "sources are numbered from 0", source)?;
            self.sources += 1;
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call)?;
        }
        let legacy = &delta["function_call"];
        if legacy.is_object() {
            if let Some(name) = legacy["name"].as_str() {
                self.reading.calls.push((name.to_owned(), String::new()));
            }
            let last = self.reading.calls.last_mut().ok_or("a call begins with its name")?;
            last.1.push_str(text(legacy, "arguments")?);
        }
        Ok(())
    }

    fn call(&mut self, call: &Value) -> Result<(), Fault> {
        let index = usize::try_from(count(call, "index")?).map_err(|error| error.to_string())?;
        must(index <= self.reading.calls.len(), "calls are numbered from 0", call)?;
        let inner = if call["custom"].is_object() { &call["custom"] } else { &call["function"] };
        if index == self.reading.calls.len() {
            full_text(call, "id")?;
            must(["function", "custom"].contains(&text(call, "type")?), "a call has a type", call)?;
            self.reading.calls.push((text(inner, "name")?.to_owned(), String::new()));
        } else {
            let repeats = call.get("id").is_some() || inner.get("name").is_some();
            must(!repeats, "a call's id and name come once", call)?;
        }
        let arguments = inner["arguments"].as_str().or(inner["input"].as_str()).unwrap_or_default();
        self.reading.calls[index].1.push_str(arguments);
        Ok(())
    }
}
