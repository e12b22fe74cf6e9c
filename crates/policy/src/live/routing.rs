//! Decides which backend could start an attempt now, and if none, when one might; never starts it.

mod contest;

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Needs;
use smallvec::SmallVec;

use contest::{Contests, Leader};

use super::asks::{BackendId, ModelId, Purpose, RefusedReason, Want};
use super::state::{BackendState, Size};
use crate::backend::Dialects;
use crate::catalog::{Candidate, Route, Tier};
use crate::identity::Class;
use crate::limit::{Lineup, Portion};
use crate::schedule::Standing;
use crate::snapshot::{Spill, TrafficSettings};

/// Those waiting for a backend.
pub(super) type RoutingQueue = Lineup<Demand, Waiting>;

/// What decides where an attempt may go. Attempts of equal demand are interchangeable: when the first
/// cannot start, neither can the others.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    route: Arc<Route>,
    dialects: Dialects,
    purpose: Purpose,
    needs: Needs,
    tried: SmallVec<[BackendId; 5]>,
    bound: Option<BackendId>,
    /// Tokens that must fit the context window; none when they fit all, or none.
    window: Option<u64>,
}

/// What else is known of an attempt that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) class: Class,
    pub(super) tokens: u64,
    pub(super) deadline: Instant,
    pub(super) affinity: Option<u64>,
    pub(super) emergencies: u8,
}

impl Waiting {
    /// What a want says, for one who waits until then at most.
    pub(super) fn of(want: &Want, deadline: Instant) -> Self {
        let Want { class, tokens, affinity, emergencies, .. } = *want;
        Self { class, tokens, deadline, affinity, emergencies }
    }

    /// One in the class that it was lifted to.
    pub(super) fn lifted(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// What it takes of limits.
    pub(super) fn portion(&self) -> Portion {
        Portion { tokens: self.tokens, class: self.class }
    }
}

impl Demand {
    pub(super) fn of(want: &Want) -> Self {
        Self {
            window: Some(want.tokens).filter(|tokens| want.route.some_fit_only(*tokens)),
            route: Arc::clone(&want.route),
            dialects: want.dialects,
            purpose: want.purpose,
            needs: want.needs,
            tried: want.tried.clone(),
            bound: want.bound,
        }
    }

    /// Whether this request has been anywhere yet.
    pub(super) fn is_first_attempt(&self) -> bool {
        self.tried.is_empty()
    }

    /// Whether this request has been to a backend.
    pub(super) fn has_been_to(&self, backend: BackendId) -> bool {
        self.tried.contains(&backend)
    }

    /// What stands for the model of one of its tiers where paces are kept.
    pub(super) fn model_of(&self, tier: usize) -> Option<u64> {
        self.route.tiers.get(tier).map(|tier| tier.mark)
    }

    /// Whether a change of this backend may let it start.
    pub(super) fn concerns(&self, backend: BackendId) -> bool {
        self.bound.is_none_or(|bound| bound == backend) && self.route.holds(backend)
    }

    /// Whether it can go to none but these backends.
    pub(super) fn stays_within(&self, grounds: &Grounds) -> bool {
        self.route.leads_within(grounds)
    }

    /// Whether a backend can be told what is wanted.
    fn is_understood_by(&self, backend: &BackendState) -> bool {
        let spoken = match self.purpose {
            Purpose::Answer => backend.dialects,
            Purpose::Count => backend.counts,
        };
        !spoken.common(self.dialects).is_empty()
    }

    fn suits(&self, candidate: &Candidate) -> bool {
        candidate.carries.all(&self.needs) && self.fits(candidate)
    }

    fn fits(&self, candidate: &Candidate) -> bool {
        self.window.is_none_or(|tokens| candidate.context.is_none_or(|context| tokens <= context))
    }
}

impl PartialEq for Demand {
    fn eq(&self, other: &Self) -> bool {
        // A name that is passed through gets a route of its own with each request.
        (Arc::ptr_eq(&self.route, &other.route) || self.route == other.route)
            && self.dialects == other.dialects
            && self.purpose == other.purpose
            && self.needs == other.needs
            && self.tried == other.tried
            && self.bound == other.bound
            && self.window == other.window
    }
}

impl Eq for Demand {}

impl Hash for Demand {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.route.asked, self.bound, &self.tried[..], self.window).hash(state);
    }
}

/// When a decision is made, until when its outcome matters, and what it goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) deadline: Instant,
    pub(super) portion: Portion,
    pub(super) spill: Spill,
    pub(super) affinity: Option<u64>,
    pub(super) cold_cache: Duration,
    /// Drawn for this decision.
    pub(super) lot: u64,
    pub(super) bounds: Bounds,
}

impl Moment {
    /// A moment at which all limits hold.
    pub(super) fn new(settings: &TrafficSettings, lot: u64, waiting: &Waiting, now: Instant) -> Self {
        Self {
            now,
            deadline: waiting.deadline,
            portion: waiting.portion(),
            spill: settings.spill,
            affinity: waiting.affinity.filter(|_| settings.affinity.enabled),
            cold_cache: settings.affinity.cold_cache,
            lot,
            bounds: Bounds::All,
        }
    }
}

/// Which of a backend's limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    /// All.
    All,
    /// All but its rates.
    Unrated,
    /// All but its rates, within the reserve for emergencies.
    Reserve,
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
    pub(super) model: Option<ModelId>,
    pub(super) standing: Standing,
    /// The limits that it keeps.
    pub(super) bounds: Bounds,
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
pub(super) enum Repeats {
    Avoided,
    Allowed,
}

/// What keeps a backend from being considered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    /// The request is bound to another one.
    NotBound,
    /// The request has been there.
    Tried,
    /// It is disabled, or gone.
    Disabled,
    /// Its credential was refused.
    InError,
    /// It is a local process that cannot be called now.
    Absent,
    /// It does not speak the dialect.
    Dialect,
    /// The model there cannot carry what the request needs.
    Incapable,
    /// The model's context window there is too small.
    Window,
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

/// Backends: a bit for each, by its index.
pub(super) type Grounds = SmallVec<[u64; 8]>;

/// One look at all backends for one demand.
pub(super) struct Search<'a> {
    pub(super) backends: &'a [BackendState],
    pub(super) demand: &'a Demand,
    pub(super) moment: Moment,
}

impl<'a> Search<'a> {
    /// The first tier with a backend that can start now; else when one can; nothing when none ever will. A
    /// later pool is for when the earlier ones cannot start it (or not in time, if so set); another model is
    /// always for when the former has no backend that can start it in time.
    fn look(&self, repeats: Repeats) -> Option<Choice> {
        let tiers = &self.demand.route.tiers;
        let in_time = |later: &Later| later.possible_at < self.moment.deadline;
        let (mut of_all, mut of_model): (Option<Later>, Option<Later>) = (None, None);
        for (index, tier) in tiers.iter().enumerate() {
            if let Some(pick) = self.pick(index, tier, repeats) {
                return Some(Choice::Start(pick));
            }
            let later = self.later(tier, repeats);
            if let Some(later) = later.filter(|later| self.moment.spill == Spill::Wait && in_time(later)) {
                return Some(Choice::Later(later));
            }
            of_model = of_model.into_iter().chain(later).reduce(Later::or);
            if tiers.get(index + 1).is_none_or(|next| next.model != tier.model) {
                if let Some(later) = of_model.filter(in_time) {
                    return Some(Choice::Later(later));
                }
                of_all = of_all.into_iter().chain(of_model.take()).reduce(Later::or);
            }
        }
        of_all.map(Choice::Later)
    }

    /// The backend of a tier that its strategy picks of those that can start now; or, where it is expected to
    /// begin about as soon, the one that is home to what the request belongs to.
    fn pick(&self, index: usize, tier: &'a Tier, repeats: Repeats) -> Option<Pick> {
        let Moment { now, bounds, .. } = self.moment;
        let starts = |candidate: &Candidate, backend: &BackendState| {
            backend.start_within(bounds, self.size(tier, candidate), now)
        };
        // Rates are what costs most to look at, and mostly allow it: so they are looked at where they decide, and
        // everywhere only when one of those that would win is held up by its own.
        let contests = self.contests((index, tier), repeats, |_, backend| backend.well(tier.mark, now));
        let hopeful = |leader: &Leader<'_>| starts(leader.candidate, leader.backend).is_some();
        if contests.leaders().all(hopeful) {
            return contests.winner(tier.mark, now);
        }
        self.contests((index, tier), repeats, starts).winner(tier.mark, now)
    }

    /// Who wins among those of a tier that can start.
    fn contests(
        &self,
        (index, tier): (usize, &'a Tier),
        repeats: Repeats,
        starts: impl Fn(&Candidate, &BackendState) -> Option<Standing>,
    ) -> Contests<'a> {
        let mut contests = Contests::new(tier.strategy, &self.moment);
        for (number, candidate) in tier.candidates.iter().enumerate() {
            let Some(backend) = self.backend(candidate) else { continue };
            // Few lead. To compare costs less than all other questions but the one for room; and where all are full
            // that one is enough.
            if !backend.has_room()
                || !contests.has_leader_in(candidate, backend)
                || self.bar(candidate, backend, repeats).is_some()
            {
                continue;
            }
            if let Some(standing) = starts(candidate, backend) {
                let pick = Pick {
                    tier: index,
                    candidate: number,
                    backend: candidate.backend,
                    model: candidate.model,
                    standing,
                    bounds: self.moment.bounds,
                };
                contests.accept(Leader { pick, candidate, backend });
            }
        }
        contests
    }

    fn later(&self, tier: &Tier, repeats: Repeats) -> Option<Later> {
        let now = self.moment.now;
        let mut soonest: Option<Later> = None;
        for candidate in &tier.candidates {
            let Some(backend) = self.backend(candidate) else { continue };
            // What is full is not ready by time, nor sooner than now.
            let adds_nothing = !backend.has_room() && soonest.is_some_and(|later| later.possible_at <= now);
            if !adds_nothing && self.bar(candidate, backend, repeats).is_none() {
                let later = backend.later(self.size(tier, candidate), now);
                soonest = Some(soonest.map_or(later, |soonest| soonest.or(later)));
            }
        }
        soonest
    }

    /// How much of a candidate's limits it takes.
    pub(super) fn size(&self, tier: &Tier, candidate: &Candidate) -> Size {
        Size { model: candidate.model, mark: tier.mark, portion: self.moment.portion }
    }

    /// The state of a candidate, unless it is not to be considered.
    pub(super) fn eligible(&self, candidate: &Candidate, repeats: Repeats) -> Result<&'a BackendState, Bar> {
        let backend = self.backend(candidate).ok_or(Bar::Disabled)?;
        self.bar(candidate, backend, repeats).map_or(Ok(backend), Err)
    }

    fn backend(&self, candidate: &Candidate) -> Option<&'a BackendState> {
        self.backends.get(usize::try_from(candidate.backend.0).ok()?)
    }

    /// What keeps a candidate from being considered.
    fn bar(&self, candidate: &Candidate, backend: &BackendState, repeats: Repeats) -> Option<Bar> {
        let demand = self.demand;
        if demand.bound.is_some_and(|bound| bound != candidate.backend) {
            return Some(Bar::NotBound);
        }
        if repeats == Repeats::Avoided && demand.tried.contains(&candidate.backend) {
            return Some(Bar::Tried);
        }
        if !backend.usable() {
            return Some(match (backend.enabled, backend.is_present) {
                (false, _) => Bar::Disabled,
                (true, false) => Bar::Absent,
                (true, true) => Bar::InError,
            });
        }
        if !demand.is_understood_by(backend) {
            return Some(Bar::Dialect);
        }
        if !demand.suits(candidate) {
            return Some(if demand.fits(candidate) { Bar::Incapable } else { Bar::Window });
        }
        None
    }

    /// How many attempts like this one the backends that it may go to could start by a time, at their best; once it
    /// is more than `enough` they are not counted on.
    pub(super) fn starts_by(&self, until: Instant, enough: u64) -> u64 {
        let mut starts: u64 = 0;
        let tiers = self.demand.route.tiers.iter();
        for (tier, candidate) in tiers.flat_map(|tier| tier.candidates.iter().map(move |one| (tier, one))) {
            if let Ok(backend) = self.eligible(candidate, Repeats::Allowed) {
                let size = self.size(tier, candidate);
                starts = starts.saturating_add(backend.starts_by(size, until, self.moment.now));
            }
            if starts > enough {
                break;
            }
        }
        starts
    }

    /// Its route's backends, but those that others may use and it may not.
    pub(super) fn grounds(&self) -> Grounds {
        let mut grounds = Grounds::from_slice(self.demand.route.members());
        for candidate in self.demand.route.tiers.iter().flat_map(|tier| &tier.candidates) {
            let is_for_others = match self.eligible(candidate, Repeats::Allowed) {
                Ok(_) | Err(Bar::Disabled | Bar::InError | Bar::Absent) => false,
                Err(Bar::NotBound | Bar::Tried | Bar::Dialect | Bar::Incapable | Bar::Window) => true,
            };
            let place = usize::try_from(candidate.backend.0 / u64::BITS).ok();
            if let Some(word) = place.and_then(|place| grounds.get_mut(place)).filter(|_| is_for_others) {
                *word &= !(1 << (candidate.backend.0 % u64::BITS));
            }
        }
        grounds
    }

    /// Whether it is only for want of a local process that can be called.
    fn is_absence_all(&self) -> bool {
        let candidates = self.demand.route.tiers.iter().flat_map(|tier| &tier.candidates);
        let mut bars =
            candidates.filter_map(|candidate| self.eligible(candidate, Repeats::Allowed).err()).peekable();
        bars.peek().is_some() && bars.all(|bar| bar == Bar::Absent)
    }

    fn why_never(&self) -> RefusedReason {
        if self.demand.bound.is_some() {
            return RefusedReason::BoundBackendGone;
        }
        let mut candidates = self.demand.route.tiers.iter().flat_map(|tier| &tier.candidates).peekable();
        let understands = |candidate: &Candidate| {
            let backend =
                usize::try_from(candidate.backend.0).ok().and_then(|index| self.backends.get(index));
            backend.is_none_or(|backend| self.demand.is_understood_by(backend))
        };
        let can_serve = |candidate: &Candidate| self.demand.suits(candidate) && understands(candidate);
        if candidates.peek().is_some() && !candidates.any(can_serve) {
            return RefusedReason::Unsupported;
        }
        if self.is_absence_all() {
            return RefusedReason::NotReady;
        }
        RefusedReason::NoBackend
    }
}
