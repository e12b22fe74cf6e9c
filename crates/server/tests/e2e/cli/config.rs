//! `check` and `config`: what is wrong, what is in force, and a file to start from.

use std::os::unix::fs::PermissionsExt;

use super::{CANARY, Shell};

#[tokio::test]
async fn a_configuration_that_holds_is_told_in_one_line() {
    let shell = Shell::new();
    shell.write("lockgate.yaml", "backends: [{name: llama, base_url: 'http://127.0.0.1:8080/v1'}]\n");
    insta::assert_snapshot!(shell.run(&["check"]).await.told());
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_with_its_place() {
    let shell = Shell::new();
    let text = "listn: 1\nlimits: {queue_max: -1, body_max: big}\nkeys:\n  - {name: app}\n";
    shell.write("lockgate.yaml", text);
    insta::assert_snapshot!(shell.run(&["check"]).await.told());
    let ran = shell.run(&["check", "--json"]).await;
    assert_eq!(ran.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"][0]["at"], "lockgate.yaml:1:1");
    assert_eq!(report["problems"][0]["suggestion"], "did you mean `listen`?");
}

#[tokio::test]
async fn parts_that_hold_alone_and_not_together_are_found() {
    let shell = Shell::new();
    let text = "backends: [{name: a, base_url: 'http://127.0.0.1:8080/v1', models: {m: {}}}]\n\
                aliases: {smart: [m, gone]}\n";
    shell.write("lockgate.yaml", text);
    let ran = shell.run(&["check"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("smart") && ran.stdout.contains("gone"), "{ran:?}");
}

#[tokio::test]
async fn a_configuration_that_does_not_hold_stops_other_commands_with_78() {
    let shell = Shell::new();
    shell.write("lockgate.yaml", "limits: {queue_max: -1}\n");
    for arguments in
        [&["serve"][..], &["keys", "list"], &["usage"], &["config", "show"], &["models", "--configured"]]
    {
        let ran = shell.run(arguments).await;
        assert_eq!(ran.code, Some(78), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("lockgate.yaml:1:21: limits.queue_max"), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn the_file_is_the_one_named_nearest() {
    let shell = Shell::new().with("LOCKGATE_CONFIG", "environment.yaml");
    for (name, queue) in [("lockgate.yaml", 1), ("environment.yaml", 2), ("named.yaml", 3)] {
        shell.write(name, &format!("limits: {{queue_max: {queue}}}\n"));
    }
    let without = Shell::new();
    without.write("lockgate.yaml", "limits: {queue_max: 1}\n");
    for (shell, arguments, expected) in [
        (&without, &["config", "show"][..], "1"),
        (&shell, &["config", "show"], "2"),
        (&shell, &["config", "show", "--config", "named.yaml"], "3"),
    ] {
        let shown = shell.ok(arguments).await;
        let line = shown.lines().find(|line| line.starts_with("limits.queue_max")).expect("the setting");
        assert_eq!(line.split_whitespace().nth(1), Some(expected), "{line}");
    }
    let ran = shell.run(&["check", "--config", "absent.yaml"]).await;
    insta::assert_snapshot!(ran.told());
}

#[tokio::test]
async fn what_is_in_force_shows_its_origin_and_no_secret() {
    let shell = Shell::new().with("NVIDIA_API_KEY", CANARY).with("LOCKGATE_LIMITS_QUEUE_MAX", "7");
    let shown = shell.ok(&["config", "show", "--data-dir", "elsewhere"]).await;
    for line in [
        "data_dir elsewhere command line --data-dir",
        "limits.queue_max 7 environment variable LOCKGATE_LIMITS_QUEUE_MAX",
        "backends[0].api_key sk-can***9f2a environment variable NVIDIA_API_KEY",
        "limits.max_in_flight 2000 default",
    ] {
        let found = shown.lines().any(|shown| shown.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        assert!(found, "{line} is not in\n{shown}");
    }
    let rows = shell.json(&["config", "show", "--json"]).await;
    assert_eq!(rows[0]["path"], "listen");
}

#[tokio::test]
async fn the_schema_is_the_one_in_the_documentation() {
    let schema = Shell::new().json(&["config", "schema"]).await;
    let documented = include_str!("../../../../../docs/lockgate.schema.json");
    assert_eq!(schema, serde_json::from_str::<serde_json::Value>(documented).expect("JSON"));
}

#[tokio::test]
async fn a_file_to_start_from_holds_and_is_never_written_over() {
    let shell = Shell::new();
    shell.ok(&["config", "init"]).await;
    let path = shell.path().join("lockgate.yaml");
    let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    shell.ok(&["check"]).await;
    std::fs::write(&path, "# mine\n").expect("a file");
    insta::assert_snapshot!(shell.run(&["config", "init"]).await.told());
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "# mine\n");
}
