//! Serves the HTTP port: the browser's callback, the sign-in page of tests, and the tests' own controls; never anything
//! to another host.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::scenario::Page;
use crate::world::World;
use crate::{auth, files};

type Answer = Response<Full<Bytes>>;

/// Serves for as long as the program runs.
pub(crate) async fn serve(listener: TcpListener, world: Arc<World>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let world = Arc::clone(&world);
        let service = service_fn(move |request| {
            let world = Arc::clone(&world);
            async move { Ok::<_, Infallible>(answer(request, &world).await) }
        });
        connections.spawn(async move {
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that hangs up is no concern of ours.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, world: &Arc<World>) -> Answer {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost") {
        return page(StatusCode::FORBIDDEN, "only from this machine");
    }
    let (path, query) = (request.uri().path().to_owned(), fields(request.uri().query().unwrap_or_default()));
    let method = request.method().clone();
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    match (method, path.as_str()) {
        (Method::GET, "/auth/callback") => callback(&query, world).await,
        (Method::GET, "/__test/login") => frame(&query),
        (Method::GET, "/__test/form") => form(&query, world),
        (Method::POST, "/__test/form") => submit(&query, &body, world),
        (Method::GET, "/__test/stats") => object(&json!(*world.stats.borrow())),
        (Method::GET, "/__test/wait") => wait(&query, world).await,
        (Method::GET, "/__test/requests") => object(&world.asks()),
        (Method::POST, "/__test/scenario") => {
            let changed = serde_json::from_slice::<Value>(&body)
                .map_err(Into::into)
                .and_then(|fields| world.change(&fields));
            match changed {
                Ok(()) => object(&json!({"ok": true})),
                Err(error) => page(StatusCode::BAD_REQUEST, &format!("{error:#}")),
            }
        }
        (Method::POST, path) => control(path, world).await,
        _ => page(StatusCode::NOT_FOUND, "no such page"),
    }
}

async fn control(path: &str, world: &Arc<World>) -> Answer {
    match path {
        "/__test/go" => world.gates.send_modify(|count| *count += 1),
        "/__test/crash" => std::process::exit(101),
        "/__test/drop" => world.clients().iter().for_each(|client| client.drop_socket()),
        "/__test/log-in" => auth::sign_in(world).await,
        "/__test/log-out" => {
            files::log_out(&world.start.work_dir);
            auth::report(world).await;
        }
        _ => return page(StatusCode::NOT_FOUND, "no such control"),
    }
    object(&json!({"ok": true}))
}

/// Answers once a number of the statistics is at least so great: `?stops=1`.
async fn wait(query: &BTreeMap<String, String>, world: &World) -> Answer {
    let mut stats = world.stats.subscribe();
    let reached = stats.wait_for(|stats| {
        let stats = json!(stats);
        query.iter().all(|(name, wanted)| match wanted.strip_prefix('=') {
            Some(exact) => stats.get(name).and_then(Value::as_u64) == exact.parse().ok(),
            None => stats.get(name).and_then(Value::as_u64) >= wanted.parse().ok(),
        })
    });
    match reached.await {
        Ok(stats) => object(&json!(*stats)),
        Err(_) => page(StatusCode::GONE, "over"),
    }
}

/// Where the browser comes back to.
async fn callback(query: &BTreeMap<String, String>, world: &World) -> Answer {
    world.see(|stats| stats.callbacks += 1);
    let nonce = query.get("state").and_then(|state| state.strip_prefix("2-")).unwrap_or_default();
    if query.get("auth").is_none_or(String::is_empty) || !world.use_nonce(nonce) {
        return page(StatusCode::BAD_REQUEST, "this login is not known, or over");
    }
    auth::sign_in(world).await;
    page(StatusCode::OK, "<h1>Logged in</h1>")
}

/// The sign-in page: the form is in a frame, as on the real one.
fn frame(query: &BTreeMap<String, String>) -> Answer {
    let nonce = query.get("nonce").map(String::as_str).unwrap_or_default();
    let content = format!(
        "<h1>Sign in</h1><iframe id=\"alibaba-login-box\" src=\"/__test/form?nonce={nonce}\"></iframe>"
    );
    page(StatusCode::OK, &content)
}

fn form(query: &BTreeMap<String, String>, world: &World) -> Answer {
    let nonce = query.get("nonce").map(String::as_str).unwrap_or_default();
    let fields = format!(
        "<form method=post action=\"/__test/form?nonce={nonce}\"><input id=fm-login-id name=user>\
         <input id=fm-login-password type=password name=password>\
         <button class=\"fm-button fm-submit password-login\" type=submit>Sign in</button></form>"
    );
    let extra = match world.scenario().page {
        Page::Form => "",
        Page::Slider => "<span id=nc_1_n1z>slide</span>",
        Page::Strange => return page(StatusCode::OK, "<p>We are doing maintenance.</p>"),
        Page::Remembered => return back(nonce, world),
        // These come after the form.
        Page::Risk | Page::Sms | Page::Organizations => "",
    };
    page(StatusCode::OK, &format!("{fields}{extra}"))
}

fn submit(query: &BTreeMap<String, String>, body: &Bytes, world: &World) -> Answer {
    let nonce = query.get("nonce").map(String::as_str).unwrap_or_default();
    let given = fields(&String::from_utf8_lossy(body));
    world.see(|stats| stats.methods.push("page:submit".to_owned()));
    if given.get("password") != Some(&world.scenario().password) {
        let wrong = "<div id=login-error class=login-error-msg>The account name or password is wrong</div>";
        return page(StatusCode::OK, wrong);
    }
    match world.scenario().page {
        Page::Risk => page(StatusCode::OK, "<iframe id=baxia-dialog-content></iframe>"),
        Page::Sms => page(StatusCode::OK, "<input id=smsCode>"),
        Page::Organizations => page(StatusCode::OK, "<ul class=organization-list><li>A<li>B</ul>"),
        Page::Form | Page::Slider | Page::Strange | Page::Remembered => back(nonce, world),
    }
}

/// Sends the whole window to the callback.
fn back(nonce: &str, world: &World) -> Answer {
    let port = world.start.http_port;
    let url = format!(
        "http://127.0.0.1:{port}/auth/callback?state=2-{nonce}&auth=CANARY-AUTH&token=CANARY-TOKEN-page"
    );
    page(StatusCode::OK, &format!("<script>window.top.location.href = \"{url}\"</script>"))
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let decoded = |part: &str| {
        percent_encoding::percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn page(status: StatusCode, text: &str) -> Answer {
    let html = format!("<!doctype html><meta charset=utf-8><title>fake</title>{text}");
    respond(status, "text/html; charset=utf-8", html)
}

fn object(value: &Value) -> Answer {
    respond(StatusCode::OK, "application/json", value.to_string())
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}
