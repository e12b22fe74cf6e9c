//! P16: rotating the master key, or a provider's, fails no request and loses no secret, even killed half-way.
//!
//! `LOCKGATE_PROVE_ROUNDS` sets the number of rotations and of kills.

mod stage;

use std::sync::Arc;
use std::time::Duration;

use testkit::GatewaySettings;
use tokio::time::timeout;

use super::fuse::{self, Fuse, Trigger};
use crate::cli::LOCKGATE;
use stage::{BACKENDS, Clients, Stage};

/// Nothing takes this long; a run that would is told apart from a slow one.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than what changes on the disk in one rotation.
const STEPS: u64 = 16;
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NEXT_KEY: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn rounds(default: u64) -> u64 {
    let named = std::env::var("LOCKGATE_PROVE_ROUNDS").ok();
    named.map_or(default, |text| text.parse().expect("a whole number"))
}

#[tokio::test]
async fn p16_rotations_at_full_load_fail_no_request() {
    let mut stage = Stage::start(GatewaySettings::new(LOCKGATE)).await;
    let clients = Clients::start(&stage, 8);
    let mut ids = vec![stage.key_id().await];
    for round in 0..rounds(9) {
        timeout(PATIENCE, clients.made(40)).await.expect("requests go on");
        match round % 3 {
            0 => assert_eq!(stage.rotate("{}").await, Some(200), "round {round}"),
            1 => stage.rotate_by_command().await,
            _ => {
                stage.replace_credential(0).await.expect("it answers");
                // From the answer on the old one goes to nobody.
                stage.assert_shown(0).await;
                continue;
            }
        }
        ids.push(stage.key_id().await);
    }
    timeout(PATIENCE, clients.made(40)).await.expect("requests go on");
    let (made, failed) = clients.stop().await;
    println!("{made} requests went on through {} master keys", ids.len());
    assert_eq!(failed, Vec::<String>::new(), "of {made}");
    let rotated = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rotated, "each rotation brings a key of its own");
    stage.assert_whole().await;
    stage.gateway.kill().await.expect("killed");
    stage.gateway.restart().await.expect("a start");
    stage.assert_whole().await;
}

#[tokio::test]
async fn p16_a_rotation_killed_at_any_moment_loses_no_secret() {
    let mut stage = Stage::start(GatewaySettings::new(LOCKGATE)).await;
    let fuse = Arc::new(Fuse::default());
    let _watcher = fuse::on_writing(&stage.gateway.data(), &fuse);
    let (rounds, mut killed, mut half_way) = (rounds(32), 0, 0);
    for round in 0..rounds {
        let clients = Clients::start(&stage, 4);
        timeout(PATIENCE, clients.made(4)).await.expect("requests go on");
        let process = stage.gateway.process_id().expect("it runs");
        let length = u32::try_from(1 + round / 2 % STEPS).expect("a small number");
        fuse.light(process, Trigger::Rotating, length);
        // In turn: the master key, and a provider's.
        if round % 2 == 0 {
            stage.rotate("{}").await;
        } else {
            stage.replace_credential(1).await.unwrap_or_default();
        }
        match fuse.put_out() {
            true => killed += 1,
            // It was through before: killed at its end, then.
            false => stage.gateway.kill().await.expect("killed"),
        }
        timeout(PATIENCE, stage.gateway.ended()).await.expect("killed in time").expect("killed");
        clients.stop().await;
        half_way += u32::from(stage.gateway.data().join("master.key.next").exists());
        stage.gateway.restart().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        stage.assert_whole().await;
    }
    println!("{rounds} kills, {killed} of them in a change, {half_way} with two master keys on the disk");
    assert!(killed > 0, "no kill met a change");
}

#[tokio::test]
async fn p16_whatever_step_was_the_last_the_next_start_goes_on() {
    let mut stage = Stage::start(GatewaySettings::new(LOCKGATE)).await;
    let (file, next) =
        (stage.gateway.data().join("master.key"), stage.gateway.data().join("master.key.next"));
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("a key file");
    // The next key is announced, and nothing is under it yet.
    stage.gateway.kill().await.expect("killed");
    std::fs::write(&next, format!("{NEXT_KEY}\n")).expect("written");
    let before = read(&file);
    stage.gateway.restart().await.expect("a start");
    stage.assert_whole().await;
    assert_eq!(read(&file), before);
    // Everything is under the next key, which is not in its place yet.
    assert_eq!(stage.rotate("{}").await, Some(200));
    let after = read(&file);
    assert_ne!(after, before);
    stage.gateway.kill().await.expect("killed");
    std::fs::rename(&file, &next).expect("renamed");
    std::fs::write(&file, &before).expect("written");
    stage.gateway.restart().await.expect("a start");
    stage.assert_whole().await;
    assert_eq!((read(&file), next.exists()), (after, false));
    assert_eq!(stage.rotate("{}").await, Some(200), "and the next rotation is as the first");
    stage.assert_whole().await;
}

#[tokio::test]
async fn p16_a_key_that_the_operator_keeps_is_rotated_too() {
    let settings = GatewaySettings::new(LOCKGATE)
        .variable("LOCKGATE_MASTER_KEY", KEY)
        .variable("LOCKGATE_MASTER_KEY_NEXT", NEXT_KEY);
    let mut stage = Stage::start(settings).await;
    let clients = Clients::start(&stage, 4);
    let before = stage.key_id().await;
    timeout(PATIENCE, clients.made(10)).await.expect("requests go on");
    assert_eq!(stage.rotate("{}").await, Some(200));
    timeout(PATIENCE, clients.made(10)).await.expect("requests go on");
    let (_, failed) = clients.stop().await;
    assert_eq!(failed, Vec::<String>::new());
    assert_ne!(stage.key_id().await, before);
    stage.assert_whole().await;
    // Killed before anybody put the next key into the place of the first: whichever fits is taken.
    stage.gateway.kill().await.expect("killed");
    stage.gateway.restart().await.expect("a start");
    stage.assert_whole().await;
    assert!(!stage.gateway.data().join("master.key").exists(), "{BACKENDS} secrets, and no key beside them");
}
