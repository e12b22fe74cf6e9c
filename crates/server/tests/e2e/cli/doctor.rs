//! `doctor`: each thing that can be wrong is named with what to do, and fails the command only when it would fail a gateway.

use std::net::TcpListener;

use serde_json::Value;
use testkit::{Behaviour, GatewaySettings, ScriptedProvider};

use super::{CANARY, LOCKGATE, Shell};

/// What the doctor says of one subject: verdict and text.
fn finding<'a>(report: &'a Value, subject: &str) -> (&'a str, String) {
    let findings = report["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["subject"] == subject);
    let found = found.unwrap_or_else(|| panic!("{subject} is not in {report}"));
    let advice = found["advice"].as_str().unwrap_or_default();
    (
        found["verdict"].as_str().expect("a verdict"),
        format!("{} -> {advice}", found["says"].as_str().expect("text")),
    )
}

async fn examine(shell: &Shell, arguments: &[&str], code: i32) -> Value {
    let ran = shell.run(&[&["doctor", "--json"][..], arguments].concat()).await;
    assert_eq!(ran.code, Some(code), "{ran:?}");
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[tokio::test]
async fn a_healthy_place_is_healthy_in_every_point() {
    let provider = ScriptedProvider::start().await;
    let shell = Shell::new().with("PROVIDER_KEY", CANARY);
    shell.write("lockgate.yaml", "listen: 127.0.0.1:0\nmetrics_listen: 127.0.0.1:0\n");
    shell
        .ok(&["backends", "add", "a", "--base-url", &provider.base_url(), "--api-key-env", "PROVIDER_KEY"])
        .await;
    let report = examine(&shell, &["--deep"], 0).await;
    for (subject, says) in [
        ("configuration", "lockgate.yaml: 0 backends, 0 keys"),
        ("data folder", "its database is sound"),
        ("vault", "master.key"),
        ("journal", "everything is in the ledger"),
        ("ledger", "0 requests and their sums agree"),
        ("disk", "MiB free"),
        ("clock", "UTC"),
        ("open files", "a process may open"),
        ("listen", "is free"),
        ("backend a", "answers in"),
    ] {
        let (verdict, text) = finding(&report, subject);
        assert!(text.contains(says), "{subject}: {text}");
        assert!(
            verdict == "ok" || matches!(subject, "open files" | "disk"),
            "{subject} is {verdict}: {text}"
        );
    }
    let told = shell.ok(&["doctor", "--offline"]).await;
    assert!(told.contains("ok    vault") && !told.contains("backend a"), "{told}");
}

#[tokio::test]
async fn what_would_stop_a_gateway_fails() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour::error(401, "no such key"));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let shell = Shell::new();
    let text = format!(
        "listen: {}\nmetrics_listen: 192.0.2.1:9191\nbackends: [{{name: a, base_url: '{}'}}]\n",
        taken.local_addr().expect("an address"),
        provider.base_url()
    );
    shell.write("lockgate.yaml", &text);
    // Whoever has the port closes what comes: it is no gateway.
    let closing = std::thread::spawn(move || drop(taken.accept()));
    let report = examine(&shell, &[], 1).await;
    closing.join().expect("accepted");
    for (subject, says) in [
        ("listen", "another program has"),
        ("metrics_listen", "this machine has no address 192.0.2.1"),
        ("backend a", "refuses the key"),
    ] {
        let (verdict, text) = finding(&report, subject);
        assert_eq!(verdict, "fail", "{subject}: {text}");
        assert!(text.contains(says), "{subject}: {text}");
    }
}

#[tokio::test]
async fn a_broken_store_or_configuration_is_told_and_the_rest_is_looked_at() {
    let shell = Shell::new();
    shell.write("lockgate.yaml", "listen: 127.0.0.1:0\nmetrics_listen: 127.0.0.1:0\n");
    shell.ok(&["keys", "create", "app"]).await;
    let key = shell.path().join("data/master.key");
    std::fs::rename(&key, shell.path().join("lost")).expect("moved");
    let report = examine(&shell, &["--offline"], 1).await;
    let (verdict, text) = finding(&report, "vault");
    assert!(verdict == "fail" && text.contains("put the master key back"), "{text}");
    assert_eq!(finding(&report, "listen").0, "ok");
    std::fs::write(shell.path().join("data/lockgate.db"), "no database at all, and long enough to be seen")
        .expect("a file");
    let report = examine(&shell, &["--offline"], 1).await;
    assert!(finding(&report, "data folder").1.contains("restore the data folder"), "{report}");
    shell.write("lockgate.yaml", "listn: 1\n");
    let report = examine(&shell, &[], 1).await;
    assert!(finding(&report, "configuration").1.contains("did you mean `listen`?"), "{report}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_the_setting_that_chooses_another() {
    let shell = Shell::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    for (flag, free) in [("--listen", "--metrics-listen"), ("--metrics-listen", "--listen")] {
        let ran = shell.run(&["serve", flag, &taken, free, "127.0.0.1:0"]).await;
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("Choose another with {flag} or `")), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_gateway_of_ours_at_the_address_is_no_trouble() {
    let gateway = GatewaySettings::new(LOCKGATE).start().await.expect("a gateway");
    let shell = Shell::new();
    let metrics = gateway.ready().metrics_address.expect("an address");
    shell.write("lockgate.yaml", &format!("listen: {}\nmetrics_listen: {metrics}\n", gateway.address()));
    let data = gateway.data().display().to_string();
    let report = examine(&shell, &["--offline", "--data-dir", &data], 0).await;
    assert!(finding(&report, "listen").1.contains("a Lockgate"), "{report}");
    assert!(finding(&report, "metrics_listen").1.contains("a Lockgate"), "{report}");
    assert_eq!(finding(&report, "journal").0, "ok");
}
