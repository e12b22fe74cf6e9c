//! Tells which part of a request a server has refused it for, where it could do without that part, or another server has
//! it; never whether it is asked again.

use crate::dialect::Dialect;

/// A longer body is no sentence about a field.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// What a server objects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// A sealed thought or a signature: it cannot read one, or misses one.
    Seals,
    /// What went before: it does not have the response, or the item, that is named by its id.
    Past,
}

impl Objection {
    /// What an error in `dialect` objects to. Servers word it alike, and those in between quote them, so that the words are
    /// looked for wherever they stand.
    pub fn read(dialect: Dialect, status: u16, body: &[u8]) -> Option<Self> {
        if !matches!(status, 400 | 404 | 422) || body.len() > ERROR_BODY_BYTES_MAX {
            return None;
        }
        let said = String::from_utf8_lossy(body).to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        let (seals, past): (&[&str], &[&str]) = match dialect {
            Dialect::AnthropicMessages => {
                (&["`signature`", "thinking.signature", "redacted_thinking", "thinking block"], &[])
            }
            Dialect::Gemini => (&["thought signature", "thought_signature", "thoughtsignature"], &[]),
            Dialect::OpenAiResponses => (
                &["encrypted_content", "encrypted content"],
                &["previous_response", "previous response", "item with id"],
            ),
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiRaw
            | Dialect::AgentRpc => (&[], &[]),
        };
        match (says(seals), says(past)) {
            (true, _) => Some(Self::Seals),
            (false, true) => Some(Self::Past),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dialect: Dialect, status: u16, body: &str, want: Option<Objection>) {
        assert_eq!(Objection::read(dialect, status, body.as_bytes()), want, "{body}");
    }

    #[test]
    fn servers_say_what_they_object_to() {
        use Dialect::{AnthropicMessages as Messages, Gemini, OpenAiChat, OpenAiResponses as Responses};
        const SEALS: Option<Objection> = Some(Objection::Seals);
        const PAST: Option<Objection> = Some(Objection::Past);
        for (dialect, message, want) in [
            (Messages, "messages.1.content.0: Invalid `signature` in `thinking` block", SEALS),
            (Messages, "messages.1.content.0: Invalid `data` in `redacted_thinking` block", SEALS),
            (Messages, "messages.1.content.0.thinking.signature: Field required", SEALS),
            (
                Messages,
                "messages.3.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`",
                SEALS,
            ),
            (Messages, "max_tokens: Field required", None),
            (Gemini, "Unable to submit request because Thought signature is not valid", SEALS),
            (Gemini, "Corrupted thought signature.", SEALS),
            (Gemini, "Function call is missing a thought_signature in functionCall parts", SEALS),
            (Gemini, "Request contains an invalid argument.", None),
            (Responses, "The encrypted content gAAA... could not be verified.", SEALS),
            (Responses, "Previous response with id 'resp_1' not found.", PAST),
            (Responses, "Item with id 'rs_1' not found.", PAST),
            (Responses, "Unknown parameter: 'x'.", None),
            (OpenAiChat, "Corrupted thought signature.", None),
        ] {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            check(dialect, 400, &body, want);
            check(dialect, 500, &body, None);
        }
        check(Responses, 400, r#"{"error":{"message":"no","code":"invalid_encrypted_content"}}"#, SEALS);
        check(Responses, 404, r#"{"error":{"message":"no","code":"previous_response_not_found"}}"#, PAST);
        let quoted = r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"message\":\"Invalid `signature` in `thinking` block\"}"}}}"#;
        check(Messages, 400, quoted, SEALS);
        check(Messages, 400, "", None);
        check(Messages, 400, &format!("{quoted}{}", " ".repeat(ERROR_BODY_BYTES_MAX)), None);
    }
}
