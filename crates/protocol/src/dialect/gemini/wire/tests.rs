//! The spellings of protobuf's JSON; what fields mean is tested where they are used.

use super::*;

fn check(key: &str, expected: &str) {
    let object = format!("{{{key:?}:0}}");
    let mut seen = String::new();
    Scan::new(&object)
        .object(|scan, key| {
            seen = name(&key).into_owned();
            scan.skip()
        })
        .expect("it is JSON");
    assert_eq!(seen, expected);
}

#[test]
fn names_are_read_in_both_spellings() {
    check("inlineData", "inlineData");
    check("inline_data", "inlineData");
    check("a_b_c1", "aBC1");
    check("_responseJsonSchema", "responseJsonSchema");
    check("trailing_", "trailing");
    check("", "");
}

#[test]
fn counts_are_read_in_every_spelling() {
    for (written, expected) in [
        ("12", Some(12)),
        ("\"12\"", Some(12)),
        ("12.0", Some(12)),
        ("12.5", None),
        ("-1", None),
        ("\"\"", None),
        ("null", None),
        ("18446744073709551616", None),
    ] {
        assert_eq!(count(written), expected, "{written}");
    }
}

#[test]
fn nested_results_do_not_overflow_the_stack() {
    let deep = |times| r#"{"functionResponse":{"parts":"#.repeat(times) + "0" + &"}}".repeat(times);
    assert!(Piece::read(&mut Scan::new(&deep(5_000))).is_err());
    let deep = deep(250);
    let piece = Piece::read(&mut Scan::new(&deep)).expect("it nests less deeply than JSON may");
    let result = piece.response.expect("the outer result counts");
    assert_eq!(result.parts.iter().map(|part| &*part.unknown).collect::<Vec<_>>(), [["functionResponse"]]);
}
