//! Decides how counts, durations and sizes are written and within which range; never what they limit.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::bind::{Bind, Binder};
use super::leaf::scalar_of;
use super::problem::quoted;
use super::tree::{Node, Value};

/// A whole number within a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    /// The number as 32 bits, for ranges that end below.
    pub(crate) fn get32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Bind for Count<MIN, MAX> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let Value::Number(text) = &node.value else {
            return binder.expected(node, "a whole number");
        };
        match text.replace('_', "").parse::<u64>() {
            Ok(number) if (MIN..=MAX).contains(&number) => Some(Self(number)),
            Ok(_) | Err(_) => {
                binder.refuse(node, format!("must be a whole number from {MIN} to {MAX}"), None)
            }
        }
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Count<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Count_{MIN}_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A share of a whole in hundredths, such as 0.1, within a range of percent; holds percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction<const MIN: u8, const MAX: u8>(pub u8);

impl<const MIN: u8, const MAX: u8> Bind for Fraction<MIN, MAX> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let Value::Number(text) = &node.value else {
            return binder.expected(node, &format!("a number {}", range::<MIN, MAX>()));
        };
        match percent_of(text).filter(|percent| (MIN..=MAX).contains(percent)) {
            Some(percent) => Some(Self(percent)),
            None => {
                let range = range::<MIN, MAX>();
                binder.refuse(node, format!("must be {range}, with at most 2 digits after the point"), None)
            }
        }
    }
}

fn range<const MIN: u8, const MAX: u8>() -> String {
    format!("from {} to {}", f64::from(MIN) / 100.0, f64::from(MAX) / 100.0)
}

impl<const MIN: u8, const MAX: u8> JsonSchema for Fraction<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Fraction_{MIN}_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let [least, most] = [MIN, MAX].map(|percent| f64::from(percent) / 100.0);
        json_schema!({"type": "number", "minimum": least, "maximum": most, "multipleOf": 0.01})
    }
}

/// Reads `0.1` as 10 percent, exactly.
fn percent_of(text: &str) -> Option<u8> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    if part.len() > 2 {
        return None;
    }
    let percent = format!("{whole}{part:0<2}").parse().ok()?;
    Some(percent)
}

/// A duration such as `250ms`, `30s`, `2m`, `1h30m`, within a range of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<const MIN_MS: u64, const MAX_MS: u64>(pub Duration);

impl<const MIN_MS: u64, const MAX_MS: u64> Bind for Span<MIN_MS, MAX_MS> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let milliseconds = written_milliseconds(node, binder)?;
        if !(MIN_MS..=MAX_MS).contains(&milliseconds) {
            let range = format!("must be from {} to {}", duration_text(MIN_MS), duration_text(MAX_MS));
            return binder.refuse(node, range, None);
        }
        Some(Self(Duration::from_millis(milliseconds)))
    }
}

fn written_milliseconds(node: &Node, binder: &mut Binder<'_>) -> Option<u64> {
    let text = match &node.value {
        Value::Text(text) => text.as_str(),
        Value::Number(zero) if zero == "0" => "0s",
        Value::Number(number) => {
            let suggestion = format!("write {}", quoted(&format!("{number}s")));
            return binder.refuse(node, "a duration needs its unit: ms, s, m, h or d", Some(suggestion));
        }
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            return binder.expected(node, "a duration such as 30s");
        }
    };
    match milliseconds_of(text) {
        Some(milliseconds) => Some(milliseconds),
        None => binder.refuse(node, "is not a duration such as 250ms, 30s or 2m", None),
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> JsonSchema for Span<MIN_MS, MAX_MS> {
    fn schema_name() -> Cow<'static, str> {
        format!("Span_{MIN_MS}_{MAX_MS}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let range = format!("From {} to {}.", duration_text(MIN_MS), duration_text(MAX_MS));
        json_schema!({
            "description": range,
            "anyOf": [{"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}, {"const": 0}]
        })
    }
}

/// Reads `1h30m` as milliseconds.
pub(crate) fn milliseconds_of(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let unit_length = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(unit_length)?;
        let scale = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = after;
    }
    Some(total)
}

/// Writes milliseconds as people would.
pub(crate) fn duration_text(milliseconds: u64) -> String {
    for (scale, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if milliseconds >= scale && milliseconds.is_multiple_of(scale) {
            return format!("{}{unit}", milliseconds / scale);
        }
    }
    if milliseconds == 0 { "0s".to_owned() } else { format!("{milliseconds}ms") }
}

/// A size such as `64MiB`; a bare number is bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Bind for Size<MIN, MAX> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = scalar_of(node, binder, "a size such as 64MiB")?;
        let Some(bytes) = bytes_of(text) else {
            return binder.refuse(node, "is not a size such as 512KiB, 64MiB or 1GiB", None);
        };
        if !(MIN..=MAX).contains(&bytes) {
            return binder.refuse(
                node,
                format!("must be from {} to {}", size_text(MIN), size_text(MAX)),
                None,
            );
        }
        Some(Self(bytes))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Size<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Size_{MIN}_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!("From {} to {}.", size_text(MIN), size_text(MAX)),
            "anyOf": [
                {"type": "string", "pattern": "^[0-9]+ ?([kKMGT]i?)?B?$"},
                {"type": "integer", "minimum": MIN, "maximum": MAX}
            ]
        })
    }
}

fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale: u64 = match unit.trim_start().trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

/// Writes a size as people would.
pub(crate) fn size_text(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// Off by 0, else within what idle proxies bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval<const MIN_MS: u64, const MAX_MS: u64>(pub Duration);

impl<const MIN_MS: u64, const MAX_MS: u64> Bind for Interval<MIN_MS, MAX_MS> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let milliseconds = written_milliseconds(node, binder)?;
        if milliseconds != 0 && !(MIN_MS..=MAX_MS).contains(&milliseconds) {
            let (min, max) = (duration_text(MIN_MS), duration_text(MAX_MS));
            return binder.refuse(node, format!("must be 0, which is off, or from {min} to {max}"), None);
        }
        Some(Self(Duration::from_millis(milliseconds)))
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> JsonSchema for Interval<MIN_MS, MAX_MS> {
    fn schema_name() -> Cow<'static, str> {
        format!("Interval_{MIN_MS}_{MAX_MS}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Span::<MIN_MS, MAX_MS>::json_schema(generator)
    }
}
