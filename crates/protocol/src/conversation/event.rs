//! What a model answers, as it comes; never how it is framed.

use super::answer::Finish;
use super::part::{Citation, Image, Native, Takes};
use super::seal::Seal;
use super::usage::Usage;
use crate::failure::Failure;

/// One step of an answer.
///
/// The order is always: `Start`, then parts, each `Open`, `Delta`s, `Close`, in the order of their numbers; parts may
/// overlap (parallel tool calls), and a reader closes all of them before `Finish`; then `Finish`, `End`. `Usage` may
/// come anywhere between `Start` and `End`, and each replaces the one before. `Failed` ends everything.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The provider's id; may be empty.
        id: String,
        /// The provider's name of the model; may be empty.
        model: String,
    },
    /// A part begins.
    Open {
        /// Its number: 0, 1, 2, ...
        part: u32,
        /// What it is.
        opening: Opening,
    },
    /// A part goes on.
    Delta {
        /// Its number.
        part: u32,
        /// What is added.
        delta: Delta,
    },
    /// A part ends.
    Close {
        /// Its number.
        part: u32,
    },
    /// What was used so far.
    Usage(Usage),
    /// The answer has all its parts.
    Finish(Finish),
    /// Nothing follows.
    End,
    /// The upstream says that it has failed.
    Failed(Failure),
}

/// What a part begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum Opening {
    /// Text.
    Text,
    /// A refusal in the model's words.
    Refusal,
    /// A thought.
    Thinking {
        /// Whether it is a summary of the thought.
        is_summary: bool,
        /// The provider's id for it.
        id: Option<String>,
    },
    /// A call.
    ToolCall {
        /// By which its result is matched with it; never empty.
        id: String,
        /// The tool.
        name: String,
        /// What it takes.
        takes: Takes,
    },
    /// A picture; it comes whole.
    Image(Image),
    /// Something that only one dialect has a meaning for; it comes whole.
    Native(Native),
}

/// What is added to a part.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// To the text of a text, a refusal or a thought, or to the arguments of a call.
    Text(String),
    /// The seal of a thought or a call; replaces an earlier one.
    Seal(Seal),
    /// A source of a text.
    Citation(Citation),
}
