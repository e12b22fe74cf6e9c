//! Decides what browsers are told of pages from elsewhere that call the data plane; never whether a call is answered.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use policy::CorsRules;

use crate::{body::Body, routes};

/// A browser asks again after ten minutes.
const KNOWN_FOR: HeaderValue = HeaderValue::from_static("600");

/// The answer to a browser that asks whether a page may call, where it may. It has no key yet.
pub(crate) fn preflight<B>(rules: &CorsRules, request: &Request<B>) -> Option<Response<Body>> {
    let asked = request.headers();
    if request.method() != Method::OPTIONS || !asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let served = routes::methods(request.uri().path());
    if served.is_empty() {
        return None;
    }
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if !permit(rules, asked.get(header::ORIGIN), headers) {
        return None;
    }
    let methods = listed(&rules.methods).unwrap_or_else(|| routes::list(&served));
    headers.extend(methods.map(|methods| (header::ACCESS_CONTROL_ALLOW_METHODS, methods)));
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let fields = listed(&rules.headers).unwrap_or(wanted);
    headers.extend(fields.map(|fields| (header::ACCESS_CONTROL_ALLOW_HEADERS, fields)));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, KNOWN_FOR);
    Some(response)
}

/// Lets a page read an answer, if it comes from where pages may call; says whether it does.
pub(crate) fn permit(rules: &CorsRules, origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
    let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|origin| rules.admit(origin))) else {
        return false;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    true
}

/// What a setting lists; nothing where it lists none.
fn listed(names: &[Box<str>]) -> Option<Option<HeaderValue>> {
    (!names.is_empty()).then(|| HeaderValue::try_from(names.join(", ")).ok())
}
