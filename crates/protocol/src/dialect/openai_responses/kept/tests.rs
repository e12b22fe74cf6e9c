//! Conversations that are kept and gone on with; never how long.

use super::*;
use crate::conversation::part::{Takes, Text};
use crate::conversation::request::Role;
use crate::{Target, decode_request, encode_request};

const FIRST: &str = r#"{"model":"m","instructions":"Be brief.","input":"What is the weather?","tools":[]}"#;
const ANSWER: &str = r#"{"id":"resp_a","object":"response","output":[
    {"type":"reasoning","id":"rs_a_0","summary":[],"encrypted_content":"lg1.gemini.s.call_1.sig+/="},
    {"type":"function_call","id":"fc_a_1","status":"completed","call_id":"call_1","name":"weather","arguments":"{}"}]}"#;

fn decoded(body: &str) -> Request {
    decode_request(Dialect::OpenAiResponses, body.as_bytes()).unwrap().unwrap()
}

fn outline(request: &Request) -> Vec<(Role, Vec<String>)> {
    let said = |part: &Part| match &part.content {
        Content::Text(Text { text, .. }) => text.clone(),
        Content::ToolCall(call) => {
            format!("{}({}) {:?}", call.name, call.arguments, call.seal.as_ref().map(|seal| &seal.value))
        }
        Content::ToolResult(result) => format!("{:?} of {}", result.name, result.call_id),
        other => format!("{other:?}"),
    };
    request.turns.iter().map(|turn| (turn.role, turn.parts.iter().map(said).collect())).collect()
}

#[test]
fn a_conversation_goes_on_where_it_was() {
    let kept = remember(FIRST.as_bytes(), &Past::default(), ANSWER.as_bytes()).unwrap();
    let past = Past { earlier: Some(kept), ..Past::default() };
    let second = r#"{"instructions":"Be kind.","previous_response_id":"resp_a","input":[
        {"type":"function_call_output","call_id":"call_1","output":"rain"}]}"#;
    let mut request = decoded(second);
    past.recall(&mut request).unwrap();
    let call = r#"weather({}) Some("sig+/=")"#;
    assert_eq!(
        outline(&request),
        [
            (Role::System, vec!["Be kind.".to_owned()]),
            (Role::User, vec!["What is the weather?".to_owned()]),
            (Role::Assistant, vec![call.to_owned()]),
            (Role::User, vec![r#"Some("weather") of call_1"#.to_owned()]),
        ]
    );
    assert_eq!((request.previous_response_id.as_deref(), request.losses.as_slice()), (None, &[][..]));

    let told = r#"{"id":"resp_b","output":[{"type":"message","id":"msg_b_0","role":"assistant","status":"completed",
        "content":[{"type":"output_text","text":"It rains.","annotations":[]}]}]}"#;
    let kept = remember(second.as_bytes(), &past, told.as_bytes()).unwrap();
    let mut request = decoded(r#"{"previous_response_id":"resp_b","input":"Thanks"}"#);
    Past { earlier: Some(kept), ..Past::default() }.recall(&mut request).unwrap();
    let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant, Role::User]);
    let target = Target { model: "m", max_output_tokens: 1, manner: crate::translate::Manner::default() };
    let encoded = encode_request(Dialect::OpenAiResponses, &request, &target).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(body["input"].as_array().unwrap().len(), 5);
}

#[test]
fn items_are_found_by_their_ids() {
    let kept = remember(FIRST.as_bytes(), &Past::default(), ANSWER.as_bytes()).unwrap();
    let second = r#"{"input":[{"role":"user","content":"What is the weather?"},{"type":"item_reference","id":"rs_a_0"},
            {"id":"fc_a_1"},{"type":"item_reference","id":"fc_z_0"},{"type":"item_reference","id":"nonsense"},
            {"type":"function_call_output","call_id":"call_1","output":"rain"}]}"#;
    let mut request = decoded(second);
    assert_eq!(references(&request), ["resp_a", "resp_z"]);
    let past = Past { referred: vec![kept], ..Past::default() };
    past.recall(&mut request).unwrap();
    let check = |request: &Request| {
        let Content::ToolCall(call) = &request.turns[1].parts[0].content else {
            panic!("{:?}", request.turns)
        };
        assert_eq!((call.name.as_str(), call.takes), ("weather", Takes::Object));
        assert!(call.seal.is_some());
        assert_eq!(references(request), ["resp_z"]);
    };
    check(&request);

    let told = r#"{"id":"resp_b","output":[]}"#;
    let kept = remember(second.as_bytes(), &past, told.as_bytes()).unwrap();
    let mut request = decoded(r#"{"previous_response_id":"resp_b","input":"Thanks"}"#);
    Past { earlier: Some(kept), ..Past::default() }.recall(&mut request).unwrap();
    // It goes on though what it referred to were gone.
    check(&request);
}

#[test]
fn a_request_that_refers_to_items_is_known_by_its_outline() {
    for (input, refers) in [
        (r#""hello""#, false),
        (r#"[{"type":"item_reference","id":"msg_1"}]"#, true),
        (r#"[{"id":"msg_1","type":"item\u005freference"}]"#, true),
        (r#"[{"role":"user","content":"a"},{"id":"msg_1"}]"#, true),
        (r#"[{"id":"msg_1","role":"assistant","content":"a"},{"type":"reasoning","id":"rs_1"},{}]"#, false),
    ] {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        let outline = crate::outline(Dialect::OpenAiResponses, body.as_bytes()).unwrap();
        assert_eq!(!outline.refers_to.is_empty(), refers, "{input}");
    }
}

#[test]
fn what_is_kept_can_be_looked_at() {
    let body = r#"{"input":[{"role":"user","content":"a"},{"type":"message","id":"msg_1","role":"assistant",
        "content":"b"},{"type":"function_call_output","call_id":"c","output":"d"}]}"#;
    let kept = remember(body.as_bytes(), &Past::default(), ANSWER.as_bytes()).unwrap();
    assert_eq!(response(&kept).unwrap(), ANSWER);
    let page = |after, limit, order| {
        let list = input_items(&kept, &Page { after, limit, order }).unwrap();
        serde_json::from_slice::<serde_json::Value>(&list).unwrap()
    };
    let all = page(None, 20, Order::Ascending);
    assert_eq!(all["data"][0]["id"], "in_a_0");
    assert_eq!(all["data"][0]["content"][0]["type"], "input_text");
    assert_eq!(all["data"][1]["content"][0]["type"], "output_text");
    assert_eq!(all["data"][2]["status"], "completed");
    assert_eq!((&all["has_more"], &all["first_id"]), (&false.into(), &"in_a_0".into()));
    let first = page(None, 2, Order::Descending);
    assert_eq!((&first["has_more"], &first["last_id"]), (&true.into(), &"msg_1".into()));
    let rest = page(Some("msg_1"), 2, Order::Descending);
    assert_eq!((&rest["has_more"], &rest["last_id"]), (&false.into(), &"in_a_0".into()));
    assert_eq!(deleted("resp_a"), r#"{"id":"resp_a","object":"response","deleted":true}"#);
}

#[test]
fn broken_bytes_are_an_error() {
    for (body, response) in [("{", "{}"), ("[]", "{}"), ("{}", "{"), ("{}", "[]"), (r#"{"input":7}"#, "{}")] {
        remember(body.as_bytes(), &Past::default(), response.as_bytes()).unwrap_err();
    }
    recall(b"\xff", &mut Request::default()).unwrap_err();
    recall(b"{}", &mut Request::default()).unwrap_err();
}
