//! Thoughts that an account has sealed and that the client of another dialect keeps for it: they go back to that account, and
//! to no other, which would refuse them.

use http::StatusCode;
use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider, TestAnswer, TestClient};

use super::crossing::plan;
use crate::scene::{MODEL, Scene};

/// How a client of another dialect asks, and goes on with what it was answered.
struct Client {
    dialect: Dialect,
    path: &'static str,
    /// A request with this history before its question.
    asking: fn(&[Value]) -> Value,
    /// What it keeps of an answer.
    said: fn(&Value) -> Value,
    /// Where in its second request the thought stands.
    thought: &'static str,
}

const CLIENTS: [Client; 3] = [
    Client {
        dialect: Dialect::OpenAiChat,
        path: "/v1/chat/completions",
        asking: |history| json!({"model": MODEL, "messages": asked(history, json!({"role": "user", "content": "x"}))}),
        said: |answer| answer["choices"][0]["message"].clone(),
        thought: "messages[1].reasoning_details[0]",
    },
    Client {
        dialect: Dialect::AnthropicMessages,
        path: "/v1/messages",
        asking: |history| json!({"model": MODEL, "max_tokens": 99, "messages": asked(history, json!({"role": "user", "content": "x"}))}),
        said: |answer| json!({"role": "assistant", "content": answer["content"]}),
        thought: "messages[1].content[0]",
    },
    Client {
        dialect: Dialect::Gemini,
        path: "/v1beta/models/tiny:generateContent",
        asking: |history| json!({"contents": asked(history, json!({"role": "user", "parts": [{"text": "x"}]}))}),
        said: |answer| answer["candidates"][0]["content"].clone(),
        thought: "contents[1].parts[0]",
    },
];

/// A question, what was answered, and a question again.
fn asked(history: &[Value], question: Value) -> Value {
    let before = history.iter().flat_map(|said| [question.clone(), said.clone()]);
    before.chain([question.clone()]).collect()
}

/// What an account says of which it alone can read one half.
fn thought_by(name: &str) -> Behaviour {
    let thought = json!({"type": "reasoning", "id": format!("rs_{name}"),
        "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": format!("gAAAA-{name}")});
    let message = json!({"type": "message", "id": format!("msg_{name}"), "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "so", "annotations": []}]});
    let made = json!({"id": format!("resp_{name}"), "object": "response", "status": "completed", "model": MODEL,
        "output": [thought, message]});
    Behaviour::json(200, &made)
}

/// Two accounts that speak Responses, equal but for what they seal.
struct Accounts {
    providers: [ScriptedProvider; 2],
    scene: Scene,
}

const NAMES: [&str; 2] = ["a", "b"];

impl Accounts {
    async fn stage(keep: Option<bool>) -> Self {
        let providers = [ScriptedProvider::start().await, ScriptedProvider::start().await];
        for (provider, name) in providers.iter().zip(NAMES) {
            provider.otherwise(thought_by(name));
        }
        let plan = plan(&[&providers[0], &providers[1]], Dialect::OpenAiResponses)
            .backends(|spec| spec.keeps_responses = keep)
            .with(|draft| "primary".clone_into(&mut draft.backends[1].pool));
        Self { scene: plan.start().await, providers }
    }

    /// Asks, and says who has answered and what.
    async fn ask(&self, client: &TestClient, path: &str, body: &Value) -> (usize, TestAnswer) {
        let answer = client.post(path, body).await.expect("an answer");
        let by = usize::from(answer.header("x-lockgate-backend") == Some("b1"));
        (by, answer)
    }

    async fn sent_to(&self, account: usize) -> String {
        String::from_utf8_lossy(&self.providers[account].next_request().await.body).into_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_thought_kept_for_one_account_goes_to_no_other() {
    for client in CLIENTS {
        let context = client.dialect;
        let accounts = Accounts::stage(None).await;
        let (any, strict) =
            (accounts.scene.client(), accounts.scene.client().with_header("x-lockgate-strict", "1"));
        let (home, mut first) = accounts.ask(&any, client.path, &(client.asking)(&[])).await;
        drop(accounts.sent_to(home).await);
        let said = (client.said)(&first.json().await.expect("JSON"));
        let on = (client.asking)(&[said]);
        let sealed = format!("gAAAA-{}", NAMES[home]);
        for client_of in [&any, &strict] {
            let (by, answer) = accounts.ask(client_of, client.path, &on).await;
            assert_eq!(
                (by, answer.status, answer.header("x-lockgate-dropped")),
                (home, StatusCode::OK, None),
                "{context}"
            );
            let sent = accounts.sent_to(home).await;
            assert!(sent.contains(&sealed) && !sent.contains("lg1."), "{context}: {sent}");
        }
        accounts.providers[home].otherwise(Behaviour::error(500, "down"));
        let (by, answer) = accounts.ask(&any, client.path, &on).await;
        assert_eq!((by, answer.status), (1 - home, StatusCode::OK), "{context}");
        assert_eq!(answer.header("x-lockgate-dropped"), Some(client.thought), "{context}");
        let sent = accounts.sent_to(by).await;
        assert!(!sent.contains("gAAAA") && !sent.contains("lg1."), "it would have been refused: {sent}");
        let (_, answer) = accounts.ask(&strict, client.path, &on).await;
        assert_ne!(answer.status, StatusCode::OK, "{context}: nothing was to be lost");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thought_in_a_kept_response_goes_to_no_other_account() {
    let accounts = Accounts::stage(Some(false)).await;
    let client = accounts.scene.client();
    let (home, mut first) =
        accounts.ask(&client, "/v1/responses", &json!({"model": MODEL, "input": "x"})).await;
    drop(accounts.sent_to(home).await);
    let id = first.json().await.expect("JSON")["id"].clone();
    let on = json!({"model": MODEL, "input": "y", "previous_response_id": id});
    for (is_up, dropped) in [(true, None), (false, Some("previous_response_id[1]"))] {
        if !is_up {
            accounts.providers[home].otherwise(Behaviour::error(500, "down"));
        }
        let (by, answer) = accounts.ask(&client, "/v1/responses", &on).await;
        assert_eq!((by == home, answer.status), (is_up, StatusCode::OK));
        assert_eq!(answer.header("x-lockgate-dropped"), dropped);
        let sent = accounts.sent_to(by).await;
        assert_eq!((sent.contains("gAAAA"), sent.contains("lg1.")), (is_up, false), "{sent}");
        assert!(sent.contains("so"), "what was said aloud is told to anybody: {sent}");
    }
}
