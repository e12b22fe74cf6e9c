//! Which events tell of a part: how its text is begun, goes on and ends; never the text itself.

use super::frame::Frame;
use crate::conversation::event::Opening;
use crate::conversation::part::{Takes, Text};
use crate::dialect::openai_responses::item::output_text;
use crate::dialect::openai_responses::wire::Piece;

/// How the text of a part is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Refusal,
    Summary,
    Thought,
    Arguments,
    Input,
    /// The input of a custom tool that comes wrapped in an object: it can be told only when it is whole.
    WrappedInput,
    /// It has no text of its own.
    Native,
}

impl Shape {
    /// The shape of a part whose item's id begins with `kind`.
    pub(super) fn of(opening: &Opening, kind: &str) -> Self {
        match opening {
            Opening::Text => Shape::Text,
            Opening::Refusal => Shape::Refusal,
            Opening::Thinking { is_summary: true, .. } => Shape::Summary,
            Opening::Thinking { is_summary: false, .. } => Shape::Thought,
            Opening::ToolCall { takes: Takes::Text, .. } => Shape::Input,
            Opening::ToolCall { takes: Takes::Object, .. } if kind == "fc" => Shape::Arguments,
            Opening::ToolCall { takes: Takes::Object, .. } => Shape::WrappedInput,
            Opening::Image(_) | Opening::Native(_) => Shape::Native,
        }
    }

    /// The event of a delta, without its text.
    pub(super) fn delta(self, id: &str, index: usize) -> Option<Frame<'_>> {
        let name = match self {
            Shape::Text => "response.output_text.delta",
            Shape::Refusal => "response.refusal.delta",
            Shape::Summary => "response.reasoning_summary_text.delta",
            Shape::Thought => "response.reasoning_text.delta",
            Shape::Arguments => "response.function_call_arguments.delta",
            Shape::Input | Shape::WrappedInput => "response.custom_tool_call_input.delta",
            Shape::Native => return None,
        };
        Some(self.frame(name, id, index))
    }

    /// The event that announces the piece which holds the text.
    pub(super) fn piece_added(self, id: &str, index: usize) -> Option<Frame<'_>> {
        let name = match self {
            Shape::Text | Shape::Refusal | Shape::Thought => "response.content_part.added",
            Shape::Summary => "response.reasoning_summary_part.added",
            Shape::Arguments | Shape::Input | Shape::WrappedInput | Shape::Native => return None,
        };
        let part = self.piece("", None);
        Some(Frame { part, logprobs: None, ..self.frame(name, id, index) })
    }

    /// The events that end the text of an item, and its piece where it has one; `piece` is what else is in that.
    pub(super) fn done<'a>(
        self,
        (id, index): (&'a str, usize),
        whole: &'a str,
        piece: Option<Option<&'a Text>>,
    ) -> Vec<Frame<'a>> {
        let text_done = |name| self.frame(name, id, index);
        let of_text = match self {
            Shape::Text => Frame { text: Some(whole), ..text_done("response.output_text.done") },
            Shape::Refusal => Frame { refusal: Some(whole), ..text_done("response.refusal.done") },
            Shape::Summary => {
                Frame { text: Some(whole), ..text_done("response.reasoning_summary_text.done") }
            }
            Shape::Thought => Frame { text: Some(whole), ..text_done("response.reasoning_text.done") },
            Shape::Arguments => {
                Frame { arguments: Some(whole), ..text_done("response.function_call_arguments.done") }
            }
            Shape::Input | Shape::WrappedInput => {
                Frame { input: Some(whole), ..text_done("response.custom_tool_call_input.done") }
            }
            Shape::Native => return Vec::new(),
        };
        let of_piece = match self {
            Shape::Text | Shape::Refusal | Shape::Thought => "response.content_part.done",
            Shape::Summary => "response.reasoning_summary_part.done",
            Shape::Arguments | Shape::Input | Shape::WrappedInput | Shape::Native => return vec![of_text],
        };
        // A thought without words has neither.
        let Some(said) = piece else { return Vec::new() };
        let part = self.piece(whole, said);
        vec![of_text, Frame { part, logprobs: None, ..self.frame(of_piece, id, index) }]
    }

    fn piece<'a>(self, whole: &'a str, said: Option<&'a Text>) -> Option<Piece<'a>> {
        Some(match (self, said) {
            (Shape::Text, Some(text)) => output_text(text),
            (Shape::Text, None) => Piece::OutputText { text: whole, annotations: Vec::new(), logprobs: [] },
            (Shape::Refusal, _) => Piece::Refusal { refusal: whole },
            (Shape::Summary, _) => Piece::SummaryText { text: whole },
            (Shape::Thought, _) => Piece::ReasoningText { text: whole },
            (Shape::Arguments | Shape::Input | Shape::WrappedInput | Shape::Native, _) => return None,
        })
    }

    /// An event with the indexes that events of this shape have.
    fn frame<'a>(self, name: &'static str, id: &'a str, index: usize) -> Frame<'a> {
        let (content_index, summary_index) = match self {
            Shape::Text | Shape::Refusal | Shape::Thought => (Some(0), None),
            Shape::Summary => (None, Some(0)),
            Shape::Arguments | Shape::Input | Shape::WrappedInput | Shape::Native => (None, None),
        };
        let logprobs = (self == Shape::Text).then_some([]);
        Frame {
            r#type: name,
            item_id: Some(id),
            output_index: index,
            content_index,
            summary_index,
            logprobs,
            ..Frame::default()
        }
    }
}
