//! Finds the bytes that mean something inside a string, many at once; never what they mean.

use wide::u8x16;

/// How many bytes are looked at together.
pub(super) const BLOCK: usize = 64;

/// A bit for each of the first bytes that is a quote, a backslash or a control character; the lowest stands for the
/// first byte. What lies behind the end counts as special too, so that whoever looks for the next one stops there.
#[inline]
pub(super) fn specials(bytes: &[u8]) -> u64 {
    if let Some(block) = bytes.first_chunk() {
        return marks(block);
    }
    let mut padded = [0; BLOCK];
    padded.iter_mut().zip(bytes).for_each(|(into, byte)| *into = *byte);
    marks(&padded)
}

/// Written in vectors rather than left to the compiler: whether it finds them for itself depends on what it inlines.
#[inline]
fn marks(block: &[u8; BLOCK]) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    lanes.iter().rev().fold(0, |found, lane| {
        let lane = u8x16::new(*lane);
        let control = lane.min(u8x16::splat(0x1f)).simd_eq(lane);
        let special = control | lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\'));
        found << 16 | u64::from(special.to_bitmask())
    })
}
