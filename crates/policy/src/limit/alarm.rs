//! Decides when so many of a backend's answers are 429s that an operator must hear of it; never what is done about them.

use std::time::Instant;

use super::retreat::RetreatRules;
use super::window::{Tally, Window};

/// The 429s among one backend's answers of late.
#[derive(Debug)]
pub(crate) struct Alarm {
    answers: Box<Window<60>>,
    is_raised: bool,
}

impl Alarm {
    /// Nothing seen yet.
    pub(crate) fn new(rules: &RetreatRules) -> Self {
        Self { answers: Box::new(Window::over(rules.window)), is_raised: false }
    }

    /// From now on by these rules.
    pub(crate) fn obey(&mut self, rules: &RetreatRules) {
        self.answers.set_length(rules.window);
    }

    /// An answer came that was no 429.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answers.good(now);
    }

    /// A 429 came. Their share in percent, if it has just become more than is borne.
    pub(crate) fn limited(&mut self, rules: &RetreatRules, now: Instant) -> Option<u8> {
        self.answers.bad(now);
        let tally = self.answers.last_tally();
        let was_raised = self.is_raised;
        self.is_raised = tally.total >= rules.samples_min && tally.exceeds(rules.alert_percent);
        (self.is_raised && !was_raised).then(|| tally.percent())
    }

    /// The 429s of the last minute among all answers.
    pub(crate) fn tally(&self, now: Instant) -> Tally {
        self.answers.as_ref().clone().tally(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::epoch;

    /// Answers, at seconds: so many that are well, then so many 429s; and what was told with the last of these.
    #[track_caller]
    fn check(samples_min: u32, answers: &[(u64, u32, u32, Option<u8>)]) {
        let rules = RetreatRules { samples_min, ..RetreatRules::default() };
        let mut alarm = Alarm::new(&rules);
        for (second, good, bad, expected) in answers {
            let now = epoch() + Duration::from_secs(*second);
            (0..*good).for_each(|_| alarm.answered(now));
            let told: Vec<u8> = (0..*bad).filter_map(|_| alarm.limited(&rules, now)).collect();
            assert_eq!(told, Vec::from_iter(*expected), "{answers:?} at {second}");
        }
    }

    #[test]
    fn more_than_a_fifth_alerts_once_until_it_is_over() {
        check(1, &[(0, 8, 2, None), (5, 0, 1, Some(27)), (6, 0, 9, None), (80, 0, 1, None)]);
        check(1, &[(0, 8, 3, Some(27)), (80, 9, 1, None), (81, 0, 2, Some(25))]);
        check(20, &[(0, 0, 19, None), (1, 0, 1, Some(100))]);
        check(20, &[(0, 0, 20, Some(100)), (90, 0, 1, None), (91, 0, 19, Some(100))]);
    }

    #[test]
    fn what_is_shown_is_of_the_last_minute() {
        let rules = RetreatRules::default();
        let mut alarm = Alarm::new(&rules);
        alarm.answered(epoch());
        alarm.limited(&rules, epoch());
        let shown = |seconds| alarm.tally(epoch() + Duration::from_secs(seconds)).percent();
        assert_eq!((shown(0), shown(59), shown(61)), (50, 50, 0));
    }
}
