//! Decides how late a first event is late, for each model, and how often that may be answered with a second
//! attempt; never where that attempt goes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// When a second attempt races a slow first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HedgeRules {
    /// Whether one ever does.
    pub enabled: bool,
    /// The share of a model's streams that begin sooner than one that is late, in percent.
    pub quantile_percent: u8,
    /// Second attempts at most, as a share of a model's requests, in percent.
    pub spend_max_percent: u8,
}

impl Default for HedgeRules {
    fn default() -> Self {
        Self { enabled: false, quantile_percent: 95, spend_max_percent: 3 }
    }
}

/// Models that are measured; the one not asked for for the longest time makes room.
const MODELS_MAX: usize = 256;
/// First events of a model below which none is called late.
const SAMPLES_MIN: u32 = 20;
/// When so many first events are counted, each counts half from then on.
const SAMPLES_MAX: u32 = 1024;
/// What one second attempt costs, where each request pays in its percentage.
const PRICE: u32 = 100;
/// What quiet times save up: ten second attempts.
const CREDIT_MAX: u32 = 10 * PRICE;

/// How soon the streams of each model begin, and what of its budget for second attempts is left.
#[derive(Debug, Default)]
pub(crate) struct Hedges {
    of: HashMap<u64, Model>,
}

#[derive(Debug)]
struct Model {
    firsts: Histogram,
    /// Never more than its requests have paid in: the share holds over any time, from the first request on.
    credit: u32,
    at: Instant,
}

impl Hedges {
    /// A request for the model was sent for the first time.
    pub(crate) fn requested(&mut self, model: u64, rules: &HedgeRules, now: Instant) {
        let model = self.model(model, now);
        model.credit = (model.credit + u32::from(rules.spend_max_percent)).min(CREDIT_MAX);
    }

    /// A stream of the model began after so long, or had not begun by then.
    pub(crate) fn note(&mut self, model: u64, took: Duration, now: Instant) {
        self.model(model, now).firsts.add(took);
    }

    /// After how long without a first event a second attempt may be made; none when too little was seen of
    /// the model, or when its budget is spent.
    pub(crate) fn patience(&self, model: u64, rules: &HedgeRules) -> Option<Duration> {
        let model = self.of.get(&model).filter(|model| model.credit >= PRICE)?;
        (model.firsts.total >= SAMPLES_MIN).then(|| model.firsts.quantile(rules.quantile_percent))
    }

    /// Takes one second attempt from a model's budget, if there is one left.
    pub(crate) fn take(&mut self, model: u64) -> bool {
        let Some(model) = self.of.get_mut(&model) else { return false };
        let left = model.credit.checked_sub(PRICE);
        model.credit = left.unwrap_or(model.credit);
        left.is_some()
    }

    fn model(&mut self, model: u64, now: Instant) -> &mut Model {
        if self.of.len() >= MODELS_MAX && !self.of.contains_key(&model) {
            let oldest = self.of.iter().min_by_key(|(_, kept)| kept.at).map(|(oldest, _)| *oldest);
            oldest.and_then(|oldest| self.of.remove(&oldest));
        }
        let fresh = || Model { firsts: Histogram::default(), credit: 0, at: now };
        let model = self.of.entry(model).or_insert_with(fresh);
        model.at = now;
        model
    }
}

/// Four steps to each doubling, from a quarter of a millisecond to eighteen minutes: no more than a quarter off.
const STEPS: usize = 80;

/// Times counted by their logarithm, the old ones fading.
#[derive(Debug)]
struct Histogram {
    counts: [u16; STEPS],
    total: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; STEPS], total: 0 }
    }
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        if self.total >= SAMPLES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
        if let Some(count) = self.counts.get_mut(step(time)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// The end of the step that this share of the times reaches.
    fn quantile(&self, percent: u8) -> Duration {
        let rank = (self.total * u32::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += u32::from(*count);
            seen >= rank
        });
        end_of(reached.unwrap_or(STEPS - 1))
    }
}

/// Which step a time falls into: the doubling, and the two bits below its highest.
fn step(time: Duration) -> usize {
    let quarters = u64::try_from(time.as_micros() >> 8).unwrap_or(u64::MAX).saturating_add(4);
    let doubling = quarters.ilog2() - 2;
    let within = (quarters >> doubling) & 3;
    let step = u64::from(doubling) * 4 + within;
    usize::try_from(step).unwrap_or(usize::MAX).min(STEPS - 1)
}

/// The shortest time of the next step.
fn end_of(step: usize) -> Duration {
    let (doubling, within) = (step / 4, step % 4);
    let quarters = ((4 + within as u64 + 1) << doubling) - 4;
    Duration::from_micros(quarters << 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    const RULES: HedgeRules = HedgeRules { enabled: true, quantile_percent: 95, spend_max_percent: 3 };

    fn requested(hedges: &mut Hedges, model: u64, times: u32) {
        (0..times).for_each(|_| hedges.requested(model, &RULES, epoch()));
    }

    #[test]
    fn every_time_has_a_step_that_ends_after_it_and_soon() {
        let mut time = Duration::from_micros(1);
        let mut before = 0;
        while time < Duration::from_secs(1000) {
            let step = step(time);
            assert!(step >= before, "{time:?}");
            assert!(end_of(step) > time, "{time:?} is in step {step}, which ends at {:?}", end_of(step));
            let slack = time / 4 + Duration::from_micros(300);
            assert!(end_of(step) <= time + slack, "{time:?} ends at {:?}", end_of(step));
            (before, time) = (step, time * 21 / 20 + Duration::from_micros(1));
        }
        assert_eq!(step(Duration::MAX), STEPS - 1);
    }

    #[test]
    fn late_is_what_few_streams_are() {
        let mut hedges = Hedges::default();
        requested(&mut hedges, 1, 40);
        for count in 1..=100_u64 {
            assert_eq!(hedges.patience(1, &RULES).is_some(), count > u64::from(SAMPLES_MIN), "{count}");
            hedges.note(1, Duration::from_millis(count * 10), epoch());
        }
        let late = hedges.patience(1, &RULES).expect("enough was seen").as_secs_f64();
        assert!((0.95..1.19).contains(&late), "{late}");
        assert_eq!(hedges.patience(2, &RULES), None, "nothing was seen of that one");
        for _ in 0..20_000 {
            hedges.note(1, Duration::from_secs(8), epoch());
        }
        let late = hedges.patience(1, &RULES).expect("enough was seen").as_secs_f64();
        assert!((8.0..10.0).contains(&late), "the past has faded: {late}");
        assert!(hedges.of[&1].firsts.total <= SAMPLES_MAX);
    }

    #[test]
    fn second_attempts_are_never_more_than_their_share() {
        for (requests, allowed) in [(0, 0), (33, 0), (34, 1), (67, 2), (334, 10), (100_000, 10)] {
            let mut hedges = Hedges::default();
            requested(&mut hedges, 1, requests);
            assert_eq!((0..1000).filter(|_| hedges.take(1)).count(), allowed, "{requests} requests");
        }
        let mut hedges = Hedges::default();
        let taken = (0..10_000).filter(|_| {
            hedges.requested(1, &RULES, epoch());
            hedges.take(1)
        });
        assert_eq!(taken.count(), 300);
        assert!(!hedges.take(2), "one model does not pay for another");
    }

    #[test]
    fn the_models_kept_are_the_latest() {
        let mut hedges = Hedges::default();
        for model in 0..1000_u32 {
            hedges.note(model.into(), Duration::from_secs(1), epoch() + Duration::from_secs(model.into()));
        }
        assert_eq!(hedges.of.len(), MODELS_MAX);
        assert!(hedges.of.keys().all(|model| *model >= 1000 - MODELS_MAX as u64));
    }
}
