//! Decides what the dashboard is told each second; it never changes what it looks at.

use std::collections::{BTreeMap, VecDeque};

use policy::{RequestOutcome, Status, Timestamp};
use serde::Serialize;
use store::Lag;
use store::ledger::{Glimpse, Range, UsageSums};

use crate::admin::AdminState;
use crate::publish::moment;

/// Latency is told of requests that came within this time.
const LATENCY_WINDOW_MS: i64 = 15 * 60_000;
/// How many of the newest requests it is told of: enough for a 99th percentile, and read in less than a millisecond.
const SAMPLE: u32 = 500;
/// How far a newly opened dashboard can look back.
const HISTORY_MS: i64 = 10 * 60_000;

/// Everything a dashboard shows live.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    at: Timestamp,
    /// Of the configuration in force.
    version: u64,
    live: Status,
    /// Since midnight, UTC; nothing while the database is not available.
    today: Option<UsageSums>,
    latency: Option<Latency>,
    behind: Option<Behind>,
    point: Point,
}

/// How far the ledger, and with it every sum, is behind what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Behind {
    /// Lines of the journal that are not in the ledger yet.
    entries: u64,
    bytes: u64,
    /// Since the ledger last had everything, or took some.
    since_ms: u64,
    /// What keeps the database from taking them.
    trouble: Option<String>,
}

impl From<Lag> for Behind {
    fn from(lag: Lag) -> Self {
        let since_ms = policy::millis(lag.since_success);
        Self { entries: lag.entries, bytes: lag.bytes, since_ms, trouble: lag.trouble }
    }
}

/// How long recent requests took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Latency {
    /// How many were looked at.
    sampled: usize,
    /// Of these, failed.
    failed: usize,
    first_event_ms: Option<Percentiles>,
    total_ms: Option<Percentiles>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Percentiles {
    p50: u64,
    p90: u64,
    p99: u64,
}

/// One second of the charts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Point {
    at: i64,
    /// Settled since the point before.
    requests: u64,
    /// Of these, failed.
    failed: u64,
    /// Tokens in and out since the point before.
    tokens_in: u64,
    tokens_out: u64,
    /// Nothing for a second that nobody watched.
    in_flight: Option<u32>,
    /// Waiting, by class: urgent, high, normal, low; nothing for a second that nobody watched.
    queued: Option<[usize; 4]>,
}

/// What is remembered from one second to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    counted: Option<(i64, UsageSums)>,
    points: VecDeque<Point>,
}

impl Memory {
    pub(super) fn points(&self) -> &VecDeque<Point> {
        &self.points
    }

    /// Nobody looks any more: what happens until somebody does again belongs to no second.
    pub(super) fn pause(&mut self) {
        self.counted = None;
    }

    pub(super) fn is_paused(&self) -> bool {
        self.counted.is_none()
    }

    /// Fills the seconds that nobody watched with what `recent` receipts tell of them, newest first.
    pub(super) fn recall(&mut self, recent: &[Glimpse], now: Timestamp) {
        let second = |at: i64| at.div_euclid(1000);
        let end = |receipt: &Glimpse| receipt.at.0.saturating_add_unsigned(receipt.total_ms);
        // A full sample says nothing of what was before its oldest.
        let told_from = match recent.last() {
            Some(oldest) if recent.len() >= SAMPLE as usize => end(oldest),
            Some(_) | None => 0,
        };
        let first = second(told_from.max(now.0 - HISTORY_MS));
        let mut seconds: BTreeMap<i64, Point> =
            (first..second(now.0)).map(|at| (at, Point { at: at * 1000, ..Point::default() })).collect();
        for receipt in recent {
            let Some(point) = seconds.get_mut(&second(end(receipt))) else { continue };
            point.requests += 1;
            point.failed += u64::from(receipt.outcome == RequestOutcome::Failed);
            point.tokens_in += receipt.tokens_in;
            point.tokens_out += receipt.tokens_out;
        }
        for watched in self.points.drain(..) {
            seconds.insert(second(watched.at), watched);
        }
        self.points = seconds.into_values().collect();
    }

    fn add(&mut self, live: &Status, today: Option<(i64, UsageSums)>, now: Timestamp) -> Point {
        let classes = live.queue.by_class;
        let mut point = Point {
            at: now.0,
            in_flight: Some(live.in_flight),
            queued: Some([classes.urgent, classes.high, classes.normal, classes.low]),
            ..Point::default()
        };
        if let (Some((day, sums)), Some((day_before, before))) = (today, self.counted) {
            let before = if day == day_before { before } else { UsageSums::default() };
            point.requests = sums.requests.saturating_sub(before.requests);
            point.failed = sums.failed.saturating_sub(before.failed);
            point.tokens_in = sums.usage.input_total().saturating_sub(before.usage.input_total());
            point.tokens_out = sums.usage.output.saturating_sub(before.usage.output);
        }
        self.counted = today.or(self.counted);
        self.points.push_back(point);
        // A clock that was set back must not keep what lies ahead of it, either.
        self.points.retain(|past| (now.0 - HISTORY_MS..=now.0).contains(&past.at));
        point
    }
}

/// What takes a while to look up.
pub(super) struct Counted {
    /// The day, and its sums; nothing while the database is not available: the data plane does not need it, and neither
    /// does a look at it.
    today: Option<(i64, UsageSums)>,
    latency: Option<Latency>,
}

impl Counted {
    pub(super) async fn now(state: &AdminState) -> Self {
        let now = state.publisher.now();
        let day = now.day_begins();
        let today = state.ledger.totals(Range { from: day, to: Timestamp(i64::MAX) }).await;
        Self { today: today.ok().map(|sums| (day.0, sums)), latency: latency(state, now).await }
    }
}

impl Picture {
    /// Looks at everything else, and joins it with what was counted.
    pub(super) fn take(state: &AdminState, counted: Counted, memory: &mut Memory) -> Self {
        let (at, live) = (state.publisher.now(), state.live.status(moment()));
        let point = memory.add(&live, counted.today, at);
        let today = counted.today.map(|(_, sums)| sums);
        let version = state.publisher.standing().version;
        let behind = state.records.backlog.as_ref().map(|backlog| Behind::from(backlog.lag()));
        Self { at, version, live, today, latency: counted.latency, behind, point }
    }
}

/// The newest receipts; none while the database is not available.
pub(super) async fn recent(state: &AdminState) -> Option<Vec<Glimpse>> {
    state.ledger.glimpses(SAMPLE).await.ok()
}

async fn latency(state: &AdminState, now: Timestamp) -> Option<Latency> {
    let mut receipts = recent(state).await?;
    receipts.retain(|receipt| receipt.at.0 >= now.0.saturating_sub(LATENCY_WINDOW_MS));
    Some(Latency {
        sampled: receipts.len(),
        failed: receipts.iter().filter(|receipt| receipt.outcome == RequestOutcome::Failed).count(),
        first_event_ms: percentiles(receipts.iter().filter_map(|receipt| receipt.first_event_ms).collect()),
        total_ms: percentiles(
            receipts
                .iter()
                .filter(|receipt| receipt.outcome == RequestOutcome::Completed)
                .map(|receipt| receipt.total_ms)
                .collect(),
        ),
    })
}

/// By nearest rank: each figure is a time that some request took.
fn percentiles(mut times: Vec<u64>) -> Option<Percentiles> {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Some(Percentiles { p50: at(50)?, p90: at(90)?, p99: at(99)? })
}

#[cfg(test)]
mod tests;
