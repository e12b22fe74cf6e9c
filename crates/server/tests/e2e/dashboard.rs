//! The dashboard as an operator uses it, in a real browser; what is to be seen there is for the script to judge.

use std::path::Path;
use std::time::Duration;

use testkit::{Behaviour, GatewaySettings, ScriptedProvider, TestGateway};

use crate::cli::LOCKGATE;
use crate::real_model::{assert_all_held, node, run_cases};

const ADMIN_TOKEN: &str = "lga-dashboard-0123456789abcdef";
/// Long enough to watch a countdown, and not so long that the other cases meet a backend that still rests for it.
const COOLDOWN: Duration = Duration::from_secs(40);

async fn gateway() -> TestGateway {
    // A browser is slower than any probe: a backend that is added must not be found unwell before it is looked at.
    let config = format!("admin: {{token: {ADMIN_TOKEN}}}\nprobe: {{enabled: false}}\n");
    GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway")
}

#[tokio::test]
async fn an_operator_finds_and_does_everything_in_a_browser() {
    let (healthy, limited) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    limited.otherwise(Behaviour::rate_limited(COOLDOWN));
    let hanging = ScriptedProvider::start().await;
    hanging.otherwise(Behaviour::healthy().paced());
    let gateway = gateway().await;
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../control/dashboard/js");
    let mut command = node("dashboard.mjs");
    command.arg("all").env("SITE", format!("http://{}", gateway.address())).env("ADMIN_TOKEN", ADMIN_TOKEN);
    command.env("GATEWAY_PID", gateway.process_id().expect("it runs").to_string()).env("PAGES", pages);
    command.env("HEALTHY_URL", healthy.base_url()).env("LIMITED_URL", limited.base_url());
    command.env("HANGING_URL", hanging.base_url());
    let outcomes = run_cases(command, |_| {}).await;
    assert_all_held(&gateway, &outcomes, 25);
}
