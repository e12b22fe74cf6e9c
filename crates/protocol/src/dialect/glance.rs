//! What a relay must know of one event or answer that it passes on; never its content.

use std::ops::Range;

use crate::conversation::usage::Usage;
use crate::failure::Failure;

/// What one look at an event or a whole answer has found.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    pub(crate) usage: Option<Usage>,
    /// The string that names the model, quotes included.
    pub(crate) model: Option<Range<usize>>,
    pub(crate) id: Option<String>,
    /// Bytes of everything the model wrote.
    pub(crate) output_bytes: u64,
    /// Pictures that the model made.
    pub(crate) images: u64,
    /// The answers in it, and those of them that end here, one bit each.
    pub(crate) choices: Choices,
    /// It holds what makes it an answer, be it empty.
    pub(crate) is_answer: bool,
    /// Its dialect says that nothing follows it.
    pub(crate) terminal: bool,
    /// It says that the call has failed.
    pub(crate) failure: Option<Failure>,
    pub(crate) sequence: Option<u64>,
    /// By what later requests may mean something of it that its maker alone has or reads.
    pub(crate) handles: Vec<String>,
}

/// What is known of an event besides its data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventAt<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) wants_id: Wants,
    /// What the stream has said so far that it used, for dialects that tell it in pieces.
    pub(crate) usage: Option<&'a Usage>,
}

/// Whether the id is still to be learned; it costs an allocation, and one per stream is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Id,
    NoId,
}

/// A set of answers to one request, by their index.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choices {
    pub(crate) begun: u128,
    pub(crate) finished: u128,
}

impl Choices {
    pub(crate) fn begin(&mut self, index: u64) {
        self.begun |= bit(index);
    }

    /// Ends a choice. One with an index no server gives (they stop at 128) shares a bit and never ends.
    pub(crate) fn finish(&mut self, index: u64) {
        self.finished |= if index < SHARED { bit(index) } else { 0 };
    }

    pub(crate) fn add(&mut self, more: Choices) {
        self.begun |= more.begun;
        self.finished |= more.finished;
    }

    /// At least one was given, and each that was begun has ended.
    pub(crate) fn all_finished(self) -> bool {
        self.begun != 0 && self.begun == self.finished
    }
}

/// The index whose bit all greater ones share.
const SHARED: u64 = 127;

fn bit(index: u64) -> u128 {
    1 << index.min(SHARED)
}
