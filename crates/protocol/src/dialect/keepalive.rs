//! Decides what is said in a stream that has nothing to say yet; never when.

use bytes::Bytes;

use super::Dialect;

/// An event that clients of this dialect read and drop. It may stand before, between and after all other events.
pub fn keepalive(dialect: Dialect) -> Bytes {
    Bytes::from_static(match dialect {
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => b": keepalive\n\n",
        // Google's Python SDK takes a comment for JSON and fails at it; blank lines it skips, and so does a list of JSON.
        Dialect::Gemini => b"\n\n",
        // Anthropic's own streams have it, and its SDKs know it before the first event, too.
        Dialect::AnthropicMessages => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
    })
}

/// A word of the gateway between the events of a stream, which clients of this dialect read over; none where they would not.
/// It has to be visible ASCII.
pub fn aside(dialect: Dialect, word: &str) -> Option<Bytes> {
    let is_line = word.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (dialect != Dialect::Gemini && is_line).then(|| Bytes::from(format!(": {word}\n\n")))
}

#[cfg(test)]
mod tests {
    use super::{aside, keepalive};
    use crate::Dialect;
    use crate::sse::Event;

    #[test]
    fn a_keepalive_is_a_whole_event_that_tells_nothing() {
        for dialect in Dialect::ALL {
            let written = keepalive(*dialect);
            assert!(written.ends_with(b"\n\n"), "{dialect}");
            let event = Event::read(&written);
            let is_ping =
                event.name == Some(b"ping") && event.data.as_deref() == Some(b"{\"type\": \"ping\"}");
            let is_comment = event.name.is_none() && event.data.is_none();
            assert_eq!(
                (is_ping, is_comment),
                match dialect {
                    Dialect::AnthropicMessages => (true, false),
                    Dialect::OpenAiChat
                    | Dialect::OpenAiCompletions
                    | Dialect::OpenAiEmbeddings
                    | Dialect::OpenAiResponses
                    | Dialect::Gemini
                    | Dialect::OpenAiRaw
                    | Dialect::AgentRpc => (false, true),
                }
            );
        }
    }

    #[test]
    fn an_aside_is_one_comment_or_nothing() {
        for dialect in Dialect::ALL {
            for (word, is_told) in
                [("seed,n", true), ("a\ndata: b", false), ("a\rb", false), ("\u{e9}", false)]
            {
                let told = aside(*dialect, word);
                assert_eq!(told.is_some(), is_told && *dialect != Dialect::Gemini, "{dialect} {word}");
                if let Some(told) = told {
                    let event = Event::read(&told);
                    assert!(
                        event.name.is_none() && event.data.is_none() && told.ends_with(b"\n\n"),
                        "{dialect}"
                    );
                }
            }
        }
    }
}
