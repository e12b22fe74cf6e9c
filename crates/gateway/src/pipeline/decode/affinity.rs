//! Decides which requests belong together; never where they go.

use http::HeaderMap;
use protocol::Outline;

/// Headers by which clients tell their sessions apart.
const SESSION_HEADERS: [&str; 4] =
    ["session-id", "x-session-affinity", "x-session-id", "x-claude-code-session-id"];

/// What stands for the requests that this one belongs together with: what the client says it is, else what its
/// conversation begins with.
pub(super) fn of(outline: &Outline, body: &[u8], headers: &HeaderMap) -> Option<u64> {
    let named = [&outline.user, &outline.prompt_cache_key].into_iter().flatten().map(String::as_bytes);
    let sessions = SESSION_HEADERS.iter().filter_map(|name| headers.get(*name)).map(|value| value.as_bytes());
    let explicit = named.chain(sessions).find(|key| !key.is_empty());
    explicit.map(protocol::digest).or_else(|| outline.beginning(body))
}
