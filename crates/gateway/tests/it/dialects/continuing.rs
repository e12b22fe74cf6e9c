//! Responses that the gateway keeps for backends that keep none: who may go on with them, refer to them, and what ties a
//! request to backends of its own dialect.

use http::Method;
use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider, TestAnswer, TestClient};

use super::crossing::{plan, stage};
use crate::scene::{MODEL, Plan, Scene, key};

const FOREIGN: [Dialect; 3] = [Dialect::OpenAiChat, Dialect::AnthropicMessages, Dialect::Gemini];

async fn ask(client: &TestClient, fields: Value) -> TestAnswer {
    let mut body = json!({"model": MODEL});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    client.post("/v1/responses", &body).await.expect("an answer")
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
    for upstream in FOREIGN {
        let context = upstream;
        let provider = ScriptedProvider::start().await;
        let scene = stage(&[&provider], upstream).await;
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
    for upstream in FOREIGN {
        let provider = ScriptedProvider::start().await;
        let scene = stage(&[&provider], upstream).await;
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
