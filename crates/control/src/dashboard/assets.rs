//! Decides how the dashboard's files reach a browser: from the binary, with their types, tags and a policy that lets
//! nothing in from outside; it never serves a file that is not part of the dashboard.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rust_embed::{EmbeddedFile, RustEmbed};

/// In a debug build they are read from the disk, so that an edit is seen at once.
#[derive(RustEmbed)]
#[folder = "dashboard/"]
struct Files;

/// Where `index.html` takes the import map. Browsers read only one that is written into the page.
const IMPORT_MAP_PLACE: &str = "<!-- importmap.json -->";

/// Everything from here, nothing from elsewhere, no script but files and the one import map that is named by its hash.
fn content_policy(import_map: &EmbeddedFile) -> String {
    let hash = STANDARD.encode(import_map.metadata.sha256_hash());
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )
}

/// The one page; its script shows what the rest of the address names.
pub(super) async fn page(headers: HeaderMap) -> Response {
    let (Some(page), Some(import_map)) = (Files::get("index.html"), Files::get("importmap.json")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let text = String::from_utf8_lossy(&page.data).replacen(
        IMPORT_MAP_PLACE,
        &String::from_utf8_lossy(&import_map.data),
        1,
    );
    let tag = tag(&[&page, &import_map]);
    let mut response = answer(&headers, tag, "text/html; charset=utf-8", Cow::Owned(text.into_bytes()));
    let policy = HeaderValue::try_from(content_policy(&import_map)).expect("a hash in base64 is plain text");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// A file, or the page when the path names one of its views.
pub(super) async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(kind) = kind_of(&path) else {
        // Views have no dot in their names: a missing file is not answered with a page.
        let is_view = !path.rsplit('/').next().unwrap_or_default().contains('.');
        return if is_view { page(headers).await } else { StatusCode::NOT_FOUND.into_response() };
    };
    match Files::get(&path) {
        Some(found) => answer(&headers, tag(&[&found]), kind, found.data),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The types of what there is; a file of another type is not served.
fn kind_of(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "js" | "mjs" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "woff2" => Some("font/woff2"),
        "txt" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

/// The same bytes have the same tag in every build.
fn tag(files: &[&EmbeddedFile]) -> String {
    let whole: String = files.iter().map(|file| hex::encode(&file.metadata.sha256_hash()[..12])).collect();
    format!("\"{whole}\"")
}

fn answer(asked: &HeaderMap, tag: String, kind: &'static str, data: Cow<'static, [u8]>) -> Response {
    let known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag));
    let fixed: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        // A tab that is opened after an upgrade must not run the old script with the new API.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let tag = [(header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, fixed, tag).into_response();
    }
    (fixed, tag, Body::from(data)).into_response()
}
