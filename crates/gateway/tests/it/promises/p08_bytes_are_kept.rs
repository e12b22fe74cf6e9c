//! P08: in the same dialect a request and its answer keep their bytes through the whole gateway, save the fields it owns.

use std::cell::RefCell;

use bytes::Bytes;
use http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testkit::{Behaviour, ScriptedProvider};
use tokio::runtime::Runtime;

use crate::scene::{MODEL, Plan, Scene};

/// Any JSON value, as somebody may write it: odd numbers, escapes, blanks.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        text(),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let pair = (text(), blank(), inner.clone())
            .prop_map(|(name, blank, value)| format!("{name}{blank}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(" ,"))),
            (prop::collection::vec(pair, 0..4), blank())
                .prop_map(|(pairs, blank)| format!("{{{blank}{}}}", pairs.join(","))),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z \\[\\]{}:,.é世🦀]{0,8}",
        Just("\\n".to_owned()),
        Just("\\u00e9".to_owned()),
        Just("\\ud83e\\udd80".to_owned()),
        Just("\\\\".to_owned()),
        Just("\\\"".to_owned()),
        Just("\\/".to_owned()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just(" ".to_owned()), Just("\n\t".to_owned()), Just("\r\n".to_owned())]
}

/// Members with names that no dialect knows.
fn unknown_members() -> impl Strategy<Value = Vec<String>> {
    let member = (0..1000_u32, blank(), value())
        .prop_map(|(n, blank, value)| format!("\"x_{n}\"{blank}:{blank}{value}"));
    prop::collection::vec(member, 0..6)
}

/// An object of these members among unknown ones, in any order.
fn object(members: &[&str]) -> impl Strategy<Value = String> + use<> {
    let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
    (unknown_members(), blank())
        .prop_flat_map(move |(unknown, blank)| {
            let all: Vec<String> = members.iter().cloned().chain(unknown).collect();
            (Just(all).prop_shuffle(), Just(blank))
        })
        .prop_map(|(members, blank)| format!("{{{blank}{}{blank}}}", members.join(&format!("{blank},"))))
}

/// A request of one endpoint with an answer to it, both with unknown members.
fn exchange() -> impl Strategy<Value = (&'static str, String, String)> {
    let model = format!("\"model\": \"{MODEL}\"");
    let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"x_cost":0.10}"#;
    let input = r#""input":["a"]"#;
    prop_oneof![
        (
            object(&[&model, r#""messages":[{"role":"user","content":"hi"}]"#]),
            object(&[
                r#""choices":[{"index":0,"message":{"content":"a","x":1e400},"finish_reason":"stop"}]"#,
                usage
            ]),
        )
            .prop_map(|(ask, answer)| ("/v1/chat/completions", ask, answer)),
        (object(&[&model, r#""prompt":"hi""#]), object(&[r#""choices":[{"text":"a","index":0}]"#, usage]))
            .prop_map(|(ask, answer)| ("/v1/completions", ask, answer)),
        (object(&[&model, input]), object(&[r#""data":[{"embedding":[1e-07,-0.0]}]"#]))
            .prop_map(|(ask, answer)| ("/v1/embeddings", ask, answer)),
        (object(&[&model, input]), object(&[r#""output":[]"#, r#""id":"resp_1""#]))
            .prop_map(|(ask, answer)| ("/v1/responses", ask, answer)),
        (object(&[&model, input]), object(&[r#""results":[]"#])).prop_map(|(ask, answer)| (
            "/v1/moderations",
            ask,
            answer
        )),
    ]
}

/// How many cases one gateway takes. To stand it up, with a store of its own, takes a hundred times as long as a case.
const CASES_MAX: u32 = 200;

/// A gateway before one provider. The runtime goes with it, and takes along what its cases leave behind: thousands of
/// listeners are more than a process may have.
struct Stand {
    provider: ScriptedProvider,
    scene: Scene,
    runtime: Runtime,
    cases: u32,
}

impl Stand {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let (provider, scene) = runtime.block_on(async {
            let provider = ScriptedProvider::start().await;
            let scene = Plan::before(&[&provider]).start().await;
            (provider, scene)
        });
        Self { provider, scene, runtime, cases: 0 }
    }
}

/// Runs `check` for each case. The seed of a failure is printed by the runner.
fn prove<S: Strategy>(strategy: &S, check: impl AsyncFn(&ScriptedProvider, &Scene, S::Value)) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let held = RefCell::new(None);
    let outcome = runner.run(strategy, |case| {
        // One that a case has failed on is not given to another: a panic leaves it here.
        let mut stand =
            held.take().filter(|stand: &Stand| stand.cases < CASES_MAX).unwrap_or_else(Stand::new);
        stand.cases += 1;
        stand.runtime.block_on(check(&stand.provider, &stand.scene, case));
        held.replace(Some(stand));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn p08_a_request_and_its_answer_cross_byte_for_byte() {
    prove(&exchange(), async |provider, scene, (path, ask, answer)| {
        provider.otherwise(Behaviour::chunks("application/json", [answer.clone()]));
        let sent = Bytes::from(ask.clone());
        let mut got = scene.client().send(Method::POST, path, sent).await.expect("an answer");
        let body = got.body().await.expect("a body");
        assert_eq!(got.status, 200, "{ask} {body:?}");
        assert_eq!(provider.next_request().await.body, ask);
        assert_eq!(body, answer);
    });
}

/// What a dialect's streams consist of; unknown members and events are put among them.
struct Grammar {
    path: &'static str,
    ask: &'static str,
    first: &'static str,
    /// Members of the data of an ordinary event, with its line of a name where the dialect has one.
    ordinary: (&'static str, &'static [&'static str]),
    last: &'static str,
}

const GRAMMARS: [Grammar; 3] = [
    Grammar {
        path: "/v1/chat/completions",
        ask: r#""messages":[{}],"stream_options":{"include_usage":true}"#,
        first: "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n",
        ordinary: ("", &[r#""choices":[{"index":0,"delta":{"content":"a"}}]"#]),
        last: "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    },
    Grammar {
        path: "/v1/completions",
        ask: r#""prompt":"hi","stream_options":{"include_usage":true}"#,
        first: "data: {\"choices\":[{\"index\":0,\"text\":\"\"}]}\n\n",
        ordinary: ("", &[r#""choices":[{"index":0,"text":"a"}]"#]),
        last: "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    },
    Grammar {
        path: "/v1/responses",
        ask: r#""input":"hi""#,
        first: "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n",
        ordinary: (
            "event: response.output_text.delta\n",
            &[r#""type":"response.output_text.delta""#, r#""delta":"a""#],
        ),
        last: "event: response.completed\ndata: {\"type\":\"response.completed\",\
               \"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[]}}\n\n",
    },
];

/// Any events that a stream of some dialect may have, unknown ones among them, in any cut.
fn stream() -> impl Strategy<Value = (usize, Vec<u8>, Vec<usize>)> {
    (0..GRAMMARS.len()).prop_flat_map(|number| {
        let Grammar { first, ordinary: (name, members), last, .. } = GRAMMARS[number];
        let event = prop_oneof![
            object(members).prop_map(move |data| format!("{name}{}", one_line(&data))),
            value().prop_map(|value| one_line(&format!(
                "{{\"x_event\":{value},\"type\":\"x.unknown\",\"choices\":[]}}"
            ))),
            "[ a-z]{0,9}".prop_map(|comment| format!(":{comment}\n\n")),
        ];
        let cuts = prop::collection::vec(1..60_usize, 0..20);
        (prop::collection::vec(event, 1..8), cuts).prop_map(move |(events, cuts)| {
            (number, [first, &events.concat(), last].concat().into_bytes(), cuts)
        })
    })
}

fn one_line(json: &str) -> String {
    format!("data: {}\n\n", json.replace(['\n', '\r', '\t'], " "))
}

#[test]
fn p08_a_stream_crosses_byte_for_byte() {
    prove(&stream(), async |provider, scene, (number, stream, cuts)| {
        let Grammar { path, ask, .. } = GRAMMARS[number];
        let mut rest = stream.as_slice();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece.to_vec());
            rest = more;
        }
        pieces.push(rest.to_vec());
        pieces.retain(|piece| !piece.is_empty());
        provider.otherwise(Behaviour::replay(pieces));
        let ask = format!(r#"{{"stream":true,"model":"{MODEL}",{ask}}}"#);
        let mut got = scene.client().send(Method::POST, path, ask.clone().into()).await.expect("an answer");
        let body = got.body().await.expect("a body");
        assert_eq!(provider.next_request().await.body, ask);
        assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&stream));
    });
}
