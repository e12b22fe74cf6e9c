//! What is kept of a response for a backend that keeps none: what was said up to it, and the response as the client got
//! it; never where or for how long, nor whether the caller may have it.
//!
//! It is kept as the client wrote it and as it was written for the client, so that nothing of it is lost between turns,
//! whichever backend serves the next one.

use bytes::Bytes;
use serde::Serialize;

use super::item::Reader;
use super::request::{history, settle};
use crate::conversation::loss::Place;
use crate::conversation::part::{Content, Part};
use crate::conversation::request::{Request, Role};
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{self, Fields};
use crate::dialect::write;
use crate::json::Kind;

#[cfg(test)]
mod tests;

/// What was kept of responses that a request rests on.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Of the one that it continues.
    pub earlier: Option<Bytes>,
    /// Of those to whose items it refers.
    pub referred: Vec<Bytes>,
}

impl Past {
    /// It rests on nothing that was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.earlier.is_none() && self.referred.is_empty()
    }

    /// Puts what was kept where `request` means it. It no longer continues anything then.
    pub fn recall(&self, request: &mut Request) -> Result<(), DecodeError> {
        for kept in &self.referred {
            resolve(kept, request)?;
        }
        match &self.earlier {
            Some(earlier) => recall(earlier, request),
            None => Ok(()),
        }
    }
}

/// Puts together what to keep: the items that were kept before, where this request rests on any, the input of its `body`,
/// and the `response` object.
pub fn remember(body: &[u8], past: &Past, response: &[u8]) -> Result<Bytes, DecodeError> {
    let mut items: Vec<String> = Vec::new();
    if let Some(earlier) = &past.earlier {
        items.extend(Kept::read(earlier)?.said()?.into_iter().map(str::to_owned));
    }
    let referred = past.referred.iter().map(|kept| Kept::read(kept)?.output());
    let referred = referred.collect::<Result<Vec<_>, _>>()?.concat();
    // What is kept stands on its own: what it refers to may be gone before it is.
    let meant = |written: &'_ str| {
        let meant = referred_id(written)
            .and_then(|id| referred.iter().find(|known| id_of(known).as_deref() == Some(&*id)).copied());
        meant.unwrap_or(written).to_owned()
    };
    let mut request = Fields::read(text(body)?, Place::default())?;
    if let Some(written) = request.written("input") {
        match object::string(written) {
            Some(said) => items.push(user_message(&said)),
            None => items.extend(object::elements(written, &Place::new("input"))?.into_iter().map(meant)),
        }
    }
    let response = text(response)?.trim();
    Fields::read(response, Place::new("response"))?;
    let mut kept =
        Vec::with_capacity(response.len() + items.iter().map(|item| item.len() + 1).sum::<usize>() + 32);
    kept.extend_from_slice(b"{\"response\":");
    kept.extend_from_slice(response.as_bytes());
    kept.extend_from_slice(b",\"input\":[");
    kept.extend_from_slice(items.join(",").as_bytes());
    kept.extend_from_slice(b"]}");
    Ok(kept.into())
}

/// Puts what was kept in front of what `request` says.
fn recall(kept: &[u8], request: &mut Request) -> Result<(), DecodeError> {
    let kept = Kept::read(kept)?;
    // What a turn has lost was told with its own answer.
    let told = request.losses.len();
    let mut turns = history(&kept.said()?, &Place::new("previous_response_id"), request)?;
    request.losses.truncate(told);
    // Instructions are this request's own: those of the earlier ones were not kept.
    let own = request.turns.iter().take_while(|turn| turn.at.as_str() == "instructions").count();
    turns.extend(request.turns.split_off(own));
    request.turns.extend(turns);
    settle(&mut request.turns);
    request.previous_response_id = None;
    Ok(())
}

/// The responses to whose items a request refers by their ids.
pub fn references(request: &Request) -> Vec<String> {
    let mut responses: Vec<String> = Vec::new();
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        let Some(id) = reference(part) else { continue };
        let response = id.split_once('_').and_then(|(_, rest)| rest.rsplit_once('_'));
        if let Some((response, _)) = response {
            let response = format!("resp_{response}");
            if !responses.contains(&response) {
                responses.push(response);
            }
        }
    }
    responses
}

/// Whether a request says nothing but what it refers to by ids, as far as that is not known here.
pub fn only_refers(request: &Request) -> bool {
    let said = request.turns.iter().filter(|turn| turn.role != Role::System);
    let mut parts = said.flat_map(|turn| &turn.parts).peekable();
    parts.peek().is_some() && parts.all(|part| reference(part).is_some())
}

/// Puts the items of a kept response in the places where `request` refers to them.
fn resolve(kept: &[u8], request: &mut Request) -> Result<(), DecodeError> {
    let kept = Kept::read(kept)?;
    let items = kept.output()?;
    let names = std::mem::take(&mut request.namespaced);
    for turn in &mut request.turns {
        let mut parts = Vec::with_capacity(turn.parts.len());
        for part in turn.parts.drain(..) {
            let known =
                reference(&part).and_then(|id| items.iter().find(|item| id_of(item).as_deref() == Some(&id)));
            match known {
                Some(written) => {
                    let mut reader = Reader { names: &names, losses: &mut Vec::new() };
                    parts.extend(reader.item(written, part.at.clone())?.parts);
                }
                None => parts.push(part),
            }
        }
        turn.parts = parts;
    }
    request.namespaced = names;
    settle(&mut request.turns);
    Ok(())
}

/// The response object (`GET /v1/responses/{id}`).
pub fn response(kept: &Bytes) -> Option<Bytes> {
    let written = Kept::read(kept).ok()?.response;
    Some(kept.slice_ref(written.as_bytes()))
}

/// Which of the input items are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Those behind the one with this id.
    pub after: Option<&'a str>,
    /// So many at most.
    pub limit: usize,
    /// In which order.
    pub order: Order,
}

/// In which order items are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they were said.
    Ascending,
    /// The last one first, which is usual.
    Descending,
}

/// The list of input items (`GET /v1/responses/{id}/input_items`).
pub fn input_items(kept: &[u8], page: &Page<'_>) -> Option<Bytes> {
    #[derive(Serialize)]
    struct Ends<'a> {
        object: &'static str,
        first_id: &'a str,
        last_id: &'a str,
        has_more: bool,
    }
    let kept = Kept::read(kept).ok()?;
    let whose = id_of(kept.response).unwrap_or_default();
    let mut items: Vec<(String, Vec<u8>)> = kept
        .input
        .iter()
        .enumerate()
        .filter_map(|(number, written)| listed(written, &whose, number))
        .collect();
    if page.order == Order::Descending {
        items.reverse();
    }
    let begin = page.after.map_or(0, |after| {
        items.iter().position(|(id, _)| id == after).map_or(items.len(), |before| before + 1)
    });
    let rest = items.get(begin..).unwrap_or_default();
    let shown = rest.get(..page.limit).unwrap_or(rest);
    let id = |item: Option<&'_ (String, Vec<u8>)>| item.map(|(id, _)| id.clone()).unwrap_or_default();
    let (first, last) = (id(shown.first()), id(shown.last()));
    let ends = Ends { object: "list", first_id: &first, last_id: &last, has_more: shown.len() < rest.len() };
    let mut list = b"{\"data\":[".to_vec();
    for (number, (_, item)) in shown.iter().enumerate() {
        if number > 0 {
            list.push(b',');
        }
        list.extend_from_slice(item);
    }
    list.extend_from_slice(b"],");
    let ends = write::json(&ends);
    list.extend_from_slice(ends.get(1..).unwrap_or_default());
    Some(list.into())
}

/// What is answered when a response was deleted (`DELETE /v1/responses/{id}`).
pub fn deleted(id: &str) -> Bytes {
    #[derive(Serialize)]
    struct Deleted<'a> {
        id: &'a str,
        object: &'static str,
        deleted: bool,
    }
    write::json(&Deleted { id, object: "response", deleted: true })
}

/// What was kept, in its parts.
struct Kept<'a> {
    response: &'a str,
    input: Vec<&'a str>,
}

impl<'a> Kept<'a> {
    fn read(kept: &'a [u8]) -> Result<Self, DecodeError> {
        let mut object = Fields::read(text(kept)?, Place::default())?;
        let response = object.written("response").ok_or(DecodeError::Missing { param: "response" })?;
        Ok(Kept { response, input: object.elements("input")? })
    }

    fn output(&self) -> Result<Vec<&'a str>, DecodeError> {
        Fields::read(self.response, Place::new("response"))?.elements("output")
    }

    /// Everything that was said, the response included.
    fn said(&self) -> Result<Vec<&'a str>, DecodeError> {
        let mut items = self.input.clone();
        items.extend(self.output()?);
        Ok(items)
    }
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes)
        .map_err(|error| DecodeError::InvalidJson { problem: "invalid UTF-8", at: error.valid_up_to() })
}

/// A bare text as the item it stands for.
fn user_message(said: &str) -> String {
    let said = serde_json::Value::from(said);
    format!(r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":{said}}}]}}"#)
}

/// The id that an item refers to and is nothing else.
pub(crate) fn reference(part: &Part) -> Option<String> {
    let Content::Native(native) = &part.content else { return None };
    if native.dialect != Dialect::OpenAiResponses {
        return None;
    }
    referred_id(native.json.as_str())
}

/// The same of an item as it is written.
fn referred_id(written: &str) -> Option<String> {
    let mut object = Fields::read(written, Place::default()).ok()?;
    match object.text("type").ok()?.as_deref() {
        Some("item_reference") => object.string("id").ok()?,
        // A message may do without a type, too.
        None if object.peek("role").is_none() => object.string("id").ok()?,
        Some(_) | None => None,
    }
}

fn id_of(written: &str) -> Option<String> {
    Fields::read(written, Place::default()).ok()?.string("id").ok()?
}

/// An input item as it is listed: with the id, type and state that clients may leave out of it.
fn listed(written: &str, whose: &str, number: usize) -> Option<(String, Vec<u8>)> {
    let mut object = Fields::read(written, Place::default()).ok()?;
    let kind = object.string("type").ok()?.unwrap_or_else(|| "message".to_owned());
    let whose = whose.strip_prefix("resp_").unwrap_or(whose);
    let id = object.string("id").ok()?.unwrap_or_else(|| format!("in_{whose}_{number}"));
    let is_assistant = object.peek("role") == Some("\"assistant\"");
    let mut item = b"{\"type\":".to_vec();
    write::push_json(&mut item, &kind);
    item.extend_from_slice(b",\"id\":");
    write::push_json(&mut item, &id);
    let has_status = object.has("status");
    if !has_status && !matches!(kind.as_str(), "reasoning" | "item_reference" | "compaction") {
        item.extend_from_slice(b",\"status\":\"completed\"");
    }
    for (name, value) in object.into_rest() {
        item.push(b',');
        write::push_json(&mut item, &name);
        item.push(b':');
        match name.as_ref() {
            "content" if object::kind(value) == Kind::String => {
                let (piece, more) =
                    if is_assistant { ("output_text", ",\"annotations\":[]") } else { ("input_text", "") };
                item.extend_from_slice(
                    format!("[{{\"type\":\"{piece}\",\"text\":{value}{more}}}]").as_bytes(),
                );
            }
            _ => item.extend_from_slice(value.as_bytes()),
        }
    }
    item.push(b'}');
    Some((id, item))
}
