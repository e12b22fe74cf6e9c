//! What every answer carries and what a client sees of it: identity, names, usage, paths, forms, both versions of HTTP.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use policy::{Bound, Health, ModelSpec, RequestOutcome, Timestamp};
use protocol::UsageSource;
use serde_json::{Value, json};
use testkit::provider::UsageShown;
use testkit::{Behaviour, Ending, ScriptedProvider, TestAnswer};
use tokio::time::Instant;

use crate::scene::{MODEL, Plan, Scene, chat, chat_stream, key};

async fn stage() -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).start().await;
    (provider, scene)
}

fn assert_named(answer: &TestAnswer, attempts: &str, context: &str) {
    let id = answer.header("x-request-id").unwrap_or_default();
    assert!(id.starts_with("req-") && id.len() == 30, "{context}: {id}");
    assert_eq!(answer.header("x-lockgate-attempts"), Some(attempts), "{context}");
    let backend = if attempts == "0" { "none" } else { "b0" };
    assert_eq!(answer.header("x-lockgate-backend"), Some(backend), "{context}");
}

#[tokio::test(start_paused = true)]
async fn a_plain_answer_may_be_thought_about_for_longer_than_a_stream() {
    for (ask, waited) in [(chat(), 240), (chat_stream(), 120)] {
        let providers = [ScriptedProvider::start().await, ScriptedProvider::start().await];
        providers[0].otherwise(Behaviour::healthy().ending(Ending::HangFirst));
        let scene = Plan::before(&[&providers[0], &providers[1]]).start().await;
        let began = Instant::now();
        let answer = scene.client().post("/v1/chat/completions", &ask).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.header("x-lockgate-attempts")), (200, Some("2")), "{ask}");
        let took = began.elapsed().as_secs();
        assert!((waited..=waited + 1).contains(&took), "{ask}: {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_says_which_request_it_is_of() {
    let (provider, scene) = stage().await;
    let client = scene.client();
    let large = Bytes::from(vec![b' '; 70 << 20]);
    for (path, body, status, attempts) in [
        ("/v1/chat/completions", Bytes::from(chat().to_string()), 200, "1"),
        ("/v1/chat/completions", Bytes::from(chat_stream().to_string()), 200, "1"),
        ("/v1/chat/completions", Bytes::from_static(b"{"), 400, "0"),
        ("/v1/chat/completions", Bytes::from_static(b"{\"model\":\"no\",\"messages\":[{}]}"), 404, "0"),
        ("/v1/chat/completions", large, 413, "0"),
        ("/v1/nothing", Bytes::new(), 404, "0"),
        ("/nothing", Bytes::new(), 404, "0"),
    ] {
        let answer = client.send(Method::POST, path, body).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        assert_named(&answer, attempts, path);
    }
    for (path, status) in [("/v1/models", 200), ("/v1/models/no", 404), ("/v1/responses", 426), ("/", 404)] {
        let answer = client.get(path).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        assert_named(&answer, "0", path);
    }
    provider.otherwise(Behaviour::error(422, "no"));
    let answer = client.post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_named(&answer, "1", "passed on");
    provider.otherwise(Behaviour::html(502));
    let answer = client.post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_named(&answer, "5", "all failed");
}

#[tokio::test(start_paused = true)]
async fn a_clients_harmless_request_id_is_kept_and_sent_on() {
    let (provider, scene) = stage().await;
    for (given, kept) in
        [("mine:1.2_3-x", true), ("bad id", false), ("sm\u{f6}rg\u{e5}s", false), (&"a".repeat(129), false)]
    {
        let mut client = scene.client();
        if given.is_ascii() {
            client = client.with_header("x-request-id", given);
        }
        let answer = client.post("/v1/chat/completions", &chat()).await.expect("an answer");
        let shown = answer.header("x-request-id").unwrap_or_default().to_owned();
        assert_eq!(shown == given, kept, "{given}: {shown}");
        assert_eq!(answer.header("x-upstream-request-id"), Some("req_scripted"));
        let received = provider.next_request().await;
        assert_eq!(received.header("x-request-id"), Some(shown.as_str()));
        assert_eq!(&*scene.receipt(&shown).await.receipt.request_id, shown);
    }
}

#[tokio::test(start_paused = true)]
async fn the_accounts_limits_and_the_callers_credentials_do_not_cross() {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider])
        .backends(|spec| spec.credential = Some("sk-account".into()))
        .with(|draft| draft.keys.push(key("lg-caller")))
        .start()
        .await;
    let limits =
        Behaviour::healthy().header("x-ratelimit-remaining-requests", "3").header("set-cookie", "a=b");
    provider.otherwise(limits.header("openai-organization", "acme").header("openai-processing-ms", "7"));
    let client =
        scene.client().with_key("lg-caller").with_header("cookie", "c=d").with_header("x-vendor", "v");
    let answer = client.post("/v1/chat/completions?key=lg-caller&a=1", &chat()).await.expect("an answer");
    for name in ["x-ratelimit-remaining-requests", "set-cookie", "openai-organization"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("openai-processing-ms"), Some("7"));
    let received = provider.next_request().await;
    assert_eq!(received.header("authorization"), Some("Bearer sk-account"));
    assert_eq!((received.header("cookie"), received.header("x-vendor")), (None, Some("v")));
    assert_eq!(received.path, "/v1/chat/completions?a=1");
}

#[tokio::test(start_paused = true)]
async fn a_backends_own_rules_decide_which_headers_it_gets() {
    let [first, second] = [ScriptedProvider::start().await, ScriptedProvider::start().await];
    first.otherwise(Behaviour::error(503, "busy"));
    let plan = Plan::before(&[&first, &second]).with(|draft| {
        draft.backends[0].headers.allow = vec!["cf-*".to_owned()];
        draft.backends[1].headers.deny = vec!["x-vendor".to_owned()];
    });
    let scene = plan.start().await;
    let client = scene.client().with_header("cf-ray", "r").with_header("x-vendor", "v");
    assert_eq!(client.post("/v1/chat/completions", &chat()).await.expect("an answer").status, 200);
    for (provider, expected) in [(&first, [Some("r"), Some("v")]), (&second, [None, None])] {
        let received = provider.next_request().await;
        assert_eq!(["cf-ray", "x-vendor"].map(|name| received.header(name)), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_debugged_answer_says_who_served_it() {
    let (_provider, scene) = stage().await;
    let client = scene.client().with_header("x-lockgate-debug", "1");
    let mut answer = client.post("/v1/chat/completions", &chat()).await.expect("an answer");
    let body = answer.json().await.expect("JSON");
    assert_eq!((&body["lockgate"]["backend"], &body["lockgate"]["attempts"]), (&json!("b0"), &json!(1)));
    for field in ["queue_ms", "first_token_ms", "total_ms"] {
        assert!(body["lockgate"][field].is_u64(), "{body}");
    }
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let mut plain = scene.client().post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert!(plain.json().await.expect("JSON")["lockgate"].is_null());
}

/// Usage is metered whether or not the client asked for it, and shown to those who did.
async fn check_usage(path: &str, mut ask: Value, asked: Option<bool>) {
    let (provider, scene) = stage().await;
    if let Some(asked) = asked {
        ask["stream_options"] = json!({"include_usage": asked, "other": 1});
    }
    let mut answer = scene.client().post(path, &ask).await.expect("an answer");
    let text = String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("UTF-8");
    assert_eq!(text.contains("prompt_tokens"), asked == Some(true), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let received = provider.next_request().await.json();
    assert_eq!(received["stream_options"]["include_usage"], true);
    assert_eq!(received["stream_options"]["other"].is_null(), asked.is_none());
    let receipt = scene.only_receipt().await.receipt;
    let count = provider.count();
    assert_eq!((receipt.usage.input, receipt.usage.output), (count.input_tokens, count.output_tokens));
    assert_eq!(receipt.usage_source, UsageSource::Provider);
    assert_eq!(receipt.bytes_out, text.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn usage_is_metered_and_shown_to_those_who_asked() {
    for asked in [None, Some(false), Some(true)] {
        check_usage("/v1/chat/completions", chat_stream(), asked).await;
        let ask = json!({"model": MODEL, "prompt": "one two three", "stream": true});
        check_usage("/v1/completions", ask, asked).await;
    }
}

#[tokio::test(start_paused = true)]
async fn usage_that_nobody_reports_is_counted() {
    let (provider, scene) = stage().await;
    let mut silent = Behaviour::healthy().saying("12345678 0123456");
    silent.usage = UsageShown::Never;
    provider.otherwise(silent);
    for ask in [chat(), chat_stream()] {
        let mut answer = scene.client().post("/v1/chat/completions", &ask).await.expect("an answer");
        let id = answer.header("x-request-id").expect("an id").to_owned();
        answer.body().await.expect("a body");
        let receipt = scene.receipt(&id).await.receipt;
        assert_eq!((receipt.usage.output, receipt.usage_source), (4, UsageSource::Counted), "{ask}");
        assert!(receipt.usage.input > 0, "{ask}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_reads_the_name_it_asked_for() {
    let provider = ScriptedProvider::start().await;
    let native = ModelSpec { native: Some("vendor/tiny-9".to_owned()), ..ModelSpec::default() };
    let scene = Plan::before(&[&provider])
        .backends(|spec| spec.models = Some(BTreeMap::from([(MODEL.to_owned(), native.clone())])))
        .with(|draft| drop(draft.aliases.insert("fast".to_owned(), vec![MODEL.to_owned()])))
        .start()
        .await;
    for (path, mut ask) in [
        ("/v1/chat/completions", chat()),
        ("/v1/chat/completions", chat_stream()),
        ("/v1/completions", json!({"prompt": "a", "stream": true})),
        ("/v1/embeddings", json!({"input": "a"})),
        ("/v1/responses", json!({"input": "a"})),
        ("/v1/responses", json!({"input": "a", "stream": true})),
    ] {
        ask["model"] = json!("fast");
        let mut answer = scene.client().post(path, &ask).await.expect("an answer");
        let text = String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("UTF-8");
        assert!(text.contains("\"model\":\"fast\"") && !text.contains("tiny"), "{path}: {text}");
        assert_eq!(provider.next_request().await.json()["model"], "vendor/tiny-9", "{path}");
    }
    let receipts = scene.receipts().await;
    assert_eq!(receipts.len(), 6);
    for receipt in receipts {
        assert_eq!((&*receipt.model_asked, receipt.model_served.as_deref()), ("fast", Some(MODEL)));
        assert_eq!(receipt.outcome, RequestOutcome::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_and_shown_to_those_who_may_use_them() {
    let provider = ScriptedProvider::start().await;
    let mut limited = key("lg-limited");
    limited.models = vec!["org/*".to_owned()];
    let scene = Plan::before(&[&provider])
        .backends(|spec| {
            spec.models.as_mut().expect("models").insert("org/big".to_owned(), ModelSpec::default());
        })
        .with(|draft| draft.keys.extend([key("lg-all"), limited]))
        .start()
        .await;
    for (key, names) in [("lg-all", vec!["org/big", MODEL]), ("lg-limited", vec!["org/big"])] {
        let client = scene.client().with_key(key);
        let listed = client.get("/v1/models").await.expect("an answer").json().await.expect("JSON");
        let ids: Vec<&str> = listed["data"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|model| model["id"].as_str())
            .collect();
        assert_eq!((&listed["object"], ids), (&json!("list"), names.clone()), "{key}");
        for path in
            ["/v1/models/org/big", "/v1/models/org%2Fbig", "/models/org%2Fbig", "/openai/v1/models/org/big"]
        {
            let shown = client.get(path).await.expect("an answer").json().await.expect("JSON");
            assert_eq!((&shown["id"], &shown["object"]), (&json!("org/big"), &json!("model")), "{path}");
        }
        let status = client.get(&format!("/v1/models/{MODEL}")).await.expect("an answer").status;
        assert_eq!(status == 200, names.contains(&MODEL), "{key}");
        let refused = client.post("/v1/chat/completions", &chat()).await.expect("an answer");
        assert_eq!(refused.status == 200, names.contains(&MODEL), "{key}");
    }
    for (client, code) in
        [(scene.client(), "missing_api_key"), (scene.client().with_key("lg-wrong"), "invalid_api_key")]
    {
        for path in ["/v1/models", "/v1/chat/completions"] {
            let mut answer = client.post(path, &chat()).await.expect("an answer");
            if answer.status != 405 {
                assert_eq!(answer.status, 401, "{path}");
                assert_eq!(answer.json().await.expect("JSON")["error"]["code"], code, "{path}");
            }
        }
    }
}

async fn ids_listed(scene: &Scene) -> Vec<String> {
    let listed = scene.client().get("/v1/models").await.expect("an answer").json().await.expect("JSON");
    let data = listed["data"].as_array().expect("a list");
    data.iter().filter_map(|model| model["id"].as_str()).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_model_is_hidden_while_all_that_serve_it_are_in_error() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let plan = Plan::before(&[&first, &second]).with(|draft| {
        let models = draft.backends[0].models.as_mut().expect("models");
        models.insert("alone".to_owned(), ModelSpec::default());
        draft.aliases.insert("only".to_owned(), vec!["alone".to_owned()]);
        draft.aliases.insert("either".to_owned(), vec!["alone".to_owned(), MODEL.to_owned()]);
        // Longer than any request waits.
        draft.settings.cooldown.base = std::time::Duration::from_secs(60);
    });
    let scene = plan.start().await;
    let all = ["alone", "either", "only", MODEL];
    assert_eq!(ids_listed(&scene).await, all);
    let ask = json!({"model": "alone", "messages": [{"role": "user", "content": "a"}]});
    for (status, health, seen) in
        [(429, Health::Cooling, &all[..]), (401, Health::Error, &["either", MODEL][..])]
    {
        first.then(Behaviour::json(status, &json!({})));
        let failed = scene.client().post("/v1/chat/completions", &ask).await.expect("an answer");
        assert_ne!(failed.status, 200);
        assert_eq!(scene.backend("b0").state, health);
        assert_eq!(ids_listed(&scene).await, seen, "{health:?}");
        let shown = scene.client().get("/v1/models/alone").await.expect("an answer").status;
        assert_eq!(shown == 200, seen.contains(&"alone"), "{health:?}");
        let id = scene.backend("b0").id;
        scene.gateway.deliver(scene.live.reset(id, Instant::now().into_std()));
        assert_eq!(ids_listed(&scene).await, all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_is_served_with_and_without_its_prefixes() {
    let (provider, scene) = stage().await;
    for prefix in ["", "/v1", "/openai", "/openai/v1"] {
        for (path, ask) in [
            ("/chat/completions", chat()),
            ("/completions", json!({"model": MODEL, "prompt": "a"})),
            ("/embeddings", json!({"model": MODEL, "input": "a"})),
            ("/responses", json!({"model": MODEL, "input": "a"})),
            ("/responses/compact", json!({"model": MODEL, "input": "a"})),
            ("/moderations", json!({"model": MODEL, "input": "a"})),
            ("/images/generations", json!({"prompt": "a"})),
        ] {
            let answer = scene.client().post(&format!("{prefix}{path}"), &ask).await.expect("an answer");
            assert_eq!(answer.status, 200, "{prefix}{path}");
            assert_eq!(provider.next_request().await.path, format!("/v1{path}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_refused_so_that_clients_fall_back_at_once() {
    let (_provider, scene) = stage().await;
    let client = scene.client().with_header("connection", "upgrade").with_header("upgrade", "websocket");
    for path in ["/v1/responses", "/responses"] {
        let mut answer = client.get(path).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.header("upgrade")), (426, Some("websocket")));
        assert_eq!(answer.json().await.expect("JSON")["error"]["code"], "upgrade_required");
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_passes_through_unchanged_to_where_its_model_is() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let scene = Plan::before(&[&first, &second])
        .with(|draft| {
            let models = draft.backends[1].models.as_mut().expect("models");
            models.insert("whisper".to_owned(), ModelSpec::default());
        })
        .start()
        .await;
    let noise: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 % 251).to_le_bytes()[0]).collect();
    let mut form = b"--xyz\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--xyz\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
        .to_vec();
    form.extend_from_slice(&noise);
    form.extend_from_slice(b"\r\n--xyz--\r\n");
    let client = scene.client().with_header("content-type", "multipart/form-data; boundary=xyz");
    let form = Bytes::from(form);
    let answer =
        client.send(Method::POST, "/v1/audio/transcriptions", form.clone()).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.header("x-lockgate-backend")), (200, Some("b1")));
    let received = second.next_request().await;
    assert!(received.body == form, "the form must arrive as it was sent");
    assert_eq!(received.header("content-type"), Some("multipart/form-data; boundary=xyz"));
    assert_eq!(first.count().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_asks_by_another_name_gets_the_backends_own() {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider])
        .with(|draft| {
            let native = |native: &str| ModelSpec { native: Some(native.to_owned()), ..ModelSpec::default() };
            let models = draft.backends[0].models.as_mut().expect("models");
            models.insert("whisper".to_owned(), native("openai/whisper-large-v3"));
            models.insert("w".to_owned(), native("w"));
            draft.backends[0].label = Some("speech".to_owned());
            draft.aliases.insert("ears".to_owned(), vec!["whisper".to_owned()]);
        })
        .start()
        .await;
    let noise = "\r\n--xy model ears ".repeat(20_000);
    let form = |model: &str| {
        format!(
            "--xyz\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\nears\r\n--xyz\r\n\
             content-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--xyz\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n{noise}\r\n--xyz--\r\n"
        )
    };
    for (asked, native) in [
        ("ears", "openai/whisper-large-v3"),
        ("whisper", "openai/whisper-large-v3"),
        ("speech/whisper", "openai/whisper-large-v3"),
        ("speech/w", "w"),
        ("w", "w"),
    ] {
        for sends_length in [true, false] {
            let context = format!("{asked}, length sent: {sends_length}");
            let client = scene.client().with_header("content-type", "multipart/form-data; boundary=xyz");
            let client = match sends_length {
                true => client,
                false => client.with_header("transfer-encoding", "chunked"),
            };
            let ask = Bytes::from(form(asked));
            let answer = client.send(Method::POST, "/v1/audio/transcriptions", ask).await;
            assert_eq!(answer.expect("an answer").status, 200, "{context}");
            let received = provider.next_request().await;
            assert!(received.body == form(native), "{context}");
            let length = sends_length.then(|| form(native).len().to_string());
            assert_eq!(received.header("content-length"), length.as_deref(), "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_is_asked_for_where_it_was_made() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    for (provider, id) in [(&first, "resp_a"), (&second, "resp_b")] {
        let made =
            json!({"id": id, "object": "response", "status": "completed", "model": MODEL, "output": []});
        provider.otherwise(Behaviour::json(200, &made));
    }
    let plan =
        Plan::before(&[&first, &second]).with(|draft| "primary".clone_into(&mut draft.backends[1].pool));
    let scene = plan.start().await;
    let client = scene.client();
    let mut homes = BTreeMap::new();
    // Conversations that begin differently have their homes on different backends.
    for turn in 0..12 {
        let ask = json!({"model": MODEL, "input": format!("conversation {turn}")});
        let mut answer = client.post("/v1/responses", &ask).await.expect("an answer");
        let home = answer.header("x-lockgate-backend").expect("a backend").to_owned();
        let id = answer.json().await.expect("JSON")["id"].as_str().expect("an id").to_owned();
        homes.insert(id, home);
    }
    assert_eq!(homes.len(), 2, "both must have been asked: {homes:?}");
    for (id, home) in &homes {
        for _ in 0..3 {
            let follow_up = json!({"model": MODEL, "input": "b", "previous_response_id": id});
            let answer = client.post("/v1/responses", &follow_up).await.expect("an answer");
            assert_eq!(answer.header("x-lockgate-backend"), Some(home.as_str()));
            let shown = client.get(&format!("/v1/responses/{id}")).await.expect("an answer");
            assert_eq!(shown.header("x-lockgate-backend"), Some(home.as_str()));
            let items = client.get(&format!("/responses/{id}/input_items")).await.expect("an answer");
            assert_eq!(items.header("x-lockgate-backend"), Some(home.as_str()));
        }
    }
}

fn bound(id: &str, backend: &str) -> Bound {
    Bound { id: id.into(), backend: backend.into(), at: Timestamp(0) }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_bound_goes_home_or_nowhere() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let mut plan = Plan::before(&[&first, &second]);
    plan.bindings = vec![bound("resp_1", "b1"), bound("file-1", "b1"), bound("resp_gone", "removed")];
    let scene = plan.start().await;
    let client = scene.client();
    for (method, path) in [
        (Method::GET, "/v1/responses/resp_1"),
        (Method::DELETE, "/v1/responses/resp_1"),
        (Method::POST, "/v1/responses/resp_1/cancel"),
        (Method::GET, "/v1/files/file-1?x=y"),
        (Method::GET, "/v1/files/file-1/content"),
        (Method::DELETE, "/v1/files/file-1"),
        (Method::POST, "/v1/uploads/file-1/complete"),
    ] {
        let answer = client.send(method.clone(), path, Bytes::new()).await.expect("an answer");
        assert_eq!(answer.header("x-lockgate-backend"), Some("b1"), "{method} {path}");
        assert_eq!(second.next_request().await.path, path);
    }
    let mut gone = client.get("/v1/responses/resp_gone").await.expect("an answer");
    assert_eq!(gone.json().await.expect("JSON")["error"]["code"], "no_backend");
    assert_eq!(first.count().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_streams_id_is_bound_before_the_client_hears_of_it() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let scene = Plan::before(&[&first, &second]).start().await;
    first.then(Behaviour::json(503, &json!({})));
    second.otherwise(Behaviour::healthy().paced());
    second.step(1);
    let ask = json!({"model": MODEL, "input": "a", "stream": true});
    let mut answer = scene.client().post("/v1/responses", &ask).await.expect("an answer");
    let event = answer.event().await.expect("more").expect("an event");
    let text = String::from_utf8_lossy(&event);
    let id = text.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
    second.otherwise(Behaviour::healthy());
    let cancel = format!("/v1/responses/{id}/cancel");
    let cancelled = scene.client().post(&cancel, &json!({})).await.expect("an answer");
    assert_eq!(cancelled.header("x-lockgate-backend"), Some("b1"), "{id}");
}

#[tokio::test(start_paused = true)]
async fn http_2_is_served_as_well() {
    let (_provider, scene) = stage().await;
    let client = scene.client().with_http2();
    let mut whole = client.post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_named(&whole, "1", "whole");
    assert_eq!(whole.json().await.expect("JSON")["choices"][0]["finish_reason"], "stop");
    let mut streamed = client.post("/v1/chat/completions", &chat_stream()).await.expect("an answer");
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    assert_eq!(streamed.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(streamed.header("x-accel-buffering"), Some("no"));
    assert!(streamed.body().await.expect("a body").ends_with(b"data: [DONE]\n\n"));
    let refused = client.post("/v1/chat/completions", &json!({"model": "no", "messages": [{}]})).await;
    assert_named(&refused.expect("an answer"), "0", "refused");
    assert_eq!(scene.totals().await.completed, 2);
}

#[tokio::test(start_paused = true)]
async fn each_event_goes_out_when_it_comes_in() {
    let (provider, scene) = stage().await;
    provider.otherwise(Behaviour::healthy().paced());
    provider.step(1);
    let mut answer = scene.client().post("/v1/chat/completions", &chat_stream()).await.expect("an answer");
    let mut events = 0;
    while let Some(event) = answer.event().await {
        assert!(event.expect("an event").starts_with(b"data: "));
        events += 1;
        provider.step(1);
    }
    // A role, nine words, a reason and `[DONE]`; the usage that nobody asked for is kept back.
    assert_eq!(events, 12);
}
