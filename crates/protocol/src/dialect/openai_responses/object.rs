//! Takes a JSON object apart field by field and says what nobody took; never what a field means.
//!
//! What is taken is understood; what is left over becomes a loss. Nothing can be lost silently that way.

use std::borrow::Cow;

use serde_json::Number;

use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::Json;
use crate::dialect::ask::DecodeError;
use crate::json::{Kind, Malformed, Scan};

/// An object whose fields are taken one by one. A field that is null is none; the last one of a name counts.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    fields: Vec<(Cow<'a, str>, &'a str)>,
    at: Place,
}

impl<'a> Object<'a> {
    /// Takes apart the object that `written` is.
    pub(crate) fn read(written: &'a str, at: Place) -> Result<Self, DecodeError> {
        let mut scan = Scan::new(written);
        if scan.kind() != Kind::Object {
            return Err(wrong_type(&mut scan, &at, "an object"));
        }
        let mut fields = Vec::new();
        scan.object(|scan, key| {
            let name = key.value();
            let value = scan.written()?;
            if value != "null" {
                fields.push((name, value));
            }
            Ok::<_, Malformed>(())
        })?;
        scan.end()?;
        Ok(Object { fields, at })
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> &Place {
        &self.at
    }

    /// Whether there is such a field left.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.peek(name).is_some()
    }

    /// A field as it is written, which stays.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// A field as it is written.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let last = self.fields.iter().rposition(|(known, _)| known == name)?;
        let (_, value) = self.fields.remove(last);
        self.fields.retain(|(known, _)| known != name);
        Some(value)
    }

    /// Fields of which nothing is lost when they are not carried.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        self.fields.retain(|(name, _)| !names.contains(&&**name));
    }

    /// A field of which nothing is lost where it is written like that.
    pub(crate) fn ignore_where(&mut self, name: &str, value: &str) {
        self.fields.retain(|(known, written)| known != name || *written != value);
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Some(written) = self.take(name) else { return Ok(None) };
        let mut scan = Scan::new(written);
        match scan.kind() {
            Kind::String => Ok(Some(scan.string()?.value())),
            _ => Err(self.wrong(name, "a string")),
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

    /// True or false.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, DecodeError> {
        match self.take(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, DecodeError> {
        let Some(written) = self.take(name) else { return Ok(None) };
        written.parse().map(Some).map_err(|_| self.wrong(name, "a whole number"))
    }

    /// A number as it is written.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<Number>, DecodeError> {
        let Some(written) = self.take(name) else { return Ok(None) };
        written.parse().map(Some).map_err(|_| self.wrong(name, "a number"))
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Object<'a>>, DecodeError> {
        let at = self.at.field(name);
        self.take(name).map(|written| Object::read(written, at)).transpose()
    }

    /// The elements of a list, as they are written. No list is an empty one.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<&'a str>, DecodeError> {
        let at = self.at.field(name);
        self.take(name).map_or(Ok(Vec::new()), |written| elements(written, &at))
    }

    /// Whatever it is.
    pub(crate) fn json(&mut self, name: &str) -> Option<Json> {
        self.take(name).map(json)
    }

    /// What nobody took, as it is written, in its order.
    pub(crate) fn into_fields(self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        self.fields.into_iter()
    }

    /// What nobody took, as losses.
    pub(crate) fn left_over(self, losses: &mut Vec<Loss>) {
        let Object { fields, at } = self;
        losses.extend(fields.into_iter().map(|(name, _)| Loss::At(at.field(&name))));
    }

    /// Says that a field has the wrong kind.
    pub(crate) fn wrong(&self, name: &str, expected: &'static str) -> DecodeError {
        DecodeError::WrongType { param: self.at.field(name).to_string(), expected }
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
        let mut object = Object::read(written, Place::new("p")).unwrap();
        assert_eq!(object.text("a").unwrap().as_deref(), Some("2"));
        assert_eq!(object.list("c").unwrap(), ["1", r#"{"x":2}"#]);
        assert_eq!(object.flag("d").unwrap(), Some(true));
        assert_eq!(object.count("b").unwrap(), None);
        object.ignore(&["g"]);
        let mut losses = Vec::new();
        object.left_over(&mut losses);
        assert_eq!(losses, ["p.e", "p.f"].map(|path| Loss::At(Place::new(path))));
    }

    #[test]
    fn what_is_kept_fits_on_a_line() {
        assert_eq!(json("{\r\n \"a\": \"\\n\"\n}").as_str(), "{   \"a\": \"\\n\" }");
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        let mut object = Object::read(r#"{"a":1,"b":[],"c":-1,"d":{}}"#, Place::default()).unwrap();
        let errors = [
            object.text("a").unwrap_err(),
            object.object("b").unwrap_err(),
            object.count("c").unwrap_err(),
            object.list("d").unwrap_err(),
            object.required("e").unwrap_err(),
        ];
        assert_eq!(errors.each_ref().map(|error| error.param()), ["a", "b", "c", "d", "e"].map(Some));
    }

    #[test]
    fn depth_is_an_error_and_not_a_crash() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(Object::read(&deep, Place::default()), Err(DecodeError::InvalidJson { .. })));
        assert_eq!(Object::read("[]", Place::default()).unwrap_err(), DecodeError::NotAnObject);
    }
}
