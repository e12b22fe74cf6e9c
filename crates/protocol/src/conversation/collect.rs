//! Puts the steps of an answer together to the whole; never what any of it means.

use super::answer::Answer;
use super::event::{Delta, Event, Opening};
use super::part::{Content, Part, Text, Thinking, ToolCall};

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub struct Collector {
    answer: Answer,
}

impl Collector {
    /// Takes the next step. What belongs to no part that was begun is left out.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Start { id, model } => {
                self.answer.id.clone_from(id);
                self.answer.model.clone_from(model);
            }
            Event::Open { part, opening } => {
                // Numbers count up from 0, so that a part's number is its place.
                if usize::try_from(*part) == Ok(self.answer.parts.len()) {
                    self.answer.parts.push(Part::new(begun(opening)));
                }
            }
            Event::Delta { part, delta } => {
                if let Some(part) = usize::try_from(*part).ok().and_then(|at| self.answer.parts.get_mut(at)) {
                    add(&mut part.content, delta);
                }
            }
            Event::Usage(usage) => self.answer.usage = Some(*usage),
            Event::Finish(finish) => self.answer.finish = finish.clone(),
            Event::Close { .. } | Event::End | Event::Failed(_) => {}
        }
    }

    /// What there is of the answer.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The same, for keeps.
    pub fn into_answer(self) -> Answer {
        self.answer
    }
}

fn begun(opening: &Opening) -> Content {
    match opening {
        Opening::Text => Content::Text(Text::default()),
        Opening::Refusal => Content::Refusal(String::new()),
        Opening::Thinking { is_summary, id } => {
            Content::Thinking(Thinking { is_summary: *is_summary, id: id.clone(), ..Thinking::default() })
        }
        Opening::ToolCall { id, name, takes } => Content::ToolCall(ToolCall {
            id: id.clone(),
            name: name.clone(),
            arguments: String::new(),
            takes: *takes,
            seal: None,
        }),
        Opening::Image(image) => Content::Image(image.clone()),
        Opening::Native(native) => Content::Native(native.clone()),
    }
}

fn add(content: &mut Content, delta: &Delta) {
    match (content, delta) {
        (Content::Text(text), Delta::Text(more)) => text.text.push_str(more),
        (Content::Text(text), Delta::Citation(citation)) => text.citations.push(citation.clone()),
        (Content::Refusal(text), Delta::Text(more)) => text.push_str(more),
        (Content::Thinking(thinking), Delta::Text(more)) => thinking.text.push_str(more),
        (Content::Thinking(thinking), Delta::Seal(seal)) => thinking.seal = Some(seal.clone()),
        (Content::ToolCall(call), Delta::Text(more)) => call.arguments.push_str(more),
        (Content::ToolCall(call), Delta::Seal(seal)) => call.seal = Some(seal.clone()),
        // A part takes what its kind has; anything else in a valid order of events does not come.
        (
            Content::Text(_)
            | Content::Refusal(_)
            | Content::Thinking(_)
            | Content::ToolCall(_)
            | Content::Image(_)
            | Content::Document(_)
            | Content::Audio(_)
            | Content::ToolResult(_)
            | Content::Native(_),
            Delta::Text(_) | Delta::Seal(_) | Delta::Citation(_),
        ) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::answer::Finish;
    use crate::conversation::part::Takes;
    use crate::conversation::usage::Usage;

    #[test]
    fn overlapping_parts_come_out_in_their_order() {
        let text = |part, text: &str| Event::Delta { part, delta: Delta::Text(text.to_owned()) };
        let call = Opening::ToolCall { id: "c".to_owned(), name: "f".to_owned(), takes: Takes::Object };
        let usage = |output| Event::Usage(Usage { output, ..Usage::default() });
        let mut collector = Collector::default();
        for event in [
            Event::Start { id: "i".to_owned(), model: "m".to_owned() },
            Event::Open { part: 0, opening: Opening::Text },
            text(0, "a"),
            Event::Open { part: 1, opening: call },
            text(1, "{"),
            text(0, "b"),
            usage(1),
            text(1, "}"),
            text(7, "belongs to nothing"),
            Event::Close { part: 0 },
            Event::Close { part: 1 },
            usage(2),
            Event::Finish(Finish::ToolCalls),
            Event::End,
        ] {
            collector.take(&event);
        }
        let answer = collector.into_answer();
        assert_eq!((answer.id.as_str(), answer.model.as_str()), ("i", "m"));
        assert_eq!(answer.finish, Finish::ToolCalls);
        assert_eq!(answer.usage.map(|usage| usage.output), Some(2));
        let written: Vec<&str> = answer
            .parts
            .iter()
            .map(|part| match &part.content {
                Content::Text(text) => text.text.as_str(),
                Content::ToolCall(call) => call.arguments.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(written, ["ab", "{}"]);
    }
}
