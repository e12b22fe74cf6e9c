//! Decides how soon one who comes could start behind those who go before it, as far as rates and rests tell; never
//! who goes first.

use std::time::{Duration, Instant};

use super::super::asks::{KeySlot, Want};
use super::super::routing::{Choice, Demand, Later, Moment, Search, Waiting, choose};
use super::{RETRY_AFTER_GUESS, State};

/// How far ahead a start is foreseen; what takes longer is not known anyway.
const HORIZON: Duration = Duration::from_hours(1);
/// What starts in this time tells how soon the others will: ten minutes as limits by the minute are counted, so that it
/// does not matter in which part of one it begins.
const SPAN: Duration = Duration::from_secs(601);

/// An attempt that wants a place, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::live) struct Comer<'a> {
    pub(in crate::live) demand: &'a Demand,
    pub(in crate::live) waiting: &'a Waiting,
    pub(in crate::live) caller: KeySlot,
}

impl State {
    /// When one who comes could start, where its backends alone would let it at that time: later than its deadline if
    /// so many go before it that its turn cannot come in time, otherwise as before.
    ///
    /// It is counted what its backends can start by then at their best, as if each call ended at once, and who goes
    /// before it and can go nowhere else. So nobody is sent away who would have had a turn, unless some of those who
    /// wait leave, or a rate is found to be higher. It costs one look at each backend at most, however many wait.
    pub(in crate::live) fn behind_others(&self, comer: Comer<'_>, later: Later, now: Instant) -> Later {
        let deadline = comer.waiting.deadline;
        let is_in_time = later.possible_at < deadline;
        // One who is lifted meanwhile may go before those who are before it now.
        let is_lifted = comer.waiting.class.lifted().is_some() && now + self.settings.ageing < deadline;
        if self.routing.is_empty() || (is_in_time && is_lifted) {
            return later;
        }
        let from = later.possible_at.max(deadline);
        let search = self.search(comer, now);
        let startable = search.starts_by(from, self.waiting_at_most());
        if startable > self.waiting_at_most() {
            return later;
        }
        match self.ahead(comer, &search) {
            ahead if startable > ahead => later,
            ahead => Later { possible_at: start_behind(&search, ahead, (from, startable)), ..later },
        }
    }

    /// When one who came now could start behind all who wait, where its backends alone would let it at that time.
    pub(in crate::live) fn start_of(&self, comer: Comer<'_>, later: Later, now: Instant) -> Instant {
        let search = self.search(comer, now);
        let startable = search.starts_by(later.possible_at, self.waiting_at_most());
        match self.ahead(comer, &search) {
            ahead if startable > ahead => later.possible_at,
            ahead => start_behind(&search, ahead, (later.possible_at, startable)),
        }
    }

    /// How long until an attempt like this one could start, were it to come again.
    pub(in crate::live) fn soonest(&self, want: &Want, now: Instant) -> Duration {
        let (demand, waiting) = (Demand::of(want), Waiting::of(want, now + HORIZON));
        let comer = Comer { demand: &demand, waiting: &waiting, caller: want.caller };
        let start = match choose(&self.backends, &demand, self.search(comer, now).moment) {
            Choice::Start(_) | Choice::Never(_) => now,
            Choice::Later(later) => self.start_of(comer, later, now),
        };
        start.saturating_duration_since(now).max(RETRY_AFTER_GUESS)
    }

    fn search<'a>(&'a self, comer: Comer<'a>, now: Instant) -> Search<'a> {
        let moment = Moment::new(&self.settings, self.lots, comer.waiting, now);
        Search { backends: &self.backends, demand: comer.demand, moment }
    }

    fn ahead(&self, comer: Comer<'_>, search: &Search<'_>) -> u64 {
        let grounds = search.grounds();
        let counts = |demand: &Demand| demand.stays_within(&grounds);
        self.routing.ahead(comer.waiting.class, comer.caller, counts)
    }

    fn waiting_at_most(&self) -> u64 {
        u64::try_from(self.routing.len()).unwrap_or(u64::MAX)
    }
}

/// About when the backends will have started more than `ahead`, where by a time they can have started so many.
fn start_behind(search: &Search<'_>, ahead: u64, (from, startable): (Instant, u64)) -> Instant {
    let in_the_span = search.starts_by(from + SPAN, u64::MAX).saturating_sub(startable).max(1);
    let missing = ahead.saturating_add(1).saturating_sub(startable);
    let nanos = SPAN.as_nanos().saturating_mul(missing.into()) / u128::from(in_the_span);
    let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    from + wait.min(HORIZON)
}
