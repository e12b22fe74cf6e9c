//! A client of each dialect works with tools over several turns with a model of each: calls side by side, their results, one
//! more call, and what the model makes of all of them. The scripted model refuses what its service would refuse.

use policy::BackendKind;
use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider, TestClient};

use crate::scene::{MODEL, Plan, Scene};

/// As each client keeps a conversation.
struct Conversation {
    dialect: Dialect,
    turns: Vec<Value>,
}

/// A call, as its dialect names it.
struct Call {
    id: Value,
    name: String,
    arguments: Value,
}

const QUESTION: &str = "How is the weather?";

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false})
}

impl Conversation {
    fn new(dialect: Dialect) -> Self {
        let first = if dialect == Dialect::Gemini {
            json!({"role": "user", "parts": [{"text": QUESTION}]})
        } else {
            json!({"role": "user", "content": QUESTION})
        };
        Self { dialect, turns: vec![first] }
    }

    fn ask(&self) -> (&'static str, Value) {
        let (name, says) = ("get_weather", "Tells the weather");
        match self.dialect {
            Dialect::AnthropicMessages => (
                "/v1/messages",
                json!({"model": MODEL, "max_tokens": 4000, "messages": self.turns,
                    "tools": [{"name": name, "description": says, "input_schema": schema()}]}),
            ),
            Dialect::Gemini => (
                "/v1beta/models/tiny:generateContent",
                json!({"contents": self.turns, "tools": [{"functionDeclarations": [
                    {"name": name, "description": says, "parametersJsonSchema": schema()}]}]}),
            ),
            Dialect::OpenAiResponses => (
                "/v1/responses",
                json!({"model": MODEL, "input": self.turns, "store": false, "include": ["reasoning.encrypted_content"],
                    "tools": [{"type": "function", "name": name, "description": says, "parameters": schema()}]}),
            ),
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiRaw
            | Dialect::AgentRpc => (
                "/v1/chat/completions",
                json!({"model": MODEL, "messages": self.turns, "tools": [{"type": "function",
                    "function": {"name": name, "description": says, "parameters": schema()}}]}),
            ),
        }
    }

    /// Takes an answer up as the client's own program would; gives the calls in it, and what was said.
    fn take(&mut self, answer: &Value) -> (Vec<Call>, String) {
        let parse = |text: &Value| serde_json::from_str(text.as_str().expect("a text")).expect("arguments");
        let named = |call: &Value| call["name"].as_str().expect("a name").to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        match self.dialect {
            Dialect::AnthropicMessages => {
                let blocks = list(&answer["content"]);
                self.turns.push(json!({"role": "assistant", "content": blocks}));
                let of = |kind: &'static str| {
                    blocks.clone().into_iter().filter(move |block| block["type"] == kind)
                };
                let call = |block: Value| Call {
                    id: block["id"].clone(),
                    name: named(&block),
                    arguments: block["input"].clone(),
                };
                (of("tool_use").map(call).collect(), texts(of("text")))
            }
            Dialect::Gemini => {
                let content = answer["candidates"][0]["content"].clone();
                let parts = list(&content["parts"]);
                self.turns.push(content);
                let calls = parts.iter().filter(|part| part["functionCall"].is_object()).map(|part| {
                    let call = &part["functionCall"];
                    Call { id: call["id"].clone(), name: named(call), arguments: call["args"].clone() }
                });
                (calls.collect(), texts(parts.iter().filter(|part| part["thought"] != true).cloned()))
            }
            Dialect::OpenAiResponses => {
                let items = list(&answer["output"]);
                self.turns.extend(items.iter().cloned());
                let calls = items.iter().filter(|item| item["type"] == "function_call").map(|item| Call {
                    id: item["call_id"].clone(),
                    name: named(item),
                    arguments: parse(&item["arguments"]),
                });
                let messages = items.iter().filter(|item| item["type"] == "message");
                (calls.collect(), texts(messages.flat_map(|item| list(&item["content"]))))
            }
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiRaw
            | Dialect::AgentRpc => {
                let message = answer["choices"][0]["message"].clone();
                let calls = list(&message["tool_calls"]).into_iter().map(|call| Call {
                    id: call["id"].clone(),
                    name: named(&call["function"]),
                    arguments: parse(&call["function"]["arguments"]),
                });
                let (calls, said) =
                    (calls.collect(), message["content"].as_str().unwrap_or_default().to_owned());
                self.turns.push(message);
                (calls, said)
            }
        }
    }

    fn answer(&mut self, calls: &[Call]) {
        let result = |call: &Call| format!("rain in {}", call.arguments["city"].as_str().expect("a city"));
        match self.dialect {
            Dialect::AnthropicMessages => {
                let blocks: Vec<Value> = calls
                    .iter()
                    .map(|call| json!({"type": "tool_result", "tool_use_id": call.id, "content": result(call)}))
                    .collect();
                self.turns.push(json!({"role": "user", "content": blocks}));
            }
            Dialect::Gemini => {
                let parts: Vec<Value> = calls
                    .iter()
                    .map(|call| {
                        json!({"functionResponse":
                            {"id": call.id, "name": call.name, "response": {"output": result(call)}}})
                    })
                    .collect();
                self.turns.push(json!({"role": "user", "parts": parts}));
            }
            Dialect::OpenAiResponses => self.turns.extend(calls.iter().map(
                |call| json!({"type": "function_call_output", "call_id": call.id, "output": result(call)}),
            )),
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiRaw
            | Dialect::AgentRpc => self.turns.extend(
                calls
                    .iter()
                    .map(|call| json!({"role": "tool", "tool_call_id": call.id, "content": result(call)})),
            ),
        }
    }
}

fn texts(pieces: impl Iterator<Item = Value>) -> String {
    pieces.filter_map(|piece| Some(piece["text"].as_str()?.to_owned())).collect()
}

const CONVERSING: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::Gemini];

async fn stage(provider: &ScriptedProvider, upstream: Dialect) -> Scene {
    let plan = Plan::before(&[provider]).backends(|spec| {
        spec.kind = BackendKind::OpenAiCompatible;
        spec.dialects = Some(vec![upstream]);
        let model = spec.models.as_mut().expect("models").get_mut(MODEL).expect("the model");
        // Only the newer models of Google want their calls' signatures back, and the scripted one is as strict.
        model.native = Some("gemini-3-pro".to_owned());
    });
    plan.start().await
}

async fn turn(client: &TestClient, conversation: &Conversation, context: &str) -> Value {
    let (path, body) = conversation.ask();
    let mut answer = client.post(path, &body).await.expect("an answer");
    let told = answer.json().await.expect("JSON");
    assert_eq!(answer.status, 200, "{context}: {told}");
    told
}

#[tokio::test(start_paused = true)]
async fn tools_are_worked_with_in_every_pair_of_dialects() {
    for dialect in CONVERSING {
        for upstream in CONVERSING {
            let context = format!("{dialect} by {upstream}");
            let provider = ScriptedProvider::start().await;
            provider.otherwise(Behaviour::agent());
            let scene = stage(&provider, upstream).await;
            let mut conversation = Conversation::new(dialect);
            for (round, cities) in [&["lockgate-0", "lockgate-1"][..], &["lockgate-2"]].iter().enumerate() {
                let told = turn(&scene.client(), &conversation, &context).await;
                let (calls, _said) = conversation.take(&told);
                let called: Vec<&Value> = calls.iter().map(|call| &call.arguments["city"]).collect();
                assert_eq!(&called, cities, "{context}, round {round}: {told}");
                assert!(calls.iter().all(|call| call.name == "get_weather"), "{context}");
                conversation.answer(&calls);
            }
            let told = turn(&scene.client(), &conversation, &context).await;
            let (calls, said) = conversation.take(&told);
            assert!(calls.is_empty(), "{context}: {told}");
            for number in 0..3 {
                assert!(said.contains(&format!("rain in lockgate-{number}")), "{context}: {told}");
            }
            assert_eq!(provider.count().accepted, 3, "{context}");
        }
    }
}
