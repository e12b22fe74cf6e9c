//! Decides where a field of a multipart form lies within the bytes seen so far; never holds or changes the form.

use std::ops::Range;

use memchr::memmem;

/// What is known of a field after looking at the beginning of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Where the field's text lies; what lies there is UTF-8.
    Value(Range<usize>),
    /// The form ended without such a field, or is not a form.
    Absent,
    /// More of the form is needed to tell.
    NeedMore,
}

/// A part's head is a few lines; a longer one is no form of any client.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The boundary that a `multipart/form-data` content type names (RFC 2046, section 5.1.1: 1 to 70 characters).
pub fn boundary(content_type: &[u8]) -> Option<&str> {
    let content_type = std::str::from_utf8(content_type).ok()?;
    let mut parameters = content_type.split(';').map(str::trim);
    if !parameters.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (1..=70).contains(&value.len()).then_some(value)
}

/// Looks for the text field `name` in `seen`, the first bytes of a form.
pub fn field(seen: &[u8], boundary: &str, name: &str) -> Found {
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let Some(mut rest) = seen.strip_prefix(opening.as_bytes()) else {
        return if opening.as_bytes().starts_with(seen) { Found::NeedMore } else { Found::Absent };
    };
    loop {
        match rest {
            [b'-', b'-', ..] => return Found::Absent,
            [b'\r', b'\n', part @ ..] => rest = part,
            [] | [b'-'] | [b'\r'] => return Found::NeedMore,
            _ => return Found::Absent,
        }
        let Some((head, value)) = cut(rest, b"\r\n\r\n") else {
            return if rest.len() > HEAD_BYTES_MAX { Found::Absent } else { Found::NeedMore };
        };
        if head.len() > HEAD_BYTES_MAX {
            return Found::Absent;
        }
        let Some((value, more)) = cut(value, delimiter.as_bytes()) else { return Found::NeedMore };
        if is_field(head, name) {
            let end = seen.len() - more.len() - delimiter.len();
            return match std::str::from_utf8(value) {
                Ok(_text) => Found::Value(end - value.len()..end),
                Err(_no_text) => Found::Absent,
            };
        }
        rest = more;
    }
}

/// What lies before and behind the first `separator`.
fn cut<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(bytes, separator)?;
    Some((bytes.get(..at)?, bytes.get(at + separator.len()..)?))
}

/// Whether a part's head says `content-disposition: form-data; name="..."` and no file name.
fn is_field(head: &[u8], name: &str) -> bool {
    let Ok(head) = std::str::from_utf8(head) else { return false };
    head.split("\r\n").any(|line| {
        let Some((header, value)) = line.split_once(':') else { return false };
        let mut parameters = value.split(';').map(str::trim);
        header.trim().eq_ignore_ascii_case("content-disposition")
            && parameters.next().is_some_and(|kind| kind.eq_ignore_ascii_case("form-data"))
            && parameters.any(|parameter| {
                let given = parameter.strip_prefix("name=").map(|given| given.trim_matches('"'));
                given == Some(name)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--XyZ\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nde\r\n--XyZ\r\n\
        content-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--XyZ\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\0\u{1}\r\n--XyZ--\r\n";

    #[test]
    fn the_model_is_found_at_every_cut_after_it_and_never_wrongly_before() {
        let start = FORM.find("whisper-1").expect("in the form");
        let value = start..start + "whisper-1".len();
        let end_of_value = value.end + "\r\n--XyZ".len();
        for cut in 0..=FORM.len() {
            let found = field(&FORM.as_bytes()[..cut], "XyZ", "model");
            let want = if cut >= end_of_value { Found::Value(value.clone()) } else { Found::NeedMore };
            assert_eq!(found, want, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_form_has_no_field() {
        for (bytes, want) in [
            (&b"{\"model\":\"x\"}"[..], Found::Absent),
            (b"", Found::NeedMore),
            (b"--XyZ--\r\n", Found::Absent),
            (b"--XyZ", Found::NeedMore),
            (b"--XyZabc", Found::Absent),
            (b"--XyZ\r\ncontent-disposition: form-data; name=model\r\n\r\n\xff\r\n--XyZ--", Found::Absent),
        ] {
            assert_eq!(field(bytes, "XyZ", "model"), want);
        }
        assert_eq!(field(FORM.as_bytes(), "XyZ", "prompt"), Found::Absent);
        assert_eq!(field(&vec![b'a'; 20_000], "XyZ", "model"), Found::Absent);
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them() {
        for (given, want) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/mixed; boundary=abc", None),
            ("application/json", None),
            ("multipart/form-data; boundary=", None),
        ] {
            assert_eq!(boundary(given.as_bytes()), want, "{given}");
        }
    }
}
