//! Turns: what a client reads of them, however the program packs, orders or breaks them.

use http::StatusCode;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use testkit::HeldDatabase;

use super::stage::{CHAT, Pool, Stage, question, script, streamed};

fn finish() -> Value {
    json!({"do": "finish", "code": 200})
}

/// A pool of one that plays these scripts, ready.
async fn playing(scenario: Value) -> Stage {
    let stage = Pool { scenario, ..Pool::default() }.start().await;
    stage.all_ready().await;
    stage
}

#[tokio::test]
async fn a_question_is_flattened_asked_and_answered_and_every_push_acknowledged() {
    let stage = playing(json!({})).await;
    let body = json!({"model": "lingma/qwen3-coder", "temperature": 0.5, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hé"}]});
    let mut answer = stage.gateway.client().post(CHAT, &body).await.expect("an answer");
    assert_eq!(answer.header("x-lockgate-dropped"), Some("temperature"));
    assert_eq!(answer.header("x-lockgate-backend"), Some("inst-1"));
    let told = answer.json().await.expect("JSON");
    assert_eq!(told["choices"][0]["message"]["content"], "echo:[system] Be brief.\n\n[user] hé");
    let asks = stage.control("inst-1").await.get("/__test/requests").await.expect("an answer").json().await;
    let ask = asks.expect("JSON")[0].clone();
    assert_eq!(ask["extra"]["modelConfig"]["key"], "dashscope_qwen3_coder");
    assert_eq!((&ask["mode"], &ask["stream"]), (&json!("chat"), &json!(true)));
    assert_ne!(ask["sessionId"], "", "a session of its own");
    let seen = stage.seen("inst-1", "sessions_deleted=1").await;
    assert_eq!((&seen["unacked"], &seen["pushes"]), (&json!(0), &seen["acked"]));
    stage.is_at_rest().await;
}

#[tokio::test]
async fn every_client_reads_a_turn_in_its_own_words_streamed_and_whole() {
    let scenario = json!({"scripts": [script("hi", json!([
        {"do": "think", "text": "hm"}, {"do": "say", "text": ""}, {"do": "spell", "text": "pé\u{1F600}ng"}, finish()]))]});
    let stage = playing(scenario).await;
    let user = json!([{"role": "user", "content": "hi"}]);
    for stream in [false, true] {
        for (path, body) in [
            (CHAT, json!({"model": "lingma/auto", "stream": stream, "messages": user})),
            ("/v1/responses", json!({"model": "lingma/auto", "stream": stream, "input": "hi"})),
            (
                "/v1/messages",
                json!({"model": "lingma/auto", "stream": stream, "max_tokens": 9, "messages": user}),
            ),
            (
                if stream {
                    "/v1beta/models/lingma%2Fauto:streamGenerateContent?alt=sse"
                } else {
                    "/v1beta/models/lingma%2Fauto:generateContent"
                },
                json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
            ),
        ] {
            let mut answer = stage.gateway.client().post(path, &body).await.expect("an answer");
            let text = String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("text");
            assert_eq!(answer.status, StatusCode::OK, "{path}: {text}");
            let letters = ["p", "é", "\u{1F600}", "ng"];
            let has_all = if stream {
                letters.iter().all(|letter| text.contains(letter))
            } else {
                text.contains("pé\u{1F600}ng")
            };
            assert!(has_all, "{path}: {text}");
        }
    }
    stage.is_at_rest().await;
}

#[tokio::test]
async fn a_turn_reads_the_same_however_it_is_packed() {
    for packing in [
        json!({"cut": "coalesce", "at": 4}),
        json!({"cut": "split", "at": 1}),
        json!({"cut": "split", "at": 7}),
    ] {
        for binary in [false, true] {
            let stage = playing(json!({"packing": packing, "binary": binary})).await;
            assert_eq!(stage.told("hé\u{1F600}").await, "echo:[user] hé\u{1F600}", "{packing}");
        }
    }
}

#[tokio::test]
async fn what_is_not_the_answer_changes_nothing_of_it() {
    let items = json!([
        {"do": "foreign", "text": "not mine"}, {"do": "unknown"}, {"do": "title", "title": "t"},
        {"do": "step", "step": "step_end"}, {"do": "say", "text": "good"}, {"do": "foreign", "text": "nor this"},
        {"do": "invoke_tool", "name": "run_in_terminal", "async": false}, finish(), finish(),
        {"do": "say", "text": "too late"}]);
    for accept in ["success", "is_success", "late", "never"] {
        let stage = playing(json!({"accept": accept, "scripts": [script("go", items.clone())]})).await;
        assert_eq!(stage.told("go").await, "good", "{accept}");
        let seen = stage.seen("inst-1", "turns_running==0").await;
        let reply = &seen["tool_replies"][0]["result"];
        assert_eq!((&reply["success"], &reply["toolCallId"]), (&json!(false), &json!("tool-1")), "{seen}");
        stage.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_bad_end_is_an_error_of_its_kind() {
    let code = |code: i64| json!([{"do": "finish", "code": code}]);
    let scenario = json!({"scripts": [
        script("limited", code(429)), script("broken", code(500)),
        script("filtered", json!([{"do": "filtered", "text": "x"}, {"do": "finish", "code": 406}])),
        script("full", json!([{"do": "finish", "code": 200, "full_answer": "all of it"}]))]});
    let stage = playing(scenario).await;
    assert_eq!(stage.told("full").await, "all of it");
    let (_, filtered) = stage.ask("filtered").await;
    assert_eq!(filtered["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(stage.ask("broken").await.0, StatusCode::BAD_GATEWAY);
    let (status, limited) = stage.ask("limited").await;
    assert!(
        status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE,
        "{limited}"
    );
    stage.is_at_rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_turn_and_frees_its_place() {
    for (stop_finish, name) in [(json!(0), "with a finish"), (Value::Null, "without")] {
        let items = json!([{"do": "say", "text": "begun"}, {"do": "idle"}]);
        let scenario = json!({"stop_finish_ms": stop_finish, "scripts": [script("leave", items)]});
        let stage = playing(scenario).await;
        let mut answer = stage.gateway.client().post(CHAT, &streamed("leave")).await.expect("an answer");
        answer.event().await.expect("an event").expect("whole");
        stage.seen("inst-1", "turns_running=1").await;
        answer.abort();
        let seen = stage.seen("inst-1", "stops=1&turns_running==0").await;
        assert_eq!(seen["stops"], 1, "{name}");
        stage.is_at_rest().await;
        assert_eq!(stage.told("again").await, "echo:[user] again", "{name}");
    }
}

/// Silence has a deadline, before the first push and between two; what became of the turn is no concern of the next.
#[tokio::test]
async fn a_turn_that_falls_silent_is_ended_by_its_deadline() {
    let begun = json!({"do": "say", "text": "begun"});
    let scenario = json!({"stop_finish_ms": null, "scripts": [
        script("mute", json!([{"do": "idle"}])), script("silent", json!([begun, {"do": "idle"}]))]});
    let backend = "deadlines: {first_event: 500ms, answer: 500ms, idle: 500ms}, ";
    let stage = Pool { scenario, backend, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let mut answer = stage.gateway.client().post(CHAT, &streamed("silent")).await.expect("an answer");
    let text = String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("text");
    assert!(text.contains("begun") && text.contains("error") && !text.contains("[DONE]"), "{text}");
    stage.seen("inst-1", "stops=1&turns_running==0").await;
    assert_eq!(stage.told("again").await, "echo:[user] again");
    let (status, body) = stage.ask("mute").await;
    assert!(status.is_server_error(), "{status} {body}");
    stage.is_at_rest().await;
    let stopped = stage.seen("inst-1", "stops=2&turns_running==0").await;
    assert_eq!((&stopped["unacked"], &stopped["turns_left"]), (&json!(0), &json!(0)), "{stopped}");
}

#[tokio::test]
async fn a_model_is_found_by_any_of_its_names_and_an_agent_is_asked_in_its_mode() {
    let settings = "start: boot, mode: normal, default_model: dashscope_qwen3_coder, ".to_owned();
    let backend = "models: {named: {native: automatic}, keyed: {native: auto}, odd: {native: unheard-of}, \
                   helper: {native: lingma-agent}}, ";
    let stage = Pool { settings, backend, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let usual = "dashscope_qwen3_coder";
    let wanted = [
        ("named", "auto", "normal"),
        ("keyed", "auto", "normal"),
        ("odd", usual, "normal"),
        ("helper", usual, "agent"),
    ];
    for (model, ..) in wanted {
        let body = json!({"model": model, "messages": [{"role": "user", "content": model}]});
        let mut answer = stage.gateway.client().post(CHAT, &body).await.expect("an answer");
        let told = answer.json().await.expect("JSON");
        assert_eq!(told["choices"][0]["message"]["content"], format!("echo:[user] {model}"), "{told}");
    }
    let asks = stage.control("inst-1").await.get("/__test/requests").await.expect("an answer").json().await;
    let asks = asks.expect("JSON");
    for (number, (model, key, mode)) in wanted.iter().enumerate() {
        let ask = &asks[number];
        assert_eq!(
            (&ask["extra"]["modelConfig"]["key"], &ask["mode"]),
            (&json!(key), &json!(mode)),
            "{model}"
        );
    }
    for request in stage.settled(wanted.len()).await {
        let tokens = &request["usage"];
        let has_both = tokens["input"].as_u64() > Some(0) && tokens["output"].as_u64() > Some(0);
        assert!(request["usage_source"] == "counted" && has_both, "{request}");
    }
}

#[tokio::test]
async fn the_other_codec_is_chosen_by_a_setting() {
    let settings = "start: boot, codec: session, ".to_owned();
    let scenario = json!({"sessions": true});
    let stage = Pool { settings, scenario, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let question = question("hé");
    let mut answer = stage.gateway.client().post(CHAT, &question).await.expect("an answer");
    let told = answer.json().await.expect("JSON");
    assert_eq!(told["choices"][0]["message"]["content"], "echo:[user] hé");
    let seen = stage.seen("inst-1", "sessions_deleted=1").await;
    let methods: Vec<&str> =
        seen["methods"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(
        methods.ends_with(&["session/new", "session/set_model", "session/prompt", "chat/deleteSessionById"]),
        "{methods:?}"
    );
    stage.is_at_rest().await;
}

#[tokio::test]
async fn another_sort_of_program_is_another_row_of_data() {
    let stage = Pool { profile: "simple", instances: 2, ..Pool::default() }.start().await;
    stage.all_ready().await;
    for number in 0..6 {
        let body =
            json!({"model": "simple/any", "messages": [{"role": "user", "content": format!("hé {number}")}]});
        let mut answer = stage.gateway.client().post(CHAT, &body).await.expect("an answer");
        let told = answer.json().await.expect("JSON");
        assert_eq!(told["choices"][0]["message"]["content"], format!("echo:[user] hé {number}"), "{told}");
    }
    stage.is_at_rest().await;
}

/// What a program takes at once is its own affair: one that refuses is left for another, and one that is asked for no more than
/// it takes refuses nobody.
#[tokio::test]
async fn a_program_that_takes_one_question_at_once_is_asked_for_one() {
    let items = json!([{"do": "say", "text": "begun"}, {"do": "gate"}, finish()]);
    let scenario = json!({"max_concurrent": 1, "scripts": [script("wait", items)]});
    let stage = Pool { instances: 2, scenario: scenario.clone(), ..Pool::default() }.start().await;
    stage.all_ready().await;
    let mut first = stage.gateway.client().post(CHAT, &streamed("wait")).await.expect("an answer");
    first.event().await.expect("an event").expect("whole");
    for number in 0..8 {
        assert_eq!(stage.told(&format!("hi {number}")).await, format!("echo:[user] hi {number}"));
    }
    drop(first);
    stage.is_at_rest().await;
    let backend = "limits: {concurrency: 1}, ";
    let stage = Pool { scenario, backend, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let questions: Vec<String> = (0..16).map(|number| format!("at once {number}")).collect();
    let answers = futures_util::future::join_all(questions.iter().map(|text| stage.told(text))).await;
    for (question, answer) in questions.iter().zip(answers) {
        assert_eq!(answer, format!("echo:[user] {question}"));
    }
    assert_eq!(stage.seen("inst-1", "turns_running==0").await["asks"], 16, "each was asked once");
}

/// How many times as long as in `check`.
fn rounds() -> u64 {
    std::env::var("LOCKGATE_PROVE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// How a turn went, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    Finished,
    Cut,
    Left,
    /// It was refused before it began.
    Refused,
}

/// Turns that finish, are cut, are left and crash, mixed by a seed, several at once: nothing is left of any, and memory ends where
/// it was after the first of them. The database is kept from the gateway meanwhile: its cache grows to its own limit, which is not
/// what is asked here.
#[tokio::test]
async fn p13_nothing_is_left_of_many_mixed_turns_of_local_processes() {
    let (lanes, turns, seed) = (4_u64, 100 * rounds(), 7_u64);
    println!("seed {seed}");
    let begun = json!({"do": "say", "text": "begun"});
    let scenario = json!({"scripts": [
        script("cut", json!([begun, {"do": "drop_socket"}])), script("idle", json!([begun, {"do": "idle"}])),
        script("crash", json!([begun, {"do": "crash"}]))]});
    // Five ends within two minutes would be a loop, and left alone, as they should.
    let restart = "pause: 20ms, pause_max: 100ms, ends_max: 100, window: 1s";
    let stage = Pool { instances: 2, scenario, restart, ..Pool::default() }.start().await;
    stage.all_ready().await;
    let held = HeldDatabase::lock(&stage.gateway.data()).expect("the lock");
    let mut all = Vec::new();
    let mut resident = Vec::new();
    for tenth in 0..10 {
        let lane = |lane: u64| lane_of_turns(&stage, seed + tenth * lanes + lane, turns / lanes / 10);
        all.extend(futures_util::future::join_all((0..lanes).map(lane)).await.into_iter().flatten());
        resident.push(resident_pages(stage.gateway.process_id().expect("it runs")));
    }
    drop(held);
    let counted = [Went::Finished, Went::Cut, Went::Left, Went::Refused]
        .map(|went| (went, all.iter().filter(|one| **one == went).count()));
    println!("{} turns: {counted:?}; {resident:?} pages resident after each tenth", all.len());
    let [.., (_, refused)] = counted;
    assert!(refused * 10 <= all.len(), "too few have begun to mean anything");
    assert!(counted.iter().take(3).all(|(_, count)| *count > 0), "{counted:?}");
    stage.is_at_rest().await;
    for number in 1..=2 {
        stage.ready(&format!("inst-{number}")).await;
        stage.seen(&format!("inst-{number}"), "turns_running==0").await;
    }
    let mut status = stage.admin().get("/status").await.expect("an answer");
    assert_eq!(status.json().await.expect("JSON")["in_flight"], 0);
    // So few turns as in the short form are all warm-up.
    if turns >= 5_000 {
        let (warm, later) = resident.split_at(3);
        let warm = warm.iter().max().copied().unwrap_or_default();
        assert!(later.iter().all(|pages| *pages <= warm + warm / 10), "{resident:?}");
    }
}

async fn lane_of_turns(stage: &Stage, seed: u64, turns: u64) -> Vec<Went> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut all = Vec::new();
    for _ in 0..turns {
        let kind = match rng.random_range(0..40) {
            0..=3 => "cut",
            4..=9 => "idle",
            10 => "crash",
            _ => "fine",
        };
        all.push(turn(stage, kind).await);
    }
    all
}

async fn turn(stage: &Stage, kind: &str) -> Went {
    let Ok(mut answer) = stage.gateway.client().post(CHAT, &streamed(kind)).await else {
        return Went::Refused;
    };
    if answer.status != StatusCode::OK {
        return Went::Refused;
    }
    if kind == "idle" {
        // One that has begun is left; a crash of its program may come first.
        let _ = answer.event().await;
        answer.abort();
        return Went::Left;
    }
    let whole = answer.body().await.is_ok_and(|body| body.ends_with(b"data: [DONE]\n\n"));
    if whole { Went::Finished } else { Went::Cut }
}

/// Memory that a process has resident, in pages: only how it changes is of interest.
fn resident_pages(process: u32) -> usize {
    let told = std::fs::read_to_string(format!("/proc/{process}/statm")).expect("Linux tells");
    told.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a count of pages")
}
