//! Decides whether a backend's credential counts as refused, and how many probes must pass until it is tried again;
//! never how a probe is made.

/// What is thought of one backend's credential.
///
/// A provider that lists its models to everybody lets a probe pass whatever the credential is worth. So each time a
/// credential is refused again after probes had cleared it, twice as many must pass the next time.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    is_refused: bool,
    /// Probes that have still to pass, while it is refused.
    passes_left: u32,
    /// Times that probes were wrong about it, since an attempt last succeeded.
    deceptions: u32,
    /// Whether it was probes that cleared it, and no attempt has succeeded since.
    is_on_trial: bool,
}

/// Probes that must pass at most: about an hour of them.
const PASSES_MAX: u32 = 64;

impl Trust {
    /// Whether nobody is to be sent there.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// An attempt was told that the credential is not good.
    pub(crate) fn refused(&mut self) {
        if std::mem::take(&mut self.is_on_trial) {
            self.deceptions = self.deceptions.saturating_add(1);
        }
        if !std::mem::replace(&mut self.is_refused, true) {
            self.passes_left = 1_u32.checked_shl(self.deceptions).unwrap_or(PASSES_MAX).min(PASSES_MAX);
        }
    }

    /// An attempt succeeded: the credential is good.
    pub(crate) fn succeeded(&mut self) {
        (self.is_on_trial, self.deceptions) = (false, 0);
    }

    /// A probe passed. True when that clears it.
    pub(crate) fn passed(&mut self) -> bool {
        if !self.is_refused {
            return false;
        }
        self.passes_left = self.passes_left.saturating_sub(1);
        if self.passes_left == 0 {
            (self.is_refused, self.is_on_trial) = (false, true);
        }
        !self.is_refused
    }

    /// An operator vouches for it, or it is another one. True when it was refused.
    pub(crate) fn restore(&mut self) -> bool {
        std::mem::take(self).is_refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probes that must pass until it is cleared.
    fn passes(trust: &mut Trust) -> u32 {
        let count = (1..=1000).find(|_| trust.passed());
        count.expect("it is cleared in the end")
    }

    #[test]
    fn probes_that_prove_nothing_count_ever_less() {
        let mut trust = Trust::default();
        assert!(!trust.passed(), "there is nothing to clear");
        for needed in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            trust.refused();
            trust.refused();
            assert!(trust.is_refused());
            assert_eq!(passes(&mut trust), needed);
            assert!(!trust.is_refused());
        }
        trust.succeeded();
        trust.refused();
        assert_eq!(passes(&mut trust), 1, "an attempt has proved it");
        trust.refused();
        assert!(trust.restore() && !trust.is_refused());
        trust.refused();
        assert_eq!(passes(&mut trust), 1, "an operator has vouched for it");
    }

    #[test]
    fn one_that_came_late_deceives_nobody() {
        let mut trust = Trust::default();
        for _ in 0..3 {
            trust.refused();
        }
        assert_eq!(passes(&mut trust), 1);
        trust.succeeded();
        trust.refused();
        assert_eq!(passes(&mut trust), 1);
    }
}
