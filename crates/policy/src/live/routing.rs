//! Decides which backend could start an attempt now, and if none, when one might; never starts it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::{Dialect, Needs};
use smallvec::SmallVec;

use super::asks::{BackendId, RefusedReason, Want};
use super::state::BackendState;
use crate::catalog::{Candidate, Route, Tier};
use crate::limit::WaiterId;
use crate::schedule::{Standing, better};
use crate::snapshot::Spill;

/// What decides where an attempt may go. Attempts of equal demand are interchangeable: when the first
/// cannot start, neither can the others.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    route: Arc<Route>,
    dialect: Dialect,
    needs: Needs,
    tried: SmallVec<[BackendId; 5]>,
    bound: Option<BackendId>,
    /// Tokens that must fit the context window; none when they fit all, or none.
    window: Option<u64>,
}

impl Demand {
    pub(super) fn of(want: &Want) -> Self {
        Self {
            window: Some(want.tokens).filter(|tokens| want.route.some_fit_only(*tokens)),
            route: Arc::clone(&want.route),
            dialect: want.dialect,
            needs: want.needs,
            tried: want.tried.clone(),
            bound: want.bound,
        }
    }

    /// Whether this request has been anywhere yet.
    pub(super) fn is_first_attempt(&self) -> bool {
        self.tried.is_empty()
    }

    fn equals(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.route, &other.route)
            && self.dialect == other.dialect
            && self.needs == other.needs
            && self.tried == other.tried
            && self.bound == other.bound
            && self.window == other.window
    }

    fn suits(&self, candidate: &Candidate) -> bool {
        candidate.carries.all(&self.needs)
            && self.window.is_none_or(|tokens| candidate.context.is_none_or(|context| tokens <= context))
    }
}

/// When a decision is made, and until when its outcome matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) deadline: Instant,
    pub(super) spill: Spill,
}

/// What can be done for a demand.
#[derive(Debug)]
pub(super) enum Choice {
    /// Start here.
    Start(Pick),
    /// Nothing can start it now.
    Later(Later),
    /// Nothing will.
    Never(RefusedReason),
}

/// Where an attempt starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) tier: usize,
    pub(super) candidate: usize,
    pub(super) backend: BackendId,
    pub(super) standing: Standing,
}

/// When an attempt might start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    /// Not before then, whatever is released meanwhile.
    pub(super) possible_at: Instant,
    /// When time alone opens a way; none when only a release can.
    pub(super) wake_at: Option<Instant>,
}

impl Later {
    fn or(self, other: Self) -> Self {
        Self {
            possible_at: self.possible_at.min(other.possible_at),
            wake_at: self.wake_at.into_iter().chain(other.wake_at).min(),
        }
    }
}

/// Whether backends this request has been to are considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Avoided,
    Allowed,
}

/// Finds a backend for a demand: among those it has not been to as long as one of them can start it in
/// time, then among all.
pub(super) fn choose(backends: &[BackendState], demand: &Demand, moment: Moment) -> Choice {
    let search = Search { backends, demand, moment };
    let fresh = search.look(Repeats::Avoided);
    let in_time = match &fresh {
        Some(Choice::Start(_)) => true,
        Some(Choice::Later(later)) => later.possible_at < moment.deadline,
        Some(Choice::Never(_)) | None => false,
    };
    if !in_time
        && !demand.tried.is_empty()
        && let Some(repeat) = search.look(Repeats::Allowed)
    {
        return repeat;
    }
    fresh.unwrap_or_else(|| Choice::Never(search.why_never()))
}

struct Search<'a> {
    backends: &'a [BackendState],
    demand: &'a Demand,
    moment: Moment,
}

impl Search<'_> {
    /// The first tier with a backend that can start now; else when one can; nothing when none ever will.
    fn look(&self, repeats: Repeats) -> Option<Choice> {
        for (index, tier) in self.demand.route.tiers.iter().enumerate() {
            if let Some(pick) = self.pick(index, tier, repeats) {
                return Some(Choice::Start(pick));
            }
            if self.moment.spill == Spill::Wait
                && let Some(later) = self.later(tier, repeats)
                && later.possible_at < self.moment.deadline
            {
                return Some(Choice::Later(later));
            }
        }
        let tiers = self.demand.route.tiers.iter();
        tiers.filter_map(|tier| self.later(tier, repeats)).reduce(Later::or).map(Choice::Later)
    }

    /// The best of a tier that can start now. Comparing loads is cheaper than asking whether a backend
    /// could start, so that is only asked of one that would win.
    fn pick(&self, index: usize, tier: &Tier, repeats: Repeats) -> Option<Pick> {
        let mut best: Option<(Pick, &BackendState)> = None;
        for (number, candidate) in tier.candidates.iter().enumerate() {
            let Some(backend) = self.eligible(candidate, repeats) else { continue };
            if best.is_some_and(|(_, leader)| !better(tier.strategy, backend.load(), leader.load())) {
                continue;
            }
            if let Some(standing) = backend.start(self.moment.now) {
                let pick = Pick { tier: index, candidate: number, backend: candidate.backend, standing };
                best = Some((pick, backend));
            }
        }
        best.map(|(pick, _)| pick)
    }

    fn later(&self, tier: &Tier, repeats: Repeats) -> Option<Later> {
        let candidates = tier.candidates.iter();
        let eligible = candidates.filter_map(|candidate| self.eligible(candidate, repeats));
        eligible.map(|backend| backend.later(self.moment.now)).reduce(Later::or)
    }

    fn eligible(&self, candidate: &Candidate, repeats: Repeats) -> Option<&BackendState> {
        let demand = self.demand;
        if demand.bound.is_some_and(|bound| bound != candidate.backend)
            || (repeats == Repeats::Avoided && demand.tried.contains(&candidate.backend))
        {
            return None;
        }
        let backend = usize::try_from(candidate.backend.0).ok().and_then(|index| self.backends.get(index))?;
        (backend.usable() && backend.kind.speaks(demand.dialect) && demand.suits(candidate))
            .then_some(backend)
    }

    fn why_never(&self) -> RefusedReason {
        if self.demand.bound.is_some() {
            return RefusedReason::BoundBackendGone;
        }
        let mut candidates = self.demand.route.tiers.iter().flat_map(|tier| &tier.candidates).peekable();
        if candidates.peek().is_some() && candidates.all(|candidate| !self.demand.suits(candidate)) {
            return RefusedReason::Unsupported;
        }
        RefusedReason::NoBackend
    }
}

/// Those waiting for a backend, in lines of equal demand.
///
/// Each line is first in, first out, and so are the heads of lines that want the same backend. A line
/// whose head cannot start need not be walked, so that freeing one slot costs one look at each line.
#[derive(Debug, Default)]
pub(super) struct RoutingQueue {
    lines: Vec<Line>,
}

/// Waiters of equal demand.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) demand: Demand,
    pub(super) waiters: BTreeMap<WaiterId, Waiting>,
    /// When time alone may let the head start.
    pub(super) wake_at: Option<Instant>,
    /// Whether the present round found that its head cannot start.
    blocked: bool,
}

/// One of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) tokens: u64,
    pub(super) deadline: Instant,
}

/// One that waits no longer, with the demand of the line it left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) demand: Demand,
    pub(super) waiting: Waiting,
}

impl RoutingQueue {
    /// Takes the last place of its line.
    pub(super) fn push(&mut self, id: WaiterId, demand: Demand, waiting: Waiting, wake_at: Option<Instant>) {
        let line = self.lines.iter_mut().find(|line| line.demand.equals(&demand));
        if let Some(line) = line {
            line.waiters.insert(id, waiting);
            line.wake_at = line.wake_at.into_iter().chain(wake_at).min();
            return;
        }
        let waiters = BTreeMap::from([(id, waiting)]);
        self.lines.push(Line { demand, waiters, wake_at, blocked: false });
    }

    /// Removes one who waits, with its demand; nothing when it does not wait here.
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Left> {
        let index = self.lines.iter().position(|line| line.waiters.contains_key(&id))?;
        let line = self.lines.get_mut(index)?;
        let waiting = line.waiters.remove(&id)?;
        let demand = line.demand.clone();
        if line.waiters.is_empty() {
            self.lines.swap_remove(index);
        }
        Some(Left { demand, waiting })
    }

    /// Begins a round: every line may be looked at again.
    pub(super) fn unblock(&mut self) {
        for line in &mut self.lines {
            line.blocked = false;
        }
    }

    /// The line with the oldest head of those not found blocked in this round.
    pub(super) fn oldest(&self) -> Option<(usize, &Line)> {
        let open = self.lines.iter().enumerate().filter(|(_, line)| !line.blocked);
        open.min_by_key(|(_, line)| line.head())
    }

    /// The head of this line cannot start in this round.
    pub(super) fn block(&mut self, index: usize, wake_at: Option<Instant>) {
        if let Some(line) = self.lines.get_mut(index) {
            line.blocked = true;
            line.wake_at = wake_at;
        }
    }

    /// When time alone may let someone start.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.lines.iter().filter_map(|line| line.wake_at).min()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lines.iter().map(|line| line.waiters.len()).sum()
    }
}

impl Line {
    /// Who came first. A line without waiters does not exist.
    pub(super) fn head(&self) -> Option<WaiterId> {
        self.waiters.first_key_value().map(|(id, _)| *id)
    }

    /// Those who wait in it but not until `time`.
    pub(super) fn gone_by(&self, time: Instant) -> SmallVec<[WaiterId; 4]> {
        self.waiters.iter().filter(|(_, waiting)| waiting.deadline <= time).map(|(id, _)| *id).collect()
    }
}
