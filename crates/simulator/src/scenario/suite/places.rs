//! Decides which situations are played in which calls at once are what is limited; none knows who will meet it.

use std::time::Duration;

use super::{account, each, limited, minutes, ordinary, scenario, seconds};
use crate::scenario::{Limits, Provider, Says, Scenario, Sizes, Stream, Trouble, TroubleKind};

/// Four servers that take so many calls at once, each as long as the other, and have no other limit.
fn servers(places: u32) -> Vec<Provider> {
    each((0..4).map(|number| account(format!("server-{number}"), 0)).collect(), |one| {
        limited(one, at_once(places));
        one.pace.spread = 0.0;
    })
}

fn at_once(places: u32) -> Limits {
    Limits { concurrency: Some(places), ..Limits::default() }
}

/// Requests whose answers are all of the same length.
fn alike(per_minute: f64) -> Stream {
    Stream { output: Sizes { median: 200.0, spread: 0.0, max: 200 }, ..ordinary(per_minute) }
}

pub(super) fn concurrency() -> Scenario {
    let providers = each(servers(4), |one| one.told.concurrency = Some(4));
    scenario(
        "concurrency",
        "four servers of four places each, a quarter more asked of them",
        providers,
        vec![alike(480.0)],
    )
}

pub(super) fn hidden_places() -> Scenario {
    let providers = each(servers(4), |one| one.says = Says::Nothing);
    scenario(
        "hidden-places",
        "the same, but nobody is told of the places: only 429s",
        providers,
        vec![alike(480.0)],
    )
}

pub(super) fn fewer_places() -> Scenario {
    let providers = each(servers(8), |one| {
        one.says = Says::Nothing;
        one.limits.push((minutes(10), at_once(5)));
    });
    scenario(
        "fewer-places",
        "four servers of eight places each, of five from the tenth minute on; only 429s tell",
        providers,
        vec![alike(700.0)],
    )
}

pub(super) fn long_streams() -> Scenario {
    let providers = each((0..4).map(|number| account(format!("server-{number}"), 0)).collect(), |one| {
        limited(one, Limits { concurrency: Some(20), ..Limits::default() });
        one.told.concurrency = Some(20);
        one.pace.token = Duration::from_millis(20);
    });
    let long = Stream {
        callers: 2,
        output: Sizes { median: 2500.0, spread: 0.3, max: 4096 },
        output_max: 4096,
        ..ordinary(36.0)
    };
    scenario(
        "long-streams",
        "streams of a minute hold places that short requests need",
        providers,
        vec![long, ordinary(240.0)],
    )
}

pub(super) fn slow_start() -> Scenario {
    let providers = each((0..4).map(|number| account(format!("server-{number}"), 0)).collect(), |one| {
        limited(one, Limits { concurrency: Some(16), ..Limits::default() });
        one.told.concurrency = Some(16);
        one.troubles = vec![Trouble { from: seconds(0), until: seconds(45), kind: TroubleKind::Slow(6.0) }];
    });
    scenario(
        "slow-start",
        "servers that load their model for the first 45 s",
        providers,
        vec![ordinary(600.0)],
    )
}
