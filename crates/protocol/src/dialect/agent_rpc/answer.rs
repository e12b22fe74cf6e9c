//! Reads the answer of a turn whole, from the same events that a stream has; never writes one.

use crate::conversation::answer::Answer;
use crate::conversation::collect::Collector;
use crate::conversation::event::{Delta, Event};
use crate::dialect::glance::{EventAt, Glance};
use crate::failure::{Failure, FailureKind};
use crate::json::Malformed;
use crate::sse;
use crate::translate::EventReader;

use super::stream::Reader;

/// As much as an answer may be.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

fn steps(text: &str) -> Vec<Event> {
    let (mut reader, mut steps) = (Reader::default(), Vec::new());
    let mut framer = sse::Framer::new(EVENT_BYTES_MAX);
    let mut rest = text.as_bytes();
    while let Ok(Some(length)) = framer.next_len(rest) {
        let (event, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        let event = sse::Event::read(event);
        let name = event.name.and_then(|name| std::str::from_utf8(name).ok());
        let Some(data) = event.data.as_deref().and_then(|data| std::str::from_utf8(data).ok()) else {
            continue;
        };
        // One push that cannot be read is left out, as in a stream.
        let _ = reader.read(name, data, &mut steps);
    }
    steps
}

/// What was answered; a turn that ended badly, or not at all, is a failure.
pub(super) fn decode(text: &str) -> Result<Answer, Failure> {
    let mut collector = Collector::default();
    let mut is_whole = false;
    for step in steps(text) {
        match step {
            Event::Failed(failure) => return Err(failure),
            Event::End => is_whole = true,
            step @ (Event::Start { .. }
            | Event::Open { .. }
            | Event::Delta { .. }
            | Event::Close { .. }
            | Event::Usage(_)
            | Event::Finish(_)) => collector.take(&step),
        }
    }
    match is_whole {
        true => Ok(collector.into_answer()),
        false => Err(Failure::new(FailureKind::Truncated, "the turn did not come to its end")),
    }
}

/// How much was written: a process tells nobody what it used, so that is counted.
pub(super) fn glance(text: &str) -> Result<Glance, Malformed> {
    let steps = steps(text);
    let written = steps.iter().map(|step| match step {
        Event::Delta { delta: Delta::Text(text), .. } => text.len() as u64,
        Event::Start { .. }
        | Event::Open { .. }
        | Event::Delta { delta: Delta::Seal(_) | Delta::Citation(_), .. }
        | Event::Close { .. }
        | Event::Usage(_)
        | Event::Finish(_)
        | Event::End
        | Event::Failed(_) => 0,
    });
    Ok(Glance { output_bytes: written.sum(), is_answer: true, ..Glance::default() })
}

/// No client reads these events as they are.
pub(super) fn event(_data: &str, _at: EventAt<'_>) -> Result<Glance, Malformed> {
    Ok(Glance { is_answer: true, ..Glance::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::part::Content;

    #[test]
    fn a_whole_answer_is_read_from_its_events() {
        let check = |text: &str, want: Result<&str, FailureKind>| {
            let read = decode(text).map_err(|failure| failure.kind);
            let told = read.as_ref().map(|answer| match &answer.parts[..] {
                [part] => match &part.content {
                    Content::Text(text) => text.text.as_str(),
                    other => panic!("{other:?}"),
                },
                parts => panic!("{parts:?}"),
            });
            assert_eq!(told, want.as_deref());
        };
        let answer = "event: chat/answer\ndata: {\"text\":\"h\u{e9}\"}\n\n";
        let finish = "event: chat/finish\ndata: {\"statusCode\":200}\n\n";
        check(&format!("{answer}event: chat/answer\ndata: {{\n\n{finish}"), Ok("h\u{e9}"));
        check(answer, Err(FailureKind::Truncated));
        check("", Err(FailureKind::Truncated));
        check("event: chat/finish\ndata: {\"statusCode\":429}\n\n", Err(FailureKind::RateLimited));
        assert_eq!(glance(&format!("{answer}{finish}")).map(|glance| glance.output_bytes), Ok(3));
    }
}
