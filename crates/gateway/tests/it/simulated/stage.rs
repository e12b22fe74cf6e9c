//! Plays the requests of a scenario against a gateway on real sockets, and answers its calls by the simulator's rules.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::{BackendSpec, Draft};
use protocol::{FailureKind, Quota, QuotaUnit, Reset};
use serde_json::json;
use simulator::scenario::{Provider, Scenario};
use simulator::{FIRST_EVENT_MAX, Fate, Reply, Request, Run, Truth, Visible};
use testkit::{Asked, Behaviour, Pace, ScriptedProvider, StillClock, TestClient};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scene::{MODEL, Plan, Scene, backend, key};

const CHAT: &str = "/v1/chat/completions";

/// Which request a call is for: forwarded to the provider as any header of this kind is.
const NUMBER: &str = "x-number";

/// What the gateway takes a token of a prompt for.
const BYTES_PER_TOKEN: u64 = 4;

/// Turns given to the gateway before what was begun is called lost.
const TURNS_MAX: u32 = 1_000_000;

/// A gateway, its providers, and all that is going to happen to them.
pub(super) struct Stage<'a> {
    scene: Scene,
    requests: &'a [Request],
    providers: Vec<Account<'a>>,
    clients: Vec<TestClient>,
    told: mpsc::UnboundedSender<Told>,
    heard: mpsc::UnboundedReceiver<Told>,
    calls: JoinSet<()>,
    began: Instant,
    due: BTreeMap<(Duration, u64), Due>,
    arranged: u64,
    attempts: Vec<u32>,
    run: Book,
    _still: StillClock,
}

/// One provider: the socket, and the rules behind it.
struct Account<'a> {
    _provider: ScriptedProvider,
    asked: mpsc::UnboundedReceiver<Asked>,
    truth: Truth<'a>,
}

/// What came of the run so far, and what is under way.
struct Book {
    fates: Vec<Option<Fate>>,
    calls: u64,
    limited_calls: u64,
    /// Requests that came and are not over.
    open: usize,
    /// Calls that a provider has and has not ended.
    held: usize,
    /// Answers that began to go out, and those of which a client has seen the beginning.
    begun: [u64; 2],
}

/// Something that is going to happen.
enum Due {
    Arrival(usize),
    /// A call reaches the rules of its provider.
    Reach(Call, Asked),
    /// The first event of an answer goes out.
    Begin(Asked, Pace, Box<Behaviour>),
    /// A refusal goes out.
    Refuse(Asked, Box<Behaviour>),
    /// The rest of an answer goes out.
    End(Call, Pace),
}

/// One call of a request.
#[derive(Clone, Copy)]
struct Call {
    number: usize,
    attempt: u32,
    provider: usize,
}

/// What a client sees.
enum Told {
    Began,
    Over(usize, Fate),
}

impl<'a> Stage<'a> {
    /// A gateway before the providers of a scenario, with all settings as they are when nothing is configured.
    pub(super) async fn new(scenario: &'a Scenario, requests: &'a [Request], seed: u64) -> Self {
        let (mut providers, mut specs) = (Vec::new(), Vec::new());
        for (number, spec) in (0_u64..).zip(&scenario.providers) {
            let provider = ScriptedProvider::start().await;
            specs.push(told(spec, &provider.base_url()));
            let truth = Truth::new(spec, number, scenario.length, seed);
            providers.push(Account { asked: provider.by_hand(), _provider: provider, truth });
        }
        let callers: u32 = scenario.streams.iter().map(|stream| stream.callers).sum();
        let names: Vec<String> = (0..callers).map(|number| format!("caller-{number}")).collect();
        let plan = Plan::of(&[]).with(|draft: &mut Draft| {
            draft.backends = specs;
            draft.keys = names.iter().map(|name| key(name)).collect();
            // The simulator's requests have nothing in common that would lead them to the same backend.
            draft.settings.affinity.enabled = false;
        });
        let scene = plan.start().await;
        let clients = names.iter().map(|name| scene.client().with_key(name)).collect();
        let (told, heard) = mpsc::unbounded_channel();
        let fates = vec![None; requests.len()];
        let mut stage = Self {
            scene,
            requests,
            providers,
            clients,
            told,
            heard,
            calls: JoinSet::new(),
            began: Instant::now(),
            due: BTreeMap::new(),
            arranged: 0,
            attempts: vec![0; requests.len()],
            run: Book { fates, calls: 0, limited_calls: 0, open: 0, held: 0, begun: [0; 2] },
            _still: StillClock::hold(),
        };
        for (number, request) in requests.iter().enumerate() {
            stage.arrange(request.at, Due::Arrival(number));
        }
        stage
    }

    /// Plays to the end of the last request.
    pub(super) async fn play(mut self) -> Run {
        while !self.due.is_empty() || self.run.open > 0 {
            let event = self.due.first_key_value().map(|((at, _), _)| *at);
            let tick = self.scene.live.next_tick().map(|tick| whole_millis(tick - self.began.into_std()));
            let next = event.into_iter().chain(tick).min().expect("whoever waits is refused in time");
            tokio::time::advance(next.saturating_sub(self.began.elapsed())).await;
            self.settle().await;
            if self.due.first_key_value().is_some_and(|((at, _), _)| *at <= self.began.elapsed()) {
                let (_, due) = self.due.pop_first().expect("it was just looked at");
                self.happen(due);
                self.settle().await;
            }
        }
        self.scene.at_rest().await;
        let Book { fates, calls, limited_calls, .. } = self.run;
        let fates = fates.into_iter().map(|fate| fate.expect("no request is open")).collect();
        Run { fates, calls, limited_calls, spend: 0.0, warm: 0 }
    }

    fn arrange(&mut self, at: Duration, due: Due) {
        self.arranged += 1;
        self.due.insert((whole_millis(at), self.arranged), due);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Arrival(number) => self.arrive(number),
            Due::Reach(call, asked) => self.reach(call, asked),
            Due::Begin(asked, gate, behaviour) => {
                self.run.begun[0] += 1;
                asked.meet(*behaviour);
                gate.step(1);
            }
            Due::Refuse(asked, behaviour) => {
                self.run.held -= 1;
                asked.meet(*behaviour);
            }
            Due::End(call, gate) => {
                self.providers[call.provider].truth.ended();
                self.run.held -= 1;
                gate.step(usize::from(u8::MAX));
            }
        }
    }

    fn arrive(&mut self, number: usize) {
        let request = &self.requests[number];
        let (client, told) = (self.clients[request.caller].clone(), self.told.clone());
        let client =
            client.with_header(NUMBER, &number.to_string()).with_header("x-priority", request.class.name());
        let prompt =
            "x".repeat(usize::try_from(request.prompt * BYTES_PER_TOKEN).expect("prompts are short"));
        let body = json!({
            "model": MODEL, "stream": true, "max_tokens": request.output_max,
            "messages": [{"role": "user", "content": prompt}],
        });
        self.run.open += 1;
        self.calls.spawn(async move {
            let fate = asked(&client, &body, &told).await;
            told.send(Told::Over(number, fate)).expect("the stage hears to the end");
        });
    }

    fn reach(&mut self, call: Call, asked: Asked) {
        let now = self.began.elapsed();
        let request = &self.requests[call.number];
        let reply = self.providers[call.provider].truth.call(request, call.attempt, now);
        if let Some(kind) = reply.failure {
            assert_eq!(kind, FailureKind::RateLimited, "these providers answer, or refuse by their limits");
            self.run.limited_calls += 1;
            self.arrange(now + reply.ends, Due::Refuse(asked, Box::new(refusal(&reply))));
            return;
        }
        let gate = Pace::new();
        let answer = Box::new(answer(request, &reply).paced_by(&gate));
        self.arrange(now + reply.after, Due::Begin(asked, gate.clone(), answer));
        self.arrange(now + reply.ends, Due::End(call, gate));
    }

    /// Gives turns until nothing is on its way: each request is in a provider's hands, or waits, or is over.
    async fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            tokio::task::yield_now().await;
            while let Ok(told) = self.heard.try_recv() {
                match told {
                    Told::Began => self.run.begun[1] += 1,
                    Told::Over(number, fate) => {
                        self.run.open -= 1;
                        self.run.fates[number] = Some(fate);
                    }
                }
            }
            self.take_calls();
            if self.is_settled() {
                return;
            }
        }
        panic!("something is on its way for ever: {:?}", self.scene.status());
    }

    fn take_calls(&mut self) {
        let now = self.began.elapsed();
        for provider in 0..self.providers.len() {
            while let Ok(asked) = self.providers[provider].asked.try_recv() {
                let number = asked.request.header(NUMBER).expect("the header was forwarded");
                let number: usize = number.parse().expect("it was counted here");
                self.attempts[number] += 1;
                let attempt = self.attempts[number];
                self.run.calls += 1;
                self.run.held += 1;
                let way = self.requests[number].way(attempt);
                self.arrange(now + way, Due::Reach(Call { number, attempt, provider }, asked));
            }
        }
    }

    fn is_settled(&self) -> bool {
        let Book { open, held, begun, .. } = self.run;
        let live = &self.scene.live;
        open == held + live.queued()
            && begun[0] == begun[1]
            && live.next_tick().is_none_or(|tick| tick > Instant::now().into_std())
            && usize::try_from(self.scene.status().in_flight) == Ok(open)
    }
}

/// Asks, and says what came of it as a client sees it.
async fn asked(client: &TestClient, body: &serde_json::Value, told: &mpsc::UnboundedSender<Told>) -> Fate {
    let mut answer = client.post(CHAT, body).await.expect("an answer");
    match answer.status.as_u16() {
        200 => {}
        429 => return Fate::Failed(Visible::Limited),
        503 => return Fate::Failed(Visible::Refused),
        _ => return Fate::Failed(Visible::Failed),
    }
    let mut events = 0;
    while let Some(event) = answer.event().await {
        if event.is_err() {
            return Fate::Failed(Visible::Failed);
        }
        if events == 0 {
            told.send(Told::Began).expect("the stage hears to the end");
        }
        events += 1;
    }
    // How long it waited is not compared.
    Fate::Answered { waited: Duration::ZERO, first_event: Duration::ZERO }
}

/// A backend as the operator wrote it down.
fn told(provider: &Provider, base_url: &str) -> BackendSpec {
    let mut spec = backend(&provider.name, base_url);
    provider.pool.clone_into(&mut spec.pool);
    spec.limits = provider.told;
    spec.deadlines.first_event = FIRST_EVENT_MAX;
    spec.deadlines.answer = FIRST_EVENT_MAX;
    spec
}

fn answer(request: &Request, reply: &Reply) -> Behaviour {
    let event = |data: serde_json::Value| format!("data: {data}\n\n");
    let head = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL});
    let with = |choices: serde_json::Value, usage: serde_json::Value| {
        let mut chunk = head.clone();
        (chunk["choices"], chunk["usage"]) = (choices, usage);
        event(chunk)
    };
    let delta = json!([{"index": 0, "delta": {"role": "assistant", "content": "!"}, "finish_reason": null}]);
    let last = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    let usage = json!({
        "prompt_tokens": request.prompt, "completion_tokens": request.output,
        "total_tokens": request.prompt + request.output,
    });
    let events =
        [with(delta, json!(null)), with(last, json!(null)), with(json!([]), usage) + "data: [DONE]\n\n"];
    said(Behaviour::replay(events), reply)
}

fn refusal(reply: &Reply) -> Behaviour {
    let refusal = Behaviour::error(429, "Rate limit reached for requests");
    let refusal = match reply.retry_after {
        Some(wait) => refusal.header("retry-after", &wait.as_secs().to_string()),
        None => refusal,
    };
    said(refusal, reply)
}

/// With the headers that tell what is left, in the forms that mean how it comes back.
fn said(behaviour: Behaviour, reply: &Reply) -> Behaviour {
    reply.said.iter().flatten().fold(behaviour, |behaviour, quota: &Quota| {
        let unit = match quota.unit {
            QuotaUnit::Requests => "requests",
            QuotaUnit::Tokens => "tokens",
        };
        let reset = match quota.reset {
            Some(Reset::Refilled(wait)) => format!("{}ms", wait.as_secs_f64() * 1e3),
            Some(Reset::Renewed(wait)) => wait.as_secs_f64().to_string(),
            None => String::new(),
        };
        let count = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
        behaviour
            .header(&format!("x-ratelimit-limit-{unit}"), &count(quota.limit))
            .header(&format!("x-ratelimit-remaining-{unit}"), &count(quota.remaining))
            .header(&format!("x-ratelimit-reset-{unit}"), &reset)
    })
}

/// Timers of tokio fire at whole milliseconds.
fn whole_millis(time: Duration) -> Duration {
    let millis = time.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).expect("runs are short"))
}
