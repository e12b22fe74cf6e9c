//! What a local process sends is taken for no more than it says: whose a push is, which session was made, whether a question
//! was taken; and what it is told back is JSON that holds the turn as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::agent_rpc::{Addressee, Codec, Names, Turn, addressee, refused};
use serde_json::Value;

fn check_push(method: &str, params: &str) {
    let Addressee::Turn { request, session } = addressee(method, params) else { return };
    let said: Value = serde_json::from_str(params).expect("what names a turn is JSON");
    assert_eq!(said["sessionId"].as_str(), session.as_deref());
    let named = said["requestId"].as_str().or_else(|| said["_meta"]["ai-coding/request-id"].as_str());
    assert_eq!(named, request.as_deref());
}

fn check_result(codec: Codec, result: &str) {
    assert!(codec.session_of(result).is_none_or(|session| !session.is_empty()));
    if let Err(failure) = codec.accepted(result) {
        assert!(failure.detail.chars().count() <= 500 && !failure.detail.chars().any(char::is_control));
    }
}

fn check_turn(codec: Codec, turn: &Turn) {
    let names = Names { request: "the request".to_owned(), session: "the session".to_owned() };
    let asked: Value = serde_json::from_str(codec.ask(turn, &names, "chat").params.get()).expect("it was written");
    let place = match codec {
        Codec::Chat => "/questionText",
        Codec::Session => "/prompt/0/text",
        Codec::Simple => "/text",
    };
    assert_eq!(asked.pointer(place).and_then(Value::as_str), Some(&*turn.text));
}

fuzz_target!(|input: &str| {
    let Some((method, params)) = input.split_once('\n') else { return };
    check_push(method, params);
    let told: Value = serde_json::from_str(refused(method, params).get()).expect("it was written");
    assert!(told.is_null() || told["success"] == false);
    let turn = serde_json::from_str::<Turn>(params).ok();
    for codec in Codec::ALL {
        check_result(codec, params);
        if let Some(turn) = &turn {
            check_turn(codec, turn);
        }
    }
});
