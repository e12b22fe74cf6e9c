//! Which way of thinking a model understands, told by its name; never what a model costs or can do else.

/// The models of Anthropic by what their requests may say. Servers refuse what does not belong to their generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// Up to 4.5, and whatever is no Claude: `thinking.budget_tokens`.
    Budgets,
    /// 4.6: `thinking.type: adaptive` with `output_config.effort`; budgets are going out of use.
    Adaptive,
    /// From 4.7 on: adaptive only, and `temperature`, `top_p` and `top_k` are refused.
    AdaptiveOnly,
}

impl Generation {
    /// Tells it from a name such as `claude-opus-4-7`, `claude-3-7-sonnet-20250219` or `anthropic.claude-opus-4-6-v1:0`:
    /// the first number behind `claude` is the version, the next one its minor; a date is none.
    pub(super) fn of(model: &str) -> Self {
        let Some((_, name)) = model.split_once("claude") else { return Generation::Budgets };
        if name.contains("mythos-preview") {
            return Generation::AdaptiveOnly;
        }
        let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
        let number = |word: &str| if word.len() <= 2 { word.parse::<u8>().ok() } else { None };
        let Some(major) = words.by_ref().find_map(number) else { return Generation::Budgets };
        match (major, words.next().and_then(number).unwrap_or(0)) {
            (0..=3, _) | (4, 0..=5) => Generation::Budgets,
            (4, 6) => Generation::Adaptive,
            (4.., _) => Generation::AdaptiveOnly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_generation() {
        use Generation::{Adaptive, AdaptiveOnly, Budgets};
        for (model, expected) in [
            ("claude-3-7-sonnet-20250219", Budgets),
            ("claude-opus-4-20250514", Budgets),
            ("claude-sonnet-4-0", Budgets),
            ("claude-sonnet-4@20250514", Budgets),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Budgets),
            ("claude-haiku-4-5", Budgets),
            ("anthropic/claude-opus-4.6", Adaptive),
            ("anthropic.claude-opus-4-6-v1:0", Adaptive),
            ("claude-opus-4-7", AdaptiveOnly),
            ("claude-sonnet-5", AdaptiveOnly),
            ("claude-fable-5-2", AdaptiveOnly),
            ("claude-mythos-preview", AdaptiveOnly),
            ("claude-10", AdaptiveOnly),
            ("claude-instant", Budgets),
            ("kimi-k2", Budgets),
            ("", Budgets),
        ] {
            assert_eq!(Generation::of(model), expected, "{model}");
        }
    }
}
