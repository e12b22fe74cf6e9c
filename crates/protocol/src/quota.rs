//! What an answer's headers say of the provider's limits; never what is done about it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

use crate::date::{http_date, rfc3339};

/// No limit lasts longer than a month; what says more is a mistake.
const RESET_MAX: Duration = Duration::from_hours(31 * 24);
/// Longer values are no numbers, durations or dates.
const VALUE_BYTES_MAX: usize = 64;
/// Above every limit that is sold; what says more is a mistake.
const COUNT_MAX: u64 = 1_000_000_000_000;
/// Numbers from here on are moments since 1970, not waits: 2001 in seconds, or 32 years to wait.
const EPOCH_SECONDS_MIN: f64 = 1e9;
/// And from here on they are in milliseconds.
const EPOCH_MILLIS_MIN: f64 = 1e11;

/// One limit of a provider, as an answer of it told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What is counted.
    pub unit: QuotaUnit,
    /// How much there is when nothing was used.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// In what time the whole limit may be used, where the header's name says so.
    pub period: Option<Duration>,
    /// When all of it is there again.
    pub reset: Option<Reset>,
}

/// What a [`Quota`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaUnit {
    /// Calls.
    Requests,
    /// Tokens, in and out.
    Tokens,
}

/// How a limit comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Bit by bit; all of it is there after this time.
    Refilled(Duration),
    /// All at once after this time, and nothing before.
    Renewed(Duration),
}

/// Every limit that one answer told. More than four kinds at once have not been seen.
pub type Quotas = SmallVec<[Quota; 4]>;

const MINUTE: Option<Duration> = Some(Duration::from_mins(1));
const DAY: Option<Duration> = Some(Duration::from_hours(24));

/// The names under which one limit is told.
struct Names {
    unit: QuotaUnit,
    period: Option<Duration>,
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
    /// How a reset that does not show it by its form comes back.
    comes_back: fn(Duration) -> Reset,
}

const fn names(unit: QuotaUnit, period: Option<Duration>, names: [&'static str; 3]) -> Names {
    let [limit, remaining, reset] = names;
    Names { unit, period, limit, remaining, reset, comes_back: Reset::Renewed }
}

/// A limit that a provider documents as refilled continuously.
const fn refilled(unit: QuotaUnit, names_of_it: [&'static str; 3]) -> Names {
    Names { comes_back: Reset::Refilled, ..names(unit, None, names_of_it) }
}

use QuotaUnit::{Requests, Tokens};

/// OpenAI and those like it (Groq, Fireworks, xAI, Azure), Anthropic, Mistral, Cerebras, GitHub Models, OpenRouter and
/// Together, and the IETF draft.
static TABLE: &[Names] = &[
    names(
        Requests,
        None,
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ),
    names(
        Tokens,
        None,
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    ),
    refilled(
        Requests,
        [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
    ),
    refilled(
        Tokens,
        [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
    ),
    names(
        Requests,
        MINUTE,
        ["x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", "x-ratelimit-reset-req-minute"],
    ),
    names(
        Tokens,
        MINUTE,
        [
            "x-ratelimit-limit-tokens-minute",
            "x-ratelimit-remaining-tokens-minute",
            "x-ratelimit-reset-tokens-minute",
        ],
    ),
    names(
        Requests,
        DAY,
        [
            "x-ratelimit-limit-requests-day",
            "x-ratelimit-remaining-requests-day",
            "x-ratelimit-reset-requests-day",
        ],
    ),
    names(Tokens, MINUTE, ["ratelimitbysize-limit", "ratelimitbysize-remaining", "ratelimitbysize-reset"]),
    names(Requests, None, ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]),
    names(Tokens, None, ["x-tokenlimit-limit", "x-tokenlimit-remaining", "x-tokenlimit-reset"]),
    names(Requests, None, ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]),
];

/// Reads every limit that an answer's headers tell; costs hardly anything where they tell none. A date is measured
/// against the answer's own `date`: there is no clock here, and theirs is the one it was written by.
pub fn quotas(headers: &HeaderMap) -> Quotas {
    if !headers.keys().any(tells_a_limit) {
        return Quotas::new();
    }
    TABLE.iter().filter_map(|names| quota(headers, names)).take(Quotas::new().inline_size()).collect()
}

fn tells_a_limit(name: &HeaderName) -> bool {
    name.as_str().contains("ratelimit") || name.as_str().contains("tokenlimit")
}

fn quota(headers: &HeaderMap, names: &Names) -> Option<Quota> {
    let (limit, remaining) = (count(headers, names.limit), count(headers, names.remaining));
    if limit.is_none() && remaining.is_none() {
        return None;
    }
    let reset = text(headers, names.reset).and_then(|written| reset(headers, written, names));
    Some(Quota { unit: names.unit, limit, remaining, period: names.period, reset })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?;
    value.to_str().ok().map(str::trim).filter(|text| text.len() <= VALUE_BYTES_MAX)
}

/// A count. Some write a policy behind it (`100, 100;w=60`), some a fraction (`59.0`), and some -1 for no limit.
fn count(headers: &HeaderMap, name: &str) -> Option<u64> {
    let written = text(headers, name)?.split([',', ';', '.']).next()?;
    written.trim().parse().ok().filter(|count| *count <= COUNT_MAX)
}

fn reset(headers: &HeaderMap, written: &str, names: &Names) -> Option<Reset> {
    if let Some(wait) = go_duration(written) {
        // Only those whose buckets refill write it so, and only for the time until all is there.
        return Some(Reset::Refilled(wait.min(RESET_MAX)));
    }
    if let Ok(number) = written.parse::<f64>() {
        return from_number(headers, number).map(|wait| (names.comes_back)(wait.min(RESET_MAX)));
    }
    let wait = rfc3339(written)?.saturating_sub(date_of(headers)?);
    Some((names.comes_back)(Duration::from_secs(wait).min(RESET_MAX)))
}

/// Seconds to wait, or a moment in seconds or milliseconds since 1970.
fn from_number(headers: &HeaderMap, number: f64) -> Option<Duration> {
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let written = match number {
        moment if moment >= EPOCH_MILLIS_MIN => Duration::try_from_secs_f64(moment / 1e3).ok()?,
        moment if moment >= EPOCH_SECONDS_MIN => Duration::try_from_secs_f64(moment).ok()?,
        wait => return Duration::try_from_secs_f64(wait).ok(),
    };
    Some(written.saturating_sub(Duration::from_secs(date_of(headers)?)))
}

fn date_of(headers: &HeaderMap) -> Option<u64> {
    http_date(text(headers, header::DATE.as_str())?)
}

/// A duration as Go writes it: `1h2m3.5s`, `6m0s`, `20ms`, `150µs`.
fn go_duration(written: &str) -> Option<Duration> {
    let mut rest = written;
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let letters = unit.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, behind) = unit.split_at_checked(letters)?;
        let seconds = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        whole = whole.checked_add(part)?;
        rest = behind;
    }
    (!written.is_empty()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

    fn told(unit: QuotaUnit, limit: u64, remaining: u64, reset: impl Into<Option<Reset>>) -> Quota {
        Quota { unit, limit: Some(limit), remaining: Some(remaining), period: None, reset: reset.into() }
    }

    fn full(seconds: f64) -> Reset {
        Reset::Refilled(Duration::from_secs_f64(seconds))
    }

    fn new(seconds: f64) -> Reset {
        Reset::Renewed(Duration::from_secs_f64(seconds))
    }

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: &[Quota]) {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        assert_eq!(quotas(&map).as_slice(), expected, "{headers:?}");
    }

    #[test]
    fn each_refilled_limit_is_understood() {
        // OpenAI.
        check(
            &[
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-limit-tokens", "150000"),
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-remaining-tokens", "149984"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            &[told(Requests, 60, 59, full(1.0)), told(Tokens, 150_000, 149_984, full(360.0))],
        );
        // Groq: requests are counted by the day, tokens by the minute.
        check(
            &[
                ("x-ratelimit-limit-requests", "14400"),
                ("x-ratelimit-remaining-requests", "14370"),
                ("x-ratelimit-reset-requests", "2m59.56s"),
                ("x-ratelimit-limit-tokens", "18000"),
                ("x-ratelimit-remaining-tokens", "17997"),
                ("x-ratelimit-reset-tokens", "7.66s"),
            ],
            &[told(Requests, 14_400, 14_370, full(179.56)), told(Tokens, 18_000, 17_997, full(7.66))],
        );
        // Anthropic: dates, and limits for input and output beside the one that holds now.
        check(
            &[
                DATE,
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", "1994-11-06T08:50:07Z"),
                ("anthropic-ratelimit-tokens-limit", "40000"),
                ("anthropic-ratelimit-tokens-remaining", "39000"),
                ("anthropic-ratelimit-tokens-reset", "1994-11-06T08:49:38Z"),
                ("anthropic-ratelimit-input-tokens-limit", "40000"),
                ("anthropic-ratelimit-input-tokens-remaining", "39000"),
            ],
            &[told(Requests, 50, 0, full(30.0)), told(Tokens, 40_000, 39_000, full(1.0))],
        );
    }

    #[test]
    fn each_window_is_understood() {
        // Mistral.
        check(
            &[
                ("ratelimitbysize-limit", "500000"),
                ("ratelimitbysize-remaining", "499973"),
                ("ratelimitbysize-reset", "51"),
            ],
            &[Quota { period: MINUTE, ..told(Tokens, 500_000, 499_973, new(51.0)) }],
        );
        // Cerebras.
        check(
            &[
                ("x-ratelimit-limit-requests-day", "1000000000"),
                ("x-ratelimit-remaining-requests-day", "999997455"),
                ("x-ratelimit-reset-requests-day", "33011.382867"),
                ("x-ratelimit-limit-tokens-minute", "1000000000"),
                ("x-ratelimit-remaining-tokens-minute", "999999000"),
                ("x-ratelimit-reset-tokens-minute", "11.5"),
            ],
            &[
                Quota { period: MINUTE, ..told(Tokens, 1_000_000_000, 999_999_000, new(11.5)) },
                Quota { period: DAY, ..told(Requests, 1_000_000_000, 999_997_455, new(33_011.382_867)) },
            ],
        );
        // OpenRouter: a moment in milliseconds.
        check(
            &[
                DATE,
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "784111807000"),
            ],
            &[told(Requests, 20, 0, new(30.0))],
        );
        // xAI: no reset at all; the IETF draft: a policy behind the number.
        check(
            &[("x-ratelimit-limit-requests", "480"), ("x-ratelimit-remaining-requests", "479")],
            &[told(Requests, 480, 479, None)],
        );
        check(
            &[("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "50"), ("ratelimit-reset", "30")],
            &[told(Requests, 100, 50, new(30.0))],
        );
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        for reset in
            ["", "soon", "-5", "NaN", "inf", "5 parsecs", "1.2.3s", "s", "99999999999999999999s", "1h-5m"]
        {
            check(
                &[
                    ("x-ratelimit-limit-requests", "5"),
                    ("x-ratelimit-remaining-requests", "4"),
                    ("x-ratelimit-reset-requests", reset),
                ],
                &[told(Requests, 5, 4, None)],
            );
        }
        // A date without the clock it was written by.
        check(
            &[("x-ratelimit-remaining", "4"), ("x-ratelimit-reset", "1700000000")],
            &[Quota { limit: None, ..told(Requests, 0, 4, None) }],
        );
        check(&[("x-ratelimit-limit-requests", "-1"), ("x-ratelimit-remaining-requests", "many")], &[]);
        check(&[("x-ratelimit-limit-requests", "99999999999999")], &[]);
        check(&[("x-ratelimit-reset-requests", "1s")], &[]);
        check(&[("retry-after", "5")], &[]);
        check(
            &[
                ("x-ratelimit-limit-requests", "5"),
                ("x-ratelimit-remaining-requests", "4"),
                ("x-ratelimit-reset-requests", "9999h"),
            ],
            &[told(Requests, 5, 4, full(31.0 * 86_400.0))],
        );
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (written, millis) in [
            ("20ms", 20),
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("1h2m3.5s", 3_723_500),
            ("1d", 86_400_000),
            ("150µs", 0),
        ] {
            assert_eq!(go_duration(written).map(|wait| wait.as_millis()), Some(millis), "{written}");
        }
    }
}
