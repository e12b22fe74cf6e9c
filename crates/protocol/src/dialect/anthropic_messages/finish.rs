//! Why a message ends, as the service says it; never whether it has ended.

use crate::conversation::answer::Finish;

/// Reads a `stop_reason` and the text beside it.
pub(super) fn read(reason: &str, stop_sequence: Option<String>) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "stop_sequence" => Finish::StopSequence(stop_sequence.unwrap_or_default()),
        "tool_use" => Finish::ToolCalls,
        "pause_turn" => Finish::Paused,
        "refusal" => Finish::Refusal,
        _ => Finish::Stop,
    }
}

/// The `stop_reason` and the `stop_sequence` that say it. A message that calls tools ends for their sake, whatever its
/// server says.
pub(super) fn written(finish: &Finish, calls: Calls) -> (&'static str, Option<&str>) {
    match (finish, calls) {
        (Finish::Stop, Calls::Some) | (Finish::ToolCalls, _) => ("tool_use", None),
        (Finish::Stop, Calls::None) => ("end_turn", None),
        (Finish::StopSequence(text), _) => ("stop_sequence", Some(text)),
        (Finish::Length, _) => ("max_tokens", None),
        (Finish::ContentFilter | Finish::Refusal, _) => ("refusal", None),
        (Finish::Paused, _) => ("pause_turn", None),
    }
}

/// Whether a message calls tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Calls {
    #[default]
    None,
    Some,
}
