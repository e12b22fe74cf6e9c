//! Reads and writes `generationConfig`: how the answer is to be made and what form it has; never its content.

use std::borrow::Cow;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Number;

use super::decode::{check, flag, json, lose, text};
use crate::conversation::loss::{Field, Loss, Place};
use crate::conversation::part::Json;
use crate::conversation::request::{Amount, Format, Reasoning, Request};
use crate::conversation::tool::ToolKind;
use crate::dialect::ask::DecodeError;
use crate::dialect::gemini::model::Model;
use crate::dialect::gemini::schema::{self, Fit};
use crate::dialect::gemini::wire::{count, each, is_snake_case, name};
use crate::json::{Kind, Scan};

/// What says together which form the answer has.
#[derive(Default)]
struct Form {
    mime_type: Option<String>,
    schema: Option<Json>,
    wants_logprobs: bool,
    logprobs: Option<u64>,
}

/// Takes `generationConfig`.
pub(super) fn decode(scan: &mut Scan<'_>, request: &mut Request) -> Result<(), DecodeError> {
    let at = Place::new("generationConfig");
    if scan.kind() != Kind::Object {
        let is_null = scan.kind() == Kind::Null;
        scan.skip()?;
        return check(at.as_str(), (!is_null).then_some(("", "an object")));
    }
    let mut form = Form::default();
    scan.object(|scan, key| {
        let named = name(&key);
        request.is_snake_case |= is_snake_case(&key);
        if scan.kind() == Kind::Null {
            return Ok(scan.skip()?);
        }
        if !sampling(scan, &named, request, &at)? && !self::form(scan, &named, &mut form, &at)? {
            match &*named {
                "thinkingConfig" => request.reasoning = Some(reasoning(scan, &mut request.losses)?),
                "responseModalities" => modalities(scan, &at, request)?,
                other => lose(scan, &at, other, &mut request.losses)?,
            }
        }
        Ok::<_, DecodeError>(())
    })?;
    request.sampling.logprobs = form.wants_logprobs.then(|| form.logprobs.unwrap_or(0));
    request.format = match (form.mime_type.as_deref(), form.schema) {
        (None | Some("application/json"), Some(schema)) => {
            Some(Format::JsonSchema { name: None, description: None, schema, strict: None })
        }
        (Some("application/json"), None) => Some(Format::JsonObject),
        (Some("text/plain"), _) => Some(Format::Text),
        (None, None) => None,
        (Some(_), _) => {
            request.losses.push(Loss::Field(Field::Format));
            None
        }
    };
    Ok(())
}

fn sampling(
    scan: &mut Scan<'_>,
    field: &str,
    request: &mut Request,
    at: &Place,
) -> Result<bool, DecodeError> {
    let sampling = &mut request.sampling;
    let param = at.field(field);
    match field {
        "maxOutputTokens" => sampling.max_output_tokens = Some(whole(scan, &param)?),
        "topK" => sampling.top_k = Some(whole(scan, &param)?),
        "candidateCount" => sampling.candidates = Some(whole(scan, &param)?),
        "temperature" => sampling.temperature = Some(number(scan, &param)?),
        "topP" => sampling.top_p = Some(number(scan, &param)?),
        "seed" => sampling.seed = Some(number(scan, &param)?),
        "presencePenalty" => sampling.presence_penalty = Some(number(scan, &param)?),
        "frequencyPenalty" => sampling.frequency_penalty = Some(number(scan, &param)?),
        "stopSequences" => each(scan, |scan, index| {
            let stop = text(scan, param.item(index).as_str())?;
            sampling.stop.extend(stop.map(Cow::into_owned));
            Ok::<_, DecodeError>(())
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn form(scan: &mut Scan<'_>, field: &str, form: &mut Form, at: &Place) -> Result<bool, DecodeError> {
    let param = at.field(field);
    match (field, scan.kind()) {
        ("responseMimeType", _) => {
            form.mime_type = text(scan, param.as_str())?.map(Cow::into_owned);
        }
        ("responseSchema", Kind::Object) => {
            form.schema = Some(json(&schema::to_json_schema(scan.written()?))?);
        }
        ("responseJsonSchema", Kind::Object | Kind::True | Kind::False) => {
            form.schema = Some(json(scan.written()?)?);
        }
        ("responseSchema" | "responseJsonSchema", _) => {
            scan.skip()?;
            check(param.as_str(), Some(("", "an object")))?;
        }
        ("responseLogprobs", _) => form.wants_logprobs = flag(scan, param.as_str())? == Some(true),
        ("logprobs", _) => form.logprobs = Some(whole(scan, &param)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn whole(scan: &mut Scan<'_>, param: &Place) -> Result<u64, DecodeError> {
    let written = scan.written()?;
    count(written).ok_or_else(|| wrong(param, "a whole number"))
}

fn number(scan: &mut Scan<'_>, param: &Place) -> Result<Number, DecodeError> {
    let written = scan.written()?;
    Number::from_str(written.trim_matches('"')).map_err(|_| wrong(param, "a number"))
}

fn wrong(param: &Place, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { param: param.to_string(), expected }
}

fn reasoning(scan: &mut Scan<'_>, losses: &mut Vec<Loss>) -> Result<Reasoning, DecodeError> {
    let at = Place::new("generationConfig.thinkingConfig");
    let mut reasoning = Reasoning::default();
    if scan.kind() != Kind::Object {
        scan.skip()?;
        return Err(wrong(&at, "an object"));
    }
    scan.object(|scan, key| {
        let named = name(&key);
        let param = at.field(&named);
        match (&*named, scan.kind()) {
            (_, Kind::Null) => scan.skip()?,
            ("includeThoughts", _) => {
                let shown = flag(scan, param.as_str())?.map(|shown| if shown { "auto" } else { "none" });
                reasoning.shown = shown.map(str::to_owned);
            }
            ("thinkingBudget", _) => {
                let written = scan.written()?;
                reasoning.amount = Some(match (written.trim_matches('"'), count(written)) {
                    (_, Some(0)) => Amount::Off,
                    (_, Some(tokens)) => Amount::Tokens(tokens),
                    ("-1", None) => Amount::Adaptive,
                    (_, None) => return Err(wrong(&param, "a whole number")),
                });
            }
            ("thinkingLevel", _) => {
                let level = text(scan, param.as_str())?.unwrap_or_default().to_ascii_lowercase();
                if level != "thinking_level_unspecified" {
                    reasoning.amount = Some(Amount::Effort(level));
                }
            }
            (other, _) => lose(scan, &at, other, losses)?,
        }
        Ok::<_, DecodeError>(())
    })?;
    Ok(reasoning)
}

/// Text is what everybody answers, and some have pictures; other modalities have no word elsewhere.
fn modalities(scan: &mut Scan<'_>, at: &Place, request: &mut Request) -> Result<(), DecodeError> {
    let at = at.field("responseModalities");
    each(scan, |scan, index| {
        let modality = text(scan, at.item(index).as_str())?.unwrap_or_default();
        match &*modality {
            "TEXT" | "text" | "Text" | "" => {}
            "IMAGE" | "image" | "Image" => request.pictures = Some(at.item(index)),
            _ => request.losses.push(Loss::At(at.item(index))),
        }
        Ok(())
    })
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_schema: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_modalities: Option<[&'static str; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingOut>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
}

/// As many stop sequences as Google takes.
const STOPS_MAX: usize = 5;

/// The wishes as Google takes them; none where there are none.
pub(super) fn encode<'a>(
    request: &'a Request,
    model: Model,
    losses: &mut Vec<Loss>,
) -> Option<ConfigOut<'a>> {
    let sampling = &request.sampling;
    let mut lose = |is_lost: bool, field| losses.extend(is_lost.then_some(Loss::Field(field)));
    let seed = sampling.seed.as_ref();
    let seed_fits = seed.and_then(Number::as_i64).is_some_and(|seed| i32::try_from(seed).is_ok());
    lose(seed.is_some() && !seed_fits, Field::Seed);
    lose(sampling.stop.len() > STOPS_MAX, Field::Stop);
    lose(sampling.candidates.is_some_and(|count| count > 1), Field::Candidates);
    lose(sampling.logprobs.is_some(), Field::Logprobs);
    lose(sampling.logit_bias.is_some(), Field::LogitBias);
    let mut config = ConfigOut {
        max_output_tokens: sampling.max_output_tokens,
        temperature: sampling.temperature.as_ref(),
        top_p: sampling.top_p.as_ref(),
        top_k: sampling.top_k,
        seed: seed.filter(|_| seed_fits),
        presence_penalty: sampling.presence_penalty.as_ref(),
        frequency_penalty: sampling.frequency_penalty.as_ref(),
        stop_sequences: sampling.stop.get(..STOPS_MAX).unwrap_or(&sampling.stop),
        response_modalities: request.pictures.as_ref().map(|_| ["TEXT", "IMAGE"]),
        thinking_config: request.reasoning.as_ref().and_then(|wish| thinking(wish, model, losses)),
        ..ConfigOut::default()
    };
    encode_form(request, model, &mut config, losses);
    (config != ConfigOut::default()).then_some(config)
}

fn encode_form<'a>(request: &'a Request, model: Model, config: &mut ConfigOut<'a>, losses: &mut Vec<Loss>) {
    let schema = match &request.format {
        None | Some(Format::Text) => return,
        Some(Format::JsonObject) => None,
        Some(Format::JsonSchema { schema, description, .. }) => {
            Some(description.as_ref().map_or(Cow::Borrowed(schema), |text| described(schema, text)))
        }
    };
    let has_functions = request.tools.iter().any(|tool| match tool.kind {
        ToolKind::Function(_) | ToolKind::Custom { .. } => true,
        ToolKind::Builtin(_) => false,
    });
    if has_functions && !model.takes_form_beside_functions() {
        losses.push(Loss::Field(Field::Format));
        return;
    }
    config.response_mime_type = Some("application/json");
    match schema.as_ref().map(|schema| schema::fit(schema.as_str())) {
        None | Some(Fit::Nothing) => {}
        Some(Fit::Subset) => config.response_schema = schema,
        Some(Fit::Beyond) => config.response_json_schema = schema,
    }
}

/// The schema with a description that stood beside it; its own wins.
fn described<'a>(schema: &'a Json, description: &str) -> Cow<'a, Json> {
    let mut own = false;
    let read = Scan::new(schema.as_str()).object(|scan, key| {
        own |= key.value() == "description";
        scan.skip()
    });
    let fields = schema.as_str().trim_start().strip_prefix('{').map(str::trim_start);
    let (Ok(()), false, Some(fields)) = (read, own, fields) else { return Cow::Borrowed(schema) };
    let description = serde_json::to_string(description).expect("a string always serialises");
    let comma = if fields.starts_with('}') { "" } else { "," };
    json(&format!("{{\"description\":{description}{comma}{fields}")).map_or(Cow::Borrowed(schema), Cow::Owned)
}

fn thinking(wish: &Reasoning, model: Model, losses: &mut Vec<Loss>) -> Option<ThinkingOut> {
    let effort = wish.effort().unwrap_or_default();
    let is_off = effort == "none";
    if !model.thinks() {
        let is_lost = !is_off && wish.amount.is_some();
        losses.extend(is_lost.then_some(Loss::Field(Field::Reasoning)));
        return None;
    }
    if is_off && model.always_thinks() {
        losses.push(Loss::Field(Field::Reasoning));
    }
    let mut config = ThinkingOut {
        include_thoughts: wish.shown.as_deref().map(|shown| shown != "none"),
        ..ThinkingOut::default()
    };
    match &wish.amount {
        None => {}
        Some(Amount::Adaptive) if model.thinks_by_level() => {}
        Some(Amount::Adaptive) => config.thinking_budget = Some(-1),
        Some(Amount::Off | Amount::Effort(_) | Amount::Tokens(_)) => {
            let level = model.level(effort).filter(|_| model.thinks_by_level());
            let budget = wish.budget_tokens().filter(|_| level.is_none());
            config.thinking_level = level;
            config.thinking_budget = budget.and_then(|tokens| model.budget(tokens).try_into().ok());
            if level.is_none() && budget.is_none() {
                losses.push(Loss::Field(Field::Reasoning));
            }
        }
    }
    (config != ThinkingOut::default()).then_some(config)
}
