//! Writes rows as CSV after RFC 4180; what a spreadsheet would take for a formula is made text, whoever wrote it.

use std::borrow::Cow;

use serde_json::Value;

/// One cell, not yet quoted.
pub(super) struct Cell<'a>(Cow<'a, str>);

impl<'a> Cell<'a> {
    /// Text of ours.
    pub(super) fn own(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// What a record holds. Numbers stay numbers; text of others never begins a formula.
    pub(super) fn of(value: Option<&'a Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self(Cow::Borrowed("")),
            Some(Value::Bool(is)) => Self(Cow::Borrowed(if *is { "true" } else { "false" })),
            Some(Value::Number(number)) => Self(Cow::Owned(number.to_string())),
            Some(Value::String(text)) => Self(defused(Cow::Borrowed(text))),
            Some(nested @ (Value::Array(_) | Value::Object(_))) => {
                Self(defused(Cow::Owned(nested.to_string())))
            }
        }
    }
}

/// See <https://owasp.org/www-community/attacks/CSV_Injection>.
fn defused(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.trim_start_matches(' ').chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            Cow::Owned(format!("'{text}"))
        }
        Some(_) | None => text,
    }
}

/// What a record has at a path such as `usage.input`.
pub(super) fn at<'v>(record: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(record, |value, field| value.get(field))
}

/// One line with its end.
pub(super) fn line<'a>(cells: impl Iterator<Item = Cell<'a>>) -> String {
    let mut line = String::new();
    for (index, Cell(text)) in cells.enumerate() {
        if index > 0 {
            line.push(',');
        }
        if text.contains([',', '"', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ') {
            line.push('"');
            line.push_str(&text.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&text);
        }
    }
    line.push_str("\r\n");
    line
}
