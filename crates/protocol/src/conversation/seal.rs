//! Opaque words of a provider that must come back to it unchanged; never what they mean.

use crate::dialect::Dialect;

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
}

/// Which field a seal was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// It attests the thought that stands beside it.
    Signature,
    /// It is the thought, encrypted.
    Encrypted,
}

/// Begins every wrapped seal; no provider's own seal does.
const PREFIX: &str = "lg1.";

impl Seal {
    /// How a client of dialect `shown_in` keeps it: as it is where it is its own, else wrapped.
    ///
    /// The wrapping is `lg1.<dialect>.<s|e>.<id, may be empty>.<value>`; ids contain no dot.
    pub fn shown_in(&self, shown_in: Dialect) -> String {
        if self.dialect == shown_in {
            return self.value.clone();
        }
        let kind = match self.kind {
            SealKind::Signature => "s",
            SealKind::Encrypted => "e",
        };
        let id = self.id.as_deref().filter(|id| !id.contains('.')).unwrap_or_default();
        format!("{PREFIX}{}.{kind}.{id}.{}", self.dialect.name(), self.value)
    }

    /// Whether a client's opaque field holds another dialect's seal.
    pub fn is_wrapped(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// What a client of dialect `shown_in` kept in a field of `kind`.
    pub fn kept(shown_in: Dialect, kind: SealKind, text: &str) -> Self {
        unwrap(text).unwrap_or_else(|| Seal { dialect: shown_in, kind, value: text.to_owned(), id: None })
    }
}

fn unwrap(text: &str) -> Option<Seal> {
    let mut pieces = text.strip_prefix(PREFIX)?.splitn(4, '.');
    let dialect = pieces.next()?.parse().ok()?;
    let kind = match pieces.next()? {
        "s" => SealKind::Signature,
        "e" => SealKind::Encrypted,
        _ => return None,
    };
    let id = pieces.next().filter(|id| !id.is_empty()).map(str::to_owned);
    Some(Seal { dialect, kind, value: pieces.next()?.to_owned(), id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seal: &Seal, dialect: Dialect, shown: &str) {
        assert_eq!(seal.shown_in(dialect), shown);
        let kept = Seal::kept(dialect, seal.kind, shown);
        assert_eq!((kept.dialect, &kept.value), (seal.dialect, &seal.value));
    }

    #[test]
    fn a_seal_comes_back_as_it_was() {
        let seal = Seal {
            dialect: Dialect::OpenAiResponses,
            kind: SealKind::Encrypted,
            value: "gAAA.b/c+=".to_owned(),
            id: Some("rs_1".to_owned()),
        };
        check(&seal, Dialect::OpenAiResponses, "gAAA.b/c+=");
        check(&seal, Dialect::OpenAiChat, "lg1.openai_responses.e.rs_1.gAAA.b/c+=");
        let kept = Seal::kept(Dialect::OpenAiChat, SealKind::Signature, &seal.shown_in(Dialect::OpenAiChat));
        assert_eq!(kept, seal);
    }

    #[test]
    fn what_is_not_wrapped_is_the_dialects_own() {
        for text in ["", "lg1.", "lg1.nobody.s..x", "lg1.openai_chat.z..x", "lg1.openai_chat.s"] {
            let kept = Seal::kept(Dialect::OpenAiChat, SealKind::Signature, text);
            assert_eq!((kept.dialect, kept.value.as_str()), (Dialect::OpenAiChat, text));
        }
    }
}
