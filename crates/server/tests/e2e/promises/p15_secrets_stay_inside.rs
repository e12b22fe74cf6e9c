//! P15: secrets never leave in clear: canaries are looked for in every answer, every line of output and every file.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{Behaviour, Ending, GatewaySettings, ScriptedProvider, TestAnswer, TestClient, TestGateway};
use tokio::time::timeout;

/// Credentials of all the shapes that are met: words, keys with a known beginning, and ones with odd letters.
const IN_FILE: &str = "canarycredentialofthefile";
const IN_ENVIRONMENT: &str = "sk-canary-environment-0123456789abcdef";
const BY_API: &str = "canary/by+api=%22<'quoted'>";
const BY_API_AGAIN: &str = "canary:second:by:api";
const IN_HEADER: &str = "canary-of-a-fixed-header";
const GATEWAY_KEY: &str = "lg-canaryGatewayKeyOfTheFile";
const ADMIN_TOKEN: &str = "lga-canaryAdminTokenOfTheFile";
const MASTER_KEY: &str = "ca4a7ca4a70123456789abcdef0123456789abcdef0123456789abcdefca4a7a";
const NEXT_MASTER_KEY: &str = "ca4a7ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11ca4";

/// What local processes sign in with; one that looks like a key, and one that looks like nothing.
const ACCOUNT_IN_FILE: &str = "canary, my dog's name";
const ACCOUNT_BY_API: &str = "canary-token-of-an-account-0123456789";
const ACCOUNT_BY_API_AGAIN: &str = "canaryaccountkey";

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the outside has seen, each piece with a name.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    /// Keeps an answer, its head as well as its body.
    async fn answer(&mut self, name: &str, mut answer: TestAnswer) -> Vec<u8> {
        let head = format!("{} {:?}", answer.status, answer.headers);
        let body = answer.body().await.map(|body| body.to_vec()).unwrap_or_default();
        self.0.push((format!("the head of {name}"), head.into_bytes()));
        self.0.push((name.to_owned(), body.clone()));
        body
    }

    /// Keeps every file below `folder`.
    fn files(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.files(&path);
            } else {
                self.0.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
            }
        }
    }

    /// None of it has any of the secrets, in any dress.
    fn assert_clean(&self, secrets: &[&str]) {
        assert!(self.0.len() > 100, "only {} pieces were looked at", self.0.len());
        for secret in secrets {
            for dress in dresses(secret) {
                for (name, bytes) in &self.0 {
                    let found = memchr::memmem::find(bytes, &dress);
                    assert_eq!(found, None, "{name} has {secret}: {}", String::from_utf8_lossy(bytes));
                }
            }
        }
    }
}

/// A secret as it is, within JSON, as hexadecimal digits, and as the bytes that digits stand for.
fn dresses(secret: &str) -> Vec<Vec<u8>> {
    let in_json = json!(secret).to_string().trim_matches('"').to_owned();
    let digits: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut dresses = vec![secret.as_bytes().to_vec(), in_json.into_bytes(), digits.into_bytes()];
    let pairs = secret.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
    let bytes: Result<Vec<u8>, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
    dresses.extend(bytes.ok());
    dresses
}

/// Answers that quote the credential they were asked with, in every place an upstream has for words.
fn indiscreet(secret: &str) -> Vec<Behaviour> {
    let quoted = format!("the header was 'Authorization: Bearer {secret}', key {secret}");
    let error =
        |code: &str| json!({"error": {"message": quoted, "type": secret, "param": secret, "code": code}});
    let healthy = Behaviour::healthy();
    let event = json!({"choices": [{"index": 0, "delta": {"content": "a"}}]});
    let mut all: Vec<Behaviour> =
        [400, 404, 413, 422, 500, 502, 503].map(|status| Behaviour::json(status, &error("x"))).into();
    all.extend([
        Behaviour::json(200, &error("server_error")),
        Behaviour::json(400, &json!({"detail": quoted})),
        Behaviour::chunks("text/html", [format!("<html>{quoted}</html>")]).status(502),
        Behaviour::chunks("text/plain", [quoted.clone()])
            .status(400)
            .header("x-echo", &quoted.replace('"', "")),
        Behaviour::chunks("application/json", [format!("{{\"x\": {}", json!(quoted))]),
        Behaviour::replay([format!("data: {event}\n\n"), format!("data: {}\n\n", error("server_error"))]),
        Behaviour::replay([format!("data: {event}\n\n"), format!("event: error\ndata: {quoted}\n\n")]),
        Behaviour::replay([format!("data: {}\n\n", error("server_error"))]),
        Behaviour::raw(format!("HTTP/1.1 200 OK\r\nx-bad\0{secret}: a\r\n\r\n")).ending(Ending::ThenClose),
        Behaviour::raw(format!("{secret}\r\n\r\n")).ending(Ending::ThenClose),
        healthy.clone().header("x-echo", &format!("Bearer {secret}")).header("www-authenticate", secret),
        healthy.clone().header("content-type", secret),
        healthy.ending(Ending::CloseAt(300)),
        Behaviour::json(401, &error("invalid_api_key")),
    ]);
    all
}

fn config(providers: &[ScriptedProvider]) -> String {
    let backend = |index: usize, key: &str, more: &str| {
        let url = providers[index].base_url();
        format!(
            "  - {{name: b{index}, kind: openai_compatible, base_url: \"{url}\", api_key: \"{key}\", \
             limits: {{rpm: 0}}, models: {{m{index}: {{}}}}{more}}}\n"
        )
    };
    format!(
        "admin: {{token: \"{ADMIN_TOKEN}\"}}\nlog: {{level: trace}}\nretry: {{attempts_max: 1}}\n\
         keys:\n  - {{name: app, key: \"{GATEWAY_KEY}\"}}\nbackends:\n{}{}",
        backend(0, IN_FILE, &format!(", headers: {{set: {{x-team: \"Bearer {IN_HEADER}\"}}}}")),
        backend(1, "${CANARY}", &local_processes())
    )
}

/// Instances whose accounts nobody takes: they are told of, and repeat what they were told.
fn local_processes() -> String {
    format!(
        "}}\n  - {{name: local, kind: process, process: {{program: \"{}\", start: boot, instances: 2, \
         accounts: [{{token: \"{ACCOUNT_IN_FILE}\"}}], login: {{automatic: true}}}}",
        crate::instances::program().display()
    )
}

/// An account that is given by the API, wrong ones beside it, and what is shown of them.
async fn add_account(seen: &mut Seen, admin: &TestClient) {
    const PATH: &str = "/api/admin/instances/inst-2/account";
    let put = async |body: Value| {
        admin.send(Method::PUT, PATH, Bytes::from(body.to_string())).await.expect("an answer")
    };
    for wrong in [
        json!({"token": ACCOUNT_BY_API, "secret_key": ACCOUNT_BY_API_AGAIN}),
        json!({"token": [ACCOUNT_BY_API]}),
        json!({"password": ACCOUNT_BY_API, "username": {"a": ACCOUNT_BY_API}}),
    ] {
        let refused = put(wrong.clone()).await;
        assert_eq!(refused.status, 422, "{wrong}");
        seen.answer(&format!("the refusal of {wrong}"), refused).await;
    }
    for (account, word) in [
        (json!({"token": ACCOUNT_BY_API}), "personal_token"),
        (json!({"access_key": ACCOUNT_BY_API_AGAIN, "secret_key": ACCOUNT_BY_API_AGAIN}), "ak_sk"),
    ] {
        let given = put(account).await;
        assert_eq!(given.status, 200);
        seen.answer("the account", given).await;
        // Not before the program has been told, and has told everybody.
        let told = timeout(PATIENCE, async {
            loop {
                let mut shown = admin.get("/api/admin/instances").await.expect("an answer");
                let shown = shown.json().await.expect("JSON");
                if has_repeated(&shown["instances"][0], "personal_token")
                    && has_repeated(&shown["instances"][1], word)
                {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        told.await.expect("the programs repeat what they were told");
        let shown = admin.get("/api/admin/instances").await.expect("an answer");
        seen.answer("the instances", shown).await;
    }
}

/// Whether an instance's program has said what it was told to sign in with, and did not take it.
fn has_repeated(instance: &Value, word: &str) -> bool {
    let mut lines = instance["last_lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    instance["login"]["state"] == "failed" && lines.any(|line| line.contains(word))
}

fn ask(model: &str, is_stream: &Value) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": is_stream})
}

/// A backend that is to tell what it was shown.
struct Target<'a> {
    provider: &'a ScriptedProvider,
    /// By which the admin API knows it.
    id: &'a str,
    model: &'a str,
    secret: &'a str,
    /// In which header it is shown, as a bearer.
    header: &'a str,
}

impl Target<'_> {
    /// Asks its model until its provider has been indiscreet in every way it knows.
    async fn provoke(&self, seen: &mut Seen, client: &TestClient, admin: &TestClient) {
        let reset = format!("/api/admin/backends/{}/reset", self.id);
        for (number, behaviour) in indiscreet(self.secret).into_iter().enumerate() {
            for is_stream in [json!(false), json!(true)] {
                // Nothing is to wait for a breaker, or to go nowhere for a refused credential.
                let done = admin.send(Method::POST, &reset, Bytes::new()).await.expect("an answer");
                assert_eq!(done.status, 204, "{}", self.id);
                self.provider.otherwise(behaviour.clone());
                let answer = client.post(CHAT, &ask(self.model, &is_stream)).await.expect("an answer");
                seen.answer(&format!("answer {number} of {}, stream {is_stream}", self.id), answer).await;
            }
        }
        let done = admin.send(Method::POST, &reset, Bytes::new()).await.expect("an answer");
        assert_eq!(done.status, 204, "{}", self.id);
        self.provider.otherwise(Behaviour::html(200));
        let relayed = client.post("/v1/moderations", &json!({"model": self.model, "input": "a"})).await;
        seen.answer(&format!("a relay of {}", self.id), relayed.expect("an answer")).await;
        let shown = format!("Bearer {}", self.secret);
        let calls = self.provider.received();
        let calls = calls.iter().filter(|call| call.header(self.header) == Some(&shown)).count();
        assert!(calls > 2 * indiscreet(self.secret).len(), "{} was called {calls} times", self.id);
    }
}

async fn add_backend(seen: &mut Seen, admin: &TestClient, provider: &ScriptedProvider) -> String {
    let spec = json!({"name": "b2", "kind": "openai_compatible", "base_url": provider.base_url(), "api_key": BY_API,
        "limits": {"rpm": 0}, "models": {"m2": {}}});
    let made = admin.post("/api/admin/backends", &spec).await.expect("an answer");
    assert_eq!(made.status, 201);
    let body = seen.answer("the new backend", made).await;
    let made: Value = serde_json::from_slice(&body).expect("JSON");
    for wrong in [
        json!({"name": "b2", "kind": "openai_compatible", "base_url": "http://127.0.0.1:1/v1", "api_key": BY_API}),
        json!({"name": "b9", "kind": "no such", "base_url": "no url", "api_key": BY_API, "wrong": BY_API}),
        json!({"name": "b9", "kind": "openai_compatible", "base_url": "http://127.0.0.1:1/v1", "api_key": [BY_API]}),
        json!({"name": BY_API, "api_key": {"a": BY_API}}),
    ] {
        let refused = admin.post("/api/admin/backends", &wrong).await.expect("an answer");
        assert!(refused.status.is_client_error(), "{wrong}");
        // What the caller names a thing, or writes into a field that is none, may be quoted back to it.
        if wrong["name"] != BY_API && wrong["wrong"] != BY_API {
            seen.answer(&format!("the refusal of {wrong}"), refused).await;
        }
    }
    made["id"].as_str().expect("an id").to_owned()
}

/// A gateway key made by the API is shown in the one answer that makes it.
async fn add_key(admin: &TestClient) -> String {
    let made = admin.post("/api/admin/keys", &json!({"name": "made"})).await.expect("an answer").json().await;
    made.expect("JSON")["key"].as_str().expect("a key").to_owned()
}

/// Reads everything that can be read.
async fn read_all(seen: &mut Seen, gateway: &TestGateway, admin: &TestClient, backend: &str) {
    let described = described(seen, admin).await;
    assert!(described.len() > 20, "{described:?}");
    let others = [
        "/api/admin/instances/inst-1/account",
        "/api/admin/instances/inst-2/account",
        "/internal/auto-login/status",
        "/api/admin/none",
        "/api/admin/explain?model=m0",
        "/api/admin/export/requests?format=ndjson",
        "/api/admin/export/usage?format=ndjson&grain=hour",
        "/api/admin/export/audit?format=ndjson",
        "/api/docs",
        "/dashboard",
        "/status",
        "/internal/stats",
        "/healthz",
        "/health",
        "/health/ready",
        "/metrics",
        "/v1/models",
        "/",
    ];
    for path in described.iter().map(String::as_str).chain(others) {
        for (who, client) in [("admin", admin.clone()), ("nobody", gateway.client())] {
            let answer = client.get(path).await.expect("an answer");
            seen.answer(&format!("{path} for {who}"), answer).await;
        }
    }
    let metrics = gateway.ready().metrics_address.expect("a metrics port");
    let metrics = TestClient::new(metrics).get("/metrics").await.expect("an answer");
    seen.answer("the metrics", metrics).await;
    let requests = admin.get("/api/admin/requests").await.expect("an answer").json().await.expect("JSON");
    for request in requests["requests"].as_array().into_iter().flatten() {
        let id = request["request_id"].as_str().unwrap_or_default();
        for path in [format!("/api/admin/requests/{id}"), format!("/api/admin/requests/{id}/explain")] {
            let shown = admin.get(&path).await.expect("an answer");
            seen.answer(&path, shown).await;
        }
    }
    let mut live = admin.get("/api/dashboard/stream").await.expect("an answer");
    for number in 0..2 {
        let event = live.event().await.expect("an event").expect("a whole event");
        seen.0.push((format!("event {number} of the dashboard"), event.to_vec()));
    }
    live.abort();
    for action in ["test", "reset", "disable", "enable"] {
        let path = format!("/api/admin/backends/{backend}/{action}");
        let done = admin.send(Method::POST, &path, Bytes::new()).await.expect("an answer");
        seen.answer(&path, done).await;
    }
    let again = Bytes::from(json!({"api_key": BY_API_AGAIN}).to_string());
    let changed = admin.send(Method::PATCH, &format!("/api/admin/backends/{backend}"), again).await;
    seen.answer("the changed backend", changed.expect("an answer")).await;
    let reloaded = admin.send(Method::POST, "/api/admin/reload", Bytes::new()).await.expect("an answer");
    seen.answer("the reload", reloaded).await;
}

/// Everything that the admin API says can be read without a name.
async fn described(seen: &mut Seen, admin: &TestClient) -> Vec<String> {
    let answer = admin.get("/api/openapi.json").await.expect("an answer");
    let described = seen.answer("the description of the admin API", answer).await;
    let described: Value = serde_json::from_slice(&described).expect("JSON");
    let paths = described["paths"].as_object().expect("paths").iter();
    let readable = paths.filter(|(path, operations)| operations.get("get").is_some() && !path.contains('{'));
    readable.map(|(path, _)| path.clone()).collect()
}

/// What the commands print, of a gateway that runs, and with the secrets in their environment.
async fn run_commands(seen: &mut Seen, gateway: &TestGateway, admin: &TestClient) {
    let requests =
        admin.get("/api/admin/requests?status=5xx").await.expect("an answer").json().await.expect("JSON");
    let id = requests["requests"][0]["request_id"].as_str().expect("a request in trouble").to_owned();
    for arguments in [
        &["export", "requests"][..],
        &["export", "audit", "--format", "ndjson"],
        &["explain", &id],
        &["explain", &id, "--json"],
        &["audit", "list", "--json"],
        &["audit", "verify"],
        &["vault", "status"],
        &["backup", "create"],
        &["backup", "list"],
        &["config", "show"],
        &["backends", "list", "--json"],
        &["keys", "list", "--json"],
        &["check"],
    ] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command.args(arguments).arg("--config").arg(gateway.config_path());
        command.arg("--data-dir").arg(gateway.data()).env_clear().stdin(std::process::Stdio::null());
        command.env("CANARY", IN_ENVIRONMENT).env("LOCKGATE_MASTER_KEY", MASTER_KEY);
        let output = command.output().await.expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
        seen.0.push((format!("`lockgate {}`", arguments.join(" ")), said));
    }
}

/// Changes that have secrets in them, or make some. Gives the token that was made: it is shown in one answer.
async fn change_all(seen: &mut Seen, admin: &TestClient) -> String {
    let body = json!({"name": "made", "role": "viewer"});
    let made = admin.post("/api/admin/tokens", &body).await.expect("an answer").json().await.expect("JSON");
    let token = made["token"].as_str().expect("a token").to_owned();
    for (path, body) in [
        ("/api/admin/backups", Value::Null),
        ("/api/admin/vault/rotate", json!({"new_key": NEXT_MASTER_KEY, "wrong": BY_API})),
        ("/api/admin/vault/rotate", json!({"new_key": [NEXT_MASTER_KEY]})),
        ("/api/admin/vault/rotate", json!({"new_key": format!("{NEXT_MASTER_KEY}00")})),
        ("/api/admin/vault/rotate", json!({"new_key": NEXT_MASTER_KEY})),
        ("/api/admin/session", json!({"token": format!("{ADMIN_TOKEN}x")})),
    ] {
        let done = admin.post(path, &body).await.expect("an answer");
        seen.answer(&format!("{path} with {}", body.as_object().map_or(0, serde_json::Map::len)), done).await;
    }
    for path in ["/api/admin/vault", "/api/admin/audit", "/api/admin/tokens", "/api/admin/backups"] {
        let answer = admin.get(path).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        seen.answer(&format!("{path} afterwards"), answer).await;
    }
    token
}

/// Captures whatever comes from now on.
async fn capture_all(admin: &TestClient) {
    let ruled = admin.post("/api/admin/captures/rules", &json!({"lasts": "1h"})).await.expect("an answer");
    assert_eq!(ruled.status, 201);
}

/// Reads everything that was captured, heads, bodies and attempts.
async fn read_captures(seen: &mut Seen, client: &TestClient, admin: &TestClient) {
    let shown_twice = client.clone().with_header("x-api-key", GATEWAY_KEY).with_header("cookie", IN_FILE);
    let path = format!("{CHAT}?key={GATEWAY_KEY}");
    shown_twice.post(&path, &ask("m0", &json!(false))).await.expect("an answer");
    let mut cursor = String::new();
    let mut count = 0;
    loop {
        let path = format!("/api/admin/captures?limit=50{cursor}");
        let page = admin.get(&path).await.expect("an answer").json().await.expect("JSON");
        for capture in page["captures"].as_array().into_iter().flatten() {
            let id = capture["id"].as_str().unwrap_or_default();
            let shown = admin.get(&format!("/api/admin/captures/{id}")).await.expect("an answer");
            assert_eq!(shown.status, 200, "{capture}");
            seen.answer(&format!("capture {id}"), shown).await;
            count += 1;
        }
        seen.0.push(("the captures".to_owned(), page.to_string().into_bytes()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(count > 100, "only {count} requests were captured");
}

/// Requests that carry secrets where they do not belong.
async fn misplace(seen: &mut Seen, gateway: &TestGateway) {
    let not_quite = format!("{GATEWAY_KEY}x");
    for key in [not_quite.as_str(), ADMIN_TOKEN, IN_FILE] {
        let client = gateway.client().with_key(key);
        for path in [CHAT.to_owned(), format!("/v1/models?key={key}"), format!("/api/admin/keys?key={key}")] {
            let answer = client.post(&path, &ask("m0", &json!(false))).await.expect("an answer");
            assert!(answer.status.is_client_error(), "{path}");
            seen.answer(&format!("{path} with a wrong key"), answer).await;
        }
    }
}

#[tokio::test]
async fn p15_no_secret_is_in_anything_that_is_written() {
    let providers =
        [ScriptedProvider::start().await, ScriptedProvider::start().await, ScriptedProvider::start().await];
    let mut gateway = GatewaySettings::new(env!("CARGO_BIN_EXE_lockgate"))
        .config(config(&providers))
        .variable("CANARY", IN_ENVIRONMENT)
        .variable("LOCKGATE_MASTER_KEY", MASTER_KEY)
        .start()
        .await
        .expect("a gateway");
    let mut seen = Seen::default();
    let admin = gateway.client().with_key(ADMIN_TOKEN);
    let backend = add_backend(&mut seen, &admin, &providers[2]).await;
    add_account(&mut seen, &admin).await;
    let made = add_key(&admin).await;
    let client = gateway.client().with_key(GATEWAY_KEY);
    capture_all(&admin).await;
    for (provider, id, model, secret, header) in [
        (&providers[0], "b0", "m0", IN_FILE, "authorization"),
        (&providers[0], "b0", "m0", IN_HEADER, "x-team"),
        (&providers[1], "b1", "m1", IN_ENVIRONMENT, "authorization"),
        (&providers[2], backend.as_str(), "m2", BY_API, "authorization"),
    ] {
        Target { provider, id, model, secret, header }.provoke(&mut seen, &client, &admin).await;
    }
    let answer =
        gateway.client().with_key(&made).post(CHAT, &ask("m0", &json!(true))).await.expect("an answer");
    assert_ne!(answer.status, 401, "the key that was made is known");
    seen.answer("an answer for the key that was made", answer).await;
    misplace(&mut seen, &gateway).await;
    read_captures(&mut seen, &client, &admin).await;
    read_all(&mut seen, &gateway, &admin, &backend).await;
    run_commands(&mut seen, &gateway, &admin).await;
    let token = change_all(&mut seen, &admin).await;
    // Once while everything is open, the write-ahead log and the journal among it, and once after the end.
    seen.files(&gateway.data());
    timeout(PATIENCE, gateway.stop()).await.expect("an end in time").expect("an end");
    seen.files(&gateway.data());
    let output = gateway.output();
    assert!(output.contains("attempt failed"), "the troubles must have been logged:\n{output}");
    seen.0.push(("the output".to_owned(), output.into_bytes()));
    seen.assert_clean(&[
        IN_FILE,
        IN_ENVIRONMENT,
        IN_HEADER,
        BY_API,
        BY_API_AGAIN,
        ACCOUNT_IN_FILE,
        ACCOUNT_BY_API,
        ACCOUNT_BY_API_AGAIN,
        GATEWAY_KEY,
        ADMIN_TOKEN,
        MASTER_KEY,
        NEXT_MASTER_KEY,
        made.as_str(),
        token.as_str(),
    ]);
}
