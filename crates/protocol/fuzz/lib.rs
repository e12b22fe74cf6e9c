//! What the fuzz targets share: how an input is split, and JSON read the slow way; never a property.

use std::fmt;

use protocol::Dialect;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The first byte of an input chooses the dialect.
pub fn dialect(input: &[u8]) -> Option<(Dialect, &[u8])> {
    let (&first, rest) = input.split_first()?;
    Some((Dialect::ALL[usize::from(first) % Dialect::ALL.len()], rest))
}

/// The fields of an object in their order, repeated ones included, with their values as written.
pub struct Fields<'a>(pub Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads an object, or nothing.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        serde_json::from_str(std::str::from_utf8(text).ok()?).ok()
    }

    /// The value of a field as written.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    /// All but the named fields.
    pub fn without(&self, names: &[&str]) -> Vec<(&str, &'a str)> {
        let kept = self.0.iter().filter(|(key, _)| !names.contains(&key.as_str()));
        kept.map(|(key, value)| (key.as_str(), value.get())).collect()
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Each)
    }
}
