//! What arrives, in both directions.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use protocol::{FailureKind, Segments};
use testkit::provider::Arrived;
use testkit::{Behaviour, Framing};

use super::super::body::BoxError;
use super::{Call, CallBody, Scene, chat, drain, with_body};

#[tokio::test]
async fn slices_arrive_as_one_body() {
    let scene = Scene::new().await;
    let large = Bytes::from(vec![b'x'; 3 << 20]);
    let segments = ["{\"a\":", "", "\""].map(|text| Bytes::from_static(text.as_bytes()));
    let body: Segments = segments.into_iter().chain([large.clone(), Bytes::from_static(b"\"}")]).collect();
    let whole = body.concat();
    let mut answer =
        scene.client.call(&scene.endpoint, with_body(CallBody::Whole(body))).await.expect("an answer");
    answer.whole(10_000).await.expect("a body");
    let request = scene.provider.next_request().await;
    assert_eq!(request.body, whole);
    assert_eq!(request.header("content-length"), Some(whole.len().to_string().as_str()));
    assert_eq!(request.header("authorization"), Some("Bearer sk-canary"));
    assert_eq!(request.header("host"), Some(scene.provider.address().to_string().as_str()));
}

#[tokio::test]
async fn nothing_is_a_body_too() {
    let scene = Scene::new().await;
    for (method, path) in
        [(Method::GET, "/models?limit=2"), (Method::DELETE, "/responses/r1"), (Method::POST, "x")]
    {
        let call = Call { method: method.clone(), path, ..with_body(CallBody::Empty) };
        let mut answer = scene.client.call(&scene.endpoint, call).await.expect("an answer");
        answer.whole(10_000).await.expect("a body");
        let request = scene.provider.next_request().await;
        assert_eq!((request.method, request.body.len()), (method, 0));
        assert_eq!(request.path, format!("/v1/{}", path.trim_start_matches('/')));
        assert_eq!(request.headers.get("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn a_callers_stream_passes_through() {
    let scene = Scene::new().await;
    for length in [None, Some(11)] {
        let parts = ["hello", " ", "world"]
            .map(|part| Ok::<_, BoxError>(Frame::data(Bytes::from_static(part.as_bytes()))));
        let body = StreamBody::new(futures_util::stream::iter(parts)).boxed();
        let call = with_body(CallBody::Stream(body, length));
        let mut answer = scene.client.call(&scene.endpoint, call).await.expect("an answer");
        answer.whole(10_000).await.expect("a body");
        let request = scene.provider.next_request().await;
        assert_eq!(request.body, "hello world");
        assert_eq!(request.headers.contains_key("content-length"), length.is_some());
    }
}

#[tokio::test]
async fn a_callers_stream_that_breaks_is_not_the_upstreams_fault() {
    let scene = Scene::new().await;
    let parts = futures_util::stream::unfold(0, |sent| async move {
        // What is there is sent before more is asked for.
        tokio::task::yield_now().await;
        let half = Ok(Frame::data(Bytes::from_static(b"half of")));
        Some((if sent == 0 { half } else { Err(BoxError::from("the caller has gone")) }, sent + 1))
    });
    let body = StreamBody::new(parts).boxed();
    let call = with_body(CallBody::Stream(body, Some(100)));
    let failure = scene.client.call(&scene.endpoint, call).await.err().expect("the body broke");
    assert_eq!((failure.kind, failure.status), (FailureKind::Rejected, None));
    assert_eq!(failure.fault(), protocol::Fault::Caller);
    assert_eq!(scene.provider.next_request().await.arrived, Arrived::BrokenOff);
}

#[tokio::test]
async fn framing_is_not_the_callers_to_tell() {
    let scene = Scene::new().await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("host", "elsewhere.example"),
        ("authorization", "Bearer of-the-caller"),
        ("expect", "100-continue"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut answer = scene.client.call(&scene.endpoint, Call { headers, ..chat() }).await.expect("an answer");
    answer.whole(10_000).await.expect("a body");
    let request = scene.provider.next_request().await;
    assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
    for gone in ["transfer-encoding", "connection", "expect"] {
        assert_eq!(request.header(gone), None, "{gone}");
    }
    assert_eq!(request.header("host"), Some(scene.provider.address().to_string().as_str()));
    assert_eq!(request.header("authorization"), Some("Bearer sk-canary"));
}

#[tokio::test]
async fn each_chunk_is_handed_out_when_it_comes() {
    let scene = Scene::new().await;
    let events: Vec<String> = (0..20).map(|number| format!("data: {number}\n\n")).collect();
    let mut answer = scene.meet(Behaviour::replay(events.clone()).paced()).await.expect("a head");
    for event in events {
        scene.provider.step(1);
        assert_eq!(answer.chunk().await.expect("a chunk").expect("whole"), event);
    }
    assert!(answer.chunk().await.is_none());
}

#[tokio::test]
async fn an_answer_keeps_its_status_headers_and_bytes() {
    let scene = Scene::new().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for framing in [Framing::Length, Framing::Chunked, Framing::UntilClose] {
        let behaviour = Behaviour::chunks("application/octet-stream", [bytes.clone(), vec![7]])
            .status(206)
            .header("content-encoding", "gzip")
            .framed(framing);
        let mut answer = scene.meet(behaviour).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.headers.get("content-encoding"), Some(&HeaderValue::from_static("gzip")));
        let (read, failure) = drain(&mut answer).await;
        assert_eq!((read.len(), failure), (300_001, None), "{framing:?}");
        assert_eq!(read[..300_000], bytes, "{framing:?}");
    }
}

#[tokio::test]
async fn a_whole_body_has_a_limit() {
    let scene = Scene::new().await;
    for (chunks, bytes_max, fits) in [
        (vec![], 0, true),
        (vec!["12345"], 5, true),
        (vec!["12345"], 4, false),
        (vec!["123", "45"], 5, true),
        (vec!["123", "45"], 4, false),
        (vec!["123", "45", "6"], 5, false),
        (vec!["1"; 100], 100, true),
        (vec!["1"; 100], 99, false),
    ] {
        let label = format!("{chunks:?} within {bytes_max}");
        let whole = chunks.concat();
        let mut answer = scene.meet(Behaviour::replay(chunks)).await.expect("an answer");
        match answer.whole(bytes_max).await {
            Ok(body) => assert!(fits && body == whole, "{label}"),
            Err(failure) => assert!(!fits && failure.kind == FailureKind::TooLarge, "{label}: {failure:?}"),
        }
    }
}
