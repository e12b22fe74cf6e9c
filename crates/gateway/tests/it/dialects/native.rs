//! The same dialect in and out: paths, keys, versions, counts and lists of each provider.

use http::Method;
use policy::{BackendKind, Secret};
use serde_json::{Value, json};
use testkit::{Behaviour, Received, ScriptedProvider, TestAnswer};

use crate::scene::{MODEL, Plan, Scene, key};

/// A gateway with one backend of that kind, whose model is `native` there.
async fn stage(kind: &str, base: &str) -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    let base_url = format!("http://{}{base}", provider.address());
    let scene = Plan::of(&[base_url])
        .backends(|spec| {
            spec.kind = BackendKind::named(kind).expect("a kind");
            spec.credential = Some(Secret::from("sk-provider"));
            spec.models.as_mut().expect("models").get_mut(MODEL).expect("the model").native =
                Some("native/one".to_owned());
        })
        .with(|draft| draft.keys = vec![key("lg-1")])
        .start()
        .await;
    (provider, scene)
}

fn messages() -> Value {
    json!({"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "one two three"}]})
}

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]})
}

async fn received(provider: &ScriptedProvider, answer: &TestAnswer) -> Received {
    assert_eq!(answer.status, 200, "{:?}", answer.headers);
    provider.next_request().await
}

#[tokio::test(start_paused = true)]
async fn a_kind_says_where_a_call_goes_and_how_its_key_is_shown() {
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "one"}]});
    for (kind, base, path, body, went, shown) in [
        ("openai", "/v1", "/v1/chat/completions", &chat, "/v1/chat/completions", "authorization"),
        ("anthropic", "/v1", "/v1/messages?beta=true", &messages(), "/v1/messages?beta=true", "x-api-key"),
        ("anthropic", "", "/anthropic/v1/messages", &messages(), "/v1/messages", "x-api-key"),
        ("deepseek", "/v1", "/v1/messages", &messages(), "/anthropic/v1/messages", "authorization"),
        (
            "gemini",
            "/v1beta/openai",
            "/v1/chat/completions",
            &chat,
            "/v1beta/openai/chat/completions",
            "authorization",
        ),
        (
            "gemini",
            "/v1beta",
            "/v1beta/models/tiny:generateContent?key=lg-1",
            &contents(),
            "/v1beta/models/native/one:generateContent",
            "x-goog-api-key",
        ),
        ("azure", "", "/v1/chat/completions", &chat, "/openai/v1/chat/completions", "api-key"),
    ] {
        let (provider, scene) = stage(kind, base).await;
        let client = scene.client().with_key("lg-1");
        let answer = client.post(path, body).await.expect("an answer");
        let request = received(&provider, &answer).await;
        assert_eq!(request.path, went, "{kind}");
        let credentials = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];
        let seen: Vec<&str> = credentials.into_iter().filter(|name| request.header(name).is_some()).collect();
        assert_eq!(seen, [shown], "{kind}");
        assert!(request.header(shown).expect("a credential").ends_with("sk-provider"), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn azures_first_form_has_the_deployment_in_the_path() {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::of(&[format!("http://{}/openai", provider.address())])
        .backends(|spec| {
            spec.kind = BackendKind::named("azure").expect("a kind");
            spec.api_version = Some("2024-10-21".to_owned());
        })
        .start()
        .await;
    let client = scene.client();
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "one"}]});
    let embed = json!({"model": MODEL, "input": "one"});
    for (path, body, went) in [
        ("/v1/chat/completions", &chat, "/openai/deployments/tiny/chat/completions?api-version=2024-10-21"),
        ("/v1/embeddings", &embed, "/openai/deployments/tiny/embeddings?api-version=2024-10-21"),
    ] {
        drop(client.post(path, body).await.expect("an answer"));
        assert_eq!(provider.next_request().await.path, went);
    }
}

#[tokio::test(start_paused = true)]
async fn anthropics_headers_go_to_it_and_a_version_is_never_missing() {
    let (provider, scene) = stage("anthropic", "/v1").await;
    let client = scene.client().with_header("x-api-key", "lg-1").with_header("anthropic-beta", "a,b");
    let mut answer = client.post("/v1/messages", &messages()).await.expect("an answer");
    let request = received(&provider, &answer).await;
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(request.header("anthropic-beta"), Some("a,b"));
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
    assert_eq!(answer.json().await.expect("JSON")["content"][0]["text"], Behaviour::healthy().text);
    let client = client.with_header("anthropic-version", "2026-10-21");
    let answer = client.post("/v1/messages", &messages()).await.expect("an answer");
    assert_eq!(received(&provider, &answer).await.header("anthropic-version"), Some("2026-10-21"));
    let detail = scene.receipt(answer.header("x-request-id").expect("an id")).await;
    let total = detail.receipt.usage.total();
    assert!(total > 0 && detail.receipt.dialect_out == Some(protocol::Dialect::AnthropicMessages));
}

#[tokio::test(start_paused = true)]
async fn geminis_streams_come_as_events_or_as_a_list() {
    let (provider, scene) = stage("gemini", "/v1beta").await;
    let client = scene.client().with_header("x-goog-api-key", "lg-1");
    let path = "/v1beta/models/tiny:streamGenerateContent";
    let mut events = client.post(&format!("{path}?alt=sse"), &contents()).await.expect("an answer");
    let went = "/v1beta/models/native/one:streamGenerateContent?alt=sse";
    assert_eq!(received(&provider, &events).await.path, went);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let mut text = String::new();
    while let Some(event) = events.event().await {
        let event = event.expect("a whole event");
        let data = event.strip_prefix(b"data: ").expect("data");
        let body: Value = serde_json::from_slice(data).expect("JSON");
        text.push_str(body["candidates"][0]["content"]["parts"][0]["text"].as_str().expect("text"));
    }
    let mut list = client.post(path, &contents()).await.expect("an answer");
    assert_eq!(received(&provider, &list).await.path, went);
    assert_eq!(list.header("content-type"), Some("application/json"));
    let parts = list.json().await.expect("a list");
    let listed = parts.as_array().expect("a list").iter();
    let listed: String =
        listed.filter_map(|part| part["candidates"][0]["content"]["parts"][0]["text"].as_str()).collect();
    assert_eq!((text.as_str(), listed.as_str()), (&*Behaviour::healthy().text, text.as_str()));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_counted_where_they_can_be_and_estimated_elsewhere() {
    for (kind, base, path, body, field) in [
        ("anthropic", "/v1", "/v1/messages/count_tokens", messages(), "input_tokens"),
        ("gemini", "/v1beta", "/v1beta/models/tiny:countTokens", contents(), "totalTokens"),
    ] {
        let (provider, scene) = stage(kind, base).await;
        let client = scene.client().with_key("lg-1");
        let mut answer = client.post(path, &body).await.expect("an answer");
        let request = received(&provider, &answer).await;
        assert!(request.path.contains("ount"), "{}", request.path);
        assert_eq!(answer.header("x-lockgate-counted"), None);
        assert_eq!(answer.json().await.expect("JSON")[field], 3, "{kind}");
        let detail = scene.only_receipt().await;
        assert_eq!(detail.receipt.usage.total(), 0, "nobody pays for a count");

        let (provider, scene) = stage("openai_compatible", "/v1").await;
        let client = scene.client().with_key("lg-1");
        let mut answer = client.post(path, &body).await.expect("an answer");
        assert_eq!(answer.header("x-lockgate-counted"), Some("estimate"), "{kind}");
        assert!(answer.json().await.expect("JSON")[field].as_u64().expect("a number") > 0, "{kind}");
        assert_eq!(provider.count().accepted, 0, "nobody was asked");
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_in_the_clients_form() {
    let (_provider, scene) = stage("openai_compatible", "/v1").await;
    let client = scene.client().with_key("lg-1");
    let anthropic = client.clone().with_header("anthropic-version", "2023-06-01");
    for (client, path, pointer, want) in [
        (&client, "/v1/models", "/data/0/object", json!("model")),
        (&anthropic, "/v1/models", "/data/0/type", json!("model")),
        (&anthropic, "/v1/models", "/last_id", json!(MODEL)),
        (&anthropic, "/v1/models/tiny", "/display_name", json!(MODEL)),
        (&client, "/anthropic/v1/models", "/has_more", json!(false)),
        (&client, "/v1beta/models", "/models/0/name", json!("models/tiny")),
        (&client, "/v1beta/models/tiny", "/name", json!("models/tiny")),
    ] {
        let mut answer = client.get(path).await.expect("an answer");
        let body = answer.json().await.expect("JSON");
        assert_eq!(body.pointer(pointer), Some(&want), "{path}: {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_in_the_words_of_the_client() {
    let (_provider, scene) = stage("gemini", "/v1beta").await;
    let client = scene.client().with_key("lg-1");
    let nobody = scene.client();
    let (openai, anthropic, google) = ("/error/code", "/error/type", "/error/status");
    for (client, path, status, pointer) in [
        (&nobody, "/v1/chat/completions", 401, openai),
        (&nobody, "/v1/messages", 401, anthropic),
        (&nobody, "/anthropic/v1/models", 401, anthropic),
        (&nobody, "/v1beta/models/tiny:generateContent", 401, google),
        (&client, "/v1beta/nothing", 404, google),
        (&client, "/v1/completions", 400, openai),
        (&client, "/v1/messages/batches", 404, anthropic),
    ] {
        let method = if path.ends_with("models") { Method::GET } else { Method::POST };
        let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}], "prompt": "x"});
        let mut answer = client.send(method, path, body.to_string().into()).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        let is_anthropics = pointer == anthropic;
        assert_eq!(answer.header("request-id").is_some(), is_anthropics, "{path}: where its SDKs look");
        let body = answer.json().await.expect("JSON");
        assert!(body.pointer(pointer).is_some_and(Value::is_string), "{path}: {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_backend_speaks_and_nobody_can_translate_is_refused() {
    let (provider, scene) = stage("anthropic", "/v1").await;
    let client = scene.client().with_key("lg-1");
    for (path, body) in [
        ("/v1/completions", json!({"model": MODEL, "prompt": "x"})),
        ("/v1/embeddings", json!({"model": MODEL, "input": "x"})),
        ("/v1/responses/compact", json!({"model": MODEL, "input": "x"})),
        ("/v1/moderations", json!({"model": MODEL, "input": "x"})),
    ] {
        let mut answer = client.post(path, &body).await.expect("an answer");
        assert_eq!(answer.status, 400, "{path}");
        let error = answer.json().await.expect("JSON")["error"].clone();
        assert_eq!(error["code"], "unsupported_for_backend", "{path}");
        let said = error["message"].as_str().expect("a message");
        let tail = path.trim_start_matches("/v1");
        assert!(said.contains("compacted") || said.contains(&format!("`{tail}`")), "{said}");
    }
    assert_eq!(provider.count().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_what_no_backend_takes() {
    let provider = ScriptedProvider::start().await;
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let picture = json!([{"type": "image_url", "image_url": {"url": "https://h.test/a.png"}}]);
    let asked = |content: &Value, more: Value| {
        let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": content}]});
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        body
    };
    let scene = Plan::before(&[&provider, &provider])
        .backends(|spec| {
            let model = spec.models.as_mut().expect("models").get_mut(MODEL).expect("the model");
            model.context = Some(100);
            model.carries.images = false;
            model.carries.json_schema = spec.name == "b0";
            model.carries.tools = spec.name == "b1";
        })
        .start()
        .await;
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}});
    for (body, said) in [
        (asked(&picture, json!({})), "No backend for this model takes pictures."),
        (asked(&picture, json!({"tools": tool})), "No backend for this model takes pictures."),
        (
            asked(&json!("x"), json!({"tools": tool, "response_format": format})),
            "No backend for this model takes tools and a JSON schema.",
        ),
    ] {
        let mut answer = scene.client().post("/v1/chat/completions", &body).await.expect("an answer");
        let error = answer.json().await.expect("JSON")["error"].clone();
        assert_eq!(
            (answer.status, &error["message"]),
            (http::StatusCode::BAD_REQUEST, &json!(said)),
            "{body}"
        );
    }
    assert_eq!(provider.count().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_nothing_is_spoken_for() {
    let (provider, scene) = stage("openai", "/v1").await;
    provider.otherwise(Behaviour::empty().status(404));
    let mut answer = scene.client().with_key("lg-1").get("/v1/files/f").await.expect("an answer");
    let error = answer.json().await.expect("an error of the gateway's")["error"].clone();
    assert_eq!((answer.status, &error["code"]), (http::StatusCode::NOT_FOUND, &json!("upstream_rejected")));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_method_is_told_the_right_one() {
    let (_provider, scene) = stage("openai", "/v1").await;
    for (method, path, said) in [
        (Method::GET, "/v1/chat/completions", "GET /v1/chat/completions is not served here; POST is."),
        (Method::POST, "/v1/models", "POST /v1/models is not served here; GET or HEAD is."),
        (Method::DELETE, "/v1/messages/", "DELETE /v1/messages/ is not served here; POST is."),
        (Method::POST, "/v1/nothing", "POST /v1/nothing is not served here."),
    ] {
        let mut answer = scene.client().send(method, path, "".into()).await.expect("an answer");
        let (status, allowed) = match said.split_once("; ") {
            Some((_, served)) => (405, Some(served.trim_end_matches(" is.").replace(" or ", ", "))),
            None => (404, None),
        };
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (status, allowed.as_deref()), "{path}");
        assert_eq!(answer.json().await.expect("JSON")["error"]["message"], said);
    }
}

#[tokio::test(start_paused = true)]
async fn small_slips_of_clients_do_no_harm() {
    let (provider, scene) = stage("openai", "/v1").await;
    let client = scene.client().with_key("lg-1");
    let mut listed = client.send(Method::HEAD, "/v1/models", "".into()).await.expect("an answer");
    assert_eq!((listed.status.as_u16(), listed.body().await.expect("none").len()), (200, 0));
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "one"}]});
    let with_mark = [&b"\xef\xbb\xbf"[..], chat.to_string().as_bytes()].concat();
    for (path, body) in
        [("/v1/chat/completions/", chat.to_string().into_bytes()), ("/v1/chat/completions", with_mark)]
    {
        let answer = client.send(Method::POST, path, body.into()).await.expect("an answer");
        let request = received(&provider, &answer).await;
        assert_eq!(
            (&*request.path, &request.json()["messages"]),
            ("/v1/chat/completions", &chat["messages"])
        );
    }
}

/// `AzureOpenAI` of OpenAI's SDKs has the model in the path, and in the body, too; others have it in the path alone.
#[tokio::test(start_paused = true)]
async fn azures_clients_have_the_model_in_the_path() {
    let (provider, scene) = stage("openai", "/v1").await;
    let client = scene.client().with_header("api-key", "lg-1");
    let chat = json!({"messages": [{"role": "user", "content": "one"}]});
    let named = json!({"model": "another", "messages": [{"role": "user", "content": "one"}]});
    let embeddings = json!({"input": "one"});
    for (path, body, went) in [
        ("chat/completions", &chat, "/v1/chat/completions"),
        ("chat/completions", &named, "/v1/chat/completions"),
        ("embeddings", &embeddings, "/v1/embeddings"),
        ("images/generations", &json!({"prompt": "a cat"}), "/v1/images/generations"),
    ] {
        let path = format!("/openai/deployments/{MODEL}/{path}?api-version=2024-10-21");
        let answer = client.post(&path, body).await.expect("an answer");
        let request = received(&provider, &answer).await;
        assert_eq!((&*request.path, &request.json()["model"]), (went, &json!("native/one")), "{path}");
    }
    let path = "/openai/responses?api-version=2025-03-01-preview";
    let answer = client.post(path, &json!({"model": MODEL, "input": "x"})).await.expect("an answer");
    assert_eq!(received(&provider, &answer).await.path, "/v1/responses");
    let path = "/openai/deployments/nobody%2Fhas-it/chat/completions?api-version=1";
    let mut answer = client.post(path, &chat).await.expect("an answer");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json().await.expect("JSON")["error"]["code"], "model_not_found");
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_whether_somebody_is_there_needs_no_key() {
    let (_provider, scene) = stage("anthropic", "/v1").await;
    let answer = scene.client().send(Method::HEAD, "/api/hello", "".into()).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn embeddings_of_gemini_go_to_who_speaks_it() {
    let content = json!({"content": {"parts": [{"text": "one two three"}]}});
    let batch = json!({"requests": [{"model": "models/tiny", "content": {"parts": [{"text": "one"}]}}]});
    let (provider, scene) = stage("gemini", "/v1beta").await;
    let client = scene.client().with_header("x-goog-api-key", "lg-1");
    for (method, body) in [("embedContent", &content), ("batchEmbedContents", &batch)] {
        let path = format!("/v1beta/models/tiny:{method}");
        let answer = client.post(&path, body).await.expect("an answer");
        let request = received(&provider, &answer).await;
        assert_eq!(request.path, format!("/v1beta/models/native/one:{method}"));
        assert_eq!(request.json(), *body, "as it was said");
        let receipt = scene.receipt(answer.header("x-request-id").expect("an id")).await.receipt;
        assert_eq!((receipt.status, receipt.dialect_in), (200, protocol::Dialect::Gemini), "{method}");
    }
    let (provider, scene) = stage("anthropic", "/v1").await;
    let client = scene.client().with_header("x-goog-api-key", "lg-1");
    let mut answer = client.post("/v1beta/models/tiny:embedContent", &content).await.expect("an answer");
    assert_eq!(answer.status, 400);
    let told = answer.json().await.expect("JSON");
    assert_eq!(told["error"]["details"][0]["reason"], "unsupported_for_backend", "{told}");
    assert_eq!(provider.count().accepted, 0);
}

/// A page in a browser may call where that was said, without a key for asking whether it may.
#[tokio::test(start_paused = true)]
async fn pages_from_elsewhere_call_where_they_may() {
    let provider = ScriptedProvider::start().await;
    let plan = |origins: &[&str]| {
        let origins: Vec<Box<str>> = origins.iter().map(|origin| (*origin).into()).collect();
        Plan::before(&[&provider]).with(|draft| {
            draft.keys = vec![key("lg-1")];
            draft.settings.cors.origins = origins;
        })
    };
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "one"}]});
    for (origins, may) in
        [(&[][..], false), (&["https://a.example"], true), (&["https://b.example"], false), (&["*"], true)]
    {
        let scene = plan(origins).start().await;
        let page = scene.client().with_header("origin", "https://a.example");
        let asking = page
            .with_header("access-control-request-method", "POST")
            .with_header("access-control-request-headers", "authorization,content-type");
        let answer =
            asking.send(Method::OPTIONS, "/v1/chat/completions", "".into()).await.expect("an answer");
        let told = ["allow-origin", "allow-methods", "allow-headers"]
            .map(|name| answer.header(&format!("access-control-{name}")));
        match may {
            true => assert_eq!(
                (answer.status.as_u16(), told),
                (204, [Some("https://a.example"), Some("POST"), Some("authorization,content-type")])
            ),
            false => assert_eq!((answer.status.as_u16(), told), (405, [None; 3]), "{origins:?}"),
        }
        let page = scene.client().with_header("origin", "https://a.example").with_key("lg-1");
        let answer = page.post("/v1/chat/completions", &chat).await.expect("an answer");
        let permitted = answer.header("access-control-allow-origin");
        assert_eq!(
            (answer.status.as_u16(), permitted),
            (200, may.then_some("https://a.example")),
            "{origins:?}"
        );
        let stranger = scene.client().with_header("origin", "https://a.example");
        let refused = stranger.post("/v1/chat/completions", &chat).await.expect("an answer");
        let permitted = refused.header("access-control-allow-origin");
        assert_eq!(
            (refused.status.as_u16(), permitted.is_some()),
            (401, may),
            "a page reads why: {origins:?}"
        );
    }
}
