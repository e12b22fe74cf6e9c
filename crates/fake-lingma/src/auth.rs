//! Plays accounts: who is logged in, and the ways to become so; never a real account.

use serde_json::{Value, json};

use crate::client::Call;
use crate::files;
use crate::scenario::{GenerateUrl, SignIn};
use crate::world::World;

/// Serves `auth/*` and `login/*`.
pub(crate) async fn serve(call: Call) {
    let world = &call.world;
    let text = |name: &str| call.params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match call.method() {
        "auth/status" => call.answer(status(world)),
        "auth/logout" => {
            files::log_out(&world.start.work_dir);
            call.answer(json!({"success": true}));
            report(world).await;
        }
        "auth/login" => {
            // As indiscreet as a program can be.
            println!("signing in with {}", call.params);
            world.see(|stats| stats.logins += 1);
            if world.scenario().sign_in == SignIn::Error {
                return call.fail(-32603, "the backend cannot be reached");
            }
            let is_good = match text("loginType").as_str() {
                "personal_token" => text("personalToken") == world.scenario().personal_token,
                "ak_sk" => text("accessKey") == "good-key" && text("secretKey") == "good-secret",
                _ => false,
            };
            if is_good {
                sign_in(world).await;
            }
            call.answer(json!({"success": is_good, "url": ""}));
        }
        "login/generateUrl" => generate_url(&call).await,
        "login/auth_callback" => {
            let is_known = world.use_nonce(&text("nonce"));
            if is_known {
                sign_in(world).await;
            }
            let code = if is_known { "" } else { "INVALID_NONCE" };
            call.answer(json!({"success": is_known, "errorCode": code, "errorMsg": ""}));
        }
        _ => call.fail(-32601, "unknown method"),
    }
}

async fn generate_url(call: &Call) {
    let failed = |url: &str| json!({"success": false, "loginUrl": url, "nonce": "", "errorCode": "E", "errorMsg": "no"});
    match call.world.scenario().generate_url {
        GenerateUrl::Good => {}
        GenerateUrl::Refused => return call.answer(failed("")),
        GenerateUrl::Error => return call.fail(-32603, "backend failure"),
        GenerateUrl::Empty => return call.answer(json!({"success": true, "loginUrl": "", "nonce": ""})),
        GenerateUrl::Hang => std::future::pending().await,
    }
    let nonce = call.world.mint_nonce();
    let port = call.world.start.http_port;
    let place = match call.world.scenario().local_page {
        true => format!("http://127.0.0.1:{port}/__test/login"),
        false => "https://devops.aliyun.com/lingma/login".to_owned(),
    };
    let url = format!(
        "{place}?port={port}&state=2-{nonce}&challenge=abc&challenge_method=S256&machine_id=m-1&nonce={nonce}"
    );
    call.answer(json!({"success": true, "loginUrl": url, "nonce": nonce, "verifier": "CANARY-VERIFIER",
        "challenge": "abc", "challengeMethod": "S256", "errorCode": "", "errorMsg": ""}));
}

/// What `auth/status` says, with secrets that nobody may pass on.
pub(crate) fn status(world: &World) -> Value {
    let scenario = world.scenario();
    if !world.is_logged_in() {
        return json!({"status": 1, "id": "", "accountId": "", "name": "", "token": "", "refreshToken": "",
            "whitelist": 1});
    }
    json!({
        "status": scenario.status.unwrap_or(2),
        "id": "user-1", "accountId": "user-1", "name": "Somebody",
        "token": "CANARY-TOKEN-status", "refreshToken": "CANARY-REFRESH-status", "expireTime": 4_102_444_800_000_u64,
        "whitelist": scenario.whitelist, "userType": "personal_standard", "cloudType": "cloud",
        "privacyPolicyAgreed": true, "email": "canary@example.test",
    })
}

/// Somebody is logged in now, and everybody hears of it.
pub(crate) async fn sign_in(world: &World) {
    let _ = files::log_in(&world.start.work_dir);
    world.see(|stats| stats.sign_ins += 1);
    report(world).await;
}

pub(crate) async fn report(world: &World) {
    for client in world.clients() {
        client.push(world, "auth/report", status(world)).await;
    }
}
