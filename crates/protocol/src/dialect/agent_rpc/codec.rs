//! Which calls make a turn, in each of the codecs that local processes speak; never when they are made.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::request::{Mode, Turn};
use crate::failure::{Failure, FailureKind};

/// The words in which a process is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// `chat/ask`, as plugins of editors speak.
    Chat,
    /// `session/prompt`, as desktop editors speak.
    Session,
    /// `prompt`: the least that a program of one's own must understand.
    Simple,
}

/// The names of a turn: ours, save the session where the process makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Of the request.
    pub request: String,
    /// Of the session.
    pub session: String,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Step {
    /// What.
    pub method: &'static str,
    /// With what.
    pub params: Box<RawValue>,
    /// Nobody answers it.
    pub is_notification: bool,
}

impl Step {
    fn call(method: &'static str, params: &Value) -> Self {
        let params = serde_json::value::to_raw_value(params).expect("JSON can be written");
        Self { method, params, is_notification: false }
    }
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Session, Self::Simple];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Session => "session",
            Self::Simple => "simple",
        }
    }

    /// The codec of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// What makes a session, where the process names it.
    pub fn begin(self, folder: &str) -> Option<Step> {
        match self {
            Self::Session => {
                let params = json!({"cwd": folder, "mcpServers": [], "_meta": {}});
                Some(Step::call("session/new", &params))
            }
            Self::Chat | Self::Simple => None,
        }
    }

    /// The session that was made.
    pub fn session_of(self, result: &str) -> Option<String> {
        let result: Value = serde_json::from_str(result).ok()?;
        let id = result.get("sessionId").or_else(|| result.get("id"))?;
        id.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    }

    /// What chooses the model, where that is a call of its own.
    pub fn choose(self, turn: &Turn, names: &Names) -> Option<Step> {
        match self {
            Self::Session if !turn.model.is_empty() => {
                let params = json!({"sessionId": names.session, "modelId": turn.model, "_meta": {}});
                Some(Step::call("session/set_model", &params))
            }
            Self::Session | Self::Chat | Self::Simple => None,
        }
    }

    /// What asks. `usual` is the mode of a turn that wants none in particular.
    pub fn ask(self, turn: &Turn, names: &Names, usual: &str) -> Step {
        let mode = match turn.mode {
            Mode::Agent => "agent",
            Mode::Usual => usual,
        };
        match self {
            Self::Chat => {
                let extra = (!turn.model.is_empty()).then(|| json!({"modelConfig": {"key": turn.model}}));
                let params = json!({
                    "requestId": names.request,
                    "sessionId": names.session,
                    "chatTask": "FREE_INPUT",
                    "questionText": turn.text,
                    "stream": true,
                    "isReply": false,
                    "source": 1,
                    "codeLanguage": "",
                    "chatContext": null,
                    "sessionType": "chat",
                    "mode": mode,
                    "extra": extra,
                    // Requests of different callers have nothing to do with each other.
                    "pluginPayloadConfig": {"isEnableAutoMemory": false},
                });
                Step::call("chat/ask", &params)
            }
            Self::Session => {
                let mut meta = json!({"ai-coding/request-id": names.request, "ai-coding/mode": mode});
                if !turn.model.is_empty() {
                    meta["ai-coding/model"] = turn.model.as_str().into();
                }
                let prompt = json!([{"type": "text", "text": turn.text}]);
                let params = json!({"sessionId": names.session, "prompt": prompt, "_meta": meta});
                Step::call("session/prompt", &params)
            }
            Self::Simple => {
                let params = json!({"requestId": names.request, "model": turn.model, "text": turn.text});
                Step::call("prompt", &params)
            }
        }
    }

    /// Whether what an ask was answered with says that it was taken; a process may also never answer one.
    pub fn accepted(self, result: &str) -> Result<(), Failure> {
        let result: Value = serde_json::from_str(result).unwrap_or_default();
        let says = |name: &str| result.get(name).and_then(Value::as_bool);
        // Both names are in use, and either may say no.
        if says("success") != Some(false) && says("isSuccess") != Some(false) {
            return Ok(());
        }
        let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
        Err(refusal(text("errorCode"), text("errorMessage")))
    }

    /// What ends a turn early.
    pub fn stop(self, names: &Names) -> Step {
        let Names { request, session } = names;
        match self {
            Self::Chat => Step::call("chat/stop", &json!({"requestId": request, "sessionId": session})),
            Self::Session => Step {
                is_notification: true,
                ..Step::call("session/cancel", &json!({"sessionId": session, "_meta": {}}))
            },
            Self::Simple => Step::call("stop", &json!({ "requestId": request })),
        }
    }

    /// What makes the process forget a turn: it keeps them otherwise.
    pub fn forget(self, names: &Names) -> Option<Step> {
        match self {
            Self::Chat | Self::Session => {
                Some(Step::call("chat/deleteSessionById", &json!({"sessionId": names.session})))
            }
            Self::Simple => None,
        }
    }
}

/// An ask that was not taken.
fn refusal(code: &str, message: &str) -> Failure {
    let said = format!("{code} {message}").to_ascii_lowercase();
    let kind = if ["login", "unauthorized", "401", "403"].iter().any(|word| said.contains(word)) {
        FailureKind::Unauthorized
    } else if ["429", "too_many", "busy", "limit", "quota"].iter().any(|word| said.contains(word)) {
        FailureKind::RateLimited
    } else {
        FailureKind::ErrorAnswer
    };
    Failure::new(kind, format!("the process did not take the question: {code} {message}"))
}

/// What a call of the process's is answered with, before anything else is done: tools are never run.
pub fn refused(method: &str, params: &str) -> Box<RawValue> {
    let written = |value: &Value| serde_json::value::to_raw_value(value).expect("JSON can be written");
    if method != "tool/invoke" {
        return RawValue::NULL.to_owned();
    }
    let params: Value = serde_json::from_str(params).unwrap_or_default();
    written(&json!({
        "toolCallId": params.get("toolCallId"),
        "name": params.get("name"),
        "success": false,
        "errorMessage": "no tool is run here",
        "result": null,
        "startTime": 0,
        "timeConsuming": 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { request: "r".to_owned(), session: "s".to_owned() }
    }

    #[test]
    fn each_codec_asks_in_its_own_words() {
        let check = |codec: Codec, turn: &Turn, want: &[(&str, &str, Value)]| {
            let steps =
                [codec.begin("/w"), codec.choose(turn, &names()), Some(codec.ask(turn, &names(), "chat"))];
            let steps: Vec<Step> = steps.into_iter().flatten().collect();
            assert_eq!(steps.len(), want.len());
            for (step, (method, pointer, value)) in steps.iter().zip(want) {
                let params: Value = serde_json::from_str(step.params.get()).expect("JSON");
                assert_eq!((step.method, params.pointer(pointer)), (*method, Some(value)), "{params}");
            }
        };
        let turn = Turn { model: "m".to_owned(), mode: Mode::Usual, text: "[user] hi".to_owned() };
        let agent = Turn { model: String::new(), mode: Mode::Agent, text: "x".to_owned() };
        check(Codec::Chat, &turn, &[("chat/ask", "/extra/modelConfig/key", json!("m"))]);
        check(Codec::Chat, &turn, &[("chat/ask", "/mode", json!("chat"))]);
        check(Codec::Chat, &agent, &[("chat/ask", "/mode", json!("agent"))]);
        check(Codec::Chat, &agent, &[("chat/ask", "/extra", Value::Null)]);
        let new = ("session/new", "/cwd", json!("/w"));
        check(
            Codec::Session,
            &turn,
            &[
                new.clone(),
                ("session/set_model", "/modelId", json!("m")),
                ("session/prompt", "/prompt/0/text", json!("[user] hi")),
            ],
        );
        check(Codec::Session, &agent, &[new, ("session/prompt", "/_meta/ai-coding~1mode", json!("agent"))]);
        check(Codec::Simple, &turn, &[("prompt", "/text", json!("[user] hi"))]);
        assert!(Codec::Session.stop(&names()).is_notification);
        assert_eq!(Codec::Chat.stop(&names()).params.get(), r#"{"requestId":"r","sessionId":"s"}"#);
        for codec in Codec::ALL {
            assert_eq!(Codec::named(codec.name()), Some(codec));
        }
    }

    #[test]
    fn an_ask_is_taken_unless_something_says_no() {
        let check = |result: &str, want: Option<FailureKind>| {
            let said = Codec::Chat.accepted(result);
            assert_eq!(said.err().map(|failure| failure.kind), want, "{result}");
        };
        check(r#"{"success":true,"errorCode":""}"#, None);
        check(r#"{"isSuccess":true}"#, None);
        check("null", None);
        check(r#"{"success":true,"isSuccess":false}"#, Some(FailureKind::ErrorAnswer));
        check(r#"{"success":false,"errorCode":"NOT_LOGIN"}"#, Some(FailureKind::Unauthorized));
        check(r#"{"success":false,"errorMessage":"TOO_MANY requests"}"#, Some(FailureKind::RateLimited));
    }

    #[test]
    fn no_tool_is_ever_run() {
        let answer = refused("tool/invoke", r#"{"toolCallId":"t","name":"run_in_terminal"}"#);
        let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
        assert_eq!((&answer["toolCallId"], &answer["success"]), (&json!("t"), &json!(false)));
        assert_eq!(refused("chat/answer", "{}").get(), "null");
    }
}
