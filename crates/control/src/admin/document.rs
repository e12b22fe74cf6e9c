//! Describes the admin API for programs and people (OpenAPI 3.1): what handlers say of themselves, and what holds for all
//! of them; it never describes a route that is not served.

#[cfg(test)]
mod tests;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::{PartialSchema, ToSchema};

use super::refusal::Problem;
use super::role::SCHEMES;
use crate::config::{body, file, is_hot};

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Refusals that any resource may answer, by status, under what condition, and what they mean.
const REFUSALS: [(&str, When, &str); 12] = [
    ("400", When::Always, "The query or the body could not be read."),
    ("401", When::Always, "No token or session was shown, or not one that counts."),
    ("403", When::Always, "The role does not reach, or a session's call lacks its `x-csrf-token`."),
    ("404", When::Named, "There is no such thing."),
    ("409", When::Changing, "It clashes with something that exists, or is read-only here."),
    ("412", When::Changing, "It has changed since: `If-Match` names an older tag."),
    ("413", When::Given, "The body is longer than 1 MiB."),
    ("415", When::Given, "The body is not JSON."),
    ("422", When::Always, "What is said does not hold; `errors` names each fault."),
    ("429", When::Always, "Too many wrong tokens came from this address; see `retry-after`."),
    ("500", When::Always, "The store failed; the log says why."),
    ("503", When::Always, "The database, or something else that is needed, is not available now."),
];

/// Where a refusal may occur.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// The path names a thing.
    Named,
    /// Something is changed.
    Changing,
    /// A body is taken.
    Given,
}

/// Longer than any name that something is called by in a path.
const ID_CHARS_MAX: usize = 256;

/// The whole document.
pub(super) fn document(described: OpenApi) -> Value {
    let mut document = serde_json::to_value(described).expect("a description is plain JSON");
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Lockgate admin API",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/", "description": "this gateway"}]);
    let mut tags = Vec::new();
    for (path, item) in entries(&mut document["paths"]) {
        let tag = tag(path).to_owned();
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                finish(operation, &tag, method);
            }
        }
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags.sort();
    document["tags"] = tags.into_iter().map(|tag| json!({"name": tag})).collect();
    let mut problem = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut problem);
    let problem = problem
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).expect("a schema is plain JSON")));
    let components = &mut document["components"];
    entries(&mut components["schemas"]).for_each(|(_, view)| or_a_problem(view));
    entries_of(&mut components["schemas"]).extend(bodies().into_iter().chain(problem));
    components["securitySchemes"] = json!({
        SCHEMES[0]: {"type": "http", "scheme": "bearer", "description": "An admin token, `lga-...`."},
        SCHEMES[1]: {
            "type": "apiKey", "in": "cookie", "name": "lockgate_session",
            "description": "A dashboard session. Calls that change something also send its `x-csrf-token`.",
        },
    });
    components["responses"] = refusals();
    document
}

const ABOUT: &str = "Operates a Lockgate gateway: backends, keys, budgets, what is in force and what happened.\n\n\
    Names are those of the configuration file. Refusals are problem details (RFC 9457) with a stable `code`. \
    Lists come in pages: pass `next` back as `cursor`. What can be changed has an `ETag`; send it back as `If-Match`, \
    and a change that somebody else made meanwhile is not lost. Money is US dollars as decimal text. The role behind each \
    operation's security is the least one that may call it: viewer, operator, admin.";

/// What holds for every operation alike.
fn finish(operation: &mut Value, tag: &str, method: &str) {
    let given = operation.get("requestBody").is_some();
    let is_at = |parameter: &Value, place: &str| parameter["in"] == place;
    let (mut named, mut guarded) = (false, false);
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if is_at(parameter, "path") {
            let described = parameter.as_object_mut().expect("a parameter is an object");
            described.entry("description").or_insert_with(|| json!("Its id or its name."));
            let schema = entries_of(&mut parameter["schema"]);
            schema.entry("maxLength").or_insert_with(|| json!(ID_CHARS_MAX));
        }
        without_null(&mut parameter["schema"]);
        named |= is_at(parameter, "path");
        guarded |= is_at(parameter, "header");
    }
    let holds = |when| match when {
        When::Always => true,
        When::Named => named,
        When::Changing => method != "get",
        When::Given => given,
    };
    let verb = operation["operationId"].as_str().unwrap_or(method).to_owned();
    operation["operationId"] = json!(format!("{tag}_{verb}"));
    operation["tags"] = json!([tag]);
    if given {
        let body = &mut operation["requestBody"];
        // To rotate something without a word is to do it at once.
        body["required"] = json!(verb != "rotate");
        if method == "patch" {
            body["content"]["application/merge-patch+json"] = body["content"]["application/json"].clone();
        }
    }
    let responses = entries_of(&mut operation["responses"]);
    for (status, response) in responses.iter_mut() {
        if response.get("content").is_some() && (guarded || status == "201" || (named && method == "get")) {
            response["headers"]["etag"] = json!({
                "description": "The tag of what is shown, where it can be changed.",
                "schema": {"type": "string"},
            });
        }
    }
    for (status, when, _) in REFUSALS {
        if holds(when) && !responses.contains_key(status) {
            responses.insert(status.to_owned(), json!({"$ref": format!("#/components/responses/{status}")}));
        }
    }
}

/// A parameter is left out, never null.
fn without_null(schema: &mut Value) {
    for word in ["type", "oneOf", "anyOf"] {
        let Some(ways) = schema.get_mut(word).and_then(Value::as_array_mut) else { continue };
        ways.retain(|way| *way != json!("null") && *way != json!({"type": "null"}));
        if ways.len() > 1 {
            continue;
        }
        let only = ways.pop().unwrap_or_default();
        let fields = entries_of(schema);
        fields.remove(word);
        match only {
            Value::Object(only) => fields.extend(only),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                fields.insert("type".to_owned(), only);
            }
        }
    }
}

/// What was stored and does not hold any more is shown with its problem, in the place of what it says.
fn or_a_problem(view: &mut Value) {
    for part in view.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(mut ways) = part.get_mut("oneOf").map(Value::take) {
            for way in
                ways.as_array_mut().into_iter().flatten().filter(|way| **way == json!({"type": "null"}))
            {
                *way = json!({"type": "object", "required": ["problem"]});
            }
            *part = json!({"anyOf": ways});
        }
    }
}

fn refusals() -> Value {
    let one = |(status, _, says): (&str, When, &str)| {
        let content =
            json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        (status.to_owned(), json!({"description": says, "content": content}))
    };
    Value::Object(REFUSALS.into_iter().map(one).collect())
}

/// The bodies that are read by the rules of the configuration file, and a patch of each.
fn bodies() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    generator.subschema_for::<file::Backend>();
    generator.subschema_for::<body::KeyBody>();
    generator.subschema_for::<body::RotateBody>();
    generator.subschema_for::<file::Team>();
    generator.subschema_for::<body::TokenBody>();
    generator.subschema_for::<file::Budget>();
    generator.subschema_for::<file::Prices>();
    generator.subschema_for::<body::AliasBody>();
    generator.subschema_for::<file::ProcessAccount>();
    generator.subschema_for::<body::CaptureRuleBody>();
    let mut schemas = generator.take_definitions(true);
    for (name, patch) in [
        ("Backend", "BackendPatch"),
        ("KeyBody", "KeyPatch"),
        ("Team", "TeamPatch"),
        ("Budget", "BudgetPatch"),
        ("AliasBody", "AliasPatch"),
        ("ProcessAccount", "ProcessAccountPatch"),
    ] {
        let whole = schemas.get(name).expect("the generator was asked for it").clone();
        schemas.insert(patch.to_owned(), patch_of(whole));
    }
    schemas.insert("SettingsPatch".to_owned(), settings_patch());
    schemas
}

/// What of the file can be changed while the gateway runs, in its shape.
fn settings_patch() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let file = settings.into_generator().into_root_schema_for::<file::File>().to_value();
    hot("", &file).expect("some settings are hot")
}

fn hot(path: &str, schema: &Value) -> Option<Value> {
    let whole = schema.pointer("/anyOf/0").filter(|whole| whole.get("properties").is_some());
    let Some(fields) = whole.unwrap_or(schema).get("properties").and_then(Value::as_object) else {
        return is_hot(path).then(|| schema.clone());
    };
    let kept = fields.iter().filter_map(|(name, field)| {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        Some((name.clone(), hot(&below, field)?))
    });
    let kept: Map<String, Value> = kept.collect();
    let has_some = !kept.is_empty();
    has_some.then(|| json!({"type": "object", "additionalProperties": false, "properties": kept}))
}

/// RFC 7396: any part may be left out, and null takes one away.
fn patch_of(mut whole: Value) -> Value {
    entries_of(&mut whole).remove("required");
    for (_, field) in entries(&mut whole["properties"]) {
        let description = field.get("description").cloned();
        *field = json!({"anyOf": [field.take(), {"type": "null"}]});
        if let Some(description) = description {
            field["description"] = description;
        }
    }
    whole
}

/// The resource that a path belongs to.
fn tag(path: &str) -> &str {
    path.trim_start_matches("/api/admin").split('/').find(|part| !part.is_empty()).unwrap_or("admin")
}

fn entries_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made one")
}

fn entries(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    entries_of(value).iter_mut()
}
