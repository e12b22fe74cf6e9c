//! Holds the walk to `serde_json`'s judgement of what is valid; never to its own.

use super::*;
use proptest::prelude::*;

fn walk(text: &str) -> Result<(), Malformed> {
    let mut scan = Scan::new(text);
    scan.skip()?;
    scan.end()
}

fn check(text: &str) {
    let ours = walk(text);
    let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text);
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{text:?}: ours {ours:?}, serde_json {theirs:?}");
}

#[test]
fn agrees_with_serde_json_on_what_is_valid() {
    for text in [
        "",
        " ",
        "{}",
        "[]",
        "{ }",
        "[ ]",
        "null",
        "nul",
        "nulll",
        "true",
        "false",
        "truefalse",
        "tru",
        "\"",
        "\"a",
        "\"a\"",
        "\"\\",
        "\"\\u",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\n\"",
        "\"\u{7f}\"",
        "\"\u{0}\"",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "1.",
        "1.5",
        ".5",
        "1e",
        "1e+",
        "1e400",
        "-1E-9",
        "0.10000000000000000001",
        "0x1",
        "+1",
        "1 2",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"a\":2}",
        "\u{feff}{}",
        "{\"a\":[{\"b\":[null,true,{}]},\"\\u00e9\\n\"]}\r\n\t ",
        "NaN",
        "Infinity",
        "'a'",
        "[1]]",
        "{}}",
        "// x\n{}",
    ] {
        check(text);
    }
}

#[test]
fn a_special_byte_is_found_at_every_offset() {
    for length in 0..80 {
        for special in ["\"", "\\n", "\u{1}"] {
            for filler in ["a", "é", "\u{7f}", "😀", "!"] {
                check(&format!("\"{}{special}{}\"", filler.repeat(length), "b".repeat(40)));
                check(&format!("\"{}{special}", filler.repeat(length)));
            }
        }
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(walk(&nested(usize::from(DEPTH_MAX))), Ok(()));
    assert_eq!(walk(&nested(usize::from(DEPTH_MAX) + 1)).unwrap_err().what, "values nested too deeply");
    assert_eq!(walk(&"{\"a\":".repeat(1_000_000)).unwrap_err().what, "values nested too deeply");
}

#[test]
fn every_prefix_of_a_valid_object_counts_as_cut() {
    let whole = r#"{"a":[1.5e3,"x\u00e9\"",null,{"b":true}],"c":false}"#;
    for end in (0..whole.len()).filter(|&end| whole.is_char_boundary(end)) {
        let bad = walk(&whole[..end]).unwrap_err();
        assert!(bad.cut, "{:?}: {bad}", &whole[..end]);
    }
    assert!(!walk("<html>").unwrap_err().cut);
}

#[test]
fn strings_know_their_meaning_place_and_size() {
    for (written, means) in [
        (r#""plain""#, "plain"),
        (r#""mod\u0065l""#, "model"),
        (r#""a\n\"\\\/""#, "a\n\"\\/"),
        (r#""\u00e9\u4f60\ud83d\ude00""#, "é你😀"),
        (r#""é你😀""#, "é你😀"),
    ] {
        let padded = format!(" {written} ");
        let text = Scan::new(&padded).string().unwrap();
        assert_eq!(text.value(), means);
        assert_eq!(text.value_bytes(), means.len() as u64, "{written}");
        assert_eq!(text.span(), 1..1 + written.len());
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_as_serde_json_does(text in r#"[\[\]{}:," \\ntrue0-9.eE+\-a\u{1}é]{0,40}"#) {
        check(&text);
    }

    #[test]
    fn any_string_survives(meant in any::<String>()) {
        let written = serde_json::to_string(&meant).unwrap();
        let text = Scan::new(&written).string().unwrap();
        prop_assert_eq!(text.value_bytes(), meant.len() as u64);
        prop_assert_eq!(text.value(), meant);
    }
}

/// Told one at a time; what lies behind the end counts as special.
fn expected_specials(bytes: &[u8]) -> u64 {
    let is_special =
        |at: usize| bytes.get(at).is_none_or(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    (0..BLOCK).rev().fold(0, |found, at| found << 1 | u64::from(is_special(at)))
}

proptest! {
    #[test]
    fn the_special_bytes_of_a_block_are_found(bytes in prop::collection::vec((any::<u8>(), any::<bool>()), 0..=BLOCK + 9)) {
        const DENSE: &[u8; 12] = b"\"\\a\x1f\x20\x21\x5b\x5d\x80\xa2\xdc\xff";
        let near = |(byte, is_dense): (u8, bool)| if is_dense { DENSE[usize::from(byte) % 12] } else { byte };
        let bytes: Vec<u8> = bytes.into_iter().map(near).collect();
        prop_assert_eq!(block::specials(&bytes), expected_specials(&bytes));
    }
}
