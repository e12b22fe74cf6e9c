//! Makes the secrets that the gateway gives out and the ids of what it stores; it never stores any of them.

use policy::{OWN_KEY_PREFIX, Secret};
use rand::Rng;
use rand::distr::Alphanumeric;

/// 40 base62 characters are 238 bits: beyond guessing, so that a fast digest is enough.
const SECRET_CHARS: usize = 40;
const ID_CHARS: usize = 16;

/// A new gateway key.
pub fn gateway_key() -> Secret {
    Secret::new(format!("{OWN_KEY_PREFIX}{}", base62(SECRET_CHARS)))
}

/// A new admin token.
pub fn admin_token() -> Secret {
    Secret::new(format!("lga-{}", base62(SECRET_CHARS)))
}

/// A new id of a dashboard session.
pub fn session() -> Secret {
    Secret::new(format!("lgs-{}", base62(SECRET_CHARS)))
}

/// A new id, such as `key_..` or `be_..`.
pub fn id(prefix: &str) -> String {
    format!("{prefix}_{}", base62(ID_CHARS))
}

/// The thread's generator is seeded by the system and cryptographically secure.
fn base62(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}
