//! Decides what a URL of the data plane means, from one table; never looks at a body or a header.

use http::{HeaderValue, Method};
use policy::{Endpoint, TicketId};
use protocol::Dialect;

/// What a request asks the gateway to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A JSON request for a model, whose answer is metered: chat, completions, embeddings, responses, messages.
    Generate,
    /// How many tokens a prompt has.
    CountTokens,
    /// A stored response, addressed by the id in the path: it lives on the backend that made it.
    Stored,
    /// The list of models, answered here.
    ListModels,
    /// One of them, answered here.
    ShowModel,
    /// A stream that is continued on another connection, addressed by the id in the path.
    Resume,
    /// Anything relayed as it is: images, audio, moderations, rerank, files, batches, Gemini's embeddings.
    Relay,
    /// A WebSocket upgrade on `/v1/responses`, refused with 426 so that clients fall back at once.
    WebSocket,
    /// `HEAD /api/hello`: Claude Code looks whether anybody is there, without a key.
    Hello,
}

/// Where a URL leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) operation: Operation,
    pub(crate) dialect: Dialect,
    /// Where in the path the part behind the version begins, which is also the path below a backend's base URL.
    pub(crate) tail_start: usize,
}

/// Finds the destination of `method` and `path`, or `None` when the data plane does not serve it.
pub(crate) fn find(method: &Method, path: &str) -> Option<Destination> {
    if climbs(path) {
        return None;
    }
    let path = trimmed(path);
    let (tail, family) = tail(path);
    let (operation, dialect) = match *method {
        Method::POST => posted(tail)?,
        Method::GET => got(tail, family)?,
        Method::DELETE => match stored_response(tail) {
            Some(StoredPath::Whole) => (Operation::Stored, Dialect::OpenAiResponses),
            _ if is_relayed(tail) => (Operation::Relay, Dialect::OpenAiRaw),
            _ => return None,
        },
        Method::HEAD if path == "/api/hello" => (Operation::Hello, Dialect::AnthropicMessages),
        Method::HEAD => got(tail, family).filter(|(operation, _)| is_of_models(*operation))?,
        _ => return None,
    };
    Some(Destination { operation, dialect, tail_start: path.len() - tail.len() })
}

/// The methods with which a path is served.
pub(crate) fn methods(path: &str) -> Vec<Method> {
    let all = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];
    all.into_iter().filter(|method| find(method, path).is_some()).collect()
}

/// Methods as headers list them.
pub(crate) fn list(methods: &[Method]) -> Option<HeaderValue> {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::try_from(names.join(", ")).ok().filter(|list| !list.is_empty())
}

/// A path without the slash that some put behind it.
pub(crate) fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn is_of_models(operation: Operation) -> bool {
    matches!(operation, Operation::ListModels | Operation::ShowModel)
}

fn posted(tail: &str) -> Option<(Operation, Dialect)> {
    Some(match tail {
        "/chat/completions" => (Operation::Generate, Dialect::OpenAiChat),
        "/completions" => (Operation::Generate, Dialect::OpenAiCompletions),
        "/embeddings" => (Operation::Generate, Dialect::OpenAiEmbeddings),
        "/responses" | "/responses/compact" => (Operation::Generate, Dialect::OpenAiResponses),
        "/messages" => (Operation::Generate, Dialect::AnthropicMessages),
        "/messages/count_tokens" => (Operation::CountTokens, Dialect::AnthropicMessages),
        _ if stored_response(tail) == Some(StoredPath::Cancel) => {
            (Operation::Stored, Dialect::OpenAiResponses)
        }
        _ if is_relayed(tail) => (Operation::Relay, Dialect::OpenAiRaw),
        _ => match method_of_model(tail)?.1 {
            "generateContent" | "streamGenerateContent" => (Operation::Generate, Dialect::Gemini),
            "countTokens" => (Operation::CountTokens, Dialect::Gemini),
            "embedContent" | "batchEmbedContents" => (Operation::Relay, Dialect::Gemini),
            _ => return None,
        },
    })
}

fn got(tail: &str, family: Dialect) -> Option<(Operation, Dialect)> {
    Some(match tail {
        "/models" => (Operation::ListModels, family),
        "/responses" => (Operation::WebSocket, Dialect::OpenAiResponses),
        _ if stream_id(tail).is_some() => (Operation::Resume, Dialect::OpenAiChat),
        _ if tail.strip_prefix("/models/").is_some_and(|id| !id.is_empty()) => (Operation::ShowModel, family),
        _ if matches!(stored_response(tail), Some(StoredPath::Whole | StoredPath::InputItems)) => {
            (Operation::Stored, Dialect::OpenAiResponses)
        }
        _ if is_relayed(tail) => (Operation::Relay, Dialect::OpenAiRaw),
        _ => return None,
    })
}

/// Whether a path leads elsewhere than it says, to a server that resolves `.` and `..`, escaped or not: below a backend's
/// base URL there is more than the gateway serves, and its credential opens that, too.
pub(crate) fn climbs(path: &str) -> bool {
    if !path.contains(['.', '%']) {
        return false;
    }
    let meant = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    meant.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."))
}

/// The dialect in which a path that is not served is refused.
pub(crate) fn dialect_of(path: &str) -> Dialect {
    let (tail, family) = tail(path);
    if tail.starts_with("/messages") { Dialect::AnthropicMessages } else { family }
}

/// What a key must be allowed to call for this; none where it is open to every key.
pub(crate) fn endpoint(operation: Operation, dialect: Dialect, tail: &str) -> Option<Endpoint> {
    match operation {
        Operation::ListModels | Operation::ShowModel | Operation::Resume | Operation::Hello => None,
        Operation::Generate | Operation::CountTokens | Operation::Stored | Operation::WebSocket => {
            Some(match dialect {
                Dialect::OpenAiChat => Endpoint::Chat,
                Dialect::OpenAiCompletions => Endpoint::Completions,
                Dialect::OpenAiEmbeddings => Endpoint::Embeddings,
                Dialect::OpenAiResponses => Endpoint::Responses,
                Dialect::AnthropicMessages => Endpoint::Messages,
                Dialect::Gemini => Endpoint::Gemini,
                Dialect::OpenAiRaw => return relayed(tail),
                // No client speaks it.
                Dialect::AgentRpc => return None,
            })
        }
        Operation::Relay => relayed(tail),
    }
}

fn relayed(tail: &str) -> Option<Endpoint> {
    match tail.split(['/', '?']).nth(1)? {
        "images" => Some(Endpoint::Images),
        "audio" => Some(Endpoint::Audio),
        "moderations" => Some(Endpoint::Moderations),
        "rerank" => Some(Endpoint::Rerank),
        "files" | "uploads" => Some(Endpoint::Files),
        "batches" => Some(Endpoint::Batches),
        // What Gemini relays is embedded.
        _ => Some(Endpoint::Embeddings),
    }
}

/// The model and the method of `/models/{model}:{method}`. A model's name may hold slashes and colons.
pub(crate) fn method_of_model(tail: &str) -> Option<(&str, &str)> {
    tail.strip_prefix("/models/")?.rsplit_once(':').filter(|(model, _)| !model.is_empty())
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

/// Takes what stands before the endpoint off: clients are configured with and without `/openai`, `/anthropic` and a
/// version. Says whose errors and lists such a client reads.
fn tail(path: &str) -> (&str, Dialect) {
    for version in ["/v1beta", "/v1alpha"] {
        if let Some(tail) = strip_segment(path, version) {
            return (tail, Dialect::Gemini);
        }
    }
    if let Some((_, tail)) = deployment_and_tail(path) {
        return (tail, Dialect::OpenAiChat);
    }
    let (path, family) = match (strip_segment(path, "/openai"), strip_segment(path, "/anthropic")) {
        (Some(rest), _) => (rest, Dialect::OpenAiChat),
        (None, Some(rest)) => (rest, Dialect::AnthropicMessages),
        (None, None) => (path, Dialect::OpenAiChat),
    };
    (strip_segment(path, "/v1").unwrap_or(path), family)
}

/// The model in a path as Azure has them (`/openai/deployments/{model}/chat/completions`), as it is written there.
pub(crate) fn deployment(path: &str) -> Option<&str> {
    deployment_and_tail(path).map(|(deployment, _)| deployment)
}

fn deployment_and_tail(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/openai/deployments/")?;
    let at = rest.find('/').filter(|at| *at > 0)?;
    Some(rest.split_at(at))
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
        check(get, "/v1/models/", Some((Operation::ListModels, "/models/")));
        check(post, "/v1/chat/completions/", Some((Operation::Generate, "/chat/completions/")));
        check(get, "/v1/files/f1//", Some((Operation::Relay, "/files/f1//")));
        let chat = Some((Operation::Generate, "/chat/completions"));
        check(post, "/openai/deployments/gpt-4o/chat/completions", chat);
        check(post, "/openai/deployments/my%2Fown/embeddings", Some((Operation::Generate, "/embeddings")));
        check(post, "/openai/deployments//chat/completions", None);
        check(post, "/openai/deployments/gpt-4o", None);
        assert_eq!(deployment("/openai/deployments/my%2Fown/embeddings"), Some("my%2Fown"));
        assert_eq!(deployment("/openai/v1/deployments/a/embeddings"), None);
        check(get, "/dashboard", None);
        let stream = stream_path(TicketId(7));
        check(get, &stream, Some((Operation::Resume, &stream["/v1".len()..])));
        assert_eq!(stream_id(&stream["/v1".len()..]), Some(TicketId(7)));
        check(get, "/v1/streams/7", None);
        check(post, &stream, None);
        for prefix in ["/v1", "/anthropic/v1", "/anthropic"] {
            let count = Some((Operation::CountTokens, "/messages/count_tokens"));
            check(post, &format!("{prefix}/messages"), Some((Operation::Generate, "/messages")));
            check(post, &format!("{prefix}/messages/count_tokens"), count);
        }
        let stream = "/models/gemini:latest:streamGenerateContent";
        check(post, &format!("/v1beta{stream}"), Some((Operation::Generate, stream)));
        check(post, &format!("/v1alpha{stream}"), Some((Operation::Generate, stream)));
        check(
            post,
            "/v1beta/models/a/b:countTokens",
            Some((Operation::CountTokens, "/models/a/b:countTokens")),
        );
        check(post, "/v1beta/models/e:embedContent", Some((Operation::Relay, "/models/e:embedContent")));
        check(post, "/v1beta/models/e:other", None);
        check(post, "/v1beta/models/:generateContent", None);
        check(&Method::HEAD, "/api/hello", Some((Operation::Hello, "/api/hello")));
        check(&Method::HEAD, "/v1/models", Some((Operation::ListModels, "/models")));
        check(&Method::HEAD, "/v1/responses/r1", None);
        assert_eq!(method_of_model(stream), Some(("gemini:latest", "streamGenerateContent")));
        assert_eq!(response_id("/responses/r1/cancel"), Some("r1"));
    }

    #[test]
    fn nobody_climbs_out_of_what_is_served() {
        for (path, want) in [
            ("/v1/files/../organization/keys", true),
            ("/v1/files/%2e%2E/organization", true),
            ("/v1/files/f1%2F..%2f..%2Forganization", true),
            ("/v1/files/..%5cx", true),
            ("/v1/./files", true),
            ("..", true),
            ("/v1/files/..", true),
            ("/v1/files/a..b/.c/d.", false),
            ("/v1/models/gpt-4.1", false),
            ("/v1/models/gpt-4%2E1", false),
            ("/v1/chat/completions", false),
        ] {
            assert_eq!(climbs(path), want, "{path}");
            assert!(!want || find(&Method::GET, path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_path_belongs_to_one_endpoint_or_is_open_to_all() {
        for (method, path, want) in [
            (Method::POST, "/v1/chat/completions", Some(Endpoint::Chat)),
            (Method::POST, "/completions", Some(Endpoint::Completions)),
            (Method::POST, "/openai/v1/embeddings", Some(Endpoint::Embeddings)),
            (Method::POST, "/v1/responses/compact", Some(Endpoint::Responses)),
            (Method::GET, "/v1/responses/r1", Some(Endpoint::Responses)),
            (Method::POST, "/v1/messages", Some(Endpoint::Messages)),
            (Method::POST, "/v1/messages/count_tokens", Some(Endpoint::Messages)),
            (Method::POST, "/v1beta/models/m:streamGenerateContent", Some(Endpoint::Gemini)),
            (Method::POST, "/v1beta/models/m:countTokens", Some(Endpoint::Gemini)),
            (Method::POST, "/v1beta/models/m:embedContent", Some(Endpoint::Embeddings)),
            (Method::POST, "/v1/images/generations", Some(Endpoint::Images)),
            (Method::POST, "/v1/audio/speech", Some(Endpoint::Audio)),
            (Method::POST, "/v1/moderations", Some(Endpoint::Moderations)),
            (Method::POST, "/v1/rerank", Some(Endpoint::Rerank)),
            (Method::GET, "/v1/files/f1/content", Some(Endpoint::Files)),
            (Method::POST, "/v1/uploads", Some(Endpoint::Files)),
            (Method::DELETE, "/v1/batches/b1", Some(Endpoint::Batches)),
            (Method::GET, "/v1/models", None),
            (Method::GET, "/v1/models/a/b", None),
        ] {
            let found = find(&method, path).expect("a path that is served");
            let tail = &path[found.tail_start..];
            assert_eq!(endpoint(found.operation, found.dialect, tail), want, "{method} {path}");
        }
    }

    #[test]
    fn a_path_tells_whose_words_its_client_reads() {
        for (path, dialect) in [
            ("/v1/nothing", Dialect::OpenAiChat),
            ("/v1/messages/batches", Dialect::AnthropicMessages),
            ("/anthropic/v1/nothing", Dialect::AnthropicMessages),
            ("/v1beta/nothing", Dialect::Gemini),
            ("/openai/v1/nothing", Dialect::OpenAiChat),
        ] {
            assert_eq!(dialect_of(path), dialect, "{path}");
        }
        for (path, dialect) in [
            ("/v1/models", Dialect::OpenAiChat),
            ("/anthropic/v1/models", Dialect::AnthropicMessages),
            ("/v1beta/models", Dialect::Gemini),
        ] {
            assert_eq!(find(&Method::GET, path).map(|found| found.dialect), Some(dialect), "{path}");
        }
    }
}
