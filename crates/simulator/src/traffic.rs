//! Decides which requests come when, from a scenario and a seed; never who serves them.

use std::time::Duration;

use policy::Class;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::At;
use crate::scenario::{Conversations, Scenario, Shape, Sizes, Stream};

/// One request, with its luck: whoever serves it, and whenever, draws nothing more than is in it.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it comes.
    pub at: At,
    /// Whose; callers are counted through all streams.
    pub caller: usize,
    /// What it asks to be.
    pub class: Class,
    /// The conversation that it is part of.
    pub conversation: Option<u64>,
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Tokens its answer will have.
    pub output: u64,
    /// Tokens its answer may have, which is all that a gateway knows beforehand.
    pub output_max: u64,
    /// The last moment at which an attempt may start.
    pub deadline: At,
    /// How slow its answer is beside others: a draw from the standard normal distribution.
    pub slowness: f64,
    /// What its attempts draw their luck from.
    pub seed: u64,
}

/// The longest way of a call to its provider; the order of calls is not the order in which they come.
pub(crate) const WAY_MAX: Duration = Duration::from_millis(80);

impl Request {
    /// How long its `attempt`-th call is on the way.
    #[must_use]
    pub fn way(&self, attempt: u32) -> Duration {
        WAY_MAX.mul_f64(chance(self.seed, !u64::from(attempt)))
    }
}

/// All requests of a scenario, by time.
#[must_use]
pub fn requests(scenario: &Scenario, seed: u64) -> Vec<Request> {
    let mut all = Vec::new();
    let mut first_caller = 0;
    for (index, stream) in (0_u64..).zip(&scenario.streams) {
        let mut rng = SmallRng::seed_from_u64(mix(seed, index));
        let mut talk = stream.conversations.map(|rules| Talk::new(rules, mix(seed, index)));
        for at in arrivals(stream, scenario.length, &mut rng) {
            let conversation = talk.as_mut().map(|talk| talk.turn(&mut rng));
            all.push(Request { conversation, ..request(stream, first_caller, at, &mut rng) });
        }
        first_caller += usize::try_from(stream.callers).expect("callers are few");
    }
    all.sort_by_key(|request| request.at);
    all
}

fn request(stream: &Stream, first_caller: usize, at: At, rng: &mut SmallRng) -> Request {
    let caller = usize::try_from(rng.random_range(0..stream.callers)).expect("callers are few");
    Request {
        at,
        caller: first_caller + caller,
        class: stream.class,
        conversation: None,
        prompt: size(stream.prompt, rng),
        output: size(stream.output, rng).min(stream.output_max),
        output_max: stream.output_max,
        deadline: at + stream.patience,
        slowness: normal(rng),
        seed: rng.random(),
    }
}

/// The conversations of a stream that are going on.
struct Talk {
    rules: Conversations,
    open: Vec<u64>,
    begun: u64,
    seed: u64,
}

impl Talk {
    fn new(rules: Conversations, seed: u64) -> Self {
        let mut talk = Self { rules, open: Vec::new(), begun: 0, seed };
        talk.open = (0..rules.at_once.max(1)).map(|_| talk.begin()).collect();
        talk
    }

    fn begin(&mut self) -> u64 {
        self.begun += 1;
        mix(self.seed, self.begun)
    }

    /// Which one the next request is part of: any; and whether it was its last.
    fn turn(&mut self, rng: &mut SmallRng) -> u64 {
        let place = rng.random_range(0..self.open.len());
        let conversation = self.open[place];
        if rng.random::<f64>() * self.rules.turns < 1.0 {
            self.open[place] = self.begin();
        }
        conversation
    }
}

/// A Poisson process whose rate changes: drawn at the highest rate, and thinned.
fn arrivals(stream: &Stream, length: At, rng: &mut SmallRng) -> Vec<At> {
    let most = stream.per_minute / 60.0 * peak(stream.shape);
    let mut all = Vec::new();
    if let Shape::Herd(count) = stream.shape {
        all.extend((0..count).map(|_| Duration::from_secs_f64(rng.random::<f64>() * 0.05)));
    }
    let mut at = 0.0;
    if most <= 0.0 {
        return all;
    }
    loop {
        at += -(1.0 - rng.random::<f64>()).ln() / most;
        if at >= length.as_secs_f64() {
            return all;
        }
        if rng.random::<f64>() * peak(stream.shape) < factor(stream.shape, at) {
            all.push(Duration::from_secs_f64(at));
        }
    }
}

fn peak(shape: Shape) -> f64 {
    match shape {
        Shape::Steady | Shape::Wave { .. } | Shape::Herd(_) => 1.0,
        Shape::Bursts { factor, .. } | Shape::Step { factor, .. } => factor.max(1.0),
    }
}

fn factor(shape: Shape, at: f64) -> f64 {
    match shape {
        Shape::Steady | Shape::Herd(_) => 1.0,
        Shape::Bursts { every, lasting, factor } => {
            if at % every.as_secs_f64() < lasting.as_secs_f64() {
                factor
            } else {
                1.0
            }
        }
        Shape::Step { from, until, factor } => {
            if (from.as_secs_f64()..until.as_secs_f64()).contains(&at) {
                factor
            } else {
                1.0
            }
        }
        Shape::Wave { period, floor } => {
            let turn = std::f64::consts::TAU * at / period.as_secs_f64();
            floor + (1.0 - floor) * (0.5 - 0.5 * turn.cos())
        }
    }
}

fn size(sizes: Sizes, rng: &mut SmallRng) -> u64 {
    let drawn = sizes.median * (sizes.spread * normal(rng)).exp();
    whole(drawn).clamp(1, sizes.max)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is positive, and `as` saturates"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

/// A draw from the standard normal distribution, by Box and Muller.
fn normal(rng: &mut SmallRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Two numbers made one, so that neighbours have nothing in common (the finaliser of SplitMix64).
pub(crate) fn mix(one: u64, other: u64) -> u64 {
    let mut mixed = one ^ other.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A number from 0 up to 1, that belongs to these two numbers.
pub(crate) fn chance(one: u64, other: u64) -> f64 {
    SmallRng::seed_from_u64(mix(one, other)).random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_as_many_and_as_long_as_asked_for() {
        let mut rng = SmallRng::seed_from_u64(3);
        let mut talk = Talk::new(Conversations { at_once: 20, turns: 5.0 }, 3);
        let turns: Vec<u64> = (0..10_000).map(|_| talk.turn(&mut rng)).collect();
        let mut all = turns.clone();
        all.sort_unstable();
        all.dedup();
        assert!((1_850..=2_150).contains(&all.len()), "{} conversations", all.len());
        let mut lately = turns[9_990..].to_vec();
        lately.sort_unstable();
        lately.dedup();
        assert!(lately.len() > 4, "they take turns: {lately:?}");
    }
}
