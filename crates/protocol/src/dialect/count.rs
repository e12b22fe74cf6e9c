//! Reads a number of tokens however a server writes it; never what is counted.

use serde::Deserialize;

/// A count; whatever else a server writes there counts as not given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count(pub(crate) Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        Ok(Count(raw.get().parse().ok().or_else(|| whole(raw.get()))))
    }
}

/// Some servers compute in floating point and write `12.0`.
fn whole(written: &str) -> Option<u64> {
    let (digits, fraction) = written.split_once('.')?;
    fraction.bytes().all(|digit| digit == b'0').then(|| digits.parse().ok())?
}
