//! An object that a client wrote, field by field: who takes a field has understood it, and what nobody takes is a loss;
//! never what a field means.

use std::borrow::Cow;

use serde_json::Number;

use super::ask::DecodeError;
use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::Json;
use crate::json::{Kind, Malformed, Scan};

/// The fields of one object that nobody has taken yet.
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
        let mut scan = Scan::new(text);
        match scan.kind() {
            Kind::Object => Self::read(text, Place::default()),
            Kind::Nothing
            | Kind::Array
            | Kind::String
            | Kind::Number
            | Kind::True
            | Kind::False
            | Kind::Null => {
                scan.skip()?;
                scan.end()?;
                Err(DecodeError::NotAnObject)
            }
        }
    }

    fn read(text: &'a str, at: Place) -> Result<Self, DecodeError> {
        let mut scan = Scan::new(text);
        let mut list = Vec::new();
        scan.object(|scan, key| {
            list.push((key.value(), scan.written()?));
            Ok::<_, Malformed>(())
        })?;
        scan.end()?;
        Ok(Fields { at, list })
    }

    /// Takes a field. Null is as good as none; of a field that is given twice, the last counts.
    pub(crate) fn take(&mut self, name: &str) -> Option<Field<'a>> {
        let mut found = None;
        self.list.retain(|(key, text)| {
            let is_it = key == name;
            if is_it {
                found = Some(*text);
            }
            !is_it
        });
        let text = found.filter(|text| *text != "null")?;
        Some(Field { text, at: self.at.field(name) })
    }

    /// Where a field stands or would stand.
    pub(crate) fn at(&self, name: &str) -> Place {
        self.at.field(name)
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        self.take(name).map(|field| field.string()).transpose()
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

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Field<'a>>, DecodeError> {
        self.take(name).map_or(Ok(Vec::new()), |field| field.list())
    }

    /// What was not taken is lost.
    pub(crate) fn leave(self, losses: &mut Vec<Loss>) {
        let left = self.list.iter().filter(|(_, text)| *text != "null");
        losses.extend(left.map(|(key, _)| Loss::At(self.at.field(key))));
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
        if self.kind() != Kind::Object {
            return Err(self.wrong("an object"));
        }
        Fields::read(self.text, self.at)
    }

    pub(crate) fn list(self) -> Result<Vec<Field<'a>>, DecodeError> {
        if self.kind() != Kind::Array {
            return Err(self.wrong("a list"));
        }
        let mut list = Vec::new();
        Scan::new(self.text).array(|scan, number| {
            list.push(Field { text: scan.written()?, at: self.at.item(number) });
            Ok::<_, Malformed>(())
        })?;
        Ok(list)
    }
}
