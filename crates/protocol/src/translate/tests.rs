//! Steps of answers in any valid order, through every writer: what it writes is valid, and is read again as what was said;
//! never one dialect's own cases.

#[path = "../../tests/grammar/mod.rs"]
mod grammar;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use self::grammar::{End, Reading};
use super::{client, halves};
use crate::conversation::answer::{AnswerPlan, Finish};
use crate::conversation::collect::Collector;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Content, Takes};
use crate::conversation::request::{Reasoning, Request};
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::error::WireError;
use crate::relay::stream::StreamEnd;

/// A part and the pieces in which it comes.
#[derive(Debug, Clone)]
struct Said {
    kind: Kind,
    pieces: Vec<String>,
    seal: Option<Seal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thought,
    Summary,
    Call,
}

fn seal() -> impl Strategy<Value = Seal> {
    let dialects =
        [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::Gemini];
    let kinds = [SealKind::Signature, SealKind::Encrypted];
    (prop::sample::select(dialects.to_vec()), prop::sample::select(kinds.to_vec()), "[A-Za-z0-9]{8}")
        .prop_map(|(dialect, kind, value)| Seal {
            dialect,
            kind,
            value,
            id: Some("rs_1".to_owned()),
            maker: None,
        })
}

fn said() -> impl Strategy<Value = Said> {
    let words = ["", "a", "b c", "\"", "\\", "\n", "é", "世界", "🎉", "</x>", "data: ", "\u{7f}\u{1}"];
    let prose = prop::collection::vec(prop::sample::select(words.to_vec()).prop_map(str::to_owned), 0..4);
    let kinds = [Kind::Text, Kind::Refusal, Kind::Thought, Kind::Summary];
    let prose = (prop::sample::select(kinds.to_vec()), prose, prop::option::of(seal())).prop_map(
        |(kind, pieces, seal)| {
            let thinks = matches!(kind, Kind::Thought | Kind::Summary);
            Said { kind, pieces, seal: seal.filter(|_| thinks) }
        },
    );
    let value = prop::sample::select(words.to_vec());
    // Some models write their arguments on several lines.
    let call = (value, any::<Index>(), prop::option::of(seal())).prop_map(|(value, cut, seal)| {
        let whole = serde_json::json!({"k": value, "n": [1, 2.5]});
        let whole = if seal.is_some() { format!("{whole:#}") } else { whole.to_string() };
        let borders: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
        let (head, tail) = whole.split_at(*cut.get(&borders));
        Said { kind: Kind::Call, pieces: vec![head.to_owned(), tail.to_owned()], seal }
    });
    prop_oneof![prose, call]
}

fn opening(kind: Kind, part: u32) -> Opening {
    match kind {
        Kind::Text => Opening::Text,
        Kind::Refusal => Opening::Refusal,
        Kind::Thought => Opening::Thinking { is_summary: false, id: None },
        Kind::Summary => Opening::Thinking { is_summary: true, id: Some(format!("rs_{part}")) },
        Kind::Call => {
            Opening::ToolCall { id: format!("call_{part}"), name: format!("f{part}"), takes: Takes::Object }
        }
    }
}

/// A part that is open, and what is still to come of it.
struct Open {
    part: u32,
    is_call: bool,
    rest: std::vec::IntoIter<Event>,
}

/// The steps of an answer. Calls overlap with everything, the rest comes one after the other, as `turns` has it.
fn steps(parts: &[Said], turns: &[Index], finish: Finish) -> Vec<Event> {
    let mut events = vec![Event::Start { id: "id-1".to_owned(), model: "other".to_owned() }];
    let mut open: Vec<Open> = Vec::new();
    let mut next = parts.iter().zip(0_u32..).peekable();
    let mut turns = turns.iter().cycle();
    loop {
        let blocked = |said: &Said| said.kind != Kind::Call && open.iter().any(|open| !open.is_call);
        let may_open = next.peek().is_some_and(|(said, _)| !blocked(said));
        let choices = open.len() + usize::from(may_open);
        if choices == 0 {
            break;
        }
        let turn = turns.next().map_or(0, |turn| turn.index(choices));
        if turn == open.len() {
            let Some((said, part)) = next.next() else { break };
            events.push(Event::Open { part, opening: opening(said.kind, part) });
            let pieces = said.pieces.iter().cloned().map(Delta::Text);
            let deltas = pieces.chain(said.seal.clone().map(Delta::Seal));
            let rest: Vec<Event> = deltas.map(|delta| Event::Delta { part, delta }).collect();
            open.push(Open { part, is_call: said.kind == Kind::Call, rest: rest.into_iter() });
        } else if let Some(event) = open[turn].rest.next() {
            events.push(event);
        } else {
            events.push(Event::Close { part: open.remove(turn).part });
        }
    }
    events.push(Event::Usage(Usage {
        input: 3,
        cached_input: 2,
        output: 5,
        reasoning: 1,
        ..Usage::default()
    }));
    events.extend([Event::Finish(finish), Event::End]);
    events
}

fn plan() -> AnswerPlan {
    // Who does not ask for thoughts is not shown them in every dialect.
    let reasoning = Some(Reasoning { shown: Some("auto".to_owned()), ..Reasoning::default() });
    let request = Request { stream: true, include_usage: true, reasoning, ..Request::default() };
    AnswerPlan { model: "m".into(), id: "req-1".into(), created: 7, request: Arc::new(request) }
}

/// Every text, thought and call in order.
fn reading<'a>(contents: impl Iterator<Item = &'a Content>) -> Reading {
    let mut reading = Reading::default();
    for content in contents {
        match content {
            Content::Text(text) => reading.text.push_str(&text.text),
            Content::Refusal(text) => reading.text.push_str(text),
            Content::Thinking(thinking) => reading.thoughts.push_str(&thinking.text),
            Content::ToolCall(call) => reading.calls.push((call.name.clone(), call.arguments.clone())),
            Content::Image(_)
            | Content::Document(_)
            | Content::Audio(_)
            | Content::ToolResult(_)
            | Content::Native(_) => {}
        }
    }
    reading.settled()
}

fn joined(events: &[Event]) -> Reading {
    let mut collector = Collector::default();
    events.iter().for_each(|event| collector.take(event));
    reading(collector.answer().parts.iter().map(|part| &part.content))
}

/// What the dialect's own reader makes of a stream of whole frames.
fn read_back(dialect: Dialect, stream: &str) -> Vec<Event> {
    let mut reader = (halves(dialect).unwrap().reader)();
    let mut steps = Vec::new();
    for event in stream.split_terminator("\n\n") {
        let (name, data) = match event.split_once('\n') {
            Some((first, second)) => (first.strip_prefix("event: "), second),
            None => (None, event),
        };
        reader.read(name, data.strip_prefix("data: ").unwrap(), &mut steps).unwrap();
    }
    if steps.last() != Some(&Event::End) {
        assert_eq!(reader.end(&mut steps), StreamEnd::Complete);
    }
    steps
}

fn dialects() -> impl Iterator<Item = Dialect> {
    Dialect::ALL.iter().copied().filter(|dialect| client(*dialect).is_some())
}

fn finish() -> impl Strategy<Value = Finish> {
    prop::sample::select(vec![
        Finish::Stop,
        Finish::StopSequence("END".to_owned()),
        Finish::Length,
        Finish::ToolCalls,
        Finish::ContentFilter,
        Finish::Refusal,
        Finish::Paused,
    ])
}

proptest! {
    #[test]
    fn p09_any_order_of_steps_is_written_validly_and_read_again(
        parts in prop::collection::vec(said(), 0..6),
        turns in prop::collection::vec(any::<Index>(), 1..30),
        finish in finish(),
    ) {
        let events = steps(&parts, &turns, finish);
        let expected = joined(&events);
        for dialect in dialects() {
            let mut writer = (client(dialect).unwrap().writer)(plan());
            let mut out = Vec::new();
            events.iter().for_each(|event| writer.write(event, &mut out));
            let stream = String::from_utf8(out).unwrap();
            let found = grammar::read(dialect.name(), &stream).map(Reading::settled);
            let whole = Reading { end: End::Complete, ..expected.clone() };
            prop_assert_eq!(found, Ok(whole), "{}: {}", dialect, stream);
            let again = read_back(dialect, &stream);
            prop_assert_eq!(again.last(), Some(&Event::End), "{}: {}", dialect, stream);
            prop_assert_eq!(joined(&again), expected.clone(), "{}: {}", dialect, stream);
        }
    }

    #[test]
    fn p01_a_writer_that_breaks_off_anywhere_says_so(
        parts in prop::collection::vec(said(), 0..4),
        turns in prop::collection::vec(any::<Index>(), 1..30),
        at in any::<Index>(),
    ) {
        let events = steps(&parts, &turns, Finish::Stop);
        // All but the end itself may be missing.
        let begun = &events[..at.index(events.len())];
        let expected = joined(&events);
        let error = WireError { status: 502, code: "upstream_error", message: "x", param: None, request_id: "r" };
        for dialect in dialects() {
            let mut writer = (client(dialect).unwrap().writer)(plan());
            let mut out = Vec::new();
            begun.iter().for_each(|event| writer.write(event, &mut out));
            writer.fail(&error, &mut out);
            let stream = String::from_utf8(out).unwrap();
            let found = grammar::read(dialect.name(), &stream);
            let found = match found {
                Ok(found) => found,
                Err(fault) => return Err(TestCaseError::fail(format!("{dialect}: {fault}\n{stream}"))),
            };
            prop_assert_eq!(found.end, End::Failed, "{}: {}", dialect, stream);
            prop_assert!(expected.text.starts_with(&found.text), "{}: {}", dialect, stream);
            prop_assert!(expected.thoughts.starts_with(&found.thoughts), "{}: {}", dialect, stream);
        }
    }
}
