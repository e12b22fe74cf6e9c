//! What each trouble is called.

use protocol::{Deadline, FailureKind};
use testkit::{Behaviour, Ending, Framing, ProviderSettings, ScriptedProvider, Transport, refused_address};

use super::{Auth, Client, ClientSettings, Endpoint, Scene, chat, drain};

/// The kind of failure that `behaviour` leads to, and whether the head of an answer came first.
async fn check(behaviour: Behaviour, expected: FailureKind, headed: bool) {
    let scene = Scene::new().await;
    let label = format!("{:?} {:?}", behaviour.ending, behaviour.framing);
    let failure = match scene.meet(behaviour).await {
        Ok(mut answer) => {
            assert!(headed, "{label}: an answer came");
            drain(&mut answer)
                .await
                .1
                .unwrap_or_else(|| panic!("{label}: the body ended as if it were whole"))
        }
        Err(failure) => {
            assert!(!headed, "{label}: no answer came: {failure:?}");
            failure
        }
    };
    assert_eq!(failure.kind, expected, "{label}: {failure:?}");
    assert_eq!(failure.status, None);
    assert_eq!(scene.provider.received().len(), 1, "{label}: a new connection is not tried twice");
}

#[tokio::test]
async fn trouble_before_the_head() {
    check(Behaviour::healthy().ending(Ending::CloseFirst), FailureKind::Reset, false).await;
    check(Behaviour::healthy().ending(Ending::ResetFirst), FailureKind::Reset, false).await;
    check(Behaviour::healthy().ending(Ending::CloseInHead), FailureKind::Reset, false).await;
    check(Behaviour::raw("220 mail.example ESMTP\r\n\r\n"), FailureKind::Malformed, false).await;
    check(Behaviour::raw("HTTP/1.1 twohundred\r\n\r\n"), FailureKind::Malformed, false).await;
    check(Behaviour::raw("HTTP/1.1 200 OK\r\nbad header line\r\n\r\n"), FailureKind::Malformed, false).await;
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    check(Behaviour::raw(two), FailureKind::Malformed, false).await;
    let long = Behaviour::healthy().header("x-long", &"x".repeat(100_000));
    check(long, FailureKind::TooLarge, false).await;
    let mut many = Behaviour::healthy();
    for number in 0..200 {
        many = many.header(&format!("x-{number}"), "1");
    }
    check(many, FailureKind::TooLarge, false).await;
}

#[tokio::test]
async fn trouble_within_the_body() {
    let story = || Behaviour::replay(["data: one\n\n", "data: two\n\n"]);
    check(story().ending(Ending::CloseAt(0)), FailureKind::Truncated, true).await;
    check(story().ending(Ending::CloseAt(22)), FailureKind::Truncated, true).await;
    check(story().framed(Framing::Length).ending(Ending::CloseAt(5)), FailureKind::Truncated, true).await;
    check(story().framed(Framing::LengthOff(10)), FailureKind::Truncated, true).await;
    check(story().ending(Ending::ResetAt(5)), FailureKind::Reset, true).await;
    check(story().framed(Framing::Length).ending(Ending::ResetAt(5)), FailureKind::Reset, true).await;
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n";
    check(Behaviour::raw(chunk), FailureKind::Malformed, true).await;
}

#[tokio::test]
async fn a_length_that_is_too_short_ends_the_body_and_the_connection() {
    let scene = Scene::new().await;
    let mut answer =
        scene.meet(Behaviour::replay(["hello"]).framed(Framing::LengthOff(-2))).await.expect("a head");
    assert_eq!(drain(&mut answer).await, (b"hel".to_vec(), None));
    scene.whole().await;
    let connections: Vec<_> = scene.provider.received().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 2], "bytes nobody asked for are not taken for the next answer");
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_never_ends_as_if_it_were_whole() {
    let scene = Scene::new().await;
    let events = ["data: {\"a\":1}\n\n", "data: {\"b\":\"ü\"}\n\n", "data: [DONE]\n\n"];
    let whole = events.concat().into_bytes();
    for (framing, cut) in
        [Framing::Chunked, Framing::Length].into_iter().flat_map(|f| (0..=whole.len()).map(move |c| (f, c)))
    {
        if framing == Framing::Length && cut == whole.len() {
            continue;
        }
        let behaviour = Behaviour::replay(events).framed(framing).ending(Ending::CloseAt(cut as u64));
        let mut answer = scene.meet(behaviour).await.expect("a head");
        let (read, failure) = drain(&mut answer).await;
        assert_eq!(read, whole[..cut], "{framing:?} cut at {cut}");
        assert_eq!(
            failure.map(|failure| failure.kind),
            Some(FailureKind::Truncated),
            "{framing:?} cut at {cut}"
        );
    }
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let (address, _held) = refused_address().expect("a port");
    let client = Client::new(ClientSettings::default()).expect("TLS is there");
    for url in [format!("http://{address}"), format!("https://{address}")] {
        let endpoint = Endpoint::new(&url, Auth::None).expect("a good URL");
        let failure = client.call(&endpoint, chat()).await.err().expect("nobody listens");
        assert_eq!(failure.kind, FailureKind::Connect, "{failure:?}");
    }
}

#[tokio::test]
async fn encryption_must_lead_to_somebody_trusted() {
    let client = Client::new(ClientSettings::default()).expect("TLS is there");
    let provider = ScriptedProvider::start_tls().await;
    let pem = provider.certificate().expect("it is encrypted").as_bytes();
    let stranger = Endpoint::new(&provider.base_url(), Auth::None).expect("a good URL");
    let failure = client.call(&stranger, chat()).await.err().expect("nobody vouches for it");
    assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");

    let known = stranger.clone().with_certificates(pem).expect("a certificate");
    let mut answer = client.call(&known, chat()).await.expect("an answer");
    assert!(!answer.whole(10_000).await.expect("a body").is_empty());

    provider.then(Behaviour::replay(["data: 1\n\n"; 3]).ending(Ending::ResetAt(9)));
    let mut answer = client.call(&known, chat()).await.expect("a head");
    assert_eq!(drain(&mut answer).await.1.map(|failure| failure.kind), Some(FailureKind::Reset));

    let by_name = provider.base_url().replace("127.0.0.1", "127.0.0.2");
    let misnamed = Endpoint::new(&by_name, Auth::None).and_then(|e| e.with_certificates(pem)).expect("good");
    let failure = client.call(&misnamed, chat()).await.err().expect("another name");
    assert!(matches!(failure.kind, FailureKind::Tls | FailureKind::Connect), "{failure:?}");
}

#[tokio::test]
async fn what_is_not_encrypted_is_not_talked_to() {
    let client = Client::new(ClientSettings::default()).expect("TLS is there");
    for transport in [Transport::Garbage, Transport::Plain] {
        let settings = ProviderSettings { transport, ..ProviderSettings::default() };
        let provider = ScriptedProvider::start_with(settings).await.expect("a port");
        let endpoint = Endpoint::new(&format!("https://{}", provider.address()), Auth::Bearer("sk-canary"));
        let failure = client.call(&endpoint.expect("a good URL"), chat()).await.err().expect("no TLS");
        assert_eq!(failure.kind, FailureKind::Tls, "{transport:?}: {failure:?}");
        assert!(provider.received().is_empty(), "nothing was said in plain text");
    }
}

#[test]
fn each_deadline_is_a_failure_of_its_own() {
    for deadline in [Deadline::Connect, Deadline::FirstEvent, Deadline::Idle, Deadline::Total] {
        let failure = super::super::countdown::overdue(deadline);
        assert_eq!(failure.kind, FailureKind::Deadline(deadline));
        assert!(failure.detail.contains(&deadline.to_string()), "{failure:?}");
    }
}
