//! Decides what an attempt has used so far: as its provider says, else as it is counted here; never what that costs.

use protocol::{AnswerOutline, StreamTally, Usage, UsageSource};

use super::super::decode::BYTES_PER_TOKEN;

/// Tokens and pictures seen so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    pub(super) reported: Option<Usage>,
    pub(super) output_bytes: u64,
    pub(super) images: u64,
    pub(super) is_answered: bool,
}

impl Meter {
    pub(super) fn of_answer(outline: &AnswerOutline) -> Self {
        let AnswerOutline { usage, output_bytes, images, .. } = *outline;
        Self { reported: usage, output_bytes, images, is_answered: true }
    }

    pub(super) fn of_stream(tally: &StreamTally) -> Self {
        let StreamTally { usage, output_bytes, images, .. } = *tally;
        Self { reported: usage, output_bytes, images, is_answered: true }
    }

    /// What is to be charged after a prompt of so many tokens, and who says so; where nobody but us does, `unsaid`. No
    /// provider counts pictures beside its tokens: those are always ours.
    pub(super) fn usage(&self, prompt: u64, unsaid: UsageSource) -> (Usage, UsageSource) {
        let Self { reported, output_bytes, images, is_answered } = *self;
        match reported {
            Some(reported) if reported.is_contradicted => {
                (Usage { images, ..reported }, UsageSource::Contradicted)
            }
            Some(reported) => (Usage { images, ..reported }, UsageSource::Provider),
            None if !is_answered => (Usage::default(), UsageSource::Counted),
            None => {
                let output = output_bytes.div_ceil(BYTES_PER_TOKEN);
                (Usage { input: prompt, output, images, ..Usage::default() }, unsaid)
            }
        }
    }
}
