//! Looks at the machine: its clock, how many files a process may open, and the programs of local processes; never changes any.

use std::path::Path;

use control::config::Settings;
use gateway::{Clock, SystemClock};
use policy::Timestamp;
use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};
use store::has_database;

use super::super::desk::Desk;
use super::super::moment;
use super::super::place::Place;
use super::Finding;

/// Nobody runs this release before it was written: 2026-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp(1_767_225_600_000);
/// Clocks that are kept right differ by less.
const SKEW_MS: i64 = 5 * 60_000;
/// Files besides connections: the journal, the database, listeners.
const FILES_OWN: u64 = 128;

pub(super) async fn look(place: &Place, settings: &Settings) -> Vec<Finding> {
    let mut findings =
        vec![clock(newest_receipt(place, settings).await, SystemClock.wall()), files(settings)];
    findings.extend(settings.processes.iter().map(|pool| program(&pool.name, &pool.program)));
    findings
}

/// Whether a program of a pool can be started, as far as that can be seen.
fn program(pool: &str, program: &Path) -> Finding {
    let shown = program.display();
    let advice = format!("name its program under `process:` of the backend `{pool}`, by its whole path");
    if program.components().count() == 1 {
        return Finding::ok(pool, format!("{shown} is looked for along PATH when it is started"));
    }
    match std::fs::metadata(program) {
        Err(error) => Finding::fail(pool, format!("{shown}: {error}"), advice),
        Ok(found) if !found.is_file() => Finding::fail(pool, format!("{shown} is no file"), advice),
        Ok(_) => match access(program, Access::EXEC_OK) {
            Ok(()) => Finding::ok(pool, format!("{shown} can be started")),
            Err(error) => {
                Finding::fail(pool, format!("{shown} cannot be executed: {error}"), "`chmod +x` makes it so")
            }
        },
    }
}

async fn newest_receipt(place: &Place, settings: &Settings) -> Option<Timestamp> {
    if !has_database(&settings.data_dir) {
        return None;
    }
    // A store that cannot be opened has a finding of its own.
    let recent = Desk::look(place).ok()?.ledger.recent(None, 1).await.ok()?;
    recent.first().map(|receipt| receipt.at)
}

fn clock(newest_receipt: Option<Timestamp>, now: Timestamp) -> Finding {
    let shown = format!("{} UTC", moment::minute(now));
    let advice = "set the clock, and keep it right with NTP: limits, expiries and bills go by it";
    if now < EARLIEST {
        return Finding::fail("clock", format!("it shows {shown}, before this release was made"), advice);
    }
    match newest_receipt {
        Some(newest) if newest.0 > now.0.saturating_add(SKEW_MS) => {
            let then = moment::minute(newest);
            Finding::warn("clock", format!("it shows {shown}, and a request was recorded at {then}"), advice)
        }
        Some(_) | None => Finding::ok("clock", shown),
    }
}

fn files(settings: &Settings) -> Finding {
    let limit = getrlimit(Resource::Nofile);
    // Each request in flight holds a connection to a client and one to a backend.
    let needed = u64::from(settings.limits.max_in_flight).saturating_mul(2).saturating_add(FILES_OWN);
    files_finding(limit.current, needed)
}

fn files_finding(limit: Option<u64>, needed: u64) -> Finding {
    match limit {
        Some(limit) if limit < needed => Finding::warn(
            "open files",
            format!("a process may open {limit}, and limits.max_in_flight can need {needed}"),
            "raise it (`ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit), or lower limits.max_in_flight",
        ),
        Some(limit) => Finding::ok("open files", format!("a process may open {limit}")),
        None => Finding::ok("open files", "a process may open as many as it likes"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_program_that_cannot_be_started_is_told_before_anybody_asks_for_it() {
        for (path, verdict, says) in [
            ("/bin/sh", Verdict::Ok, "can be started"),
            ("sh", Verdict::Ok, "along PATH"),
            ("/nowhere/at/all", Verdict::Fail, "No such file"),
            ("/usr", Verdict::Fail, "is no file"),
            ("/proc/version", Verdict::Fail, "cannot be executed"),
        ] {
            let finding = program("local", Path::new(path));
            assert_eq!(finding.verdict, verdict, "{path}: {}", finding.says);
            assert!(finding.says.contains(says), "{path}: {}", finding.says);
        }
    }

    #[test]
    fn a_clock_is_judged_by_what_must_lie_behind_it() {
        let now = Timestamp(EARLIEST.0 + 1_000_000_000);
        for (newest, now, verdict) in [
            (None, now, Verdict::Ok),
            (Some(now), now, Verdict::Ok),
            (Some(Timestamp(now.0 + SKEW_MS + 1)), now, Verdict::Warn),
            (None, Timestamp(0), Verdict::Fail),
        ] {
            assert_eq!(clock(newest, now).verdict, verdict, "{newest:?} at {now:?}");
        }
    }

    #[test]
    fn too_few_files_are_told_with_what_is_needed() {
        for (limit, verdict) in [(Some(1024), Verdict::Warn), (Some(65536), Verdict::Ok), (None, Verdict::Ok)]
        {
            assert_eq!(files_finding(limit, 4128).verdict, verdict, "{limit:?}");
        }
    }
}
