//! Which connection a call takes.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use protocol::FailureKind;
use testkit::{Behaviour, Ending, Framing};

use super::{Auth, CallBody, ClientSettings, Endpoint, Scene, chat, with_body};

/// Connections that the requests came on, in order.
fn connections(scene: &Scene) -> Vec<u64> {
    scene.provider.received().iter().map(|request| request.connection).collect()
}

#[tokio::test]
async fn a_connection_serves_again_once_its_answer_was_read() {
    let scene = Scene::new().await;
    let stream = || Behaviour::replay(["data: one\n\n", "data: [DONE]\n\n"]);
    for behaviour in [stream(), Behaviour::healthy(), Behaviour::empty(), Behaviour::html(502), stream()] {
        let mut answer = scene.meet(behaviour).await.expect("an answer");
        answer.whole(10_000).await.expect("a body");
        assert!(answer.is_ended());
    }
    assert_eq!(connections(&scene), [1; 5]);
}

#[tokio::test]
async fn a_body_of_known_length_frees_its_connection_with_its_last_byte() {
    let scene = Scene::new().await;
    let mut answer = scene.meet(Behaviour::healthy()).await.expect("an answer");
    answer.chunk().await.expect("a chunk").expect("whole");
    scene.whole().await;
    assert!(answer.chunk().await.is_none());
    assert_eq!(connections(&scene), [1, 1]);
}

#[tokio::test]
async fn calls_at_once_take_connections_of_their_own() {
    let scene = Scene::new().await;
    scene.provider.otherwise(Behaviour::healthy().paced());
    let calls = (0..8).map(|_| scene.whole());
    let (_, ()) = tokio::join!(futures_util::future::join_all(calls), async {
        scene.provider.pace().reached(8).await;
        scene.provider.step(8);
    });
    assert_eq!(scene.provider.count().connections, 8);
    scene.provider.otherwise(Behaviour::healthy());
    scene.whole().await;
    assert_eq!(scene.provider.count().connections, 8);
}

#[tokio::test]
async fn a_connection_closed_while_it_lay_idle_is_no_failure() {
    let scene = Scene::new().await;
    for behaviour in [
        Behaviour::healthy().ending(Ending::ThenClose),
        Behaviour::healthy().framed(Framing::UntilClose),
        Behaviour::healthy().header("connection", "close"),
    ] {
        let mut answer = scene.meet(behaviour).await.expect("an answer");
        answer.whole(10_000).await.expect("a body");
        scene.whole().await;
    }
    assert_eq!(connections(&scene), [1, 2, 2, 3, 3, 4]);
}

#[tokio::test]
async fn a_request_that_went_out_is_never_repeated_on_the_quiet() {
    let scene = Scene::new().await;
    for ending in [Ending::CloseFirst, Ending::ResetFirst] {
        scene.whole().await;
        let before = scene.provider.received().len();
        let met = scene.meet(Behaviour::healthy().ending(ending)).await;
        assert_eq!(met.err().expect("no answer").kind, FailureKind::Reset, "{ending:?}");
        let received = scene.provider.received().len();
        assert_eq!(received, before + 1, "{ending:?}: it may have been acted upon, and charged for");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_heard_is_not_replaced() {
    for ending in [Ending::CloseInHead, Ending::HangFirst] {
        let scene = Scene::new().await;
        scene.whole().await;
        tokio::time::pause();
        let failure = scene.meet(Behaviour::healthy().ending(ending)).await.err().expect("no answer");
        tokio::time::resume();
        assert!(matches!(failure.kind, FailureKind::Reset | FailureKind::Deadline(_)), "{failure:?}");
        assert_eq!(scene.provider.received().len(), 2, "{ending:?}: it may have been acted upon");
    }
}

#[tokio::test]
async fn a_body_that_goes_out_only_once_takes_a_new_connection() {
    let scene = Scene::new().await;
    scene.whole().await;
    let body = Full::new("once".into()).map_err(|never| match never {}).boxed();
    let mut answer = scene
        .client
        .call(&scene.endpoint, with_body(CallBody::Stream(body, Some(4))))
        .await
        .expect("an answer");
    answer.whole(10_000).await.expect("a body");
    scene.whole().await;
    assert_eq!(connections(&scene), [1, 2, 2], "and leaves it behind for others");
}

#[tokio::test(start_paused = true)]
async fn what_lies_idle_too_long_is_let_go() {
    let scene =
        Scene::with(ClientSettings { idle_timeout: Duration::from_secs(50), ..Default::default() }).await;
    scene.whole().await;
    tokio::time::advance(Duration::from_secs(49)).await;
    scene.whole().await;
    tokio::time::advance(Duration::from_secs(51)).await;
    scene.whole().await;
    assert_eq!(connections(&scene), [1, 1, 2]);
    tokio::select! {
        () = scene.client.tend() => panic!("it tends for ever"),
        () = tokio::time::sleep(Duration::from_secs(120)) => {}
    }
    scene.whole().await;
    assert_eq!(connections(&scene), [1, 1, 2, 3]);
}

#[tokio::test]
async fn no_more_lie_idle_than_allowed() {
    let scene = Scene::with(ClientSettings { idle_per_origin_max: 2, ..Default::default() }).await;
    scene.provider.otherwise(Behaviour::healthy().paced());
    for _ in 0..2 {
        let before = scene.provider.pace();
        let calls = (0..4).map(|_| scene.whole());
        tokio::join!(futures_util::future::join_all(calls), async {
            let _ = before;
            scene.provider.step(4);
        });
    }
    assert_eq!(scene.provider.count().connections, 6, "two of four were kept");
}

#[tokio::test]
async fn origins_do_not_share_and_paths_do() {
    let scene = Scene::new().await;
    scene.whole().await;
    let other =
        Endpoint::new(&format!("http://{}/openai/v1", scene.provider.address()), Auth::None).expect("good");
    let mut answer = scene.client.call(&other, chat()).await.expect("an answer");
    answer.whole(10_000).await.expect("a body");
    let by_name = Endpoint::new(&format!("http://localhost:{}", scene.provider.address().port()), Auth::None);
    let mut answer = scene.client.call(&by_name.expect("good"), chat()).await.expect("an answer");
    answer.whole(10_000).await.expect("a body");
    assert_eq!(connections(&scene), [1, 1, 2]);
}
