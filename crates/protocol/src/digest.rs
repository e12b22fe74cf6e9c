//! Decides which number stands for some bytes, on every machine and in every version the same; never whether they
//! are equal: whoever chooses the bytes can choose two with one number, so nothing but a preference may rest on it.

/// A number for some bytes. Eight bytes a step, for it is taken of whole prompts.
pub fn digest(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |state: u64, word: [u8; 8]| {
        let mixed = (state ^ u64::from_le_bytes(word)).wrapping_mul(ODD);
        mixed ^ (mixed >> 32)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut state = words.iter().fold(length ^ ODD, |state, word| step(state, *word));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(into, byte)| *into = *byte);
    state = step(state, last);
    step(state, last)
}

#[cfg(test)]
mod tests {
    use super::digest;
    use std::collections::BTreeSet;

    #[test]
    fn it_never_changes() {
        for (text, expected) in [
            ("", 3831673242144371252_u64),
            ("a", 2160972478167276567),
            ("You are a helpful assistant.", 6631987935324850084),
        ] {
            assert_eq!(digest(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn texts_that_differ_a_little_differ() {
        let text = b"You are a helpful assistant. Answer in one short sentence.";
        let mut seen = BTreeSet::from([digest(text)]);
        for at in 0..text.len() {
            assert!(seen.insert(digest(&text[..at])), "cut at {at}");
            for bit in 0..8 {
                let mut other = *text;
                other[at] ^= 1 << bit;
                assert!(seen.insert(digest(&other)), "bit {bit} of byte {at}");
            }
        }
    }
}
