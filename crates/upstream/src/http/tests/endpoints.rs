//! What is an endpoint, and what is kept to itself.

use http::HeaderMap;

use super::{Auth, Endpoint, Scene, chat};
use crate::http::EndpointError;

/// Where a call to `/chat/completions?x=1` goes for a base URL.
fn check(base_url: &str, expected: Result<&str, EndpointError>) {
    let joined = Endpoint::new(base_url, Auth::None)
        .map(|endpoint| endpoint.join("/chat/completions?x=1").expect("a path").to_string());
    assert_eq!(joined, expected.map(str::to_owned), "{base_url}");
}

#[test]
fn base_urls_are_read_as_the_sdks_read_them() {
    check("https://api.openai.com/v1", Ok("https://api.openai.com/v1/chat/completions?x=1"));
    check("https://api.openai.com", Ok("https://api.openai.com/v1/chat/completions?x=1"));
    check(" https://api.openai.com/ ", Ok("https://api.openai.com/v1/chat/completions?x=1"));
    check("https://api.groq.com/openai/v1/", Ok("https://api.groq.com/openai/v1/chat/completions?x=1"));
    check("http://[::1]:8080/v1", Ok("http://[::1]:8080/v1/chat/completions?x=1"));
    check("http://localhost:11434", Ok("http://localhost:11434/v1/chat/completions?x=1"));
    check("api.openai.com/v1", Err(EndpointError::NotAUrl));
    check("/v1", Err(EndpointError::NotAUrl));
    check("", Err(EndpointError::NotAUrl));
    check("ftp://host/v1", Err(EndpointError::Scheme));
    check("https://user:secret@host/v1", Err(EndpointError::UserInfo));
    check("https://host/v1?key=secret", Err(EndpointError::Query));
    check("https://host/v1#x", Err(EndpointError::Query));
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let new = |auth| Endpoint::new("https://host", auth).map(drop);
    assert_eq!(new(Auth::Bearer("line\nbreak")), Err(EndpointError::Credential));
    assert_eq!(
        new(Auth::Header { name: "x key", value: "v" }),
        Err(EndpointError::HeaderName("x key".to_owned()))
    );
    let endpoint = Endpoint::new("https://host", Auth::None).expect("a good URL");
    for pem in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let refused = endpoint.clone().with_certificates(pem.as_bytes());
        assert!(matches!(refused, Err(EndpointError::Certificates(_))), "{pem:?}");
    }
    assert!(endpoint.join("/models/a b").is_err());
}

#[test]
fn a_credential_is_never_printed() {
    for auth in [Auth::Bearer("sk-canary"), Auth::Header { name: "x-api-key", value: "sk-canary" }] {
        let endpoint = Endpoint::new("https://host", auth).expect("a good URL");
        let head = endpoint.head(http::Method::GET, "/models", HeaderMap::new()).expect("a path");
        for shown in [format!("{auth:?}"), format!("{endpoint:?}"), format!("{head:?}")] {
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}

#[tokio::test]
async fn an_endpoints_credential_stands_above_a_callers() {
    let scene = Scene::new().await;
    let endpoint =
        Endpoint::new(&scene.provider.base_url(), Auth::Header { name: "x-api-key", value: "sk-own" })
            .expect("a good URL");
    let mut call = chat();
    call.headers.insert("user-agent", http::HeaderValue::from_static("callers"));
    call.headers.insert("x-api-key", http::HeaderValue::from_static("callers"));
    call.headers.insert("accept", http::HeaderValue::from_static("text/event-stream"));
    let mut answer = scene.client.call(&endpoint, call).await.expect("an answer");
    answer.whole(10_000).await.expect("a body");
    let request = scene.provider.next_request().await;
    for (name, value) in [("user-agent", "callers"), ("x-api-key", "sk-own"), ("accept", "text/event-stream")]
    {
        assert_eq!(request.header(name), Some(value), "{name}");
        assert_eq!(request.headers.get_all(name).iter().count(), 1, "{name}");
    }
}
