//! Reads what an upstream says has gone wrong, in whatever shape it says it; never quotes what was asked of it.

use std::time::Duration;

use serde_json::Value;

use super::{Failure, FailureKind, redact, retry_after};

/// Error bodies are sentences; a longer one is a page, whose beginning is not worth parsing.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// What an error says of itself, whichever of the known shapes it has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorText {
    pub(crate) message: String,
    code: String,
    kind: String,
    status: Option<u16>,
    /// How long it asks us to stay away.
    retry_after: Option<Duration>,
}

impl ErrorText {
    /// Reads an error body or the value of an `error` field. Everything but a message, a code and a type stays unread:
    /// validation errors like to repeat the whole request.
    pub(crate) fn read(body: &[u8]) -> Self {
        let value = match body.len() {
            0..=ERROR_BODY_BYTES_MAX => serde_json::from_slice(body).unwrap_or(Value::Null),
            _ => Value::Null,
        };
        Self::of(&value).unwrap_or_default()
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(message) => Some(ErrorText { message: message.clone(), ..ErrorText::default() }),
            Value::Array(values) => values.first().and_then(Self::of_object),
            Value::Object(_) => Self::of_object(value),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    fn of_object(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        match object.get("error") {
            // `error` may be the whole story or only its title.
            Some(inner @ (Value::Object(_) | Value::Array(_))) => return Self::of(inner),
            Some(Value::String(title)) if !object.contains_key("message") => {
                return Some(ErrorText { message: title.clone(), ..Self::fields(object) });
            }
            _ => {}
        }
        let mut text = Self::fields(object);
        if text.message.is_empty() {
            // FastAPI: `detail` is a text, or a list of objects with a `msg` and the offending input.
            let detail = object.get("detail");
            let first = detail
                .and_then(Value::as_array)
                .and_then(|list| list.first())
                .and_then(|item| item.get("msg"));
            text.message =
                [detail, first].into_iter().flatten().find_map(Value::as_str).unwrap_or_default().to_owned();
        }
        (text != ErrorText::default()).then_some(text)
    }

    fn fields(object: &serde_json::Map<String, Value>) -> Self {
        let text = |name: &str| object.get(name).map(plain).unwrap_or_default();
        let status = ["status", "status_code", "code"].into_iter().find_map(|name| {
            let number = plain(object.get(name)?).parse::<u16>().ok()?;
            (400..600).contains(&number).then_some(number)
        });
        let mut error = ErrorText {
            message: text("message"),
            code: text("code"),
            kind: text("type"),
            status,
            retry_after: None,
        };
        if error.kind.is_empty() && object.get("status").is_some_and(Value::is_string) {
            // Google's: `status` names the error, and the details say more.
            error.kind = text("status");
            error.read_details(object.get("details"));
        }
        error
    }

    /// Google's details: the reason is a better code than the status again, and one of them may say when to come back.
    fn read_details(&mut self, details: Option<&Value>) {
        let details = details.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |name: &str| details.iter().find_map(|detail| detail.get(name)?.as_str());
        if let Some(reason) = text("reason") {
            reason.clone_into(&mut self.code);
        }
        self.retry_after = text("retryDelay").and_then(retry_after::delay);
    }

    /// Google answers with 400 to what others answer with 401 or 403.
    fn tells_of_a_bad_account(&self) -> bool {
        let tells = |what: &[&str]| what.iter().any(|what| self.message.contains(what));
        self.says(&["API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"])
            || tells(&["API key not valid", "API key expired"])
            || self.says(&["FAILED_PRECONDITION"]) && tells(&["location is not supported", "billing"])
    }

    fn says(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.code.eq_ignore_ascii_case(name) || self.kind.eq_ignore_ascii_case(name))
    }

    /// There is no code for it at half of the servers, so the sentence has to do.
    fn tells_of_a_missing_model(&self) -> bool {
        if self.says(&["model_not_found", "model_not_exist", "ModelNotFound"]) {
            return true;
        }
        // Anthropic names what was not found, and nothing else.
        if self.says(&["not_found_error"]) && self.message.starts_with("model:") {
            return true;
        }
        let message = self.message.to_ascii_lowercase();
        message.contains("model")
            && ["not found", "not exist", "no such", "unknown model"].iter().any(|how| message.contains(how))
    }
}

/// The text of a string or number; some servers have numeric codes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

const OVER_LIMIT: &[&str] = &[
    "rate_limit_exceeded",
    "rate_limit_error",
    "insufficient_quota",
    "too_many_requests",
    "rate_limited",
    "RESOURCE_EXHAUSTED",
];
const BAD_CREDENTIAL: &[&str] = &[
    "invalid_api_key",
    "authentication_error",
    "permission_error",
    "permission_denied",
    "unauthorized",
    "insufficient_permissions",
    "account_deactivated",
    "billing_not_active",
    "billing_error",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
];
const NOT_NOW: &[&str] = &[
    "server_error",
    "api_error",
    "internal_error",
    "internal_server_error",
    "overloaded",
    "overloaded_error",
    "server_is_overloaded",
    "engine_overloaded",
    "service_unavailable",
    "service_unavailable_error",
    "slow_down",
    "timeout",
    "timeout_error",
    "UNAVAILABLE",
    "INTERNAL",
    "DEADLINE_EXCEEDED",
    "ABORTED",
];
const REFUSED: &[&str] = &[
    "content_filter",
    "content_policy_violation",
    "moderation_blocked",
    "context_length_exceeded",
    "string_above_max_length",
    "invalid_prompt",
    "invalid_image",
    "invalid_request_error",
    "invalid_request",
    "not_found_error",
    "request_too_large",
    "invalid_value",
    "unsupported_parameter",
    "cyber_policy_violation",
    "BadRequestError",
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
];

/// Names what happened, from the status where there is one, else from what the error says of itself.
pub(crate) fn classify(status: Option<u16>, text: &ErrorText, otherwise: FailureKind) -> Failure {
    let by_status = status.or(text.status).and_then(|status| of_status(status, text));
    let kind = by_status.or_else(|| of_names(text)).unwrap_or(otherwise);
    Failure { kind, status, retry_after: text.retry_after, detail: redact::detail(&describe(status, text)) }
}

fn of_status(status: u16, text: &ErrorText) -> Option<FailureKind> {
    Some(match status {
        400 | 403 | 404 | 422 if text.tells_of_a_missing_model() => FailureKind::ModelMissing,
        // Forbidden for what is asked, not for who asks.
        403 if text.says(&[
            "content_filter",
            "content_policy_violation",
            "moderation_blocked",
            "cyber_policy_violation",
        ]) =>
        {
            FailureKind::Rejected
        }
        // Anthropic's way to say 402.
        400 if text.message.contains("credit balance is too low") => FailureKind::Unauthorized,
        400 if text.tells_of_a_bad_account() => FailureKind::Unauthorized,
        // 402: the account behind the credential is empty, which is no business of the caller's.
        401..=403 => FailureKind::Unauthorized,
        408 | 409 | 425 | 500..=599 => FailureKind::Unavailable,
        429 => FailureKind::RateLimited,
        400..=499 => FailureKind::Rejected,
        300..=399 => FailureKind::Malformed,
        _ => return None,
    })
}

fn of_names(text: &ErrorText) -> Option<FailureKind> {
    if text.says(&["model_not_found"]) || text.says(&["not_found_error"]) && text.tells_of_a_missing_model() {
        return Some(FailureKind::ModelMissing);
    }
    let table = [
        (OVER_LIMIT, FailureKind::RateLimited),
        (BAD_CREDENTIAL, FailureKind::Unauthorized),
        (NOT_NOW, FailureKind::Unavailable),
        (REFUSED, FailureKind::Rejected),
    ];
    table.into_iter().find_map(|(names, kind)| text.says(names).then_some(kind))
}

fn describe(status: Option<u16>, text: &ErrorText) -> String {
    let status = status.map(|status| format!("status {status}"));
    let known = [&text.code, &text.kind, &text.message].map(|part| (!part.is_empty()).then(|| part.clone()));
    let parts: Vec<String> = status.into_iter().chain(known.into_iter().flatten()).collect();
    if parts.is_empty() { "an error without a text".to_owned() } else { parts.join(", ") }
}
