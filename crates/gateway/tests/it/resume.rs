//! A stream whose client lost its connection: continued byte for byte on the same upstream call, by the right key, within its
//! time and its room; settled once, however it ends.

use std::time::Duration;

use http::StatusCode;
use policy::{RequestOutcome, ResumeRules};
use testkit::{Behaviour, Ending, ScriptedProvider, StillClock, TestAnswer, TestClient};
use tokio::task::JoinSet;
use tokio::time::advance;

use crate::scene::{KEPT_EVERY, Plan, Scene, chat, chat_stream, key};

const CHAT: &str = "/v1/chat/completions";
const GRACE: Duration = Duration::from_secs(30);

fn resumable(plan: Plan) -> Plan {
    plan.with(|draft| {
        draft.settings.resume = Some(ResumeRules { buffer_bytes: 1 << 20, grace: GRACE, streams_max: 8 });
    })
}

async fn stage(behaviour: Behaviour, change: impl FnOnce(Plan) -> Plan) -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(behaviour);
    let scene = change(resumable(Plan::before(&[&provider]))).start().await;
    (provider, scene)
}

async fn begin(client: &TestClient) -> (TestAnswer, String) {
    let answer = client.post(CHAT, &chat_stream()).await.expect("an answer");
    let place = answer.header("x-lockgate-resume").expect("a place to continue at").to_owned();
    (answer, place)
}

/// Reads so many events.
async fn events(answer: &mut TestAnswer, count: usize) -> Vec<u8> {
    let mut said = Vec::new();
    for _ in 0..count {
        said.extend(answer.event().await.expect("an event").expect("a whole event"));
    }
    said
}

async fn get(client: &TestClient, place: &str, after: &str) -> TestAnswer {
    client.clone().with_header("last-event-id", after).get(place).await.expect("an answer")
}

/// Comes back as soon as the gateway has noticed that the client was gone.
async fn resume(client: &TestClient, place: &str, after: usize) -> TestAnswer {
    for _ in 0..10_000 {
        let answer = get(client, place, &after.to_string()).await;
        if answer.status != StatusCode::CONFLICT {
            assert_eq!(answer.status, 200, "behind {after}");
            return answer;
        }
        assert_eq!(
            (answer.header("retry-after"), answer.header("retry-after-ms")),
            (Some("1"), Some("1000"))
        );
    }
    panic!("the first connection is never noticed to be gone");
}

async fn refusal(mut answer: TestAnswer) -> (u16, String) {
    let said = answer.json().await.expect("JSON");
    (answer.status.as_u16(), said["error"]["code"].as_str().expect("a code").to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_at_any_event_is_continued_byte_for_byte() {
    let _still = StillClock::hold();
    let (_provider, scene) = stage(Behaviour::healthy(), |plan| plan).await;
    let (mut answer, _) = begin(&scene.client()).await;
    let whole = answer.body().await.expect("a body");
    let text = String::from_utf8(whole.to_vec()).expect("UTF-8");
    assert!(text.starts_with("data: ") && text.ends_with("data: [DONE]\nid: 12\n\n"), "{text}");
    for cut in 0..=12 {
        let (provider, scene) = stage(Behaviour::healthy().paced(), |plan| plan).await;
        // The usage, which nobody asked for, comes before the last event.
        provider.step(if cut == 12 { 13 } else { cut.max(1) });
        let (mut answer, place) = begin(&scene.client()).await;
        let id = answer.header("x-request-id").expect("an id").to_owned();
        let mut said = events(&mut answer, cut).await;
        answer.abort();
        let mut again = resume(&scene.client(), &place, cut).await;
        assert_eq!(again.header("content-type"), Some("text/event-stream"), "{cut}");
        assert_eq!(again.header("x-accel-buffering"), Some("no"), "{cut}");
        assert_eq!(again.header("x-request-id"), Some(&*id), "{cut}: it is the same request");
        provider.step(100);
        said.extend(again.body().await.expect("a proper end"));
        assert_eq!(String::from_utf8_lossy(&said), text, "{cut}");
        let receipt = scene.only_receipt().await.receipt;
        assert_eq!((receipt.status, receipt.outcome), (200, RequestOutcome::Completed), "{cut}");
        assert_eq!(provider.received().len(), 1, "{cut}: on the same upstream call");
        assert!(!provider.next_request().await.over().await.left_early, "{cut}");
        assert!(scene.metrics().contains("lockgate_streams_resumed_total 1"), "{cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_meanwhile_can_still_be_read() {
    let _still = StillClock::hold();
    for (behaviour, outcome) in [
        (Behaviour::healthy(), RequestOutcome::Completed),
        (Behaviour::healthy().ending(Ending::CloseAt(700)), RequestOutcome::Failed),
    ] {
        let (provider, scene) = stage(behaviour.paced(), |plan| plan).await;
        provider.step(2);
        let (mut answer, place) = begin(&scene.client()).await;
        let mut said = events(&mut answer, 2).await;
        answer.abort();
        provider.step(100);
        provider.next_request().await.over().await;
        // Settled by its own end, not by whoever reads it.
        assert_eq!(scene.only_receipt().await.receipt.outcome, outcome);
        said.extend(resume(&scene.client(), &place, 2).await.body().await.expect("a proper end"));
        let said = String::from_utf8(said).expect("UTF-8");
        let is_whole = said.contains("data: [DONE]\n");
        assert_eq!(
            (is_whole, said.contains("\"error\"")),
            match outcome {
                RequestOutcome::Completed => (true, false),
                RequestOutcome::Failed => (false, true),
                RequestOutcome::Cancelled | RequestOutcome::Interrupted => (false, false),
            }
        );
        let again = resume(&scene.client(), &place, 3).await.body().await.expect("a proper end");
        assert!(said.as_bytes().ends_with(&again), "it may be lost and continued once more");
        assert_eq!(scene.receipts().await.len(), 1);
        advance(GRACE).await;
        scene.until("nothing kept", |scene| scene.gateway.kept_streams() == 0).await;
        assert_eq!(refusal(get(&scene.client(), &place, "2").await).await, (404, "not_found".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_continues_ends_after_its_time_of_grace() {
    let _still = StillClock::hold();
    let (provider, scene) = stage(Behaviour::healthy().paced(), |plan| plan).await;
    provider.step(2);
    let (mut answer, place) = begin(&scene.client()).await;
    events(&mut answer, 2).await;
    answer.abort();
    drop(resume(&scene.client(), &place, 2).await);
    let received = provider.next_request().await;
    scene.until("nobody who reads", |scene| !scene.tasks.counts().contains_key("connection")).await;
    assert_eq!(scene.status().in_flight, 1, "the call goes on");
    advance(GRACE / 2).await;
    assert_eq!((scene.gateway.kept_streams(), received.fate().is_none()), (1, true));
    advance(GRACE).await;
    assert!(received.over().await.left_early);
    let receipt = scene.only_receipt().await.receipt;
    assert_eq!((receipt.status, receipt.outcome), (499, RequestOutcome::Cancelled));
    assert_eq!(refusal(get(&scene.client(), &place, "2").await).await, (404, "not_found".to_owned()));
    assert_eq!((scene.gateway.kept_streams(), scene.tasks.counts().get("resumable")), (0, None));
}

#[tokio::test(start_paused = true)]
async fn only_the_key_that_asked_may_continue_and_only_what_there_is() {
    let _still = StillClock::hold();
    let keys = |plan: Plan| plan.with(|draft| draft.keys.extend([key("lg-mine"), key("lg-other")]));
    let (provider, scene) = stage(Behaviour::healthy().paced(), keys).await;
    provider.step(3);
    let mine = scene.client().with_key("lg-mine");
    let (mut answer, place) = begin(&mine).await;
    events(&mut answer, 3).await;
    let unknown = "/v1/streams/00000000000000000000000001";
    for (client, place, after, expected) in [
        (&scene.client().with_key("lg-other"), &*place, "1", (404, "not_found")),
        (&mine, unknown, "1", (404, "not_found")),
        (&scene.client(), &*place, "1", (401, "missing_api_key")),
        (&mine, &*place, "1", (409, "stream_busy")),
        (&mine, &*place, "one", (400, "invalid_request")),
        (&mine, &*place, "-1", (400, "invalid_request")),
    ] {
        let (status, code) = refusal(get(client, place, after).await).await;
        assert_eq!((status, &*code), expected, "{place} {after}");
    }
    let mut over = get(&mine.clone().with_header("x-lockgate-take-over", "1"), &place, "1").await;
    assert_eq!(over.status, 200);
    assert!(answer.event().await.is_none_or(|cut| cut.is_err()), "the connection before is cut");
    let said = events(&mut over, 2).await;
    assert!(said.ends_with(b"id: 3\n\n") && !said.windows(6).any(|line| line == b"id: 1\n"));
    over.abort();
    let (status, code) = loop {
        let answer = get(&mine, &place, "4").await;
        if answer.status != 409 {
            break refusal(answer).await;
        }
    };
    assert_eq!((status, &*code), (400, "invalid_request"), "it has not come so far");
    provider.step(100);
    resume(&mine, &place, 3).await.body().await.expect("a proper end");
    assert_eq!(scene.receipts().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded_and_a_gap_is_told() {
    let _still = StillClock::hold();
    let small = |plan: Plan| {
        plan.with(|draft| {
            draft.settings.resume =
                Some(ResumeRules { buffer_bytes: 64 << 10, grace: GRACE, streams_max: 1 });
        })
    };
    let words = "word ".repeat(2000);
    let (_provider, scene) = stage(Behaviour::healthy().saying(&words), small).await;
    let (mut answer, place) = begin(&scene.client()).await;
    let second = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
    assert_eq!((second.status.as_u16(), second.header("x-lockgate-resume")), (200, None), "no second place");
    // A role comes before the words; what is on its way in sockets counts as read.
    events(&mut answer, 2001).await;
    answer.abort();
    let (status, code) = loop {
        let answer = get(&scene.client(), &place, "1").await;
        if answer.status != 409 {
            break refusal(answer).await;
        }
    };
    assert_eq!((status, &*code), (410, "stream_gone"));
    let rest = resume(&scene.client(), &place, 1990).await.body().await.expect("a proper end");
    let ids = rest.windows(4).filter(|line| line == b"id: ").count();
    assert_eq!(ids, 2003 - 1990, "all that follows is there");
    drop(second);
    assert_eq!(scene.receipts().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_unless_it_is_wanted_and_a_stream() {
    let (_provider, scene) = stage(Behaviour::healthy(), |plan| plan).await;
    let plain = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(plain.header("x-lockgate-resume"), None);
    let off = |plan: Plan| plan.with(|draft| draft.settings.resume = None);
    let (_provider, scene) = stage(Behaviour::healthy(), off).await;
    let mut answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
    assert_eq!(answer.header("x-lockgate-resume"), None);
    let said = answer.body().await.expect("a body");
    assert!(!said.windows(4).any(|line| line == b"id: "));
    assert_eq!(scene.gateway.kept_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_kept_alive_can_be_continued_before_it_has_begun() {
    let _still = StillClock::hold();
    let (provider, scene) = stage(Behaviour::healthy().paced(), Plan::kept).await;
    let mut calls = JoinSet::new();
    let client = scene.client();
    calls.spawn(async move { begin(&client).await });
    let received = provider.next_request().await;
    advance(KEPT_EVERY).await;
    let (mut answer, place) = calls.join_next().await.expect("a call").expect("no panic");
    assert_eq!(events(&mut answer, 1).await, b": keepalive\n\n", "a sign of life has no number");
    answer.abort();
    let mut again = resume(&scene.client(), &place, 0).await;
    advance(KEPT_EVERY).await;
    let sign = again.event().await.expect("a sign of life").expect("whole");
    assert_eq!(sign, ": keepalive\n\n");
    provider.step(100);
    let rest = again.body().await.expect("a proper end");
    let said = String::from_utf8(rest.to_vec()).expect("UTF-8").replace(": keepalive\n\n", "");
    assert!(said.starts_with("data: ") && said.ends_with("data: [DONE]\nid: 12\n\n"), "{said}");
    assert!(!received.over().await.left_early);
    let receipt = scene.only_receipt().await.receipt;
    assert_eq!((receipt.outcome, receipt.keepalive_committed), (RequestOutcome::Completed, true));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_stops_waits_for_nobody_who_cannot_come_back() {
    let _still = StillClock::hold();
    let (provider, scene) = stage(Behaviour::healthy().paced(), |plan| plan).await;
    provider.step(2);
    let (mut answer, _place) = begin(&scene.client()).await;
    events(&mut answer, 2).await;
    scene.gateway.stop_admitting();
    scene.stop();
    assert_eq!(scene.gateway.kept_streams(), 1, "it is still read");
    answer.abort();
    scene.tasks.drained("resumable").await;
    assert!(provider.next_request().await.over().await.left_early);
    assert_eq!(scene.only_receipt().await.receipt.outcome, RequestOutcome::Cancelled);
}
