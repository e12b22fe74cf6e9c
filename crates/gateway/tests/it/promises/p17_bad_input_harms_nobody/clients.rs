//! Clients that are slow or silent: each is told or cut off in time, and nobody waits for it.

use std::time::Duration;

use policy::Health;
use testkit::{Behaviour, ScriptedProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::{CHAT, Good, assert_serves, connect, plan, read_to_end, stage};
use crate::scene::{MODEL, Scene, chat};

/// How much later than its limit a connection may be cut: it is looked at every two seconds.
const SLACK: f64 = 2.5;

fn assert_near(waited: Duration, limit: f64, context: &str) {
    let waited = waited.as_secs_f64();
    assert!((limit - 0.01..=limit + SLACK).contains(&waited), "{context}: {waited} s");
}

#[tokio::test(start_paused = true)]
async fn p17_a_silent_connection_is_closed() {
    let (_provider, scene) = stage().await;
    let began = Instant::now();
    assert_eq!(read_to_end(&mut connect(&scene).await).await, "");
    assert_near(began.elapsed(), 10.0, "no first byte");
    scene.until("no connection", |scene| !scene.tasks.counts().contains_key("connection")).await;
}

#[tokio::test(start_paused = true)]
async fn p17_a_head_that_comes_byte_by_byte_is_cut_off() {
    let (provider, scene) = stage().await;
    let mut connection = connect(&scene).await;
    let began = Instant::now();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\nx-long: {}", "a".repeat(100));
    for byte in head.bytes() {
        if connection.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(read_to_end(&mut connection).await, "");
    scene.until("no connection", |scene| !scene.tasks.counts().contains_key("connection")).await;
    assert_eq!(provider.count().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn p17_an_idle_connection_is_closed_and_a_used_one_kept() {
    let (_provider, scene) = stage().await;
    let mut connection = connect(&scene).await;
    let request = "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..3 {
        connection.write_all(request.as_bytes()).await.expect("still open");
        let mut answer = [0; 4096];
        let length = connection.read(&mut answer).await.expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        sleep(Duration::from_secs(60)).await;
    }
    connection.write_all(request.as_bytes()).await.expect("still open");
    let mut answer = [0; 4096];
    assert!(connection.read(&mut answer).await.expect("an answer") > 0);
    let began = Instant::now();
    assert_eq!(read_to_end(&mut connection).await, "");
    assert_near(began.elapsed(), 75.0, "idle");
}

/// The body stops coming: the client is told within the limit.
async fn check_stopped_body(content_type: &str, body: &str) {
    let (provider, scene) = stage().await;
    let mut connection = connect(&scene).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\ncontent-length: 5000\r\n\r\n{body}",
        if content_type.starts_with("multipart") { "/v1/audio/transcriptions" } else { CHAT }
    );
    connection.write_all(head.as_bytes()).await.expect("written");
    let began = Instant::now();
    let answer = read_to_end(&mut connection).await;
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"),
        "{content_type}: {answer}"
    );
    assert_near(began.elapsed(), 60.0, content_type);
    assert_eq!(provider.count().accepted, 0);
    assert_eq!(scene.status().accepted_total, 0);
    assert_serves(&scene, "a stopped body").await;
}

#[tokio::test(start_paused = true)]
async fn p17_a_body_that_stops_coming_is_answered_408() {
    check_stopped_body("application/json", "{\"model\":").await;
    check_stopped_body("multipart/form-data; boundary=xyz", "--xyz\r\ncontent-disposition: form-data").await;
}

/// A form whose model is known is passed on while it comes: these bytes of it, and nothing more.
async fn send_form(scene: &Scene, framing: &str, rest: &str) -> TcpStream {
    let mut connection = connect(scene).await;
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\n{framing}\r\n\
         content-type: multipart/form-data; boundary=xyz\r\n\r\n"
    );
    connection.write_all(format!("{head}{rest}").as_bytes()).await.expect("written");
    connection
}

fn form() -> String {
    format!("--xyz\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{MODEL}\r\n--xyz\r\n")
}

/// It is the client's fault, whatever the backend's own deadlines are.
async fn check_form(name: &str, framing: &str, rest: &str, want: (&str, &str, f64)) {
    let provider = ScriptedProvider::start().await;
    let scene =
        plan(&provider).backends(|spec| spec.deadlines.first_event = Duration::from_secs(20)).start().await;
    let (began, (status, code, after)) = (Instant::now(), want);
    let answer = read_to_end(&mut send_form(&scene, framing, rest).await).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code), "{name}: {answer}");
    assert_near(began.elapsed(), after, name);
    assert_eq!(provider.count().completed, 0, "{name}");
    scene.at_rest().await;
    let backend = scene.backend("b0");
    assert_eq!(
        (backend.state, backend.consecutive_failures),
        (Health::Healthy, 0),
        "{name}: nobody else is blamed"
    );
    assert_serves(&scene, name).await;
}

#[tokio::test(start_paused = true)]
async fn p17_a_form_that_goes_wrong_behind_its_model_is_the_clients_fault() {
    let (length, chunked) = ("content-length: 5000", "transfer-encoding: chunked");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let first = chunk(&form());
    check_form("it stops", length, &form(), ("408", "body_timeout", 60.0)).await;
    check_form("it stops in chunks", chunked, &first, ("408", "body_timeout", 60.0)).await;
    let large = first.clone() + &chunk(&"a".repeat(600_000)).repeat(2);
    check_form("it is too large", chunked, &large, ("413", "body_too_large", 0.0)).await;
    check_form("it is garbled", chunked, &(first + "zz\r\n"), ("400", "client_closed", 0.0)).await;
}

/// As many as it takes to be in each other's way, if they could.
const CROWD: usize = 60;

#[tokio::test(start_paused = true)]
async fn p17_a_crowd_of_slow_clients_delays_nobody() {
    let (provider, scene) = stage().await;
    let mut good = Good::start(&provider, &scene).await;
    let body = chat().to_string();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let beginnings = [
        String::new(),
        head[..head.len() / 2].to_owned(),
        head.clone(),
        format!("{head}{}", &body[..body.len() / 2]),
        format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    let mut crowd = Vec::new();
    for (index, beginning) in (0..CROWD).zip(beginnings.iter().cycle()) {
        let mut connection = connect(&scene).await;
        connection.write_all(beginning.as_bytes()).await.expect("written");
        crowd.push(connection);
        good.goes_on(&format!("beside {index} slow clients")).await;
    }
    crowd.push(send_form(&scene, "content-length: 5000", &form()).await);
    for round in 0..4 {
        sleep(Duration::from_secs(20)).await;
        good.goes_on(&format!("in round {round}")).await;
        assert_serves(&scene, "a crowd").await;
    }
    // Each of them was given its time, and no more.
    for mut connection in crowd {
        let began = Instant::now();
        read_to_end(&mut connection).await;
        assert_near(began.elapsed(), 0.0, "all of them are gone by now");
    }
    assert_eq!(scene.status().in_flight, 1);
    good.ends().await;
    scene.at_rest().await;
}

/// A client that asks and does not read holds what it was sent, and nothing else, until it is cut off.
#[tokio::test(start_paused = true)]
async fn p17_clients_that_do_not_read_are_cut_off() {
    let (provider, scene) = stage().await;
    let mut good = Good::start(&provider, &scene).await;
    let body = chat().to_string();
    let mut crowd = Vec::new();
    for index in 0..3 {
        // More than the sockets between us hold.
        provider.then(Behaviour::healthy().saying(&"many words ".repeat(1 << 20)));
        let mut connection = connect(&scene).await;
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.write_all((head + &body).as_bytes()).await.expect("written");
        crowd.push(connection);
        good.goes_on(&format!("beside {index} clients that do not read")).await;
    }
    for _ in 0..8 {
        sleep(Duration::from_secs(20)).await;
        good.goes_on("while nobody else reads").await;
    }
    scene.until("the others gone", |scene| scene.status().in_flight == 1).await;
    drop(crowd);
    good.ends().await;
    scene.at_rest().await;
}
