//! What a gateway must still know after it was killed where it stood.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use store::{StoreOptions, Tools};
use testkit::{Behaviour, GatewaySettings, ScriptedProvider, TestAnswer, TestClient, TestGateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cli::LOCKGATE;

/// A provider that mints these ids.
async fn minting(response: &str, file: &str) -> ScriptedProvider {
    let provider = ScriptedProvider::start().await;
    let made =
        json!({"id": response, "object": "response", "status": "completed", "model": "m", "output": []});
    let kept = json!({"id": file, "object": "file", "purpose": "batch"});
    provider.then(Behaviour::json(200, &made)).then(Behaviour::json(200, &kept));
    provider
}

/// Stores a setting, as the admin API does.
async fn store_setting(gateway: &TestGateway, path: &str, value: Value) {
    let tools =
        Tools::open(&gateway.data(), StoreOptions::default()).expect("the store opens beside the gateway");
    tools.directory.change_settings(vec![(path.to_owned(), Some(value))]).await.expect("stored");
}

async fn effective(gateway: &TestGateway, path: &str) -> Value {
    let mut answer =
        gateway.client().with_key("the-admin-token").get("/api/admin/config").await.expect("an answer");
    let config = answer.json().await.expect("JSON");
    let all = config["effective"].as_array().expect("the effective settings");
    all.iter().find(|one| one["path"] == path).unwrap_or_else(|| panic!("{path}: {config}")).clone()
}

#[tokio::test]
async fn a_setting_changed_by_api_is_in_force_after_a_restart_below_the_file() {
    let config = "admin: {token: the-admin-token}\nlimits: {queue_max: 7}\n";
    let mut gateway = GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway");
    for (path, value) in
        [("limits.queue_max", json!(9)), ("limits.max_in_flight", json!(11)), ("log.level", json!("debug"))]
    {
        store_setting(&gateway, path, value).await;
    }
    gateway.restart().await.expect("a second start");
    for (path, want) in [("limits.queue_max", "7"), ("limits.max_in_flight", "11"), ("log.level", "debug")] {
        assert_eq!(effective(&gateway, path).await["value"], want, "{path}");
    }
    // Another release or another file may not take what was stored: that is told, and nobody is kept from starting.
    store_setting(&gateway, "limits.max_in_flight", json!("many")).await;
    gateway.restart().await.expect("a third start");
    gateway.line(|line| line.contains("settings changed by API are left out")).await;
    assert_eq!(effective(&gateway, "limits.queue_max").await["value"], "7");
}

#[tokio::test]
async fn a_log_level_changed_by_api_acts_without_a_restart() {
    let config = "admin: {token: the-admin-token}\n";
    let gateway = GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway");
    let admin = gateway.client().with_key("the-admin-token");
    let body = json!({"log": {"level": "debug"}}).to_string();
    let answer = admin.send(Method::PATCH, "/api/admin/config", body.into()).await.expect("an answer");
    assert_eq!(answer.status, 200);
    // What is no HTTP is told of at that level only.
    let babbling = async {
        loop {
            let mut connection = TcpStream::connect(gateway.address()).await.expect("a connection");
            connection.write_all(b"\0\0\r\n\r\n").await.expect("it is taken in");
            connection.read_to_end(&mut Vec::new()).await.unwrap_or_default();
        }
    };
    tokio::select! {
        line = gateway.line(|line| line.contains("a connection ended early")) => {
            assert!(line.contains("DEBUG"), "{line}");
        }
        () = babbling => {}
    }
}

#[tokio::test]
async fn a_follow_up_finds_its_backend_after_a_kill() {
    let providers = [minting("resp_a", "file-a").await, minting("resp_b", "file-b").await];
    let [a, b] = providers.each_ref().map(ScriptedProvider::base_url);
    let backend = |name: &str, url: &str| {
        format!(
            "  - {{name: {name}, kind: openai_compatible, base_url: \"{url}\", limits: {{rpm: 0}}, models: {{m: {{}}}}}}\n"
        )
    };
    let config = format!(
        "backends:\n{}{}pools: {{primary: {{strategy: round_robin}}}}\naffinity: {{enabled: false}}\n",
        backend("a", &a),
        backend("b", &b)
    );
    let mut gateway = GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway");
    let client = gateway.client();
    for path in ["/v1/responses", "/v1/files"] {
        for _ in &providers {
            let made = client.post(path, &json!({"model": "m", "input": "x"})).await.expect("an answer");
            assert_eq!(made.status, 200, "{path}");
        }
    }
    gateway.kill().await.expect("killed");
    gateway.restart().await.expect("a second start");
    let client = gateway.client();
    for home in ["a", "b"] {
        for _ in 0..3 {
            let ask = json!({"model": "m", "input": "x", "previous_response_id": format!("resp_{home}")});
            let answers = [
                client.post("/v1/responses", &ask).await,
                client.get(&format!("/v1/responses/resp_{home}")).await,
                client.get(&format!("/v1/files/file-{home}")).await,
                client.send(Method::DELETE, &format!("/v1/files/file-{home}"), Vec::new().into()).await,
            ];
            for (number, answer) in answers.into_iter().enumerate() {
                let answer = answer.expect("an answer");
                assert_eq!(answer.header("x-lockgate-backend"), Some(home), "{number}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_could_be_continued_ends_with_the_process_and_is_accounted_for_once() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour::healthy().paced());
    provider.step(2);
    let config = format!(
        "admin: {{token: the-admin-token}}\nstreams: {{resumable: true}}\nbackends:\n  - {{name: a, kind: openai_compatible, base_url: '{}', models: {{m: null}}}}\n",
        provider.base_url()
    );
    let mut gateway = GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway");
    let ask = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true});
    let mut answer = gateway.client().post("/v1/chat/completions", &ask).await.expect("an answer");
    let place = answer.header("x-lockgate-resume").expect("a place to continue at").to_owned();
    for _ in 0..2 {
        answer.event().await.expect("an event").expect("a whole event");
    }
    answer.abort();
    let back = gateway.client().with_header("last-event-id", "1").with_header("x-lockgate-take-over", "1");
    let mut again = back.get(&place).await.expect("an answer");
    assert!(again.event().await.expect("an event").expect("a whole event").ends_with(b"id: 2\n\n"));
    gateway.kill().await.expect("it can be killed");
    gateway.restart().await.expect("a second start");
    let lost = gateway.client().with_header("last-event-id", "2").get(&place).await.expect("an answer");
    assert_eq!(lost.status, 404);
    let total = loop {
        let admin = gateway.client().with_key("the-admin-token");
        let mut answer = admin.get("/api/admin/stats/total").await.expect("the admin API answers");
        let said = answer.json().await.expect("totals");
        if said["total"]["requests"].as_u64().unwrap_or_else(|| panic!("no totals: {said}")) > 0 {
            break said["total"].clone();
        }
    };
    assert_eq!((&total["requests"], &total["interrupted"]), (&json!(1), &json!(1)), "{total}");
    assert_eq!(provider.received().len(), 1);
}

/// A gateway whose backend keeps no responses.
fn forgetful(provider: &ScriptedProvider, responses: &str) -> GatewaySettings {
    GatewaySettings::new(LOCKGATE).config(format!(
        "responses: {responses}\nkeys: [{{name: one, key: lg-first-key-0001}}, {{name: two, key: lg-second-key-02}}]\nbackends:\n  - {{name: a, kind: openai_compatible, dialects: [openai_chat], base_url: '{}', models: {{m: null}}}}\n",
        provider.base_url()
    ))
}

async fn respond(client: &TestClient, input: &str, previous: Option<&str>) -> TestAnswer {
    let ask = json!({"model": "m", "input": input, "previous_response_id": previous});
    client.post("/v1/responses", &ask).await.expect("an answer")
}

async fn id_of(mut answer: TestAnswer) -> String {
    assert_eq!(answer.status, 200);
    answer.json().await.expect("JSON")["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_kept_response_is_gone_on_with_after_a_restart() {
    let provider = ScriptedProvider::start().await;
    let mut gateway = forgetful(&provider, "{kept_for: 1h}").start().await.expect("a gateway");
    let owner = |gateway: &TestGateway| gateway.client().with_key("lg-first-key-0001");
    let first = id_of(respond(&owner(&gateway), "the first turn", None).await).await;
    let second = id_of(respond(&owner(&gateway), "the second turn", Some(&first)).await).await;
    let gone = id_of(respond(&owner(&gateway), "not to be known", None).await).await;
    let deleted = owner(&gateway).send(Method::DELETE, &format!("/v1/responses/{gone}"), Bytes::new()).await;
    assert_eq!(deleted.expect("an answer").status, 200);
    gateway.stop().await.expect("it stops");
    gateway.restart().await.expect("a second start");

    for _ in 0..3 {
        drop(provider.next_request().await);
    }
    let third = id_of(respond(&owner(&gateway), "the third turn", Some(&second)).await).await;
    let sent = String::from_utf8_lossy(&provider.next_request().await.body).into_owned();
    for turn in ["the first turn", "the second turn", "the third turn"] {
        assert!(sent.contains(turn), "{sent}");
    }
    let path = format!("/v1/responses/{second}");
    let shown = owner(&gateway).get(&path).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(shown["id"], json!(second));
    let stranger = gateway.client().with_key("lg-second-key-02");
    assert!(stranger.get(&path).await.expect("an answer").status.is_client_error());
    assert_eq!(respond(&stranger, "x", Some(&second)).await.status, 400);
    assert_eq!(respond(&owner(&gateway), "x", Some(&gone)).await.status, 400, "it was deleted");
    let deleted = owner(&gateway).send(Method::DELETE, &path, Bytes::new()).await;
    assert_eq!(deleted.expect("an answer").json().await.expect("JSON")["deleted"], true);
    gateway.stop().await.expect("it stops");

    // With no time to keep anything, nothing that was kept is left.
    let none = forgetful(&provider, "{kept_for: 0s}");
    gateway.reconfigure(&none.config.expect("a configuration")).expect("written");
    gateway.restart().await.expect("a third start");
    assert_eq!(respond(&owner(&gateway), "x", Some(&third)).await.status, 400);
    gateway.stop().await.expect("it stops");
    assert_eq!(kept_rows(&gateway), 0);
}

/// Rows of the table of kept responses.
fn kept_rows(gateway: &TestGateway) -> usize {
    let store = store::Store::open(&gateway.data(), StoreOptions::default()).expect("the store opens");
    store.kept.remembered.len()
}

#[tokio::test]
async fn what_is_kept_on_disk_is_bounded_as_it_is_in_memory() {
    let provider = ScriptedProvider::start().await;
    let mut gateway =
        forgetful(&provider, "{kept_for: 1h, kept_bytes: 1MiB}").start().await.expect("a gateway");
    let client = gateway.client().with_key("lg-first-key-0001");
    let long = "x".repeat(200_000);
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(id_of(respond(&client, &long, None).await).await);
    }
    gateway.stop().await.expect("it stops");
    assert_eq!(kept_rows(&gateway), 5);
    gateway.restart().await.expect("a second start");
    let client = gateway.client().with_key("lg-first-key-0001");
    for (number, id) in ids.iter().enumerate() {
        let status = client.get(&format!("/v1/responses/{id}")).await.expect("an answer").status;
        assert_eq!(status == 200, number >= 3, "{number}: {status}");
    }
    assert!(gateway.output().contains("stopped"), "{}", gateway.output());
}
