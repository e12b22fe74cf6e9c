//! The dashboard as an operator uses it, in a real browser; what is to be seen there is for the script to judge.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use testkit::{Behaviour, GatewaySettings, ScriptedProvider, TestGateway};

use crate::cli::LOCKGATE;
use crate::real_model::{assert_all_held, node, run_cases};

const ADMIN_TOKEN: &str = "lga-dashboard-0123456789abcdef";
/// Long enough to watch a countdown, and not so long that the other cases meet a backend that still rests for it.
const COOLDOWN: Duration = Duration::from_secs(40);

/// With two local processes that nobody is signed in to, and the account of a third that is no more; one that is asked to wait
/// says nothing more.
async fn gateway(folder: &Path) -> TestGateway {
    let scenario = folder.join("scenario.json");
    let items = json!([{"do": "say", "text": "begun"}, {"do": "idle"}]);
    let text = json!({"scripts": [{"when": "wait", "items": items}]}).to_string();
    std::fs::write(&scenario, text).expect("written");
    // A browser is slower than any probe: a backend that is added must not be found unwell before it is looked at.
    let config = |instances: usize| {
        format!(
            "admin: {{token: {ADMIN_TOKEN}}}\nprobe: {{enabled: false}}\nbackends:\n  - {{name: local, kind: process, \
         process: {{program: \"{}\", start: boot, instances: {instances}, environment: {{FAKE_LINGMA_SCENARIO: \"{}\"}}, \
         restart: {{pause: 20ms, pause_max: 1s}}}}}}\n",
            crate::instances::program().display(),
            scenario.display(),
        )
    };
    let mut gateway = GatewaySettings::new(LOCKGATE).config(config(3)).start().await.expect("a gateway");
    let account = Bytes::from_static(b"{\"token\": \"canary-of-the-third\"}");
    let admin = gateway.client().with_key(ADMIN_TOKEN);
    let put = admin.send(Method::PUT, "/api/admin/instances/inst-3/account", account).await;
    assert_eq!(put.expect("an answer").status, StatusCode::OK);
    gateway.stop().await.expect("it ends");
    gateway.reconfigure(&config(2)).expect("written");
    gateway.restart().await.expect("it starts again");
    gateway
}

#[tokio::test]
async fn an_operator_finds_and_does_everything_in_a_browser() {
    let (healthy, limited) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    limited.otherwise(Behaviour::rate_limited(COOLDOWN));
    let hanging = ScriptedProvider::start().await;
    hanging.otherwise(Behaviour::healthy().paced());
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = gateway(folder.path()).await;
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../control/dashboard/js");
    let mut command = node("dashboard.mjs");
    command.arg("all").env("SITE", format!("http://{}", gateway.address())).env("ADMIN_TOKEN", ADMIN_TOKEN);
    command.env("GATEWAY_PID", gateway.process_id().expect("it runs").to_string()).env("PAGES", pages);
    command.env("HEALTHY_URL", healthy.base_url()).env("LIMITED_URL", limited.base_url());
    command.env("HANGING_URL", hanging.base_url());
    let outcomes = run_cases(command, |_| {}).await;
    assert_all_held(&gateway, &outcomes, 36);
}
