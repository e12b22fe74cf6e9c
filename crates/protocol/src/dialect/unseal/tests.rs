//! What a server is told that cannot read some of what is sealed: a request that it takes, and nothing else less.

use bytes::Bytes;

use super::*;
use crate::{Edits, outline, rewrite};

/// Takes away what `goes` names, and says what is sent and what was lost.
fn told(dialect: Dialect, body: &str, model: &str, goes: &[&str]) -> Option<(String, Vec<String>)> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let found = outline(dialect, &body).expect("a request");
    let marks: Vec<SealMark> = goes.iter().map(|seal| SealMark::of(seal)).collect();
    assert!(marks.iter().all(|mark| found.seals.contains(mark) || *mark == SealMark::of("")), "{body:?}");
    let Unsealed { outline, lost } = unseal(&body, &found, model, |seal| marks.contains(&seal))?;
    let sent = rewrite(&body, &outline, &Edits::default()).concat();
    assert!(serde_json::from_slice::<serde_json::Value>(&sent).is_ok(), "{}", String::from_utf8_lossy(&sent));
    Some((String::from_utf8(sent).expect("what was UTF-8"), lost))
}

#[track_caller]
fn check(dialect: Dialect, body: &str, goes: &[&str], want: &str, lost: &[&str]) {
    let (sent, named) =
        told(dialect, body, "gemini-3-pro", goes).unwrap_or_else(|| panic!("unchanged: {body}"));
    assert_eq!(
        (&*sent, named.iter().map(String::as_str).collect::<Vec<_>>()),
        (want, lost.to_vec()),
        "{body}"
    );
}

const THOUGHT: &str = r#"{"type":"thinking","thinking":"hm","signature":"EqA"}"#;
const OTHER: &str = r#"{"signature":"EqB","thinking":"ah","type":"thinking","x":1.0}"#;
const HIDDEN: &str = r#"{"type":"redacted_thinking","data":"EqC"}"#;
const WRAPPED: &str = r#"{"type":"thinking","thinking":"","signature":"lg1.gemini.s..CoQ"}"#;
const SAID: &str = r#"{"type":"text","text":"so"}"#;
const CALL: &str = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
const ASKED: &str = r#"{"role":"user","content":"x"}"#;
const RESULT: &str = r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}"#;

/// A conversation in which the assistant has said these, with what stands behind it.
fn messages(said: &[&str], behind: &str, fields: &str) -> String {
    let said = said.join(", ");
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(r#"{{"role":"assistant","content":[{said}]}}, "#)
    };
    format!(r#"{{"model":"m",{fields}"messages":[{ASKED}, {said}{behind}]}}"#)
}

#[test]
fn thoughts_go_out_of_messages() {
    for (said, goes, left, lost) in [
        (&[THOUGHT, SAID][..], &["EqA"][..], &[SAID][..], &["messages[1].content[0]"][..]),
        (&[THOUGHT, SAID, OTHER, CALL], &["EqB"], &[THOUGHT, SAID, CALL], &["messages[1].content[2]"]),
        (
            &[HIDDEN, OTHER, SAID],
            &["EqB", "EqC"],
            &[SAID],
            &["messages[1].content[0]", "messages[1].content[1]"],
        ),
        (&[WRAPPED, THOUGHT, SAID], &["EqA"], &[SAID], &["messages[1].content[1]"]),
        (&[THOUGHT], &["EqA"], &[], &["messages[1].content[0]"]),
        (&[r#"{"type":"thinking","thinking":"hm"}"#, SAID], &[""], &[SAID], &["messages[1].content[0]"]),
    ] {
        check(Dialect::AnthropicMessages, &messages(said, ASKED, ""), goes, &messages(left, ASKED, ""), lost);
    }
    for kept in [&messages(&[THOUGHT, SAID], ASKED, ""), &messages(&[SAID, WRAPPED], ASKED, "")] {
        assert_eq!(told(Dialect::AnthropicMessages, kept, "m", &[]), None, "{kept}");
    }
}

/// Models that are given a budget insist on the thought that led to a call.
#[test]
fn nobody_is_to_think_on_without_the_thought_before() {
    let budget = r#""thinking":{"type":"enabled","budget_tokens":2048},"context_management":{"edits":[{"type":"clear_thinking_20251015"}]},"#;
    let without = r#""thinking":{"type":"disabled"},"context_management":{"edits":[]},"#;
    let lost = ["messages[1].content[0]", "thinking", "context_management"];
    let ask = |said: &[&str], behind: &str, fields: &str| messages(said, behind, fields);
    let dialect = Dialect::AnthropicMessages;
    check(dialect, &ask(&[THOUGHT, CALL], RESULT, budget), &["EqA"], &ask(&[CALL], RESULT, without), &lost);
    check(dialect, &ask(&[CALL], RESULT, budget), &[], &ask(&[CALL], RESULT, without), &lost[1..]);
    let adaptive = r#""thinking":{"type":"adaptive"},"#;
    check(
        dialect,
        &ask(&[THOUGHT, CALL], RESULT, adaptive),
        &["EqA"],
        &ask(&[CALL], RESULT, adaptive),
        &lost[..1],
    );
    check(dialect, &ask(&[THOUGHT, SAID], ASKED, budget), &["EqA"], &ask(&[SAID], ASKED, budget), &lost[..1]);
    let still = &ask(&[OTHER, CALL], RESULT, budget);
    check(
        dialect,
        &ask(&[OTHER, THOUGHT, CALL], RESULT, budget),
        &["EqA"],
        still,
        &["messages[1].content[1]"],
    );
}

#[test]
fn reasoning_goes_out_of_an_input_and_a_compaction_stays() {
    let own = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}"#;
    let other = r#"{"encrypted_content":"gBBB","summary":[],"type":"reasoning"}"#;
    let wrapped = r#"{"type":"reasoning","summary":[],"encrypted_content":"lg1.gemini.s.c.x"}"#;
    let compaction = r#"{"type":"compaction","encrypted_content":"gCCC"}"#;
    let input = |items: &[&str]| format!(r#"{{"model":"m","input":[{}],"store":false}}"#, items.join(","));
    for (items, goes, left, lost) in [
        (&[own, other][..], &["gBBB"][..], &[own][..], &["input[1]"][..]),
        (&[wrapped, own, ASKED, other], &["gAAA", "gBBB"], &[ASKED], &["input[1]", "input[3]"]),
        (&[compaction, own], &["gAAA", "gCCC"], &[compaction], &["input[1]"]),
        (&[own], &["gAAA"], &[], &["input[0]"]),
    ] {
        check(Dialect::OpenAiResponses, &input(items), goes, &input(left), lost);
    }
    for (items, goes) in [(&[compaction][..], &["gCCC"][..]), (&[own, wrapped], &[])] {
        assert_eq!(told(Dialect::OpenAiResponses, &input(items), "m", goes), None, "{items:?}");
    }
    assert_eq!(told(Dialect::OpenAiResponses, r#"{"model":"m","input":"x"}"#, "m", &[]), None);
}

#[test]
fn signatures_are_taken_off_parts_and_calls_are_excused() {
    let contents =
        |parts: &[&str]| format!(r#"{{"contents":[{{"role":"model","parts":[{}]}}]}}"#, parts.join(", "));
    let excused = r#"{"functionCall":{"name":"f"},"thoughtSignature":"skip_thought_signature_validator"}"#;
    let excused_before =
        r#"{"thoughtSignature":"skip_thought_signature_validator","functionCall":{"name":"f"}}"#;
    let signed = r#"{"functionCall":{"name":"f"},"thoughtSignature":"QUJD"}"#;
    let unsigned = r#"{"functionCall":{"name":"f"}}"#;
    let (text, plain) = (r#"{"text":"a","thought_signature":"Q+E/"}"#, r#"{"text":"a"}"#);
    for (parts, goes, left, lost) in [
        (
            &[signed, unsigned][..],
            &["QUJD"][..],
            &[excused, unsigned][..],
            &["contents[0].parts[0].thoughtSignature"][..],
        ),
        (&[text, signed], &["Q-E_"], &[plain, signed], &["contents[0].parts[0].thoughtSignature"]),
        (&[unsigned, unsigned], &[], &[excused_before, unsigned], &[]),
        (
            &[r#"{"functionCall":{"name":"f"},"thoughtSignature":""}"#],
            &[""],
            &[excused],
            &["contents[0].parts[0].thoughtSignature"],
        ),
    ] {
        check(Dialect::Gemini, &contents(parts), goes, &contents(left), lost);
    }
    let (sent, _) =
        told(Dialect::Gemini, &contents(&[signed]), "gemini-2.5-pro", &["QUJD"]).expect("a change");
    assert_eq!(sent, contents(&[unsigned]), "models that check nothing need no excuse");
    for (parts, model) in [(&[text, signed][..], "gemini-3-pro"), (&[unsigned], "gemini-2.5-pro")] {
        assert_eq!(told(Dialect::Gemini, &contents(parts), model, &[]), None, "{parts:?}");
    }
}

#[test]
fn other_dialects_are_left_alone() {
    let body = r#"{"model":"m","messages":[{"role":"assistant","content":"x","signature":"EqA"}]}"#;
    assert_eq!(told(Dialect::OpenAiChat, body, "m", &[]), None);
}
