//! Decides how a caller is told where its key stands with its own rate limits and its team's; never what the limits are.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use policy::Key;
use tokio::time::Instant;

use crate::gateway::Gateway;

/// The headers of one limit: the limit itself, what is left of it, how long until all of it is back.
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

static REQUESTS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-requests"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-requests"),
    reset: HeaderName::from_static("x-ratelimit-reset-requests"),
};

static TOKENS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-tokens"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-tokens"),
    reset: HeaderName::from_static("x-ratelimit-reset-tokens"),
};

/// Writes where the key stands with each limit that it has.
pub(super) fn write(gateway: &Gateway, key: &Key, headers: &mut HeaderMap) {
    if key.limits.rpm.is_none() && key.limits.tpm.is_none() && key.team.is_none() {
        return;
    }
    let now = Instant::now().into_std();
    if let Some(rate) = gateway.live.key_rate(key.slot, now) {
        REQUESTS.write([rate.limit.into(), rate.remaining.into()], rate.reset, headers);
    }
    if let Some(rate) = gateway.live.key_tokens(key.slot, now) {
        TOKENS.write([rate.limit.into(), rate.remaining.into()], rate.reset, headers);
    }
}

impl Names {
    fn write(&self, [limit, remaining]: [HeaderValue; 2], reset: Duration, headers: &mut HeaderMap) {
        headers.insert(self.limit.clone(), limit);
        headers.insert(self.remaining.clone(), remaining);
        if let Ok(reset) = HeaderValue::try_from(written(reset)) {
            headers.insert(self.reset.clone(), reset);
        }
    }
}

/// A time as OpenAI writes it: `0s`, `120ms`, `8.64s`, `6m0s`. Rounded up: whoever waits so long has waited enough.
fn written(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let (seconds, rest) = (millis / 1000, millis % 1000);
    match (minutes, seconds, rest) {
        (0, 0, 1..) => format!("{rest}ms"),
        (0, _, 0) => format!("{seconds}s"),
        (0, _, 1..) => format!("{}s", format!("{seconds}.{rest:03}").trim_end_matches('0')),
        // Beside minutes, parts of a second tell nobody anything.
        (1.., _, _) => {
            let seconds = u128::from(rest > 0) + seconds + minutes * 60;
            format!("{}m{}s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_writes_them() {
        for (nanos, want) in [
            (0, "0s"),
            (1, "1ms"),
            (120_000_000, "120ms"),
            (999_999_999, "1s"),
            (8_640_000_000, "8.64s"),
            (59_999_000_000, "59.999s"),
            (59_999_000_001, "1m0s"),
            (360_000_000_000, "6m0s"),
            (119_000_000_001, "2m0s"),
            (3_661_000_000_000, "61m1s"),
        ] {
            assert_eq!(written(Duration::from_nanos(nanos)), want, "{nanos}");
        }
    }
}
