//! Measures what remembering a request costs: in its path, and in the mover behind it. Judges nothing.
//!
//! `cargo bench -p store`

#[path = "../tests/it/scene.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod scene;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use store::{JournalSettings, MoverSettings, Store, StoreOptions};
use tokio::time::Instant;

const REQUESTS: u64 = 50_000;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn report(what: &str, wall: Duration, cpu: Duration, count: u64) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    println!("{what}: {:.2} us wall, {:.2} us CPU each", each(wall), each(cpu));
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = StoreOptions {
        journal: JournalSettings { disk_floor_bytes: 0, ..JournalSettings::default() },
        // The mover sleeps while the path is measured, and is woken by the flush.
        mover: MoverSettings {
            interval: Duration::from_secs(3600),
            batch_entries: 10_000,
            ..MoverSettings::default()
        },
        ..StoreOptions::default()
    };
    let store = Store::open(dir.path(), options).expect("the store opens");
    let lock = rusqlite::Connection::open(dir.path().join("lockgate.db")).expect("the database");
    lock.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let entries: Vec<_> = (0..REQUESTS).map(|n| (scene::opened(n, 1), scene::settled(n, 1))).collect();
    let (started, used) = (Instant::now(), cpu());
    for (opened, settled) in &entries {
        let mut reservation = store.journal.reserve().expect("room");
        reservation.write(opened).expect("a line");
        reservation.write(settled).expect("a line");
    }
    report("reserve + opened + settled", started.elapsed(), cpu() - used, REQUESTS);
    println!("journal: {} bytes each", store.journal.lag().bytes / REQUESTS);
    let (started, used) = (Instant::now(), cpu());
    for (opened, settled) in &entries {
        for entry in [opened, settled] {
            let mut payload = Vec::new();
            store::journal::entry::encode(entry, &mut payload);
            std::hint::black_box(store::journal::entry::decode(&payload));
        }
    }
    report("encoding and decoding alone", started.elapsed(), cpu() - used, REQUESTS);
    drop(lock);
    let (started, used) = (Instant::now(), cpu());
    assert!(store.mover.flush(Duration::from_secs(120)), "{:?}", store.mover.lag());
    report("mover, batches of 5,000 receipts", started.elapsed(), cpu() - used, REQUESTS);
    let (started, used) = (Instant::now(), cpu());
    for _ in 0..REQUESTS {
        drop(store.journal.reserve());
    }
    report("reserve alone", started.elapsed(), cpu() - used, REQUESTS);
}
