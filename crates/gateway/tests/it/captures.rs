//! What a rule asks for is captured as the client sent it and was answered, credentials left out; nothing else is, and no
//! request is delayed or fails for it.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use policy::{CaptureSpec, Timestamp};
use serde_json::json;
use store::captures::{Capture, CaptureEnd, CaptureFilter, CaptureHead};
use testkit::{Behaviour, Ending, ScriptedProvider};
use tokio::task::JoinSet;

use crate::scene::{MODEL, Plan, Scene, chat, chat_stream, key};

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(60);
/// Turns given to other tasks before a wait is called hopeless.
const TURNS_MAX: u32 = 20_000;

fn rule(key: Option<&str>, model: Option<&str>) -> CaptureSpec {
    let until = Timestamp(i64::MAX);
    CaptureSpec { key: key.map(str::to_owned), model: model.map(str::to_owned), until }
}

/// With these rules. Tickets of tests are of no time at all, so that age must not count.
fn capturing(plan: Plan, rules: impl IntoIterator<Item = CaptureSpec>) -> Plan {
    plan.with(|draft| {
        draft.captures = rules.into_iter().collect();
        draft.settings.captures.age_max = Duration::MAX;
    })
}

async fn stage(rules: impl IntoIterator<Item = CaptureSpec>) -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    let scene = capturing(Plan::before(&[&provider]), rules).start().await;
    (provider, scene)
}

/// Waits until so many are captured, and gives them, oldest first.
async fn captured(scene: &Scene, count: usize) -> Vec<Capture> {
    for _ in 0..TURNS_MAX {
        tokio::task::yield_now().await;
        assert!(scene.gateway.captures_written(PATIENCE), "captures must be written");
        let found = scene.captures.find(CaptureFilter::default(), None, 500).await.expect("found");
        if found.len() < count {
            continue;
        }
        let mut captures = Vec::new();
        for CaptureHead { id, .. } in found.into_iter().rev() {
            captures.push(scene.captures.open(id).await.expect("opens").expect("is there"));
        }
        assert_eq!(captures.len(), count);
        return captures;
    }
    panic!("never captured: {count}");
}

async fn only(scene: &Scene) -> Capture {
    captured(scene, 1).await.remove(0)
}

#[tokio::test(start_paused = true)]
async fn rules_say_whose_requests_are_captured() {
    for (rules, app, other) in [
        (vec![], false, false),
        (vec![rule(None, None)], true, true),
        (vec![rule(Some("lg-app"), None)], true, false),
        (vec![rule(None, Some(MODEL))], true, true),
        (vec![rule(None, Some("alias"))], false, false),
        (vec![rule(None, Some("elsewhere"))], false, false),
        (vec![rule(Some("lg-app"), Some("elsewhere"))], false, false),
        (vec![rule(Some("lg-app"), Some(MODEL)), rule(Some("lg-other"), Some("elsewhere"))], true, false),
        (vec![CaptureSpec { until: Timestamp(0), ..rule(None, None) }], false, false),
    ] {
        let provider = ScriptedProvider::start().await;
        let plan = Plan::before(&[&provider]).with(|draft| {
            draft.keys = vec![key("lg-app"), key("lg-other")];
            draft.aliases.insert("alias".to_owned(), vec![MODEL.to_owned()]);
        });
        let scene = capturing(plan, rules.clone()).start().await;
        for name in ["lg-app", "lg-other"] {
            let mut answer = scene.client().with_key(name).post(CHAT, &chat()).await.expect("an answer");
            assert_eq!(answer.status, 200);
            answer.body().await.expect("a whole answer");
        }
        scene.at_rest().await;
        let want: Vec<&str> = [("lg-app", app), ("lg-other", other)]
            .into_iter()
            .filter_map(|(name, is_captured)| is_captured.then_some(name))
            .collect();
        let found = captured(&scene, want.len()).await;
        let keys: Vec<_> = found.iter().map(|capture| capture.head.key.as_deref().expect("a key")).collect();
        assert_eq!(keys, want, "{rules:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_is_captured_by_the_name_that_is_asked_for_and_by_its_own() {
    for wanted in ["alias", MODEL] {
        let provider = ScriptedProvider::start().await;
        let plan = Plan::before(&[&provider])
            .with(|draft| drop(draft.aliases.insert("alias".to_owned(), vec![MODEL.to_owned()])));
        let scene = capturing(plan, [rule(None, Some(wanted))]).start().await;
        let mut ask = chat();
        ask["model"] = json!("alias");
        let mut answer = scene.client().post(CHAT, &ask).await.expect("an answer");
        answer.body().await.expect("a whole answer");
        assert_eq!(only(&scene).await.head.model.as_deref(), Some("alias"), "{wanted}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_capture_is_what_was_sent_and_what_was_given() {
    for ask in [chat(), chat_stream()] {
        let (provider, scene) = stage([rule(None, None)]).await;
        provider.otherwise(Behaviour::healthy().header("x-vendor", "v").header("set-cookie", "canary-3"));
        let client = scene.client().with_key("canary-1").with_header("x-api-key", "canary-2");
        let client = client.with_header("cookie", "canary-4").with_header("x-trace", "t");
        let mut answer = client.post(&format!("{CHAT}?key=canary-5&a=1"), &ask).await.expect("an answer");
        let given = answer.body().await.expect("a whole answer");
        let Capture { head, content } = only(&scene).await;
        assert_eq!(Some(&*head.request_id), answer.header("x-request-id"));
        assert_eq!(
            (head.status, head.ended, head.key, head.model.as_deref()),
            (200, CaptureEnd::Whole, None, Some(MODEL))
        );
        assert_eq!(
            (head.backend.as_deref(), head.request_cut, head.response_cut),
            (Some("b0"), false, false)
        );
        assert_eq!(content.request_body, ask.to_string());
        assert_eq!(content.response_body, given);
        assert_eq!(
            (head.request_bytes, head.response_bytes),
            (ask.to_string().len() as u64, given.len() as u64)
        );
        assert_eq!(
            (content.method.as_str(), content.path.as_str()),
            ("POST", "/v1/chat/completions?key=[hidden]&a=1")
        );
        let [attempt] = &content.attempts[..] else { panic!("{:?}", content.attempts) };
        assert_eq!((attempt.backend.as_str(), attempt.status), ("b0", Some(200)));
        let named = |headers: &[(String, String)], name: &str| {
            let found = headers.iter().find(|(header, _)| header == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        assert_eq!(named(&content.request_headers, "x-trace"), "t");
        assert_eq!(named(&content.response_headers, "x-request-id"), &*head.request_id);
        assert_eq!(
            (named(&attempt.headers, "x-vendor"), named(&attempt.headers, "set-cookie")),
            ("v".to_owned(), "[hidden]".to_owned())
        );
        for name in ["authorization", "x-api-key", "cookie"] {
            assert_eq!(named(&content.request_headers, name), "[hidden]", "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_fails_is_captured_with_why() {
    let (provider, scene) = stage([rule(None, None)]).await;
    provider.otherwise(Behaviour::html(502).header("x-vendor", "v"));
    let unknown = json!({"model": "no", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    for (number, (body, status, attempts, model)) in [
        (Bytes::from_static(b"{"), 400, 0, None),
        (Bytes::from(unknown), 404, 0, Some("no")),
        (Bytes::from(chat().to_string()), 502, 5, Some(MODEL)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut answer = scene.client().send(Method::POST, CHAT, body.clone()).await.expect("an answer");
        assert_eq!(answer.status, status);
        let given = answer.body().await.expect("a whole answer");
        let Capture { head, content } = captured(&scene, number + 1).await.pop().expect("the latest");
        assert_eq!((head.status, head.model.as_deref()), (answer.status.as_u16(), model));
        assert_eq!((content.request_body, content.response_body), (body, given));
        let statuses: Vec<_> = content.attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, vec![Some(502); attempts]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_cap_is_cut_and_says_so() {
    let provider = ScriptedProvider::start().await;
    let plan = Plan::before(&[&provider]).with(|draft| draft.settings.captures.body_bytes_max = 20);
    let scene = capturing(plan, [rule(None, None)]).start().await;
    for (number, ask) in [chat(), chat_stream()].into_iter().enumerate() {
        let mut answer = scene.client().post(CHAT, &ask).await.expect("an answer");
        let given = answer.body().await.expect("a whole answer");
        let Capture { head, content } = captured(&scene, number + 1).await.pop().expect("the latest");
        assert_eq!((head.request_cut, head.response_cut), (true, true));
        assert_eq!(
            (head.request_bytes, head.response_bytes),
            (ask.to_string().len() as u64, given.len() as u64)
        );
        assert_eq!(content.request_body, ask.to_string()[..20]);
        assert_eq!(content.response_body, given[..20]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_through_is_captured_as_it_passes() {
    let (provider, scene) = stage([rule(None, None)]).await;
    let form = Bytes::from(format!(
        "--xyz\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{MODEL}\r\n--xyz\r\ncontent-disposition: \
         form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n{}\r\n--xyz--\r\n",
        "RIFF".repeat(50_000)
    ));
    let client = scene.client().with_header("content-type", "multipart/form-data; boundary=xyz");
    let mut answer =
        client.send(Method::POST, "/v1/audio/transcriptions", form.clone()).await.expect("an answer");
    let given = answer.body().await.expect("a whole answer");
    assert!(provider.next_request().await.header("content-type").is_some());
    let Capture { head, content } = only(&scene).await;
    assert_eq!((head.model.as_deref(), head.request_bytes), (Some(MODEL), form.len() as u64));
    assert_eq!((content.request_body, content.response_body, head.ended), (form, given, CaptureEnd::Whole));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_the_middle_leaves_a_capture_of_what_it_was_given() {
    let (provider, scene) = stage([rule(None, None)]).await;
    provider.otherwise(Behaviour::healthy().paced());
    provider.step(3);
    let mut answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(answer.event().await.expect("an event").expect("a whole event"));
    }
    answer.abort();
    assert!(provider.next_request().await.over().await.left_early);
    let Capture { head, content } = only(&scene).await;
    assert_eq!((head.ended, head.status), (CaptureEnd::Left, 200));
    assert_eq!(content.response_body, given);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_there_is_an_answer_leaves_a_capture_of_what_it_sent() {
    let (provider, scene) = stage([rule(None, None)]).await;
    provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let (client, ask) = (scene.client(), chat());
    let mut call = JoinSet::new();
    call.spawn(async move { client.post(CHAT, &ask).await.map(drop) });
    let received = provider.next_request().await;
    call.shutdown().await;
    assert!(received.over().await.left_early);
    let Capture { head, content } = only(&scene).await;
    assert_eq!((head.ended, head.status, head.response_bytes), (CaptureEnd::Left, 499, 0));
    assert_eq!(content.request_body, chat().to_string());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_breaks_off_breaks_the_capture_off() {
    let (provider, scene) = stage([rule(None, None)]).await;
    provider.otherwise(
        Behaviour::chunks("application/octet-stream", ["x".repeat(500)]).ending(Ending::CloseAt(100)),
    );
    let mut given = Vec::new();
    // A connection that is cut at once may take the head of the answer with it.
    if let Ok(mut answer) = scene.client().get("/v1/files/file-1/content").await {
        while let Some(Ok(chunk)) = answer.chunk().await {
            given.extend(chunk);
        }
    }
    assert!(given.len() <= 100, "it was cut");
    let Capture { head, content } = only(&scene).await;
    assert_eq!(head.ended, CaptureEnd::Broken);
    // What the connection still held when it was cut went nowhere.
    assert!(content.response_body.starts_with(&given) && content.response_body.len() <= 100);
}

#[tokio::test(start_paused = true)]
async fn requests_go_on_when_captures_cannot_be_written() {
    let (_provider, scene) = stage([rule(None, None)]).await;
    let folder = scene.folder.path().join("captures");
    std::fs::write(&folder, "in the way").expect("a file where the folder would be");
    for ask in [chat(), chat_stream()] {
        let mut answer = scene.client().post(CHAT, &ask).await.expect("an answer");
        assert_eq!(answer.status, 200);
        answer.body().await.expect("a whole answer");
    }
    scene.until("both to be lost", |scene| scene.gateway.captures_lost() == 2).await;
    assert!(captured(&scene, 0).await.is_empty());
    let status = scene.status();
    assert_eq!((status.in_flight, status.queued), (0, 0));
}
