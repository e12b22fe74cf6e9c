//! What the other side sees when the caller leaves.

use std::pin::pin;
use std::task::{Context, Waker};

use testkit::{Behaviour, Ending};

use super::{Scene, chat};

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let scene = Scene::new().await;
    scene.provider.then(Behaviour::healthy().ending(Ending::HangFirst));
    let request = {
        let mut call = pin!(scene.client.call(&scene.endpoint, chat()));
        tokio::select! {
            _ = &mut call => panic!("nothing was answered"),
            request = scene.provider.next_request() => request,
        }
    };
    let gone = request.over().await;
    assert!(gone.left_early);
    assert_eq!(gone.answered_bytes, 0);
}

#[tokio::test]
async fn a_dropped_answer_closes_its_connection() {
    let scene = Scene::new().await;
    scene.provider.step(1);
    let mut answer =
        scene.meet(Behaviour::replay(["data: one\n\n", "data: two\n\n"]).paced()).await.expect("a head");
    assert_eq!(answer.chunk().await.expect("a chunk").expect("whole"), "data: one\n\n");
    let request = scene.provider.next_request().await;
    assert_eq!(request.fate(), None, "it is still on");
    drop(answer);
    assert!(request.over().await.left_early);
    scene.whole().await;
    assert_eq!(
        scene.provider.next_request().await.connection,
        2,
        "what was left in the middle is not used again"
    );
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_closed_too() {
    let scene = Scene::new().await;
    let answer = scene.meet(Behaviour::healthy().ending(Ending::HangAt(3))).await.expect("a head");
    drop(answer);
    assert!(scene.provider.next_request().await.over().await.left_early);
}

#[tokio::test]
async fn a_wait_for_a_chunk_may_be_given_up_and_taken_up_again() {
    let scene = Scene::new().await;
    let mut answer =
        scene.meet(Behaviour::replay(["data: one\n\n", "data: two\n\n"]).paced()).await.expect("a head");
    for expected in ["data: one\n\n", "data: two\n\n"] {
        for _ in 0..3 {
            let waits = pin!(answer.chunk()).poll(&mut Context::from_waker(Waker::noop())).is_pending();
            assert!(waits, "its gate is closed");
        }
        scene.provider.step(1);
        assert_eq!(answer.chunk().await.expect("a chunk").expect("whole"), expected);
    }
    assert!(answer.chunk().await.is_none());
}
