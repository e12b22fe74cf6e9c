//! Decides how much is remembered of why a request went where it went: bounded, and never anything that it said.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Quota, QuotaUnit, Reset};
use serde::Serialize;

use crate::live::{CandidateVerdict, Explanation, RefusedReason, Verdict};
use crate::timestamp::millis;

/// Decisions that are kept of one request. Beyond the first ones only the latest is.
pub const LOOKS_MAX: usize = 8;
/// Candidates that are kept of one decision.
pub const CANDIDATES_MAX: usize = 16;

/// Why a request went where it went, as it was known then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reasons {
    /// What was decided, in order.
    pub looks: Vec<Look>,
    /// Decisions between the first ones and the last that were not kept.
    pub left_out: u32,
    /// What the answers that failed told of their providers' limits.
    pub learned: Vec<Learned>,
}

/// One decision, and how every candidate stood when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Look {
    /// How long after the request's arrival.
    pub at_ms: u64,
    /// For which attempt, from 1.
    pub attempt: u8,
    /// What was decided.
    pub decided: Decided,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'static str>,
    /// Everyone it could have gone to, in the order in which they are tried.
    pub candidates: Vec<Weighed>,
    /// How many more there were.
    pub candidates_left_out: usize,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// The attempt started.
    Started,
    /// It waited.
    Waited,
    /// It was refused.
    Refused,
}

/// How one candidate stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weighed {
    /// Its name.
    pub backend: Arc<str>,
    /// Its pool.
    pub pool: Arc<str>,
    /// The model it would have served.
    pub model: Arc<str>,
    /// Why, or why not.
    pub verdict: Verdict,
    /// How long until time alone would have changed that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// What one answer told of its provider's limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// Of which attempt, from 1.
    pub attempt: u8,
    /// Whose answer.
    pub backend: Arc<str>,
    /// How long it asked to be left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What it said it allows and has left.
    pub limits: Vec<ToldLimit>,
}

/// One limit, as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToldLimit {
    /// What is counted.
    pub unit: &'static str,
    /// How much there is when nothing was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How much was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// In what time the whole limit may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_ms: Option<u64>,
    /// When all of it is there again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<u64>,
}

impl Reasons {
    /// Keeps a decision.
    pub fn note(&mut self, look: Look) {
        if self.looks.len() >= LOOKS_MAX {
            self.looks.pop();
            self.left_out = self.left_out.saturating_add(1);
        }
        self.looks.push(look);
    }

    /// Keeps what an answer told, where it told anything; of many the first ones.
    pub fn learn(&mut self, learned: Learned) {
        let told = learned.retry_after_ms.is_some() || !learned.limits.is_empty();
        if told && self.learned.len() < LOOKS_MAX {
            self.learned.push(learned);
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.looks.is_empty() && self.learned.is_empty()
    }

    /// As it is kept.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are always JSON")
    }
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course<'a> {
    /// The attempt started on this backend.
    Started(&'a str),
    /// It waited.
    Waited,
    /// It was refused.
    Refused(RefusedReason),
}

impl Look {
    /// The decision that was made when the candidates stood as `seen`.
    #[must_use]
    pub fn new(at: Duration, attempt: u8, course: Course<'_>, seen: Explanation) -> Self {
        let (decided, refusal, started) = match course {
            Course::Started(backend) => (Decided::Started, None, Some(backend)),
            Course::Waited => (Decided::Waited, None, None),
            Course::Refused(reason) => (Decided::Refused, Some(reason.name()), None),
        };
        let mut candidates: Vec<Weighed> =
            seen.candidates.into_iter().map(|verdict| Weighed::of(verdict, started)).collect();
        let candidates_left_out = candidates.len().saturating_sub(CANDIDATES_MAX);
        if let Some(chosen) = candidates.iter().position(|one| one.verdict == Verdict::Chosen)
            && chosen >= CANDIDATES_MAX
        {
            candidates.swap(chosen, CANDIDATES_MAX - 1);
        }
        candidates.truncate(CANDIDATES_MAX);
        Self { at_ms: millis(at), attempt, decided, refusal, candidates, candidates_left_out }
    }
}

impl Weighed {
    /// What was expected to be chosen need not have been: lots are drawn, and others ask meanwhile.
    fn of(verdict: CandidateVerdict, started: Option<&str>) -> Self {
        let CandidateVerdict { backend, pool, model, verdict, for_ms, .. } = verdict;
        let is_started = started == Some(&*backend);
        let verdict = if is_started {
            Verdict::Chosen
        } else if verdict == Verdict::Chosen {
            Verdict::Ready
        } else {
            verdict
        };
        Self { backend, pool, model, verdict, for_ms: for_ms.filter(|_| !is_started) }
    }
}

impl ToldLimit {
    /// The limit as a header told it.
    #[must_use]
    pub fn of(quota: &Quota) -> Self {
        let reset = quota.reset.map(|reset| match reset {
            Reset::Refilled(after) | Reset::Renewed(after) => millis(after),
        });
        Self {
            unit: match quota.unit {
                QuotaUnit::Requests => "requests",
                QuotaUnit::Tokens => "tokens",
            },
            limit: quota.limit,
            remaining: quota.remaining,
            period_ms: quota.period.map(millis),
            reset_ms: reset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Decision;

    fn seen(verdicts: &[(&str, Verdict)]) -> Explanation {
        let verdict = |(backend, verdict): &(&str, Verdict)| CandidateVerdict {
            backend: Arc::from(*backend),
            pool: "primary".into(),
            model: "m".into(),
            strategy: "least_in_flight",
            verdict: *verdict,
            for_ms: None,
            in_flight: 0,
            expected_wait_ms: 0,
        };
        Explanation {
            decision: Decision::Start,
            backend: None,
            earliest_in_ms: None,
            refusal: None,
            candidates: verdicts.iter().map(verdict).collect(),
        }
    }

    fn look(number: u8, course: Course<'_>, verdicts: &[(&str, Verdict)]) -> Look {
        Look::new(Duration::from_millis(u64::from(number)), number, course, seen(verdicts))
    }

    #[test]
    fn who_was_taken_is_chosen_whoever_was_expected() {
        let stood = [("a", Verdict::Chosen), ("b", Verdict::Ready), ("c", Verdict::Cooling)];
        for (course, expected) in [
            (Course::Started("a"), [Verdict::Chosen, Verdict::Ready, Verdict::Cooling]),
            (Course::Started("b"), [Verdict::Ready, Verdict::Chosen, Verdict::Cooling]),
            (Course::Waited, [Verdict::Ready, Verdict::Ready, Verdict::Cooling]),
            (Course::Refused(RefusedReason::QueueFull), [Verdict::Ready, Verdict::Ready, Verdict::Cooling]),
        ] {
            let kept = look(1, course, &stood);
            let verdicts: Vec<Verdict> = kept.candidates.iter().map(|one| one.verdict).collect();
            assert_eq!(verdicts, expected, "{course:?}");
            assert_eq!(kept.refusal.is_some(), kept.decided == Decided::Refused, "{course:?}");
        }
    }

    #[test]
    fn of_many_candidates_the_first_and_the_chosen_are_kept() {
        let names: Vec<String> = (0..CANDIDATES_MAX + 9).map(|number| format!("b{number}")).collect();
        let stood: Vec<(&str, Verdict)> = names.iter().map(|name| (name.as_str(), Verdict::Spent)).collect();
        let last = names.last().expect("there are some");
        let kept = look(1, Course::Started(last), &stood);
        assert_eq!((kept.candidates.len(), kept.candidates_left_out), (CANDIDATES_MAX, 9));
        assert_eq!(kept.candidates[0].backend.as_ref(), "b0");
        assert!(kept.candidates.iter().any(|one| *one.backend == **last && one.verdict == Verdict::Chosen));
    }

    #[test]
    fn of_many_decisions_the_first_ones_and_the_last_are_kept() {
        let mut reasons = Reasons::default();
        assert!(reasons.is_empty());
        for number in 1..=100 {
            reasons.note(look(number, Course::Waited, &[("a", Verdict::Full)]));
            reasons.learn(Learned {
                attempt: number,
                backend: "a".into(),
                retry_after_ms: (number > 1).then_some(1),
                limits: Vec::new(),
            });
        }
        let attempts: Vec<u8> = reasons.looks.iter().map(|look| look.attempt).collect();
        assert_eq!(attempts, [1, 2, 3, 4, 5, 6, 7, 100]);
        assert_eq!(reasons.left_out, 92);
        assert_eq!((reasons.learned.len(), reasons.learned[0].attempt), (LOOKS_MAX, 2));
        // As long as it ever gets, it is a small part of a line of the journal.
        let names: Vec<String> = (0..64).map(|number| format!("{number:064}")).collect();
        let stood: Vec<(&str, Verdict)> =
            names.iter().map(|name| (name.as_str(), Verdict::NotReady)).collect();
        let mut longest = Reasons::default();
        (1..=100).for_each(|number| longest.note(look(number, Course::Waited, &stood)));
        assert!(longest.text().len() < 32 * 1024, "{}", longest.text().len());
    }
}
