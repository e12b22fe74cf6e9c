//! What Google's models can be asked for, told by their names; never which of them is asked.

/// A model, as far as requests for it differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    generation: Generation,
    size: Size,
}

/// Gemini's generations, as far as they differ here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Generation {
    /// 1.0, 1.5 and 2.0: no thinking.
    Second,
    /// 2.5: thinks by a budget of tokens.
    Thinking,
    /// 3 and later: thinks by levels, checks signatures, takes pictures in the results of functions.
    Third,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Pro,
    Flash,
    Lite,
}

impl Model {
    /// The model of this name; of a name without a generation (`gemini-flash-latest`), a late one.
    pub(super) fn of(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let version = name.strip_prefix("gemini-").unwrap_or_default();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (major, rest) = version.split_at(digits(version));
        let minor = rest.strip_prefix('.').unwrap_or_default();
        let (minor, _) = minor.split_at(digits(minor));
        let generation = match (major.parse::<u16>().ok(), minor.parse::<u16>().unwrap_or(0)) {
            (Some(0 | 1), _) | (Some(2), 0..=4) => Generation::Second,
            (Some(2), _) => Generation::Thinking,
            (Some(_), _) => Generation::Third,
            (None, _) if name.starts_with("gemini-") => Generation::Third,
            (None, _) => Generation::Second,
        };
        let size = if name.contains("lite") {
            Size::Lite
        } else if name.contains("-pro") {
            Size::Pro
        } else {
            Size::Flash
        };
        Model { generation, size }
    }

    /// It can be told how much to think.
    pub(super) fn thinks(self) -> bool {
        self.generation >= Generation::Thinking
    }

    /// It is told in levels how much to think.
    pub(super) fn thinks_by_level(self) -> bool {
        self.generation >= Generation::Third
    }

    /// It cannot be kept from thinking.
    pub(super) fn always_thinks(self) -> bool {
        match self.generation {
            Generation::Second => false,
            Generation::Thinking => self.size == Size::Pro,
            Generation::Third => true,
        }
    }

    /// The level that is nearest to an effort.
    pub(super) fn level(self, effort: &str) -> Option<&'static str> {
        match (effort, self.size) {
            ("none" | "minimal", Size::Flash | Size::Lite) => Some("minimal"),
            ("none" | "minimal", Size::Pro) | ("low", _) => Some("low"),
            ("medium", _) => Some("medium"),
            ("high" | "xhigh" | "max", _) => Some("high"),
            _ => None,
        }
    }

    /// The budget that is nearest to a wish for so many tokens.
    pub(super) fn budget(self, tokens: u64) -> u64 {
        match self.size {
            Size::Pro => tokens.clamp(128, 32_768),
            Size::Lite if tokens > 0 => tokens.clamp(512, 24_576),
            Size::Flash | Size::Lite => tokens.min(24_576),
        }
    }

    /// It refuses calls in the history that lack the signature it gave them.
    pub(super) fn checks_signatures(self) -> bool {
        self.generation >= Generation::Third
    }

    /// It takes pictures inside the results of functions.
    pub(super) fn takes_media_in_results(self) -> bool {
        self.generation >= Generation::Third
    }

    /// It can be offered functions and held to a form of its answer at once.
    pub(super) fn takes_form_beside_functions(self) -> bool {
        self.generation >= Generation::Third
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, generation: Generation, size: Size) {
        assert_eq!(Model::of(name), Model { generation, size }, "{name}");
    }

    #[test]
    fn a_name_tells_the_generation() {
        check("gemini-1.5-pro-002", Generation::Second, Size::Pro);
        check("gemini-2.0-flash-lite", Generation::Second, Size::Lite);
        check("models/gemini-2.5-pro", Generation::Thinking, Size::Pro);
        check("publishers/google/models/Gemini-2.5-Flash-Lite", Generation::Thinking, Size::Lite);
        check("gemini-3-pro-preview", Generation::Third, Size::Pro);
        check("gemini-3.8-flash", Generation::Third, Size::Flash);
        check("gemini-12", Generation::Third, Size::Flash);
        check("gemini-flash-latest", Generation::Third, Size::Flash);
        check("gemma-3-27b-it", Generation::Second, Size::Flash);
        check("", Generation::Second, Size::Flash);
        check("gemini-99999999.1", Generation::Third, Size::Flash);
    }

    #[test]
    fn budgets_stay_within_what_a_model_takes() {
        let budget = |name: &str, tokens| Model::of(name).budget(tokens);
        assert_eq!([0, 200, 99_999].map(|n| budget("gemini-2.5-pro", n)), [128, 200, 32_768]);
        assert_eq!([0, 200, 99_999].map(|n| budget("gemini-2.5-flash", n)), [0, 200, 24_576]);
        assert_eq!([0, 200, 99_999].map(|n| budget("gemini-2.5-flash-lite", n)), [0, 512, 24_576]);
    }
}
