//! Responses that the gateway keeps for backends that keep none: who may go on with them, refer to them, and what ties a
//! request to backends of its own dialect.

use http::Method;
use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider, TestAnswer, TestClient};

use super::crossing::{plan, stage};
use crate::scene::{MODEL, Plan, Scene, key};

const FOREIGN: [Dialect; 3] = [Dialect::OpenAiChat, Dialect::AnthropicMessages, Dialect::Gemini];

/// What backends that keep no responses speak: another dialect, or the same and no more.
const FORGETFUL: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::OpenAiResponses];

/// A scene before backends that keep nothing.
async fn forgetful(provider: &ScriptedProvider, upstream: Dialect) -> Scene {
    plan(&[provider], upstream).backends(|spec| spec.keeps_responses = Some(false)).start().await
}

async fn ask(client: &TestClient, fields: Value) -> TestAnswer {
    client.post("/v1/responses", &with_model(&fields)).await.expect("an answer")
}

fn with_model(fields: &Value) -> Value {
    let mut body = json!({"model": MODEL});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}

/// The response object of an answer, whole or streamed.
async fn response_of(mut answer: TestAnswer) -> Value {
    assert_eq!(answer.status, 200);
    let told = String::from_utf8(answer.body().await.expect("a whole answer").to_vec()).expect("UTF-8");
    match told.lines().filter_map(|line| line.strip_prefix("data: ")).next_back() {
        Some(last) => serde_json::from_str::<Value>(last).expect("JSON")["response"].clone(),
        None => serde_json::from_str(&told).expect("JSON"),
    }
}

async fn sent_to(provider: &ScriptedProvider) -> String {
    String::from_utf8_lossy(&provider.next_request().await.body).into_owned()
}

fn id_of(response: &Value) -> String {
    response["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_response_is_continued_on_a_backend_that_keeps_none() {
    for upstream in FORGETFUL {
        let context = upstream;
        let provider = ScriptedProvider::start().await;
        let scene = forgetful(&provider, upstream).await;
        let client = scene.client();
        let mut id = None;
        for (turn, streams) in [(1, false), (2, true), (3, false)] {
            let fields =
                json!({"input": format!("turn {turn}"), "stream": streams, "previous_response_id": id});
            id = Some(id_of(&response_of(ask(&client, fields).await).await));
            let sent = sent_to(&provider).await;
            for earlier in 1..=turn {
                assert!(sent.contains(&format!("turn {earlier}")), "{context}: {sent}");
            }
            let answers = sent.matches(&Behaviour::healthy().text).count();
            assert_eq!(answers, turn - 1, "{context}: {sent}");
        }
        let id = id.expect("an id");
        let path = format!("/v1/responses/{id}");
        let shown = client.get(&path).await.expect("an answer").json().await.expect("JSON");
        assert_eq!(shown["id"], json!(id), "{context}");
        let items = client.get(&format!("{path}/input_items?order=asc&limit=1")).await;
        let items = items.expect("an answer").json().await.expect("JSON");
        assert_eq!(items["data"].as_array().map(Vec::len), Some(1), "{context}: {items}");
        let gone = client.send(Method::DELETE, &path, "".into()).await.expect("an answer").json().await;
        assert_eq!(gone.expect("JSON")["deleted"], true, "{context}");
        let mut answer = ask(&client, json!({"input": "x", "previous_response_id": id})).await;
        assert_eq!(answer.status, 400, "{context}: what is gone is not continued as if it had never been");
        let error = answer.json().await.expect("JSON")["error"].clone();
        assert_eq!(error["code"], "unsupported_for_backend", "{context}");
        assert_eq!(error["param"], "previous_response_id", "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn items_are_referred_to_by_their_ids() {
    for upstream in FORGETFUL {
        let provider = ScriptedProvider::start().await;
        let scene = forgetful(&provider, upstream).await;
        let client = scene.client();
        let mut items = vec![json!({"role": "user", "content": "turn 1"})];
        let mut last = Value::Null;
        for turn in 2..=3 {
            let response =
                response_of(ask(&client, json!({"input": items, "stream": turn == 3})).await).await;
            drop(sent_to(&provider).await);
            // As SDKs send what they know to be stored.
            items.push(json!({"type": "item_reference", "id": response["output"][0]["id"]}));
            items.push(json!({"role": "user", "content": format!("turn {turn}")}));
            last = response;
        }
        let response = response_of(ask(&client, json!({"input": items})).await).await;
        let sent = sent_to(&provider).await;
        let said = Behaviour::healthy().text;
        assert_eq!(sent.matches(&said).count(), 2, "{upstream}: {sent}");
        assert!(!sent.contains("item_reference"), "{upstream}: {sent}");
        // What is kept of it stands on its own.
        for gone in [&last, &response] {
            let path = format!("/v1/responses/{}", id_of(gone));
            let fields = json!({"input": "turn 4", "previous_response_id": id_of(&response)});
            let answer = ask(&client, fields).await;
            assert_eq!((answer.status, answer.header("x-lockgate-dropped")), (http::StatusCode::OK, None));
            let sent = sent_to(&provider).await;
            assert_eq!(sent.matches(&said).count(), 3, "{upstream}: {sent}");
            client.send(Method::DELETE, &path, "".into()).await.expect("an answer");
        }
        // And what nobody keeps is named as lost.
        let answer = ask(&client, json!({"input": items})).await;
        assert!(
            answer.header("x-lockgate-dropped").is_some_and(|lost| lost.contains("input[3]")),
            "{upstream}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_id_that_comes_again_overwrites_nothing() {
    let provider = ScriptedProvider::start().await;
    let scene = stage(&[&provider], Dialect::OpenAiChat).await;
    let client = scene.client().with_header("x-request-id", "the-same");
    let mut ids = Vec::new();
    for number in 0..3 {
        let streams = number == 1;
        let response =
            response_of(ask(&client, json!({"input": format!("number {number}"), "stream": streams})).await)
                .await;
        assert!(!ids.contains(&id_of(&response)), "{ids:?}");
        ids.push(id_of(&response));
    }
    for (number, id) in ids.iter().enumerate() {
        let items =
            client.get(&format!("/v1/responses/{id}/input_items")).await.expect("an answer").json().await;
        let items = items.expect("JSON").to_string();
        assert!(items.contains(&format!("number {number}")), "{items}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_is_kept_for_its_own_key_only() {
    let provider = ScriptedProvider::start().await;
    let with_keys = |plan: Plan| plan.with(|draft| draft.keys = vec![key("lg-1"), key("lg-2")]);
    let scene: Scene = with_keys(plan(&[&provider], Dialect::OpenAiChat)).start().await;
    let (owner, other) = (scene.client().with_key("lg-1"), scene.client().with_key("lg-2"));
    let id = id_of(&response_of(ask(&owner, json!({"input": "mine"})).await).await);
    let path = format!("/v1/responses/{id}");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/input_items")),
        (Method::DELETE, path.clone()),
    ] {
        let mut answer = other.send(method.clone(), &path, "".into()).await.expect("an answer");
        let said = String::from_utf8_lossy(&answer.body().await.unwrap_or_default()).into_owned();
        assert!(answer.status != 200 && !said.contains("mine"), "{method} {path}: {said}");
    }
    let fields = json!({"input": "yours", "previous_response_id": id});
    assert_eq!(ask(&other, fields).await.status, 400);
    assert_eq!(owner.get(&path).await.expect("an answer").status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_keeps_says_so() {
    let provider = ScriptedProvider::start().await;
    let zero = |plan: Plan| plan.with(|draft| draft.settings.kept.time = std::time::Duration::ZERO);
    let scene = zero(plan(&[&provider], Dialect::OpenAiChat)).start().await;
    for streams in [false, true] {
        let response =
            response_of(ask(&scene.client(), json!({"input": "x", "store": true, "stream": streams})).await)
                .await;
        assert_eq!(response["store"], false);
        let path = format!("/v1/responses/{}", id_of(&response));
        assert!(scene.client().get(&path).await.expect("an answer").status.is_client_error());
    }
    let scene = stage(&[&provider], Dialect::OpenAiChat).await;
    let response = response_of(ask(&scene.client(), json!({"input": "x"})).await).await;
    assert_eq!(response["store"], true);
}

/// Requests that mean something to a server of their own dialect only.
fn tied() -> [(&'static str, Value); 5] {
    let input = |items: Value| json!({"model": MODEL, "input": items});
    [
        ("/v1/responses/compact", input(json!("x"))),
        ("/v1/responses", input(json!([{"type": "compaction", "encrypted_content": "gAAA"}]))),
        ("/v1/responses", input(json!([{"type": "compaction_trigger"}]))),
        ("/v1/responses", json!({"model": MODEL, "prompt": {"id": "pmpt_1"}})),
        ("/v1/responses", json!({"model": MODEL, "input": "x", "conversation": "conv_1"})),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_only_its_own_dialect_can_serve_is_refused_where_nobody_speaks_it() {
    for upstream in FOREIGN {
        let provider = ScriptedProvider::start().await;
        let scene = stage(&[&provider], upstream).await;
        for (path, body) in tied() {
            let mut answer = scene.client().post(path, &body).await.expect("an answer");
            let told = answer.json().await.expect("JSON");
            assert_eq!(answer.status, 400, "{upstream}: {told}");
            assert_eq!(told["error"]["code"], "unsupported_for_backend", "{upstream}: {told}");
            assert!(told["error"]["message"].as_str().expect("a message").contains("Responses"), "{told}");
        }
        assert_eq!(provider.count().accepted, 0, "{upstream}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_its_own_dialect_can_serve_goes_to_a_backend_that_speaks_it() {
    let [foreign, own] = [ScriptedProvider::start().await, ScriptedProvider::start().await];
    let scene = plan(&[&foreign, &own], Dialect::OpenAiChat)
        .with(|draft| draft.backends[1].dialects = Some(vec![Dialect::OpenAiResponses]))
        .start()
        .await;
    for (number, (path, body)) in tied().into_iter().enumerate() {
        for _ in 0..3 {
            let answer = scene.client().post(path, &body).await.expect("an answer");
            assert_eq!(answer.status, 200, "{number}");
            let sent: Value = serde_json::from_slice(&own.next_request().await.body).expect("JSON");
            let mut want = body.clone();
            want["model"] = sent["model"].clone();
            assert_eq!(sent, want, "as it was said");
        }
    }
    assert_eq!(foreign.count().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn what_rests_on_its_server_is_not_told_anew() {
    let provider = ScriptedProvider::start().await;
    let scene = forgetful(&provider, Dialect::OpenAiResponses).await;
    for (path, body) in tied() {
        assert_eq!(scene.client().post(path, &body).await.expect("an answer").status, 200, "{body}");
        let sent: Value = serde_json::from_str(&sent_to(&provider).await).expect("JSON");
        let mut want = body.clone();
        want["model"] = sent["model"].clone();
        assert_eq!(sent, want, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_here_reaches_its_backend_whole() {
    let provider = ScriptedProvider::start().await;
    let scene = forgetful(&provider, Dialect::OpenAiResponses).await;
    let fields = json!({"input": "x", "store": true, "provider": {"order": ["a"]}, "truncation": "auto"});
    for (strict, said) in [("0", fields.clone()), ("1", fields)] {
        let body = with_model(&said);
        let client = scene.client().with_header("x-lockgate-strict", strict);
        let answer = client.post("/v1/responses", &body).await.expect("an answer");
        assert_eq!((answer.status, answer.header("x-lockgate-dropped")), (http::StatusCode::OK, None));
        let response = response_of(answer).await;
        assert_eq!(response["store"], true, "the gateway keeps it: {response}");
        let sent: Value = serde_json::from_str(&sent_to(&provider).await).expect("JSON");
        assert_eq!(sent["store"], false, "{sent}");
        assert_eq!(
            (&sent["provider"], &sent["truncation"]),
            (&said["provider"], &said["truncation"]),
            "{sent}"
        );
    }
    // What is not to be kept is not touched.
    let said = json!({"store": false, "input": "x", "z": 1.50});
    ask(&scene.client(), said.clone()).await;
    let sent = sent_to(&provider).await;
    assert!(sent.contains(r#""z":1.5"#) && sent.contains(r#""store":false"#), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_keeps_is_asked_of_those_who_may() {
    let [forgetful, keeping] = [ScriptedProvider::start().await, ScriptedProvider::start().await];
    let before = |providers: &[&ScriptedProvider]| {
        plan(providers, Dialect::OpenAiResponses)
            .with(|draft| draft.backends[0].keeps_responses = Some(false))
    };
    let fields = json!({"input": "x", "previous_response_id": "resp_of_old"});
    let scene = before(&[&forgetful, &keeping]).start().await;
    assert_eq!(ask(&scene.client(), fields.clone()).await.status, 200);
    let sent: Value = serde_json::from_str(&sent_to(&keeping).await).expect("JSON");
    assert_eq!(sent["previous_response_id"], "resp_of_old", "as the client wrote it");
    let unknown = json!({"error": {"message": "Previous response with id 'resp_of_old' not found.",
        "type": "invalid_request_error", "param": "previous_response_id", "code": "previous_response_not_found"}});
    let [lacking, having] = [ScriptedProvider::start().await, ScriptedProvider::start().await];
    for status in [400, 404] {
        lacking.otherwise(Behaviour::json(status, &unknown));
        let scene = before(&[&forgetful, &lacking, &having]).start().await;
        let answer = ask(&scene.client(), fields.clone()).await;
        assert_eq!((answer.status, answer.header("x-lockgate-backend")), (http::StatusCode::OK, Some("b2")));
        assert!(sent_to(&having).await.contains("resp_of_old"));
        let scene = before(&[&forgetful, &lacking]).start().await;
        let mut answer = ask(&scene.client(), fields.clone()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json().await.expect("JSON"), unknown, "as the last of them said it");
        assert_eq!(lacking.count().accepted, if status == 400 { 2 } else { 4 }, "each is asked once");
    }
    let scene = before(&[&forgetful]).start().await;
    let mut answer = ask(&scene.client(), fields).await;
    let error = answer.json().await.expect("JSON")["error"].clone();
    assert_eq!(
        (answer.status, &error["param"]),
        (http::StatusCode::BAD_REQUEST, &json!("previous_response_id"))
    );
    assert_eq!(forgetful.count().accepted, 0, "it would have refused");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_nobody_knows_is_sought_where_it_can_be() {
    let providers = [
        ScriptedProvider::start().await,
        ScriptedProvider::start().await,
        ScriptedProvider::start().await,
        ScriptedProvider::start().await,
    ];
    let [chatting, forgetful, without, with] = &providers;
    let lacking = json!({"error": {"message": "No response found.", "type": "invalid_request_error"}});
    without.otherwise(Behaviour::json(404, &lacking));
    with.otherwise(Behaviour::json(200, &json!({"id": "resp_of_old", "object": "response"})));
    let all: Vec<&ScriptedProvider> = providers.iter().collect();
    let plan_of = |providers: &[&ScriptedProvider]| {
        plan(providers, Dialect::OpenAiResponses).with(|draft| {
            draft.backends[0].dialects = Some(vec![Dialect::OpenAiChat]);
            draft.backends[1].keeps_responses = Some(false);
        })
    };
    let asked = [
        (Method::GET, "/v1/responses/resp_of_old"),
        (Method::GET, "/responses/resp_of_old/input_items?limit=2"),
        (Method::DELETE, "/openai/v1/responses/resp_of_old"),
    ];
    for (count, want, by) in [(4, 200, "b3"), (3, 404, "b2"), (2, 404, "none")] {
        let scene = plan_of(&all[..count]).start().await;
        for (method, path) in asked.clone() {
            let mut answer = scene.client().send(method.clone(), path, "".into()).await.expect("an answer");
            assert_eq!(answer.status, want, "{method} {path} of {count}");
            assert_eq!(answer.header("x-lockgate-backend"), Some(by), "{method} {path} of {count}");
            let told = answer.json().await.expect("JSON");
            match by {
                "b3" => assert_eq!(told["id"], "resp_of_old"),
                "b2" => assert_eq!(told, lacking, "as the last of them said it"),
                _ => {
                    assert_eq!(told["error"]["code"], "not_found", "{told}");
                    assert_eq!(told["error"]["param"], "id", "{told}");
                }
            }
        }
    }
    assert_eq!((chatting.count().accepted, forgetful.count().accepted), (0, 0), "they cannot have it");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_its_backend_keeps_is_continued_there_and_nowhere_else() {
    let providers = [ScriptedProvider::start().await, ScriptedProvider::start().await];
    for (provider, id) in providers.iter().zip(["resp_a", "resp_b"]) {
        let made =
            json!({"id": id, "object": "response", "status": "completed", "model": MODEL, "output": []});
        provider.otherwise(Behaviour::json(200, &made));
    }
    let scene = plan(&[&providers[0], &providers[1]], Dialect::OpenAiResponses)
        .with(|draft| "primary".clone_into(&mut draft.backends[1].pool))
        .start()
        .await;
    for number in 0..6 {
        let response = response_of(ask(&scene.client(), json!({"input": format!("c{number}")})).await).await;
        let id = id_of(&response);
        let home = &providers[usize::from(id == "resp_b")];
        drop(sent_to(home).await);
        let said = with_model(&json!({"input": "on", "previous_response_id": id, "x": [1.0]}));
        assert_eq!(ask(&scene.client(), said.clone()).await.status, 200);
        let sent: Value = serde_json::from_str(&sent_to(home).await).expect("JSON");
        assert_eq!(sent, said, "as it was said");
    }
}

/// A whole answer of an account with an id, a sealed thought and a message, all of them its own.
fn thought_by(name: &str) -> Behaviour {
    let thought = json!({"type": "reasoning", "id": format!("rs_{name}"), "summary": [],
        "encrypted_content": format!("gAAAA-{name}")});
    let message = json!({"type": "message", "id": format!("msg_{name}"), "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "hm", "annotations": []}]});
    let made = json!({"id": format!("resp_{name}"), "object": "response", "status": "completed", "model": MODEL,
        "output": [thought, message]});
    Behaviour::json(200, &made)
}

/// The same as a stream.
fn streamed_thought_by(name: &str) -> Behaviour {
    let item = json!({"type": "reasoning", "id": format!("rs_{name}"), "summary": [],
        "encrypted_content": format!("gAAAA-{name}")});
    let response = |status: &str, output: Value| json!({"id": format!("resp_{name}"), "object": "response", "status": status, "model": MODEL, "output": output});
    let events = [
        json!({"type": "response.created", "response": response("in_progress", json!([]))}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": response("completed", json!([]))}),
    ];
    Behaviour::replay(events.map(|event| format!("data: {event}\n\n")))
}

/// Two accounts that speak Responses, equal but for what they seal, and one of another dialect behind them.
async fn two_accounts(providers: &[ScriptedProvider; 3], behaviour: fn(&str) -> Behaviour) -> Scene {
    for (provider, name) in providers.iter().zip(["a", "b"]) {
        provider.otherwise(behaviour(name));
    }
    plan(&[&providers[0], &providers[1], &providers[2]], Dialect::OpenAiResponses)
        .with(|draft| {
            "primary".clone_into(&mut draft.backends[1].pool);
            draft.backends[2].dialects = Some(vec![Dialect::OpenAiChat]);
        })
        .start()
        .await
}

#[tokio::test(start_paused = true)]
async fn what_an_account_alone_has_goes_back_to_it() {
    for (behaviour, streams) in
        [(thought_by as fn(&str) -> Behaviour, false), (streamed_thought_by as fn(&str) -> Behaviour, true)]
    {
        let providers = [
            ScriptedProvider::start().await,
            ScriptedProvider::start().await,
            ScriptedProvider::start().await,
        ];
        let scene = two_accounts(&providers, behaviour).await;
        let client = scene.client();
        let mut met = [0, 0];
        for number in 0..12 {
            let fields = json!({"input": format!("c{number}"), "stream": streams});
            let home = usize::from(id_of(&response_of(ask(&client, fields).await).await) == "resp_b");
            met[home] += 1;
            let name = ["a", "b"][home];
            let question = json!({"role": "user", "content": format!("on {number}")});
            let reference = json!({"type": "item_reference", "id": format!("rs_{name}")});
            let sealed =
                json!({"type": "reasoning", "summary": [], "encrypted_content": format!("gAAAA-{name}")});
            for (item, store) in [(reference, true), (sealed, false)] {
                let fields = json!({"input": [question, item, question], "store": store, "stream": streams});
                let answer = ask(&client, fields).await;
                let want = ["b0", "b1"][home];
                assert_eq!(answer.header("x-lockgate-backend"), Some(want), "{name}, store: {store}");
            }
        }
        assert!(met.iter().all(|count| *count > 0), "both must have been asked: {met:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sealed_thought_is_shown_to_no_other_account() {
    let providers =
        [ScriptedProvider::start().await, ScriptedProvider::start().await, ScriptedProvider::start().await];
    let scene = two_accounts(&providers, thought_by).await;
    let client = scene.client();
    let home = usize::from(id_of(&response_of(ask(&client, json!({"input": "x"})).await).await) == "resp_b");
    let (own, other) = (&providers[home], &providers[1 - home]);
    own.otherwise(Behaviour::error(500, "down"));
    let sealed = format!("gAAAA-{}", ["a", "b"][home]);
    let items = json!([{"role": "user", "content": "x"},
        {"type": "reasoning", "summary": [], "encrypted_content": sealed}, {"role": "user", "content": "y"}]);
    let answer = ask(&client, json!({"input": items, "store": false})).await;
    let second = ["b1", "b0"][home];
    assert_eq!((answer.status, answer.header("x-lockgate-backend")), (http::StatusCode::OK, Some(second)));
    assert_eq!(answer.header("x-lockgate-dropped"), Some("input[1]"), "what it was not told");
    assert!(!sent_to(other).await.contains("gAAAA"), "it would have refused it");
    let before = other.count().accepted;
    // What refers to what it keeps can be served by nobody else.
    let reference = json!([{"type": "item_reference", "id": format!("msg_{}", ["a", "b"][home])}]);
    let mut answer = ask(&client, json!({"input": reference})).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert_eq!(answer.json().await.expect("JSON")["error"]["code"], "upstream_error");
    assert_eq!(other.count().accepted, before);
    other.otherwise(Behaviour::error(500, "down"));
    let answer = ask(&client, json!({"input": items, "store": false})).await;
    assert_eq!((answer.status, answer.header("x-lockgate-backend")), (http::StatusCode::OK, Some("b2")));
    assert_eq!(answer.header("x-lockgate-dropped"), Some("input[1]"), "what the other dialect was not told");
    assert!(!sent_to(&providers[2]).await.contains("gAAAA"), "nobody else can read it");
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_but_unknown_ids_is_refused() {
    for upstream in FORGETFUL {
        let provider = ScriptedProvider::start().await;
        let scene = forgetful(&provider, upstream).await;
        for id in ["msg_of_somebody_0", "msg_1"] {
            let input = json!([{"type": "item_reference", "id": id}]);
            let mut answer = ask(&scene.client(), json!({"input": input, "instructions": "Be kind."})).await;
            let error = answer.json().await.expect("JSON")["error"].clone();
            assert_eq!(
                (answer.status, &error["param"]),
                (http::StatusCode::BAD_REQUEST, &json!("input")),
                "{upstream}"
            );
            assert_eq!(error["code"], "unsupported_for_backend", "{upstream}");
        }
        assert_eq!(provider.count().accepted, 0, "{upstream}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_here_has_lost_nothing() {
    for upstream in FORGETFUL {
        let provider = ScriptedProvider::start().await;
        let scene = forgetful(&provider, upstream).await;
        let client = scene.client().with_header("x-lockgate-strict", "1");
        let fields = json!({"input": "x", "store": true, "prompt_cache_key": "k"});
        let answer = ask(&client, fields).await;
        assert_eq!(
            (answer.status, answer.header("x-lockgate-dropped")),
            (http::StatusCode::OK, None),
            "{upstream}"
        );
        assert_eq!(response_of(answer).await["store"], true, "{upstream}");
    }
}
