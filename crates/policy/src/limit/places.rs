//! Decides how many calls at once a provider takes that says of it only 429; never which calls those are.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

/// What was taken longer ago than twice this says nothing about now.
const HALF: Duration = Duration::from_secs(30);
/// So many calls must have been taken beside as many: the end of one may cross the way of the next.
const WITNESSES: usize = 3;
/// And so many are remembered, of which each rest for another reason takes one: then what was taken before counts
/// less and less.
const REMEMBERED: usize = 4;
/// For how long no more is tried after a refusal, at first and at most: twice as long each time that as much is
/// refused again.
const HOLD_MIN: Duration = Duration::from_secs(30);
const HOLD_MAX: Duration = Duration::from_mins(4);
/// Then one more at a time, and twice as many more each time that all were in use and none was refused.
const LOOK: Duration = Duration::from_secs(10);

/// One backend's places, as far as its refusals show them.
///
/// A limit by the minute refuses a call whatever runs beside it. So a refusal counts for want of a place only where
/// more ran beside it than beside any call that was taken lately; and it is a place that is waited for then, no time:
/// it comes back with the first call that ends.
#[derive(Debug)]
pub(crate) struct Places {
    /// None as long as no refusal was for want of one.
    most: Option<u32>,
    taken: Record,
    /// How many calls that were taken have ended, ever; it may begin again at 0, for only differences matter.
    ended: u32,
    /// Whether all places were in use since that was last looked at.
    is_full: bool,
    /// Whether more was tried since the last refusal.
    has_grown: bool,
    hold: Duration,
    step: u32,
    grows_at: Option<Instant>,
}

/// What a call leaves behind, to tell later what ran beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    running: u32,
    ended: u32,
}

/// The largest numbers of a time that is not long ago, the largest first.
#[derive(Debug, Default)]
struct Record {
    /// When the newer half began.
    began: Option<Instant>,
    newer: Largest,
    older: Largest,
}

type Largest = SmallVec<[u32; REMEMBERED]>;

impl Places {
    /// Nothing refused yet.
    pub(crate) fn new() -> Self {
        Self {
            most: None,
            taken: Record::default(),
            ended: 0,
            is_full: false,
            has_grown: false,
            hold: HOLD_MIN,
            step: 1,
            grows_at: None,
        }
    }

    /// How many calls may run.
    pub(crate) fn most(&self) -> Option<u32> {
        self.most
    }

    /// A call goes there, where so many run.
    pub(crate) fn called(&mut self, running: u32) -> Beside {
        self.is_full |= self.most.is_some_and(|most| running.saturating_add(1) >= most);
        Beside { running, ended: self.ended }
    }

    /// It was taken, and so many others run now: those that ran beside it and still do were taken, too.
    pub(crate) fn taken(&mut self, beside: Beside, running: u32, now: Instant) {
        self.taken.note(beside.running.min(running), now);
    }

    /// One that had been taken ended.
    pub(crate) fn ended(&mut self) {
        self.ended = self.ended.wrapping_add(1);
    }

    /// It was refused without another word, and so many others run now. Whether that was for want of a place.
    pub(crate) fn refused(&mut self, beside: Beside, running: u32, now: Instant) -> bool {
        // Of those beside it some may have been refused meanwhile; others were taken and have ended.
        let present = running.saturating_add(self.ended.wrapping_sub(beside.ended));
        let held = present.min(beside.running);
        // The next one may have overtaken it on its way, and have had the last place.
        let possible = present.min(beside.running.saturating_add(1));
        let witnessed = self.taken.reached(now);
        if held == 0 || witnessed.is_some_and(|taken| taken >= possible) {
            return false;
        }
        let held = witnessed.map_or(held, |taken| held.max(taken.saturating_add(1)));
        // The refusals of one moment are one: the least of what they say.
        let is_news = self.has_grown || self.most.is_none_or(|most| held < most);
        if is_news {
            let is_same = self.has_grown && self.most.is_some_and(|most| most.abs_diff(held) <= self.step);
            self.hold = if is_same { (self.hold * 2).min(HOLD_MAX) } else { HOLD_MIN };
            self.most = Some(held);
        }
        (self.has_grown, self.is_full, self.step) = (false, false, 1);
        self.grows_at = Some(now + self.hold);
        true
    }

    /// It rests now, since it refused for another reason, as far as is known.
    pub(crate) fn rested(&mut self) {
        self.taken.forget_one();
    }

    /// Tries more when it is time, if all places were in use.
    pub(crate) fn evaluate(&mut self, now: Instant) {
        if self.grows_at.is_none_or(|at| now < at) {
            return;
        }
        self.grows_at = Some(now + LOOK);
        if std::mem::take(&mut self.is_full) {
            self.most = self.most.map(|most| most.saturating_add(self.step));
            self.step = self.step.saturating_mul(2);
            self.has_grown = true;
        } else {
            self.step = 1;
        }
    }

    /// When passing time may change how many they are.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.grows_at
    }
}

impl Record {
    fn note(&mut self, number: u32, now: Instant) {
        let age = self.began.map(|began| now.saturating_duration_since(began));
        if age.is_none_or(|age| age >= HALF) {
            let newer = std::mem::take(&mut self.newer);
            self.older = if age.is_some_and(|age| age < HALF * 2) { newer } else { Largest::new() };
            self.began = Some(now);
        }
        let place = self.newer.partition_point(|larger| *larger >= number);
        if place < REMEMBERED {
            self.newer.truncate(REMEMBERED - 1);
            self.newer.insert(place, number);
        }
    }

    /// What so many numbers as are needed reach.
    fn reached(&self, now: Instant) -> Option<u32> {
        let age = now.saturating_duration_since(self.began?);
        let newer = self.newer.iter().filter(|_| age < HALF * 2);
        let mut all: SmallVec<[u32; 2 * REMEMBERED]> =
            newer.chain(self.older.iter().filter(|_| age < HALF)).copied().collect();
        all.sort_unstable();
        all.iter().rev().nth(WITNESSES - 1).copied()
    }

    fn forget_one(&mut self) {
        let largest = if self.newer.first() < self.older.first() { &mut self.older } else { &mut self.newer };
        if !largest.is_empty() {
            largest.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::limit::rate::{Bucket, Rate};
    use crate::testing::epoch;

    const STEP: Duration = Duration::from_millis(100);
    const SEED: u64 = 11;

    /// What a provider allows.
    enum Hidden {
        Places(usize),
        Rate(Bucket),
    }

    struct Call {
        beside: Beside,
        is_taken: bool,
        is_heard: bool,
        heard_at: Instant,
        ends_at: Instant,
    }

    /// What a search came to in ten minutes, of which the last five count.
    struct Played {
        taken: u32,
        refused: u32,
        /// Refusals that were taken to be for want of a place.
        blamed: u32,
        most: Option<u32>,
    }

    /// A provider is asked every tenth of a second by one who keeps to the places found. A refusal is heard after that
    /// time, an answer begins after eight times that, and lasts two to three seconds.
    fn played(mut hidden: Hidden, places: &mut Places, from: Instant) -> Played {
        let mut rng = SmallRng::seed_from_u64(SEED);
        let mut calls: Vec<Call> = Vec::new();
        let mut played = Played { taken: 0, refused: 0, blamed: 0, most: None };
        let half = from + Duration::from_mins(5);
        let mut now = from;
        while now < from + Duration::from_mins(10) {
            while let Some(place) = calls.iter().position(|call| !call.is_heard && call.heard_at <= now) {
                let running = u32::try_from(calls.len() - 1).expect("few");
                if calls[place].is_taken {
                    calls[place].is_heard = true;
                    places.taken(calls[place].beside, running, now);
                } else {
                    let call = calls.swap_remove(place);
                    let blamed = places.refused(call.beside, running, now);
                    played.refused += u32::from(now >= half);
                    played.blamed += u32::from(blamed);
                }
            }
            while let Some(place) = calls.iter().position(|call| call.is_taken && call.ends_at <= now) {
                calls.swap_remove(place);
                places.ended();
            }
            places.evaluate(now);
            if places.most().is_none_or(|most| calls.len() < usize::try_from(most).expect("few")) {
                let beside = places.called(u32::try_from(calls.len()).expect("few"));
                let is_taken = match &mut hidden {
                    Hidden::Places(most) => calls.iter().filter(|call| call.is_taken).count() < *most,
                    Hidden::Rate(bucket) => bucket.take(1, now),
                };
                let heard_at = now + if is_taken { 8 * STEP } else { STEP };
                let ends_at = now + STEP * rng.random_range(20..=30);
                calls.push(Call { beside, is_taken, is_heard: false, heard_at, ends_at });
                played.taken += u32::from(is_taken && now >= half);
            }
            now += STEP;
        }
        played.most = places.most();
        played
    }

    #[test]
    fn hidden_places_are_found_and_used() {
        for count in [1, 2, 4, 9, 20] {
            let played = played(Hidden::Places(count), &mut Places::new(), epoch());
            let possible = 300 * 10 * u32::try_from(count).expect("few") / 25;
            let Played { taken, refused, .. } = played;
            assert!(taken * 100 >= possible.min(3000) * 94, "{count}, seed {SEED}: {taken} of {possible}");
            assert!(refused <= 12, "{count}, seed {SEED}: {refused} refused");
        }
    }

    #[test]
    fn fewer_and_more_places_are_found_when_they_change() {
        let mut places = Places::new();
        let mut from = epoch();
        for count in [8, 3, 12] {
            let Played { taken, most, .. } = played(Hidden::Places(count), &mut places, from);
            from += Duration::from_mins(10);
            let possible = 300 * 10 * u32::try_from(count).expect("few") / 25;
            assert!(taken * 100 >= possible * 85, "{count}, seed {SEED}: {taken} of {possible}, {most:?}");
        }
    }

    #[test]
    fn a_limit_by_the_minute_is_no_want_of_places() {
        for (rpm, burst) in [(40, 40), (40, 4), (200, 20), (6, 1)] {
            let bucket = Bucket::full(Rate::per_minute(rpm), burst, epoch());
            let Played { taken, blamed, most, .. } =
                played(Hidden::Rate(bucket), &mut Places::new(), epoch());
            let possible = u32::try_from(rpm * 5).expect("few");
            assert!(
                taken * 100 >= possible * 94,
                "{rpm} {burst}, seed {SEED}: {taken} of {possible}, {most:?}"
            );
            assert!(blamed <= 60, "{rpm} {burst}, seed {SEED}: {blamed} blamed");
        }
    }

    #[test]
    fn who_refuses_beside_as_many_as_it_took_lately_wants_no_place() {
        let mut places = Places::new();
        let three = places.called(3);
        (0..WITNESSES).for_each(|_| places.taken(three, 3, epoch()));
        assert!(!places.refused(three, 3, epoch()), "as many were taken just now");
        assert!(!places.refused(Beside::default(), 0, epoch()), "nothing ran beside it");
        assert_eq!((places.most(), places.due()), (None, None));
        let later = epoch() + 2 * HALF;
        assert!(places.refused(three, 3, later), "that was long ago");
        assert_eq!(places.most(), Some(3));
    }

    #[test]
    fn one_that_was_overtaken_had_one_more_beside_it() {
        let mut places = Places::new();
        let two = places.called(2);
        (0..WITNESSES).for_each(|_| places.taken(two, 2, epoch()));
        assert!(places.refused(two, 3, epoch()), "the third beside it came later, and was there first");
        assert_eq!(places.most(), Some(3), "no fewer than were taken");
        assert!(!places.refused(two, 2, epoch()), "nobody came later");
        assert!(
            !places.refused(Beside { running: 1, ..two }, 5, epoch()),
            "that more than one overtook it is not believed"
        );
    }

    #[test]
    fn what_ended_meanwhile_had_its_place() {
        let mut places = Places::new();
        let five = places.called(5);
        places.ended();
        assert!(places.refused(five, 3, epoch()), "one of the five was refused, one ended");
        assert_eq!(places.most(), Some(4));
    }
}
