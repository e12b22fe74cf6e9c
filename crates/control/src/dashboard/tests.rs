//! The dashboard through its router: files as they are served, and the feed as watchers hear it.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, Response};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use super::Feed;
use crate::admin::ClientAddress;
use crate::testing::{House, TOKEN};

struct Scene {
    router: Router,
    feed: Feed,
    stop: watch::Sender<bool>,
    /// Holds the store's folder.
    _house: House,
}

impl Scene {
    async fn new() -> Self {
        let house = House::new("").await;
        let stop = watch::Sender::new(false);
        let feed = Feed::new(house.admin.clone(), stop.subscribe());
        let router = super::router(house.admin.clone(), feed.clone());
        Self { router, feed, stop, _house: house }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).expect("tests write valid requests");
        request.extensions_mut().insert(ClientAddress(IpAddr::from([192, 0, 2, 7])));
        self.router.clone().oneshot(request).await.expect("the router never fails")
    }

    async fn watch(&self) -> Response<Body> {
        self.get("/dashboard/sse", &[("authorization", &format!("Bearer {TOKEN}"))]).await
    }

    /// The feed's own work, for as long as the test runs.
    async fn telling<T>(&self, test: impl Future<Output = T>) -> T {
        tokio::select! {
            () = self.feed.clone().keep_telling() => unreachable!("the feed never ends"),
            result = test => result,
        }
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> &'r str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The next frame of a feed, as its name and content.
async fn frame(stream: &mut BodyDataStream) -> (String, Value) {
    let bytes = stream.next().await.expect("the feed goes on").expect("the feed does not fail");
    let text = String::from_utf8(bytes.to_vec()).expect("the feed is text");
    let text = text.strip_prefix("retry: 3000\n\n").unwrap_or(&text);
    let (name, content) = text
        .strip_prefix("event: ")
        .and_then(|text| text.strip_suffix("\n\n")?.split_once("\ndata: "))
        .unwrap_or_else(|| panic!("no event: {text}"));
    (name.to_owned(), serde_json::from_str(content).expect("events hold JSON"))
}

#[tokio::test]
async fn files_have_their_types_and_the_page_lets_nothing_in() {
    let scene = Scene::new().await;
    for (path, status, kind) in [
        ("/dashboard", 200, "text/html; charset=utf-8"),
        ("/dashboard/", 200, "text/html; charset=utf-8"),
        ("/dashboard/backends", 200, "text/html; charset=utf-8"),
        ("/dashboard/requests/req-1", 200, "text/html; charset=utf-8"),
        ("/dashboard/js/main.js", 200, "text/javascript; charset=utf-8"),
        ("/dashboard/vendor/preact/preact.mjs", 200, "text/javascript; charset=utf-8"),
        ("/dashboard/style/tokens.css", 200, "text/css; charset=utf-8"),
        ("/dashboard/icon.svg", 200, "image/svg+xml"),
        ("/dashboard/js/nothing.js", 404, ""),
        ("/dashboard/importmap.json", 404, ""),
        ("/dashboard/vendor/preact/preact.mjs.map", 404, ""),
        ("/dashboard/../Cargo.toml", 404, ""),
        ("/dashboard/..%2f..%2fsrc%2fdashboard.js", 404, ""),
    ] {
        let response = scene.get(path, &[]).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(header(&response, "content-type"), kind, "{path}");
        if status != 200 {
            continue;
        }
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer", "{path}");
        let tag = header(&response, "etag").to_owned();
        let again = scene.get(path, &[("if-none-match", &format!("\"other\", {tag}"))]).await;
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(header(&again, "etag"), tag, "{path}");
        if kind.starts_with("text/html") {
            let policy = header(&response, "content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self' 'sha256-"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }
}

#[tokio::test]
async fn whatever_the_page_names_is_served() {
    let scene = Scene::new().await;
    let page = scene.get("/dashboard", &[]).await.into_body().collect().await.expect("pages are whole");
    let page = String::from_utf8(page.to_bytes().to_vec()).expect("pages are text");
    let (_, rest) = page.split_once("<script type=\"importmap\">").expect("the page has an import map");
    let (map, _) = rest.split_once("</script>").expect("the import map ends");
    let map: Value = serde_json::from_str(map).expect("it is JSON");
    let mapped = map["imports"].as_object().expect("it maps names").values().filter_map(Value::as_str);
    let linked = page.split('"').filter(|text| text.starts_with("/dashboard/"));
    let mut named: Vec<&str> = mapped.chain(linked).collect();
    named.sort_unstable();
    named.dedup();
    assert!(named.len() > 10, "{named:?}");
    for address in named {
        assert_eq!(scene.get(address, &[]).await.status(), 200, "{address}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_hears_the_history_and_then_a_picture_each_second() {
    let scene = Scene::new().await;
    assert_eq!(scene.get("/dashboard/sse", &[]).await.status(), 401);
    let response = scene.watch().await;
    assert_eq!(header(&response, "content-type"), "text/event-stream");
    assert_eq!(header(&response, "cache-control"), "no-store");
    let mut stream = response.into_body().into_data_stream();
    scene
        .telling(async {
            assert_eq!(frame(&mut stream).await.0, "history");
            let begun = tokio::time::Instant::now();
            for n in 0..3 {
                let (name, picture) = frame(&mut stream).await;
                assert_eq!(name, "picture");
                assert_eq!(picture["live"]["in_flight"], 0);
                assert_eq!(picture["today"]["requests"], 0);
                assert_eq!(picture["point"]["queued"], serde_json::json!([0, 0, 0, 0]));
                assert_eq!(begun.elapsed().as_secs(), n);
            }
            // Who comes later is told what was, and at once what is.
            let begun = tokio::time::Instant::now();
            let mut later = scene.watch().await.into_body().into_data_stream();
            let (name, history) = frame(&mut later).await;
            assert_eq!(name, "history");
            let watched = |point: &&Value| point["in_flight"] == 0;
            let points = history.as_array().expect("the history is a list");
            assert_eq!(points.iter().filter(watched).count(), 3, "{points:?}");
            assert_eq!(frame(&mut later).await.0, "picture");
            assert_eq!(begun.elapsed(), Duration::ZERO);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_at_while_nobody_watches() {
    let scene = Scene::new().await;
    scene
        .telling(async {
            let mut stream = scene.watch().await.into_body().into_data_stream();
            frame(&mut stream).await;
            frame(&mut stream).await;
            drop(stream);
            tokio::time::sleep(Duration::from_secs(60)).await;
            let mut stream = scene.watch().await.into_body().into_data_stream();
            let (_, history) = frame(&mut stream).await;
            let points = history.as_array().expect("the history is a list").iter();
            let watched = points.filter(|point| !point["in_flight"].is_null()).count();
            assert!(watched <= 2, "{watched} pictures were made for nobody");
            assert_eq!(frame(&mut stream).await.0, "picture");
        })
        .await;
}

#[tokio::test]
async fn there_are_only_so_many_seats_and_each_is_given_back() {
    let scene = Scene::new().await;
    let mut watchers = Vec::new();
    for _ in 0..super::feed::WATCHERS_MAX {
        let response = scene.watch().await;
        assert_eq!(response.status(), 200);
        watchers.push(response);
    }
    let refused = scene.watch().await;
    assert_eq!(refused.status(), 503);
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    watchers.pop();
    assert_eq!(scene.watch().await.status(), 200);
}

#[tokio::test]
async fn a_stop_ends_all_feeds_so_that_nothing_waits_for_a_browser() {
    let scene = Scene::new().await;
    let body = scene.watch().await.into_body();
    scene.stop.send_replace(true);
    let heard = body.collect().await.expect("the feed ends").to_bytes();
    assert!(heard.starts_with(b"retry: 3000\n\nevent: history"), "{heard:?}");
}
