//! Reads and writes tools and the choice among them; never what becomes of a call.

use serde::Serialize;

use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{Json, Native};
use crate::conversation::request::Request;
use crate::conversation::tool::{Function, Namespaced, Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{self, Fields};
use crate::digest;

/// The longest name that every dialect takes.
const NAME_BYTES_MAX: usize = 64;

/// Reads the tools of a list. Those in a namespace get a name that says so, and are noted in the request.
pub(crate) fn decode(written: &[&str], at: &Place, request: &mut Request) -> Result<(), DecodeError> {
    for (number, written) in written.iter().enumerate() {
        tool(written, at.item(number), None, request)?;
    }
    Ok(())
}

fn tool(written: &str, at: Place, namespace: Option<&str>, request: &mut Request) -> Result<(), DecodeError> {
    let mut object = Fields::read(written, at.clone())?;
    let kind = match object.text("type")?.as_deref() {
        Some("function") => {
            // Clients of Chat Completions leave it in a field of its own.
            let mut fields = object.object("function")?.unwrap_or(object);
            let function = Function {
                name: placed(fields.required("name")?, namespace, request),
                description: fields.string("description")?,
                parameters: fields.json("parameters")?,
                strict: fields.flag("strict")?,
            };
            fields.leave(&mut request.losses);
            ToolKind::Function(function)
        }
        Some("custom") => {
            let name = placed(object.required("name")?, namespace, request);
            let description = object.string("description")?;
            let format = object.json("format")?;
            object.leave(&mut request.losses);
            ToolKind::Custom { name, description, format }
        }
        Some("namespace") if namespace.is_none() => {
            let name = object.required("name")?;
            let inner = object.elements("tools")?;
            object.leave(&mut request.losses);
            for (number, written) in inner.into_iter().enumerate() {
                tool(written, at.field("tools").item(number), Some(&name), request)?;
            }
            return Ok(());
        }
        Some(_) | None => {
            ToolKind::Builtin(Native { dialect: Dialect::OpenAiResponses, json: object::json(written) })
        }
    };
    request.tools.push(Tool { kind, cache: None, at });
    Ok(())
}

/// The name that a tool gets, noted where it comes from a namespace.
fn placed(inner: String, namespace: Option<&str>, request: &mut Request) -> String {
    let Some(namespace) = namespace else { return inner };
    let is_taken = |name: &str| request.tools.iter().any(|tool| name_in(&tool.kind) == Some(name));
    let mut name = joined(namespace, &inner);
    if is_taken(&name) {
        name = numbered(namespace, &inner);
    }
    let kept = Namespaced { name: name.clone(), namespace: namespace.to_owned(), inner };
    request.namespaced.push(kept);
    name
}

/// The name by which a tool is known here that the client calls `inner`, in its namespace where it has one.
pub(crate) fn name_of(names: &[Namespaced], namespace: Option<&str>, inner: &str) -> String {
    let Some(namespace) = namespace else { return inner.to_owned() };
    let known = names.iter().find(|known| known.namespace == namespace && known.inner == inner);
    match known {
        Some(known) => known.name.clone(),
        // A function that is loaded late is given its own name for a namespace.
        None if namespace == inner => inner.to_owned(),
        None => joined(namespace, inner),
    }
}

fn joined(namespace: &str, inner: &str) -> String {
    let between = if namespace.ends_with('_') { "" } else { "__" };
    let name = format!("{namespace}{between}{inner}");
    if name.len() <= NAME_BYTES_MAX { name } else { numbered(namespace, inner) }
}

/// A short name that no other tool has.
fn numbered(namespace: &str, inner: &str) -> String {
    let number = digest(format!("{namespace}\0{inner}").as_bytes());
    let room = NAME_BYTES_MAX - 17;
    let begin: String = inner.chars().filter(char::is_ascii).take(room).collect();
    format!("{begin}_{number:016x}")
}

/// The name of a tool that the client runs.
pub(crate) fn name_in(kind: &ToolKind) -> Option<&str> {
    match kind {
        ToolKind::Function(function) => Some(&function.name),
        ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Builtin(_) => None,
    }
}

/// Reads which tools are to be called. A choice of what only this dialect has is a loss.
pub(crate) fn decode_choice(
    written: &str,
    at: &Place,
    request: &mut Request,
) -> Result<Option<ToolChoice>, DecodeError> {
    if let Some(word) = object::string(written) {
        let choice = match &*word {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" => Some(ToolChoice::Required),
            _ => None,
        };
        if choice.is_none() {
            request.losses.push(Loss::At(at.clone()));
        }
        return Ok(choice);
    }
    let mut object = Fields::read(written, at.clone())?;
    match object.text("type")?.as_deref() {
        Some("function" | "custom") => Ok(Some(ToolChoice::Named(named(object, &request.namespaced)?))),
        Some("allowed_tools") => {
            let required = object.text("mode")?.as_deref() == Some("required");
            let mut names = Vec::new();
            let at = at.field("tools");
            for (number, written) in object.elements("tools")?.into_iter().enumerate() {
                let mut allowed = Fields::read(written, at.item(number))?;
                match allowed.text("type")?.as_deref() {
                    Some("function" | "custom") => names.push(named(allowed, &request.namespaced)?),
                    Some("namespace") => {
                        let namespace = allowed.required("name")?;
                        let known = request.namespaced.iter().filter(|known| known.namespace == namespace);
                        names.extend(known.map(|known| known.name.clone()));
                    }
                    Some(_) | None => request.losses.push(Loss::At(at.item(number))),
                }
            }
            Ok(Some(ToolChoice::Among { names, required }))
        }
        Some(_) | None => {
            request.losses.push(Loss::At(at.clone()));
            Ok(None)
        }
    }
}

fn named(mut object: Fields<'_>, names: &[Namespaced]) -> Result<String, DecodeError> {
    let mut fields = match object.object("function")? {
        Some(fields) => fields,
        None => object,
    };
    let namespace = fields.text("namespace")?;
    Ok(name_of(names, namespace.as_deref(), &fields.required("name")?))
}

/// A tool as it is written for an upstream.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum WireTool<'a> {
    Function {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        parameters: Parameters<'a>,
        /// Left out, it would be true here, and false in every other dialect.
        strict: bool,
    },
    Custom {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<&'a Json>,
    },
    #[serde(untagged)]
    Builtin(&'a Json),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Parameters<'a> {
    Given(&'a Json),
    Nothing { r#type: &'static str, properties: Empty },
}

#[derive(Debug, Serialize)]
pub(crate) struct Empty {}

/// Writes a tool; none where only another dialect has it.
pub(crate) fn encode(tool: &Tool) -> Option<WireTool<'_>> {
    Some(match &tool.kind {
        ToolKind::Function(function) => WireTool::Function {
            name: &function.name,
            description: function.description.as_deref(),
            parameters: match &function.parameters {
                Some(parameters) => Parameters::Given(parameters),
                None => Parameters::Nothing { r#type: "object", properties: Empty {} },
            },
            strict: function.strict.unwrap_or(false),
        },
        ToolKind::Custom { name, description, format } => {
            WireTool::Custom { name, description: description.as_deref(), format: format.as_ref() }
        }
        ToolKind::Builtin(native) if native.dialect == Dialect::OpenAiResponses => {
            WireTool::Builtin(&native.json)
        }
        ToolKind::Builtin(_) => return None,
    })
}

/// A choice as it is written for an upstream.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum WireChoice<'a> {
    Word(&'static str),
    Named { r#type: &'static str, name: &'a str },
    Allowed { r#type: &'static str, mode: &'static str, tools: Vec<WireChoice<'a>> },
}

/// Writes which of the request's tools are to be called.
pub(crate) fn encode_choice<'a>(choice: &'a ToolChoice, request: &Request) -> WireChoice<'a> {
    let named = |name: &'a str| {
        let is_custom = request
            .tools
            .iter()
            .any(|tool| matches!(&tool.kind, ToolKind::Custom { name: known, .. } if known == name));
        WireChoice::Named { r#type: if is_custom { "custom" } else { "function" }, name }
    };
    match choice {
        ToolChoice::Auto => WireChoice::Word("auto"),
        ToolChoice::None => WireChoice::Word("none"),
        ToolChoice::Required => WireChoice::Word("required"),
        ToolChoice::Named(name) => named(name),
        ToolChoice::Among { names, required } => WireChoice::Allowed {
            r#type: "allowed_tools",
            mode: if *required { "required" } else { "auto" },
            tools: names.iter().map(|name| named(name)).collect(),
        },
    }
}
