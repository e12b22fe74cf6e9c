//! Starts and ends: slow, bad and stolen ones, crashes at every moment, and that nobody is left behind.

use http::StatusCode;
use serde_json::{Value, json};

use super::stage::{CHAT, Pool, free_port, script, streamed};

/// Whether a process runs: one that has ended and is waited for by nobody does not.
fn runs(process: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

async fn gone(process: u64) {
    let gone = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while runs(process) {
            tokio::task::yield_now().await;
        }
    });
    gone.await.unwrap_or_else(|_| panic!("process {process} has outlived its gateway"));
}

fn process(one: &Value) -> u64 {
    one["process"].as_u64().unwrap_or_else(|| panic!("{one}"))
}

#[tokio::test]
async fn a_lazy_one_starts_with_the_first_question() {
    let settings = String::new();
    let scenario = json!({"ready_delay_ms": 300});
    let stage = Pool { settings, scenario, ..Pool::default() }.start().await;
    assert_eq!(stage.instances().await[0]["state"], "stopped");
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
    assert_eq!(stage.instances().await[0]["state"], "ready");
}

#[tokio::test]
async fn one_that_is_never_ready_or_ends_at_once_is_left_alone_in_the_end() {
    for (scenario, what) in [
        (json!({"never_ready": true}), "spoken to"),
        (json!({"ready_delay_ms": 60_000}), "spoken to"),
        (json!({"exit_at_start": 3}), "exit status: 3"),
    ] {
        let settings = "start: boot, startup_timeout: 300ms, ".to_owned();
        let stage = Pool { settings, scenario, ..Pool::default() }.start().await;
        let failed = stage.instance("inst-1", |one| one["state"] == "failed").await;
        assert!(failed["last_error"].as_str().is_some_and(|error| error.contains(what)), "{failed}");
        assert_eq!(failed["restarts"], 5);
        let (status, body) = stage.ask("hi").await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &json!("backend_not_ready"))
        );
        let mut health = stage.gateway.client().get("/healthz").await.expect("an answer");
        let health = health.json().await.expect("JSON");
        assert_eq!(health["instances"]["inst-1"], json!({"ready": false, "state": "failed"}));
        // An operator helps.
        stage.rewrite(&json!({}));
        stage.admin().post("/api/admin/instances/inst-1/reset", &json!({})).await.expect("an answer");
        stage.ready("inst-1").await;
        assert_eq!(stage.told("hi").await, "echo:[user] hi");
    }
}

#[tokio::test]
async fn a_program_that_is_none_fails_and_serves_nobody() {
    let program = "/nowhere/at/all".into();
    let stage = Pool { program, ..Pool::default() }.start().await;
    let failed = stage.instance("inst-1", |one| one["state"] == "failed").await;
    let error = failed["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("/nowhere/at/all: No such file"), "{failed}");
    assert_eq!(stage.ask("hi").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_crash_in_the_middle_is_told_and_the_sibling_serves_meanwhile() {
    let items = json!([{"do": "say", "text": "begun"}, {"do": "crash"}]);
    let scenario = json!({"scripts": [script("crash", items)]});
    let stage = Pool { instances: 2, scenario, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let mut answer = stage.gateway.client().post(CHAT, &streamed("crash")).await.expect("an answer");
    let crashed = answer.header("x-lockgate-backend").expect("it is named").to_owned();
    let text = String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("text");
    assert!(text.contains("begun") && text.contains("upstream_error") && !text.contains("[DONE]"), "{text}");
    assert_eq!(stage.told("next").await, "echo:[user] next");
    let again = stage.instance(&crashed, |one| one["restarts"] == 1 && one["ready"] == true).await;
    assert_eq!(again["login"]["state"], "signed_in", "a restart keeps the login");
    stage.is_at_rest().await;
}

#[tokio::test]
async fn an_idle_crash_is_a_restart_and_a_lost_socket_is_not() {
    let stage = Pool::default().start().await;
    let first = process(&stage.ready("inst-1").await);
    stage.order("inst-1", "/__test/drop").await;
    stage.seen("inst-1", "connections=2").await;
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
    let same = stage.ready("inst-1").await;
    assert_eq!((process(&same), &same["restarts"]), (first, &json!(0)));
    stage.order("inst-1", "/__test/crash").await;
    let other = stage.instance("inst-1", |one| one["restarts"] == 1 && one["ready"] == true).await;
    assert_ne!(process(&other), first);
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
}

#[tokio::test]
async fn a_stolen_port_is_given_up_for_another() {
    let stage = Pool { instances: 2, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let one = stage.ready("inst-1").await;
    let port = one["socket_port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    stage.order("inst-1", "/__test/crash").await;
    // Whether we get it before the next start or not, the instance comes back.
    let _thief = std::net::TcpListener::bind(("127.0.0.1", port));
    stage.instance("inst-1", |one| one["restarts"].as_u64() >= Some(1) && one["ready"] == true).await;
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
}

/// The port of a single instance is the one that was named; whoever sits there must leave first.
#[tokio::test]
async fn a_named_port_that_is_taken_is_waited_for() {
    let port = free_port();
    let thief = std::net::TcpListener::bind(("127.0.0.1", port)).expect("it is free");
    let stage = Pool { port: Some(port), ..Pool::default() }.start().await;
    let waits = stage.instance("inst-1", |one| one["restarts"].as_u64() >= Some(1)).await;
    assert_eq!(waits["ready"], false, "{waits}");
    drop(thief);
    stage.admin().post("/api/admin/instances/inst-1/reset", &json!({})).await.expect("an answer");
    assert_eq!(stage.ready("inst-1").await["socket_port"], port);
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
}

#[tokio::test]
async fn an_operator_starts_one_again_and_it_keeps_its_login() {
    let stage = Pool::default().start().await;
    let first = process(&stage.ready("inst-1").await);
    let again = stage.admin().post("/api/admin/instances/inst-1/restart", &json!({})).await;
    assert_eq!(again.expect("an answer").status, StatusCode::OK);
    let other = stage.instance("inst-1", |one| one["ready"] == true && process(one) != first).await;
    assert_eq!((&other["restarts"], &other["login"]["state"]), (&json!(0), &json!("signed_in")), "{other}");
    assert!(!runs(first));
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
}

#[tokio::test]
async fn several_have_their_own_folders_and_ports_and_none_outlives_its_gateway() {
    let mut stage = Pool { instances: 3, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let all = stage.instances().await;
    for field in ["socket_port", "http_port", "process"] {
        let mut values: Vec<u64> = all.iter().filter_map(|one| one[field].as_u64()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 3, "{field}: {all:?}");
    }
    for number in 1..=3 {
        assert!(stage.work_dir(number).join("cache/id").exists());
    }
    let mut metrics = stage.gateway.client().get("/metrics").await.expect("an answer");
    let metrics = String::from_utf8(metrics.body().await.expect("a body").to_vec()).expect("text");
    for line in [
        "lockgate_instance_ready{instance=\"inst-3\"} 1",
        "lockgate_instance_in_flight{instance=\"inst-3\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    stage.gateway.stop().await.expect("it ends");
    for one in &all {
        assert!(!runs(process(one)), "SIGTERM leaves none behind");
    }
    stage.gateway.restart().await.expect("it starts again");
    stage.all_ready().await;
    let all = stage.instances().await;
    stage.gateway.kill().await.expect("killed");
    for one in &all {
        gone(process(one)).await;
    }
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_ended_and_stale_files_hinder_nobody() {
    let scenario = json!({"ignores_sigterm": true});
    let mut stage = Pool { scenario, ..Pool::default() }.start().await;
    let one = process(&stage.ready("inst-1").await);
    stage.gateway.stop().await.expect("it ends");
    assert!(!runs(one));
    std::fs::write(stage.work_dir(1).join(".info"), "1\n1\n").expect("written");
    stage.gateway.restart().await.expect("it starts again");
    stage.ready("inst-1").await;
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
}

/// Whether the kernel may give a process pages of 2 MB.
fn may_have_huge_pages(process: u64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let said = status.lines().find_map(|line| line.strip_prefix("THP_enabled:")).expect("Linux says it");
    said.trim() == "1"
}

#[tokio::test]
async fn the_gateway_does_without_huge_pages_and_local_processes_need_not() {
    let stage = Pool { settings: "start: boot, ".to_owned(), ..Pool::default() }.start().await;
    let own = stage.gateway.process_id().expect("it runs");
    assert!(!may_have_huge_pages(own.into()));
    assert!(may_have_huge_pages(process(&stage.ready("inst-1").await)));
}
