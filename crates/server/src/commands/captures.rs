//! Lists, shows and deletes captured requests; each look at what was said is entered in the audit log, and this never
//! decides what is captured.

use std::process::ExitCode;

use http::Method;
use policy::Timestamp;
use serde_json::Value;

use super::desk::{Desk, segment};
use super::moment;
use super::place::Place;
use crate::args::{CapturesCommand, CapturesOf};
use crate::output;

pub(super) async fn run(place: &Place, command: CapturesCommand) -> anyhow::Result<ExitCode> {
    match command {
        CapturesCommand::List { of, backend, status, limit, shape } => {
            let wanted = [("backend", backend), ("status", status), ("limit", Some(limit.to_string()))];
            let page = found(place, &path(of, wanted)).await?;
            if shape.json {
                output::print_json(&page)?;
            } else {
                output::print(&table(&page))?;
                output::remark(&left(&page));
            }
        }
        CapturesCommand::Show { id, shape } => {
            let capture = found(place, &format!("/captures/{}", segment(&id))).await?;
            if shape.json {
                output::print_json(&capture)?;
            } else {
                output::print(&told(&capture))?;
            }
        }
        CapturesCommand::Delete { id: Some(id), .. } => {
            let desk = Desk::open(place)?;
            desk.ask(Method::DELETE, &format!("/captures/{}", segment(&id)), &Value::Null).await?;
            output::remark("1 capture was deleted.");
        }
        CapturesCommand::Delete { id: None, of, all } => {
            let all = all.then(|| "true".to_owned());
            let desk = Desk::open(place)?;
            // Keys are known by their names once they are published.
            desk.snapshot().await?;
            let deleted = desk.ask(Method::DELETE, &path(of, [("all", all)]), &Value::Null).await?;
            let deleted = deleted["deleted"].as_u64().unwrap_or(0);
            output::remark(&match deleted {
                1 => "1 capture was deleted.".to_owned(),
                count => format!("{} captures were deleted.", output::count(count)),
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn found(place: &Place, path: &str) -> anyhow::Result<Value> {
    let desk = Desk::look(place)?;
    desk.snapshot().await?;
    desk.ask(Method::GET, path, &Value::Null).await
}

fn path<const N: usize>(of: CapturesOf, more: [(&str, Option<String>); N]) -> String {
    let of = [("key", of.key), ("model", of.model), ("from", of.from), ("to", of.to)];
    let given = of.into_iter().chain(more).filter_map(|(name, value)| Some((name, value?)));
    let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", segment(&value))).collect();
    format!("/captures?{}", query.join("&"))
}

fn table(page: &Value) -> String {
    let word = |row: &Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
    let rows = page["captures"].as_array().into_iter().flatten().map(|row| {
        let key = row["key_name"].as_str().or(row["key"].as_str()).unwrap_or("-");
        vec![
            word(row, "request_id"),
            at(row),
            key.to_owned(),
            word(row, "model"),
            word(row, "backend"),
            row["status"].to_string(),
            word(row, "ended"),
            row["request_bytes"].to_string(),
            row["response_bytes"].to_string(),
        ]
    });
    output::columns(&["REQUEST", "AT", "KEY", "MODEL", "BACKEND", "STATUS", "ENDED", "IN", "OUT"], rows)
}

fn at(row: &Value) -> String {
    row["at"].as_i64().map_or_else(|| "-".to_owned(), |at| moment::rfc3339(Timestamp(at)))
}

/// What all of them come to, and whether there are more.
fn left(page: &Value) -> String {
    let number = |field: &str| page[field].as_u64().unwrap_or(0);
    let more = if page["next"].is_string() { "; older ones need a larger --limit, or --to" } else { "" };
    let (count, bytes) = (output::count(number("count")), output::count(number("file_bytes")));
    format!("{count} captures take {bytes} bytes{more}")
}

/// As it went: what was asked, what each backend answered, what was given.
fn told(capture: &Value) -> String {
    let word = |value: &Value, field: &str| value[field].as_str().unwrap_or("-").to_owned();
    let request = &capture["request"];
    let mut text = format!(
        "{} at {}, status {}, {}\n\n",
        word(capture, "request_id"),
        at(capture),
        capture["status"],
        word(capture, "ended")
    );
    text.push_str(&format!("> {} {}\n", word(request, "method"), word(request, "path")));
    text.push_str(&side(request, '>'));
    text.push_str(cut(&capture["request_cut"]));
    for attempt in capture["attempts"].as_array().into_iter().flatten() {
        let said = match (attempt["status"].as_u64(), attempt["error"].as_str()) {
            (Some(status), None) => format!("status {status}"),
            (Some(status), Some(error)) => format!("status {status}, {error}"),
            (None, error) => error.unwrap_or("no answer").to_owned(),
        };
        text.push_str(&format!("* {}: {said}\n", word(attempt, "backend")));
        text.push_str(&headers(attempt, '*'));
        text.push('\n');
    }
    text.push_str(&format!("< {}\n", capture["status"]));
    text.push_str(&side(&capture["response"], '<'));
    text.push_str(cut(&capture["response_cut"]));
    output::printable_lines(&text).into_owned()
}

fn side(side: &Value, mark: char) -> String {
    let body = match (side["text"].as_str(), side["base64"].as_str()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(base64)) => format!("(no text, in base64) {base64}"),
        (None, None) => String::new(),
    };
    format!("{}{mark}\n{body}\n\n", headers(side, mark))
}

fn headers(side: &Value, mark: char) -> String {
    let pairs = side["headers"].as_array().into_iter().flatten();
    let line = |pair: &Value| {
        format!("{mark} {}: {}\n", pair[0].as_str().unwrap_or(""), pair[1].as_str().unwrap_or(""))
    };
    pairs.map(line).collect()
}

fn cut(is_cut: &Value) -> &'static str {
    if is_cut.as_bool() == Some(true) { "(cut here: there was more)\n\n" } else { "" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_capture_is_told_as_it_went_and_moves_no_cursor() {
        let capture = json!({
            "request_id": "req-1", "at": 1_780_272_000_000_i64, "status": 200, "ended": "whole",
            "request_cut": true, "response_cut": false,
            "request": {"method": "POST", "path": "/v1/x", "headers": [["authorization", "[hidden]"]], "text": "{\u{1b}[31m}"},
            "attempts": [{"backend": "a", "status": 429, "headers": [["retry-after", "1"]], "error": null},
                {"backend": "b", "status": null, "headers": [], "error": "connect"}],
            "response": {"headers": [["x", "y"]], "base64": "/w=="},
        });
        assert_eq!(
            told(&capture),
            "req-1 at 2026-06-01T00:00:00Z, status 200, whole\n\n> POST /v1/x\n> authorization: [hidden]\n>\n{[31m}\n\n\
             (cut here: there was more)\n\n* a: status 429\n* retry-after: 1\n\n* b: connect\n\n< 200\n< x: y\n<\n\
             (no text, in base64) /w==\n\n"
        );
    }

    #[test]
    fn what_was_typed_stays_one_value() {
        let of =
            CapturesOf { key: Some("a&b".to_owned()), model: None, from: None, to: Some("1".to_owned()) };
        assert_eq!(path(of, [("all", None)]), "/captures?key=a%26b&to=1");
    }
}
