//! Reads the pieces that requests, answers and events share, in either spelling; never what they are for.
//!
//! Google's JSON is protobuf's: names come in camelCase or snake_case, a list of one may stand without its brackets, 64-bit
//! numbers may be strings, and null is the same as nothing.

use std::borrow::Cow;

use crate::json::{Kind, Malformed, Scan, Text};

/// A field's name in camelCase, however it is spelled.
pub(super) fn name<'a>(key: &Text<'a>) -> Cow<'a, str> {
    let name = key.value();
    if !name.contains('_') {
        return name;
    }
    let mut camel = String::with_capacity(name.len());
    let mut after_line = false;
    for letter in name.chars() {
        match letter {
            '_' => after_line = !camel.is_empty(),
            _ if std::mem::take(&mut after_line) => camel.extend(letter.to_uppercase()),
            _ => camel.push(letter),
        }
    }
    Cow::Owned(camel)
}

/// Whether a field's name is spelled with lines between its words.
pub(super) fn is_snake_case(key: &Text<'_>) -> bool {
    key.value().contains('_')
}

/// Takes a list, or the one value that stands for it; null is an empty list.
pub(super) fn each<'a, E: From<Malformed>>(
    scan: &mut Scan<'a>,
    mut item: impl FnMut(&mut Scan<'a>, usize) -> Result<(), E>,
) -> Result<(), E> {
    match scan.kind() {
        Kind::Array => scan.array(item),
        Kind::Null => Ok(scan.skip()?),
        Kind::Object | Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            item(scan, 0)
        }
    }
}

/// A field with a value of the wrong kind, and the kind it should have; the first of several.
pub(super) type Wrong = Option<(&'static str, &'static str)>;

/// Takes a string; null is none, and anything else is noted as wrong.
pub(super) fn string<'a>(
    scan: &mut Scan<'a>,
    wrong: &mut Wrong,
    field: &'static str,
) -> Result<Option<Cow<'a, str>>, Malformed> {
    let kind = scan.kind();
    if kind == Kind::String {
        return Ok(Some(scan.string()?.value()));
    }
    scan.skip()?;
    if kind != Kind::Null {
        wrong.get_or_insert((field, "a string"));
    }
    Ok(None)
}

/// Takes an object as it is written; null is none, and anything else is noted as wrong.
fn object<'a>(
    scan: &mut Scan<'a>,
    wrong: &mut Wrong,
    field: &'static str,
) -> Result<Option<&'a str>, Malformed> {
    let kind = scan.kind();
    let written = scan.written()?;
    if !matches!(kind, Kind::Object | Kind::Null) {
        wrong.get_or_insert((field, "an object"));
    }
    Ok((kind == Kind::Object).then_some(written))
}

/// Takes an object field by field; null has none, and anything else is noted as wrong.
fn fields<'a>(
    scan: &mut Scan<'a>,
    wrong: &mut Wrong,
    field: &'static str,
    mut take: impl FnMut(&mut Scan<'a>, &mut Wrong, &str) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    match scan.kind() {
        Kind::Object => scan.object(|scan, key| take(scan, wrong, &name(&key))),
        Kind::Null => scan.skip(),
        Kind::Array | Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            wrong.get_or_insert((field, "an object"));
            scan.skip()
        }
    }
}

/// One element of `parts`.
#[derive(Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) text: Option<Cow<'a, str>>,
    /// The text is a thought.
    pub(super) thought: bool,
    pub(super) signature: Option<Cow<'a, str>>,
    pub(super) call: Option<Call<'a>>,
    pub(super) response: Option<Response<'a>>,
    /// `inlineData`
    pub(super) blob: Option<Blob<'a>>,
    /// `fileData`
    pub(super) file: Option<Blob<'a>>,
    /// It is the doing of a tool that Google runs.
    pub(super) is_native: bool,
    /// Fields that mean nothing to other dialects.
    pub(super) unknown: Vec<String>,
    pub(super) wrong: Wrong,
    pub(super) is_snake_case: bool,
    /// It stands in the result of a function, where only media may stand: that keeps nesting within bounds.
    is_inner: bool,
    /// All of it.
    pub(super) written: &'a str,
}

/// `functionCall`
#[derive(Debug, Default)]
pub(super) struct Call<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) name: Cow<'a, str>,
    /// The object, as it is written.
    pub(super) args: Option<&'a str>,
}

/// `functionResponse`
#[derive(Debug, Default)]
pub(super) struct Response<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) name: Cow<'a, str>,
    /// The object, as it is written.
    pub(super) response: Option<&'a str>,
    pub(super) parts: Vec<Piece<'a>>,
}

/// `inlineData` or `fileData`
#[derive(Debug, Default)]
pub(super) struct Blob<'a> {
    pub(super) mime_type: Cow<'a, str>,
    /// The base64 or the URI.
    pub(super) data: Cow<'a, str>,
    pub(super) display_name: Option<Cow<'a, str>>,
}

impl<'a> Piece<'a> {
    /// Takes one element; what is none is noted as wrong.
    pub(super) fn read(scan: &mut Scan<'a>) -> Result<Self, Malformed> {
        Piece::default().filled(scan)
    }

    /// A bare text.
    pub(super) fn of_text(text: Cow<'a, str>) -> Self {
        Piece { text: Some(text), ..Piece::default() }
    }

    fn filled(self, scan: &mut Scan<'a>) -> Result<Self, Malformed> {
        let mut piece = self;
        let start = scan.place();
        let kind = scan.kind();
        if kind != Kind::Object {
            scan.skip()?;
            piece.wrong = Some(("", "an object"));
            return Ok(piece);
        }
        scan.object(|scan, key| {
            piece.is_snake_case |= is_snake_case(&key);
            piece.field(scan, &name(&key))
        })?;
        piece.written = scan.since(start);
        Ok(piece)
    }

    fn field(&mut self, scan: &mut Scan<'a>, field: &str) -> Result<(), Malformed> {
        let wrong = &mut self.wrong;
        match field {
            "text" => self.text = string(scan, wrong, "text")?,
            "thought" => {
                self.thought = scan.kind() == Kind::True;
                scan.skip()?;
            }
            "thoughtSignature" => self.signature = string(scan, wrong, "thoughtSignature")?,
            "functionCall" => self.call = self.read_call(scan)?,
            "functionResponse" if !self.is_inner => self.response = self.read_response(scan)?,
            "inlineData" => self.blob = self.read_blob(scan, "inlineData")?,
            "fileData" => self.file = self.read_blob(scan, "fileData")?,
            "executableCode" | "codeExecutionResult" | "toolCall" | "toolResponse" => {
                self.is_native = true;
                scan.skip()?;
            }
            _ => self.skip_unknown(scan, field)?,
        }
        Ok(())
    }

    fn skip_unknown(&mut self, scan: &mut Scan<'a>, field: &str) -> Result<(), Malformed> {
        if scan.kind() != Kind::Null {
            self.unknown.push(field.to_owned());
        }
        scan.skip()
    }

    fn read_call(&mut self, scan: &mut Scan<'a>) -> Result<Option<Call<'a>>, Malformed> {
        let mut call = Call::default();
        let is_null = scan.kind() == Kind::Null;
        let unknown = &mut self.unknown;
        fields(scan, &mut self.wrong, "functionCall", |scan, wrong, field| {
            match field {
                "id" => call.id = string(scan, wrong, "functionCall.id")?.filter(|id| !id.is_empty()),
                "name" => call.name = string(scan, wrong, "functionCall.name")?.unwrap_or_default(),
                "args" => call.args = object(scan, wrong, "functionCall.args")?,
                _ => {
                    unknown.push(format!("functionCall.{field}"));
                    scan.skip()?;
                }
            }
            Ok(())
        })?;
        Ok((!is_null).then_some(call))
    }

    fn read_response(&mut self, scan: &mut Scan<'a>) -> Result<Option<Response<'a>>, Malformed> {
        let mut response = Response::default();
        let is_null = scan.kind() == Kind::Null;
        let unknown = &mut self.unknown;
        fields(scan, &mut self.wrong, "functionResponse", |scan, wrong, field| {
            match field {
                "id" => response.id = string(scan, wrong, "functionResponse.id")?.filter(|id| !id.is_empty()),
                "name" => response.name = string(scan, wrong, "functionResponse.name")?.unwrap_or_default(),
                "response" => response.response = object(scan, wrong, "functionResponse.response")?,
                "parts" => each(scan, |scan, _| {
                    response.parts.push(Piece { is_inner: true, ..Piece::default() }.filled(scan)?);
                    Ok::<_, Malformed>(())
                })?,
                _ => {
                    unknown.push(format!("functionResponse.{field}"));
                    scan.skip()?;
                }
            }
            Ok(())
        })?;
        Ok((!is_null).then_some(response))
    }

    fn read_blob(&mut self, scan: &mut Scan<'a>, whose: &'static str) -> Result<Option<Blob<'a>>, Malformed> {
        let mut blob = Blob::default();
        let is_null = scan.kind() == Kind::Null;
        let unknown = &mut self.unknown;
        fields(scan, &mut self.wrong, whose, |scan, wrong, field| {
            match field {
                "mimeType" => blob.mime_type = string(scan, wrong, whose)?.unwrap_or_default(),
                "data" | "fileUri" => blob.data = string(scan, wrong, whose)?.unwrap_or_default(),
                "displayName" => blob.display_name = string(scan, wrong, whose)?,
                _ => {
                    unknown.push(format!("{whose}.{field}"));
                    scan.skip()?;
                }
            }
            Ok(())
        })?;
        Ok((!is_null).then_some(blob))
    }
}

/// A whole number, written as a number or as a string of one.
pub(super) fn count(written: &str) -> Option<u64> {
    let digits = written.trim_matches('"');
    let whole = digits.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0'));
    whole.map_or(digits, |(whole, _)| whole).parse().ok()
}

#[cfg(test)]
mod tests;
