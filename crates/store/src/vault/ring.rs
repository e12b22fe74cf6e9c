//! Decides which master keys are accepted now; it also learns of a rotation that another process made, and never accepts
//! a key that the operator did not keep.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::master::KeyFile;
use super::{MasterKey, VaultError};

/// The keys of this process, and the file that another process may change them in.
pub(crate) struct Keys {
    accepted: ArcSwap<Accepted>,
    file: Option<KeyFile>,
}

/// Swapped whole. Ask after the row was read, never before.
pub(crate) type Ring = Arc<Keys>;

/// A reader may hold a row from before a rotation, or meet one from after it.
#[derive(Clone)]
struct Accepted {
    /// New secrets are put under it.
    current: MasterKey,
    /// The one after, while it is known.
    next: Option<MasterKey>,
    /// The one before, when this process knew it.
    former: Option<MasterKey>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl Keys {
    pub(super) fn new(current: MasterKey, next: Option<MasterKey>, file: Option<KeyFile>) -> Self {
        Self { accepted: ArcSwap::from_pointee(Accepted { current, next, former: None }), file }
    }

    pub(super) fn file(&self) -> Option<&KeyFile> {
        self.file.as_ref()
    }

    /// The key that this process knows to be in force.
    pub(crate) fn current(&self) -> MasterKey {
        self.accepted.load().current.clone()
    }

    /// The key that was given to be the next.
    pub(super) fn next(&self) -> Option<MasterKey> {
        self.accepted.load().next.clone()
    }

    /// The key of that id. One that is not known is looked for in the key file: another process may have rotated.
    pub(crate) fn find(&self, key_id: &[u8; 8]) -> Result<MasterKey, VaultError> {
        let accepted = self.accepted.load();
        let known = [Some(&accepted.current), accepted.next.as_ref(), accepted.former.as_ref()];
        if let Some(key) = known.into_iter().flatten().find(|key| key.id() == *key_id) {
            return Ok(key.clone());
        }
        let written = self.file.as_ref().map(KeyFile::written).transpose()?;
        let written = written.into_iter().flatten().find(|key| key.id() == *key_id);
        written.ok_or_else(|| VaultError::Wrong {
            needed: hex::encode(key_id),
            given: hex::encode(accepted.current.id()),
        })
    }

    /// The key of that id, which is in force from now on.
    pub(crate) fn adopt(&self, key_id: &[u8; 8]) -> Result<MasterKey, VaultError> {
        let key = self.find(key_id)?;
        let current = self.current();
        if current.id() != *key_id {
            self.accepted.store(Arc::new(Accepted {
                current: key.clone(),
                next: None,
                former: Some(current),
            }));
        }
        Ok(key)
    }

    /// Accepts a key that is to be in force soon.
    pub(super) fn expect(&self, next: MasterKey) {
        let accepted = Accepted::clone(&self.accepted.load());
        self.accepted.store(Arc::new(Accepted { next: Some(next), ..accepted }));
    }
}
