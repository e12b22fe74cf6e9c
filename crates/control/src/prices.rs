//! Decides what a model costs where its backend's mapping does not say; an unknown price is none, never zero.

use policy::PriceSpec;

/// Eight hexadecimal digits of a price's content, so that a changed price has a changed name.
pub(crate) fn fingerprint(spec: &PriceSpec) -> u32 {
    let kinds = [
        Some(spec.input),
        spec.cached_input,
        spec.cache_write,
        spec.cache_write_1h,
        Some(spec.output),
        spec.reasoning,
        spec.audio_input,
        spec.audio_output,
        Some(spec.request),
    ];
    // FNV-1a: stable over releases, unlike std's hasher; nobody gains by a collision of their own prices.
    let mut hash: u32 = 0x811c_9dc5;
    for kind in kinds {
        let bytes = kind.map_or([0xff; 16], |amount| amount.0.to_be_bytes());
        for byte in bytes {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    hash
}
