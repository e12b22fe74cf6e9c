//! Plays the least that a local program must be: bare JSON-RPC over a WebSocket, which echoes; never an account.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

/// Serves until it is ended.
pub(crate) fn serve(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            connections.spawn(converse(stream));
        }
    })
}

async fn converse(stream: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Ok(text) = message.to_text() else { continue };
        for answer in answers(text) {
            if socket.send(Message::text(answer.to_string())).await.is_err() {
                return;
            }
        }
    }
}

/// What a call is answered with: the answer itself, then the echo in two pieces, then the end.
fn answers(text: &str) -> Vec<Value> {
    let Ok(call) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let (Some(id), Some(method)) = (call.get("id"), call.get("method")) else { return Vec::new() };
    let mut answers = vec![json!({"jsonrpc": "2.0", "id": id, "result": {}})];
    if method == "prompt" {
        let request = &call["params"]["requestId"];
        let tell = |method: &str, mut params: Value| {
            params["requestId"] = request.clone();
            json!({"jsonrpc": "2.0", "method": method, "params": params})
        };
        answers.push(tell("delta", json!({"text": "echo:"})));
        answers.push(tell("delta", json!({"text": call["params"]["text"]})));
        answers.push(tell("done", json!({})));
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_echoed_and_everything_else_only_answered() {
        let check = |text: &str, methods: &[&str]| {
            let answers = answers(text);
            let told: Vec<&str> =
                answers.iter().map(|answer| answer["method"].as_str().unwrap_or("answer")).collect();
            assert_eq!(told, methods, "{text}");
        };
        check("{", &[]);
        check(r#"{"id":1}"#, &[]);
        check(r#"{"id":1,"method":"stop"}"#, &["answer"]);
        check(r#"{"id":1,"method":"prompt","params":{"text":"x"}}"#, &["answer", "delta", "delta", "done"]);
    }
}
