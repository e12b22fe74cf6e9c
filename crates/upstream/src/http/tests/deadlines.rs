//! Which wait is over when, on a clock that stands still until everybody waits.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use protocol::{Deadline, FailureKind};
use testkit::{Behaviour, Ending};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::super::body::BoxError;
use super::{Auth, Call, CallBody, Deadlines, Endpoint, Scene, chat, drain, with_body};

const SECOND: Duration = Duration::from_secs(1);

fn deadlines() -> Deadlines {
    Deadlines {
        connect: 2 * SECOND,
        first_event: 30 * SECOND,
        answer: 60 * SECOND,
        idle: 10 * SECOND,
        total: 100 * SECOND,
    }
}

fn timed() -> Call<'static> {
    Call { deadlines: deadlines(), ..chat() }
}

/// A call met with `behaviour` fails at the deadline `expected`, exactly `after` its start.
async fn check(behaviour: Behaviour, expected: Deadline, after: Duration) {
    let scene = Scene::new().await;
    let label = format!("{:?}", behaviour.ending);
    scene.provider.then(behaviour);
    let started = Instant::now();
    let failure = match scene.client.call(&scene.endpoint, timed()).await {
        Ok(mut answer) => drain(&mut answer).await.1.expect("it never ends"),
        Err(failure) => failure,
    };
    assert_eq!(failure.kind, FailureKind::Deadline(expected), "{label}: {failure:?}");
    let took = started.elapsed();
    assert!(took >= after && took < after + SECOND, "{label}: {took:?}");
    let gone = scene.provider.next_request().await.over().await;
    assert!(gone.left_early, "{label}: the exchange is closed when its time is up");
}

#[tokio::test(start_paused = true)]
async fn silence_has_a_name_for_each_place() {
    let story = || Behaviour::replay(["data: one\n\n", "data: two\n\n"]);
    check(Behaviour::healthy().ending(Ending::HangFirst), Deadline::FirstEvent, 30 * SECOND).await;
    check(Behaviour::healthy().slow_head(), Deadline::FirstEvent, 30 * SECOND).await;
    check(story().ending(Ending::HangAt(0)), Deadline::FirstEvent, 30 * SECOND).await;
    check(story().ending(Ending::HangAt(5)), Deadline::Idle, 10 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn the_whole_call_ends_while_chunks_still_come() {
    let mut slow = Behaviour::replay(vec!["data: one\n\n"; 50]);
    slow.interval_ms = 9_000;
    check(slow, Deadline::Total, 100 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn the_whole_call_counts_from_its_start_not_from_the_attempt() {
    let scene = Scene::new().await;
    scene.provider.then(Behaviour::healthy().ending(Ending::HangFirst));
    let started = Instant::now();
    let call = Call { started, ..timed() };
    tokio::time::advance(95 * SECOND).await;
    let failure = scene.client.call(&scene.endpoint, call).await.err().expect("it hangs");
    assert_eq!(failure.kind, FailureKind::Deadline(Deadline::Total));
    assert!(started.elapsed() < 101 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_is_a_connection_that_is_not_made() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", silent.local_addr().expect("bound"));
    let endpoint = Endpoint::new(&url, Auth::None).expect("a good URL");
    let scene = Scene::new().await;
    let started = Instant::now();
    let failure = scene.client.call(&endpoint, timed()).await.err().expect("nobody answers");
    assert_eq!(failure.kind, FailureKind::Deadline(Deadline::Connect));
    assert!(started.elapsed() >= 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_slow_upstream() {
    let scene = Scene::new().await;
    scene.provider.then(Behaviour::replay(["data: one\n\n", "data: two\n\n"]).paced());
    scene.provider.step(2);
    let mut answer = scene.client.call(&scene.endpoint, timed()).await.expect("an answer");
    let first = answer.chunk().await.expect("a chunk").expect("whole");
    tokio::time::advance(60 * SECOND).await;
    let (rest, failure) = drain(&mut answer).await;
    assert_eq!(failure, None, "60 s of reading are not 10 s of silence");
    assert_eq!([&first[..], &rest].concat(), b"data: one\n\ndata: two\n\n");
}

#[tokio::test(start_paused = true)]
async fn each_call_on_a_kept_connection_has_its_own_deadlines() {
    let scene = Scene::new().await;
    for round in 0..3 {
        scene.provider.then(Behaviour::healthy());
        let mut answer = scene.client.call(&scene.endpoint, timed()).await.expect("an answer");
        answer.whole(10_000).await.expect("a body");
        tokio::time::advance(20 * SECOND).await;
        assert_eq!(scene.provider.count().connections, 1, "round {round}");
    }
    scene.provider.then(Behaviour::healthy().ending(Ending::HangFirst));
    let started = Instant::now();
    let failure = scene.client.call(&scene.endpoint, timed()).await.err().expect("it hangs");
    assert_eq!(failure.kind, FailureKind::Deadline(Deadline::FirstEvent));
    assert!(started.elapsed() >= 30 * SECOND);
    let shorter = Deadlines { first_event: SECOND, ..deadlines() };
    scene.provider.then(Behaviour::healthy()).then(Behaviour::healthy().ending(Ending::HangFirst));
    scene.whole().await;
    let started = Instant::now();
    let call = Call { deadlines: shorter, ..chat() };
    let failure = scene.client.call(&scene.endpoint, call).await.err().expect("it hangs");
    assert_eq!(failure.kind, FailureKind::Deadline(Deadline::FirstEvent));
    assert!(started.elapsed() < 2 * SECOND, "a nearer deadline moves the timer");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_moves_is_a_sign_of_life() {
    let scene = Scene::new().await;
    let slow = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(20 * SECOND).await;
        (sent < 3).then(|| (Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(b"part"))), sent + 1))
    });
    let body = CallBody::Stream(StreamBody::new(slow).boxed(), None);
    let call = Call { deadlines: deadlines(), ..with_body(body) };
    let mut answer =
        scene.client.call(&scene.endpoint, call).await.expect("60 s of upload, never 30 s of silence");
    answer.whole(10_000).await.expect("a body");
    assert_eq!(scene.provider.next_request().await.body, Bytes::from_static(b"partpartpart"));
}
