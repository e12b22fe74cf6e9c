//! Tells JSON schemas from the subset of OpenAPI that Google calls `Schema`, and turns the latter into the former; never
//! judges whether a schema makes sense.

use std::borrow::Cow;

use super::wire::name;
use crate::json::{Kind, Malformed, Scan, Text};

/// How a JSON schema can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is an object without properties, which Google wants left out.
    Nothing,
    /// As a `Schema`, which every model and every service that speaks this dialect takes.
    Subset,
    /// As it is, in the field for JSON schemas.
    Beyond,
}

/// How `schema` can be written.
pub(super) fn fit(schema: &str) -> Fit {
    if is_nothing(schema).unwrap_or(false) {
        Fit::Nothing
    } else if is_subset(&mut Scan::new(schema)).unwrap_or(false) {
        Fit::Subset
    } else {
        Fit::Beyond
    }
}

fn is_nothing(schema: &str) -> Result<bool, Malformed> {
    let mut scan = Scan::new(schema);
    let mut nothing = true;
    scan.object(|scan, key| {
        let value = scan.written()?;
        nothing &= match &*key.value() {
            "type" => value == r#""object""#,
            "properties" => holds_nothing(value),
            "additionalProperties" => matches!(value, "true" | "false"),
            "required" => holds_nothing(value),
            "title" | "description" | "$schema" => true,
            _ => false,
        };
        Ok::<_, Malformed>(())
    })?;
    Ok(nothing)
}

fn holds_nothing(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b'{' | b'}' | b'[' | b']') || byte.is_ascii_whitespace())
}

/// The formats that Google knows; it refuses others, but not in JSON schemas.
const FORMATS: &[(&str, &[&str])] =
    &[("string", &["enum", "date-time"]), ("number", &["float", "double"]), ("integer", &["int32", "int64"])];

fn is_subset(scan: &mut Scan<'_>) -> Result<bool, Malformed> {
    if scan.kind() != Kind::Object {
        scan.skip()?;
        return Ok(false);
    }
    let (mut fits, mut properties) = (true, false);
    let (mut kind, mut format, mut options) = (None, None, false);
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("type", Kind::String) => kind = Some(scan.string()?.value()),
            ("format", Kind::String) => format = Some(scan.string()?.value()),
            ("enum", Kind::Array) => {
                options = true;
                scan.array(|scan, _| {
                    fits &= scan.kind() == Kind::String;
                    scan.skip()
                })?;
            }
            ("properties", Kind::Object) => scan.object(|scan, _| {
                properties = true;
                fits &= is_subset(scan)?;
                Ok::<_, Malformed>(())
            })?,
            ("items", Kind::Object) => fits &= is_subset(scan)?,
            ("anyOf", Kind::Array) => scan.array(|scan, _| {
                fits &= is_subset(scan)?;
                Ok::<_, Malformed>(())
            })?,
            ("title" | "description" | "pattern", Kind::String)
            | ("nullable", Kind::True | Kind::False)
            | ("required" | "propertyOrdering", Kind::Array)
            | ("minimum" | "maximum" | "minItems" | "maxItems", Kind::Number)
            | ("minLength" | "maxLength" | "minProperties" | "maxProperties", Kind::Number)
            | ("default", _) => scan.skip()?,
            _ => {
                fits = false;
                scan.skip()?;
            }
        }
        Ok::<_, Malformed>(())
    })?;
    let kind = kind.as_deref().unwrap_or_default();
    let known = FORMATS.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, known)| *known);
    fits &= format.is_none_or(|format| known.contains(&&*format));
    fits &= !options || kind == "string";
    fits &= kind != "null" && (kind != "object" || properties);
    Ok(fits)
}

/// A `Schema` as a JSON schema. What is no `Schema` stays as it is.
pub(super) fn to_json_schema(written: &str) -> String {
    let mut json = String::with_capacity(written.len());
    match convert(&mut Scan::new(written), &mut json) {
        Ok(()) => json,
        Err(_) => written.to_owned(),
    }
}

/// Takes a value and writes it, as a schema where it is an object.
fn convert(scan: &mut Scan<'_>, out: &mut String) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        out.push_str(scan.written()?);
        return Ok(());
    }
    let (mut kind, mut options, mut nullable) = (None, None, false);
    let mut fields = Fields::begin(out);
    scan.object(|scan, key| {
        let named = name(&key);
        match (&*named, scan.kind()) {
            ("type", Kind::String) => kind = Some(scan.string()?.value().to_ascii_lowercase()),
            ("nullable", value) => {
                nullable = value == Kind::True;
                scan.skip()?;
            }
            ("enum", Kind::Array) => options = Some(scan.written()?),
            ("propertyOrdering", _) => scan.skip()?,
            ("example", _) => {
                let example = scan.written()?;
                fields.out(r#""examples""#).extend(["[", example, "]"]);
            }
            ("properties", Kind::Object) => {
                let mut properties = Fields::begin(fields.out(r#""properties""#));
                scan.object(|scan, key| convert(scan, properties.out(&written(&key))))?;
                properties.end();
            }
            ("items" | "additionalProperties", Kind::Object) => convert(scan, fields.out(&quoted(&named)))?,
            ("anyOf", Kind::Array) => {
                let out = fields.out(r#""anyOf""#);
                out.push('[');
                scan.array(|scan, number| {
                    out.push_str(if number > 0 { "," } else { "" });
                    convert(scan, out)
                })?;
                out.push(']');
            }
            // 64-bit numbers are strings in protobuf's JSON.
            ("minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties", _) => {
                let number = scan.written()?;
                fields.out(&quoted(&named)).push_str(number.trim_matches('"'));
            }
            _ => {
                let value = scan.written()?;
                fields.out(&written(&key)).push_str(value);
            }
        }
        Ok::<_, Malformed>(())
    })?;
    if let Some(kind) = kind.filter(|kind| kind != "type_unspecified") {
        let null = if nullable { r#","null"]"# } else { "" };
        let open = if nullable { "[" } else { "" };
        fields.out(r#""type""#).extend([open, &quoted(&kind), null]);
    }
    if let Some(options) = options {
        let inner = options.strip_suffix(']').unwrap_or(options);
        fields.out(r#""enum""#).extend([inner, if nullable { ",null]" } else { "]" }]);
    }
    fields.end();
    Ok(())
}

/// An object that is being written.
struct Fields<'o> {
    out: &'o mut String,
    any: bool,
}

impl<'o> Fields<'o> {
    fn begin(out: &'o mut String) -> Self {
        out.push('{');
        Fields { out, any: false }
    }

    /// Where the value of the next field goes; `key` is written as it is.
    fn out(&mut self, key: &str) -> &mut String {
        let comma = if std::mem::replace(&mut self.any, true) { "," } else { "" };
        self.out.extend([comma, key, ":"]);
        self.out
    }

    fn end(self) {
        self.out.push('}');
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A key as it stands in the text.
fn written<'a>(key: &Text<'a>) -> Cow<'a, str> {
    Cow::Owned(serde_json::to_string(&key.value()).expect("a string always serialises"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, expected: Fit) {
        assert_eq!(fit(schema), expected, "{schema}");
    }

    #[test]
    fn the_subset_is_known() {
        check(r#"{}"#, Fit::Nothing);
        check(r#"{"type":"object"}"#, Fit::Nothing);
        check(
            r#"{"type":"object","properties":{ },"required":[],"additionalProperties":false,"$schema":"x"}"#,
            Fit::Nothing,
        );
        check(r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#, Fit::Subset);
        check(r#"{"type":"array","items":{"type":"integer","format":"int32"},"minItems":1}"#, Fit::Subset);
        check(r#"{"anyOf":[{"type":"string","enum":["a"]},{"type":"number"}],"default":null}"#, Fit::Subset);
        // A property may be named like a keyword.
        check(r#"{"type":"object","properties":{"$ref":{"type":"string"}}}"#, Fit::Subset);
    }

    #[test]
    fn what_google_would_refuse_is_beyond_it() {
        for schema in [
            r#"{"type":["string","null"]}"#,
            r#"{"type":"null"}"#,
            r#"{"type":"string","format":"uri"}"#,
            r#"{"type":"integer","enum":[1,2]}"#,
            r#"{"enum":["a"]}"#,
            r#"{"type":"string","const":"a"}"#,
            r##"{"$ref":"#/$defs/a"}"##,
            r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#,
            r#"{"type":"object","properties":{"a":{"type":"object"}}}"#,
            r#"{"type":"object","properties":{"a":true}}"#,
            r#"{"type":"array","items":{"oneOf":[]}}"#,
            r#"{"type":"string","minLength":"1"}"#,
            "true",
            "{",
        ] {
            check(schema, Fit::Beyond);
        }
    }

    #[test]
    fn a_schema_becomes_a_json_schema() {
        let convert = |schema: &str, expected: &str| assert_eq!(to_json_schema(schema), expected);
        convert(
            r#"{"type":"OBJECT","properties":{"any_of":{"type":"STRING","nullable":true,"enum":["a"]}},"propertyOrdering":["any_of"]}"#,
            r#"{"properties":{"any_of":{"type":["string","null"],"enum":["a",null]}},"type":"object"}"#,
        );
        convert(
            r#"{"type":"ARRAY","items":{"any_of":[{"type":"NUMBER","example":1.10},{"type":"BOOLEAN"}]},"min_items":"2"}"#,
            r#"{"items":{"anyOf":[{"examples":[1.10],"type":"number"},{"type":"boolean"}]},"minItems":2,"type":"array"}"#,
        );
        convert(r#"{"type":"TYPE_UNSPECIFIED","x":[{}]}"#, r#"{"x":[{}]}"#);
        convert("{\"type\"", "{\"type\"");
    }
}
