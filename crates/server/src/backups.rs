//! Decides when a running gateway copies its database, and when a copy is too old; it never copies onto a disk that would
//! then be short of room.

use std::time::Duration;

use control::config::BackupRules;
use control::publish::Publisher;
use gateway::{Clock, SystemClock};
use policy::{DAY_MS, Timestamp};
use store::audit::Author;
use store::{Backups, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// A start is busy enough by itself.
const FIRST_LOOK: Duration = Duration::from_secs(300);
const LOOKS: Duration = Duration::from_secs(3600);
/// What a copy must leave free.
const FLOOR_BYTES: u64 = 256 << 20;

/// Keeps backups for as long as the program runs, by the settings that are in force at each look.
pub(crate) async fn keep(backups: Backups, publisher: Publisher) {
    let mut looks = interval_at(Instant::now() + FIRST_LOOK, LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let rules = publisher.loaded().settings.backups;
        if let Err(error) = look(&backups, rules, SystemClock.wall()).await {
            tracing::error!(%error, "the daily backup could not be made; it is tried again within the hour");
        }
    }
}

/// Makes the day's backup where there is none yet, and lets the oldest go.
async fn look(backups: &Backups, rules: BackupRules, now: Timestamp) -> Result<(), StoreError> {
    if !rules.daily {
        return Ok(());
    }
    let newest = backups.list().await?.first().map(|newest| newest.at);
    if newest.is_some_and(|newest| now.0.saturating_sub(newest.0) < DAY_MS) {
        return Ok(());
    }
    let needed = backups.size().await?.saturating_add(FLOOR_BYTES);
    if let Some(free) = free_bytes(backups).filter(|free| *free < needed) {
        tracing::error!(free, needed, "the daily backup is not made: the disk has too little room");
        return Ok(());
    }
    let made = backups.create(Author::gateway(), now, |_, _| {}).await?;
    let gone = backups.forget(now, rules.age_max).await?;
    tracing::info!(name = made.name, bytes = made.bytes, gone, "the day's backup was made and is sound");
    Ok(())
}

/// What the disk has left; none when nobody can tell.
fn free_bytes(backups: &Backups) -> Option<u64> {
    let there = backups.folder().ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use store::{StoreOptions, Tools};

    use super::*;

    /// Looks each hour, by the rules of that hour, and gives the days of the copies that are left.
    async fn check(rules: impl Fn(i64) -> BackupRules, hours: i64, expected: &[i64]) {
        let folder = tempfile::tempdir().expect("a folder");
        let tools = Tools::open(folder.path(), StoreOptions::default()).expect("a store");
        let start = 1_780_272_000_000;
        for hour in 0..hours {
            let now = Timestamp(start + hour * 3_600_000);
            look(&tools.backups, rules(hour), now).await.expect("looked");
        }
        let kept = tools.backups.list().await.expect("listed");
        let days: Vec<i64> = kept.iter().map(|backup| (backup.at.0 - start) / DAY_MS).collect();
        assert_eq!(days, expected);
    }

    #[tokio::test]
    async fn a_backup_is_made_each_day_and_kept_for_so_many() {
        let rules = |daily, days: u64| BackupRules { daily, age_max: Duration::from_secs(days * 24 * 3600) };
        check(|_| rules(true, 7), 12 * 24, &[11, 10, 9, 8, 7, 6, 5, 4]).await;
        check(|_| rules(true, 2), 6 * 24, &[5, 4, 3]).await;
        check(|_| rules(false, 7), 3 * 24, &[]).await;
        // What is there stays while none is made.
        check(|hour| rules(hour < 48, 1), 6 * 24, &[1, 0]).await;
    }
}
