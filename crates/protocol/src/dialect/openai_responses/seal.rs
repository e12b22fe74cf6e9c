//! Decides by what a sealed thought is known again without being read; never what is sealed.

/// What marks begin with; ids do not.
const PREFIX: &str = "seal:";

/// So much of its end tells one from all others: that is where its signature is.
const TOLD_BYTES: usize = 64;

/// A mark of what a server of this dialect has sealed (`encrypted_content`).
pub(crate) fn mark(sealed: &str) -> String {
    let bytes = sealed.as_bytes();
    let end = bytes.get(bytes.len().saturating_sub(TOLD_BYTES)..).unwrap_or_default();
    format!("{PREFIX}{:016x}", crate::digest(end))
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
        let marks = ["", "g", &long("a"), &long("b")].map(mark);
        for (number, one) in marks.iter().enumerate() {
            assert!(is_seal_mark(one) && !marks[..number].contains(one), "{marks:?}");
        }
        assert!(mark(&long("a")) == marks[2] && !is_seal_mark("rs_1"));
    }
}
