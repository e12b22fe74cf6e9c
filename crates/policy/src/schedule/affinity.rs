//! Decides which backend is home to requests that belong together, by rendezvous hashing; never whether they
//! must go there.

use std::time::Duration;

/// How requests that belong together are kept together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AffinityRules {
    /// Whether they are.
    pub enabled: bool,
    /// The price of a cold cache: how much longer than elsewhere a request may have to wait at home.
    pub cold_cache: Duration,
}

impl Default for AffinityRules {
    fn default() -> Self {
        Self { enabled: true, cold_cache: Duration::from_secs(2) }
    }
}

/// What a backend bids for a key; the highest bid wins. Bids of different backends are independent, so a
/// backend that comes or goes moves only the keys that it wins or had won.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Bid(f64);

impl Bid {
    /// Below every other.
    pub(crate) const NONE: Self = Self(f64::NEG_INFINITY);

    /// The bid of the backend marked `salt`, unless it is not above `leading`. Over many keys a backend wins
    /// in proportion to its weight.
    ///
    /// The exact bid is ln(u) / weight for a number u drawn evenly from 0 to 1 by hashing. Since
    /// ln(u) <= u - 1, most losers are known without the logarithm.
    pub(crate) fn above(leading: Self, key: u64, salt: u64, weight: u32) -> Option<Self> {
        /// 2 to the power of 32: what 32 bits are divided by to give a number from 0 to 1.
        const DRAWS: f64 = 4_294_967_296.0;
        let bits = u32::try_from(mix(key ^ salt) >> 32).expect("half of 64 bits are 32");
        let (bits, weight) = (f64::from(bits), f64::from(weight.max(1)));
        // Half a draw less, so that rounding cannot make a loser of one who wins.
        if bits < (1.0 + leading.0 * weight) * DRAWS - 1.0 {
            return None;
        }
        let bid = Self(((bits + 0.5) / DRAWS).ln() / weight);
        (leading < bid).then_some(bid)
    }
}

/// Spreads every bit over all (the finalizer of `SplitMix64`).
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn home(key: u64, backends: &[(u64, u32)]) -> u64 {
        let mut leading = Bid::NONE;
        let mut home = 0;
        for (salt, weight) in backends {
            if let Some(bid) = Bid::above(leading, key, *salt, *weight) {
                leading = bid;
                home = *salt;
            }
        }
        home
    }

    #[test]
    fn keys_spread_by_weight() {
        let backends = [(11, 1), (22, 2), (33, 5)];
        let mut won: BTreeMap<u64, u32> = BTreeMap::new();
        for key in 0..80_000 {
            *won.entry(home(key, &backends)).or_default() += 1;
        }
        for (salt, weight) in backends {
            let (won, expected) = (won[&salt], weight * 10_000);
            assert!(won.abs_diff(expected) < expected / 20, "{salt}: {won}, not {expected}");
        }
    }

    #[test]
    fn only_the_keys_of_one_that_leaves_move() {
        let all: Vec<(u64, u32)> =
            (1..=50).map(|salt| (mix(salt), 1 + u32::try_from(salt % 3).expect("small"))).collect();
        let gone = all[17];
        let left: Vec<(u64, u32)> = all.iter().copied().filter(|backend| *backend != gone).collect();
        let mut moved = 0;
        for key in 0..20_000 {
            let (before, after) = (home(key, &all), home(key, &left));
            assert!(before == after || before == gone.0, "{key}");
            moved += u32::from(before != after);
        }
        assert!(moved > 0);
    }

    #[test]
    fn the_order_of_bids_does_not_matter() {
        let mut backends: Vec<(u64, u32)> = (1..=9).map(|salt| (mix(salt), 1)).collect();
        for key in 0..1000 {
            let before = home(key, &backends);
            backends.rotate_left(1);
            assert_eq!(home(key, &backends), before);
        }
    }
}
