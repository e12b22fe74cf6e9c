//! Decides what of a request stays behind where a server cannot read all that is sealed in it; never which seals those are.

use std::ops::Range;

use super::Dialect;
use super::ask::Outline;
use super::foreign::{Cuts, Origin};
use super::mark::SealMark;
use super::{anthropic_messages, gemini, openai_responses};
use crate::json::{Malformed, Scan};

#[cfg(test)]
mod tests;

/// A request as a server is told it that cannot read some of what is sealed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// What to [rewrite](crate::rewrite) the body by.
    pub outline: Outline,
    /// What the client wrote and the server is not told, as paths into the body.
    pub lost: Vec<String>,
}

/// Finds in a body what must change so that a server takes it for which the seals that `goes` names mean nothing: most
/// refuse a request for one seal that they cannot read, and some for one that they miss. None where nothing would change.
///
/// `outline` must be the one made of this very body; `model` is the server's own name for what answers.
pub fn unseal(
    body: &[u8],
    outline: &Outline,
    model: &str,
    goes: impl Fn(SealMark) -> bool,
) -> Option<Unsealed> {
    let mut walk = Walk { goes: &goes, model, cuts: Vec::new(), instead: Vec::new(), lost: Vec::new() };
    let mut scan = Scan::new(std::str::from_utf8(body).ok()?);
    match outline.dialect {
        Dialect::AnthropicMessages => anthropic_messages::unseal::walk(&mut scan, &mut walk),
        Dialect::Gemini => gemini::unseal::walk(&mut scan, &mut walk),
        Dialect::OpenAiResponses => openai_responses::unseal::walk(&mut scan, &mut walk),
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => return None,
    }
    .ok()?;
    let Walk { cuts, instead, lost, .. } = walk;
    if cuts == outline.places.foreign && instead.is_empty() {
        return None;
    }
    let mut outline = outline.clone();
    outline.places.foreign = cuts;
    outline.places.instead = instead;
    Some(Unsealed { outline, lost })
}

/// One walk through a body.
pub(super) struct Walk<'a> {
    goes: &'a dyn Fn(SealMark) -> bool,
    /// The server's own name for what answers.
    pub(super) model: &'a str,
    cuts: Vec<Range<usize>>,
    pub(super) instead: Vec<(Range<usize>, &'static str)>,
    pub(super) lost: Vec<String>,
}

impl Walk<'_> {
    /// Whether a seal of the body's own dialect goes.
    pub(super) fn goes(&self, seal: &str) -> bool {
        (self.goes)(SealMark::of(seal))
    }

    /// Takes a list whose elements may go; says whether all of them do, which leaves it as it is.
    pub(super) fn list(
        &mut self,
        scan: &mut Scan<'_>,
        path: &str,
        mut element: impl FnMut(&mut Self, &mut Scan<'_>, String) -> Result<Origin, Malformed>,
    ) -> Result<Origin, Malformed> {
        let before = self.cuts.len();
        let mut cuts = Cuts::default();
        scan.array(|scan, number| {
            let start = scan.place();
            let origin = element(self, scan, format!("{path}[{number}]"))?;
            cuts.note(start..scan.at(), origin, &mut self.cuts);
            Ok::<_, Malformed>(())
        })?;
        if cuts.leave_nothing() {
            self.cuts.truncate(before);
            return Ok(Origin::Foreign);
        }
        Ok(Origin::Own)
    }

    /// Cuts those of the fields of an object, in their order, that go.
    pub(super) fn cut(&mut self, fields: impl IntoIterator<Item = (Range<usize>, Origin)>) {
        let mut cuts = Cuts::default();
        fields.into_iter().for_each(|(field, origin)| cuts.note(field, origin, &mut self.cuts));
        cuts.end(&mut self.cuts);
    }
}
