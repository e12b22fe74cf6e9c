//! Decides whether a whole answer is one: JSON of the right kind, complete, and no error in disguise; never changes it.

use std::ops::Range;

use super::Dialect;
use super::glance::Glance;
use super::grammar::{Answers, grammar};
use super::openai;
use crate::conversation::usage::Usage;
use crate::failure::{Failure, FailureKind};
use crate::json::{Kind, Malformed, Scan};

#[cfg(test)]
mod tests;

/// What one look at a whole answer has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerOutline {
    /// What the provider says was used.
    pub usage: Option<Usage>,
    /// Where the string that names the model lies, quotes included.
    pub model: Option<Range<usize>>,
    /// The answer's id, by which follow-ups find their way back.
    pub id: Option<String>,
    /// By what else they may mean something of it that its maker alone has or reads: items by their ids, sealed thoughts
    /// by [a mark of theirs](crate::is_seal_mark).
    pub handles: Vec<String>,
    /// Bytes of everything the model wrote, as a basis for counting tokens.
    pub output_bytes: u64,
    /// Pictures that the model made.
    pub images: u64,
}

/// Looks at a successful answer before any of it is passed on; a failure here may still move to another backend.
///
/// `openai_raw` answers may be anything, so none of them is refused.
pub fn inspect_answer(dialect: Dialect, body: &[u8]) -> Result<AnswerOutline, Failure> {
    let found = simdutf8::compat::from_utf8(body)
        .map_err(|error| {
            let cut = error.error_len().is_none();
            broken(body, Malformed { at: error.valid_up_to(), what: "invalid UTF-8", cut })
        })
        .and_then(|text| look(dialect, text).map_err(|bad| broken(body, bad)));
    if grammar(dialect).answers == Answers::Any {
        return Ok(found.map(AnswerOutline::from).unwrap_or_default());
    }
    let glance = found?;
    match glance.failure {
        Some(failure) => Err(failure),
        None if glance.is_answer => Ok(glance.into()),
        None => Err(Failure::new(FailureKind::Malformed, "the answer is JSON, but not of the expected kind")),
    }
}

fn look(dialect: Dialect, text: &str) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    if scan.kind() == Kind::Array {
        let written = scan.written()?;
        scan.end()?;
        // Google wraps its errors in a list.
        return Ok(Glance { failure: openai::error::listed(written), ..Glance::default() });
    }
    (grammar(dialect).answer)(text)
}

/// A body that is no JSON.
pub(crate) fn broken(body: &[u8], bad: Malformed) -> Failure {
    let begins = body.trim_ascii_start();
    let size = body.len();
    if begins.is_empty() {
        Failure::new(FailureKind::Malformed, "the answer's body is empty")
    } else if begins.starts_with(b"<") {
        Failure::new(
            FailureKind::Malformed,
            format!("the answer is a page of markup ({size} bytes), not JSON"),
        )
    } else if bad.cut && begins.starts_with(b"{") {
        Failure::new(FailureKind::Truncated, format!("the answer stops in the middle, after {size} bytes"))
    } else {
        Failure::new(FailureKind::Malformed, format!("the answer is not JSON: {bad} ({size} bytes)"))
    }
}

impl From<Glance> for AnswerOutline {
    fn from(glance: Glance) -> Self {
        AnswerOutline {
            usage: glance.usage,
            model: glance.model,
            id: glance.id,
            handles: glance.handles,
            output_bytes: glance.output_bytes,
            images: glance.images,
        }
    }
}
