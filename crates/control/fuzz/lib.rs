//! What the fuzz targets share: a secret that must never be shown, and what holds of every problem; never a property of one
//! target.

use control::config::Report;

/// What every secret is; it must never be shown.
pub const CANARY: &str = "sk-canary-7f3a9b2c4d5e6f7a8b9c";

/// Each problem is one line, and shows no secret.
pub fn check_report(report: &Report) {
    assert!(!report.is_empty(), "refused without a reason");
    for problem in report.problems() {
        let shown = problem.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains(CANARY), "{shown}");
    }
}
