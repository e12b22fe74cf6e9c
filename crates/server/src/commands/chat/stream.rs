//! Reads a streamed answer piece by piece; decides what was said and when it is whole, and never prints it.

use bytes::Bytes;
use protocol::sse::{Event, EventTooLarge, Framer};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longer than any event of a chat.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// A chunk of a streamed chat completion, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
}

/// The tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
pub(super) struct Usage {
    /// Of what was said to the model.
    pub(super) prompt_tokens: u64,
    /// Of what it said.
    pub(super) completion_tokens: u64,
}

/// Why an answer is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The gateway says, inside the stream, that it broke: the body of its error.
    Told(Vec<u8>),
    /// What came is no stream of chat completions.
    Strange(&'static str),
}

/// A streamed answer, so far.
#[derive(Debug)]
pub(super) struct Stream {
    framer: Framer,
    is_done: bool,
    /// Why the model stopped.
    pub(super) finish_reason: Option<String>,
    /// What it took, when the gateway said so.
    pub(super) usage: Option<Usage>,
    /// Pieces of text, for want of a count of tokens.
    pub(super) pieces: u64,
}

impl Stream {
    pub(super) fn new() -> Self {
        let framer = Framer::new(EVENT_BYTES_MAX);
        Self { framer, is_done: false, finish_reason: None, usage: None, pieces: 0 }
    }

    /// Takes bytes as they come, and gives the text in them.
    pub(super) fn take(&mut self, mut bytes: Bytes) -> Result<String, Fault> {
        let mut text = String::new();
        if let Some(event) = self.framer.resume(&mut bytes).map_err(too_large)? {
            self.event(&event, &mut text)?;
        }
        while !bytes.is_empty() {
            let Some(length) = self.framer.next_len(&bytes).map_err(too_large)? else { break };
            self.event(&bytes.split_to(length), &mut text)?;
        }
        Ok(text)
    }

    /// Whether the answer ended as it should.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    fn event(&mut self, bytes: &[u8], text: &mut String) -> Result<(), Fault> {
        let Some(data) = Event::read(bytes).data else { return Ok(()) };
        if &*data == b"[DONE]" {
            self.is_done = true;
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_slice(&data)
            .map_err(|_| Fault::Strange("an event of the stream is no chunk of a chat completion"))?;
        if chunk.error.is_some() {
            return Err(Fault::Told(data.into_owned()));
        }
        self.usage = chunk.usage.or(self.usage);
        // More than one choice is never asked for.
        if let Some(choice) = chunk.choices.into_iter().next() {
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
            for piece in [choice.delta.content, choice.delta.refusal].into_iter().flatten() {
                self.pieces += u64::from(!piece.is_empty());
                text.push_str(&piece);
            }
        }
        Ok(())
    }
}

fn too_large(_: EventTooLarge) -> Fault {
    Fault::Strange("an event of the stream is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = ": warm\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"gr\u{fc}\u{df} \"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"dich\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

    #[test]
    fn an_answer_is_the_same_wherever_its_bytes_are_cut() {
        for cut in 0..ANSWER.len() {
            let mut stream = Stream::new();
            let (head, tail) = ANSWER.as_bytes().split_at(cut);
            let mut text = stream.take(Bytes::copy_from_slice(head)).expect("a stream");
            text += &stream.take(Bytes::copy_from_slice(tail)).expect("a stream");
            assert_eq!(text, "grüß dich", "cut at {cut}");
            assert!(stream.is_done(), "cut at {cut}");
            assert_eq!((stream.pieces, stream.finish_reason.as_deref()), (2, Some("stop")));
            assert_eq!(stream.usage, Some(Usage { prompt_tokens: 5, completion_tokens: 2 }));
        }
    }

    #[test]
    fn errors_inside_a_stream_and_strange_events_are_told_apart() {
        let check = |text: &str| Stream::new().take(Bytes::copy_from_slice(text.as_bytes()));
        let told = r#"{"error":{"message":"broke"}}"#;
        assert_eq!(check(&format!("data: {told}\n\n")), Err(Fault::Told(told.as_bytes().to_vec())));
        assert!(matches!(check("data: <html>\n\n"), Err(Fault::Strange(_))));
        assert_eq!(check("data: {\"choices\":[]}\n"), Ok(String::new()));
    }
}
