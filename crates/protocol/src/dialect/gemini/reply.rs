//! Reads a `GenerateContentResponse`, which is a whole answer or one event of a stream; never which of the two.

use std::borrow::Cow;

use super::sources::{Sourced, read_citations, read_grounding};
use super::usage;
use super::wire::{Piece, count, each, name};
use crate::conversation::answer::Finish;
use crate::conversation::usage::Usage;
use crate::dialect::openai::error;
use crate::failure::{Failure, FailureKind};
use crate::json::{Kind, Malformed, Scan};

/// What was read. Of several candidates only the first one counts.
#[derive(Debug, Default)]
pub(super) struct Reply<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) model: Option<Cow<'a, str>>,
    pub(super) candidate: Option<Candidate<'a>>,
    /// Why the prompt was not answered.
    pub(super) blocked: Option<Cow<'a, str>>,
    pub(super) usage: Option<Usage>,
    pub(super) failure: Option<Failure>,
}

/// One answer, or a piece of it.
#[derive(Debug, Default)]
pub(super) struct Candidate<'a> {
    index: u64,
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) finish: Option<Cow<'a, str>>,
    /// Words about the end.
    pub(super) message: Option<Cow<'a, str>>,
    pub(super) sources: Vec<Sourced>,
}

impl<'a> Reply<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Malformed> {
        let mut reply = Reply::default();
        let mut scan = Scan::new(text);
        if scan.kind() == Kind::Array {
            // Google wraps its errors in a list; nothing else comes in one.
            reply.failure = Some(error::listed(scan.written()?).ok_or(Malformed {
                at: 0,
                what: "a list",
                cut: false,
            })?);
            return scan.end().map(|()| reply);
        }
        scan.object(|scan, key| {
            match (&*name(&key), scan.kind()) {
                ("candidates", _) => each(scan, |scan, _| {
                    let candidate = Candidate::read(scan)?;
                    if candidate.index == 0 {
                        reply.candidate = Some(candidate);
                    }
                    Ok::<_, Malformed>(())
                })?,
                ("responseId", Kind::String) => reply.id = Some(scan.string()?.value()),
                ("modelVersion", Kind::String) => reply.model = Some(scan.string()?.value()),
                ("usageMetadata", Kind::Object) => reply.usage = usage::read(scan)?,
                ("promptFeedback", Kind::Object) => scan.object(|scan, key| {
                    match (&*name(&key), scan.kind()) {
                        ("blockReason", Kind::String) => reply.blocked = Some(scan.string()?.value()),
                        _ => scan.skip()?,
                    }
                    Ok::<_, Malformed>(())
                })?,
                ("error", _) => reply.failure = error::failure(scan.written()?),
                _ => scan.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        scan.end()?;
        Ok(reply)
    }
}

impl<'a> Candidate<'a> {
    fn read(scan: &mut Scan<'a>) -> Result<Self, Malformed> {
        let mut candidate = Candidate::default();
        if scan.kind() != Kind::Object {
            scan.skip()?;
            return Ok(candidate);
        }
        scan.object(|scan, key| {
            match (&*name(&key), scan.kind()) {
                ("content", Kind::Object) => scan.object(|scan, key| match &*name(&key) {
                    "parts" => each(scan, |scan, _| {
                        candidate.pieces.push(Piece::read(scan)?);
                        Ok(())
                    }),
                    _ => scan.skip(),
                })?,
                ("finishReason", Kind::String) => candidate.finish = Some(scan.string()?.value()),
                ("finishMessage", Kind::String) => candidate.message = Some(scan.string()?.value()),
                ("index", _) => candidate.index = count(scan.written()?).unwrap_or(0),
                ("groundingMetadata", Kind::Object) => read_grounding(scan, &mut candidate.sources)?,
                ("citationMetadata", Kind::Object) => read_citations(scan, &mut candidate.sources)?,
                _ => scan.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        // A reason that is none stands in events in the middle.
        candidate.finish = candidate.finish.filter(|reason| !matches!(&**reason, "" | UNSPECIFIED));
        Ok(candidate)
    }
}

const UNSPECIFIED: &str = "FINISH_REASON_UNSPECIFIED";

/// What the model did wrong, so that there is nothing to pass on.
const BROKEN: &[&str] = &[
    "MALFORMED_FUNCTION_CALL",
    "MALFORMED_RESPONSE",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
];

/// What a `finishReason` means; a reason of which nothing good is known is not taken for a good end.
pub(super) fn finish(reason: &str, message: Option<&str>, calls: u32) -> Result<Finish, Failure> {
    match reason {
        "STOP" if calls > 0 => Ok(Finish::ToolCalls),
        "STOP" => Ok(Finish::Stop),
        "MAX_TOKENS" | "CONTINUATION" => Ok(Finish::Length),
        broken if BROKEN.contains(&broken) => {
            let message = message.unwrap_or("no more is said");
            Err(Failure::new(FailureKind::ErrorAnswer, format!("{broken}: {message}")))
        }
        // SAFETY, RECITATION, LANGUAGE, BLOCKLIST, PROHIBITED_CONTENT, SPII, the same of images, OTHER, ...
        _ => Ok(Finish::ContentFilter),
    }
}

/// An id for a call that Google gave none, unlike those of other answers in the same conversation.
pub(super) fn call_id(answer: &str, number: u32, piece: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    match answer.len() {
        1..=40 if answer.chars().all(fits) => format!("call_{answer}_{number}"),
        _ => format!("call_{:016x}_{number}", crate::digest(piece.as_bytes())),
    }
}
