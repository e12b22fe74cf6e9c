//! Streams as upstreams write them, under every cut; never what their events mean.

use super::*;

const CHAT: &str = concat!(
    r#"data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    "\n\n: comment\n\n",
    r#"data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Hé\n"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
    "\n\ndata: [DONE]\n\n",
);

fn run(plan: StreamPlan, chunks: &[&[u8]]) -> (String, StreamEnd, StreamTally) {
    let mut relay = StreamRelay::new(Dialect::OpenAiChat, plan);
    let mut out = Vec::new();
    for chunk in chunks {
        relay.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
    }
    let end = relay.finish(&mut out);
    (String::from_utf8(out.concat()).unwrap(), end, relay.tally().clone())
}

fn plan() -> StreamPlan {
    StreamPlan { withhold_usage: false, rename_model: None, event_bytes_max: 8 << 20 }
}

#[test]
fn an_untouched_stream_is_one_slice_of_its_chunk() {
    let chunk = Bytes::from_static(CHAT.as_bytes());
    let mut relay = StreamRelay::new(Dialect::OpenAiChat, plan());
    let mut out = Vec::new();
    relay.push(chunk.clone(), &mut out).unwrap();
    assert_eq!((out.len(), out[0].as_ptr()), (1, chunk.as_ptr()));
    assert_eq!((relay.is_done(), relay.tally().output_bytes, relay.tally().events), (true, 4, 4));
}

#[test]
fn cuts_do_not_change_the_output() {
    for plan in [plan(), StreamPlan { withhold_usage: true, rename_model: Some("alias".into()), ..plan() }] {
        let whole = run(plan.clone(), &[CHAT.as_bytes()]);
        for cut in 0..CHAT.len() {
            let (a, b) = CHAT.as_bytes().split_at(cut);
            assert_eq!(run(plan.clone(), &[a, b]), whole, "cut at {cut}");
        }
    }
}
