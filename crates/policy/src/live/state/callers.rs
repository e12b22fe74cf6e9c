//! Decides what keys and teams have left of their own ceilings; never who waits for it.

use std::time::Instant;

use super::super::asks::{KeyRate, KeySlot, KeyTokens};
use super::{Counts, State, at};
use crate::identity::{Identity, KeyLimits};
use crate::limit::{Bucket, Rate};

impl State {
    /// Puts the ceilings of a snapshot's keys and teams in force. What a key has in flight is its team's, too: where it
    /// came to another one, it takes that along.
    pub(super) fn adopt_callers(&mut self, identity: &Identity, now: Instant) {
        for team in identity.teams() {
            let place = at(self.team_names.index(&team.name));
            self.teams.resize_with(self.team_names.len(), Counts::default);
            if let Some(counts) = self.teams.get_mut(place) {
                counts.in_flight.cap(team.limits.concurrency);
                counts.limit(team.limits, now);
            }
        }
        for key in identity.keys() {
            let team = key.team.as_ref().map(|name| self.team_names.index(name));
            self.teams.resize_with(self.team_names.len(), Counts::default);
            let Some(state) = self.keys.get_mut(at(key.slot.0)) else { continue };
            state.weight = key.weight;
            state.counts.limit(key.limits, now);
            let (former, moved) = (std::mem::replace(&mut state.team, team), state.counts.in_flight.count());
            if former != team {
                if let Some(counts) = former.and_then(|team| self.teams.get_mut(at(team))) {
                    (0..moved).for_each(|_| _ = counts.in_flight.ended());
                }
                if let Some(counts) = team.and_then(|team| self.teams.get_mut(at(team))) {
                    (0..moved).for_each(|_| counts.in_flight.started());
                }
            }
        }
    }

    /// Where a key is counted: by itself, and with its team.
    pub(super) fn counts(&self, key: KeySlot) -> impl Iterator<Item = &Counts> {
        let state = self.keys.get(at(key.0));
        let team = state.and_then(|state| state.team).and_then(|team| self.teams.get(at(team)));
        state.map(|state| &state.counts).into_iter().chain(team)
    }

    pub(super) fn counts_mut(&mut self, key: KeySlot) -> impl Iterator<Item = &mut Counts> {
        let state = self.keys.get_mut(at(key.0));
        let team = state.as_ref().and_then(|state| state.team);
        let team = team.and_then(|team| self.teams.get_mut(at(team)));
        state.map(|state| &mut state.counts).into_iter().chain(team)
    }

    /// Which team a key belongs to.
    pub(super) fn team_of(&self, key: KeySlot) -> Option<u32> {
        self.keys.get(at(key.0))?.team
    }

    /// Where a key or its team has less left, which is what it is told.
    pub(in crate::live) fn key_rate(&self, key: KeySlot, now: Instant) -> Option<KeyRate> {
        let small = |amount| u32::try_from(amount).unwrap_or(u32::MAX);
        let rates = self.counts(key).filter_map(|counts| counts.rate.as_ref());
        let told = rates.map(|rate| KeyRate {
            limit: small(rate.capacity()),
            remaining: small(rate.level(now)),
            reset: rate.full_in(now),
        });
        told.min_by_key(|rate| (rate.remaining, rate.limit))
    }

    pub(in crate::live) fn key_tokens(&self, key: KeySlot, now: Instant) -> Option<KeyTokens> {
        let buckets = self.counts(key).filter_map(|counts| counts.tokens.as_ref());
        let told = buckets.map(|tokens| KeyTokens {
            limit: tokens.capacity(),
            remaining: tokens.level(now),
            reset: tokens.full_in(now),
        });
        told.min_by_key(|tokens| (tokens.remaining, tokens.limit))
    }

    pub(in crate::live) fn correct_tokens(&mut self, key: KeySlot, reserved: u64, spent: u64, now: Instant) {
        for tokens in self.counts_mut(key).filter_map(|counts| counts.tokens.as_mut()) {
            tokens.correct(reserved, spent, now);
        }
    }
}

impl Counts {
    fn limit(&mut self, limits: KeyLimits, now: Instant) {
        limit(&mut self.rate, limits.rpm.map(u64::from), now);
        limit(&mut self.tokens, limits.tpm, now);
    }
}

/// Puts a limit on what may be used in a minute, or takes it off.
fn limit(bucket: &mut Option<Box<Bucket>>, per_minute: Option<u64>, now: Instant) {
    match (bucket, per_minute) {
        (bucket, None) => *bucket = None,
        (Some(bucket), Some(amount)) => bucket.change(Rate::per_minute(amount), amount, now),
        (bucket @ None, Some(amount)) => {
            *bucket = Some(Box::new(Bucket::full(Rate::per_minute(amount), amount, now)));
        }
    }
}
