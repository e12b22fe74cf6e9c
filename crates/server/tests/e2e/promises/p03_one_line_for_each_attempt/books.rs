//! Holds the ledger against what the providers counted and the clients saw, call by call; never forgives a difference.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use testkit::{AttemptLine, LedgerRead, Received, ScriptedProvider, Sums};

use super::load::{End, Seen, request_id, tokens};

/// All three accounts of what happened.
pub(super) struct Books<'a> {
    ledger: LedgerRead,
    /// Calls by request and backend, in their order.
    calls: HashMap<(String, String), Vec<Received>>,
    seen: &'a [Seen],
}

/// What the ledger came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) attempts: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) interrupted: u64,
    /// Those of them that another one was faster than.
    pub(super) outrun: u64,
    /// Calls whose answers showed their usage and went out whole, by the providers' count.
    pub(super) counted: u64,
    /// Prompt and completion tokens of these whose lines must agree, and do.
    pub(super) agreed_tokens: (u64, u64),
}

impl<'a> Books<'a> {
    /// Opens the books of the gateway that used `data`.
    pub(super) fn open(data: &Path, providers: &[Arc<ScriptedProvider>], seen: &'a [Seen]) -> Self {
        let ledger = LedgerRead::of(data).expect("a ledger");
        let mut calls: HashMap<_, Vec<Received>> = HashMap::new();
        for (index, provider) in providers.iter().enumerate() {
            // Probes ask for models, with GET: they are nobody's request.
            for call in provider.received().into_iter().filter(|call| call.method == Method::POST) {
                let request = call.header("x-request-id").expect("every call names its request").to_owned();
                calls.entry((request, format!("b{index}"))).or_default().push(call);
            }
        }
        Self { ledger, calls, seen }
    }

    /// Compares everything.
    pub(super) fn audit(self) -> Tally {
        let mut tally = Tally::default();
        let mut lines: HashMap<&str, Vec<&AttemptLine>> = HashMap::new();
        for line in &self.ledger.attempts {
            let request = line.request_id.as_deref().unwrap_or_else(|| panic!("no receipt for {line:?}"));
            lines.entry(request).or_default().push(line);
            assert_eq!(
                line.cost,
                i128::from(line.input) * 2_000_000 + i128::from(line.output) * 3_000_000,
                "{line:?}"
            );
            tally.add(line);
        }
        let mut receipts: HashMap<&str, Vec<_>> = HashMap::new();
        for receipt in &self.ledger.receipts {
            receipts.entry(&receipt.request_id).or_default().push(receipt);
        }
        tally.requests = receipts.len() as u64;
        let mut left = self.calls.clone();
        for seen in self.seen {
            let id = request_id(seen.number);
            let lines = lines.remove(id.as_str()).unwrap_or_default();
            let receipts = receipts.remove(id.as_str()).unwrap_or_default();
            let numbers: Vec<usize> = lines.iter().map(|line| usize::from(line.number)).collect();
            assert_eq!(numbers, (1..=lines.len()).collect::<Vec<_>>(), "{seen:?}: {lines:?}");
            assert!(receipts.len() <= 1 && receipts.len() >= lines.len().min(1), "{seen:?}: {receipts:?}");
            for receipt in &receipts {
                assert_eq!(usize::from(receipt.attempts), lines.len(), "{seen:?}: {receipt:?}, {lines:?}");
            }
            if seen.is_whole() {
                assert_eq!(receipts.first().map(|receipt| &*receipt.outcome), Some("completed"), "{seen:?}");
            }
            against_client(seen, &lines);
            against_providers(seen, &lines, &mut left, &mut tally);
        }
        assert!(lines.is_empty(), "lines of requests that nobody made: {lines:?}");
        assert!(receipts.is_empty(), "receipts of requests that nobody made: {receipts:?}");
        assert!(left.is_empty(), "calls without a line: {left:?}");
        let sums = self.ledger.sums();
        assert_eq!((self.ledger.daily, self.ledger.hourly), (sums, Sums { ..sums }), "the roll-ups");
        tally
    }
}

impl Tally {
    fn add(&mut self, line: &AttemptLine) {
        self.attempts += 1;
        self.outrun += u64::from(is_outrun(line));
        match line.outcome.as_str() {
            "succeeded" => self.succeeded += 1,
            "failed" => self.failed += 1,
            "cancelled" => self.cancelled += 1,
            "interrupted" => self.interrupted += 1,
            other => panic!("{other}: {line:?}"),
        }
    }
}

fn is_cut_off(line: &AttemptLine) -> bool {
    matches!(line.outcome.as_str(), "cancelled" | "interrupted")
}

/// Two raced, and this one was given up.
fn is_outrun(line: &AttemptLine) -> bool {
    line.error_code.as_deref() == Some("hedge_lost")
}

/// What the client knows of its request, the ledger knows too.
fn against_client(seen: &Seen, lines: &[&AttemptLine]) {
    if let Some(attempts) = seen.attempts {
        assert_eq!(lines.len(), attempts, "{seen:?}: {lines:?}");
    }
    // One that was outrun may be the later one.
    let Some(last) = lines.iter().rfind(|line| !is_outrun(line)) else {
        assert!(matches!(seen.end, End::Refused(_) | End::Left | End::Lost), "{seen:?} has no line");
        return;
    };
    if seen.is_whole() {
        assert_eq!(last.outcome, "succeeded", "{seen:?}: {lines:?}");
    }
    // Whatever became of the rest: figures that the gateway has passed on, it has charged.
    if let Some(usage) = seen.usage {
        assert_eq!((last.input, last.output), usage, "{seen:?}: {lines:?}");
    }
}

/// What the providers did has its line, with the tokens that they counted.
fn against_providers(
    seen: &Seen,
    lines: &[&AttemptLine],
    left: &mut HashMap<(String, String), Vec<Received>>,
    tally: &mut Tally,
) {
    let id = request_id(seen.number);
    let mut taken: HashMap<&str, std::vec::IntoIter<Received>> = HashMap::new();
    for (index, line) in lines.iter().enumerate() {
        let calls = taken.entry(&line.backend).or_insert_with(|| {
            left.remove(&(id.clone(), line.backend.clone())).unwrap_or_default().into_iter()
        });
        let cut_off = is_cut_off(line);
        let Some(call) = calls.next() else {
            // It died, its client left, or the other of two answered, between the line and the call.
            let is_last = lines[index + 1..].iter().all(|later| is_cut_off(later));
            // Or the provider closed a kept connection just as the request went out on it: what was not read may have
            // been, for all that the gateway can know, so it has its line.
            let is_unread = line.outcome == "failed" && line.error_code.as_deref() == Some("reset");
            assert!((cut_off && is_last) || is_unread, "{seen:?}: nobody was called for {line:?}");
            continue;
        };
        let (input, output) = tokens(seen);
        if line.usage_source == "provider" {
            assert_eq!((line.input, line.output), (input, output), "{seen:?}: {line:?}");
        }
        if cut_off {
            assert!(
                line.input > 0,
                "{seen:?}: a call that may have cost something is charged nothing: {line:?}"
            );
        }
        if let Some(counted) = call.fate().and_then(|gone| gone.usage) {
            tally.counted += 1;
            assert_eq!(counted, (input, output), "{seen:?}: the provider's own count");
            if !cut_off {
                assert_eq!((line.input, line.output), counted, "{seen:?}: {line:?}");
                tally.agreed_tokens.0 += counted.0;
                tally.agreed_tokens.1 += counted.1;
            }
        }
    }
    for (backend, calls) in taken {
        assert_eq!(calls.as_slice().len(), 0, "{seen:?}: {backend} was called more often than {lines:?} say");
    }
}
