//! Flattens a conversation to the one text that a local process takes; never which process that is.
//!
//! Each message is `[role] text`, roles being `system`, `user`, `assistant` and `tool`; a call that the model has made
//! is a line of JSON behind what it said, `{"tool_call":{"id":..,"name":..,"arguments":..}}`; messages are parted by a
//! blank line. Whatever else was said is lost, and told.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::conversation::loss::{Field, Loss};
use crate::conversation::part::{Content, Part, Source};
use crate::conversation::request::{Format, Request, Role};
use crate::dialect::write;
use crate::translate::{Encoded, Target};

/// What a turn begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The model as it is called in the process's own list; empty leaves the choice to the process.
    pub model: String,
    /// Whether the process may act as an agent.
    #[serde(default)]
    pub mode: Mode,
    /// All that was said.
    pub text: String,
}

/// How a turn is to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As the process is set up.
    #[default]
    Usual,
    /// As an agent's.
    Agent,
}

/// Names that choose the mode instead of a model.
const AGENTS: [&str; 2] = ["lingma-agent", "agent"];

pub(super) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut losses = Vec::new();
    let mut text = String::new();
    for turn in &request.turns {
        if turn.name.is_some() {
            losses.push(Loss::At(turn.at.field("name")));
        }
        let role = match turn.role {
            Role::System | Role::Developer => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let mut said = String::new();
        for part in &turn.parts {
            say(part, &mut said, &mut text, &mut losses);
        }
        message(role, &said, &mut text);
    }
    wishes(request, &mut losses);
    losses.extend(request.lost_pictures());
    let is_agent = AGENTS.contains(&target.model);
    let turn = Turn {
        model: if is_agent { String::new() } else { target.model.to_owned() },
        mode: if is_agent { Mode::Agent } else { Mode::Usual },
        text,
    };
    Encoded { body: write::json(&turn), losses }
}

fn message(role: &str, said: &str, text: &mut String) {
    if said.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push('[');
    text.push_str(role);
    text.push_str("] ");
    text.push_str(said);
}

fn line(more: &str, said: &mut String) {
    if !said.is_empty() && !more.is_empty() {
        said.push('\n');
    }
    said.push_str(more);
}

/// Adds a part to what is said; the results of tools are messages of their own, before it.
fn say(part: &Part, said: &mut String, text: &mut String, losses: &mut Vec<Loss>) {
    if part.cache.is_some() {
        losses.push(Loss::At(part.at.field("cache_control")));
    }
    match &part.content {
        Content::Text(one) => line(&one.text, said),
        Content::Refusal(refusal) => line(refusal, said),
        Content::ToolCall(call) => {
            let called = json!({"id": call.id, "name": call.name, "arguments": call.arguments});
            line(&json!({ "tool_call": called }).to_string(), said);
        }
        Content::ToolResult(result) => {
            let mut told = String::new();
            for part in &result.parts {
                say(part, &mut told, text, losses);
            }
            let answered = json!({"id": result.call_id, "name": result.name, "is_error": result.is_error});
            message("tool", &format!("{answered}\n{told}"), text);
        }
        Content::Document(document) => match &document.source {
            Source::Text(plain) => line(plain, said),
            Source::Url(_) | Source::Base64 { .. } | Source::File(_) => {
                losses.push(Loss::At(part.at.clone()))
            }
        },
        Content::Image(_) | Content::Audio(_) | Content::Thinking(_) | Content::Native(_) => {
            losses.push(Loss::At(part.at.clone()));
        }
    }
}

fn wishes(request: &Request, losses: &mut Vec<Loss>) {
    let sampling = &request.sampling;
    let lost = [
        (sampling.max_output_tokens.is_some(), Field::MaxOutputTokens),
        (sampling.temperature.is_some(), Field::Temperature),
        (sampling.top_p.is_some(), Field::TopP),
        (sampling.top_k.is_some(), Field::TopK),
        (sampling.seed.is_some(), Field::Seed),
        (sampling.presence_penalty.is_some(), Field::PresencePenalty),
        (sampling.frequency_penalty.is_some(), Field::FrequencyPenalty),
        (!sampling.stop.is_empty(), Field::Stop),
        (sampling.candidates.is_some_and(|count| count != 1), Field::Candidates),
        (sampling.logprobs.is_some(), Field::Logprobs),
        (sampling.logit_bias.is_some(), Field::LogitBias),
        (request.tool_choice.is_some(), Field::ToolChoice),
        (request.parallel_tool_calls.is_some(), Field::ParallelToolCalls),
        (request.format.as_ref().is_some_and(|format| *format != Format::Text), Field::Format),
        (request.reasoning.is_some(), Field::Reasoning),
        (request.verbosity.is_some(), Field::Verbosity),
        (request.metadata.is_some(), Field::Metadata),
        (request.service_tier.is_some(), Field::ServiceTier),
        (request.store == Some(true), Field::Store),
        (request.previous_response_id.is_some(), Field::PreviousResponseId),
        (request.user.is_some(), Field::User),
    ];
    losses.extend(lost.into_iter().filter(|(is_lost, _)| *is_lost).map(|(_, field)| Loss::Field(field)));
    losses.extend(request.tools.iter().map(|tool| Loss::At(tool.at.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Manner, decode_request, loss_paths};

    #[track_caller]
    fn check(body: &str, model: &str, want: &Turn, lost: &[&str]) {
        let request =
            decode_request(Dialect::OpenAiChat, body.as_bytes()).expect("it converses").expect("valid");
        let encoded = encode(&request, &Target { model, max_output_tokens: 1, manner: Manner::ORIGINAL });
        let turn: Turn = serde_json::from_slice(&encoded.body).expect("a turn");
        assert_eq!(&turn, want);
        assert_eq!(loss_paths(Dialect::OpenAiChat, &request, &encoded.losses), lost);
    }

    fn turn(model: &str, mode: Mode, text: &str) -> Turn {
        Turn { model: model.to_owned(), mode, text: text.to_owned() }
    }

    #[test]
    fn a_conversation_is_one_text() {
        check(
            r#"{"model":"x","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":
            [{"type":"text","text":"a"},{"type":"text","text":"é"}]}]}"#,
            "auto",
            &turn("auto", Mode::Usual, "[system] Be brief.\n\n[user] a\né"),
            &[],
        );
        check(
            r#"{"model":"x","messages":[{"role":"developer","content":"d"},
            {"role":"assistant","content":"Look.","tool_calls":[{"id":"c1","type":"function","function":
            {"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"found"},
            {"role":"user","content":""}]}"#,
            "agent",
            &turn(
                "",
                Mode::Agent,
                "[system] d\n\n[assistant] Look.\n{\"tool_call\":{\"arguments\":\"{\\\"x\\\":1}\",\"id\":\"c1\",\
                 \"name\":\"f\"}}\n\n[tool] {\"id\":\"c1\",\"is_error\":false,\"name\":\"f\"}\nfound",
            ),
            &[],
        );
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        check(
            r#"{"model":"x","temperature":0.5,"max_tokens":5,"stop":["x"],"n":2,"user":"u",
            "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto",
            "response_format":{"type":"json_object"},"messages":[{"role":"user","name":"n","content":[
            {"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}"#,
            "auto",
            &turn("auto", Mode::Usual, "[user] see"),
            &[
                "max_completion_tokens",
                "messages[0].content[1]",
                "messages[0].name",
                "n",
                "response_format",
                "stop",
                "temperature",
                "tool_choice",
                "tools[0]",
                "user",
            ],
        );
    }
}
