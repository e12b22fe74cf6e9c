//! Finds the bytes that mean something inside a string, many at once; never what they mean.

/// How many bytes are looked at together.
pub(super) const BLOCK: usize = 32;

pub(super) fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// A bit for each byte that is a quote, a backslash or a control character; the lowest stands for the first byte.
pub(super) fn specials(block: &[u8; BLOCK]) -> u32 {
    // Both steps are written so that they compile to vector code on every target, without a line of `unsafe`.
    let flags = block.map(|byte| u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20));
    let (words, _) = flags.as_chunks::<8>();
    words.iter().rev().fold(0, |found, word| {
        // Gathers eight flags in the top byte, the first of them lowest.
        let [.., bits] = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080).to_le_bytes();
        found << 8 | u32::from(bits)
    })
}
