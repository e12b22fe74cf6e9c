//! Decides when a running gateway copies its database: once a day, and for a week; it never copies onto a disk that would
//! then be short of room.

use std::time::Duration;

use gateway::{Clock, SystemClock};
use policy::Timestamp;
use store::audit::Author;
use store::{Backups, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// A start is busy enough by itself.
const FIRST_LOOK: Duration = Duration::from_secs(300);
const LOOKS: Duration = Duration::from_secs(3600);
const DAY_MS: i64 = 24 * 3_600_000;
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// What a copy must leave free.
const FLOOR_BYTES: u64 = 256 << 20;

/// Keeps backups for as long as the program runs.
pub(crate) async fn keep(backups: Backups) {
    let mut looks = interval_at(Instant::now() + FIRST_LOOK, LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Err(error) = look(&backups, SystemClock.wall()).await {
            tracing::error!(%error, "the daily backup could not be made; it is tried again within the hour");
        }
    }
}

/// Makes the day's backup where there is none yet, and lets the oldest go.
async fn look(backups: &Backups, now: Timestamp) -> Result<(), StoreError> {
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
    let gone = backups.forget(now, KEPT).await?;
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

    #[tokio::test]
    async fn a_backup_is_made_each_day_and_kept_for_a_week() {
        let folder = tempfile::tempdir().expect("a folder");
        let tools = Tools::open(folder.path(), StoreOptions::default()).expect("a store");
        let start = 1_780_272_000_000;
        for hour in 0..12 * 24 {
            look(&tools.backups, Timestamp(start + hour * 3_600_000)).await.expect("looked");
        }
        let kept = tools.backups.list().await.expect("listed");
        let days: Vec<i64> = kept.iter().map(|backup| (backup.at.0 - start) / DAY_MS).collect();
        assert_eq!(days, [11, 10, 9, 8, 7, 6, 5, 4]);
    }
}
