//! What a request costs that a backend of its own dialect serves: its body is looked at once, and never taken apart.

use allocation_counter::measure;
use bytes::Bytes;
use http::Method;
use protocol::Dialect;
use testkit::ScriptedProvider;
use tokio::runtime::{Builder, Runtime};

use crate::scene::{MODEL, Plan};

/// Reading so many into a conversation takes more than one allocation for each.
const MESSAGES: usize = 20_000;
const ALLOCATIONS_MAX: u64 = 5_000;

fn long(list: &str) -> Bytes {
    let said = vec![r#"{"role":"user","content":"hi"}"#; MESSAGES].join(",");
    format!(r#"{{"model":"{MODEL}","max_tokens":9,"{list}":[{said}]}}"#).into()
}

/// Allocations of one such request, of its client and of the gateway, which share this thread; the provider has another.
fn allocations(far: &Runtime, spoken: Dialect, path: &str, body: &Bytes) -> u64 {
    let provider = far.block_on(ScriptedProvider::start());
    let near = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let scene =
        near.block_on(Plan::before(&[&provider]).backends(|spec| spec.dialects = Some(vec![spoken])).start());
    let client = scene.client();
    let ask = || near.block_on(client.send(Method::POST, path, body.clone())).expect("an answer").status;
    assert_eq!(ask(), 200, "{path}: the first makes what is kept for the others");
    let mut status = None;
    let taken = measure(|| status = Some(ask()));
    assert_eq!(status, Some(200.try_into().expect("a status")), "{path}");
    taken.count_total
}

#[test]
fn a_relayed_body_is_not_read_as_a_conversation() {
    let far = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    for (spoken, path, list) in [
        (Dialect::OpenAiChat, "/v1/chat/completions", "messages"),
        (Dialect::OpenAiResponses, "/v1/responses", "input"),
        (Dialect::AnthropicMessages, "/v1/messages", "messages"),
    ] {
        let taken = allocations(&far, spoken, path, &long(list));
        assert!(taken <= ALLOCATIONS_MAX, "{path}: {taken} allocations for {MESSAGES} messages");
    }
    // So the bound can fail: what has to be translated is taken apart.
    let translated = allocations(&far, Dialect::AnthropicMessages, "/v1/chat/completions", &long("messages"));
    assert!(translated > MESSAGES as u64, "translated: {translated} allocations");
}
