//! What is kept, for whom and how long; never how it is written.

use policy::Timestamp;
use store::{Store, StoreOptions};

use super::*;

/// Wall time that a test moves.
struct Wall(std::sync::atomic::AtomicI64);

impl Wall {
    fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(millis.into()))
    }
}

impl Clock for Wall {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }
}

const MINUTE: KeptRules = KeptRules { time: Duration::from_secs(60), bytes_max: 1 << 20 };

/// A keeper over the store in a folder.
fn keeper(folder: &tempfile::TempDir, rules: KeptRules, wall: Arc<Wall>) -> Keeper {
    let Store { kept, .. } = Store::open(folder.path(), StoreOptions::default()).expect("the store opens");
    let keeper = Keeper::new(kept, wall);
    keeper.obey(rules, Instant::now());
    keeper
}

fn memory(owner: &str) -> Memory {
    Memory { body: Bytes::from_static(br#"{"input":"hello"}"#), past: Past::default(), owner: owner.into() }
}

fn response(id: &str) -> String {
    format!(r#"{{"id":"{id}","object":"response","status":"completed","output":[]}}"#)
}

#[tokio::test(start_paused = true)]
async fn a_response_is_its_owners_for_its_time_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeper_at = |wall| keeper(&folder, MINUTE, Wall::at(wall));
    let first = keeper_at(1_000_000);
    let now = Instant::now();
    assert_eq!(first.keep(&memory("a"), response("resp_1").as_bytes(), now), Some(Shelved::Taken));
    let check = |keeper: &Keeper, seconds_left: u64| {
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(keeper.find("resp_1", "a", later(seconds_left - 1)).is_some());
        for (id, owner, at) in [("resp_1", "b", 1), ("resp_1", "a", seconds_left), ("resp_2", "a", 1)] {
            assert!(keeper.find(id, owner, later(at)).is_none(), "{id} {owner} {at}");
        }
    };
    check(&first, 60);
    assert!(first.flush(Duration::from_secs(60)));
    drop(first);
    // Half a minute of the wall clock later.
    let second = keeper_at(1_030_000);
    check(&second, 30);
    second.forget("resp_1");
    assert!(second.find("resp_1", "a", now).is_none());
    assert_eq!(second.known().bytes, 0);
    assert!(second.flush(Duration::from_secs(60)));
    drop(second);
    assert!(keeper_at(1_030_000).find("resp_1", "a", now).is_none(), "forgotten on disk, too");
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_gone_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = keeper(&folder, MINUTE, Wall::at(0));
    first.keep(&memory("a"), response("resp_1").as_bytes(), Instant::now());
    drop(first);
    assert_eq!(keeper(&folder, MINUTE, Wall::at(60_000)).known().by_id.len(), 0);
    // Even if the clock were turned back.
    assert_eq!(keeper(&folder, MINUTE, Wall::at(0)).known().by_id.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_to_end_gives_way_at_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = KeptRules { bytes_max: 4 * 1024, ..MINUTE };
    let keeper = keeper(&folder, rules, Wall::at(0));
    let now = Instant::now();
    for number in 0..100_u64 {
        let at = now + Duration::from_millis(number);
        keeper.keep(&memory("a"), response(&format!("resp_{number}")).as_bytes(), at);
        assert!(keeper.known().bytes <= 4 * 1024);
        assert!(keeper.find(&format!("resp_{number}"), "a", at).is_some());
    }
    assert!(keeper.find("resp_0", "a", now).is_none());
    // One that is larger than all of it drives nobody out.
    let large = Memory { body: format!(r#"{{"input":"{}"}}"#, "x".repeat(5000)).into(), ..memory("a") };
    let before = keeper.known().by_id.len();
    assert_eq!(keeper.keep(&large, response("resp_large").as_bytes(), now), None);
    assert_eq!(keeper.known().by_id.len(), before);
    let known = keeper.known();
    assert_eq!(known.by_id.len(), known.by_end.len());
}

#[tokio::test(start_paused = true)]
async fn new_rules_are_those_of_what_is_kept_already() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = keeper(&folder, MINUTE, Wall::at(0));
    let now = Instant::now();
    for id in ["resp_1", "resp_2", "resp_3"] {
        keeper.keep(&memory("a"), response(id).as_bytes(), now);
    }
    let seconds = Duration::from_secs;
    keeper.obey(KeptRules { time: seconds(10), ..MINUTE }, now);
    assert!(keeper.find("resp_1", "a", now + seconds(9)).is_some());
    assert!(keeper.find("resp_1", "a", now + seconds(10)).is_none());
    keeper.obey(KeptRules { time: seconds(10), bytes_max: 1500 }, now);
    assert_eq!(keeper.known().by_id.len(), 2);
    assert!(keeper.find("resp_1", "a", now).is_none(), "the first one gives way");
    keeper.obey(KeptRules { time: Duration::ZERO, ..MINUTE }, now);
    assert_eq!(keeper.known().bytes, 0);
    assert_eq!(keeper.keep(&memory("a"), response("resp_4").as_bytes(), now), None);
}
