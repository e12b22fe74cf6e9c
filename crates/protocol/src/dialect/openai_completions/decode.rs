//! Reads a legacy completion request: its prompt; never judges a field it does not know.

use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, Outline};
use crate::dialect::openai::decode;
use crate::dialect::openai::prompt;

pub(crate) fn outline(text: &str) -> Result<Outline, DecodeError> {
    decode::outline(Dialect::OpenAiCompletions, text, |scan, field, outline| {
        if field != "prompt" {
            return Ok(false);
        }
        prompt::texts_or_tokens(scan, outline)?;
        Ok(true)
    })
}
