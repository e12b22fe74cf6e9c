//! Reads an embeddings request: what is to be embedded; never judges a field it does not know.

use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, Outline};
use crate::dialect::openai::decode;
use crate::dialect::openai::prompt;
use crate::json::Kind;

pub(crate) fn outline(text: &str) -> Result<Outline, DecodeError> {
    let mut given = false;
    let outline = decode::outline(Dialect::OpenAiEmbeddings, text, |scan, field, outline| {
        if field != "input" {
            return Ok(false);
        }
        given = scan.kind() != Kind::Null;
        prompt::texts_or_tokens(scan, outline)?;
        Ok(true)
    })?;
    if given { Ok(outline) } else { Err(DecodeError::Missing { param: "input" }) }
}
