//! Decides how a count of tokens is told that no backend has made; the estimate is the one that limits go by.

use http::{HeaderValue, Response, header};
use protocol::Dialect;
use serde_json::json;

use super::decode::Counted;
use crate::body::Body;

/// Answers in the client's dialect, and says that it is an estimate.
pub(super) fn answer(counted: &Counted) -> Response<Body> {
    let body = match counted.dialect {
        Dialect::Gemini => json!({ "totalTokens": counted.tokens }),
        Dialect::AnthropicMessages
        | Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => json!({ "input_tokens": counted.tokens }),
    };
    let mut response = Response::new(Body::whole(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-lockgate-counted", HeaderValue::from_static("estimate"));
    counted.stamp.write(headers);
    response
}
