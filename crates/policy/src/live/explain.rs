//! Decides how a choice of backend is explained: what would be done now, and for each candidate why or why not;
//! never changes anything, and draws no lot that counts.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::asks::Want;
use super::routing::{Bar, Bounds, Choice, Demand, Moment, Pick, Repeats, Search, Waiting, choose};
use super::state::{BackendState, Comer, Size, State, at};
use crate::catalog::{Candidate, Tier};
use crate::schedule::{Permit, mix};
use crate::timestamp::millis;

/// What would become of a request that came now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What would be done.
    pub decision: Decision,
    /// The backend it would start on.
    pub backend: Option<Arc<str>>,
    /// When it could start at the earliest, when it could not now.
    pub earliest_in_ms: Option<u64>,
    /// Why it would be refused.
    pub refusal: Option<&'static str>,
    /// Everyone it could go to, in the order in which they are tried.
    pub candidates: Vec<CandidateVerdict>,
}

/// What would be done with a request that came now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It would start.
    Start,
    /// It would start beyond a backend's rate, because all are spent.
    Emergency,
    /// It would wait.
    Wait,
    /// It would be refused.
    Refuse,
}

/// How one candidate stands to the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateVerdict {
    /// Its name.
    pub backend: Arc<str>,
    /// The pool it is in.
    pub pool: Arc<str>,
    /// The model it would serve.
    pub model: Arc<str>,
    /// How its pool or model spreads requests.
    pub strategy: &'static str,
    /// Why, or why not.
    pub verdict: Verdict,
    /// How long until time alone changes that.
    pub for_ms: Option<u64>,
    /// Calls running.
    pub in_flight: u32,
    /// How soon its first event is expected.
    pub expected_wait_ms: u64,
}

/// Why a candidate would get the request, or would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It would get it.
    Chosen,
    /// It could start it, but another is preferred.
    Ready,
    /// It has as many calls as it may have.
    Full,
    /// Its rate is spent.
    Spent,
    /// It said 429 and rests.
    Cooling,
    /// It kept failing and is left alone.
    Open,
    /// A probe is out, which decides.
    Probed,
    /// Its credential was refused.
    Error,
    /// It is a local process that cannot be called now.
    NotReady,
    /// It is disabled, or gone.
    Disabled,
    /// The request is bound to another.
    NotBound,
    /// The request has been there.
    Tried,
    /// It does not speak the dialect.
    Dialect,
    /// The model there cannot carry what the request needs.
    Incapable,
    /// The model's context window there is too small.
    Window,
}

impl State {
    pub(super) fn explain(&self, want: &Want, now: Instant) -> Explanation {
        let demand = Demand::of(want);
        let waiting = Waiting::of(want, self.patience(want.class, want.deadline, now));
        let moment = Moment::new(self.settings(), mix(self.lots()), &waiting, now);
        let comer = Comer { demand: &demand, waiting: &waiting, caller: want.caller };
        let choice = match choose(&self.backends, &demand, moment) {
            Choice::Later(later) => Choice::Later(self.behind_others(comer, later, now)),
            choice @ (Choice::Start(_) | Choice::Never(_)) => choice,
        };
        let reserve = Moment { bounds: Bounds::Reserve, ..moment };
        let (decision, pick, earliest, refusal) = match choice {
            Choice::Start(pick) => (Decision::Start, Some(pick), None, None),
            Choice::Later(later) if later.possible_at < waiting.deadline => {
                (Decision::Wait, None, Some(later.possible_at), None)
            }
            Choice::Later(later) => match choose(&self.backends, &demand, reserve) {
                Choice::Start(pick) if waiting.emergencies < self.settings().emergency_tries => {
                    (Decision::Emergency, Some(pick), None, None)
                }
                Choice::Start(_) | Choice::Later(_) | Choice::Never(_) => {
                    (Decision::Refuse, None, Some(later.possible_at), Some("all_pools_exhausted"))
                }
            },
            Choice::Never(reason) => (Decision::Refuse, None, None, Some(reason.name())),
        };
        let search = Search { backends: &self.backends, demand: &demand, moment };
        Explanation {
            decision,
            backend: pick.map(|pick| self.name_of(pick.backend.0)),
            earliest_in_ms: earliest.map(|at| millis(at.saturating_duration_since(now))),
            refusal,
            candidates: self.verdicts(want, &search, pick),
        }
    }

    fn verdicts(&self, want: &Want, search: &Search<'_>, pick: Option<Pick>) -> Vec<CandidateVerdict> {
        let mut verdicts = Vec::new();
        for (number, tier) in want.route.tiers.iter().enumerate() {
            for (index, candidate) in tier.candidates.iter().enumerate() {
                let chosen = pick.is_some_and(|pick| (pick.tier, pick.candidate) == (number, index));
                verdicts.extend(self.verdict(search, tier, candidate, chosen.then_some(Verdict::Chosen)));
            }
        }
        verdicts
    }

    fn verdict(
        &self,
        search: &Search<'_>,
        tier: &Tier,
        candidate: &Candidate,
        chosen: Option<Verdict>,
    ) -> Option<CandidateVerdict> {
        let now = search.moment.now;
        let backend = self.backends.get(at(candidate.backend.0))?;
        let (verdict, until) = match search.eligible(candidate, Repeats::Avoided) {
            Ok(backend) => hindrance(backend, search.size(tier, candidate), now),
            Err(bar) => (barred(bar), None),
        };
        Some(CandidateVerdict {
            backend: self.name_of(candidate.backend.0),
            pool: Arc::clone(&tier.pool),
            model: Arc::clone(&tier.model),
            strategy: tier.strategy.name(),
            verdict: chosen.unwrap_or(verdict),
            for_ms: until.map(|until| millis(until.saturating_duration_since(now))),
            in_flight: backend.in_flight.count(),
            expected_wait_ms: millis(backend.wait(tier.mark, now)),
        })
    }

    fn name_of(&self, backend: u32) -> Arc<str> {
        self.backend_names.name(at(backend)).cloned().unwrap_or_else(|| "".into())
    }
}

/// What keeps a candidate from starting the request now, and until when.
fn hindrance(backend: &BackendState, size: Size, now: Instant) -> (Verdict, Option<Instant>) {
    if backend.start_within(Bounds::All, size, now).is_some() {
        return (Verdict::Ready, None);
    }
    let breaker = backend.breaker.permit(size.mark, now);
    for (permit, verdict) in [(backend.cooldown.permit(now), Verdict::Cooling), (breaker, Verdict::Open)] {
        match permit {
            Permit::Free | Permit::AsProbe => {}
            Permit::NotBefore(until) => return (verdict, Some(until)),
            Permit::WhileProbed => return (Verdict::Probed, None),
        }
    }
    if !backend.in_flight.has_room() {
        return (Verdict::Full, None);
    }
    (Verdict::Spent, backend.later(size, now).wake_at)
}

fn barred(bar: Bar) -> Verdict {
    match bar {
        Bar::NotBound => Verdict::NotBound,
        Bar::Tried => Verdict::Tried,
        Bar::Disabled => Verdict::Disabled,
        Bar::InError => Verdict::Error,
        Bar::Absent => Verdict::NotReady,
        Bar::Dialect => Verdict::Dialect,
        Bar::Incapable => Verdict::Incapable,
        Bar::Window => Verdict::Window,
    }
}
