//! Who a seal belongs to, however it is kept; never what it says.

use super::*;
use crate::conversation::loss::Place;
use crate::conversation::part::{Takes, Text};
use crate::conversation::request::{Role, Turn};

const ONE: Account<'_> = Account { name: "one", provider: "p" };
const OTHER: Account<'_> = Account { name: "other", provider: "p" };
const FOREIGN: Account<'_> = Account { name: "one", provider: "q" };

fn seal(dialect: Dialect, maker: Option<Maker>) -> Seal {
    let (kind, value) = (SealKind::Encrypted, "gAAA.b/c+=".to_owned());
    Seal { dialect, kind, value, id: Some("rs_1".to_owned()), maker }
}

#[track_caller]
fn check(seal: &Seal, dialect: Dialect, shown: &str) {
    assert_eq!(seal.shown_in(dialect), shown);
    let kept = Seal::kept(dialect, seal.kind, shown);
    assert_eq!((kept.dialect, &kept.value, kept.maker), (seal.dialect, &seal.value, seal.maker));
    if Seal::is_wrapped(shown) {
        assert_eq!(kept, *seal);
    }
}

#[test]
fn a_seal_comes_back_as_it_was() {
    let anybodys = seal(Dialect::OpenAiResponses, None);
    check(&anybodys, Dialect::OpenAiResponses, "gAAA.b/c+=");
    check(&anybodys, Dialect::OpenAiChat, "lg1.openai_responses.e.rs_1.gAAA.b/c+=");
    let somebodys = seal(Dialect::OpenAiResponses, Some(Maker(0xab)));
    let wrapped = "lg1.openai_responses.e00000000000000ab.rs_1.gAAA.b/c+=";
    check(&somebodys, Dialect::OpenAiChat, wrapped);
    check(&somebodys, Dialect::OpenAiResponses, wrapped);
}

#[test]
fn what_is_not_wrapped_is_the_dialects_own() {
    for text in [
        "",
        "lg1.",
        "lg1.nobody.s..x",
        "lg1.openai_chat.z..x",
        "lg1.openai_chat.s",
        "lg1.openai_chat.s0..x",
        "lg1.openai_chat.s+0000000000000ab..x",
    ] {
        let kept = Seal::kept(Dialect::OpenAiChat, SealKind::Signature, text);
        assert_eq!((kept.dialect, kept.value.as_str()), (Dialect::OpenAiChat, text));
    }
}

#[test]
fn a_dialect_says_who_can_use_what_was_sealed() {
    for (dialect, other, foreign) in [
        (Dialect::OpenAiResponses, false, true),
        (Dialect::Gemini, false, true),
        (Dialect::AnthropicMessages, true, false),
    ] {
        let maker = ONE.seals_in(dialect);
        assert!(maker.is_some(), "{dialect}");
        assert_eq!(maker == OTHER.seals_in(dialect), other, "{dialect}");
        assert_eq!(maker == FOREIGN.seals_in(dialect), foreign, "{dialect}");
    }
    assert_eq!(ONE.seals_in(Dialect::OpenAiChat), None);
}

#[test]
fn what_another_has_sealed_is_left_out_and_named() {
    const SEALED_IN: Dialect = Dialect::OpenAiResponses;
    let part = |at: &str, content| Part { at: Place::new(at), ..Part::new(content) };
    let thought = |maker| {
        let seal = Some(seal(SEALED_IN, maker));
        Content::Thinking(Thinking { text: "hm".to_owned(), seal, ..Thinking::default() })
    };
    let call = |maker| {
        let (id, name, arguments) = ("c".to_owned(), "f".to_owned(), String::new());
        let seal = Some(seal(SEALED_IN, maker));
        Content::ToolCall(ToolCall { id, name, arguments, takes: Takes::Object, seal })
    };
    let said = || Content::Text(Text { text: "so".to_owned(), citations: Vec::new() });
    let turn = |parts| Turn { role: Role::Assistant, name: None, parts, at: Place::default() };
    let (one, other) = (ONE.seals_in(SEALED_IN), OTHER.seals_in(SEALED_IN));
    let sealed_by = |maker| Request {
        turns: vec![
            turn(Vec::new()),
            turn(vec![part("a", thought(maker))]),
            turn(vec![part("b", thought(None)), part("c", said()), part("d", call(maker))]),
        ],
        ..Request::default()
    };
    let request = sealed_by(one);
    assert_eq!(request.without_seals(SEALED_IN, Reader::Maker(one)), None);
    assert_eq!(request.without_seals(Dialect::Gemini, Reader::Nobody), None, "it reads none in any case");
    assert_eq!(sealed_by(None).without_seals(SEALED_IN, Reader::Maker(other)), None);
    assert!(request.is_sealed_in(SEALED_IN) && !sealed_by(None).is_sealed_in(SEALED_IN));
    let (left, losses) = request.without_seals(SEALED_IN, Reader::Maker(other)).expect("it cannot be read");
    assert_eq!(losses, [Loss::At(Place::new("a")), Loss::Of(Place::new("d"), Aspect::Seal)]);
    let left: Vec<usize> = left.turns.iter().map(|turn| turn.parts.len()).collect();
    assert_eq!(left, [0, 3], "an empty turn stays as it was, one that has become empty goes");
    let (_, losses) = request.without_seals(SEALED_IN, Reader::Nobody).expect("it was refused");
    let lost = ["a", "b"].map(|at| Loss::At(Place::new(at))).into_iter();
    assert_eq!(losses, lost.chain([Loss::Of(Place::new("d"), Aspect::Seal)]).collect::<Vec<_>>());
}
