//! Decides how many tokens are reserved for a request that may use so many: what those before it used of theirs;
//! never what it is charged.

/// A share in parts of this.
const WHOLE: u64 = 1 << 16;
/// More than estimated is reserved only up to so many times as much.
const TIMES_MAX: u64 = 2;
/// How much one answer counts against all before it.
const GAIN: u64 = 8;
const SPREAD_GAIN: u64 = 4;

/// What answers used of what was estimated: the mean share, and how far that spreads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    mean: u64,
    spread: u64,
}

impl Default for Usual {
    /// Until answers tell otherwise, all is used.
    fn default() -> Self {
        Self { mean: WHOLE, spread: 0 }
    }
}

impl Usual {
    /// Of so many estimated so many were used.
    pub(crate) fn saw(&mut self, estimated: u64, used: u64) {
        let share = u128::from(used) * u128::from(WHOLE) / u128::from(estimated.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX).min(WHOLE * TIMES_MAX);
        self.spread = closer(self.spread, self.mean.abs_diff(share), SPREAD_GAIN);
        self.mean = closer(self.mean, share, GAIN);
    }

    /// What is reserved for so many: enough for nearly all, and no more than estimated unless most use more.
    pub(crate) fn of(self, estimated: u64) -> u64 {
        let share = (self.mean + 2 * self.spread).min(self.mean.max(WHOLE));
        let reserved = u128::from(estimated) * u128::from(share) / u128::from(WHOLE);
        u64::try_from(reserved).unwrap_or(u64::MAX).max(u64::from(estimated > 0))
    }
}

/// A part of the way from one number to another, rounded so that it arrives.
fn closer(from: u64, to: u64, parts: u64) -> u64 {
    let step = from.abs_diff(to).div_ceil(parts);
    if from < to { from + step } else { from - step }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reserved for 1,000 after answers that used so many of 1,000, again and again.
    #[track_caller]
    fn check(used: &[u64], rounds: usize, expected: std::ops::RangeInclusive<u64>) {
        let mut usual = Usual::default();
        for used in used.iter().cycle().take(used.len() * rounds) {
            usual.saw(1000, *used);
        }
        let reserved = usual.of(1000);
        assert!(expected.contains(&reserved), "{used:?} {rounds}: {reserved}");
        assert_eq!(usual.of(0), 0);
    }

    #[test]
    fn what_answers_use_is_reserved_for_the_next() {
        check(&[], 1, 1000..=1000);
        check(&[500], 1, 1000..=1000);
        check(&[500], 60, 500..=505);
        check(&[1000], 60, 1000..=1000);
        check(&[0], 100, 0..=5);
        // Where they differ, enough for nearly all.
        check(&[300, 500], 60, 550..=650);
        check(&[10, 1000], 60, 1000..=1000);
        // An estimate that is always too low is corrected, too.
        check(&[1300], 60, 1295..=1300);
        check(&[u64::MAX], 100, 1990..=2000);
    }

    #[test]
    fn an_estimate_of_any_size_is_reckoned_with() {
        let mut usual = Usual::default();
        usual.saw(0, 0);
        usual.saw(u64::MAX, u64::MAX);
        assert_eq!(usual.of(u64::MAX) / 1000, u64::MAX / 1000);
        assert_eq!(usual.of(1), 1);
    }
}
