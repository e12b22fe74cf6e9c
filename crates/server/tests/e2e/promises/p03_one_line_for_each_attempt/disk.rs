//! Gives a gateway a small disk of its own and fills it: what is not recorded is not called, and room brings it back.

use std::io::Write;
use std::path::Path;

use testkit::{run_on_small_disk, small_disk};
use tokio::time::{Instant, timeout};

use super::load::{End, Leaving, Load, Seen};
use super::{PATIENCE, Scene, seed};

const TEST: &str = "promises::p03_one_line_for_each_attempt::disk::full_disk_process";

#[test]
fn p03_on_a_full_disk_nothing_is_called_that_cannot_be_recorded() {
    // Room for the first piece of the journal and the database, and with the ballast gone for more of both.
    println!("{}", run_on_small_disk(TEST, "192m"));
}

fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("a file");
    for size in [64 * 1024, 4096, 1] {
        while file.write(&vec![1; size]).is_ok_and(|written| written == size) {}
    }
}

#[tokio::test]
#[ignore = "run in a process of its own, on a disk of its own"]
async fn full_disk_process() {
    let disk = small_disk();
    // The journal begins with one piece of its own, and is refused a second one.
    let (ballast, filler) = (disk.join("ballast"), disk.join("filler"));
    std::fs::write(&ballast, vec![1; 80 << 20]).expect("written");
    let mut scene = Scene::start_with(seed(), Leaving::None, Load::verbose).await;
    scene.ask(0..50).await;
    fill(&filler);
    let mut asked = 50;
    while scene.seen.iter().all(|seen| seen.end != End::Refused(503)) {
        assert!(asked < 100_000, "the disk never filled up");
        scene.ask(asked..asked + 200).await;
        asked += 200;
    }
    // What those at work together gave back may do for a few more, one by one.
    while scene.seen.last().is_some_and(Seen::is_whole) {
        scene.ask(asked..asked + 1).await;
        asked += 1;
    }
    let (client, body) = (scene.gateway.client(), serde_json::json!({"model": "m", "input": "a"}));
    let refused = client.post("/v1/embeddings", &body);
    let mut refused = timeout(PATIENCE, refused).await.expect("an answer in time").expect("an answer");
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("5")));
    let body = refused.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "journal_full", "{body}");
    for seen in &scene.seen {
        assert!(matches!(seen.end, End::Whole | End::Refused(503)), "{seen:?}");
    }
    std::fs::remove_file(filler).expect("removed");
    std::fs::remove_file(ballast).expect("removed");
    let deadline = Instant::now() + PATIENCE;
    while !scene.seen.last().is_some_and(Seen::is_whole) {
        assert!(Instant::now() < deadline, "room must bring it back");
        scene.ask(asked..asked + 1).await;
        asked += 1;
    }
    scene.ask(asked..asked + 100).await;
    let tally = scene.close().await;
    println!("{asked} asked: {tally:?}");
    assert_eq!(tally.succeeded, tally.attempts, "{tally:?}");
    assert_eq!(tally.counted, tally.attempts, "{tally:?}");
}
