//! Takes a JSON object apart field by field and keeps account of what nobody took; never what a field means.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::Json;
use crate::dialect::ask::DecodeError;
use crate::json::{Malformed, Scan};

/// The fields of an object that were not taken yet, each as it is written. Null is as good as not given.
pub(super) struct Object<'a> {
    /// Where it stands.
    pub(super) at: Place,
    fields: Vec<(Key<'a>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// A whole body.
    pub(super) fn root(text: &'a str) -> Result<Self, DecodeError> {
        let mut scan = Scan::new(text);
        scan.skip()?;
        scan.end()?;
        let fields: Entries<'a> = serde_json::from_str(text).map_err(|_| DecodeError::NotAnObject)?;
        Ok(Object { at: Place::default(), fields: fields.0 })
    }

    /// An object inside one.
    pub(super) fn read(raw: &'a RawValue, at: Place) -> Result<Self, DecodeError> {
        match serde_json::from_str::<Entries<'a>>(raw.get()) {
            Ok(fields) => Ok(Object { at, fields: fields.0 }),
            Err(_) => Err(wrong(&at, "an object")),
        }
    }

    /// Takes a field, whatever it is.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.fields.iter().position(|(key, _)| key.0 == name)?;
        let (_, value) = self.fields.remove(place);
        (value.get() != "null").then_some(value)
    }

    /// Takes a string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        self.parsed(name, "a string")
    }

    /// Takes a flag.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, DecodeError> {
        self.parsed(name, "true or false")
    }

    /// Takes a whole number.
    pub(super) fn whole(&mut self, name: &str) -> Result<Option<u64>, DecodeError> {
        self.parsed(name, "a whole number")
    }

    /// Takes a number as it is written.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<Number>, DecodeError> {
        self.parsed(name, "a number")
    }

    /// Takes strings.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, DecodeError> {
        Ok(self.parsed(name, "a list of strings")?.unwrap_or_default())
    }

    /// Takes a list, each element with its place.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<(Place, &'a RawValue)>, DecodeError> {
        let at = self.at.field(name);
        let Some(raw) = self.take(name) else { return Ok(Vec::new()) };
        elements(raw, &at).ok_or_else(|| wrong(&at, "a list"))
    }

    /// Takes an object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Object<'a>>, DecodeError> {
        let at = self.at.field(name);
        self.take(name).map(|raw| Object::read(raw, at)).transpose()
    }

    /// Takes a field that must be an object, as it is written.
    pub(super) fn json_object(&mut self, name: &str) -> Result<Option<Json>, DecodeError> {
        let at = self.at.field(name);
        let Some(raw) = self.take(name) else { return Ok(None) };
        if raw.get().starts_with('{') { Ok(Some(Json(raw.to_owned()))) } else { Err(wrong(&at, "an object")) }
    }

    /// What nobody took is lost.
    pub(super) fn rest(self, losses: &mut Vec<Loss>) {
        let left = self.fields.iter().filter(|(_, value)| value.get() != "null");
        losses.extend(left.map(|(key, _)| Loss::At(self.at.field(&key.0))));
    }

    /// What nobody took, as it is written.
    pub(super) fn left(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(key, value)| (&*key.0, *value))
    }

    fn parsed<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        expected: &'static str,
    ) -> Result<Option<T>, DecodeError> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| wrong(&self.at.field(name), expected))
    }
}

/// The elements of a list; none where it is no list.
pub(super) fn elements<'a>(raw: &'a RawValue, at: &Place) -> Option<Vec<(Place, &'a RawValue)>> {
    let items: Vec<&'a RawValue> = serde_json::from_str(raw.get()).ok()?;
    Some(items.into_iter().enumerate().map(|(number, item)| (at.item(number), item)).collect())
}

/// A string that is one as a whole.
pub(super) fn string(raw: &RawValue) -> Option<String> {
    if raw.get().starts_with('"') { serde_json::from_str(raw.get()).ok() } else { None }
}

/// What is said of a field of the wrong type.
pub(super) fn wrong(at: &Place, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { param: at.to_string(), expected }
}

/// An event or answer that is not what it should be.
pub(super) fn malformed(what: &'static str) -> Malformed {
    Malformed { at: 0, what, cut: false }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

struct Entries<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Entries(fields))
            }
        }
        deserializer.deserialize_map(Each)
    }
}
