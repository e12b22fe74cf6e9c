//! Measures what policy costs a request, from admission to settlement, for worlds of several sizes; asserts only that each
//! request went the way it should.
//!
//! `cargo bench -p policy` prints CPU time per round. `-- --count NAME ROUNDS` plays so many rounds of one and prints
//! nothing, for whoever counts its instructions: `cargo xtask bench --deciding`.

mod world;

use std::time::Duration;

use world::{Shape, World};

/// What is played, in which world.
struct Scene {
    name: &'static str,
    shape: Shape,
    play: fn(&mut World),
}

/// The world that the aim speaks of: many of everything, all limits on, two budgets.
const LARGE: Shape = Shape { backends: 200, keys: 10_000, concurrency: 100, in_flight: 0, waiting: 0 };
/// Every backend is busy, so that each new request waits for one that ends.
const FULL: Shape = Shape { concurrency: 1, in_flight: LARGE.backends, ..LARGE };

const SCENES: &[Scene] = &[
    Scene { name: "request", shape: LARGE, play: World::request },
    Scene { name: "request/backends-10", shape: Shape { backends: 10, ..LARGE }, play: World::request },
    Scene { name: "request/backends-1000", shape: Shape { backends: 1000, ..LARGE }, play: World::request },
    Scene { name: "request/keys-10", shape: Shape { keys: 10, ..LARGE }, play: World::request },
    Scene {
        name: "request/in-flight-10000",
        shape: Shape { in_flight: 10_000, ..LARGE },
        play: World::request,
    },
    Scene { name: "waiting/10", shape: Shape { waiting: 10, ..FULL }, play: World::take_turns },
    Scene { name: "waiting/100", shape: Shape { waiting: 100, ..FULL }, play: World::take_turns },
    Scene { name: "waiting/1000", shape: Shape { waiting: 1000, ..FULL }, play: World::take_turns },
    Scene { name: "identity", shape: LARGE, play: World::identify },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--count", name, rounds, ..] => {
            let scene = SCENES.iter().find(|scene| scene.name == *name).expect("a scene of that name");
            play(scene, rounds.parse().expect("a number of rounds"));
        }
        // Cargo adds `--bench`.
        _ => SCENES.iter().for_each(time),
    }
}

fn play(scene: &Scene, rounds: u32) {
    let mut world = World::new(scene.shape);
    (0..rounds).for_each(|_| (scene.play)(&mut world));
}

/// Prints the CPU time of a round: the best of several spells, as noise only adds.
fn time(scene: &Scene) {
    const SPELLS: u32 = 10;
    const ROUNDS: u32 = 20_000;
    let mut world = World::new(scene.shape);
    let best = (0..SPELLS).map(|_| {
        let from = cpu_time();
        (0..ROUNDS).for_each(|_| (scene.play)(&mut world));
        (cpu_time() - from) / ROUNDS
    });
    println!("{} {}", scene.name, best.min().expect("some spells").as_nanos());
}

/// What this thread has used of the processor.
fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).expect("time goes forward")
}
