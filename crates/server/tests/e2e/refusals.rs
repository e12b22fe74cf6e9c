//! Requests that are turned away before they are anything: what the log tells of them, for they leave no receipt.

use serde_json::{Value, json};
use testkit::{GatewaySettings, TestGateway};

use crate::cli::LOCKGATE;

const CHAT: &str = "/v1/chat/completions";
const SECRET: &str = "sk-of-the-app-0123456789";

/// What the log tells of the first request that was refused with `code`.
async fn told(gateway: &TestGateway, code: &str) -> Value {
    let line = gateway.line(|line| line.contains("refused") && line.contains(code)).await;
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test]
async fn the_log_tells_who_was_turned_away_from_where_and_why() {
    let config = format!(
        "log: {{level: info, format: json}}\nkeys: [{{name: app, key: {SECRET}, rpm: 1}}]\n\
         backends: [{{name: b0, base_url: 'http://127.0.0.1:9/v1', models: {{m: {{}}}}}}]\n"
    );
    let gateway = GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway");
    let ask = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    let known = gateway.client().with_key(SECRET);
    gateway.client().with_key("sk-of-nobody").post(CHAT, &ask("m")).await.expect("an answer");
    known.post("/v1/chat/completions?key=hidden", &ask("none")).await.expect("an answer");
    known.post(CHAT, &ask("m")).await.expect("an answer");
    known.post(CHAT, &ask("m")).await.expect("an answer");
    for (code, key, model, says) in [
        ("invalid_api_key", None, None, "not known"),
        ("model_not_found", Some("app"), None, "`none`"),
        ("rate_limited", Some("app"), Some("m"), "rate limit"),
    ] {
        let line = told(&gateway, code).await;
        let text = |field: &str| line[field].as_str();
        assert_eq!((text("key"), text("model")), (key, model), "{line}");
        assert_eq!((text("path"), text("client")), (Some("/chat/completions"), Some("127.0.0.1")), "{line}");
        assert!(text("says").is_some_and(|text| text.contains(says)), "{line}");
    }
    let output = gateway.output();
    assert!(
        !output.contains(SECRET) && !output.contains("hidden") && !output.contains("sk-of-nobody"),
        "{output}"
    );
}
