//! Reads a request of `generateContent`; never which model it is for or whether it is streamed, which its path says.

use std::borrow::Cow;

use super::parts::Calls;
use super::{config, parts, tools};
use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::Json;
use crate::conversation::request::{Request, Role, Turn};
use crate::dialect::ask::DecodeError;
use crate::dialect::gemini::wire::{Piece, Wrong, each, is_snake_case, name, string};
use crate::json::{Kind, Scan};

/// What is asked for. A stream of this dialect always tells what was used.
pub(crate) fn decode(text: &str) -> Result<Request, DecodeError> {
    let mut request = Request { include_usage: true, ..Request::default() };
    let (mut system, mut notes) = (None, Notes::default());
    let mut scan = Scan::new(text);
    if scan.kind() != Kind::Object {
        scan.skip()?;
        scan.end()?;
        return Err(DecodeError::NotAnObject);
    }
    scan.object(|scan, key| {
        request.is_snake_case |= is_snake_case(&key);
        match &*name(&key) {
            "contents" => each(scan, |scan, index| {
                let place = Place::new("contents").item(index);
                let turn = turn(scan, place, Role::User, &mut notes, &mut request.losses)?;
                add(turn, &mut request.turns);
                Ok::<_, DecodeError>(())
            })?,
            "systemInstruction" => {
                let place = Place::new("systemInstruction");
                system = Some(turn(scan, place, Role::System, &mut notes, &mut request.losses)?);
            }
            "tools" => each(scan, |scan, index| tools::decode(scan, index, &mut request))?,
            "toolConfig" => tools::decode_choice(scan, &mut request)?,
            "generationConfig" => config::decode(scan, &mut request)?,
            "serviceTier" => {
                let mut wrong = Wrong::None;
                let tier = string(scan, &mut wrong, "serviceTier")?;
                check("", wrong)?;
                request.service_tier = tier.and_then(|tier| service_tier(&tier));
            }
            "store" => request.store = flag(scan, "store")?,
            "labels" if scan.kind() == Kind::Object => request.metadata = Some(json(scan.written()?)?),
            // The path says it; some old SDKs say it twice.
            "model" => scan.skip()?,
            other => lose(scan, &Place::default(), other, &mut request.losses)?,
        }
        Ok::<_, DecodeError>(())
    })?;
    scan.end()?;
    request.is_snake_case |= notes.is_snake_case;
    request.turns.splice(0..0, system);
    tools::apply_strictness(&mut request);
    Ok(request)
}

/// What the parts of a request tell of each other and of all of it.
#[derive(Default)]
struct Notes {
    calls: Calls,
    is_snake_case: bool,
}

fn turn(
    scan: &mut Scan<'_>,
    at: Place,
    usual: Role,
    notes: &mut Notes,
    losses: &mut Vec<Loss>,
) -> Result<Turn, DecodeError> {
    let (mut role, mut pieces, mut wrong) = (None, Vec::new(), Wrong::None);
    match scan.kind() {
        // SDKs take a bare text for a content, and some send it as one.
        Kind::String => pieces.push(Piece::of_text(scan.string()?.value())),
        Kind::Object => scan.object(|scan, key| {
            match &*name(&key) {
                "role" => role = string(scan, &mut wrong, "role")?,
                "parts" => each(scan, |scan, _| {
                    let piece = Piece::read(scan)?;
                    notes.is_snake_case |= piece.is_snake_case;
                    pieces.push(piece);
                    Ok::<_, DecodeError>(())
                })?,
                other => lose(scan, &at, other, losses)?,
            }
            Ok::<_, DecodeError>(())
        })?,
        Kind::Array | Kind::Number | Kind::True | Kind::False | Kind::Null | Kind::Nothing => {
            scan.skip()?;
            wrong = Some(("", "an object"));
        }
    }
    check(at.as_str(), wrong)?;
    let role = match usual {
        Role::System => Role::System,
        Role::User | Role::Developer | Role::Assistant => self::role(role.as_deref(), &at)?,
    };
    let mut turn = Turn { role, name: None, parts: Vec::with_capacity(pieces.len()), at };
    for (index, piece) in pieces.into_iter().enumerate() {
        let place = turn.at.field("parts").item(index);
        check(place.as_str(), piece.wrong)?;
        let said = parts::decode(piece, &place, &mut notes.calls, losses)?;
        for part in said {
            match turn.role {
                Role::Assistant => parts::append(part, &mut turn.parts),
                Role::System | Role::Developer | Role::User => turn.parts.push(part),
            }
        }
    }
    Ok(turn)
}

/// Adds a turn, or what it says to the last one where the model goes on: SDKs keep each event of a stream as a content.
fn add(turn: Turn, turns: &mut Vec<Turn>) {
    match turns.last_mut() {
        Some(last) if last.role == Role::Assistant && turn.role == Role::Assistant => {
            turn.parts.into_iter().for_each(|part| parts::append(part, &mut last.parts));
        }
        _ => turns.push(turn),
    }
}

fn role(role: Option<&str>, at: &Place) -> Result<Role, DecodeError> {
    match role.unwrap_or("user") {
        "user" | "function" | "tool" | "" => Ok(Role::User),
        "model" | "assistant" => Ok(Role::Assistant),
        "system" => Ok(Role::System),
        _ => Err(DecodeError::WrongType {
            param: at.field("role").to_string(),
            expected: "\"user\" or \"model\"",
        }),
    }
}

/// Google's tiers in the words that all share.
fn service_tier(tier: &str) -> Option<String> {
    match tier.to_ascii_lowercase().as_str() {
        "" | "unspecified" | "service_tier_unspecified" => None,
        "standard" => Some("default".to_owned()),
        other => Some(other.to_owned()),
    }
}

/// Takes a value that nothing else has a word for.
pub(super) fn lose(
    scan: &mut Scan<'_>,
    at: &Place,
    field: &str,
    losses: &mut Vec<Loss>,
) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Null {
        losses.push(Loss::At(at.field(field)));
    }
    Ok(scan.skip()?)
}

/// Takes true, false or null.
pub(super) fn flag(scan: &mut Scan<'_>, param: &str) -> Result<Option<bool>, DecodeError> {
    let kind = scan.kind();
    scan.skip()?;
    match kind {
        Kind::True => Ok(Some(true)),
        Kind::False => Ok(Some(false)),
        Kind::Null => Ok(None),
        Kind::Object | Kind::Array | Kind::String | Kind::Number | Kind::Nothing => {
            Err(wrong_type(param, "", "true or false"))
        }
    }
}

/// Takes a string or null.
pub(super) fn text<'a>(scan: &mut Scan<'a>, param: &str) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let mut wrong = Wrong::None;
    let text = string(scan, &mut wrong, "")?;
    check(param, wrong)?;
    Ok(text)
}

/// Turns the first wrong value in what stands at `at` into an error.
pub(super) fn check(at: &str, wrong: Wrong) -> Result<(), DecodeError> {
    wrong.map_or(Ok(()), |(field, expected)| Err(wrong_type(at, field, expected)))
}

fn wrong_type(at: &str, field: &str, expected: &'static str) -> DecodeError {
    let dot = if at.is_empty() || field.is_empty() { "" } else { "." };
    DecodeError::WrongType { param: format!("{at}{dot}{field}"), expected }
}

/// JSON that was scanned already.
pub(super) fn json(written: &str) -> Result<Json, DecodeError> {
    Json::read(written).ok_or(DecodeError::InvalidJson { problem: "values nested too deeply", at: 0 })
}
