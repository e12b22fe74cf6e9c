//! The admin API against its own description: Schemathesis makes calls out of it, fitting and unfitting ones, and every
//! answer must be one that is described. The seed is fixed and printed, so that a finding can be had again.

use std::process::Stdio;
use std::time::Duration;

use testkit::GatewaySettings;
use tokio::process::Command;

use crate::cli::LOCKGATE;
use crate::real_model::testenv;

const TOKEN: &str = "lga-schemathesis-0123456789abcdef";
const SEED: &str = "20261121";
/// Its own budget of seconds, and what is given to it beyond that to start and to report.
const SECONDS: &str = "45";
const DEADLINE: Duration = Duration::from_secs(150);
/// What it has checks for and this test leaves out:
/// - `ignored_auth` shows wrong tokens, which locks its address out of all that follows; every route with every role and
///   with none is walked beside the roles;
/// - `object_level_authorization` needs objects with owners, which there are none of here.
const LEFT_OUT: &str = "ignored_auth,object_level_authorization";
/// Logging in again and again with wrong tokens is slowed down, as it should be, and then everybody of that address is.
const LEFT_ALONE: &str = "/api/admin/session";

/// One of each kind of thing, so that calls find something.
const CONFIG: &str = "admin: {token: lga-schemathesis-0123456789abcdef}
keys: [{name: app, key: lk-schemathesis-0123456789abcdef}]
aliases: {old: m}
probe: {enabled: false}
backends:
  - {name: main, base_url: 'http://127.0.0.1:1/v1', api_key: sk-schemathesis-0123456789, models: {m: {native: native-m, price: {input: 1, output: 2}}}}
";

/// What fits a schema may still not hold beside what there is (404, 409, 412), or beside what else it says (422); a tag
/// that is none of ours is one that has changed (412).
const RULES: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "412", "422"]

[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "409", "412", "415", "422"]

# Their cursors are of three sorts under one description, one of them hex of JSON, which no pattern can say.
[[operations]]
include-path-regex = "^/api/admin/(audit$|export/)"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "422"]
"#;

#[tokio::test]
async fn every_answer_is_one_that_is_described() {
    let settings = GatewaySettings::new(LOCKGATE).config(CONFIG);
    let gateway = settings.start().await.expect("the gateway starts");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let rules = folder.path().join("schemathesis.toml");
    std::fs::write(&rules, RULES).expect("the folder can be written");
    let mut command = Command::new(testenv().join("py/bin/schemathesis"));
    command
        .arg("--config-file")
        .arg(&rules)
        .args(["run", &format!("http://{}/api/openapi.json", gateway.address())])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--seed", SEED, "--max-time", SECONDS, "--max-examples", "25"])
        .args(["--exclude-checks", LEFT_OUT, "--exclude-path", LEFT_ALONE])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--generation-database", "none"])
        .args(["--continue-on-failure", "--no-color"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let run = tokio::time::timeout(DEADLINE, command.output()).await;
    let output = run.expect("it keeps to its budget").expect("it is in the test environment");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "seed {SEED}: {said}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        gateway.output()
    );
    assert!(said.contains("Tested"), "nothing was tested: {said}");
    // Calls that are turned away at the door test nothing behind it.
    for locked_out in ["Rate limited", "Authentication failed"] {
        assert!(!said.contains(locked_out), "seed {SEED}: {said}");
    }
}
