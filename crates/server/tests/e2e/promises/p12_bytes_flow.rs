//! P12: bytes flow at least every keepalive interval, streams and (where enabled) plain answers, behind any idle proxy.
//!
//! A real nginx cuts what is silent for two seconds, and plain answers, whose interval is five seconds at least, after
//! eight. Nothing here waits for a time: that nginx has cut the answer of a gateway without keepalive is the event that tells that one
//! of its timeouts has gone by. `LOCKGATE_PROVE_ROUNDS` sets how many of them must.

mod proxy;
mod sdks;

use serde_json::{Value, json};
use testkit::{Behaviour, GatewaySettings, Pace, ScriptedProvider, TestAnswer, TestClient, TestGateway};
use tokio::task::JoinSet;

use proxy::Nginx;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const KEPT: &str = "keepalive: {stream: 1s, nonstream: 5s}";
const SILENT: &str = "keepalive: {stream: 0, nonstream: 0}";

/// Two gateways behind nginx, one of which never says that it is alive, before a provider that waits at a gate.
struct Scene {
    provider: ScriptedProvider,
    gate: Pace,
    kept: TestGateway,
    nginx: Nginx,
    _hung: ScriptedProvider,
    _silent: TestGateway,
}

impl Scene {
    async fn start(change: impl Fn(Behaviour) -> Behaviour) -> Self {
        let (provider, hung, gate) =
            (ScriptedProvider::start().await, ScriptedProvider::start().await, Pace::new());
        provider.otherwise(change(Behaviour::healthy().paced_by(&gate)));
        hung.otherwise(Behaviour::healthy().paced());
        let (kept, silent) = (gateway(&provider, KEPT).await, gateway(&hung, SILENT).await);
        let nginx = Nginx::before(kept.address(), silent.address()).await;
        Self { provider, gate, kept, nginx, _hung: hung, _silent: silent }
    }

    /// Lets idle timeouts of nginx go by: it has cut so many answers that were silent, one after the other.
    async fn timeouts(&self, path: &str, ask: &Value, rounds: u64) {
        for _ in 0..rounds {
            let client = self.nginx.to_silent(is_stream(ask));
            let cut = client.post(path, ask).await.expect("nginx answers in place of the gateway");
            assert_eq!(cut.status, 504, "{}", self.nginx.said());
        }
    }

    fn explain(&self) -> String {
        format!("{}\n{}", self.kept.output(), self.nginx.said())
    }
}

async fn gateway(provider: &ScriptedProvider, keepalive: &str) -> TestGateway {
    // One model in OpenAI's dialects, one in Anthropic's: each client meets its own dialect and another.
    let url = provider.base_url();
    let config = format!(
        "{keepalive}\nretry: {{attempts_max: 1}}\nbackends:\n  - {{name: a, kind: openai_compatible, base_url: '{url}', models: {{m: null}}}}\n  \
         - {{name: b, kind: anthropic, base_url: '{url}', models: {{n: null}}}}\n"
    );
    GatewaySettings::new(env!("CARGO_BIN_EXE_lockgate")).config(config).start().await.expect("a gateway")
}

fn is_stream(ask: &Value) -> bool {
    ask["stream"] == true
}

/// In Anthropic's dialect, of a model that is spoken to in it.
fn message(stream: bool) -> Value {
    json!({"model": "n", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}], "stream": stream})
}

fn rounds() -> u64 {
    std::env::var("LOCKGATE_PROVE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

fn send(client: TestClient, path: &'static str, ask: &Value) -> JoinSet<TestAnswer> {
    let (mut calls, ask) = (JoinSet::new(), ask.clone());
    calls.spawn(async move { client.post(path, &ask).await.expect("an answer") });
    calls
}

/// An answer that is silent at its start and, where it is a stream, once more in its midst, for several timeouts of the
/// proxy each: the client reads it whole, and a sign of life for each of them.
async fn check(path: &'static str, ask: Value, beat: &str) {
    let (scene, rounds) = (Scene::start(|behaviour| behaviour).await, rounds());
    let mut call = send(scene.nginx.to_kept(is_stream(&ask)), path, &ask);
    scene.provider.next_request().await;
    // The head comes while the upstream is silent: nginx passes each byte on as it comes.
    let mut answer = call.join_next().await.expect("a call").expect("no panic");
    assert_eq!(answer.status, 200, "{}", scene.explain());
    scene.timeouts(path, &ask, rounds).await;
    let (mut said, mut silences) = (Vec::new(), 1);
    if is_stream(&ask) {
        scene.gate.step(3);
        while said.windows(6).filter(|window| window == b"data: ").count() < 3 {
            said.extend(answer.chunk().await.expect("an answer").expect("that nobody has cut"));
        }
        scene.timeouts(path, &ask, rounds).await;
        silences += 1;
    }
    scene.gate.step(1000);
    said.extend(answer.body().await.unwrap_or_else(|cut| panic!("{path}: {cut}\n{}", scene.explain())));
    let said = String::from_utf8(said).expect("UTF-8");
    let whole = scene.kept.client().post(path, &ask).await.expect("an answer").body().await.expect("a body");
    let whole = String::from_utf8(whole.to_vec()).expect("UTF-8");
    let lives = match is_stream(&ask) {
        // Some upstreams give signs of life of their own.
        true => said.matches(beat).count() - whole.matches(beat).count(),
        false => said.len() - said.trim_start_matches(beat).len(),
    };
    assert!(lives as u64 >= silences * rounds, "{lives} signs of life in {rounds} timeouts: {said}");
    assert_eq!(said.replace(beat, ""), whole.replace(beat, ""), "{path}");
}

#[tokio::test]
async fn p12_an_idle_proxy_cuts_no_stream() {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true});
    let response = json!({"model": "m", "input": "hi", "stream": true});
    let completion = json!({"model": "m", "prompt": "hi", "stream": true});
    let (comment, ping) = (": keepalive\n\n", "event: ping\ndata: {\"type\": \"ping\"}\n\n");
    let mut checks = JoinSet::new();
    for (path, ask, beat) in [
        (CHAT, chat, comment),
        ("/v1/responses", response, comment),
        ("/v1/completions", completion, comment),
        (MESSAGES, message(true), ping),
    ] {
        checks.spawn(check(path, ask, beat));
    }
    while let Some(checked) = checks.join_next().await {
        checked.expect("the check holds");
    }
}

#[tokio::test]
async fn p12_an_idle_proxy_cuts_no_plain_answer() {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let mut checks = JoinSet::new();
    let compaction = json!({"model": "m", "input": "hi"});
    for (path, ask) in [(CHAT, chat), ("/v1/responses/compact", compaction), (MESSAGES, message(false))] {
        checks.spawn(check(path, ask, "\n"));
    }
    while let Some(checked) = checks.join_next().await {
        checked.expect("the check holds");
    }
}
