//! Decides the words of the simulated provider: the same for the same question, and never mistakable for a model's.

use serde_json::Value;

/// Dimensions of a simulated embedding.
const DIMENSIONS: usize = 32;

/// The answer of `model` to what was `said`.
pub(super) fn answer(model: &str, said: &str) -> String {
    if model.ends_with("echo") {
        return said.to_owned();
    }
    format!(
        "This is Lockgate's simulated provider, not a model. Your request passed the whole gateway: it was \
         authenticated, admitted, routed, streamed and written to the ledger. You said: \u{201c}{}\u{201d}. \
         To reach a real model, set OPENAI_API_KEY (or another provider's key) and start again without --demo, \
         or list your backends in lockgate.yaml.",
        said.chars().take(200).collect::<String>()
    )
}

/// The text of the last message of a conversation, or of a list of input items.
pub(super) fn last_said(messages: &[Value]) -> String {
    messages.last().map(|message| plain(&message["content"])).unwrap_or_default()
}

/// The text of a string, of a list of strings, or of content parts.
pub(super) fn plain(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.as_str().or_else(|| part["text"].as_str()))
            .collect::<Vec<_>>()
            .join(" "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The answer in pieces that join to it, a word each.
pub(super) fn pieces(answer: &str) -> impl Iterator<Item = &str> {
    answer.split_inclusive(' ')
}

/// Words stand for tokens.
pub(super) fn tokens(text: &str) -> usize {
    text.split_whitespace().count()
}

/// A unit vector that depends on the text alone.
pub(super) fn embedding(text: &str) -> Vec<f64> {
    let mut vector = vec![0.0; DIMENSIONS];
    for (place, byte) in text.bytes().enumerate() {
        vector[(place * 7 + usize::from(byte)) % DIMENSIONS] += 1.0 + f64::from(byte) / 256.0;
    }
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    vector.iter().map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_join_to_the_answer() {
        let whole = answer("demo/chat", "hello there");
        assert_eq!(pieces(&whole).collect::<String>(), whole);
        assert!(whole.contains("hello there") && whole.contains("simulated"));
    }

    #[test]
    fn content_is_read_in_every_form_clients_send() {
        for (content, want) in [
            (json!("a b"), "a b"),
            (
                json!([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "input_text", "text": "b"}]),
                "a b",
            ),
            (json!(null), ""),
            (json!([1, 2]), ""),
        ] {
            assert_eq!(plain(&content), want);
        }
    }

    #[test]
    fn an_embedding_is_a_unit_vector() {
        let length: f64 = embedding("hello").iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-9);
        assert_ne!(embedding("a"), embedding("b"));
    }
}
