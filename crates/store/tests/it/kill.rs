//! kill -9 at random points under load: every acknowledged line is in the ledger exactly once.
//!
//! `LOCKGATE_PROVE_ROUNDS` sets the number of kills, `LOCKGATE_PROVE_SEED` their points.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use policy::{Amount, AttemptOutcome, Entry, TicketId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use store::Reservation;
use store::ledger::Range;

use crate::scene::{self, flush, open};

const DIR: &str = "LOCKGATE_WRITER_DIR";
const ROUND: &str = "LOCKGATE_WRITER_ROUND";
const THREADS: u64 = 2;

/// What the writer said it wrote, and when it said so the line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Said {
    Opened(u64, u8),
    Metered(u64, u64),
    Settled(u64, u8),
}

fn say(word: &str, numbers: &[u64]) {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    let line = format!("\nsaid {word} {}\n", numbers.join(" "));
    // One write for the whole line: the reader never sees half an acknowledgement.
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("the parent listens until it kills");
}

fn heard(line: &str) -> Option<Said> {
    let mut words = line.strip_prefix("said ")?.split(' ');
    let kind = words.next()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let (n, more) = (number()?, number()?);
    let small = u8::try_from(more).ok();
    match kind {
        "opened" => Some(Said::Opened(n, small?)),
        "metered" => Some(Said::Metered(n, more)),
        "settled" => Some(Said::Settled(n, small?)),
        _ => None,
    }
}

#[test]
#[ignore = "the process that a_killed_process_loses_nothing_it_acknowledged starts and kills"]
fn writer_process() {
    let (Ok(dir), Ok(round)) = (std::env::var(DIR), std::env::var(ROUND)) else { return };
    let round: u64 = round.parse().expect("a number");
    say("opening", &[0, 0]);
    let store = open(Path::new(&dir));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for i in 0..100_000 {
                    write_request(
                        store.journal.reserve().expect("room"),
                        round * 1_000_000 + thread * 100_000 + i,
                    );
                }
            });
        }
    });
    panic!("nobody killed the writer");
}

fn write_request(mut reservation: Reservation, n: u64) {
    let attempts = if n.is_multiple_of(5) { 2_u8 } else { 1 };
    for number in 1..=attempts {
        reservation.write(&scene::opened(n, number)).expect("a line");
        say("opened", &[n, number.into()]);
        if number < attempts {
            reservation
                .write(&Entry::Closed(scene::close(n, number, AttemptOutcome::Failed)))
                .expect("a line");
        }
    }
    for output in 0..n % 3 {
        reservation.write(&scene::progress(n, attempts, output)).expect("a line");
        say("metered", &[n, output]);
    }
    reservation.write(&scene::settled(n, attempts)).expect("a line");
    say("settled", &[n, attempts.into()]);
}

/// Runs the writer and kills it when it has said `patience` things; at 0 while it opens the store.
fn run_and_kill(dir: &Path, round: u64, patience: usize) -> Vec<Said> {
    let mut writer = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "kill::writer_process", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the writer starts");
    let mut said = Vec::new();
    let mut killed = false;
    for line in BufReader::new(writer.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        said.extend(heard(&line));
        if !killed && line.starts_with("said") && said.len() >= patience {
            writer.kill().expect("killed");
            killed = true;
        }
    }
    let status = writer.wait().expect("it ended");
    assert!(killed && !status.success(), "the writer must not end by itself: {status}");
    said
}

struct Line {
    outcome: String,
    cost: Amount,
}

fn amount(micros: i64, picos: i64) -> Amount {
    Amount(i128::from(micros) * 1_000_000 + i128::from(picos))
}

/// Every attempt in the ledger, by number of its request and its own.
fn lines(dir: &Path) -> HashMap<(u64, u8), Vec<Line>> {
    let connection = rusqlite::Connection::open(dir.join("lockgate.db")).expect("the database");
    let mut statement = connection
        .prepare("SELECT ticket, number, outcome, cost_micros, cost_picos FROM attempts")
        .expect("a statement");
    let rows = statement.query_map([], |row| {
        let n = scene::number_of(TicketId(u128::from_be_bytes(row.get(0)?)));
        Ok(((n, row.get(1)?), Line { outcome: row.get(2)?, cost: amount(row.get(3)?, row.get(4)?) }))
    });
    let mut lines: HashMap<(u64, u8), Vec<Line>> = HashMap::new();
    for row in rows.expect("rows") {
        let (id, line) = row.expect("a row");
        lines.entry(id).or_default().push(line);
    }
    lines
}

fn receipts(dir: &Path) -> HashMap<u64, Vec<String>> {
    let connection = rusqlite::Connection::open(dir.join("lockgate.db")).expect("the database");
    let mut statement = connection.prepare("SELECT ticket, outcome FROM receipts").expect("a statement");
    let rows = statement.query_map([], |row| {
        Ok((scene::number_of(TicketId(u128::from_be_bytes(row.get(0)?))), row.get::<_, String>(1)?))
    });
    let mut receipts: HashMap<u64, Vec<String>> = HashMap::new();
    for row in rows.expect("rows") {
        let (n, outcome) = row.expect("a row");
        receipts.entry(n).or_default().push(outcome);
    }
    receipts
}

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a whole number"))
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let rounds = number_from_environment("LOCKGATE_PROVE_ROUNDS", 200);
    let seed = number_from_environment("LOCKGATE_PROVE_SEED", 20_260_101);
    println!("{rounds} kills, seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let mut said = Vec::new();
    for round in 0..rounds {
        let patience = if rng.random_ratio(1, 8) { 0 } else { rng.random_range(1..400) };
        said.extend(run_and_kill(dir.path(), round, patience));
    }
    assert!(said.len() as u64 > rounds * 50, "too little was written: {}", said.len());
    let store = open(dir.path());
    flush(&store);
    let (lines, receipts) = (lines(dir.path()), receipts(dir.path()));
    check_said(&said, &lines, &receipts);
    check_unsaid(rounds, &said, &lines, &receipts);
    let verdict = store.ledger.verify().await.expect("verified");
    assert_eq!(verdict.differences, 0);
    assert_eq!((verdict.attempts, verdict.receipts), (lines.len() as u64, receipts.len() as u64));
    let total: Amount = lines.values().flatten().map(|line| line.cost).sum();
    assert_eq!(store.ledger.totals(Range::ALL).await.expect("totals").cost, total);
    println!("{} acknowledgements, {} attempts, {} receipts", said.len(), lines.len(), receipts.len());
}

/// Everything that was said is there, once, with the money that follows from it.
fn check_said(said: &[Said], lines: &HashMap<(u64, u8), Vec<Line>>, receipts: &HashMap<u64, Vec<String>>) {
    let (mut metered, mut settled) = (HashMap::new(), HashMap::new());
    for one in said {
        match *one {
            Said::Metered(n, output) => drop(metered.insert(n, output)),
            Said::Settled(n, attempts) => drop(settled.insert(n, attempts)),
            Said::Opened(..) => {}
        }
    }
    let (mut expected, mut found) = (Amount::ZERO, Amount::ZERO);
    for one in said {
        let Said::Opened(n, number) = *one else { continue };
        let [line] = lines.get(&(n, number)).map_or(&[][..], Vec::as_slice) else {
            panic!("request {n}, attempt {number}: must have exactly one line");
        };
        assert_eq!(receipts.get(&n).map(Vec::len), Some(1), "request {n}");
        let used = scene::cost(scene::used(n));
        match line.outcome.as_str() {
            "succeeded" => assert_eq!(line.cost, used, "request {n}"),
            "failed" => assert_eq!(line.cost, Amount::ZERO, "request {n}"),
            "interrupted" => {
                // What was said last, or one more that was written and could not be said any more.
                let next = metered.get(&n).map_or(0, |output| output + 1);
                let mut possible: Vec<_> = [next.checked_sub(1), Some(next)]
                    .into_iter()
                    .flatten()
                    .map(|o| scene::usage(n, o))
                    .collect();
                possible.extend(next.checked_sub(1).is_none().then(|| scene::estimated(n)));
                assert!(
                    possible.iter().any(|usage| scene::cost(*usage) == line.cost),
                    "request {n}: {:?}",
                    line.cost
                );
            }
            other => panic!("request {n}: {other}"),
        }
        if let Some(attempts) = settled.get(&n) {
            assert_eq!(receipts[&n], ["completed"], "request {n}");
            let outcome = if number == *attempts { "succeeded" } else { "failed" };
            assert_eq!(line.outcome, outcome, "request {n}, attempt {number}");
            found = found.saturating_add(line.cost);
        }
    }
    for n in settled.keys() {
        expected = expected.saturating_add(scene::cost(scene::used(*n)));
    }
    assert_eq!(found, expected, "the sum of what the writer was charged for");
}

/// What was not said can only be what was being written when the process died.
fn check_unsaid(
    rounds: u64,
    said: &[Said],
    lines: &HashMap<(u64, u8), Vec<Line>>,
    receipts: &HashMap<u64, Vec<String>>,
) {
    let opened: std::collections::HashSet<_> = said
        .iter()
        .filter_map(|one| match *one {
            Said::Opened(n, number) => Some((n, number)),
            Said::Metered(..) | Said::Settled(..) => None,
        })
        .collect();
    let unsaid = lines.keys().filter(|id| !opened.contains(id)).count() as u64;
    assert!(unsaid <= rounds * THREADS, "{unsaid} attempts that nobody made");
    assert!(lines.values().all(|lines| lines.len() == 1), "an attempt is charged twice");
    assert!(receipts.values().all(|receipts| receipts.len() == 1), "a ticket has two receipts");
    let with_lines: std::collections::HashSet<_> = lines.keys().map(|(n, _)| *n).collect();
    assert_eq!(with_lines, receipts.keys().copied().collect(), "each ticket with an attempt has its receipt");
}
