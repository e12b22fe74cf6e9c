//! Decides how secrets are held, compared and shown; never prints, serialises or leaves one in freed memory.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

/// Secrets up to this long show too much of themselves as first six and last four.
const SHORT_CHARS_MAX: usize = 10;

/// A credential in memory. It has no `Display` and no `Serialize`, its `Debug` says nothing, and its
/// bytes are overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret in; the text it was made from is now owned and will be wiped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for the one place that must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What proves that a message comes from whoever has this secret (HMAC-SHA-256), in hexadecimal.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        let mut text = String::with_capacity(64);
        for byte in hmac::sign(&key, message).as_ref() {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// What may be shown of it.
    #[must_use]
    pub fn masked(&self) -> String {
        masked(&self.0)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What may be shown of a secret: its first six and last four characters; of a short one its first two.
#[must_use]
pub fn masked(secret: &str) -> String {
    let chars = secret.chars().count();
    if chars <= SHORT_CHARS_MAX {
        return secret.chars().take(2).chain("***".chars()).collect();
    }
    secret.chars().take(6).chain("***".chars()).chain(secret.chars().skip(chars - 4)).collect()
}

/// The keyed digest of a gateway key: all that is stored of it. Compared in constant time.
#[derive(Clone)]
pub struct Digest([u8; 32]);

impl Digest {
    /// A digest as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest as it is stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(***)")
    }
}

/// Makes digests under one secret key (HMAC-SHA-256).
#[derive(Clone)]
pub struct Digester(hmac::Key);

impl Digester {
    /// A digester under a key that only the vault knows.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The digest of a presented or new secret.
    #[must_use]
    pub fn digest(&self, secret: &str) -> Digest {
        let tag = hmac::sign(&self.0, secret.as_bytes());
        Digest(tag.as_ref().try_into().expect("an HMAC-SHA-256 tag is 32 bytes"))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn a_signature_is_the_standards() {
        let signature = Secret::from("Jefe").sign(b"what do ya want for nothing?");
        assert_eq!(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_digest_is_the_known_hmac_and_depends_on_its_key() {
        let one = Digester::new(&[0x0b; 32]);
        let other = Digester::new(&[0x0c; 32]);
        assert_eq!(one.digest("lg-key"), one.digest("lg-key"));
        assert_ne!(one.digest("lg-key"), one.digest("lg-kez"));
        assert_ne!(one.digest("lg-key"), other.digest("lg-key"));
        assert_eq!(Digest::from_bytes(*one.digest("x").bytes()), one.digest("x"));
    }

    #[test]
    fn nothing_that_can_be_printed_shows_a_secret() {
        let secret = Secret::from("canary-0123456789");
        let digester = Digester::new(&[7; 32]);
        let printed = format!("{secret:?} {:?} {digester:?}", digester.digest("canary"));
        assert_eq!(printed, "Secret(***) Digest(***) Digester(***)");
    }

    #[test]
    fn masks_show_little_and_short_secrets_less() {
        for (secret, shown) in [
            ("", "***"),
            ("a", "a***"),
            ("0123456789", "01***"),
            ("0123456789a", "012345***789a"),
            ("ключ-очень-длинный", "ключ-о***нный"),
        ] {
            assert_eq!(masked(secret), shown);
        }
    }
}
