//! How seals stand in `thoughtSignature`, which holds base64; never what they mean.
//!
//! SDKs decode what stands there, and some encode it again in the other alphabet.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::SELF;
use crate::conversation::seal::{Seal, SealKind};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const LENIENT_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const LENIENT_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// How a wrapped seal of another dialect begins, in base64. Only what is in fact one is unwrapped.
const WRAPPED: &str = "bGcx";

/// What a client keeps of `seal`.
pub(super) fn shown(seal: &Seal) -> String {
    if seal.dialect == SELF { seal.value.clone() } else { STANDARD.encode(seal.shown_in(SELF)) }
}

/// What a client has kept, or what the upstream gives.
pub(super) fn kept(signature: &str) -> Seal {
    let wrapped = signature.starts_with(WRAPPED).then(|| unwrapped(signature)).flatten();
    let seal = wrapped.map(|text| Seal::kept(SELF, SealKind::Signature, &text));
    seal.filter(|seal| seal.dialect != SELF).unwrap_or_else(|| Seal {
        dialect: SELF,
        kind: SealKind::Signature,
        value: signature.to_owned(),
        id: None,
        maker: None,
    })
}

/// Whether a client keeps another dialect's seal there.
pub(super) fn is_wrapped(signature: &str) -> bool {
    signature.starts_with(WRAPPED) && kept(signature).dialect != SELF
}

fn unwrapped(signature: &str) -> Option<String> {
    let engine = if signature.contains(['-', '_']) { &LENIENT_URL_SAFE } else { &LENIENT_STANDARD };
    String::from_utf8(engine.decode(signature).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn check(value: &str) {
        let dialect = Dialect::AnthropicMessages;
        let kind = SealKind::Signature;
        let seal = Seal { dialect, kind, value: value.to_owned(), id: None, maker: None };
        let shown = shown(&seal);
        let url_safe = shown.replace('+', "-").replace('/', "_");
        for spelling in [&shown, &url_safe, shown.trim_end_matches('=')] {
            assert_eq!(kept(spelling), seal, "{spelling}");
        }
    }

    #[test]
    fn another_dialects_seal_survives_sdks_that_decode_it() {
        for value in ["", "EqQBCg==", "a", "ab", "\u{3fffe}~~~???>>>", "gAAAA/+"] {
            check(value);
        }
    }

    #[test]
    fn googles_own_stays_as_it_is() {
        for value in ["CuMBAcu98PA/+==", "", "bGcx", "bGcxLg", "skip_thought_signature_validator"] {
            let seal = kept(value);
            assert_eq!((seal.dialect, &*seal.value), (SELF, value));
            assert_eq!(shown(&seal), value);
        }
    }
}
