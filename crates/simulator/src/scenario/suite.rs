//! Decides which situations are played; each is one function of data, and none knows who will meet it.

mod places;

use std::time::Duration;

use policy::{BackendLimits, Class};

use crate::bars::Bars;

use super::{
    Cache, Contender, Conversations, Limits, Pace, Provider, Says, Scenario, Shape, Sizes, Stream, Trouble,
    TroubleKind, Window,
};
use places::{concurrency, fewer_places, hidden_places, long_streams, slow_start};

/// All situations, in the order of the report.
#[must_use]
pub fn suite() -> Vec<Scenario> {
    vec![
        steady(),
        saturated(),
        bursts(),
        herd(),
        wave(),
        fixed_windows(),
        buckets(),
        small_buckets(),
        told_too_much(),
        told_too_little(),
        told_nothing(),
        halved(),
        halved_silently(),
        doubled(),
        concurrency(),
        hidden_places(),
        fewer_places(),
        long_streams(),
        tokens(),
        heavy_tail(),
        one_bad_account(),
        outage(),
        hangs(),
        refusals(),
        errors(),
        revoked(),
        revoked_unseen(),
        slow_start(),
        neighbour(),
        urgent_over_low(),
        greedy_caller(),
        four_classes(),
        dear_fallback(),
        cold_caches(),
        unequal_accounts(),
    ]
}

/// Long enough that a last burst, which only the optimum can time, weighs little.
const LENGTH: Duration = Duration::from_secs(1_800);

/// So long that what only one who knows the end can do weighs less than the bar leaves: where more is asked
/// than is allowed, the optimum has at each end of a run part of a minute's amount that it need not share.
const LONG: Duration = Duration::from_secs(3_600);

fn long(scenario: Scenario) -> Scenario {
    Scenario { length: LONG, ..scenario }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// An account whose limit is what the operator wrote down.
fn account(name: String, rpm: u32) -> Provider {
    Provider {
        name,
        pool: "primary",
        price: 1.0,
        cache: None,
        told: BackendLimits { rpm, burst: None, tpm: None, concurrency: None },
        limits: vec![(Duration::ZERO, Limits { rpm: Some(rpm), ..Limits::default() })],
        window: Window::Sliding,
        says: Says::RetryAfter,
        pace: Pace { first_event: Duration::from_millis(800), spread: 0.5, token: Duration::from_millis(8) },
        troubles: Vec::new(),
        neighbour_rpm: 0.0,
    }
}

/// Ten accounts of 40 requests a minute: 400 together.
fn ten() -> Vec<Provider> {
    (0..10).map(|number| account(format!("account-{number}"), 40)).collect()
}

fn each(mut providers: Vec<Provider>, change: impl Fn(&mut Provider)) -> Vec<Provider> {
    providers.iter_mut().for_each(change);
    providers
}

fn limited(provider: &mut Provider, limits: Limits) {
    provider.limits = vec![(Duration::ZERO, limits)];
}

/// Ordinary requests of four callers, so many a minute.
fn ordinary(per_minute: f64) -> Stream {
    Stream {
        callers: 4,
        class: Class::Normal,
        conversations: None,
        per_minute,
        shape: Shape::Steady,
        prompt: Sizes { median: 800.0, spread: 0.0, max: 800 },
        output: Sizes { median: 200.0, spread: 0.4, max: 1024 },
        output_max: 1024,
        patience: seconds(30),
    }
}

fn scenario(
    name: &'static str,
    about: &'static str,
    providers: Vec<Provider>,
    streams: Vec<Stream>,
) -> Scenario {
    Scenario {
        name,
        about,
        length: LENGTH,
        providers,
        streams,
        calm_share: None,
        also: Vec::new(),
        bars: Bars::default(),
    }
}

fn steady() -> Scenario {
    scenario("steady", "three quarters of what ten accounts allow", ten(), vec![ordinary(300.0)])
}

fn saturated() -> Scenario {
    long(scenario("saturated", "half as much again as ten accounts allow", ten(), vec![ordinary(600.0)]))
}

fn bursts() -> Scenario {
    let shape = Shape::Bursts { every: seconds(90), lasting: seconds(12), factor: 8.0 };
    let stream = Stream { shape, ..ordinary(130.0) };
    scenario("bursts", "every 90 s, twelve seconds of eight times as much", ten(), vec![stream])
}

fn herd() -> Scenario {
    let stream = Stream { shape: Shape::Herd(380), ..ordinary(240.0) };
    scenario("herd", "380 requests at once at the very start", ten(), vec![stream])
}

fn wave() -> Scenario {
    let stream = Stream { shape: Shape::Wave { period: minutes(5), floor: 0.1 }, ..ordinary(520.0) };
    let about = "days and nights of five minutes, the days above what is allowed";
    scenario("wave", about, ten(), vec![stream])
}

fn fixed_windows() -> Scenario {
    let mut providers = ten();
    for (number, provider) in (0_u64..).zip(&mut providers) {
        provider.window = Window::Fixed { offset: seconds(number * 7 % 60) };
    }
    long(scenario(
        "fixed-windows",
        "providers that count from minute to minute",
        providers,
        vec![ordinary(500.0)],
    ))
}

fn buckets() -> Scenario {
    let providers = each(ten(), |one| one.window = Window::Bucket { burst: 40 });
    long(scenario(
        "buckets",
        "providers that count with a bucket of a minute's worth",
        providers,
        vec![ordinary(500.0)],
    ))
}

fn small_buckets() -> Scenario {
    let providers = each(ten(), |one| {
        one.window = Window::Bucket { burst: 4 };
        one.says = Says::Nothing;
    });
    scenario(
        "small-buckets",
        "providers that allow a tenth of a minute at once, and do not say so",
        providers,
        vec![ordinary(340.0)],
    )
}

fn told_too_much() -> Scenario {
    let providers = each(ten(), |one| limited(one, Limits { rpm: Some(25), ..Limits::default() }));
    scenario(
        "told-too-much",
        "40 a minute are written down, 25 are allowed",
        providers,
        vec![ordinary(350.0)],
    )
}

fn told_too_little() -> Scenario {
    let providers = each(ten(), |one| {
        limited(one, Limits { rpm: Some(80), ..Limits::default() });
        one.says = Says::Headers;
    });
    scenario(
        "told-too-little",
        "40 a minute are written down, 80 are allowed, and headers say so",
        providers,
        vec![ordinary(700.0)],
    )
}

fn told_nothing() -> Scenario {
    let providers = each(ten(), |one| {
        one.told.rpm = 0;
        one.says = Says::Headers;
    });
    scenario("told-nothing", "no limit is written down; headers tell it", providers, vec![ordinary(500.0)])
}

fn halved() -> Scenario {
    let half = Limits { rpm: Some(20), ..Limits::default() };
    let providers = each(ten(), |one| {
        one.limits.push((minutes(3), half));
        one.says = Says::Headers;
    });
    long(scenario(
        "halved",
        "after three minutes half is allowed; headers say so",
        providers,
        vec![ordinary(350.0)],
    ))
}

fn halved_silently() -> Scenario {
    let half = Limits { rpm: Some(20), ..Limits::default() };
    let providers = each(ten(), |one| {
        one.limits.push((minutes(3), half));
        one.says = Says::Nothing;
    });
    long(scenario(
        "halved-silently",
        "after three minutes half is allowed; only 429s tell",
        providers,
        vec![ordinary(350.0)],
    ))
}

fn doubled() -> Scenario {
    let double = Limits { rpm: Some(80), ..Limits::default() };
    let providers = each(ten(), |one| {
        one.limits.push((minutes(3), double));
        one.says = Says::Headers;
    });
    scenario(
        "doubled",
        "after three minutes twice as much is allowed; headers say so",
        providers,
        vec![ordinary(700.0)],
    )
}

fn tokens() -> Scenario {
    let providers = each(ten(), |one| {
        limited(one, Limits { rpm: Some(100), tpm: Some(40_000), ..Limits::default() });
        one.told.rpm = 100;
        one.told.tpm = Some(40_000);
        one.says = Says::Headers;
    });
    let alike = Sizes { median: 200.0, spread: 0.0, max: 200 };
    let stream = Stream { output: alike, ..ordinary(500.0) };
    long(scenario("tokens", "tokens a minute run out long before requests do", providers, vec![stream]))
}

fn heavy_tail() -> Scenario {
    let providers = each(ten(), |one| {
        limited(one, Limits { rpm: Some(40), tpm: Some(150_000), ..Limits::default() });
        one.told.tpm = Some(150_000);
    });
    let stream = Stream { prompt: Sizes { median: 900.0, spread: 1.4, max: 60_000 }, ..ordinary(300.0) };
    scenario("heavy-tail", "few prompts are very long; tokens suffice on the whole", providers, vec![stream])
}

fn one_bad_account() -> Scenario {
    let mut providers = ten();
    limited(&mut providers[3], Limits { rpm: Some(4), ..Limits::default() });
    providers[3].says = Says::Nothing;
    scenario(
        "one-bad-account",
        "one of ten accounts has a tenth of its limit left",
        providers,
        vec![ordinary(300.0)],
    )
}

fn troubled(name: &'static str, about: &'static str, kind: TroubleKind) -> Scenario {
    let mut providers = ten();
    for provider in &mut providers[..3] {
        provider.troubles = vec![Trouble { from: minutes(2), until: minutes(6), kind }];
    }
    scenario(name, about, providers, vec![ordinary(240.0)])
}

fn outage() -> Scenario {
    troubled("outage", "three of ten accounts say 503 for four minutes", TroubleKind::Errors(1.0))
}

fn hangs() -> Scenario {
    troubled(
        "hangs",
        "three of ten accounts take calls and never answer for four minutes",
        TroubleKind::Hangs,
    )
}

fn refusals() -> Scenario {
    troubled("refusals", "three of ten accounts take no connection for four minutes", TroubleKind::Refuses)
}

fn errors() -> Scenario {
    troubled("errors", "three of ten accounts fail a third of their calls", TroubleKind::Errors(0.33))
}

/// One account's credential is not accepted for eight minutes. From the eighteenth on more is asked than the others
/// allow: it shows whether the account has come back.
fn credential(name: &'static str, about: &'static str, kind: TroubleKind) -> Scenario {
    let mut providers = ten();
    providers[3].troubles = vec![Trouble { from: minutes(2), until: minutes(10), kind }];
    let shape = Shape::Step { from: minutes(18), until: LENGTH, factor: 1.3 };
    let bars = Bars { failed_max: Some(0.0), ..Bars::default() };
    Scenario { bars, ..scenario(name, about, providers, vec![Stream { shape, ..ordinary(290.0) }]) }
}

fn revoked() -> Scenario {
    credential(
        "revoked",
        "one of ten accounts answers 401 for eight minutes; later all ten are needed",
        TroubleKind::Revoked,
    )
}

fn revoked_unseen() -> Scenario {
    credential(
        "revoked-unseen",
        "the same, but it lists its models to everybody, so that probes pass",
        TroubleKind::RevokedUnseen,
    )
}

fn neighbour() -> Scenario {
    let providers = each(ten(), |one| one.neighbour_rpm = 14.0);
    let bars = Bars {
        goodput_min: 0.96,
        reason: Some(
            "what others leave is found by asking alone. One who sees all that they took reaches 98 % of the optimum here \
             (all-seeing); one who sees nothing, asks all the time and rests for as long as it is told, 97 % (ever-asking). \
             What was tried to come nearer to that asks before the time that the provider named, and is refused more",
        ),
        ..Bars::default()
    };
    let about = "somebody unseen takes a third of every limit";
    let also = vec![Contender::Seer, Contender::Asker];
    Scenario { also, bars, ..long(scenario("neighbour", about, providers, vec![ordinary(300.0)])) }
}

fn urgent_over_low() -> Scenario {
    let urgent = Stream { callers: 2, class: Class::Urgent, ..ordinary(60.0) };
    let low = Stream { callers: 2, class: Class::Low, patience: seconds(20), ..ordinary(840.0) };
    let streams = vec![urgent, ordinary(60.0), low];
    let about = "`low` asks three times for what is left of ten accounts";
    Scenario { calm_share: Some(1.0 / 3.5), ..long(scenario("urgent-over-low", about, ten(), streams)) }
}

fn greedy_caller() -> Scenario {
    let greedy = Stream { callers: 1, ..ordinary(900.0) };
    let modest = Stream { callers: 5, ..ordinary(300.0) };
    long(scenario(
        "greedy-caller",
        "one caller asks fifteen times as much as each of five",
        ten(),
        vec![greedy, modest],
    ))
}

fn four_classes() -> Scenario {
    let of = |class| Stream { callers: 3, class, ..ordinary(130.0) };
    let classes = [Class::Urgent, Class::High, Class::Normal, Class::Low];
    long(scenario(
        "four-classes",
        "four classes ask the same, together a little too much",
        ten(),
        classes.map(of).into(),
    ))
}

fn dear_fallback() -> Scenario {
    let mut providers: Vec<Provider> = ten().into_iter().take(5).collect();
    for number in 0..2 {
        let mut dear = account(format!("dear-{number}"), 200);
        (dear.pool, dear.price) = ("fallback", 10.0);
        providers.push(dear);
    }
    let shape = Shape::Bursts { every: seconds(120), lasting: seconds(30), factor: 3.0 };
    let stream = Stream { shape, ..ordinary(150.0) };
    scenario(
        "dear-fallback",
        "five accounts, and a fallback that costs ten times as much",
        providers,
        vec![stream],
    )
}

fn cold_caches() -> Scenario {
    let providers = each(ten(), |one| {
        one.cache = Some(Cache { keeps: minutes(5), price: 0.4, time: 0.4 });
        one.pace.first_event = Duration::from_millis(2_500);
    });
    let stream = Stream {
        conversations: Some(Conversations { at_once: 300, turns: 10.0 }),
        prompt: Sizes { median: 8_000.0, spread: 0.0, max: 8_000 },
        ..ordinary(320.0)
    };
    let about = "three hundred conversations; what an account has seen lately costs two fifths there, and begins sooner";
    let also = vec![Contender::Roaming, Contender::Sticky];
    let bars = Bars { spend_max: Some(1.15), ..Bars::default() };
    Scenario { also, bars, ..scenario("cold-caches", about, providers, vec![stream]) }
}

fn unequal_accounts() -> Scenario {
    let rpms = [10, 10, 20, 20, 40, 40, 60, 100, 100, 200];
    let providers = rpms.iter().enumerate().map(|(number, rpm)| account(format!("account-{number}"), *rpm));
    scenario(
        "unequal-accounts",
        "ten accounts from 10 to 200 a minute",
        providers.collect(),
        vec![ordinary(570.0)],
    )
}
