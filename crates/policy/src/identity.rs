//! Decides whose key was presented; never keeps a gateway key in clear and never says how close a guess was.

mod key;
mod reach;
mod secret;

use std::collections::HashMap;
use std::sync::Arc;

pub use key::{Class, Key, KeyLimits, ModelSet, TAG_BYTES_MAX, TAGS_MAX, Team};
pub use reach::{AddressSet, Endpoint, EndpointSet, UnknownEndpoint};
pub use secret::{Digest, Digester, Secret, masked};

/// What every key that the gateway makes begins with.
pub const OWN_KEY_PREFIX: &str = "lg-";

/// All gateway keys of a snapshot, found by the digest of what was presented.
#[derive(Debug)]
pub struct Identity {
    digester: Digester,
    by_digest: HashMap<[u8; 32], (Digest, Arc<Key>)>,
    keys: Vec<Arc<Key>>,
    teams: Vec<Team>,
    anonymous: Arc<Key>,
    closed: bool,
}

impl Identity {
    /// Puts keys under the digests of their secrets. A key may have several (rotation with overlap).
    pub(crate) fn new(
        digester: Digester,
        keys: Vec<(Arc<Key>, Vec<Digest>)>,
        teams: Vec<Team>,
        anonymous: Arc<Key>,
    ) -> Self {
        let by_digest = keys
            .iter()
            .flat_map(|(key, digests)| {
                digests.iter().map(move |d| (*d.bytes(), (d.clone(), Arc::clone(key))))
            })
            .collect();
        let keys: Vec<_> = keys.into_iter().map(|(key, _)| key).collect();
        let closed = !keys.is_empty();
        Self { digester, by_digest, keys, teams, anonymous, closed }
    }

    /// The same, never open: also without a key it serves nobody who has none.
    pub(crate) fn closed(self) -> Self {
        Self { closed: true, ..self }
    }

    /// The key whose secret this is: one digest, one look-up, one comparison in constant time. The
    /// look-up itself need not be: without the digester's key nobody can steer it.
    #[must_use]
    pub fn find(&self, presented: &str) -> Option<&Arc<Key>> {
        let digest = self.digester.digest(presented);
        let (known, key) = self.by_digest.get(digest.bytes())?;
        (*known == digest).then_some(key)
    }

    /// Whether two secrets are the same, told in constant time: by their digests.
    #[must_use]
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        self.digester.digest(one) == self.digester.digest(other)
    }

    /// Whether no key is configured, and none ever was since the start: then only loopback callers are served, as
    /// [`Self::anonymous`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.closed
    }

    /// The caller of an open gateway.
    #[must_use]
    pub fn anonymous(&self) -> &Arc<Key> {
        &self.anonymous
    }

    /// Every team.
    #[must_use]
    pub fn teams(&self) -> &[Team] {
        &self.teams
    }

    /// Every configured key.
    #[must_use]
    pub fn keys(&self) -> &[Arc<Key>] {
        &self.keys
    }
}
