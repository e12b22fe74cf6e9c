//! Decides what an operator does about a test that a backend failed; never tests one.

use control::admin::TestReport;

/// What an operator does about a failed test.
pub(super) fn advice(report: &TestReport) -> Option<&'static str> {
    if report.ok {
        return None;
    }
    Some(match (report.status, report.code.as_deref().unwrap_or_default()) {
        (_, "malformed" | "truncated" | "reset") => {
            "what answers is no such API, or breaks off: check base_url, and whether a proxy stands between"
        }
        (Some(401 | 403), _) => {
            "the provider refuses the key: check that it is whole, of this account, and not expired"
        }
        (Some(404), _) => "the address answers, and has no list of models: a base URL usually ends in /v1",
        (Some(429), _) => {
            "the account's limits are used up: wait, or lower `limits` below what the provider allows"
        }
        (Some(500..), _) => "the provider is in trouble: try again later, and see its status page",
        (Some(_), _) => {
            "the provider understood and refused: compare kind and base_url with its documentation"
        }
        (None, "connect") => {
            "nobody answers there: check host and port of base_url, that the server runs, and the firewall"
        }
        (None, "deadline_connect") => "the address does not answer at all: check host, port and firewall",
        (None, "deadline_first_event" | "deadline_idle" | "deadline_total") => {
            "it accepts connections and does not answer in time: it may be loading a model, or be overloaded"
        }
        (None, "tls") => {
            "its certificate is not trusted: check the host's name, or name its authority in `ca_file`"
        }
        (None, _) => "compare kind and base_url with the provider's documentation",
    })
}

#[cfg(test)]
mod tests {
    use protocol::{Deadline, FailureKind};

    use super::*;

    #[test]
    fn every_failure_has_advice_and_a_success_needs_none() {
        let check = |status, kind: Option<FailureKind>| {
            let code = kind.map(|kind| kind.name().to_owned());
            let (models, error) = (Vec::new(), code.clone());
            advice(&TestReport { ok: kind.is_none(), latency_ms: 1, status, models, code, error })
        };
        for (status, kind, word) in [
            (Some(401), FailureKind::Unauthorized, "refuses the key"),
            (Some(404), FailureKind::Rejected, "/v1"),
            (Some(429), FailureKind::RateLimited, "limits"),
            (Some(503), FailureKind::Unavailable, "later"),
            (Some(400), FailureKind::Rejected, "kind and base_url"),
            (Some(200), FailureKind::Malformed, "no such API"),
            (None, FailureKind::Connect, "server runs"),
            (None, FailureKind::Deadline(Deadline::Connect), "firewall"),
            (None, FailureKind::Deadline(Deadline::FirstEvent), "in time"),
            (None, FailureKind::Deadline(Deadline::Idle), "in time"),
            (None, FailureKind::Deadline(Deadline::Total), "in time"),
            (None, FailureKind::Tls, "ca_file"),
            (None, FailureKind::Reset, "breaks off"),
            (None, FailureKind::Truncated, "breaks off"),
            (None, FailureKind::TooLarge, "base_url"),
        ] {
            let said = check(status, Some(kind)).unwrap_or_default();
            assert!(said.contains(word), "{kind}: {said}");
        }
        assert_eq!(check(Some(200), None), None);
    }
}
