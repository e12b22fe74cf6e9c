//! P03: every attempt that may have cost money has exactly one ledger line, whatever happens to the process, the disk,
//! the database or the client.
//!
//! `LOCKGATE_PROVE_ROUNDS` sets the number of kills, `LOCKGATE_PROVE_SEED` their points and the load.

mod books;
mod disk;
mod load;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{Behaviour, Ending, GatewaySettings, HeldDatabase, ScriptedProvider, TestGateway};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fuse::{self, Fuse, Trigger};
use books::{Books, Tally};
use load::{Leaving, Load, Seen};

const BACKENDS: usize = 3;
const SEED: u64 = 20_261_121;
/// Nothing takes this long; a run that would is told apart from a slow one.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway before some providers that keep books.
struct Scene {
    gateway: TestGateway,
    providers: Vec<Arc<ScriptedProvider>>,
    load: Arc<Load>,
    fuse: Arc<Fuse>,
    seen: Vec<Seen>,
    _listeners: JoinSet<()>,
}

impl Scene {
    async fn start(seed: u64, leaving: Leaving) -> Self {
        Self::start_with(seed, leaving, |load| load).await
    }

    /// With every stream raced that is later than the median.
    async fn start_racing(seed: u64, leaving: Leaving) -> Self {
        const RACING: &str = "hedging: {enabled: true, quantile: 0.5, spend_max_percent: 100}\n";
        Self::start_by(RACING, seed, leaving, |load| load).await
    }

    async fn start_with(seed: u64, leaving: Leaving, changed: impl FnOnce(Load) -> Load) -> Self {
        Self::start_by("", seed, leaving, changed).await
    }

    /// With these lines in its configuration.
    async fn start_by(
        further: &str,
        seed: u64,
        leaving: Leaving,
        changed: impl FnOnce(Load) -> Load,
    ) -> Self {
        let mut providers = Vec::new();
        for _ in 0..BACKENDS {
            providers.push(Arc::new(ScriptedProvider::start().await));
        }
        let fuse = Arc::new(Fuse::default());
        let calls = Arc::new(watch::Sender::new(0));
        let mut listeners = JoinSet::new();
        for provider in &providers {
            let (provider, fuse, calls) = (Arc::clone(provider), Arc::clone(&fuse), Arc::clone(&calls));
            listeners.spawn(async move {
                loop {
                    provider.next_request().await;
                    fuse.burn(Trigger::Talk);
                    calls.send_modify(|calls| *calls += 1);
                }
            });
        }
        let settings = GatewaySettings::new(env!("CARGO_BIN_EXE_lockgate"))
            .config(further.to_owned() + &config(&providers));
        let gateway = settings.start().await.expect("a gateway");
        let load = Arc::new(changed(Load::new(seed, leaving, calls, Arc::clone(&fuse))));
        Self { gateway, providers, load, fuse, seen: Vec::new(), _listeners: listeners }
    }

    /// Has all of these asked.
    async fn ask(&mut self, numbers: Range<u64>) {
        let seen =
            timeout(PATIENCE, self.load.run(self.gateway.address(), numbers)).await.expect("answers in time");
        self.seen.extend(seen);
    }

    /// Ends the gateway in order, and holds its ledger against what the providers and the clients say.
    async fn close(&mut self) -> Tally {
        let ended = timeout(PATIENCE, self.gateway.stop()).await.expect("an end in time").expect("an end");
        assert!(ended.success(), "{ended}:\n{}", self.gateway.output());
        Books::open(&self.gateway.data(), &self.providers, &self.seen).audit()
    }

    fn disturb(&self, rng: &mut StdRng, hangs: Hangs) {
        for provider in &self.providers {
            provider.clear();
            for _ in 0..12 {
                provider.then(disturbance(rng));
            }
            if hangs == Hangs::Some && rng.random_ratio(1, 2) {
                provider.then(hang(rng));
            }
        }
    }
}

fn config(providers: &[Arc<ScriptedProvider>]) -> String {
    let backends = providers.iter().enumerate().map(|(index, provider)| {
        let url = provider.base_url();
        format!(
            "  - {{name: b{index}, kind: openai_compatible, base_url: \"{url}\", api_key: k, limits: {{rpm: 0}}, \
             models: {{m: {{price: {{input: 2, output: 3}}}}}}}}\n"
        )
    });
    // Nobody waits for a backend to be forgiven: this proof is about lines, and its providers are often unwell.
    format!(
        "log: {{level: error}}\ncooldown: {{base: 1ms, max: 2ms}}\nbreaker: {{base: 10ms, max: 20ms}}\n\
         adaptive: {{mode: off}}\nretry: {{budget_percent: 100}}\nbackends:\n{}",
        backends.collect::<String>()
    )
}

/// Whether some answers may never end: fit for a gateway that is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hangs {
    None,
    Some,
}

/// Half of the answers are healthy; the others break in one of the ways in which answers break.
fn disturbance(rng: &mut StdRng) -> Behaviour {
    let healthy = Behaviour::healthy().saying(load::ANSWER);
    match rng.random_range(0..22) {
        0 => Behaviour { usage: testkit::provider::UsageShown::EachChunk, ..healthy },
        1 => Behaviour { usage: testkit::provider::UsageShown::Never, ..healthy },
        2 => Behaviour::rate_limited(Duration::from_millis(1)),
        3 => Behaviour::error(500, "no"),
        4 => Behaviour::html(502),
        5 => Behaviour::bad_json(),
        6 => healthy.ending(Ending::CloseAt(rng.random_range(0..2500))),
        7 => healthy.ending(Ending::ResetAt(rng.random_range(0..2500))),
        8 => healthy.ending(Ending::CloseFirst),
        9 => healthy.ending(Ending::CloseInHead),
        10 => Behaviour { error_event_at: Some(rng.random_range(0..8)), ..healthy },
        11 => Behaviour { no_done: true, ..healthy },
        _ => healthy,
    }
}

/// Falls silent for ever, somewhere in the answer or between its last event and its end.
fn hang(rng: &mut StdRng) -> Behaviour {
    let healthy = Behaviour::healthy().saying(load::ANSWER);
    match rng.random_range(0..3) {
        0 => healthy.ending(Ending::HangAt(rng.random_range(0..2500))),
        _ => Behaviour { no_done: true, ..healthy }.ending(Ending::HangAt(u64::MAX)),
    }
}

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a whole number"))
}

fn seed() -> u64 {
    let seed = number_from_environment("LOCKGATE_PROVE_SEED", SEED);
    println!("LOCKGATE_PROVE_SEED={seed}");
    seed
}

#[tokio::test]
async fn p03_a_killed_gateway_neither_loses_nor_doubles_a_line() {
    let rounds = number_from_environment("LOCKGATE_PROVE_ROUNDS", 200);
    let seed = seed();
    let mut scene = Scene::start(seed, Leaving::Some).await;
    let _watcher = fuse::on_writing(&scene.gateway.data(), &scene.fuse);
    let mut died_starting = 0;
    for round in 0..rounds {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(round));
        scene.disturb(&mut rng, Hangs::Some);
        // A start after a kill writes some fifty times, so some die of that; a request has some ten things to see.
        let (trigger, length) = match rng.random_range(0..4) {
            0 => (Trigger::Writing, rng.random_range(1..=60)),
            1 => (Trigger::Writing, rng.random_range(60..=300)),
            _ => (Trigger::Talk, rng.random_range(1..=150)),
        };
        let fuse = Arc::clone(&scene.fuse);
        let started = scene.gateway.restart_doomed(|process| fuse.light(process, trigger, length));
        match timeout(PATIENCE, started).await.expect("a start in time").expect("a start") {
            Ok(()) => scene.ask(round * 1_000_000..(round + 1) * 1_000_000).await,
            Err(ended) => {
                assert!(fuse.is_blown(), "round {round}: {ended}:\n{}", scene.gateway.output());
                died_starting += 1;
            }
        }
        timeout(PATIENCE, scene.gateway.ended()).await.expect("killed in time").expect("killed");
        assert!(fuse.is_blown(), "round {round}: nobody killed it:\n{}", scene.gateway.output());
    }
    scene.gateway.restart().await.expect("a start");
    let tally = scene.close().await;
    println!("{rounds} kills, {died_starting} of them while starting; {tally:?}");
    assert!(tally.interrupted > rounds / 2 && tally.cancelled > rounds / 4, "{tally:?}");
    assert!(tally.succeeded > rounds && tally.failed > rounds / 2, "{tally:?}");
}

#[tokio::test]
async fn p03_each_client_that_leaves_has_its_lines() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut scene = Scene::start(seed, Leaving::Most).await;
    for part in 0..20 {
        scene.disturb(&mut rng, Hangs::None);
        scene.ask(part * 20..(part + 1) * 20).await;
    }
    let tally = scene.close().await;
    println!("{tally:?}");
    assert!(tally.cancelled > 25, "{tally:?}");
    assert_eq!(tally.interrupted, 0, "{tally:?}");
}

#[tokio::test]
async fn p03_attempts_that_race_have_a_line_each() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut scene = Scene::start_racing(seed, Leaving::Some).await;
    for round in 0..6 {
        let first = round * 1_000_000;
        // How late is late is learned anew with each start.
        scene.ask(first..first + 1000).await;
        scene.disturb(&mut rng, Hangs::None);
        let process = scene.gateway.process_id().expect("it runs");
        scene.fuse.light(process, Trigger::Talk, rng.random_range(1..=150));
        scene.ask(first + 1000..first + 1_000_000).await;
        timeout(PATIENCE, scene.gateway.ended()).await.expect("killed in time").expect("killed");
        assert!(scene.fuse.is_blown(), "round {round}: nobody killed it:\n{}", scene.gateway.output());
        scene.gateway.restart().await.expect("a start");
    }
    let tally = scene.close().await;
    println!("{tally:?}");
    assert!(tally.outrun > 10 && tally.interrupted > 2, "{tally:?}");
}

/// Moves the database with its log from one folder to the other, as far as they exist.
fn move_database(from: &Path, to: &Path) {
    for name in ["lockgate.db", "lockgate.db-wal", "lockgate.db-shm"] {
        if from.join(name).exists() {
            std::fs::rename(from.join(name), to.join(name)).expect("moved");
        }
    }
}

#[tokio::test]
async fn p03_a_database_that_is_locked_or_gone_fails_nobody_and_loses_nothing() {
    let mut scene = Scene::start(seed(), Leaving::None).await;
    scene.ask(0..50).await;
    let lock = HeldDatabase::lock(&scene.gateway.data()).expect("the lock");
    scene.ask(50..350).await;
    drop(lock);
    scene.ask(350..400).await;
    // Killed with the lock held: what only the journal has is taken over by the next start.
    let lock = HeldDatabase::lock(&scene.gateway.data()).expect("the lock");
    scene.ask(400..500).await;
    scene.gateway.kill().await.expect("killed");
    drop(lock);
    scene.gateway.restart().await.expect("a start");
    let away = tempfile::tempdir().expect("a folder");
    move_database(&scene.gateway.data(), away.path());
    scene.ask(500..800).await;
    move_database(away.path(), &scene.gateway.data());
    scene.ask(800..850).await;
    for seen in &scene.seen {
        assert!(seen.is_whole(), "{seen:?}");
    }
    let tally = scene.close().await;
    println!("{tally:?}");
    assert_eq!(tally.succeeded, 850, "{tally:?}");
    assert_eq!(tally.attempts, 850, "{tally:?}");
}
