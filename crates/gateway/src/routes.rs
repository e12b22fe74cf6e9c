//! Decides what a URL of the data plane means, from one table; never looks at a body or a header.

use http::Method;
use policy::TicketId;
use protocol::Dialect;

/// What a request asks the gateway to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A JSON request with a `model`, whose answer is metered: chat, completions, embeddings, responses.
    Generate,
    /// A stored response, addressed by the id in the path: it lives on the backend that made it.
    Stored,
    /// `GET /v1/models`, answered here.
    ListModels,
    /// `GET /v1/models/{id}`, answered here.
    ShowModel,
    /// A stream that is continued on another connection, addressed by the id in the path.
    Resume,
    /// Anything relayed as it is: images, audio, moderations, rerank, files, batches.
    Relay,
    /// A WebSocket upgrade on `/v1/responses`, refused with 426 so that clients fall back at once.
    WebSocket,
}

/// Where a URL leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) operation: Operation,
    pub(crate) dialect: Dialect,
    /// Where in the path the part behind `/v1` begins, which is also the path below a backend's base URL.
    pub(crate) tail_start: usize,
}

/// Finds the destination of `method` and `path`, or `None` when the data plane does not serve it.
pub(crate) fn find(method: &Method, path: &str) -> Option<Destination> {
    let tail = tail(path);
    let tail_start = path.len() - tail.len();
    let destination = |operation, dialect| Some(Destination { operation, dialect, tail_start });
    if method == Method::POST {
        return match tail {
            "/chat/completions" => destination(Operation::Generate, Dialect::OpenAiChat),
            "/completions" => destination(Operation::Generate, Dialect::OpenAiCompletions),
            "/embeddings" => destination(Operation::Generate, Dialect::OpenAiEmbeddings),
            "/responses" | "/responses/compact" => destination(Operation::Generate, Dialect::OpenAiResponses),
            _ if stored_response(tail) == Some(StoredPath::Cancel) => {
                destination(Operation::Stored, Dialect::OpenAiResponses)
            }
            _ if is_relayed(tail) => destination(Operation::Relay, Dialect::OpenAiRaw),
            _ => None,
        };
    }
    if method == Method::GET {
        return match tail {
            "/models" => destination(Operation::ListModels, Dialect::OpenAiChat),
            "/responses" => destination(Operation::WebSocket, Dialect::OpenAiResponses),
            _ if stream_id(tail).is_some() => destination(Operation::Resume, Dialect::OpenAiChat),
            _ if tail.strip_prefix("/models/").is_some_and(|id| !id.is_empty()) => {
                destination(Operation::ShowModel, Dialect::OpenAiChat)
            }
            _ if matches!(stored_response(tail), Some(StoredPath::Whole | StoredPath::InputItems)) => {
                destination(Operation::Stored, Dialect::OpenAiResponses)
            }
            _ if is_relayed(tail) => destination(Operation::Relay, Dialect::OpenAiRaw),
            _ => None,
        };
    }
    if method == Method::DELETE {
        return match stored_response(tail) {
            Some(StoredPath::Whole) => destination(Operation::Stored, Dialect::OpenAiResponses),
            _ if is_relayed(tail) => destination(Operation::Relay, Dialect::OpenAiRaw),
            _ => None,
        };
    }
    None
}

/// Where the stream that answers `ticket` can be continued.
pub(crate) fn stream_path(ticket: TicketId) -> String {
    format!("/v1{STREAMS}{ticket}")
}

/// The ticket of the stream that `tail` addresses.
pub(crate) fn stream_id(tail: &str) -> Option<TicketId> {
    tail.strip_prefix(STREAMS)?.parse().ok()
}

const STREAMS: &str = "/streams/";

/// The id of the stored response that `tail` addresses.
pub(crate) fn response_id(tail: &str) -> Option<&str> {
    tail.strip_prefix("/responses/")?.split('/').next()
}

/// The id of the file, batch or upload that `tail` addresses.
pub(crate) fn object_id(tail: &str) -> Option<&str> {
    if !keeps_objects(tail) {
        return None;
    }
    tail.split(['/', '?']).nth(2).filter(|id| !id.is_empty())
}

/// Whether what lies below `path` is kept by the backend it was given to.
pub(crate) fn keeps_objects(path: &str) -> bool {
    matches!(path.split(['/', '?']).nth(1), Some("files" | "batches" | "uploads"))
}

/// Takes `/openai` and `/v1` off: clients are configured with and without either.
fn tail(path: &str) -> &str {
    let path = strip_segment(path, "/openai").unwrap_or(path);
    strip_segment(path, "/v1").unwrap_or(path)
}

fn strip_segment<'a>(path: &'a str, segment: &str) -> Option<&'a str> {
    path.strip_prefix(segment).filter(|rest| rest.starts_with('/'))
}

#[derive(PartialEq, Eq)]
enum StoredPath {
    Whole,
    Cancel,
    InputItems,
}

fn stored_response(tail: &str) -> Option<StoredPath> {
    let mut segments = tail.strip_prefix("/responses/")?.split('/');
    let id = segments.next()?;
    if id.is_empty() || id == "compact" {
        return None;
    }
    match (segments.next(), segments.next()) {
        (None, None) => Some(StoredPath::Whole),
        (Some("cancel"), None) => Some(StoredPath::Cancel),
        (Some("input_items"), None) => Some(StoredPath::InputItems),
        _ => None,
    }
}

/// Families of endpoints whose bodies pass through as they are.
const RELAYED: &[&str] = &["/images", "/audio", "/moderations", "/rerank", "/files", "/batches", "/uploads"];

fn is_relayed(tail: &str) -> bool {
    RELAYED
        .iter()
        .any(|family| tail.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, path: &str, want: Option<(Operation, &str)>) {
        let got = find(method, path).map(|found| (found.operation, &path[found.tail_start..]));
        assert_eq!(got, want, "{method} {path}");
    }

    #[test]
    fn urls_lead_where_the_table_says() {
        let (get, post, delete) = (&Method::GET, &Method::POST, &Method::DELETE);
        for prefix in ["", "/v1", "/openai/v1", "/openai"] {
            let generate = |tail| Some((Operation::Generate, tail));
            check(post, &format!("{prefix}/chat/completions"), generate("/chat/completions"));
            check(post, &format!("{prefix}/responses/compact"), generate("/responses/compact"));
            check(get, &format!("{prefix}/models"), Some((Operation::ListModels, "/models")));
            check(get, &format!("{prefix}/models/a/b"), Some((Operation::ShowModel, "/models/a/b")));
        }
        check(get, "/v1/responses", Some((Operation::WebSocket, "/responses")));
        check(get, "/v1/responses/r1", Some((Operation::Stored, "/responses/r1")));
        check(delete, "/v1/responses/r1", Some((Operation::Stored, "/responses/r1")));
        check(post, "/v1/responses/r1/cancel", Some((Operation::Stored, "/responses/r1/cancel")));
        check(post, "/v1/responses/r1", None);
        check(post, "/v1/responses/r1/other", None);
        check(post, "/v1/audio/transcriptions", Some((Operation::Relay, "/audio/transcriptions")));
        check(get, "/v1/files/f1/content", Some((Operation::Relay, "/files/f1/content")));
        check(post, "/v1/filesystem", None);
        check(get, "/v1/chat/completions", None);
        check(post, "/v1chat/completions", None);
        check(get, "/v1/models/", None);
        check(get, "/dashboard", None);
        let stream = stream_path(TicketId(7));
        check(get, &stream, Some((Operation::Resume, &stream["/v1".len()..])));
        assert_eq!(stream_id(&stream["/v1".len()..]), Some(TicketId(7)));
        check(get, "/v1/streams/7", None);
        check(post, &stream, None);
        assert_eq!(response_id("/responses/r1/cancel"), Some("r1"));
    }
}
