//! Opaque words of a provider that must come back to it unchanged, and who may have them; never what they mean.

use super::answer::Answer;
use super::loss::{Aspect, Loss};
use super::part::{Content, Part, Thinking, ToolCall};
use super::request::Request;
use crate::dialect::Dialect;

#[cfg(test)]
mod tests;

/// A signature or an encrypted thought. Only the dialect that made it can use it; another one's clients keep it, wrapped,
/// in their own opaque field, so that it is there again in the next turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Whose it is.
    pub dialect: Dialect,
    /// Which of the dialect's opaque fields it was: `signature`, `redacted`, `encrypted_content`, `thought_signature`.
    pub kind: SealKind,
    /// The words.
    pub value: String,
    /// The provider's id of what was sealed, where the words are of no use without it (`openai_responses`).
    pub id: Option<String>,
    /// Who alone can use it; nothing where that is not known, or where all who speak the dialect can.
    pub maker: Option<Maker>,
}

/// Which field a seal was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// It attests the thought that stands beside it.
    Signature,
    /// It is the thought, encrypted.
    Encrypted,
}

/// Who has made a seal: a digest of a name, which clients keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker(u64);

/// Who is to read what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Who may have made some of it; where that is not known, it can read what anybody can.
    Maker(Option<Maker>),
    /// One who has refused it.
    Nobody,
}

/// An account, as far as it seals.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Its own name.
    pub name: &'a str,
    /// That of its provider.
    pub provider: &'a str,
}

impl Account<'_> {
    /// Who seals what it says in `dialect`.
    pub fn seals_in(self, dialect: Dialect) -> Option<Maker> {
        let name = match dialect {
            // Another organisation or project is answered with 400: `invalid_encrypted_content`, "Thought signature is not
            // valid".
            Dialect::OpenAiResponses | Dialect::Gemini => self.name,
            // A signature is good wherever the provider's models are served, and nowhere else.
            Dialect::AnthropicMessages => self.provider,
            // What goes back to servers of this dialect tells how they spell a thought.
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiRaw
            | Dialect::AgentRpc => return None,
        };
        Some(Maker(crate::digest(name.as_bytes())))
    }
}

/// Begins every wrapped seal; no provider's own seal does.
const PREFIX: &str = "lg1.";

impl Seal {
    /// How a client of dialect `shown_in` keeps it: as it is where it is its own and may go to whoever speaks it, else
    /// wrapped.
    ///
    /// The wrapping is `lg1.<dialect>.<s|e><maker, 16 hexadecimal digits, or nothing>.<id, may be empty>.<value>`; ids
    /// contain no dot.
    pub fn shown_in(&self, shown_in: Dialect) -> String {
        if self.dialect == shown_in && self.maker.is_none() {
            return self.value.clone();
        }
        let kind = match self.kind {
            SealKind::Signature => "s",
            SealKind::Encrypted => "e",
        };
        let maker = self.maker.map(|Maker(digest)| format!("{digest:016x}")).unwrap_or_default();
        let id = self.id.as_deref().filter(|id| !id.contains('.')).unwrap_or_default();
        format!("{PREFIX}{}.{kind}{maker}.{id}.{}", self.dialect.name(), self.value)
    }

    /// Whether a client's opaque field holds a wrapped seal.
    pub fn is_wrapped(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// What a client of dialect `shown_in` kept in a field of `kind`.
    pub fn kept(shown_in: Dialect, kind: SealKind, text: &str) -> Self {
        let own = || Seal { dialect: shown_in, kind, value: text.to_owned(), id: None, maker: None };
        unwrap(text).unwrap_or_else(own)
    }

    /// Says who has made it, if nobody has said so before.
    pub(crate) fn mark(&mut self, maker: Option<Maker>) {
        self.maker = self.maker.or(maker);
    }

    /// Whether it is of `dialect`, but made by somebody else than `reader`.
    fn is_of_another(&self, dialect: Dialect, reader: Option<Maker>) -> bool {
        self.dialect == dialect && self.maker.is_some() && self.maker != reader
    }
}

impl Answer {
    /// Marks what is sealed in it as made by `maker`.
    pub fn mark_seals(&mut self, maker: Option<Maker>) {
        for part in &mut self.parts {
            if let Content::Thinking(Thinking { seal: Some(seal), .. })
            | Content::ToolCall(ToolCall { seal: Some(seal), .. }) = &mut part.content
            {
                seal.mark(maker);
            }
        }
    }
}

impl Request {
    /// Whether something in it was sealed in `dialect` by one who alone can read it.
    pub fn is_sealed_in(&self, dialect: Dialect) -> bool {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        parts.filter_map(seal_of).any(|seal| seal.dialect == dialect && seal.maker.is_some())
    }

    /// The request as a reader can take it in `dialect`, and what that leaves out: sealed thoughts that it would refuse, and
    /// the seals of calls. Nothing where there are none.
    pub fn without_seals(&self, dialect: Dialect, reader: Reader) -> Option<(Self, Vec<Loss>)> {
        let goes = |part: &Part| {
            seal_of(part).is_some_and(|seal| match reader {
                Reader::Maker(reader) => seal.is_of_another(dialect, reader),
                Reader::Nobody => seal.dialect == dialect,
            })
        };
        if !self.turns.iter().flat_map(|turn| &turn.parts).any(goes) {
            return None;
        }
        let (mut request, mut losses) = (self.clone(), Vec::new());
        request.turns.retain_mut(|turn| {
            let was_empty = turn.parts.is_empty();
            turn.parts.retain_mut(|part| {
                if !goes(part) {
                    return true;
                }
                let Content::ToolCall(call) = &mut part.content else {
                    losses.push(Loss::At(part.at.clone()));
                    return false;
                };
                call.seal = None;
                losses.push(Loss::Of(part.at.clone(), Aspect::Seal));
                true
            });
            was_empty || !turn.parts.is_empty()
        });
        Some((request, losses))
    }
}

fn seal_of(part: &Part) -> Option<&Seal> {
    match &part.content {
        Content::Thinking(Thinking { seal, .. }) | Content::ToolCall(ToolCall { seal, .. }) => seal.as_ref(),
        Content::Text(_)
        | Content::Image(_)
        | Content::Document(_)
        | Content::Audio(_)
        | Content::ToolResult(_)
        | Content::Refusal(_)
        | Content::Native(_) => None,
    }
}

fn unwrap(text: &str) -> Option<Seal> {
    let mut pieces = text.strip_prefix(PREFIX)?.splitn(4, '.');
    let dialect = pieces.next()?.parse().ok()?;
    let (kind, maker) = kind_and_maker(pieces.next()?)?;
    let id = pieces.next().filter(|id| !id.is_empty()).map(str::to_owned);
    Some(Seal { dialect, kind, value: pieces.next()?.to_owned(), id, maker })
}

fn kind_and_maker(written: &str) -> Option<(SealKind, Option<Maker>)> {
    let (kind, maker) = match written.strip_prefix('s') {
        Some(maker) => (SealKind::Signature, maker),
        None => (SealKind::Encrypted, written.strip_prefix('e')?),
    };
    if maker.is_empty() {
        return Some((kind, None));
    }
    let is_digest = maker.len() == 16 && maker.bytes().all(|digit| digit.is_ascii_hexdigit());
    let digest = u64::from_str_radix(maker, 16).ok().filter(|_| is_digest)?;
    Some((kind, Some(Maker(digest))))
}
