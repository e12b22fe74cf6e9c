//! Decides how far a backend's request rate is drawn back while it keeps saying 429; never what a single 429 does.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::rate::Rate;
use super::window::{Tally, Window};

/// How often what happened is judged.
pub(crate) const EVALUATION: Duration = Duration::from_secs(1);

/// When a rate is drawn back, how far, and how it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetreatRules {
    /// Over what time 429s are counted.
    pub window: Duration,
    /// The share of 429s that begins a retreat.
    pub enter_percent: u8,
    /// The share at which a retreat goes on with each evaluation.
    pub again_percent: u8,
    /// What is left of the rate after each step back.
    pub factor_percent: u8,
    /// The lowest rate it leads to, in requests a minute.
    pub floor_rpm: u32,
    /// The share under which the backend is calm.
    pub calm_percent: u8,
    /// For how long it must be calm before its rate recovers.
    pub calm_for: Duration,
    /// What comes back with each evaluation, in requests a minute.
    pub step_rpm: u32,
    /// The share above which an operator is told.
    pub alert_percent: u8,
    /// Answers in the window below which no share is judged: one 429 among fewer than twenty is more than
    /// 5 % of them, and says less than the cooldown that it begins.
    pub samples_min: u32,
}

impl Default for RetreatRules {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            enter_percent: 5,
            again_percent: 10,
            factor_percent: 75,
            floor_rpm: 5,
            calm_percent: 2,
            calm_for: Duration::from_secs(120),
            step_rpm: 2,
            alert_percent: 20,
            samples_min: 20,
        }
    }
}

/// How a backend's rate stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// At its own rate.
    #[default]
    Normal,
    /// Drawn back.
    Retreat,
    /// On its way back.
    Recover,
}

impl Pace {
    /// Its name in events and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Retreat => "retreat",
            Self::Recover => "recover",
        }
    }
}

/// One evaluation: of what, by what, when.
struct Evaluation<'a> {
    base: Rate,
    rules: &'a RetreatRules,
    at: Instant,
}

/// One backend's retreat.
#[derive(Debug)]
pub(crate) struct Retreat {
    pace: Pace,
    /// The rate while it is not normal.
    rate: Rate,
    /// Where recovery ends; what was really sent, for a backend without a rate of its own.
    goal: Rate,
    calm_since: Option<Instant>,
    window: Window<60>,
    evaluated_at: Option<Instant>,
}

impl Retreat {
    /// Nothing seen yet.
    pub(crate) fn new(rules: &RetreatRules) -> Self {
        Self {
            pace: Pace::Normal,
            rate: Rate::UNLIMITED,
            goal: Rate::UNLIMITED,
            calm_since: None,
            window: Window::over(rules.window),
            evaluated_at: None,
        }
    }

    /// An answer came that was no 429.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.evaluated_at.get_or_insert(now);
        self.window.good(now);
    }

    /// A 429 came.
    pub(crate) fn limited(&mut self, now: Instant) {
        self.evaluated_at.get_or_insert(now);
        self.window.bad(now);
    }

    /// Makes every evaluation that is due; `base` is the rate that it retreats from.
    pub(crate) fn evaluate(
        &mut self,
        base: Rate,
        rules: &RetreatRules,
        now: Instant,
        mut tell: impl FnMut(Pace),
    ) {
        self.window.set_length(rules.window);
        while let Some(due) = self.evaluated_at.map(|last| last + EVALUATION).filter(|due| *due <= now) {
            let tally = self.window.tally(due);
            let evaluation = Evaluation { base, rules, at: due };
            if tally.total == 0 && self.skip(&evaluation, now) {
                continue;
            }
            self.evaluated_at = Some(due);
            self.step(tally, &evaluation, &mut tell);
        }
    }

    /// The rate that holds.
    pub(crate) fn rate(&self) -> Rate {
        match self.pace {
            Pace::Normal => Rate::UNLIMITED,
            Pace::Retreat | Pace::Recover => self.rate,
        }
    }

    /// How it stands.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// When the next evaluation may change something.
    pub(crate) fn due(&self) -> Option<Instant> {
        let is_restless = self.pace != Pace::Normal || self.window.last_tally().bad > 0;
        self.evaluated_at.filter(|_| is_restless).map(|last| last + EVALUATION)
    }

    /// An operator ended it, and wants to hear no more of what led to it.
    pub(crate) fn reset(&mut self, rules: &RetreatRules) {
        *self = Self::new(rules);
    }

    /// Makes all at once the evaluations of an empty window that change nothing but the rate, as after a
    /// night without requests. False when the one that is due must be made by itself.
    fn skip(&mut self, evaluation: &Evaluation<'_>, now: Instant) -> bool {
        let Evaluation { base, rules, at: due } = *evaluation;
        let until = |end: Instant| end.saturating_duration_since(due).as_secs();
        let last = match (self.pace, self.calm_since) {
            (Pace::Normal, _) => {
                self.evaluated_at = None;
                return true;
            }
            (Pace::Retreat, None) => return false,
            (Pace::Retreat, Some(since)) => {
                let calm_until = since + rules.calm_for;
                if due >= calm_until {
                    return false;
                }
                until(now.min(calm_until - Duration::from_nanos(1)))
            }
            (Pace::Recover, _) => {
                let step = Rate::per_minute(rules.step_rpm.into());
                let below_goal = self.goal(base).steps_above(self.rate, step);
                let Some(last) = below_goal.min(until(now).saturating_add(1)).checked_sub(1) else {
                    return false;
                };
                self.rate = self.rate.plus(step.times(last + 1));
                last
            }
        };
        self.evaluated_at = Some(due + Duration::from_secs(last));
        true
    }

    fn step(&mut self, tally: Tally, evaluation: &Evaluation<'_>, tell: &mut impl FnMut(Pace)) {
        let Evaluation { base, rules, at: now } = *evaluation;
        let is_judged = tally.total >= rules.samples_min;
        let reaches = |percent| is_judged && tally.reaches(percent);
        let before = self.pace;
        match self.pace {
            Pace::Normal if reaches(rules.enter_percent) => {
                let sent = Rate::of(tally.total.into(), rules.window);
                let floor = Rate::per_minute(rules.floor_rpm.into());
                self.goal = if base.is_unlimited() { sent.max(floor) } else { base };
                self.rate = self.goal;
                self.back(rules);
            }
            Pace::Recover if reaches(rules.enter_percent) => self.back(rules),
            Pace::Retreat if reaches(rules.again_percent) => self.back(rules),
            Pace::Retreat if tally.total == 0 || !tally.reaches(rules.calm_percent) => {
                let since = *self.calm_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= rules.calm_for {
                    self.pace = Pace::Recover;
                }
            }
            Pace::Retreat => self.calm_since = None,
            Pace::Recover => {
                self.rate = self.rate.plus(Rate::per_minute(rules.step_rpm.into()));
                if self.rate >= self.goal(base) {
                    self.pace = Pace::Normal;
                }
            }
            Pace::Normal => {}
        }
        if self.pace != before {
            tell(self.pace);
        }
    }

    /// One step back. A base below the floor stays what it is.
    fn back(&mut self, rules: &RetreatRules) {
        let floor = Rate::per_minute(rules.floor_rpm.into()).min(self.rate);
        self.rate = self.rate.percent(rules.factor_percent).max(floor);
        self.pace = Pace::Retreat;
        self.calm_since = None;
    }

    fn goal(&self, base: Rate) -> Rate {
        if base.is_unlimited() { self.goal } else { base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    const BASE: Rate = Rate::UNLIMITED;

    struct World {
        retreat: Retreat,
        rules: RetreatRules,
        base: Rate,
        now: Instant,
        news: Vec<Pace>,
    }

    impl World {
        fn new(base: Rate) -> Self {
            let rules = RetreatRules { samples_min: 1, ..RetreatRules::default() };
            Self { retreat: Retreat::new(&rules), rules, base, now: epoch(), news: Vec::new() }
        }

        fn evaluate(&mut self) {
            let news = &mut self.news;
            self.retreat.evaluate(self.base, &self.rules, self.now, |new| news.push(new));
        }

        fn hear(&mut self, good: u32, bad: u32) {
            self.evaluate();
            (0..good).for_each(|_| self.retreat.answered(self.now));
            (0..bad).for_each(|_| self.retreat.limited(self.now));
        }

        fn seconds(&mut self, seconds: u64) {
            for _ in 0..seconds {
                self.now += EVALUATION;
                self.evaluate();
            }
        }

        fn rpm(&self) -> u64 {
            self.retreat.rate().min(self.base).a_minute()
        }
    }

    #[test]
    fn five_percent_begins_a_retreat_and_less_does_not() {
        for (good, bad, rpm) in [(96, 4, 40), (95, 5, 30), (94, 6, 30)] {
            let mut world = World::new(Rate::per_minute(40));
            world.hear(good, bad);
            world.seconds(1);
            assert_eq!(world.rpm(), rpm, "{good} {bad}");
            world.seconds(20);
            assert_eq!(world.rpm(), rpm, "under 10 % it goes no further");
        }
    }

    #[test]
    fn ten_percent_goes_on_to_the_floor() {
        let mut world = World::new(Rate::per_minute(40));
        world.hear(90, 10);
        let mut rates = Vec::new();
        for _ in 0..10 {
            world.seconds(1);
            rates.push(world.rpm());
        }
        assert_eq!(rates, [30, 23, 17, 13, 9, 7, 5, 5, 5, 5]);
        assert_eq!(world.news, [Pace::Retreat]);
    }

    #[test]
    fn two_calm_minutes_later_it_recovers_by_two_each_second() {
        let mut world = World::new(Rate::per_minute(40));
        world.hear(95, 5);
        world.seconds(59);
        assert_eq!(world.retreat.pace(), Pace::Retreat);
        world.seconds(120);
        assert_eq!(world.retreat.pace(), Pace::Retreat);
        world.seconds(1);
        assert_eq!((world.retreat.pace(), world.rpm()), (Pace::Recover, 30));
        world.seconds(4);
        assert_eq!((world.retreat.pace(), world.rpm()), (Pace::Recover, 38));
        world.hear(0, 1);
        world.seconds(1);
        assert_eq!(world.retreat.pace(), Pace::Retreat, "5 % again goes back");
        world.seconds(59 + 121 + 20);
        assert_eq!((world.retreat.pace(), world.rpm()), (Pace::Normal, 40));
    }

    #[test]
    fn a_backend_without_a_rate_retreats_from_what_was_sent() {
        let mut world = World::new(BASE);
        world.hear(190, 10);
        world.seconds(1);
        assert_eq!(world.retreat.rate().a_minute(), 150);
        world.seconds(400);
        assert_eq!((world.retreat.pace(), world.retreat.rate()), (Pace::Normal, Rate::UNLIMITED));
    }

    #[test]
    fn too_few_answers_are_not_judged() {
        let mut world = World::new(Rate::per_minute(40));
        world.rules.samples_min = 10;
        world.hear(0, 9);
        world.seconds(3);
        assert_eq!((world.rpm(), world.news.len()), (40, 0));
        world.hear(0, 1);
        world.seconds(1);
        assert_eq!(world.rpm(), 30);
    }

    proptest! {
        /// However late it is asked, it has made every evaluation that was due, each as if in time.
        #[test]
        fn evaluations_made_late_are_those_made_in_time(
            steps in proptest::collection::vec((0_u64..400, 0_u32..12, 0_u32..3), 1..40),
            rpm in 3_u64..200,
        ) {
            let mut prompt = World::new(Rate::per_minute(rpm));
            let mut late = World::new(Rate::per_minute(rpm));
            for (seconds, good, bad) in steps {
                prompt.seconds(seconds);
                late.now += EVALUATION * u32::try_from(seconds)?;
                prompt.hear(good, bad);
                late.hear(good, bad);
                prop_assert_eq!(prompt.rpm(), late.rpm());
                prop_assert_eq!(prompt.retreat.pace(), late.retreat.pace());
                prop_assert_eq!(&prompt.news, &late.news);
                let floor = rpm.min(5);
                prop_assert!((floor..=rpm).contains(&late.rpm()), "{}", late.rpm());
            }
        }
    }
}
