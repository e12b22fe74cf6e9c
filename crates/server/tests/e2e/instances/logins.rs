//! Signing in: by a page and a person, by a token, by a browser; and what nobody must ever read.

use http::StatusCode;
use serde_json::{Value, json};

use super::stage::{Pool, Stage};

async fn begin(stage: &Stage, name: &str) -> (StatusCode, Value) {
    let path = format!("/internal/auto-login/start?instance={name}");
    let mut answer = stage.admin().post(&path, &json!({})).await.expect("an answer");
    (answer.status, answer.json().await.expect("JSON"))
}

/// Nothing that was meant for the program alone stands anywhere.
async fn no_canary(stage: &Stage) {
    let client = stage.admin();
    let mut read = stage.gateway.output();
    for path in ["/api/admin/instances", "/internal/auto-login/status", "/healthz", "/metrics", "/status"] {
        let mut answer = client.get(path).await.expect("an answer");
        read += &String::from_utf8_lossy(&answer.body().await.expect("a body"));
    }
    for secret in ["CANARY", "right-password", "good-token"] {
        let at = read.find(secret);
        assert_eq!(
            at,
            None,
            "{:?}",
            at.map(|at| read.chars().skip(at.saturating_sub(200)).take(400).collect::<String>())
        );
    }
}

#[tokio::test]
async fn one_that_is_signed_out_is_no_candidate_until_a_person_has_signed_in() {
    let stage = Pool { is_signed_in: false, ..Pool::default() }.start().await;
    stage.instance("inst-1", |one| one["login"]["state"] == "signed_out").await;
    let (status, body) = stage.ask("hi").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("backend_not_ready"))
    );
    assert_eq!(begin(&stage, "inst-9").await.0, StatusCode::NOT_FOUND);
    assert_eq!(begin(&stage, "inst-1").await.1["state"], "running");
    let one = stage.instance("inst-1", |one| one["login"]["url"].is_string()).await;
    assert_eq!(begin(&stage, "inst-1").await.1["state"], "already_running");
    let url = one["login"]["url"].as_str().expect("a URL");
    let state = url.split('&').find_map(|pair| pair.strip_prefix("state=")).expect("a state");
    let port = one["http_port"].as_u64().expect("a port");
    let paste = async |text: String| {
        let body = json!({ "text": text });
        stage.admin().post("/api/admin/instances/inst-1/login/paste", &body).await.expect("an answer").status
    };
    assert_eq!(
        paste("http://169.254.169.254/auth/callback?state=x".to_owned()).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        paste(format!("http://127.0.0.1:{port}/auth/callback?state=2-wrong&auth=a")).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let address =
        format!("http://127.0.0.1:{port}/auth/callback?state={state}&auth=CANARY-AUTH&token=CANARY-TOKEN");
    assert_eq!(paste(address).await, StatusCode::OK);
    let ready = stage.ready("inst-1").await;
    assert_eq!((&ready["login"]["id"], &ready["login"]["name"]), (&json!("user-1"), &json!("Somebody")));
    assert_eq!(begin(&stage, "inst-1").await.1["state"], "already_logged_in");
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
    no_canary(&stage).await;
}

#[tokio::test]
async fn an_account_that_expires_is_no_candidate_and_its_sibling_is_not_affected() {
    let stage = Pool { instances: 2, ..Pool::default() }.start().await;
    stage.all_ready().await;
    stage.order("inst-1", "/__test/log-out").await;
    stage.instance("inst-1", |one| one["login"]["state"] == "signed_out").await;
    for _ in 0..4 {
        assert_eq!(stage.told("hi").await, "echo:[user] hi");
    }
    assert_eq!(stage.seen("inst-1", "").await["asks"], 0);
    stage.order("inst-1", "/__test/log-in").await;
    stage.all_ready().await;
}

#[tokio::test]
async fn a_token_signs_in_without_a_page_after_the_endpoint_was_switched() {
    let settings = "start: boot, endpoint: \"https://tenant.example.test\", accounts: [{token: good-token}], \
                    login: {automatic: true}, ";
    let pool = Pool { settings: settings.to_owned(), is_signed_in: false, ..Pool::default() };
    let stage = pool.start().await;
    stage.ready("inst-1").await;
    let seen = stage.seen("inst-1", "sign_ins=1").await;
    let methods: Vec<&str> =
        seen["methods"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let place = |method: &str| methods.iter().position(|one| *one == method);
    assert!(
        place("config/updateEndpoint").is_some() && place("config/updateEndpoint") < place("auth/login"),
        "{methods:?}"
    );
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
    no_canary(&stage).await;
}

#[tokio::test]
async fn a_page_that_cannot_be_had_is_a_failure_that_says_so() {
    for (how, reason) in
        [("refused", "no_page"), ("error", "no_page"), ("empty", "no_page"), ("hang", "no_page_in_time")]
    {
        let settings = "start: boot, rpc_timeout: 300ms, ".to_owned();
        let scenario = json!({ "generate_url": how });
        let stage = Pool { settings, scenario, is_signed_in: false, ..Pool::default() }.start().await;
        stage.instance("inst-1", |one| one["login"]["state"] == "signed_out").await;
        begin(&stage, "inst-1").await;
        let failed = stage.instance("inst-1", |one| one["login"]["state"] == "failed").await;
        assert_eq!(failed["login"]["reason"], reason, "{how}");
    }
}

/// An account whose page is filled in by a browser.
fn by_browser(scenario: Value, password: &str) -> Pool {
    let settings = format!(
        "start: boot, accounts: [{{username: somebody, password: {password}}}], \
         login: {{automatic: true, headless: true, timeout: 60s, retries: 1}}, "
    );
    let mut whole = json!({"local_page": true, "password": "right-password"});
    if let (Some(whole), Some(further)) = (whole.as_object_mut(), scenario.as_object()) {
        whole.extend(further.clone());
    }
    Pool { settings, scenario: whole, is_signed_in: false, ..Pool::default() }
}

#[tokio::test]
async fn a_browser_fills_in_the_page_and_the_gateway_serves() {
    let stage = by_browser(json!({}), "right-password").start().await;
    stage.ready("inst-1").await;
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
    no_canary(&stage).await;
}

#[tokio::test]
async fn a_browser_stops_at_what_only_a_person_may_do() {
    for (page, reason) in
        [("slider", "slider"), ("risk", "risk_check"), ("sms", "sms_code"), ("organizations", "organization")]
    {
        let stage = by_browser(json!({ "page": page }), "right-password").start().await;
        let stopped = stage.instance("inst-1", |one| one["login"]["state"] == "needs_human").await;
        assert_eq!(stopped["login"]["reason"], reason, "{stopped}");
        assert!(stopped["login"]["url"].is_string(), "a person needs a fresh page");
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let stage = by_browser(json!({}), "wrong-password").start().await;
    let failed = stage.instance("inst-1", |one| one["login"]["state"] == "failed").await;
    assert_eq!(failed["login"]["reason"], "wrong_password");
    let seen = stage.seen("inst-1", "urls=1").await;
    assert_eq!(seen["urls"], 1);
}
