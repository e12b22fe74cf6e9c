//! What a request used, in tokens and pictures, each counted once; never what it costs.

use serde::{Deserialize, Serialize};

/// Tokens of one answer, in parts that do not overlap, so that each has its own price and none is paid twice.
///
/// `input`, `cached_input`, `cache_write` and `cache_write_1h` are disjoint and add up to everything that was read;
/// `output` is everything that was written. Three figures only say what part of another is of a special kind:
/// `reasoning` and `audio_output` are parts of `output`, `audio_input` is part of `input`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Read, neither from nor into a prompt cache.
    pub input: u64,
    /// Read from a prompt cache.
    pub cached_input: u64,
    /// Read and put into a prompt cache for its usual (short) time.
    pub cache_write: u64,
    /// Read and put into a prompt cache for an hour.
    pub cache_write_1h: u64,
    /// Written, in all.
    pub output: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
    /// The part of `input` that was audio.
    pub audio_input: u64,
    /// The part of `output` that was audio.
    pub audio_output: u64,
    /// Pictures that were made. They are counted here, beside the tokens that a provider may count for them.
    pub images: u64,
    /// Whether the provider's figures contradict each other: by none of its conventions do the parts make up its own whole.
    /// No figure itself: what is kept of it is [`UsageSource::Contradicted`].
    #[serde(skip)]
    pub is_contradicted: bool,
}

impl Usage {
    /// Everything that was read.
    pub fn input_total(&self) -> u64 {
        self.input
            .saturating_add(self.cached_input)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_1h)
    }

    /// This and another answer's together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Usage {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            images: self.images.saturating_add(other.images),
            is_contradicted: self.is_contradicted || other.is_contradicted,
        }
    }

    /// Everything that was read and written.
    pub fn total(&self) -> u64 {
        self.input_total().saturating_add(self.output)
    }
}

/// Who says what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's own figures.
    Provider,
    /// The provider's own figures, whose parts do not make up its own whole.
    Contradicted,
    /// Counted here, over a whole answer.
    Counted,
    /// Guessed here, for an answer that was cut short.
    Estimated,
}

impl UsageSource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Provider, Self::Contradicted, Self::Counted, Self::Estimated];

    /// The name in receipts and metrics.
    pub fn name(self) -> &'static str {
        match self {
            UsageSource::Provider => "provider",
            UsageSource::Contradicted => "contradicted",
            UsageSource::Counted => "counted",
            UsageSource::Estimated => "estimated",
        }
    }
}
