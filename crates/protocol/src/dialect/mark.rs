//! Decides by what a sealed thought is known again without being read; never what is sealed.

use std::fmt;

/// What marks begin with where they are written down beside ids; ids do not.
const PREFIX: &str = "seal:";

/// So much of its end tells one from all others: that is where its signature is.
const TOLD_BYTES: usize = 64;

/// By what a sealed thought of a provider is known again, wherever a client has it: a digest of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealMark(u64);

impl SealMark {
    /// The mark of what a provider has sealed, which is base64: SDKs that decode it may write it in the other alphabet.
    pub(crate) fn of(sealed: &str) -> Self {
        let bytes = sealed.trim_end_matches('=').as_bytes();
        let end = bytes.get(bytes.len().saturating_sub(TOLD_BYTES)..).unwrap_or_default();
        let mut told = [0; TOLD_BYTES];
        for (into, byte) in told.iter_mut().zip(end) {
            *into = match byte {
                b'-' => b'+',
                b'_' => b'/',
                byte => *byte,
            };
        }
        Self(crate::digest(told.get(..end.len()).unwrap_or_default()))
    }
}

impl fmt::Display for SealMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:016x}", self.0)
    }
}

/// Whether a handle is such a mark, and not an id.
pub fn is_seal_mark(handle: &str) -> bool {
    handle.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_seals_apart() {
        let long = |end: &str| format!("gAAAA{}{end}", "x".repeat(500));
        let marks = ["", "g", &long("a"), &long("b")].map(SealMark::of);
        for (number, one) in marks.iter().enumerate() {
            assert!(is_seal_mark(&one.to_string()) && !marks[..number].contains(one), "{marks:?}");
        }
        assert!(SealMark::of(&long("a")) == marks[2] && !is_seal_mark("rs_1"));
    }

    #[test]
    fn a_mark_is_the_same_in_either_alphabet() {
        let mark = SealMark::of("Eq/a+b/c==");
        assert_eq!([SealMark::of("Eq_a-b_c=="), SealMark::of("Eq/a+b/c")], [mark, mark]);
        assert_ne!(SealMark::of("Eq/a+b/d=="), mark);
    }
}
