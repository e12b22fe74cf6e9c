//! Walks the top level of a request, each known field once, and reads the fields that most dialects share; never what the
//! model is to read.

use super::Dialect;
use super::ask::{DecodeError, ModelField, Outline};
use crate::json::{Kind, Scan};

/// Outlines a request. `known` names the fields the gateway acts on, hence the ones that may stand only once; `take` is
/// offered each of them and says whether it has taken the value.
pub(crate) fn outline(
    dialect: Dialect,
    known: &'static [&'static str],
    text: &str,
    mut take: impl FnMut(&mut Scan<'_>, &'static str, &mut Outline) -> Result<bool, DecodeError>,
) -> Result<Outline, DecodeError> {
    let mut scan = Scan::new(text);
    if scan.kind() != Kind::Object {
        scan.skip()?;
        scan.end()?;
        return Err(DecodeError::NotAnObject);
    }
    let mut outline = Outline::of(dialect);
    let mut met = Met { known, bits: 0 };
    outline.places.empty = true;
    outline.places.inside = scan.place() + 1;
    scan.object(|scan, key| {
        outline.places.empty = false;
        let taken = match met.once(&key.value())? {
            Some(field) => take(scan, field, &mut outline)?,
            None => false,
        };
        if !taken {
            scan.skip()?;
        }
        Ok::<_, DecodeError>(())
    })?;
    scan.end()?;
    Ok(outline)
}

/// Which known fields were met so far, one bit each.
struct Met {
    known: &'static [&'static str],
    bits: u32,
}

impl Met {
    /// Finds the field by its name and refuses it the second time.
    fn once(&mut self, name: &str) -> Result<Option<&'static str>, DecodeError> {
        let Some((number, param)) = self.known.iter().enumerate().find(|(_, known)| **known == name) else {
            return Ok(None);
        };
        if self.bits & (1 << number) != 0 {
            return Err(DecodeError::Duplicate { param });
        }
        self.bits |= 1 << number;
        Ok(Some(param))
    }
}

/// Takes `model`.
pub(crate) fn model(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    match scan.kind() {
        Kind::String => {
            let name = scan.string()?;
            outline.places.model = Some(name.span());
            outline.model = Some(ModelField { name: name.value().into_owned(), span: name.span() });
        }
        Kind::Null => outline.places.model = Some(scan.span()?),
        Kind::Object | Kind::Array | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            return Err(wrong_type(scan, "model", "a string"));
        }
    }
    Ok(())
}

/// True, false, or null for false.
pub(crate) fn flag(scan: &mut Scan<'_>, param: &'static str) -> Result<bool, DecodeError> {
    let kind = scan.kind();
    if !matches!(kind, Kind::True | Kind::False | Kind::Null) {
        return Err(wrong_type(scan, param, "true or false"));
    }
    scan.skip()?;
    Ok(kind == Kind::True)
}

/// A whole number of tokens; anything else (-1 for "no end" at some servers) is no limit that could be counted on.
pub(crate) fn count(scan: &mut Scan<'_>) -> Result<Option<u64>, DecodeError> {
    Ok(scan.written()?.parse().ok())
}

/// A string; anything else is the upstream's to refuse, since the gateway only takes a hint from these fields.
pub(crate) fn text(scan: &mut Scan<'_>) -> Result<Option<String>, DecodeError> {
    if scan.kind() != Kind::String {
        scan.skip()?;
        return Ok(None);
    }
    Ok(Some(scan.string()?.value().into_owned()))
}

/// Says that a value has the wrong kind, unless it is not even JSON.
pub(crate) fn wrong_type(scan: &mut Scan<'_>, param: &str, expected: &'static str) -> DecodeError {
    match scan.skip() {
        Ok(()) => DecodeError::WrongType { param: param.to_owned(), expected },
        Err(bad) => bad.into(),
    }
}
