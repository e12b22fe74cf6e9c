//! Decides who of those waiting comes next: class by class, fair between callers, and each caller's in order
//! of arrival; never whether that one can start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::queue::WaiterId;
use crate::identity::Class;
use crate::live::KeySlot;

mod ahead;
mod early;
mod flow;
#[cfg(test)]
mod tests;

pub(crate) use early::Turn;
use flow::Flow;

/// What being served once costs a caller of weight 1, in virtual time: the least common weights divide it.
const TURN: u64 = 5040 << 20;

/// Those waiting, in lines of equal demand: when the first of a line cannot start, neither can the others.
///
/// * Between classes the better one is first, and whoever has waited for the ageing time is lifted by one.
/// * Between callers of a class it is start-time fair queueing: each has a virtual time that grows by
///   1/weight whenever one of its waiters is served, and the one with the least is next. Who would leave otherwise
///   may take a turn of its caller's in advance.
/// * Among the waiters of one caller the oldest is next.
///
/// A line is *open* when its first may be able to start, and *closed* when it was found that it cannot.
/// Every operation costs a logarithm of those waiting, times the lines in which that caller waits.
#[derive(Debug)]
pub(crate) struct Lineup<D, T> {
    lines: BTreeMap<LineId, Line<D>>,
    by_demand: HashMap<D, LineId>,
    flows: HashMap<FlowId, Flow>,
    waiters: HashMap<WaiterId, Waiter<T>>,
    /// The virtual time and the number waiting of each class.
    classes: [ClassState; 4],
    /// The first of each open line.
    open: BTreeSet<(Rank, LineId)>,
    /// The last of each flow.
    tails: BTreeSet<Rank>,
    /// When time alone opens a closed line.
    wakes: BTreeSet<(Instant, LineId)>,
    /// When each is lifted next.
    lifts: BTreeSet<(Instant, WaiterId)>,
    /// Flows without waiters that are ahead of their class, by the time at which they no longer are.
    ahead: BTreeSet<(Class, u64, KeySlot)>,
    last_line: u64,
}

/// Names one line for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineId(u64);

/// The place of one waiter in the whole order; the least is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) class: Class,
    turn: u64,
    id: WaiterId,
}

/// One who comes to wait.
#[derive(Debug, Clone)]
pub(crate) struct Entry<D, T> {
    /// What decides whether it can start.
    pub(crate) demand: D,
    /// How much it is worth waiting for.
    pub(crate) class: Class,
    /// Whose it is.
    pub(crate) caller: KeySlot,
    /// The caller's share among callers of a class, at least 1.
    pub(crate) weight: u32,
    /// When it stops waiting.
    pub(crate) deadline: Instant,
    /// When it is lifted for the first time, and how long after that again.
    pub(crate) lift_at: Instant,
    pub(crate) ageing: Duration,
    /// What else is known of it.
    pub(crate) what: T,
}

/// Who is next.
#[derive(Debug)]
pub(crate) struct Next<'a, D, T> {
    pub(crate) id: WaiterId,
    pub(crate) line: LineId,
    pub(crate) demand: &'a D,
    /// Its own, or the one it was lifted to.
    pub(crate) class: Class,
    pub(crate) caller: KeySlot,
    pub(crate) what: &'a T,
    pub(crate) turn: Turn,
}

type FlowId = (Class, KeySlot);

#[derive(Debug, Clone, Copy, Default)]
struct ClassState {
    clock: u64,
    waiting: usize,
}

#[derive(Debug)]
struct Line<D> {
    demand: D,
    /// The first of each flow that waits in it.
    heads: BTreeSet<Rank>,
    /// How many wait in it, by class.
    waiting: [usize; 4],
    deadlines: BTreeSet<(Instant, WaiterId)>,
    wake_at: Option<Instant>,
    is_open: bool,
    /// As which it stands in the set of open lines.
    listed: Option<Rank>,
}

#[derive(Debug)]
struct Waiter<T> {
    line: LineId,
    class: Class,
    caller: KeySlot,
    weight: u32,
    deadline: Instant,
    lift_at: Instant,
    ageing: Duration,
    what: T,
}

impl<D, T> Default for Lineup<D, T> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            by_demand: HashMap::new(),
            flows: HashMap::new(),
            waiters: HashMap::new(),
            classes: [ClassState::default(); 4],
            open: BTreeSet::new(),
            tails: BTreeSet::new(),
            wakes: BTreeSet::new(),
            lifts: BTreeSet::new(),
            ahead: BTreeSet::new(),
            last_line: 0,
        }
    }
}

impl<D: Hash + Eq + Clone, T> Lineup<D, T> {
    /// Takes a place in the line of its demand. A line that was there stays open or closed; a new one is
    /// closed, for its first was just found unable to start.
    pub(crate) fn push(&mut self, id: WaiterId, entry: Entry<D, T>) {
        let line = self.line_for(&entry.demand);
        let Entry { class, caller, weight, deadline, lift_at, ageing, what, .. } = entry;
        if let Some(line) = self.lines.get_mut(&line) {
            line.deadlines.insert((deadline, id));
        }
        self.lifts.insert((lift_at, id));
        self.waiters.insert(id, Waiter { line, class, caller, weight, deadline, lift_at, ageing, what });
        self.join(id, line, (class, caller), weight);
    }

    /// Who is next of all whose line is open.
    pub(crate) fn next(&self) -> Option<Next<'_, D, T>> {
        let (rank, line) = *self.open.first()?;
        self.view(rank.id, line)
    }

    /// One who waits.
    pub(crate) fn find(&self, id: WaiterId) -> Option<Next<'_, D, T>> {
        self.view(id, self.waiters.get(&id)?.line)
    }

    /// Takes out one who starts: its caller's next turn comes after everyone else's.
    pub(crate) fn serve(&mut self, id: WaiterId) -> Option<(D, T)> {
        let flow = self.waiters.get(&id).map(|waiter| (waiter.class, waiter.caller))?;
        if let Some(served) = self.flows.get(&flow) {
            let clock = &mut self.classes[place(flow.0)].clock;
            *clock = (*clock).max(served.turn);
        }
        self.serve_in_advance(id)
    }

    /// Takes out one who leaves; its caller's next one takes its turn.
    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<(D, T)> {
        let waiter = self.waiters.remove(&id)?;
        self.lifts.remove(&(waiter.lift_at, id));
        let line = self.lines.get_mut(&waiter.line)?;
        line.deadlines.remove(&(waiter.deadline, id));
        let demand = line.demand.clone();
        self.part(id, waiter.line, (waiter.class, waiter.caller));
        Some((demand, waiter.what))
    }

    /// Lifts everyone by one class who has waited for the ageing time, or by several for several times it.
    pub(crate) fn age(&mut self, now: Instant) {
        while let Some((due, id)) = self.lifts.first().copied().filter(|(due, _)| *due <= now) {
            self.lifts.remove(&(due, id));
            let Some(waiter) = self.waiters.get_mut(&id) else { continue };
            let Some(class) = waiter.class.lifted() else { continue };
            let (old, line, weight) = (waiter.class, waiter.line, waiter.weight);
            waiter.class = class;
            waiter.lift_at = due + waiter.ageing;
            let caller = waiter.caller;
            self.lifts.insert((waiter.lift_at, id));
            // It joins before it parts, so that its line never stands empty.
            self.join(id, line, (class, caller), weight);
            self.part(id, line, (old, caller));
        }
    }

    /// The first of this line was found unable to start; `wake_at` is when time alone may change that.
    pub(crate) fn close(&mut self, id: LineId, wake_at: Option<Instant>) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.is_open = false;
        set_wake(&mut self.wakes, line, id, wake_at);
        refresh(&mut self.open, line, id);
    }

    /// Time alone may open the line of this one sooner than is known of it.
    pub(crate) fn wake_by(&mut self, id: WaiterId, wake_at: Option<Instant>) {
        let Some(id) = self.waiters.get(&id).map(|waiter| waiter.line) else { return };
        let Some(line) = self.lines.get_mut(&id) else { return };
        let sooner = line.wake_at.into_iter().chain(wake_at).min();
        set_wake(&mut self.wakes, line, id, sooner);
    }

    /// The first of this line may be able to start.
    pub(crate) fn open(&mut self, id: LineId) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.is_open = true;
        set_wake(&mut self.wakes, line, id, None);
        refresh(&mut self.open, line, id);
    }

    /// Opens the line of one who waits.
    pub(crate) fn open_for(&mut self, id: WaiterId) {
        if let Some(line) = self.waiters.get(&id).map(|waiter| waiter.line) {
            self.open(line);
        }
    }

    /// Opens the line of this demand.
    pub(crate) fn open_demand(&mut self, demand: &D) {
        if let Some(line) = self.by_demand.get(demand).copied() {
            self.open(line);
        }
    }

    /// Opens every line whose demand `concerns`.
    pub(crate) fn open_where(&mut self, concerns: impl Fn(&D) -> bool) {
        for (id, line) in &mut self.lines {
            if !line.is_open && concerns(&line.demand) {
                line.is_open = true;
                set_wake(&mut self.wakes, line, *id, None);
                refresh(&mut self.open, line, *id);
            }
        }
    }

    /// Opens the lines that time has opened.
    pub(crate) fn open_due(&mut self, now: Instant) {
        while let Some((_, line)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.open(line);
        }
    }

    /// The line of this demand, if anyone waits for it.
    pub(crate) fn line(&self, demand: &D) -> Option<LineId> {
        self.by_demand.get(demand).copied()
    }

    /// When time alone opens the next line.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Those of a line whose deadline comes by `time`.
    pub(crate) fn leaving_by(&self, line: LineId, time: Instant) -> SmallVec<[WaiterId; 4]> {
        let deadlines = self.lines.get(&line).map(|line| &line.deadlines);
        let leaving = deadlines.into_iter().flat_map(|all| all.range(..=(time, WaiterId(u64::MAX))));
        leaving.map(|(_, id)| *id).collect()
    }

    /// Everyone in a line.
    pub(crate) fn members(&self, line: LineId) -> SmallVec<[WaiterId; 4]> {
        self.lines.get(&line).into_iter().flat_map(|line| &line.deadlines).map(|(_, id)| *id).collect()
    }

    /// Whether someone with the same demand goes before one who came now.
    pub(crate) fn goes_first(&self, demand: &D, class: Class, caller: KeySlot) -> bool {
        let head = self.line(demand).and_then(|line| self.lines.get(&line)?.heads.first());
        head.is_some_and(|head| *head < self.newcomer(class, caller))
    }

    /// The place that one who came now would take in the whole order.
    pub(crate) fn newcomer(&self, class: Class, caller: KeySlot) -> Rank {
        let clock = self.classes[place(class)].clock;
        let turn = self.flows.get(&(class, caller)).map_or(clock, |flow| match flow.members.len() {
            0 => flow.turn.max(clock),
            waiting => flow.turn_of(waiting),
        });
        Rank { class, turn, id: WaiterId(u64::MAX) }
    }

    /// Who would be served last.
    pub(crate) fn worst(&self) -> Option<(WaiterId, Rank)> {
        self.tails.last().map(|rank| (rank.id, *rank))
    }

    /// How many wait in a class, lifted ones where they were lifted to.
    pub(crate) fn waiting(&self, class: Class) -> usize {
        self.classes[place(class)].waiting
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    fn view(&self, id: WaiterId, line: LineId) -> Option<Next<'_, D, T>> {
        let demand = &self.lines.get(&line)?.demand;
        let waiter = self.waiters.get(&id)?;
        let Waiter { class, caller, what, .. } = waiter;
        Some(Next { id, line, demand, class: *class, caller: *caller, what, turn: Turn::Due })
    }

    fn line_for(&mut self, demand: &D) -> LineId {
        if let Some(line) = self.by_demand.get(demand) {
            return *line;
        }
        self.last_line += 1;
        let id = LineId(self.last_line);
        self.by_demand.insert(demand.clone(), id);
        let line = Line {
            demand: demand.clone(),
            heads: BTreeSet::new(),
            waiting: [0; 4],
            deadlines: BTreeSet::new(),
            wake_at: None,
            is_open: false,
            listed: None,
        };
        self.lines.insert(id, line);
        id
    }

    fn join(&mut self, id: WaiterId, line: LineId, flow: FlowId, weight: u32) {
        let class = &mut self.classes[place(flow.0)];
        class.waiting += 1;
        let clock = class.clock;
        let fresh = || Flow { turn: clock, step: 0, members: BTreeSet::new(), lanes: BTreeMap::new() };
        self.flows.entry(flow).or_insert_with(fresh);
        if let Some(line) = self.lines.get_mut(&line) {
            line.waiting[place(flow.0)] += 1;
        }
        self.relist(flow, |flow| {
            flow.step = TURN / u64::from(weight.max(1));
            if flow.members.is_empty() {
                flow.turn = flow.turn.max(clock);
            }
            flow.members.insert(id);
            flow.lanes.entry(line).or_default().insert(id);
        });
    }

    fn part(&mut self, id: WaiterId, line: LineId, flow: FlowId) {
        self.relist(flow, |flow| {
            flow.members.remove(&id);
            if let Some(lane) = flow.lanes.get_mut(&line) {
                lane.remove(&id);
                if lane.is_empty() {
                    flow.lanes.remove(&line);
                }
            }
        });
        if let Some(rest) = self.lines.get_mut(&line) {
            rest.waiting[place(flow.0)] -= 1;
            if rest.heads.is_empty() {
                self.drop_line(line);
            }
        }
        let class = &mut self.classes[place(flow.0)];
        class.waiting -= 1;
        if class.waiting == 0 {
            // Nobody contends any more, so nobody is ahead of anybody.
            self.forget_until(flow.0, u64::MAX);
            self.classes[place(flow.0)].clock = 0;
        }
    }

    /// Changes a flow; where its first ones stand in their lines, and it among the tails, follows.
    fn relist(&mut self, id: FlowId, change: impl FnOnce(&mut Flow)) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let (class, caller) = id;
        let mut touched: SmallVec<[LineId; 4]> = SmallVec::new();
        for (line, head) in flow.heads(class) {
            touched.push(line);
            if let Some(line) = self.lines.get_mut(&line) {
                line.heads.remove(&head);
            }
        }
        match flow.tail(class) {
            Some(tail) => self.tails.remove(&tail),
            None => self.ahead.remove(&(class, flow.turn, caller)),
        };
        change(flow);
        for (line, head) in flow.heads(class) {
            touched.push(line);
            if let Some(line) = self.lines.get_mut(&line) {
                line.heads.insert(head);
            }
        }
        match flow.tail(class) {
            Some(tail) => self.tails.insert(tail),
            None => self.ahead.insert((class, flow.turn, caller)),
        };
        for id in touched {
            if let Some(line) = self.lines.get_mut(&id) {
                refresh(&mut self.open, line, id);
            }
        }
    }

    /// Forgets flows without waiters that are not ahead of their class any more.
    fn forget_until(&mut self, class: Class, clock: u64) {
        while let Some(entry) = self.ahead.range((class, 0, KeySlot(0))..).next().copied() {
            let (theirs, turn, caller) = entry;
            if theirs != class || turn > clock {
                return;
            }
            self.ahead.remove(&entry);
            self.flows.remove(&(class, caller));
        }
    }

    fn drop_line(&mut self, id: LineId) {
        let Some(mut line) = self.lines.remove(&id) else { return };
        set_wake(&mut self.wakes, &mut line, id, None);
        refresh(&mut self.open, &mut line, id);
        self.by_demand.remove(&line.demand);
    }
}

/// Where a class is kept.
fn place(class: Class) -> usize {
    match class {
        Class::Urgent => 0,
        Class::High => 1,
        Class::Normal => 2,
        Class::Low => 3,
    }
}

fn set_wake<D>(
    wakes: &mut BTreeSet<(Instant, LineId)>,
    line: &mut Line<D>,
    id: LineId,
    wake_at: Option<Instant>,
) {
    if let Some(old) = line.wake_at {
        wakes.remove(&(old, id));
    }
    line.wake_at = wake_at;
    if let Some(new) = wake_at {
        wakes.insert((new, id));
    }
}

/// Lists the line among the open ones as what its first is, or not at all.
fn refresh<D>(open: &mut BTreeSet<(Rank, LineId)>, line: &mut Line<D>, id: LineId) {
    let first = line.heads.first().copied().filter(|_| line.is_open);
    if first == line.listed {
        return;
    }
    if let Some(old) = line.listed {
        open.remove(&(old, id));
    }
    line.listed = first;
    if let Some(new) = first {
        open.insert((new, id));
    }
}
