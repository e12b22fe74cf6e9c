//! An object as it is written, field by field: who takes a field has understood it, and what nobody takes is a loss; never
//! what a field means.

use std::borrow::Cow;

use serde_json::Number;

use super::ask::DecodeError;
use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::Json;
use crate::json::{Kind, Malformed, Scan};

/// The fields of one object that nobody has taken yet. One that is null is none; the last of a name counts.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    at: Place,
    list: Vec<(Cow<'a, str>, &'a str)>,
}

/// One value as it is written, and where.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: Place,
}

impl<'a> Fields<'a> {
    /// Reads a whole body.
    pub(crate) fn body(text: &'a str) -> Result<Self, DecodeError> {
        Self::read(text, Place::default())
    }

    /// Reads the object that `text` is, and that stands at `at`.
    pub(crate) fn read(text: &'a str, at: Place) -> Result<Self, DecodeError> {
        let mut scan = Scan::new(text);
        if scan.kind() != Kind::Object {
            return Err(wrong_type(&mut scan, &at, "an object"));
        }
        let mut list = Vec::new();
        scan.object(|scan, key| {
            let (name, value) = (key.value(), scan.written()?);
            if value != "null" {
                list.push((name, value));
            }
            Ok::<_, Malformed>(())
        })?;
        scan.end()?;
        Ok(Fields { at, list })
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> &Place {
        &self.at
    }

    /// Where a field stands or would stand.
    pub(crate) fn at(&self, name: &str) -> Place {
        self.at.field(name)
    }

    /// Whether there is such a field left.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.peek(name).is_some()
    }

    /// A field as it is written, which stays.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a str> {
        self.list.iter().rev().find(|(known, _)| known == name).map(|(_, text)| *text)
    }

    /// Takes a field.
    pub(crate) fn take(&mut self, name: &str) -> Option<Field<'a>> {
        self.written(name).map(|text| Field { text, at: self.at.field(name) })
    }

    /// Takes a field as it is written.
    pub(crate) fn written(&mut self, name: &str) -> Option<&'a str> {
        let last = self.list.iter().rposition(|(known, _)| known == name)?;
        let (_, text) = self.list.remove(last);
        self.list.retain(|(known, _)| known != name);
        Some(text)
    }

    /// Leaves out fields of which nothing is lost when they are not carried.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        self.list.retain(|(name, _)| !names.contains(&&**name));
    }

    /// Leaves out a field of which nothing is lost where it is written like that.
    pub(crate) fn ignore_where(&mut self, name: &str, text: &str) {
        self.list.retain(|(known, written)| known != name || *written != text);
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Some(written) = self.written(name) else { return Ok(None) };
        let mut scan = Scan::new(written);
        match scan.kind() {
            Kind::String => Ok(Some(scan.string()?.value())),
            Kind::Object
            | Kind::Array
            | Kind::Number
            | Kind::True
            | Kind::False
            | Kind::Null
            | Kind::Nothing => Err(self.wrong(name, "a string")),
        }
    }

    /// A string, for keeps.
    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        Ok(self.text(name)?.map(Cow::into_owned))
    }

    /// A string that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<String, DecodeError> {
        self.string(name)?.ok_or_else(|| self.wrong(name, "a string"))
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, DecodeError> {
        self.take(name).map(|field| field.flag()).transpose()
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, DecodeError> {
        self.take(name).map(|field| field.count()).transpose()
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<Number>, DecodeError> {
        self.take(name).map(|field| field.number()).transpose()
    }

    pub(crate) fn json(&mut self, name: &str) -> Result<Option<Json>, DecodeError> {
        self.take(name).map(|field| field.json()).transpose()
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, DecodeError> {
        self.take(name).map(|field| field.object()).transpose()
    }

    /// The elements of a list. No list is an empty one.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Field<'a>>, DecodeError> {
        self.take(name).map_or(Ok(Vec::new()), |field| field.list())
    }

    /// The same as they are written.
    pub(crate) fn elements(&mut self, name: &str) -> Result<Vec<&'a str>, DecodeError> {
        let Some(written) = self.written(name) else { return Ok(Vec::new()) };
        elements(written, &self.at.field(name))
    }

    /// What nobody took, as it is written, in its order.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        self.list.into_iter()
    }

    /// What was not taken is lost.
    pub(crate) fn leave(self, losses: &mut Vec<Loss>) {
        losses.extend(self.list.iter().map(|(key, _)| Loss::At(self.at.field(key))));
    }

    /// Says that a field has the wrong kind.
    pub(crate) fn wrong(&self, name: &str, expected: &'static str) -> DecodeError {
        DecodeError::WrongType { param: self.at.field(name).to_string(), expected }
    }
}

impl<'a> Field<'a> {
    pub(crate) fn kind(&self) -> Kind {
        Scan::new(self.text).kind()
    }

    pub(crate) fn wrong(&self, expected: &'static str) -> DecodeError {
        DecodeError::WrongType { param: self.at.to_string(), expected }
    }

    pub(crate) fn lost(self) -> Loss {
        Loss::At(self.at)
    }

    pub(crate) fn string(&self) -> Result<String, DecodeError> {
        match self.kind() {
            Kind::String => Ok(Scan::new(self.text).string()?.value().into_owned()),
            Kind::Object
            | Kind::Array
            | Kind::Number
            | Kind::True
            | Kind::False
            | Kind::Null
            | Kind::Nothing => Err(self.wrong("a string")),
        }
    }

    pub(crate) fn flag(&self) -> Result<bool, DecodeError> {
        self.text.parse().map_err(|_| self.wrong("true or false"))
    }

    pub(crate) fn count(&self) -> Result<u64, DecodeError> {
        self.text.parse().map_err(|_| self.wrong("a whole number"))
    }

    pub(crate) fn number(&self) -> Result<Number, DecodeError> {
        serde_json::from_str(self.text).map_err(|_| self.wrong("a number"))
    }

    pub(crate) fn json(&self) -> Result<Json, DecodeError> {
        Json::read(self.text).ok_or_else(|| self.wrong("valid JSON"))
    }

    pub(crate) fn object(self) -> Result<Fields<'a>, DecodeError> {
        Fields::read(self.text, self.at)
    }

    pub(crate) fn list(self) -> Result<Vec<Field<'a>>, DecodeError> {
        let listed = elements(self.text, &self.at)?.into_iter().enumerate();
        Ok(listed.map(|(number, text)| Field { text, at: self.at.item(number) }).collect())
    }
}

/// What the value is that `written` is.
pub(crate) fn kind(written: &str) -> Kind {
    Scan::new(written).kind()
}

/// The elements of the list that `written` is, as they are written.
pub(crate) fn elements<'a>(written: &'a str, at: &Place) -> Result<Vec<&'a str>, DecodeError> {
    let mut scan = Scan::new(written);
    if scan.kind() != Kind::Array {
        return Err(wrong_type(&mut scan, at, "a list"));
    }
    let mut elements = Vec::new();
    scan.array(|scan, _| {
        elements.push(scan.written()?);
        Ok::<_, Malformed>(())
    })?;
    scan.end()?;
    Ok(elements)
}

/// The string that `written` is; none where it is something else.
pub(crate) fn string(written: &str) -> Option<Cow<'_, str>> {
    let mut scan = Scan::new(written);
    match scan.kind() {
        Kind::String => scan.string().ok().map(|text| text.value()),
        _ => None,
    }
}

/// A value that was scanned, for keeps.
pub(crate) fn json(written: &str) -> Json {
    Json::read(written).expect("what was scanned is valid JSON")
}

fn wrong_type(scan: &mut Scan<'_>, at: &Place, expected: &'static str) -> DecodeError {
    let whole = scan.skip().and_then(|()| scan.end());
    match whole {
        Ok(()) if at.as_str().is_empty() => DecodeError::NotAnObject,
        Ok(()) => DecodeError::WrongType { param: at.to_string(), expected },
        Err(bad) => bad.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_lost() {
        let written = r#"{"a":"1","b":null,"c":[1, {"x":2}],"\u0064":true,"e":7,"a":"2","f":{},"g":0}"#;
        let mut object = Fields::read(written, Place::new("p")).unwrap();
        assert_eq!(object.text("a").unwrap().as_deref(), Some("2"));
        assert_eq!(object.elements("c").unwrap(), ["1", r#"{"x":2}"#]);
        assert_eq!(object.flag("d").unwrap(), Some(true));
        assert_eq!(object.count("b").unwrap(), None);
        object.ignore(&["g"]);
        let mut losses = Vec::new();
        object.leave(&mut losses);
        assert_eq!(losses, ["p.e", "p.f"].map(|path| Loss::At(Place::new(path))));
    }

    #[test]
    fn what_is_kept_fits_on_a_line() {
        assert_eq!(json("{\r\n \"a\": \"\\n\"\n}").as_str(), "{   \"a\": \"\\n\" }");
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        let mut object = Fields::read(r#"{"a":1,"b":[],"c":-1,"d":{}}"#, Place::default()).unwrap();
        let errors = [
            object.text("a").unwrap_err(),
            object.object("b").unwrap_err(),
            object.count("c").unwrap_err(),
            object.elements("d").unwrap_err(),
            object.required("e").unwrap_err(),
        ];
        assert_eq!(errors.each_ref().map(|error| error.param()), ["a", "b", "c", "d", "e"].map(Some));
    }

    #[test]
    fn depth_is_an_error_and_not_a_crash() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(Fields::read(&deep, Place::default()), Err(DecodeError::InvalidJson { .. })));
        assert_eq!(Fields::read("[]", Place::default()).unwrap_err(), DecodeError::NotAnObject);
    }
}
