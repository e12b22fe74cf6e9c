//! Reads and writes the functions on offer and which of them are to be called; never a call.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::decode::{check, flag, json, lose, text};
use crate::conversation::loss::{Field, Loss, Place};
use crate::conversation::part::{Json, Native};
use crate::conversation::request::Request;
use crate::conversation::tool::{Function, Tool, ToolChoice, ToolKind};
use crate::dialect::ask::DecodeError;
use crate::dialect::custom;
use crate::dialect::gemini::SELF;
use crate::dialect::gemini::schema::{self, Fit};
use crate::dialect::gemini::wire::{each, name};
use crate::json::{Kind, Scan};

/// Takes one element of `tools`, which may hold functions and tools that Google runs.
pub(super) fn decode(scan: &mut Scan<'_>, index: usize, request: &mut Request) -> Result<(), DecodeError> {
    let at = Place::new("tools").item(index);
    if scan.kind() != Kind::Object {
        scan.skip()?;
        return check(at.as_str(), Some(("", "an object")));
    }
    scan.object(|scan, key| {
        let named = name(&key);
        let at = at.field(&named);
        match (&*named, scan.kind()) {
            ("functionDeclarations", _) => each(scan, |scan, index| {
                let tool = function(scan, at.item(index), &mut request.losses)?;
                request.tools.push(tool);
                Ok::<_, DecodeError>(())
            })?,
            (_, Kind::Null) => scan.skip()?,
            (named, _) => {
                let tool = json(&format!("{{\"{named}\":{}}}", scan.written()?))?;
                let kind = ToolKind::Builtin(Native { dialect: SELF, json: tool });
                request.tools.push(Tool { kind, cache: None, at });
            }
        }
        Ok(())
    })
}

fn function(scan: &mut Scan<'_>, at: Place, losses: &mut Vec<Loss>) -> Result<Tool, DecodeError> {
    let mut function = Function { name: String::new(), description: None, parameters: None, strict: None };
    if scan.kind() != Kind::Object {
        scan.skip()?;
        check(at.as_str(), Some(("", "an object")))?;
    }
    scan.object(|scan, key| {
        let param = |field| at.field(field).to_string();
        match (&*name(&key), scan.kind()) {
            (_, Kind::Null) => scan.skip()?,
            ("name", _) => function.name = text(scan, &param("name"))?.unwrap_or_default().into_owned(),
            ("description", _) => {
                function.description = text(scan, &param("description"))?.map(Cow::into_owned);
            }
            ("parameters", Kind::Object) => {
                function.parameters = Some(json(&schema::to_json_schema(scan.written()?))?);
            }
            ("parametersJsonSchema", Kind::Object) => function.parameters = Some(json(scan.written()?)?),
            ("parameters" | "parametersJsonSchema", _) => {
                scan.skip()?;
                check(&param("parameters"), Some(("", "an object")))?;
            }
            (other, _) => lose(scan, &at, other, losses)?,
        }
        Ok::<_, DecodeError>(())
    })?;
    Ok(Tool { kind: ToolKind::Function(function), cache: None, at })
}

/// Takes `toolConfig`.
pub(super) fn decode_choice(scan: &mut Scan<'_>, request: &mut Request) -> Result<(), DecodeError> {
    let at = Place::new("toolConfig");
    if scan.kind() != Kind::Object {
        let is_null = scan.kind() == Kind::Null;
        scan.skip()?;
        return check(at.as_str(), (!is_null).then_some(("", "an object")));
    }
    scan.object(|scan, key| {
        match (&*name(&key), scan.kind()) {
            ("functionCallingConfig", Kind::Object) => {
                let at = at.field("functionCallingConfig");
                let (mut mode, mut names) = (None, Vec::new());
                scan.object(|scan, key| {
                    match &*name(&key) {
                        "mode" => mode = text(scan, at.field("mode").as_str())?,
                        "allowedFunctionNames" => each(scan, |scan, _| {
                            let name = text(scan, at.field("allowedFunctionNames").as_str())?;
                            names.extend(name.map(Cow::into_owned));
                            Ok::<_, DecodeError>(())
                        })?,
                        "streamFunctionCallArguments" if scan.kind() != Kind::True => {
                            flag(scan, at.field("streamFunctionCallArguments").as_str())?;
                        }
                        other => lose(scan, &at, other, &mut request.losses)?,
                    }
                    Ok::<_, DecodeError>(())
                })?;
                choose(mode.as_deref().unwrap_or_default(), names, request, &at);
            }
            (other, _) => lose(scan, &at, other, &mut request.losses)?,
        }
        Ok::<_, DecodeError>(())
    })
}

fn choose(mode: &str, mut names: Vec<String>, request: &mut Request, at: &Place) {
    request.tool_choice = match mode.to_ascii_uppercase().as_str() {
        "" | "MODE_UNSPECIFIED" => None,
        "AUTO" => Some(ToolChoice::Auto),
        "NONE" => Some(ToolChoice::None),
        "ANY" => Some(match names.len() {
            0 => ToolChoice::Required,
            1 => ToolChoice::Named(names.swap_remove(0)),
            _ => ToolChoice::Among { names, required: true },
        }),
        "VALIDATED" if names.is_empty() => Some(VALIDATED),
        "VALIDATED" => Some(ToolChoice::Among { names, required: false }),
        _ => {
            request.losses.push(Loss::At(at.field("mode")));
            None
        }
    };
}

/// Stands for the mode `VALIDATED` without names until all tools are known.
const VALIDATED: ToolChoice = ToolChoice::Among { names: Vec::new(), required: false };

/// `VALIDATED` means that each function's schema is to be followed.
pub(super) fn apply_strictness(request: &mut Request) {
    if request.tool_choice != Some(VALIDATED) {
        return;
    }
    request.tool_choice = Some(ToolChoice::Auto);
    for tool in &mut request.tools {
        match &mut tool.kind {
            ToolKind::Function(function) => function.strict = Some(true),
            ToolKind::Custom { .. } | ToolKind::Builtin(_) => {}
        }
    }
}

/// An element of `tools`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ToolOut<'a> {
    Functions {
        #[serde(rename = "functionDeclarations")]
        functions: Vec<Declaration<'a>>,
    },
    Native(&'a RawValue),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Json>,
}

/// The tools as Google takes them.
pub(super) fn encode<'a>(request: &'a Request, losses: &mut Vec<Loss>) -> Vec<ToolOut<'a>> {
    let (mut functions, mut natives) = (Vec::new(), Vec::new());
    for tool in &request.tools {
        if tool.cache.is_some() {
            losses.push(Loss::At(tool.at.field("cache_control")));
        }
        match &tool.kind {
            ToolKind::Function(function) => functions.push(declaration(function)),
            ToolKind::Builtin(native) if native.dialect == SELF => {
                natives.push(ToolOut::Native(native.json.raw()))
            }
            ToolKind::Builtin(_) => losses.push(Loss::At(tool.at.clone())),
            ToolKind::Custom { name, description, format } => {
                losses.extend(format.is_some().then(|| Loss::At(tool.at.field("format"))));
                functions.push(Declaration {
                    name,
                    description: description.as_deref(),
                    parameters: Some(Cow::Owned(text_schema())),
                    parameters_json_schema: None,
                });
            }
        }
    }
    let functions = (!functions.is_empty()).then_some(ToolOut::Functions { functions });
    functions.into_iter().chain(natives).collect()
}

/// A tool that takes text takes an object with that text.
fn text_schema() -> Json {
    json(custom::SCHEMA).expect("a constant that is JSON")
}

fn declaration(function: &Function) -> Declaration<'_> {
    let schema = function.parameters.as_ref();
    let fit = schema.map_or(Fit::Nothing, |schema| schema::fit(schema.as_str()));
    Declaration {
        name: &function.name,
        description: function.description.as_deref(),
        parameters: schema.filter(|_| fit == Fit::Subset).map(Cow::Borrowed),
        parameters_json_schema: schema.filter(|_| fit == Fit::Beyond),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChoiceOut<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed_function_names: &'a [String],
}

/// The choice among the tools as Google takes it.
pub(super) fn encode_choice<'a>(request: &'a Request, losses: &mut Vec<Loss>) -> Option<ChoiceOut<'a>> {
    if request.parallel_tool_calls == Some(false) {
        losses.push(Loss::Field(Field::ParallelToolCalls));
    }
    let functions = || {
        request.tools.iter().filter_map(|tool| match &tool.kind {
            ToolKind::Function(function) => Some((tool, function)),
            ToolKind::Custom { .. } | ToolKind::Builtin(_) => None,
        })
    };
    let any = request.tools.iter().any(|tool| match tool.kind {
        ToolKind::Function(_) | ToolKind::Custom { .. } => true,
        ToolKind::Builtin(_) => false,
    });
    let strict = functions().filter(|(_, function)| function.strict == Some(true));
    let all_strict =
        functions().next().is_some() && functions().all(|(_, function)| function.strict == Some(true));
    let choice = request.tool_choice.as_ref();
    let (mode, names): (_, &[String]) = match choice {
        // Google binds all functions to their schemas or none.
        None | Some(ToolChoice::Auto) if all_strict => ("VALIDATED", &[]),
        None => ("", &[]),
        Some(ToolChoice::Auto) => ("AUTO", &[]),
        Some(ToolChoice::None) => ("NONE", &[]),
        Some(ToolChoice::Required) => ("ANY", &[]),
        Some(ToolChoice::Named(name)) => ("ANY", std::slice::from_ref(name)),
        Some(ToolChoice::Among { names, required: true }) => ("ANY", names),
        Some(ToolChoice::Among { names, required: false }) => ("VALIDATED", names),
    };
    if matches!(mode, "" | "AUTO") {
        losses.extend(strict.map(|(tool, _)| Loss::At(tool.at.field("strict"))));
    }
    if !any {
        let is_harmless = matches!(choice, None | Some(ToolChoice::Auto | ToolChoice::None));
        losses.extend((!is_harmless).then_some(Loss::Field(Field::ToolChoice)));
        return None;
    }
    let config = Calling { mode, allowed_function_names: names };
    (!mode.is_empty()).then_some(ChoiceOut { function_calling_config: config })
}
