//! What a relay puts out does not depend on how its input is cut, and is made of whole, valid events only.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::sse::{Event, Framer};
use protocol::{Dialect, StreamEnd, StreamFault, StreamPlan, StreamRelay, StreamTally};
use protocol_fuzz::dialect;

const EVENT_BYTES_MAX: usize = 2_000;

#[derive(Debug, PartialEq)]
struct Run {
    out: Vec<u8>,
    fault: Option<StreamFault>,
    end: Option<StreamEnd>,
    tally: StreamTally,
}

fn run<'a>(dialect: Dialect, plan: &StreamPlan, chunks: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let mut relay = StreamRelay::new(dialect, plan.clone());
    let mut out = Vec::new();
    let fault =
        chunks.into_iter().find_map(|chunk| relay.push(Bytes::copy_from_slice(chunk), &mut out).err());
    let end = fault.is_none().then(|| relay.finish(&mut out));
    Run { out: out.concat(), fault, end, tally: relay.tally().clone() }
}

/// Every event that goes out is a comment, the end, or JSON.
fn check_events(out: &[u8]) {
    let mut framer = Framer::new(usize::MAX);
    let mut rest = out;
    while !rest.is_empty() {
        let length = framer.next_len(rest).expect("there is no limit").expect("only whole events go out");
        let (event, more) = rest.split_at(length);
        if let Some(data) = Event::read(event).data {
            let json = std::str::from_utf8(&data)
                .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
            assert!(json || data.trim_ascii() == b"[DONE]", "{:?}", String::from_utf8_lossy(&data));
        }
        rest = more;
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((dialect, rest)) = dialect(input) else { return };
    let Some((&[settings, first, second], text)) = rest.split_first_chunk::<3>() else { return };
    let plan = StreamPlan {
        withhold_usage: settings & 1 != 0,
        rename_model: (settings & 2 != 0).then(|| "al\"ias".into()),
        event_bytes_max: EVENT_BYTES_MAX,
    };
    let whole = run(dialect, &plan, [text]);
    if !matches!(dialect, Dialect::OpenAiRaw | Dialect::AgentRpc) {
        check_events(&whole.out);
    }
    let sizes = [usize::from(first) + 1, usize::from(second) + 1];
    let mut chunks = Vec::new();
    let mut rest = text;
    for size in sizes.iter().cycle() {
        let (chunk, more) = rest.split_at(rest.len().min(*size));
        chunks.push(chunk);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(run(dialect, &plan, chunks), whole);
    assert_eq!(run(dialect, &plan, text.chunks(1)), whole);
    if !plan.withhold_usage
        && plan.rename_model.is_none()
        && whole.end == Some(StreamEnd::Cut)
        && whole.tally.skipped == 0
    {
        // Nothing was left out or changed, so what went out is what came in, up to where it stopped.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let common = whole.out.len().min(text.len());
        assert_eq!(whole.out[..common], text[..common]);
    }
});
