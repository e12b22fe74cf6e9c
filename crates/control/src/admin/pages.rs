//! Decides how the browsable description of the admin API reaches a browser: from the binary, under a policy that lets
//! nothing in from outside; it holds nothing that is not in the checked-in description, so everybody may read it.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

/// In a debug build they are read from the disk.
#[derive(RustEmbed)]
#[folder = "api-docs/"]
struct Files;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// What is served: the last part of the address, the file and its type.
const SERVED: [(&str, &str, &str); 4] = [
    ("start.js", "start.js", "text/javascript; charset=utf-8"),
    ("swagger-ui.css", "vendor/swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "vendor/swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("LICENSE", "vendor/swagger-ui/LICENSE", "text/plain; charset=utf-8"),
];

pub(super) async fn page(headers: HeaderMap) -> Response {
    served(&headers, "index.html", "text/html; charset=utf-8")
}

pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match SERVED.iter().find(|(served, ..)| *served == name) {
        Some((_, path, kind)) => served(&headers, path, kind),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The same bytes have the same tag in every build, so that a browser asks for the large ones once.
fn served(asked: &HeaderMap, path: &str, kind: &'static str) -> Response {
    let Some(found) = Files::get(path) else { return StatusCode::NOT_FOUND.into_response() };
    let tag = format!("\"{}\"", hex::encode(&found.metadata.sha256_hash()[..12]));
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::ETAG, HeaderValue::try_from(tag).expect("hex in quotes is a header value")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, found.data.into_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;

    #[tokio::test]
    async fn the_page_and_what_it_names_come_from_the_binary_under_a_strict_policy() {
        let house = House::new("").await;
        let page = house.call_with("GET", "/api/docs", Vec::new(), &[]).await.expect(200);
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert!(!page.text.contains("://"), "nothing comes from elsewhere: {}", page.text);
        let named: Vec<&str> = page.text.split('"').filter(|text| text.starts_with("/api/docs/")).collect();
        assert_eq!(named.len(), 3, "{}", page.text);
        for path in named.into_iter().chain(["/api/docs", "/api/docs/LICENSE"]) {
            let first = house.call_with("GET", path, Vec::new(), &[]).await.expect(200);
            assert_eq!(first.headers["content-security-policy"], POLICY, "{path}");
            assert_eq!(first.headers["x-content-type-options"], "nosniff");
            let tag = first.headers["etag"].to_str().expect("text");
            house.call_with("GET", path, Vec::new(), &[("if-none-match", tag)]).await.expect(304);
        }
        for path in ["/api/docs/index.html", "/api/docs/NOTICE", "/api/docs/..%2fCargo.toml", "/api/docs/x"] {
            house.call_with("GET", path, Vec::new(), &[]).await.expect(404);
        }
        for inline in ["<style", "onclick", "javascript:"] {
            assert!(!page.text.contains(inline), "{inline}");
        }
    }
}
