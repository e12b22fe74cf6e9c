//! Logging in and out, what a session may do and for how long, and who is slowed down.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{IDLE, TOTAL};
use crate::testing::{Answer, House, TOKEN};

type Headers<'a> = &'a [(&'a str, &'a str)];

/// What a browser keeps of a login.
struct Browser {
    cookie: String,
    csrf: String,
}

async fn login(house: &House, token: &str, headers: Headers<'_>) -> Answer {
    let body = json!({"token": token}).to_string().into_bytes();
    house.call_with("POST", "/api/admin/session", body, headers).await
}

async fn logged_in(house: &House, token: &str) -> Browser {
    let answer = login(house, token, &[("sec-fetch-site", "same-origin")]).await.expect(200);
    let set = answer.headers["set-cookie"].to_str().expect("text");
    let cookie = set.split(';').next().expect("a pair").to_owned();
    Browser { cookie, csrf: answer.str("/csrf").to_owned() }
}

impl Browser {
    async fn call(&self, house: &House, method: &str, path: &str, headers: Headers<'_>) -> Answer {
        let cookie = format!("theme=dark; {}", self.cookie);
        let mut all = vec![("cookie", cookie.as_str())];
        all.extend(headers);
        house.call_with(method, path, Vec::new(), &all).await
    }
}

#[tokio::test]
async fn a_cookie_stands_for_the_token_until_it_is_logged_out() {
    let house = House::new("").await;
    let answer = login(&house, TOKEN, &[("origin", "http://127.0.0.1:9190")]).await.expect(200);
    assert_eq!((answer.str("/role"), answer.str("/name")), ("admin", "admin"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    let set = answer.headers["set-cookie"].to_str().expect("text");
    assert!(set.starts_with("lockgate_session=lgs-"), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"), "{set}");
    assert!(!answer.text.contains("lgs-"), "a script never reads the id");
    for https in [("origin", "https://gate.example"), ("x-forwarded-proto", "https")] {
        let answer = login(&house, TOKEN, &[https]).await.expect(200);
        assert!(answer.headers["set-cookie"].to_str().expect("text").ends_with("; Secure"), "{https:?}");
    }

    let browser = logged_in(&house, TOKEN).await;
    let shown = browser.call(&house, "GET", "/api/admin/session", &[]).await.expect(200);
    assert_eq!((shown.str("/role"), shown.str("/csrf")), ("admin", browser.csrf.as_str()));
    assert!(shown.str("/expires").ends_with('Z'), "{}", shown.text);
    browser.call(&house, "GET", "/api/admin/backends", &[]).await.expect(200);
    let by_token = house.call("GET", "/api/admin/session", "").await.expect(200);
    assert_eq!((by_token.str("/role"), &by_token.json["csrf"]), ("admin", &Value::Null));
    house.call("DELETE", "/api/admin/session", "").await.expect(204);

    let csrf = ("x-csrf-token", browser.csrf.as_str());
    let out = browser.call(&house, "DELETE", "/api/admin/session", &[csrf]).await.expect(204);
    assert!(out.headers["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    browser.call(&house, "GET", "/api/admin/session", &[]).await.expect(401);
}

#[tokio::test]
async fn only_our_own_page_changes_anything() {
    let house = House::new("").await;
    let browser = logged_in(&house, TOKEN).await;
    let other = logged_in(&house, TOKEN).await;
    let csrf = ("x-csrf-token", browser.csrf.as_str());
    for (headers, status) in [
        (vec![], 403),
        (vec![("x-csrf-token", "")], 403),
        (vec![("x-csrf-token", other.csrf.as_str())], 403),
        (vec![csrf, ("sec-fetch-site", "cross-site")], 403),
        (vec![csrf, ("sec-fetch-site", "same-site")], 403),
        (vec![csrf, ("sec-fetch-site", "none")], 403),
        (vec![csrf], 200),
        (vec![csrf, ("sec-fetch-site", "same-origin")], 200),
    ] {
        let answer = browser.call(&house, "POST", "/api/admin/reload", &headers).await.expect(status);
        assert_eq!(answer.str_or_empty("/code"), if status == 403 { "csrf" } else { "" }, "{headers:?}");
    }
    let foreign = login(&house, TOKEN, &[("sec-fetch-site", "cross-site")]).await.expect(403);
    assert_eq!(foreign.str("/code"), "csrf");
    login(&house, TOKEN, &[("content-type", "text/plain")]).await.expect(415);
    for body in ["", "{}", "[]", "{\"token\": 5}", "{\"token\": \"\"}", "{\"token\": \"a\", \"b\": 1}"] {
        let answer = house.call_with("POST", "/api/admin/session", body.into(), &[]).await.expect(422);
        assert_eq!(answer.str("/errors/0/path"), "token", "{body}");
    }
    login(&house, &"x".repeat(513), &[]).await.expect(422);
}

#[tokio::test]
async fn a_session_ends_when_it_is_old_or_idle_and_lives_on_while_it_is_used() {
    let house = House::new("").await;
    let pass = |time: std::time::Duration| {
        let passed = i64::try_from(time.as_millis()).expect("it is small");
        house.now.fetch_add(passed, Ordering::Relaxed);
    };
    let (idle, busy) = (logged_in(&house, TOKEN).await, logged_in(&house, TOKEN).await);
    pass(IDLE / 2);
    busy.call(&house, "GET", "/status", &[]).await.expect(200);
    pass(IDLE / 2);
    idle.call(&house, "GET", "/status", &[]).await.expect(401);
    for _ in 0..(TOTAL.as_secs() / (IDLE / 2).as_secs() - 3) {
        busy.call(&house, "GET", "/status", &[]).await.expect(200);
        pass(IDLE / 2);
    }
    busy.call(&house, "GET", "/status", &[]).await.expect(200);
    pass(IDLE / 2);
    busy.call(&house, "GET", "/status", &[]).await.expect(401);
}

#[tokio::test]
async fn a_session_may_what_its_token_may_now() {
    let house = House::new("").await;
    let made = house.call("POST", "/api/admin/tokens", "{\"name\": \"eve\", \"role\": \"operator\"}").await;
    let made = made.expect(201);
    let browser = logged_in(&house, made.str("/token")).await;
    let csrf = ("x-csrf-token", browser.csrf.as_str());
    browser.call(&house, "POST", "/api/admin/reload", &[csrf]).await.expect(200);
    browser.call(&house, "GET", "/api/admin/tokens", &[]).await.expect(403);
    house.call("DELETE", "/api/admin/tokens/eve", "").await.expect(204);
    browser.call(&house, "GET", "/status", &[]).await.expect(401);
}

#[tokio::test]
async fn guessing_tokens_is_slowed_and_old_cookies_are_no_guesses() {
    let house = House::new("").await;
    let browser = logged_in(&house, TOKEN).await;
    for _ in 0..20 {
        let stale = [("cookie", "lockgate_session=lgs-old")];
        house.call_with("GET", "/status", Vec::new(), &stale).await.expect(401);
        house.call_with("GET", "/status", Vec::new(), &[]).await.expect(401);
    }
    for _ in 0..10 {
        assert_eq!(login(&house, "lga-wrong", &[]).await.expect(401).str("/code"), "unauthorized");
    }
    let slowed = login(&house, TOKEN, &[]).await.expect(429);
    assert!(slowed.headers.contains_key("retry-after"));
    house.call("GET", "/status", "").await.expect(429);
    browser.call(&house, "GET", "/status", &[]).await.expect(200);
}
