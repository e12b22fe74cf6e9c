//! Requests through both halves, and what is named as lost; what models answer is tested elsewhere.

use serde_json::{Value, json};

use super::decode::decode;
use super::encode::encode;
use super::{aspect_path, field_path};
use crate::conversation::part::{Content, Part};
use crate::conversation::request::Request;
use crate::conversation::seal::{Seal, SealKind};
use crate::dialect::Dialect;
use crate::translate::{Manner, Target};

fn read(body: &Value) -> Request {
    decode(&body.to_string()).expect("a test's request is one")
}

fn losses<'a>(losses: impl IntoIterator<Item = &'a crate::conversation::loss::Loss>) -> Vec<String> {
    losses.into_iter().map(|loss| loss.path(field_path, aspect_path)).collect()
}

fn write(request: &Request, model: &str) -> (Value, Vec<String>) {
    let encoded = encode(request, &Target { model, max_output_tokens: 100, manner: Manner::default() });
    let body = serde_json::from_slice(&encoded.body).expect("what is written is JSON");
    (body, losses(&encoded.losses))
}

/// Reads a body and writes it for `model`: what comes out, and what was lost on both ways.
fn check(model: &str, body: &Value, expected: &Value, lost: &[&str]) {
    let request = read(body);
    let (written, more) = write(&request, model);
    assert_eq!(&written, expected);
    let all: Vec<String> = losses(&request.losses).into_iter().chain(more).collect();
    assert_eq!(all, lost, "{body}");
}

fn unchanged(model: &str, body: &Value) {
    check(model, body, body, &[]);
}

const NEW: &str = "gemini-3.8-flash";
const OLD: &str = "gemini-2.5-flash";

#[test]
fn what_the_conversation_has_words_for_goes_through() {
    unchanged(
        OLD,
        &json!({
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [
                {"role": "user", "parts": [
                    {"text": "look"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
                    {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf?x=1"}},
                    {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
                ]},
                {"role": "model", "parts": [
                    {"text": "hm", "thought": true, "thoughtSignature": "QUJD"},
                    {"text": "I will look", "thoughtSignature": "REVG"},
                    {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1.10}}, "thoughtSignature": "R0hJ"},
                    {"functionCall": {"id": "c2", "name": "f", "args": {}}},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"id": "c2", "name": "f", "response": {"output": "two"}}},
                    {"functionResponse": {"id": "c1", "name": "f", "response": {"rows": [1, 2]}}},
                    {"text": "and?"},
                ]},
            ],
            "tools": [
                {"functionDeclarations": [
                    {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}},
                    {"name": "g", "parametersJsonSchema": {"type": "object", "properties": {"a": {"const": 1}}}},
                ]},
                {"googleSearch": {}},
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}},
            "generationConfig": {
                "maxOutputTokens": 10, "temperature": 0.5, "topP": 0.9, "topK": 4, "seed": 7,
                "presencePenalty": 0.1, "frequencyPenalty": 0.2, "stopSequences": ["a", "b"],
                "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1000},
            },
            "serviceTier": "flex",
        }),
    );
}

#[test]
fn snake_case_and_single_values_mean_the_same() {
    check(
        OLD,
        &json!({
            "system_instruction": {"parts": {"text": "s"}},
            "contents": {"parts": [{"inline_data": {"mime_type": "image/png", "data": "i"}}]},
            "tools": {"function_declarations": {"name": "f"}},
            "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
            "generation_config": {"max_output_tokens": "5", "top_k": 40.0, "stop_sequences": "x",
                                  "response_modalities": ["TEXT"], "response_logprobs": false},
            "model": "models/m",
        }),
        &json!({
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "i"}}], "role": "user"}],
            "tools": [{"functionDeclarations": [{"name": "f"}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {"maxOutputTokens": 5, "topK": 40, "stopSequences": ["x"]},
        }),
        &[],
    );
}

#[test]
fn what_was_lost_is_spelled_as_the_client_spells() {
    for (body, lost) in [
        (json!({"contents": "x", "safety_settings": []}), "safety_settings"),
        (json!({"contents": "x", "safetySettings": []}), "safetySettings"),
        (
            json!({"contents": {"parts": {"inline_data": {"mime_type": "image/png", "data": ""}, "videoMetadata": {}}}}),
            "contents[0].parts[0].video_metadata",
        ),
        (
            json!({"contents": "x", "generationConfig": {"response_modalities": "AUDIO"}}),
            "generation_config.response_modalities[0]",
        ),
    ] {
        assert_eq!(crate::loss_paths(Dialect::Gemini, &read(&body), &[]), [lost], "{body}");
    }
    let request = read(&json!({"contents": "x", "generation_config": {"top_k": 3}}));
    let added = [crate::conversation::loss::Loss::Field(crate::conversation::loss::Field::TopK)];
    assert_eq!(crate::loss_paths(Dialect::Gemini, &request, &added), ["generation_config.top_k"]);
}

#[test]
fn what_nobody_else_has_a_word_for_is_named() {
    check(
        OLD,
        &json!({
            "contents": [{"role": "user", "note": 1, "parts": [
                {"text": "a", "videoMetadata": {"fps": 1}, "partMetadata": null},
                {"functionResponse": {"id": "c", "name": "f", "response": {}, "willContinue": true}},
            ]}],
            "safetySettings": [], "cachedContent": "cachedContents/1", "x": null,
            "toolConfig": {"retrievalConfig": {}},
            "generationConfig": {"mediaResolution": "LOW", "responseModalities": ["TEXT", "AUDIO"],
                                 "responseMimeType": "text/x.enum", "candidateCount": 2,
                                 "thinkingConfig": {"x": 1}},
        }),
        &json!({"contents": [{"role": "user", "parts": [
            {"functionResponse": {"id": "c", "name": "f", "response": {}}},
            {"text": "a"},
        ]}]}),
        &[
            "cachedContent",
            "contents[0].note",
            "contents[0].parts[0].videoMetadata",
            "contents[0].parts[1].functionResponse.willContinue",
            "generationConfig.mediaResolution",
            "generationConfig.responseModalities[1]",
            "generationConfig.thinkingConfig.x",
            "generationConfig.responseMimeType",
            "safetySettings",
            "toolConfig.retrievalConfig",
            "generationConfig.candidateCount",
        ],
    );
}

#[test]
fn results_without_ids_find_their_calls() {
    let request = read(&json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "f"}}, {"functionCall": {"name": "g"}}, {"functionCall": {"name": "f"}},
        ]},
        {"role": "function", "parts": [
            {"functionResponse": {"name": "f", "response": {"result": "1"}}},
            {"functionResponse": {"name": "f", "response": {"error": "2"}}},
            {"functionResponse": {"name": "g", "response": {"output": "3", "more": 1}}},
            {"functionResponse": {"name": "h"}},
        ]},
    ]}));
    let calls: Vec<&str> = request.turns[1]
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some(&*call.id),
            _ => None,
        })
        .collect();
    assert_eq!(calls, ["call_1_0", "call_1_1", "call_1_2"]);
    let results: Vec<(&str, &str, bool)> = request.turns[2]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::ToolResult(result) => match &result.parts[0].content {
                Content::Text(text) => (&*result.call_id, &*text.text, result.is_error),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    let both = r#"{"more":1,"output":"3"}"#;
    assert_eq!(
        results,
        [
            ("call_1_0", "1", false),
            ("call_1_2", "2", true),
            ("call_1_1", both, false),
            ("call_2_3", "{}", false)
        ]
    );
}

#[test]
fn the_contents_that_a_stream_left_behind_are_one_turn() {
    let request = read(&json!({"contents": [
        {"role": "model", "parts": [{"text": "th", "thought": true}]},
        {"role": "model", "parts": [{"text": "ink", "thought": true}]},
        {"role": "model", "parts": [{"text": "", "thought": true, "thoughtSignature": "QUJD"}]},
        {"role": "model", "parts": [{"text": "He"}]},
        {"role": "model", "parts": [{"text": "llo"}, {"text": "", "thoughtSignature": "REVG"}]},
        {"role": "model", "parts": [{"text": ""}]},
    ]}));
    let (written, _) = write(&request, OLD);
    assert_eq!(
        written,
        json!({"contents": [{"role": "model", "parts": [
            {"text": "think", "thought": true, "thoughtSignature": "QUJD"},
            {"text": "Hello", "thoughtSignature": "REVG"},
        ]}]})
    );
}

#[test]
fn schemas_of_both_kinds_are_json_schemas() {
    let form = |config: Value, expected: Value| {
        check(
            NEW,
            &json!({"contents": "x", "generationConfig": config}),
            &json!({
                "contents": [{"role": "user", "parts": [{"text": "x"}]}],
                "generationConfig": expected,
            }),
            &[],
        );
    };
    form(
        json!({"responseMimeType": "application/json", "responseSchema": {"type": "STRING", "nullable": true}}),
        json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": ["string", "null"]}}),
    );
    form(
        json!({"responseSchema": {"type": "ARRAY", "items": {"type": "STRING", "format": "enum", "enum": ["a"]}}}),
        json!({"responseMimeType": "application/json",
               "responseSchema": {"type": "array", "items": {"type": "string", "format": "enum", "enum": ["a"]}}}),
    );
    form(json!({"responseMimeType": "application/json"}), json!({"responseMimeType": "application/json"}));
}

#[test]
fn a_form_of_the_answer_yields_to_functions_where_both_are_refused() {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "generationConfig": {"responseMimeType": "application/json"},
    });
    unchanged(NEW, &body);
    let mut without = body.clone();
    without.as_object_mut().expect("it is an object").remove("generationConfig");
    check(OLD, &body, &without, &["generationConfig.responseMimeType"]);
}

fn thinking(model: &str, wish: Value, expected: Value, lost: &[&str]) {
    let contents = json!([{"role": "user", "parts": [{"text": "x"}]}]);
    let mut body = json!({"contents": contents});
    if !expected.is_null() {
        body["generationConfig"] = json!({"thinkingConfig": expected});
    }
    check(model, &json!({"contents": contents, "generationConfig": {"thinkingConfig": wish}}), &body, lost);
}

#[test]
fn each_generation_is_told_in_its_measure_how_much_to_think() {
    let lost = &["generationConfig.thinkingConfig"];
    thinking(NEW, json!({"thinkingBudget": 8000}), json!({"thinkingLevel": "medium"}), &[]);
    thinking(NEW, json!({"thinkingLevel": "HIGH"}), json!({"thinkingLevel": "high"}), &[]);
    thinking(
        NEW,
        json!({"thinkingBudget": -1, "includeThoughts": false}),
        json!({"includeThoughts": false}),
        &[],
    );
    thinking(NEW, json!({"thinkingBudget": 0}), json!({"thinkingLevel": "minimal"}), lost);
    thinking("gemini-3-pro", json!({"thinkingLevel": "minimal"}), json!({"thinkingLevel": "low"}), &[]);
    thinking(OLD, json!({"thinkingLevel": "low"}), json!({"thinkingBudget": 2048}), &[]);
    thinking(OLD, json!({"thinkingBudget": -1}), json!({"thinkingBudget": -1}), &[]);
    thinking(OLD, json!({"thinkingBudget": 99999}), json!({"thinkingBudget": 24576}), &[]);
    thinking(OLD, json!({"thinkingBudget": 0}), json!({"thinkingBudget": 0}), &[]);
    thinking("gemini-2.5-pro", json!({"thinkingBudget": 0}), json!({"thinkingBudget": 128}), lost);
    thinking("gemini-2.0-flash", json!({"thinkingLevel": "low"}), Value::Null, lost);
    thinking("gemini-2.0-flash", json!({"thinkingBudget": 0}), Value::Null, &[]);
    thinking(OLD, json!({"thinkingLevel": "enormous"}), Value::Null, lost);
}

#[test]
fn calls_that_google_has_not_signed_are_excused() {
    let contents = |signature: Value| {
        let mut call = json!({"functionCall": {"id": "a", "name": "f", "args": {}}});
        if !signature.is_null() {
            call["thoughtSignature"] = signature;
        }
        json!({"contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [call, {"functionCall": {"id": "b", "name": "f", "args": {}}}]},
        ]})
    };
    unchanged(OLD, &contents(Value::Null));
    unchanged(NEW, &contents(json!("QUJD")));
    check(NEW, &contents(Value::Null), &contents(json!("skip_thought_signature_validator")), &[]);
}

#[test]
fn pictures_in_results_stand_where_the_model_takes_them() {
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": "i"}});
    let contents = |parts: Value| json!({"contents": [{"role": "user", "parts": parts}]});
    let mut result = json!({"functionResponse": {"id": "a", "name": "f", "response": {"output": "see"}}});
    let beside = contents(json!([result, picture, {"text": "so?"}]));
    result["functionResponse"]["parts"] = json!([picture]);
    let inside = contents(json!([result, {"text": "so?"}]));
    unchanged(NEW, &inside);
    check(OLD, &inside, &beside, &[]);
}

#[test]
fn thoughts_of_others_are_left_out_and_named() {
    let mut request = read(&json!({"contents": [{"role": "model", "parts": [
        {"text": "a", "thought": true}, {"text": "b"},
    ]}]}));
    let seal = Seal {
        dialect: Dialect::AnthropicMessages,
        kind: SealKind::Signature,
        value: "s".to_owned(),
        id: None,
        maker: None,
    };
    let set = |part: &mut Part, seal: &Seal| match &mut part.content {
        Content::Thinking(thought) => thought.seal = Some(seal.clone()),
        other => panic!("{other:?}"),
    };
    set(&mut request.turns[0].parts[0], &seal);
    let (written, lost) = write(&request, NEW);
    assert_eq!(written, json!({"contents": [{"role": "model", "parts": [{"text": "b"}]}]}));
    assert_eq!(lost, ["contents[0].parts[0]"]);
    // The same seal comes back from a client of this dialect, who keeps it in base64.
    let kept = crate::dialect::gemini::seal::shown(&seal);
    let request = read(&json!({"contents": [{"role": "model", "parts": [
        {"text": "a", "thought": true, "thoughtSignature": kept},
    ]}]}));
    match &request.turns[0].parts[0].content {
        Content::Thinking(thought) => assert_eq!(thought.seal, Some(seal)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn modes_of_calling_keep_their_meaning() {
    let mode = |config: Value, expected: Value, lost: &[&str]| {
        let body = |config: Value| {
            json!({
                "contents": [{"role": "user", "parts": [{"text": "x"}]}],
                "tools": [{"functionDeclarations": [{"name": "f"}]}],
                "toolConfig": {"functionCallingConfig": config},
            })
        };
        let mut expected = body(expected);
        if expected["toolConfig"]["functionCallingConfig"].is_null() {
            expected.as_object_mut().expect("it is an object").remove("toolConfig");
        }
        check(OLD, &body(config), &expected, lost);
    };
    for same in ["AUTO", "ANY", "NONE", "VALIDATED"] {
        mode(json!({"mode": same}), json!({"mode": same}), &[]);
    }
    let among = json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]});
    mode(among.clone(), among, &[]);
    mode(json!({"mode": "MODE_UNSPECIFIED"}), Value::Null, &[]);
    mode(json!({"mode": "LATER"}), Value::Null, &["toolConfig.functionCallingConfig.mode"]);
}

fn refused(body: &str, param: &str) {
    let error = decode(body).expect_err("it is no request");
    assert_eq!(error.param().unwrap_or("-"), param, "{body}: {error}");
}

#[test]
fn values_of_the_wrong_kind_are_named() {
    refused("[]", "-");
    refused("{", "-");
    refused(r#"{"contents":[1]}"#, "contents[0]");
    refused(r#"{"contents":[{"role":"pope"}]}"#, "contents[0].role");
    refused(r#"{"contents":[{"parts":[{},{"text":{}}]}]}"#, "contents[0].parts[1].text");
    refused(r#"{"contents":[{"parts":["a"]}]}"#, "contents[0].parts[0]");
    refused(
        r#"{"contents":[{"parts":[{"functionCall":{"args":"x"}}]}]}"#,
        "contents[0].parts[0].functionCall.args",
    );
    refused(r#"{"generationConfig":{"topK":"many"}}"#, "generationConfig.topK");
    refused(r#"{"generationConfig":{"temperature":[]}}"#, "generationConfig.temperature");
    refused(r#"{"generationConfig":{"thinkingConfig":1}}"#, "generationConfig.thinkingConfig");
    refused(r#"{"tools":[{"functionDeclarations":["f"]}]}"#, "tools[0].functionDeclarations[0]");
    refused(r#"{"tools":[{"functionDeclarations":[{"name":1}]}]}"#, "tools[0].functionDeclarations[0].name");
    refused(
        r#"{"toolConfig":{"functionCallingConfig":{"mode":1}}}"#,
        "toolConfig.functionCallingConfig.mode",
    );
}

#[test]
fn deep_values_are_refused_or_carried_and_never_overflow_the_stack() {
    for depth in [100, 200, 511, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for body in [
            format!(r#"{{"x":{deep}}}"#),
            format!(
                r#"{{"contents":[{{"parts":[{{"functionCall":{{"name":"f","args":{{"a":{deep}}}}}}}]}}]}}"#
            ),
            format!(
                r#"{{"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{{"a":{deep}}}}}]}}]}}"#
            ),
        ] {
            match decode(&body) {
                Ok(request) => {
                    assert!(depth < 512);
                    let encoded = encode(
                        &request,
                        &Target { model: NEW, max_output_tokens: 1, manner: Manner::default() },
                    );
                    assert!(!encoded.body.is_empty());
                }
                Err(error) => assert_eq!(error.code(), "invalid_json", "{depth}"),
            }
        }
    }
}
