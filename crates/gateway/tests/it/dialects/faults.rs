//! What goes wrong upstream of a translation: before the first content it moves on, after it it is told; never anything between.

use std::time::Duration;

use policy::Health;
use serde_json::json;
use testkit::{Behaviour, Ending, Framing, ScriptedProvider, TestAnswer};

use super::crossing::{Client, clients, plan, text_of};

/// Faults that another attempt may better, whatever the dialect.
fn faults() -> Vec<(String, Behaviour)> {
    let mut faults: Vec<(String, Behaviour)> = [
        ("closed at once", Ending::CloseFirst),
        ("reset at once", Ending::ResetFirst),
        ("silent before the head", Ending::HangFirst),
        ("closed in the head", Ending::CloseInHead),
        ("closed after the head", Ending::CloseAt(0)),
        ("reset in the first event", Ending::ResetAt(20)),
        ("silent after the head", Ending::HangAt(0)),
        ("silent in the first event", Ending::HangAt(20)),
    ]
    .map(|(fault, ending)| (fault.to_owned(), Behaviour::healthy().ending(ending)))
    .into();
    for status in [408, 409, 425, 500, 502, 503, 504, 529] {
        faults.push((format!("status {status}"), Behaviour::error(status, "The server had an error")));
    }
    let none = [
        ("a page with 502", Behaviour::html(502)),
        ("a page with 200", Behaviour::html(200)),
        ("JSON that breaks off", Behaviour::bad_json()),
        ("an empty body", Behaviour::empty()),
        ("an error object with 200", Behaviour::error_object()),
        ("another dialect", Behaviour::json(200, &json!({"a": 1}))),
        ("events that are no JSON", Behaviour::replay(["data: {\"choices\": [\n\n", "data: no\n\n"])),
        ("nothing but comments", Behaviour::replay([": waiting\n\n", ": still waiting\n\n"])),
        ("an empty stream", Behaviour::replay(Vec::<&str>::new())),
        ("no HTTP", Behaviour::raw("ICY 200 OK\r\n\r\n").ending(Ending::ThenClose)),
        (
            "shorter than its length",
            Behaviour::chunks("application/json", ["{\"id\""]).framed(Framing::LengthOff(50)),
        ),
        ("a redirection", Behaviour::json(302, &json!({})).header("location", "http://127.0.0.1:1/")),
    ];
    faults.extend(none.map(|(fault, behaviour)| (fault.to_owned(), behaviour)));
    faults
}

/// Every client with every backend of another dialect.
fn pairs() -> impl Iterator<Item = (Client, Client)> {
    clients().flat_map(|client| {
        let others = clients().filter(move |upstream| upstream.dialect != client.dialect);
        others.map(move |upstream| (client, upstream))
    })
}

async fn assert_whole(client: &Client, stream: bool, mut answer: TestAnswer, context: &str) {
    assert_eq!(answer.status, 200, "{context}");
    let said = answer.body().await.expect("a whole answer");
    let text = match stream {
        true => text_of(client, &said),
        false => {
            let said: serde_json::Value = serde_json::from_slice(&said).expect("JSON");
            said.pointer(client.text).and_then(|text| text.as_str()).unwrap_or_default().to_owned()
        }
    };
    assert_eq!(text, Behaviour::healthy().text, "{context}");
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains(client.broken), "{context}: {said}");
}

/// Both backends fail once, so that the fault moves the request on from either: nothing of it reaches the client.
#[tokio::test(start_paused = true)]
async fn p02_every_fault_moves_on_behind_every_translation() {
    for (client, upstream) in pairs() {
        let providers = [ScriptedProvider::start().await, ScriptedProvider::start().await];
        let scene = plan(&providers.each_ref(), upstream.dialect).unforgetting().start().await;
        for (fault, behaviour) in faults() {
            for stream in [false, true] {
                let how = if stream { "streamed" } else { "whole" };
                let context = format!("{} by {}: {fault}, {how}", client.dialect, upstream.dialect);
                for provider in &providers {
                    provider.clear().then(behaviour.clone());
                }
                let answer = client.ask(&scene, stream).await;
                assert_eq!(answer.header("x-lockgate-attempts"), Some("3"), "{context}");
                assert_whole(&client, stream, answer, &context).await;
            }
        }
    }
}

/// What a provider says of the key or of its limits is understood in its own dialect.
#[tokio::test(start_paused = true)]
async fn p02_a_refused_key_and_a_limit_move_on_behind_every_translation() {
    for (client, upstream) in pairs() {
        for (behaviour, standing) in [
            (Behaviour::error(401, "Incorrect API key provided"), Health::Error),
            (Behaviour::error(403, "Incorrect API key provided"), Health::Error),
            (Behaviour::rate_limited(Duration::from_secs(7)), Health::Cooling),
        ] {
            let context = format!("{} by {}: {standing:?}", client.dialect, upstream.dialect);
            let (bad, good) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
            bad.otherwise(behaviour);
            let scene = plan(&[&bad, &good], upstream.dialect).start().await;
            let answer = client.ask(&scene, true).await;
            assert_eq!(answer.header("x-lockgate-backend"), Some("b1"), "{context}");
            assert_whole(&client, true, answer, &context).await;
            assert_eq!(scene.backend("b0").state, standing, "{context}");
        }
    }
}

/// Wherever a stream is cut, its client has all of it, or is told that it has not, after a beginning of it.
#[tokio::test(start_paused = true)]
async fn p01_a_translated_stream_that_is_cut_anywhere_is_whole_or_told() {
    const BYTES_MAX: u64 = 3000;
    let said = Behaviour::healthy().text;
    for (client, upstream) in pairs() {
        let provider = ScriptedProvider::start().await;
        let scene = plan(&[&provider], upstream.dialect).unforgetting().start().await;
        let (mut whole, mut told) = (0, 0);
        for at in (0..BYTES_MAX).step_by(53) {
            for ending in [Ending::CloseAt(at), Ending::ResetAt(at), Ending::HangAt(at)] {
                let context = format!("{} by {}: {ending:?}", client.dialect, upstream.dialect);
                provider.clear().then(Behaviour::healthy().ending(ending));
                let stream = client.ask(&scene, true).await.body().await.expect("an honest end");
                let text = text_of(&client, &stream);
                let stream = String::from_utf8_lossy(&stream);
                if stream.contains(client.broken) {
                    told += 1;
                    assert!(said.starts_with(&text), "{context}: {stream}");
                    assert!(!stream.trim_end().ends_with(client.end), "{context}: {stream}");
                } else {
                    whole += 1;
                    assert_eq!(text, said, "{context}: {stream}");
                    assert!(stream.contains(client.end), "{context}: {stream}");
                }
            }
        }
        assert!(whole > 0 && told > 0, "{} by {}: {whole}, {told}", client.dialect, upstream.dialect);
    }
}
