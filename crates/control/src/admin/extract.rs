//! Takes requests of the admin API apart; what cannot be taken apart is refused as a problem, never as bare text.

use std::fmt::Display;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, RawPathParamsRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::IntoParams;

use super::refusal::Refusal;

/// Refuses a path whose names are no text; axum's own answer to one is no problem document.
pub(super) async fn readable_path(
    names: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if let Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) = names {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_path", "a name in the path is not UTF-8"));
    }
    Ok(next.run(request).await)
}

/// A query string.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_query", plain(&rejection.body_text())))
            }
        }
    }
}

/// A query string that says two things: what `A` names is its own, and everything else is `B`'s, which refuses what it
/// does not know.
pub(crate) struct Both<A, B>(pub(crate) A, pub(crate) B);

impl<S: Send + Sync, A, B> FromRequestParts<S> for Both<A, B>
where
    A: DeserializeOwned + IntoParams,
    B: DeserializeOwned,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let names: Vec<String> = A::into_params(|| None).into_iter().map(|named| named.name).collect();
        let is_first = |pair: &&str| names.iter().any(|name| Some(name.as_str()) == pair.split('=').next());
        let pairs = parts.uri.query().unwrap_or_default().split('&');
        let (first, second): (Vec<&str>, Vec<&str>) = pairs.partition(is_first);
        Ok(Self(of_pairs(&first)?, of_pairs(&second)?))
    }
}

fn of_pairs<T: DeserializeOwned>(pairs: &[&str]) -> Result<T, Refusal> {
    let invalid = |detail: String| Refusal::new(StatusCode::BAD_REQUEST, "invalid_query", detail);
    let uri = Uri::try_from(format!("/?{}", pairs.join("&"))).map_err(|error| invalid(error.to_string()))?;
    let Query(asked) =
        Query::try_from_uri(&uri).map_err(|rejection| invalid(plain(&rejection.body_text())))?;
    Ok(asked)
}

/// What is wrong with a query, in the words of whoever wrote it.
fn plain(reason: &str) -> String {
    let own = reason.split_once("query string: ").map_or(reason, |(_, own)| own);
    own.replace("unknown field", "unknown parameter").replace("expected one of", "there are")
}

/// A body of text, bounded by the router's limit.
pub(crate) struct Text(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !says_json(request.headers()) {
            let detail = "bodies are JSON: send `content-type: application/json`";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(failure)
                if failure.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "a body has at most 1 MiB")
            }
            _ => Refusal::new(StatusCode::BAD_REQUEST, "invalid_body", "the body could not be read"),
        })?;
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Self(text)),
            Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_body", "the body is not UTF-8")),
        }
    }
}

/// What says nothing of its type is taken for JSON. What a form can send from another site is not.
fn says_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || essence == "application/merge-patch+json"
}

/// The longest number that a tag of a revision holds.
const REVISION_DIGITS_MAX: usize = 18;

/// The header that [`expected_revision`] reads, for the description of a route.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only described")]
pub(crate) struct Seen {
    /// The `ETag` that was seen last; `*` or nothing: whatever it is now.
    #[param(rename = "if-match", pattern = r#"^(\*|[0-9]{1,18}|"[0-9]{1,18}")$"#)]
    if_match: Option<String>,
}

/// The revision that a caller saw last (`If-Match`); none when it does not care.
pub(crate) fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(tag) = expected_tag(headers) else { return Ok(None) };
    let is_ours = (1..=REVISION_DIGITS_MAX).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_digit());
    let foreign =
        || Refusal::new(StatusCode::PRECONDITION_FAILED, "changed", "`If-Match` is not one of our tags");
    tag.parse().ok().filter(|_| is_ours).map(Some).ok_or_else(foreign)
}

/// The tag that a caller saw last, without its quotes; none when it does not care.
pub(crate) fn expected_tag(headers: &HeaderMap) -> Option<&str> {
    // What is no text is no tag of ours, and matches none.
    let text = headers.get(header::IF_MATCH)?.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    (text != "*").then(|| bare.unwrap_or(text))
}

/// The tag of a revision, or another one of digits and letters.
pub(crate) fn etag(revision: impl Display) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("quoted digits and letters are a header value")
}

/// The object that a body holds.
pub(crate) fn object(text: &str) -> Result<Value, Refusal> {
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the body must be an object")),
        Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_json", "the body is not JSON")),
    }
}

/// Takes fields out of an object, giving each that was there.
pub(crate) fn take(object: &mut Value, field: &str) -> Option<Value> {
    object.as_object_mut()?.remove(field)
}

/// RFC 7396: null removes, objects join, everything else replaces.
pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_that_calls_itself_something_else_is_no_json() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("multipart/form-data; boundary=application/json", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(says_json(&headers), expected, "{value:?}");
        }
        assert!(says_json(&HeaderMap::new()));
    }

    #[derive(Debug, PartialEq, serde::Deserialize, IntoParams)]
    #[serde(deny_unknown_fields)]
    struct Sought {
        from: Option<String>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize, IntoParams)]
    #[serde(deny_unknown_fields)]
    struct Paged {
        limit: Option<u8>,
    }

    #[tokio::test]
    async fn a_query_is_parted_between_two_and_nothing_is_passed_over() {
        for (query, expected) in [
            ("", Some((None, None))),
            ("?from=a%26b&limit=3", Some((Some("a&b"), Some(3)))),
            ("?limit=3&&from=", Some((Some(""), Some(3)))),
            ("?limit=3&limit=4", None),
            ("?from=1&from=2", None),
            ("?limit=x", None),
            ("?form=1", None),
            ("?from", Some((Some(""), None))),
        ] {
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.uri = format!("/x{query}").parse().expect("an address");
            let found = Both::<Sought, Paged>::from_request_parts(&mut parts, &()).await.ok();
            let found = found.map(|Both(sought, paged)| (sought.from, paged.limit));
            let expected = expected.map(|(from, limit)| (from.map(str::to_owned), limit));
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn a_wrong_query_is_told_without_the_names_of_our_own_parts() {
        let said = "Failed to deserialize query string: unknown field `bogus`, expected one of `key`, `tag`";
        assert_eq!(plain(said), "unknown parameter `bogus`, there are `key`, `tag`");
        assert_eq!(plain("limit: is no number"), "limit: is no number");
    }

    #[test]
    fn a_tag_is_one_of_ours_or_matches_nothing() {
        for (value, expected) in [
            ("\"7\"", Some(Some(7))),
            ("7", Some(Some(7))),
            ("*", Some(None)),
            ("\"7", None),
            ("W/\"7\"", None),
            ("\"+7\"", None),
            ("", None),
            ("\"1234567890123456789\"", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(value));
            assert_eq!(expected_revision(&headers).ok(), expected, "{value:?}");
        }
        assert_eq!(expected_revision(&HeaderMap::new()).ok(), Some(None));
    }

    #[test]
    fn patches_merge_as_the_standard_says() {
        for (mut target, patch, expected) in [
            (json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
            (json!({"a": 1}), json!({"a": null}), json!({})),
            (
                json!({"a": {"b": 1, "c": 2}}),
                json!({"a": {"b": null, "d": 3}}),
                json!({"a": {"c": 2, "d": 3}}),
            ),
            (json!({"a": [1]}), json!({"a": [2]}), json!({"a": [2]})),
            (json!({"a": 1}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}})),
        ] {
            merge(&mut target, patch);
            assert_eq!(target, expected);
        }
    }
}
