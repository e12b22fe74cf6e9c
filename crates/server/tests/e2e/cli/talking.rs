//! `chat`, `models` and `usage` against a running gateway: what is heard, what went wrong, and what it took.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Behaviour, GatewaySettings, ScriptedProvider, TestGateway};
use tokio::io::AsyncReadExt;

use super::{CANARY, LOCKGATE, Shell};

const TEXT: &str = "The quick brown fox jumps over the lazy dog.";

async fn gateway(provider: &ScriptedProvider, more: &str) -> TestGateway {
    let config = format!(
        "backends:\n  - {{name: a, base_url: '{}', api_key: {CANARY}, limits: {{rpm: 0}},\n     \
         models: {{m: {{price: {{input: 1, output: 4}}}}, free: {{}}}}}}\n{more}",
        provider.base_url()
    );
    GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway")
}

fn shell(gateway: &TestGateway) -> Shell {
    Shell::new().with("LOCKGATE_URL", &format!("http://{}", gateway.address()))
}

#[tokio::test]
async fn an_answer_goes_to_standard_output_and_its_figures_beside_it() {
    let provider = ScriptedProvider::start().await;
    let gateway = gateway(&provider, "").await;
    let shell = shell(&gateway);
    let heard = shell.run(&["chat", "m", "Say it", "--system", "Be brief", "--max-tokens", "20"]).await;
    assert_eq!((heard.stdout.as_str(), heard.code), (format!("{TEXT}\n").as_str(), Some(0)), "{heard:?}");
    for part in ["tokens in, 9 out", "first after 0.", "request req-"] {
        assert!(heard.stderr.contains(part), "{part}: {heard:?}");
    }
    let asked = provider.next_request().await;
    let body: serde_json::Value = serde_json::from_slice(&asked.body).expect("JSON");
    assert_eq!(body["messages"][0]["content"], "Be brief");
    assert_eq!(
        (body["max_tokens"].as_u64(), body["messages"][1]["content"].as_str()),
        (Some(20), Some("Say it"))
    );
    let piped = shell.run_with(&["chat", "m"], "from a pipe\n").await;
    assert_eq!(piped.stdout, format!("{TEXT}\n"), "{piped:?}");
    let json = shell.json(&["chat", "m", "hi", "--json"]).await;
    assert_eq!((json["text"].as_str(), json["ending"].as_str()), (Some(TEXT), Some("whole")));
    assert_eq!(json["usage"]["completion_tokens"], 9);
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_its_code_its_request_and_what_to_do() {
    let provider = ScriptedProvider::start().await;
    let gateway = gateway(&provider, "").await;
    let shell = shell(&gateway);
    let check = async |arguments: &[&str], parts: &[&str]| {
        let ran = shell.run(arguments).await;
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
        for part in parts {
            assert!(ran.stderr.contains(part), "{part}: {ran:?}");
        }
    };
    check(
        &["chat", "nope", "hi"],
        &["`nope`", "model_not_found, status 404, request req-", "`lockgate models`"],
    )
    .await;
    check(&["chat", "m", " "], &["there is nothing to say"]).await;
    check(&["chat", "m", "hi", "--key-env", "ABSENT"], &["ABSENT is not set", "the gateway key"]).await;
    check(&["explain", "--model", "m"], &["LOCKGATE_ADMIN_TOKEN is not set", "an admin token"]).await;
    check(&["chat", "m", "hi", "--url", "ftp://x"], &["http://"]).await;
    let (nobody, _held) = testkit::refused_address().expect("an address");
    let nobody = format!("http://{nobody}");
    check(&["chat", "m", "hi", "--url", &nobody], &["cannot be reached", "`lockgate serve`"]).await;
    let mut broken = Behaviour::healthy();
    broken.error_event_at = Some(3);
    provider.then(broken);
    let broken = shell.run(&["chat", "m", "hi"]).await;
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.stdout.starts_with("The") && broken.stdout.ends_with('\n'), "{broken:?}");
    assert!(broken.stderr.contains("request req-"), "{broken:?}");
}

#[tokio::test]
async fn an_interrupt_ends_an_answer_cleanly() {
    let provider = ScriptedProvider::start().await;
    provider.then(Behaviour::healthy().paced());
    let gateway = gateway(&provider, "").await;
    let shell = shell(&gateway);
    let mut child = shell.command(&["chat", "m", "hi"]).spawn().expect("the binary runs");
    provider.step(3);
    let mut stdout = child.stdout.take().expect("piped");
    let mut first = [0; 3];
    stdout.read_exact(&mut first).await.expect("the first word");
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs");
    kill_process(id, Signal::INT).expect("signalled");
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("stopped by you"), "{stderr}");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_answer() {
    let provider = ScriptedProvider::start().await;
    provider.then(Behaviour::healthy().paced());
    let gateway = gateway(&provider, "").await;
    let shell = shell(&gateway);
    let mut child =
        shell.command(&["chat", "m", "hi"]).stderr(Stdio::null()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    provider.step(100);
    assert_eq!(child.wait().await.expect("it ends").code(), Some(0));
}

#[tokio::test]
async fn a_gateway_with_keys_wants_one() {
    let provider = ScriptedProvider::start().await;
    let gateway = gateway(&provider, "keys: [{name: app, key: lg-test-0123456789}]\n").await;
    let open = shell(&gateway);
    for arguments in [&["chat", "m", "hi"][..], &["models"]] {
        let ran = open.run(arguments).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("wants a key: set LOCKGATE_KEY"), "{ran:?}");
    }
    let known = shell(&gateway).with("LOCKGATE_KEY", "lg-test-0123456789").with("MINE", "lg-wrong");
    assert_eq!(known.ok(&["chat", "m", "hi"]).await, format!("{TEXT}\n"));
    let wrong = known.run(&["chat", "m", "hi", "--key-env", "MINE"]).await;
    assert!(wrong.stderr.contains("is not one of this gateway's"), "{wrong:?}");
    assert!(!wrong.stderr.contains("lg-wrong"), "{wrong:?}");
}

#[tokio::test]
async fn models_are_told_by_the_gateway_or_by_the_configuration() {
    let provider = ScriptedProvider::start().await;
    let gateway = gateway(&provider, "").await;
    let shell = shell(&gateway);
    let config = gateway.config_path().display().to_string();
    insta::assert_snapshot!(shell.run(&["models", "--config", &config]).await.told());
    let offer = shell.json(&["models", "--config", &config, "--configured", "--json"]).await;
    assert_eq!(offer["told_by"], "configuration");
    assert_eq!(offer["models"][1]["backends"][0]["input_price"], "1");
    assert_eq!(offer["models"][0]["backends"][0]["input_price"], serde_json::Value::Null);
    // Whoever asks from elsewhere has no configuration: the list is all there is.
    let bare = shell.json(&["models", "--json"]).await;
    assert_eq!((&bare["told_by"], &bare["models"][1]["id"]), (&"gateway".into(), &"m".into()));
    let (nobody, _held) = testkit::refused_address().expect("an address");
    let alone = Shell::new();
    alone.write(
        "lockgate.yaml",
        &format!("listen: {nobody}\nbackends: [{{name: a, base_url: '{}'}}]\n", provider.base_url()),
    );
    let ran = alone.run(&["models"]).await;
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.contains("no gateway answers at") && ran.stderr.contains("a serves what it lists"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn usage_shows_what_was_used_and_what_has_no_price() {
    let provider = ScriptedProvider::start().await;
    let mut gateway = gateway(&provider, "").await;
    let shell = shell(&gateway);
    for model in ["m", "m", "free"] {
        shell.ok(&["chat", model, "one two three"]).await;
    }
    gateway.stop().await.expect("it ends");
    let data = gateway.data().display().to_string();
    let usage = |by: &'static str| {
        let (shell, data) = (&shell, &data);
        async move { shell.json(&["usage", "--by", by, "--json", "--data-dir", data]).await }
    };
    let by_model = usage("model").await;
    assert_eq!(by_model["total"]["requests"], 3);
    assert_eq!(by_model["total"]["output_tokens"], 27);
    assert_eq!(by_model["total"]["unpriced"], 1);
    let rows = by_model["rows"].as_array().expect("rows");
    let named = |name: &str| rows.iter().find(|row| row["name"] == name).expect("the row");
    assert_eq!((&named("m")["requests"], &named("free")["unpriced"]), (&2.into(), &1.into()));
    for by in ["day", "hour", "backend", "key"] {
        assert_eq!(usage(by).await["total"], by_model["total"], "by {by}");
    }
    let told = shell.ok(&["usage", "--by", "backend", "--since", "1h", "--data-dir", &data]).await;
    assert!(
        told.contains("a        3") && told.contains("█") && told.contains("+ 1 call without a known price"),
        "{told}"
    );
    let none = Shell::new().run(&["usage"]).await;
    assert!(none.stdout.is_empty() && none.stderr.contains("Nothing was used since"), "{none:?}");
    let unclear = shell.run(&["usage", "--since", "yesterday"]).await;
    assert_eq!(unclear.code, Some(1));
}
