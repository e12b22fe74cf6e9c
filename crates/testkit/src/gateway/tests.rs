//! A process is started, heard, signalled and started again, as a gateway would be.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;

use super::GatewaySettings;

/// A stand-in for the binary.
fn script(directory: &tempfile::TempDir, text: &str) -> GatewaySettings {
    let path = directory.path().join("lockgate");
    std::fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    GatewaySettings::new(path)
}

const READY: &str = r#"
while [ "$1" != --ready-file ]; do shift; done
echo "starts with [$HOME] [$CANARY]" >&2
echo '{"address":"127.0.0.1:7","metrics_address":"127.0.0.1:8","admin_token":"t"}' > "$2"
echo listening
exec /usr/bin/tail -f /dev/null
"#;

#[tokio::test]
async fn it_is_ready_when_it_says_so_and_starts_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = script(&directory, READY).variable("CANARY", "yes").config("listen: 1\n");
    let mut gateway = settings.start().await.expect("it starts");
    assert_eq!(gateway.base_url(), "http://127.0.0.1:7/v1");
    assert_eq!(gateway.ready().admin_token.as_deref(), Some("t"));
    assert_eq!(std::fs::read_to_string(gateway.config_path()).expect("a file"), "listen: 1\n");
    let line = gateway.line(|line| line.contains("starts")).await;
    assert_eq!(line, "starts with [] [yes]", "its environment is what it was given, and no more");
    let ended = gateway.stop().await.expect("it ends");
    assert_eq!(ended.signal(), Some(rustix::process::Signal::TERM.as_raw()));
    gateway.restart().await.expect("it starts again");
    gateway.kill().await.expect("it is killed");
    assert!(gateway.signal(rustix::process::Signal::HUP).is_err(), "nobody is there");
}

#[tokio::test]
async fn an_end_before_it_is_ready_is_told_with_its_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let failed = script(&directory, "echo 'no key for the vault' >&2\nexit 78\n").start().await;
    let reason = failed.err().expect("it did not start").to_string();
    assert!(reason.contains("78") && reason.contains("no key for the vault"), "{reason}");
}
