//! Signing in: by a page and a person, by a token, by a browser; and what nobody must ever read.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::stage::{Pool, Stage};
use crate::cli::Shell;

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
    for secret in ["CANARY", "right-password", "good-token", "good-secret"] {
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
    // The program may say so itself, with somebody's name still there.
    for (status, reason) in [(3, "expired"), (5, "network"), (7, "application_disabled")] {
        stage.change("inst-1", &json!({ "status": status })).await;
        stage.order("inst-1", "/__test/log-in").await;
        stage.instance("inst-1", |one| one["login"]["reason"] == reason && one["ready"] == false).await;
        assert_eq!(stage.told("hi").await, "echo:[user] hi");
    }
    stage.change("inst-1", &json!({"status": null})).await;
    stage.order("inst-1", "/__test/log-in").await;
    stage.all_ready().await;
}

#[tokio::test]
async fn a_login_that_hangs_holds_nobody_up() {
    let stage = Pool { instances: 2, ..Pool::default() }.start().await;
    stage.all_ready().await;
    stage.change("inst-1", &json!({"generate_url": "hang"})).await;
    stage.order("inst-1", "/__test/log-out").await;
    stage.instance("inst-1", |one| one["login"]["state"] == "signed_out").await;
    assert_eq!(begin(&stage, "inst-1").await.1["state"], "running");
    stage.seen("inst-1", "urls=0").await;
    for _ in 0..4 {
        assert_eq!(stage.told("hi").await, "echo:[user] hi");
    }
    let logins = stage.admin().get("/internal/auto-login/status").await.expect("an answer").json().await;
    let logins = logins.expect("JSON");
    let states: Vec<&Value> =
        logins["instances"].as_array().expect("a list").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["running", "signed_in"], "{logins}");
    assert_eq!(stage.seen("inst-1", "").await["asks"], 0);
}

/// A browser on this machine needs nobody to paste anything.
#[tokio::test]
async fn a_page_that_was_signed_in_on_this_machine_completes_by_itself() {
    let stage = Pool { is_signed_in: false, ..Pool::default() }.start().await;
    stage.instance("inst-1", |one| one["login"]["state"] == "signed_out").await;
    begin(&stage, "inst-1").await;
    let one = stage.instance("inst-1", |one| one["login"]["url"].is_string()).await;
    let state =
        one["login"]["url"].as_str().and_then(|url| url.split('&').find(|pair| pair.starts_with("state=")));
    let path = format!("/auth/callback?{}&auth=a&token=t", state.expect("a state"));
    let answer = stage.control("inst-1").await.get(&path).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    stage.ready("inst-1").await;
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
}

/// Both ways without a page, and whatever becomes of the address of the accounts: it is switched first, and one that cannot
/// be switched keeps nobody outside.
#[tokio::test]
async fn a_token_or_a_key_signs_in_without_a_page_after_the_endpoint_was_switched() {
    let key = "{access_key: good-key, secret_key: good-secret, organization: o}";
    for (account, switch) in
        [("{token: good-token}", "good"), (key, "good"), ("{token: good-token}", "fail"), (key, "hang")]
    {
        let settings = format!(
            "start: boot, rpc_timeout: 1s, endpoint: \"https://tenant.example.test\", accounts: [{account}], \
             login: {{automatic: true}}, "
        );
        let scenario = json!({ "update_endpoint": switch });
        let stage = Pool { settings, scenario, is_signed_in: false, ..Pool::default() }.start().await;
        stage.ready("inst-1").await;
        let seen = stage.seen("inst-1", "sign_ins=1").await;
        let methods: Vec<&str> =
            seen["methods"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let place = |method: &str| methods.iter().position(|one| *one == method);
        let switched = place("config/updateEndpoint");
        assert!(switched.is_some() && switched < place("auth/login"), "{account}, {switch}: {methods:?}");
        assert_eq!(stage.told("hi").await, "echo:[user] hi");
        no_canary(&stage).await;
    }
}

#[tokio::test]
async fn a_token_or_a_key_that_is_not_taken_is_a_failure_that_says_so() {
    for (account, reason) in [
        ("{token: another-token}", "token_refused"),
        ("{access_key: good-key, secret_key: another-secret}", "key_refused"),
    ] {
        let settings = format!("start: boot, accounts: [{account}], login: {{automatic: true}}, ");
        let stage = Pool { settings, is_signed_in: false, ..Pool::default() }.start().await;
        let failed = stage.instance("inst-1", |one| one["login"]["state"] == "failed").await;
        assert_eq!(failed["login"]["reason"], reason, "{account}");
    }
}

/// Before any has started nobody knows which of them will be ready first.
#[tokio::test]
async fn a_first_question_goes_to_whoever_is_ready_while_another_is_signed_in() {
    let settings = "rpc_timeout: 60s, endpoint: \"https://tenant.example.test\", login: {automatic: true}, \
                    accounts: [{token: t}, {token: t}], ";
    for signed_in in [1, 2] {
        let scenario = json!({"update_endpoint": "hang"});
        let settings = settings.to_owned();
        let pool = Pool { settings, scenario, instances: 2, is_signed_in: false, ..Pool::default() };
        let stage = pool.start().await;
        let user = stage.work_dir(signed_in).join("cache/user");
        std::fs::write(user, "fake-lingma: logged in").expect("written");
        assert_eq!(stage.told("hi").await, "echo:[user] hi");
        let other = format!("inst-{}", 3 - signed_in);
        let waits = stage.instance(&other, |one| one["login"]["state"] == "running").await;
        assert_eq!(
            (&waits["login"]["reason"], &waits["in_flight"]),
            (&json!("endpoint"), &json!(0)),
            "{waits}"
        );
    }
}

/// A chat that comes while somebody is being signed in waits for that, and no longer than signing in may take.
#[tokio::test]
async fn a_question_waits_for_a_login_that_is_under_way() {
    for is_successful in [true, false] {
        // Whoever does not answer keeps the login at its first step.
        let settings = "rpc_timeout: 60s, endpoint: \"https://tenant.example.test\", accounts: [{token: t}], \
                        login: {automatic: true, timeout: 2s}, ";
        let scenario = json!({"update_endpoint": "hang"});
        let pool = Pool { settings: settings.to_owned(), scenario, is_signed_in: false, ..Pool::default() };
        let stage = pool.start().await;
        let (answer, ()) = tokio::join!(stage.ask("hi"), async {
            let under_way = |one: &Value| one["login"]["reason"] == "endpoint" && one["in_flight"] == 1;
            stage.instance("inst-1", under_way).await;
            if is_successful {
                stage.order("inst-1", "/__test/log-in").await;
            }
        });
        let (status, body) = answer;
        if is_successful {
            assert_eq!(body["choices"][0]["message"]["content"], "echo:[user] hi", "{body}");
        } else {
            let code = (status, &body["error"]["code"]);
            assert_eq!(code, (StatusCode::SERVICE_UNAVAILABLE, &json!("backend_not_ready")), "{body}");
            assert!(!body.to_string().contains("endpoint"), "nothing of the vendor's: {body}");
        }
        stage.is_at_rest().await;
    }
}

/// Nobody was told that the account is signed out: the turn itself shows it, and the next one does not meet it.
#[tokio::test]
async fn a_turn_that_ends_for_want_of_a_login_moves_on_and_the_instance_is_no_candidate() {
    for how in ["finish401", "refuse"] {
        let scenario = json!({ "logged_out_ask": how });
        let stage = Pool { instances: 2, scenario, ..Pool::default() }.start().await;
        stage.all_ready().await;
        std::fs::remove_file(stage.work_dir(1).join("cache/user")).expect("removed");
        let mut meets = 0;
        for number in 0..20 {
            assert_eq!(
                stage.told(&format!("hi {number}")).await,
                format!("echo:[user] hi {number}"),
                "{how}"
            );
            meets = stage.seen("inst-1", "").await["asks"].as_u64().unwrap_or_default();
        }
        assert_eq!(meets, 1, "{how}: it is met once");
        stage.instance("inst-1", |one| one["login"]["state"] == "signed_out").await;
        stage.order("inst-1", "/__test/log-in").await;
        stage.all_ready().await;
        stage.order("inst-2", "/__test/log-out").await;
        stage.instance("inst-2", |one| one["login"]["state"] == "signed_out").await;
        assert_eq!(stage.told("again").await, "echo:[user] again", "{how}: whoever is back serves at once");
        stage.is_at_rest().await;
    }
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

/// An account belongs to a place; where the pool has become smaller, it is found and removed all the same.
#[tokio::test]
async fn an_account_whose_instance_is_no_more_is_removed_at_the_command_line() {
    let mut stage = Pool { instances: 2, is_signed_in: false, ..Pool::default() }.start().await;
    let account = Bytes::from_static(b"{\"token\": \"good-token\"}");
    let put = stage.admin().send(Method::PUT, "/api/admin/instances/inst-2/account", account).await;
    assert_eq!(put.expect("an answer").status, StatusCode::OK);
    stage.shrink();
    stage.gateway.stop().await.expect("it ends");
    stage.gateway.restart().await.expect("it starts again");
    stage.gateway.line(|line| line.contains("lingma/2: there is no such instance")).await;
    let config = stage.gateway.config_path().display().to_string();
    let data = stage.gateway.data().display().to_string();
    let shell = Shell::new();
    let place = ["--config", &config, "--data-dir", &data, "instance-accounts"];
    let typed = |arguments: &[&'static str]| [place.as_slice(), arguments].concat();
    let listed = shell.json(&typed(&["list", "--json"])).await;
    let problem = "there is no such instance";
    let want = json!([{"place": "lingma/2", "instance": null, "signs_in_with": "token", "problem": problem}]);
    assert_eq!(listed, want);
    let told = shell.ok(&typed(&["list"])).await;
    assert!(told.contains("lingma/2") && !told.contains("good-token"), "{told}");
    shell.ok(&typed(&["remove", "lingma/2"])).await;
    let again = shell.run(&typed(&["remove", "lingma/2"])).await;
    assert!(again.code == Some(1) && again.stderr.contains("instance-accounts list"), "{again:?}");
    assert_eq!(shell.json(&typed(&["list", "--json"])).await, json!([]));
    no_canary(&stage).await;
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
async fn a_browser_that_is_remembered_needs_no_form() {
    let stage = by_browser(json!({"page": "remembered"}), "wrong-password").start().await;
    stage.ready("inst-1").await;
    let seen = stage.seen("inst-1", "callbacks=1").await;
    assert!(!seen["methods"].to_string().contains("page:submit"), "{seen}");
}

#[tokio::test]
async fn a_browser_that_fails_is_tried_again_with_a_fresh_page_each_time() {
    let settings = "start: boot, accounts: [{username: somebody, password: right-password}], \
                    login: {automatic: true, headless: true, driver: /nowhere/at/all, retries: 2}, ";
    let pool = Pool { settings: settings.to_owned(), is_signed_in: false, ..Pool::default() };
    let stage = pool.start().await;
    let failed = stage.instance("inst-1", |one| one["login"]["state"] == "failed").await;
    assert_eq!(failed["login"]["reason"], "page_fault");
    assert_eq!(stage.seen("inst-1", "").await["urls"], 3);
}

/// A page that has changed, or is down, and looks like nothing that anybody knows.
#[tokio::test]
async fn a_page_that_shows_nothing_that_is_known_is_given_up() {
    let mut pool = by_browser(json!({"page": "strange"}), "right-password");
    pool.settings = pool.settings.replace("retries: 1", "retries: 1, page_timeout: 1s");
    let stage = pool.start().await;
    let failed = stage.instance("inst-1", |one| one["login"]["state"] == "failed").await;
    assert_eq!(
        (&failed["login"]["reason"], &failed["login"]["retry"]),
        (&json!("page_fault"), &json!("later"))
    );
    let seen = stage.seen("inst-1", "").await;
    assert_eq!(seen["urls"], 2, "{seen}");
    assert!(!seen["methods"].to_string().contains("page:submit"), "nothing was typed anywhere: {seen}");
    no_canary(&stage).await;
}

/// Signed in by itself, with a token; what fails is tried again soon.
fn by_token(token: &str, scenario: Value) -> Pool {
    let settings = format!(
        "start: boot, accounts: [{{token: {token}}}], login: {{automatic: true, pause: 200ms, pause_max: 200ms}}, "
    );
    Pool { settings, scenario, is_signed_in: false, ..Pool::default() }
}

/// A question waits for the login that it has begun; before the pause is over it begins none.
#[tokio::test]
async fn a_login_that_failed_is_tried_again_with_a_question_after_a_pause() {
    let stage = by_token("good-token", json!({"sign_in": "error"})).start().await;
    let rested = |one: &Value| one["login"]["retry"] == "next_request";
    let failed = stage.instance("inst-1", rested).await;
    assert_eq!(
        (&failed["login"]["state"], &failed["login"]["reason"]),
        (&json!("failed"), &json!("login_error"))
    );
    assert_eq!(stage.seen("inst-1", "").await["logins"], 1, "nobody has asked");

    let (status, body) = stage.ask("in vain").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("backend_not_ready"))
    );
    assert_eq!(stage.seen("inst-1", "").await["logins"], 2, "one question, one login");

    stage.instance("inst-1", rested).await;
    stage.change("inst-1", &json!({"sign_in": "judged"})).await;
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
    assert_eq!(stage.seen("inst-1", "sign_ins=1").await["logins"], 3);
    assert_eq!(stage.ready("inst-1").await["login"]["retry"], Value::Null);

    // What its sibling is asked helps it, too, and waits for nothing.
    let mut pool = by_token("good-token", json!({"sign_in": "error"}));
    pool.instances = 2;
    let stage = pool.start().await;
    stage.instance("inst-1", rested).await;
    stage.order("inst-2", "/__test/log-in").await;
    stage.ready("inst-2").await;
    stage.change("inst-1", &json!({"sign_in": "judged"})).await;
    assert_eq!(stage.told("hi").await, "echo:[user] hi");
    stage.ready("inst-1").await;
}

/// Not by questions, and not by a start of the program; a person may, and another account is another matter.
#[tokio::test]
async fn what_was_refused_is_not_tried_again_by_anybody_but_a_person() {
    let stage = by_token("wrong-token", json!({})).start().await;
    let refused = |one: &Value| one["login"]["retry"] == "never" && one["state"] == "ready";
    assert_eq!(stage.instance("inst-1", refused).await["login"]["reason"], "token_refused");
    assert_eq!(stage.ask("hi").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stage.seen("inst-1", "").await["logins"], 1);

    stage.order("inst-1", "/__test/crash").await;
    let again = |one: &Value| one["restarts"] == 1 && refused(one);
    assert_eq!(stage.instance("inst-1", again).await["login"]["reason"], "token_refused");
    assert_eq!(stage.seen("inst-1", "").await["logins"], 0, "the new process was given nothing");

    begin(&stage, "inst-1").await;
    stage.seen("inst-1", "logins=1").await;
    stage.instance("inst-1", refused).await;
    stage.change("inst-1", &json!({"personal_token": "wrong-token"})).await;
    stage.admin().post("/api/admin/instances/inst-1/reset", &json!({})).await.expect("an answer");
    assert_eq!(stage.ready("inst-1").await["login"]["state"], "signed_in");
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
