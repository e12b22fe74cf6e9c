//! Decides how a provider truly answers a call: by limits, pace and troubles that no contender sees.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use protocol::{Deadline, FailureKind, Quota, QuotaUnit, Reset};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::At;
use crate::scenario::{Cache, Limits, Provider, Says, TroubleKind, Window};
use crate::traffic::{Request, chance, mix, whole};

/// The minute that limits speak of.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How long a call may wait for its first event; part of every contender's settings.
pub const FIRST_EVENT_MAX: Duration = Duration::from_secs(30);

/// How long a provider takes to say no.
const REFUSAL: Duration = Duration::from_millis(80);

/// What a provider's headers say: of requests, and of tokens.
pub type Said = [Option<Quota>; 2];

/// What a call comes to.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    /// How long until the first event, or the failure.
    pub after: Duration,
    /// How long until it ends and its place is free.
    pub ends: Duration,
    /// What is wrong, if something is.
    pub failure: Option<FailureKind>,
    /// When the provider says to come back.
    pub retry_after: Option<Duration>,
    /// What it says of its limits.
    pub said: Said,
    /// Whether it holds a place at the provider until it ends.
    pub holds_place: bool,
    /// What it costs.
    pub price: f64,
    /// Whether the prompt was in the provider's cache.
    pub is_warm: bool,
}

/// What a question how it is comes to, which spends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It lists its models.
    Well,
    /// It answers that it does not know who asks.
    Denied,
    /// It does not answer, or that it cannot.
    Broken,
}

/// A provider in one run.
#[derive(Debug)]
pub struct Truth<'a> {
    spec: &'a Provider,
    /// Its place among the providers, for luck.
    number: u64,
    meter: Meter,
    in_flight: u32,
    /// When the unseen neighbour calls; the next one last.
    neighbour: Vec<At>,
    /// When it last took a call of each conversation.
    talked: HashMap<u64, At>,
}

impl<'a> Truth<'a> {
    /// The `number`-th provider of a scenario of this length.
    #[must_use]
    pub fn new(spec: &'a Provider, number: u64, length: At, seed: u64) -> Self {
        let mut neighbour = neighbour(spec, number, length, seed);
        neighbour.reverse();
        Self { spec, number, meter: Meter::new(spec), in_flight: 0, neighbour, talked: HashMap::new() }
    }

    /// Takes the `attempt`-th call of a request.
    pub fn call(&mut self, request: &Request, attempt: u32, now: At) -> Reply {
        let troubles: Vec<TroubleKind> = self.spec.troubles_at(now).collect();
        let luck = chance(request.seed, mix(self.number, u64::from(attempt)));
        if troubles.contains(&TroubleKind::Refuses) {
            return failed(FailureKind::Connect, Duration::from_millis(5));
        }
        if troubles.contains(&TroubleKind::Hangs) {
            return failed(FailureKind::Deadline(Deadline::FirstEvent), FIRST_EVENT_MAX);
        }
        if troubles.contains(&TroubleKind::Revoked) || troubles.contains(&TroubleKind::RevokedUnseen) {
            return failed(FailureKind::Unauthorized, REFUSAL);
        }
        let errors = troubles.iter().map(|trouble| match trouble {
            TroubleKind::Errors(share) => *share,
            TroubleKind::Hangs
            | TroubleKind::Refuses
            | TroubleKind::Slow(_)
            | TroubleKind::Revoked
            | TroubleKind::RevokedUnseen => 0.0,
        });
        if luck < errors.fold(0.0, f64::max) {
            return failed(FailureKind::Unavailable, REFUSAL);
        }
        let limits = self.spec.limits_at(now);
        while let Some(at) = self.neighbour.pop_if(|at| *at <= now) {
            self.meter.count(at, 0, limits);
        }
        let tokens = request.prompt + request.output;
        let free_in = self.meter.free_in(now, tokens, limits);
        let is_full = limits.concurrency.is_some_and(|most| self.in_flight >= most);
        if is_full || !free_in.is_zero() {
            let wait = Duration::from_secs(free_in.as_secs() + u64::from(free_in.subsec_nanos() > 0));
            let retry_after = Some(wait).filter(|wait| self.spec.says != Says::Nothing && !wait.is_zero());
            let said = self.said(now, limits);
            return Reply { retry_after, said, ..failed(FailureKind::RateLimited, REFUSAL) };
        }
        self.meter.count(now, tokens, limits);
        self.in_flight += 1;
        let slow = troubles.iter().map(|trouble| match trouble {
            TroubleKind::Slow(factor) => *factor,
            TroubleKind::Hangs
            | TroubleKind::Refuses
            | TroubleKind::Errors(_)
            | TroubleKind::Revoked
            | TroubleKind::RevokedUnseen => 1.0,
        });
        let slow = slow.fold(1.0, f64::max);
        let (after, ends) = self.spec.pace.call(request.slowness, request.output);
        let (after, ends) = (after.mul_f64(slow), ends.mul_f64(slow));
        let failure = (after > FIRST_EVENT_MAX).then_some(FailureKind::Deadline(Deadline::FirstEvent));
        let warm = failure.is_none().then(|| self.warm(request, now)).flatten();
        let (price, sooner) = warm.map_or((1.0, 1.0), |cache| (cache.price, cache.time));
        let (after, ends) = (after.mul_f64(sooner), ends - after.mul_f64(1.0 - sooner));
        let (after, ends) =
            if failure.is_some() { (FIRST_EVENT_MAX, FIRST_EVENT_MAX) } else { (after, ends) };
        let said = self.said(now, limits);
        let (price, is_warm) = (self.spec.price * price, warm.is_some());
        Reply { after, ends, failure, retry_after: None, said, holds_place: true, price, is_warm }
    }

    /// The cache, if it knows the conversation; from now on it does.
    fn warm(&mut self, request: &Request, now: At) -> Option<Cache> {
        let cache = self.spec.cache?;
        let before = self.talked.insert(request.conversation?, now)?;
        (now <= before + cache.keeps).then_some(cache)
    }

    /// Answers how it is.
    pub(crate) fn health(&self, now: At) -> Health {
        let mut seen = self.spec.troubles_at(now).map(|trouble| match trouble {
            TroubleKind::Hangs | TroubleKind::Refuses => Health::Broken,
            TroubleKind::Errors(share) if share >= 1.0 => Health::Broken,
            TroubleKind::Revoked => Health::Denied,
            TroubleKind::Errors(_) | TroubleKind::Slow(_) | TroubleKind::RevokedUnseen => Health::Well,
        });
        seen.find(|health| *health != Health::Well).unwrap_or(Health::Well)
    }

    /// A call that held a place ended.
    pub fn ended(&mut self) {
        self.in_flight -= 1;
    }

    fn said(&self, now: At, limits: Limits) -> Said {
        if self.spec.says != Says::Headers {
            return [None, None];
        }
        let requests = limits.rpm.map(|rpm| (QuotaUnit::Requests, u64::from(rpm)));
        let tokens = limits.tpm.map(|tpm| (QuotaUnit::Tokens, tpm));
        [requests, tokens].map(|limit| limit.map(|(unit, limit)| self.meter.quota(now, unit, limit)))
    }
}

fn failed(kind: FailureKind, after: Duration) -> Reply {
    let (retry_after, said) = (None, [None, None]);
    let failure = Some(kind);
    Reply { after, ends: after, failure, retry_after, said, holds_place: false, price: 0.0, is_warm: false }
}

/// When the unseen neighbour of a provider calls.
pub(crate) fn neighbour(spec: &Provider, number: u64, length: At, seed: u64) -> Vec<At> {
    let mut rng = SmallRng::seed_from_u64(mix(seed, 1_000 + number));
    let (mut all, mut at) = (Vec::new(), 0.0);
    while spec.neighbour_rpm > 0.0 && at < length.as_secs_f64() + 120.0 {
        at += -(1.0 - rng.random::<f64>()).ln() * 60.0 / spec.neighbour_rpm;
        all.push(Duration::from_secs_f64(at));
    }
    all
}

/// How a provider counts what it allowed.
#[derive(Debug)]
enum Meter {
    /// What was allowed in the last minute, oldest first.
    Sliding(VecDeque<(At, u64)>),
    /// What was allowed in the present minute; minutes are counted from `shift` before the start.
    Fixed { shift: Duration, minute: u64, requests: u32, tokens: u64 },
    /// What is left; below nothing when the neighbour took it.
    Bucket { burst: f64, requests: f64, tokens: f64, filled: At },
}

impl Meter {
    fn new(spec: &Provider) -> Self {
        match spec.window {
            Window::Sliding => Self::Sliding(VecDeque::new()),
            Window::Fixed { offset } => {
                Self::Fixed { shift: MINUTE.saturating_sub(offset), minute: 0, requests: 0, tokens: 0 }
            }
            Window::Bucket { burst } => {
                let tokens = spec.limits_at(Duration::ZERO).tpm.unwrap_or(0) as f64;
                let burst = f64::from(burst);
                Self::Bucket { burst, requests: burst, tokens, filled: Duration::ZERO }
            }
        }
    }

    /// How long until one more call of so many tokens is allowed; nothing when it is now.
    fn free_in(&mut self, now: At, tokens: u64, limits: Limits) -> Duration {
        self.slide(now, limits);
        match self {
            Self::Sliding(allowed) => {
                let mut requests = allowed.len();
                let mut used: u64 = allowed.iter().map(|(_, tokens)| tokens).sum();
                if fits(requests, used + tokens, limits) {
                    return Duration::ZERO;
                }
                for (at, freed) in allowed.iter() {
                    (requests, used) = (requests - 1, used - freed);
                    if fits(requests, used + tokens, limits) {
                        return (*at + MINUTE).saturating_sub(now);
                    }
                }
                MINUTE
            }
            Self::Fixed { shift, minute, requests, tokens: used } => {
                let requests = usize::try_from(*requests).expect("a minute's requests are few");
                if fits(requests, *used + tokens, limits) {
                    return Duration::ZERO;
                }
                ends(*minute, *shift).saturating_sub(now)
            }
            Self::Bucket { requests, tokens: level, .. } => {
                let missing = |wanted: f64, level: f64, per_minute: f64| {
                    let seconds = (wanted - level).max(0.0) * 60.0 / per_minute.max(1e-9);
                    if seconds <= 1e-9 {
                        Duration::ZERO
                    } else {
                        Duration::from_secs_f64(seconds.min(3600.0))
                    }
                };
                let by_requests = limits.rpm.map(|rpm| missing(1.0, *requests, f64::from(rpm)));
                let by_tokens = limits.tpm.map(|tpm| missing(tokens as f64, *level, tpm as f64));
                by_requests.max(by_tokens).unwrap_or_default()
            }
        }
    }

    /// Counts one that was allowed, or that a neighbour took without asking.
    fn count(&mut self, now: At, tokens: u64, limits: Limits) {
        self.slide(now, limits);
        match self {
            Self::Sliding(allowed) => allowed.push_back((now, tokens)),
            Self::Fixed { requests, tokens: used, .. } => {
                *requests += 1;
                *used += tokens;
            }
            Self::Bucket { requests, tokens: level, .. } => {
                *requests -= 1.0;
                *level -= tokens as f64;
            }
        }
    }

    /// What headers say of a limit.
    fn quota(&self, now: At, unit: QuotaUnit, limit: u64) -> Quota {
        let (remaining, reset) = match self {
            Self::Sliding(allowed) => {
                let used = match unit {
                    QuotaUnit::Requests => u64::try_from(allowed.len()).unwrap_or(u64::MAX),
                    QuotaUnit::Tokens => allowed.iter().map(|(_, tokens)| tokens).sum(),
                };
                let newest = allowed.back().map(|(at, _)| (*at + MINUTE).saturating_sub(now));
                (limit.saturating_sub(used), Reset::Refilled(newest.unwrap_or_default()))
            }
            Self::Fixed { shift, minute, requests, tokens } => {
                let used = match unit {
                    QuotaUnit::Requests => u64::from(*requests),
                    QuotaUnit::Tokens => *tokens,
                };
                (limit.saturating_sub(used), Reset::Renewed(ends(*minute, *shift).saturating_sub(now)))
            }
            Self::Bucket { burst, requests, tokens, .. } => {
                let (full, level) = match unit {
                    QuotaUnit::Requests => (*burst, *requests),
                    QuotaUnit::Tokens => (limit as f64, *tokens),
                };
                let seconds = (full - level).max(0.0) * 60.0 / (limit.max(1)) as f64;
                (whole(level.max(0.0)), Reset::Refilled(Duration::from_secs_f64(seconds)))
            }
        };
        Quota { unit, limit: Some(limit), remaining: Some(remaining), period: None, reset: Some(reset) }
    }

    fn slide(&mut self, now: At, limits: Limits) {
        match self {
            Self::Sliding(allowed) => {
                while allowed.front().is_some_and(|(at, _)| *at + MINUTE <= now) {
                    allowed.pop_front();
                }
            }
            Self::Fixed { shift, minute, requests, tokens } => {
                let present = (now + *shift).as_secs() / 60;
                if present != *minute {
                    (*minute, *requests, *tokens) = (present, 0, 0);
                }
            }
            Self::Bucket { burst, requests, tokens, filled } => {
                let minutes = now.saturating_sub(*filled).as_secs_f64() / 60.0;
                *requests = (*requests + minutes * f64::from(limits.rpm.unwrap_or(0))).min(*burst);
                let tpm = limits.tpm.unwrap_or(0) as f64;
                *tokens = (*tokens + minutes * tpm).min(tpm);
                *filled = now.max(*filled);
            }
        }
    }
}

/// When a counted minute ends.
fn ends(minute: u64, shift: Duration) -> At {
    Duration::from_secs((minute + 1) * 60).saturating_sub(shift)
}

fn fits(requests: usize, tokens: u64, limits: Limits) -> bool {
    limits.rpm.is_none_or(|rpm| requests < usize::try_from(rpm).unwrap_or(usize::MAX))
        && limits.tpm.is_none_or(|tpm| tokens <= tpm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Trouble, suite};
    use crate::traffic::requests;

    #[test]
    fn a_conversation_is_warm_for_as_long_as_the_cache_keeps_it() {
        let suite = suite();
        let scenario = suite.iter().find(|scenario| scenario.name == "cold-caches").expect("it is played");
        let mut request = requests(scenario, 1).swap_remove(0);
        let mut truth = Truth::new(&scenario.providers[0], 0, scenario.length, 1);
        let mut check = |conversation, second, is_warm| {
            request.conversation = conversation;
            let reply = truth.call(&request, 1, Duration::from_secs(second));
            assert_eq!((reply.failure, reply.is_warm), (None, is_warm), "{conversation:?} at {second} s");
            (reply.price, reply.after)
        };
        let cold = check(Some(1), 0, false);
        check(Some(2), 1, false);
        let warm = check(Some(1), 300, true);
        assert!(warm.0 < cold.0 && warm.1 < cold.1, "{warm:?} {cold:?}");
        check(Some(1), 600, true);
        check(Some(1), 901, false);
        check(None, 902, false);
        check(None, 903, false);
    }

    #[test]
    fn who_asks_how_it_is_sees_what_a_probe_would() {
        for (kind, seen) in [
            (TroubleKind::Refuses, Health::Broken),
            (TroubleKind::Hangs, Health::Broken),
            (TroubleKind::Errors(1.0), Health::Broken),
            (TroubleKind::Errors(0.3), Health::Well),
            (TroubleKind::Slow(6.0), Health::Well),
            (TroubleKind::Revoked, Health::Denied),
            (TroubleKind::RevokedUnseen, Health::Well),
        ] {
            let mut provider = suite().swap_remove(0).providers.swap_remove(0);
            let (from, until) = (Duration::from_secs(10), Duration::from_secs(20));
            provider.troubles = vec![Trouble { from, until, kind }];
            let truth = Truth::new(&provider, 0, until, 1);
            let health = [5, 10, 19, 20].map(|second| truth.health(Duration::from_secs(second)));
            assert_eq!(health, [Health::Well, seen, seen, Health::Well], "{kind:?}");
        }
    }
}
