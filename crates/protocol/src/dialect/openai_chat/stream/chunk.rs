//! Reads one chunk of a stream, or a whole answer, which differs in its `message`; never what came before it.
//!
//! It is read whole before any of it counts, so that a malformed chunk changes nothing. What has an unexpected type is
//! passed over: half of the servers that speak this dialect have their own idea of some field.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::conversation::usage::Usage;
use crate::dialect::openai::{error, usage};
use crate::failure::Failure;
use crate::json::{Kind, Malformed, Scan};

#[derive(Debug, Default)]
pub(crate) struct Chunk<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) model: Option<Cow<'a, str>>,
    pub(crate) service_tier: Option<Cow<'a, str>>,
    pub(crate) usage: Option<Usage>,
    pub(crate) failure: Option<Failure>,
    /// The first of the answers; others are not carried.
    pub(crate) choice: Option<Choice<'a>>,
}

#[derive(Debug, Default)]
pub(crate) struct Choice<'a> {
    pub(crate) finish: Option<Cow<'a, str>>,
    /// vLLM: the text that ended the answer.
    pub(crate) stopped_by: Option<Cow<'a, str>>,
    pub(crate) said: Said<'a>,
}

/// What a message says, or the next piece of it.
#[derive(Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) content: Option<Cow<'a, str>>,
    /// The content as a list, as written.
    pub(crate) parts: Option<&'a str>,
    pub(crate) refusal: Option<Cow<'a, str>>,
    pub(crate) reasoning_content: Option<Cow<'a, str>>,
    pub(crate) reasoning: Option<Cow<'a, str>>,
    pub(crate) details: Option<&'a str>,
    pub(crate) annotations: Option<&'a str>,
    pub(crate) calls: SmallVec<[Call<'a>; 1]>,
    /// Pictures, as written.
    pub(crate) images: Option<&'a str>,
    /// It says something aloud.
    pub(crate) has_audio: bool,
}

/// A call, or the next piece of one.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) index: Option<u64>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) arguments: Option<Cow<'a, str>>,
    pub(crate) is_custom: bool,
    pub(crate) seal: Option<Cow<'a, str>>,
}

pub(crate) fn read(text: &str) -> Result<Chunk<'_>, Malformed> {
    let mut scan = Scan::new(text);
    let mut chunk = Chunk::default();
    scan.object(|scan, key| {
        match &*key.value() {
            "choices" if scan.kind() == Kind::Array => scan.array(|scan, _| choice(scan, &mut chunk))?,
            "usage" if scan.kind() == Kind::Object => chunk.usage = usage::read(scan.written()?),
            "id" => chunk.id = string(scan)?,
            "model" => chunk.model = string(scan)?,
            "service_tier" => chunk.service_tier = string(scan)?,
            "error" => chunk.failure = error::failure(scan.written()?),
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    scan.end()?;
    Ok(chunk)
}

fn choice<'a>(scan: &mut Scan<'a>, chunk: &mut Chunk<'a>) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let (mut choice, mut index) = (Choice::default(), 0_u64);
    scan.object(|scan, key| {
        match &*key.value() {
            "delta" | "message" if scan.kind() == Kind::Object => said(scan, &mut choice.said)?,
            "index" => index = scan.written()?.parse().unwrap_or(0),
            "finish_reason" => choice.finish = string(scan)?,
            "stop_reason" => choice.stopped_by = string(scan)?,
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    if index == 0 && chunk.choice.is_none() {
        chunk.choice = Some(choice);
    }
    Ok(())
}

fn said<'a>(scan: &mut Scan<'a>, said: &mut Said<'a>) -> Result<(), Malformed> {
    scan.object(|scan, key| {
        match &*key.value() {
            "content" if scan.kind() == Kind::Array => said.parts = Some(scan.written()?),
            "content" => said.content = string(scan)?,
            "refusal" => said.refusal = string(scan)?,
            "reasoning_content" => said.reasoning_content = string(scan)?,
            "reasoning" => said.reasoning = string(scan)?,
            "reasoning_details" if scan.kind() == Kind::Array => said.details = Some(scan.written()?),
            "annotations" if scan.kind() == Kind::Array => said.annotations = Some(scan.written()?),
            "images" if scan.kind() == Kind::Array => said.images = Some(scan.written()?),
            "audio" if scan.kind() == Kind::Object => {
                said.has_audio = true;
                scan.skip()?;
            }
            "tool_calls" if scan.kind() == Kind::Array => {
                scan.array(|scan, _| call(scan, &mut said.calls))?
            }
            "function_call" if scan.kind() == Kind::Object => {
                let mut call = Call { index: Some(0), ..Call::default() };
                called(scan, &mut call)?;
                said.calls.push(call);
            }
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })
}

fn call<'a>(scan: &mut Scan<'a>, calls: &mut SmallVec<[Call<'a>; 1]>) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let mut call = Call::default();
    scan.object(|scan, key| {
        match &*key.value() {
            "index" => call.index = scan.written()?.parse().ok(),
            "id" => call.id = string(scan)?,
            "function" if scan.kind() == Kind::Object => called(scan, &mut call)?,
            "custom" if scan.kind() == Kind::Object => {
                call.is_custom = true;
                called(scan, &mut call)?;
            }
            "extra_content" if scan.kind() == Kind::Object => seal(scan, &mut call.seal)?,
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    calls.push(call);
    Ok(())
}

fn called<'a>(scan: &mut Scan<'a>, call: &mut Call<'a>) -> Result<(), Malformed> {
    scan.object(|scan, key| {
        match &*key.value() {
            "name" => call.name = string(scan)?,
            // Some servers send an object where its text belongs.
            "arguments" | "input" if matches!(scan.kind(), Kind::Object | Kind::Array) => {
                call.arguments = Some(Cow::Borrowed(scan.written()?));
            }
            "arguments" | "input" => call.arguments = string(scan)?,
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })
}

/// `extra_content.google.thought_signature`, as Google's own endpoint of this dialect has it.
fn seal<'a>(scan: &mut Scan<'a>, seal: &mut Option<Cow<'a, str>>) -> Result<(), Malformed> {
    scan.object(|scan, key| {
        if key.value() != "google" || scan.kind() != Kind::Object {
            return scan.skip();
        }
        scan.object(|scan, key| {
            if key.value() != "thought_signature" {
                return scan.skip();
            }
            *seal = string(scan)?;
            Ok::<_, Malformed>(())
        })
    })
}

/// A string that says something; what else stands there counts as not given.
fn string<'a>(scan: &mut Scan<'a>) -> Result<Option<Cow<'a, str>>, Malformed> {
    if scan.kind() != Kind::String {
        scan.skip()?;
        return Ok(None);
    }
    let text = scan.string()?;
    Ok((!text.is_empty()).then(|| text.value()))
}
