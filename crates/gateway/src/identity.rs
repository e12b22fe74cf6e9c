//! Decides how one request is named on every response and log line; never trusts an id that could break either.

use http::{HeaderMap, HeaderName, HeaderValue};
use policy::TicketId;
use protocol::Dialect;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static BACKEND: HeaderName = HeaderName::from_static("x-lockgate-backend");
static ATTEMPTS: HeaderName = HeaderName::from_static("x-lockgate-attempts");

/// What every response carries of its request: id, backend, attempts.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    request_id: HeaderValue,
    backend: Option<HeaderValue>,
    attempts: u8,
}

impl Stamp {
    /// Keeps the client's `x-request-id` when it matches `[A-Za-z0-9._:-]{1,128}`, else mints one from `ticket`.
    pub(crate) fn new(headers: &HeaderMap, ticket: TicketId) -> Self {
        let given = headers.get(&REQUEST_ID).filter(|value| is_acceptable(value.as_bytes()));
        let request_id = given.cloned().unwrap_or_else(|| minted(ticket));
        Self { request_id, backend: None, attempts: 0 }
    }

    /// The id as text.
    pub(crate) fn request_id(&self) -> &str {
        // Only visible ASCII is accepted or minted, so this cannot fail.
        self.request_id.to_str().unwrap_or_default()
    }

    /// The id as a header value, to be sent upstream.
    pub(crate) fn header(&self) -> HeaderValue {
        self.request_id.clone()
    }

    /// Notes the backend of the latest attempt.
    pub(crate) fn attempt(&mut self, backend: HeaderValue) {
        self.backend = Some(backend);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Names the backend that the response will tell of.
    pub(crate) fn name(&mut self, backend: HeaderValue) {
        self.backend = Some(backend);
    }

    /// Attempts so far.
    pub(crate) fn attempts(&self) -> u8 {
        self.attempts
    }

    /// Writes the id alone, for a head that goes out before any backend was found.
    pub(crate) fn write_id(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID.clone(), self.request_id.clone());
    }

    /// Writes the identity headers.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        self.write_id(headers);
        let backend = self.backend.clone().unwrap_or(HeaderValue::from_static("none"));
        headers.insert(BACKEND.clone(), backend);
        headers.insert(ATTEMPTS.clone(), HeaderValue::from(u16::from(self.attempts)));
    }
}

/// Says the id once more, where Anthropic's SDKs look for it.
pub(crate) fn repeat_id(dialect: Dialect, headers: &mut HeaderMap) {
    if dialect == Dialect::AnthropicMessages
        && let Some(id) = headers.get(&REQUEST_ID).cloned()
    {
        headers.insert("request-id", id);
    }
}

fn minted(ticket: TicketId) -> HeaderValue {
    HeaderValue::try_from(ticket.request_id()).unwrap_or(HeaderValue::from_static("req-unprintable"))
}

fn is_acceptable(id: &[u8]) -> bool {
    (1..=128).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_harmless_id_of_the_client_is_kept() {
        let longest = "a".repeat(128);
        let too_long = "a".repeat(129);
        for (given, kept) in [
            ("abc-1.2_3:4", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_str(given).expect("a header value"));
            let stamp = Stamp::new(&headers, TicketId(7));
            assert_eq!(stamp.request_id() == given, kept, "{given}");
            if !kept {
                assert_eq!(stamp.request_id().len(), "req-".len() + 26);
            }
        }
    }
}
