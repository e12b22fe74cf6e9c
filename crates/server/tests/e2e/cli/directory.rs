//! `keys` and `backends`: what is stored, what is shown of it, and what is never shown.

use std::path::Path;

use testkit::{Behaviour, GatewaySettings, ProviderSettings, ScriptedProvider, TestGateway};

use super::{CANARY, LOCKGATE, Shell};

const MASTER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER_KEY: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn is_gateway_key(text: &str) -> bool {
    let secret = text.strip_prefix("lg-").unwrap_or_default();
    secret.len() == 40 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[tokio::test]
async fn a_key_is_shown_once_alone_and_stored_as_a_digest() {
    let shell = Shell::new();
    let lost = shell.run(&["keys", "create", "app", "--team", "web"]).await;
    assert_eq!(lost.code, Some(1), "{lost:?}");
    assert!(lost.stderr.contains("there is no team `web`"), "{lost:?}");
    shell.ok(&["teams", "create", "web", "--rpm", "900"]).await;
    let made =
        shell.run(&["keys", "create", "app", "--rpm", "600", "--model", "gpt-*", "--team", "web"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let key = made.stdout.trim_end();
    assert!(is_gateway_key(key), "{key}");
    assert!(!made.stderr.contains(key) && lost.stderr.contains("master.key"), "{made:?} {lost:?}");
    assert!(!shell.holds(key), "the key is stored in clear");
    let listed = shell.run(&["keys", "list"]).await;
    let masked = format!("{}***{}", &key[..6], &key[39..]);
    insta::assert_snapshot!(listed.told().replace(&masked, "lg-abc***wxyz"));
    let teams = shell.json(&["teams", "list", "--json"]).await;
    assert_eq!((&teams[0]["keys"][0], &teams[0]["rpm"]), (&"app".into(), &900.into()));
    let kept = shell.run(&["teams", "remove", "web"]).await;
    assert!(kept.code == Some(1) && kept.stderr.contains("key app: there is no team `web`"), "{kept:?}");
    let rows = shell.json(&["keys", "list", "--json"]).await;
    assert_eq!((rows[0]["rpm"].as_u64(), rows[0]["key"].as_str()), (Some(600), Some(masked.as_str())));
    assert_eq!(rows[0]["last_used"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_list_goes_on_past_its_first_page() {
    let shell = Shell::new();
    let teams: String = (0..101).map(|number| format!("  - {{name: team-{number:03}}}\n")).collect();
    shell.write("lockgate.yaml", &format!("teams:\n{teams}"));
    let listed = shell.json(&["teams", "list", "--json"]).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(101));
    assert_eq!(listed[100]["name"], "team-100");
}

#[tokio::test]
async fn a_key_lives_is_rotated_and_ends() {
    let shell = Shell::new();
    let first = shell.json(&["keys", "create", "app", "--expires", "2099-01-01", "--json"]).await;
    assert_eq!(first["expires"], "2099-01-01T00:00:00Z");
    let again = shell.run(&["keys", "create", "app"]).await;
    insta::assert_snapshot!(again.told());
    let rotated = shell.run(&["keys", "rotate", "app", "--grace", "1h"]).await;
    assert!(is_gateway_key(rotated.stdout.trim_end()), "{rotated:?}");
    assert_ne!(first["key"].as_str(), Some(rotated.stdout.trim_end()));
    assert!(rotated.stderr.contains("The old secret stays valid until 20"), "{rotated:?}");
    let rotated = shell.run(&["keys", "rotate", "app"]).await;
    assert!(rotated.stderr.contains("The old secret is not valid any more."), "{rotated:?}");
    shell.ok(&["keys", "revoke", "app"]).await;
    for arguments in [&["keys", "revoke", "app"][..], &["keys", "rotate", "../app"]] {
        let ran = shell.run(arguments).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("`lockgate keys list` shows the names"), "{ran:?}");
    }
    assert_eq!(shell.json(&["keys", "list", "--json"]).await, serde_json::json!([]));
}

#[tokio::test]
async fn a_budget_is_set_changed_and_removed() {
    let shell = Shell::new();
    let lost = shell.run(&["budgets", "set", "50", "--key", "app", "--per", "day"]).await;
    assert_eq!(lost.code, Some(1), "{lost:?}");
    shell.ok(&["keys", "create", "app"]).await;
    for (arguments, amount) in [
        (&["budgets", "set", "50", "--key", "app", "--per", "day"][..], "50"),
        (&["budgets", "set", "12.50", "--key", "app", "--per", "day"][..], "12.5"),
    ] {
        let set = shell.run(arguments).await;
        assert_eq!(set.code, Some(0), "{set:?}");
        assert!(set.stdout.contains(&format!("is ${amount}.")), "{set:?}");
    }
    shell.ok(&["budgets", "set", "1000", "--per", "month"]).await;
    let rows = shell.json(&["budgets", "list", "--json"]).await;
    let known: Vec<_> = rows
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (row["key"].as_str(), row["per"].as_str(), row["amount"].as_str(), row["spent"].as_str()))
        .collect();
    let app = (Some("app"), Some("day"), Some("12.5"), Some("0"));
    assert!(known.len() == 2 && known.contains(&app), "{known:?}");
    let listed = shell.run(&["budgets", "list"]).await;
    assert!(listed.stdout.contains("$12.5") && listed.stdout.contains("in force"), "{listed:?}");
    for row in rows.as_array().expect("a list") {
        shell.ok(&["budgets", "remove", row["name"].as_str().expect("a name")]).await;
    }
    let gone = shell.run(&["budgets", "remove", "gateway/month"]).await;
    assert!(gone.stderr.contains("`lockgate budgets list` shows the names"), "{gone:?}");
    let wrong = shell.run(&["budgets", "set", "much"]).await;
    assert!(wrong.code == Some(1) && wrong.stderr.contains("amount: "), "{wrong:?}");
}

#[tokio::test]
async fn a_price_is_shown_by_its_name_and_a_wrong_filter_in_plain_words() {
    let shell = Shell::new();
    let all = shell.json(&["prices", "list", "--search", "gpt-4o", "--json"]).await;
    let own = shell.json(&["prices", "show", "openai/gpt-4o", "--json"]).await;
    assert!(all.as_array().expect("a list").len() > 5, "{all}");
    let names: Vec<_> = own.as_array().expect("a list").iter().map(|one| one["model"].clone()).collect();
    assert_eq!(names, ["openai/gpt-4o", "openrouter/openai/gpt-4o"]);
    let wrong = shell.run(&["export", "requests", "--filter", "bogus=1"]).await;
    assert!(wrong.stderr.contains("unknown parameter `bogus`"), "{wrong:?}");
    assert!(!wrong.stderr.contains("deserialize"), "{wrong:?}");
}

#[tokio::test]
async fn what_a_key_cannot_have_is_refused_whole() {
    let shell = Shell::new();
    let arguments =
        ["keys", "create", "an app", "--priority-max", "top", "--ip", "300.1.1.1", "--grace", "1"];
    let ran = shell.run(&arguments[..7]).await;
    insta::assert_snapshot!(ran.told());
    for (expires, code) in [("tomorrow", 1), ("1d", 0)] {
        let ran = shell.run(&["keys", "create", "app", "--expires", expires]).await;
        assert_eq!(ran.code, Some(code), "{expires}: {ran:?}");
    }
}

#[tokio::test]
async fn keys_of_the_file_are_shown_masked_and_changed_there() {
    let shell = Shell::new().with("APP_KEY", CANARY);
    shell.write("lockgate.yaml", "keys: [{name: app, key: \"${APP_KEY}\"}]\n");
    let rows = shell.json(&["keys", "list", "--json"]).await;
    assert_eq!((&rows[0]["source"], &rows[0]["key"]), (&"file".into(), &"sk-can***9f2a".into()));
    let ran = shell.run(&["keys", "revoke", "app"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("comes from the file"), "{ran:?}");
}

#[tokio::test]
async fn a_missing_wrong_or_malformed_master_key_ends_with_78() {
    let shell = Shell::new().with("LOCKGATE_MASTER_KEY", MASTER_KEY);
    shell.ok(&["keys", "create", "app"]).await;
    assert!(!shell.path().join("data/master.key").exists());
    let check = async |key: Option<&str>, expected: &str| {
        let shell = Shell { variables: Vec::new(), folder: copy(&shell) };
        let shell = key.into_iter().fold(shell, |shell, key| shell.with("LOCKGATE_MASTER_KEY", key));
        let ran = shell.run(&["keys", "list"]).await;
        assert_eq!(ran.code, Some(78), "{key:?}: {ran:?}");
        assert!(ran.stderr.contains(expected) && ran.stderr.contains("help: "), "{key:?}: {ran:?}");
        assert!(key.is_none_or(|key| !ran.stderr.contains(key)), "{ran:?}");
    };
    check(None, "there is no master key").await;
    check(Some(OTHER_KEY), "is not the one").await;
    check(Some("short"), "64 hex characters").await;
}

fn copy(shell: &Shell) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy_all(&shell.path().join("data"), &folder.path().join("data"));
    folder
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let copied = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_all(&entry.path(), &copied);
        } else {
            std::fs::copy(entry.path(), copied).expect("a copy");
        }
    }
}

#[tokio::test]
async fn a_credential_comes_by_variable_file_or_pipe_and_is_never_seen_again() {
    let shell = Shell::new().with("PROVIDER_KEY", CANARY);
    shell.write("key.txt", &format!("{CANARY}\n"));
    let url = ["--base-url", "http://127.0.0.1:9/v1"];
    for (name, from) in [("a", &["--api-key-env", "PROVIDER_KEY"][..]), ("b", &["--api-key-file", "key.txt"])]
    {
        shell.ok(&[&["backends", "add", name][..], &url, from].concat()).await;
    }
    let ran =
        shell.run_with(&[&["backends", "add", "c", "--api-key-stdin"][..], &url].concat(), CANARY).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    std::fs::remove_file(shell.path().join("key.txt")).expect("removed");
    assert!(!shell.holds(CANARY), "the credential is stored in clear");
    insta::assert_snapshot!(shell.run(&["backends", "list"]).await.told());
    for from in [&["--api-key-env", "ABSENT"][..], &["--api-key-file", "absent"], &["--api-key-stdin"]] {
        let ran = shell.run(&[&["backends", "add", "d"][..], &url, from].concat()).await;
        assert_eq!(ran.code, Some(1), "{from:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_backend_is_added_as_described_and_removed() {
    let shell = Shell::new();
    let ran = shell
        .ok(&[
            "backends",
            "add",
            "groq-a",
            "--kind",
            "groq",
            "--pool",
            "fallback",
            "--weight",
            "3",
            "--rpm",
            "0",
            "--tpm",
            "1000",
            "--concurrency",
            "4",
            "--model",
            "fast=llama-3.1-8b-instant",
            "--model",
            "qwen/qwen3-32b",
            "--disabled",
            "--json",
        ])
        .await;
    let added: serde_json::Value = serde_json::from_str(&ran).expect("JSON");
    assert_eq!(added["enabled"], false);
    assert_eq!(added["models"]["fast"]["native"], "llama-3.1-8b-instant");
    assert_eq!(added["limits"]["rpm"], 0);
    for (arguments, expected) in [
        (&["backends", "add", "groq-a", "--kind", "groq"][..], "another one has this name"),
        (&["backends", "add", "x", "--kind", "grokk"], "kind"),
        (&["backends", "add", "x", "--base-url", "ftp://host"], "base_url"),
        (&["backends", "add", "x", "--base-url", "http://169.254.169.254/v1"], "base_url"),
        (&["backends", "test", "nope"], "`lockgate backends list`"),
        (&["backends", "remove", "nope"], "`lockgate backends list`"),
    ] {
        let ran = shell.run(arguments).await;
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
    }
    shell.ok(&["backends", "remove", "groq-a"]).await;
    assert_eq!(shell.json(&["backends", "list", "--json"]).await, serde_json::json!([]));
}

#[tokio::test]
async fn a_test_asks_the_backend_and_says_what_to_do() {
    let settings = ProviderSettings { key: Some(CANARY.to_owned()), ..ProviderSettings::default() };
    let provider = ScriptedProvider::start_with(settings).await.expect("a provider");
    let shell = Shell::new().with("PROVIDER_KEY", CANARY).with("WRONG_KEY", "sk-wrong");
    for (name, key) in [("right", "PROVIDER_KEY"), ("wrong", "WRONG_KEY")] {
        shell.ok(&["backends", "add", name, "--base-url", &provider.base_url(), "--api-key-env", key]).await;
    }
    let report = shell.json(&["backends", "test", "right", "--json"]).await;
    assert_eq!((report["ok"].as_bool(), report["status"].as_u64()), (Some(true), Some(200)));
    assert!(!report["models"].as_array().expect("a list").is_empty());
    assert_eq!(provider.received().len(), 1, "one real call");
    let refused = shell.run(&["backends", "test", "wrong"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stdout.contains("status 401") && refused.stderr.contains("refuses the key"),
        "{refused:?}"
    );
    for (behaviour, expected) in [
        (Behaviour::html(404), "/v1"),
        (Behaviour::error(503, "away"), "try again later"),
        (Behaviour::html(200), "base_url"),
    ] {
        provider.then(behaviour);
        let ran = shell.run(&["backends", "test", "right"]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    drop(provider);
    let gone = shell.run(&["backends", "test", "right"]).await;
    assert!(gone.stderr.contains("nobody answers there"), "{gone:?}");
}

#[tokio::test]
async fn a_running_gateway_takes_up_what_the_command_line_changes() {
    let provider = ScriptedProvider::start().await;
    let gateway = GatewaySettings::new(LOCKGATE).start().await.expect("a gateway");
    let shell = Shell::new();
    let data = gateway.data().display().to_string();
    let key = shell.ok(&["keys", "create", "app", "--data-dir", &data]).await;
    let mut rounds = Rounds { gateway: &gateway, seen: Vec::new() };
    let asked = async || gateway.client().get("/v1/models").await.expect("an answer").status;
    while asked().await != 401 {
        rounds.next().await;
    }
    let url = provider.base_url();
    shell.ok(&["backends", "add", "late", "--base-url", &url, "--model", "m", "--data-dir", &data]).await;
    let listed = async || {
        let mut listed =
            gateway.client().with_key(key.trim_end()).get("/v1/models").await.expect("an answer");
        listed.json().await.expect("JSON")["data"][0]["id"] == "m"
    };
    while !listed().await {
        rounds.next().await;
    }
    let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let asked = gateway.client().with_key(key.trim_end()).post("/v1/chat/completions", &body).await;
    assert_eq!(asked.expect("an answer").status, 200);
}

/// Times that a gateway looked at its directory and found it changed.
struct Rounds<'a> {
    gateway: &'a TestGateway,
    seen: Vec<String>,
}

impl Rounds<'_> {
    /// Waits for one that was not waited for before.
    async fn next(&mut self) {
        let is_new = |line: &str| line.contains("CatchUp") && !self.seen.iter().any(|seen| seen == line);
        let line = self.gateway.line(is_new).await;
        self.seen.push(line);
    }
}
