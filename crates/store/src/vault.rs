//! Keeps secrets encrypted, each under its own data key and each data key under the master key; it never falls
//! back to plaintext and never shows what it holds.

pub(crate) mod envelope;
mod master;
mod ring;
mod rotation;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use policy::Secret;
use serde::Serialize;
use tokio::sync::watch;
use zeroize::Zeroizing;

pub(crate) use envelope::{Proof, Sealed};
pub use master::{MasterKey, MasterKeySource};

use crate::audit::Author;
use crate::error::StoreError;
use crate::sqlite::{self, Database};
pub(crate) use ring::{Keys, Ring};
use rotation::Rotation;

/// Where the key of gateway-key digests is kept.
const DIGEST_KEY: &str = "vault/digest-key";
/// Where the key of kept responses is kept.
const KEPT_KEY: &str = "vault/kept-key";
/// Where the key of captures is kept.
const CAPTURE_KEY: &str = "vault/capture-key";

/// Why the vault does not open or does not give a secret. All of these mean exit code 78 at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Secrets are stored and no master key was given or found.
    #[error("secrets are stored, but there is no master key: {0}")]
    Missing(String),
    /// Secrets are stored under another master key.
    #[error(
        "the master key is not the one that the stored secrets are under (they need key {needed}, this is {given})"
    )]
    Wrong {
        /// The id of the key that would fit.
        needed: String,
        /// The id of the key that was given.
        given: String,
    },
    /// The master key is not 64 hex characters.
    #[error("the master key must be 64 hex characters")]
    Malformed,
    /// The master key file cannot be read or written.
    #[error("{path}: {kind}")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// A stored secret does not open: it was altered, or belongs to another row.
    #[error("the stored secret {0:?} does not open: it was altered")]
    Altered(String),
    /// The master key is a value that only the operator can keep, and no next one was given.
    #[error("the master key comes from the environment, and no next one was given")]
    NextMissing,
    /// The key that was given to be the next is the present one, or the one before.
    #[error("the next master key is the one in force already")]
    Same,
    /// A next key was given, and the key file keeps one that is made here.
    #[error("the master key is kept in a file, and the next one is made here; none is to be given")]
    Unwanted,
    /// A rotation is on already.
    #[error("another rotation of the master key is on")]
    Rotating,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// What the caller should tell the user once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultNotice {
    /// There was no master key and no secret: this key file was made. Losing it loses the stored secrets.
    Created(PathBuf),
    /// The key that was meant to be the next one is in force already, and stands in the place of the next.
    NextInForce,
}

/// How a rotation went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// Data keys that were wrapped anew.
    pub secrets: u64,
    /// The new master key's id.
    pub key_id: String,
    /// The key file that has the new key; none when the key comes from a value that only the operator can change.
    pub file: Option<PathBuf>,
}

/// The vault. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vault {
    database: Arc<Database>,
    ring: Ring,
    rotation: Arc<watch::Sender<Option<RotationProgress>>>,
}

/// How the vault stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VaultStatus {
    /// The master key in force, by its id; it says nothing about the key.
    pub key_id: String,
    /// Where the key comes from: `file` or `environment`.
    pub source: &'static str,
    /// The key file, where there is one.
    pub file: Option<PathBuf>,
    /// How many secrets are stored.
    pub secrets: u64,
    /// How many of them are under the key in force: all, or the vault is damaged.
    pub under_key: u64,
    /// How far a rotation of this process has come, while one is on.
    pub rotation: Option<RotationProgress>,
}

/// How far a rotation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RotationProgress {
    /// Secrets that were wrapped anew.
    pub done: u64,
    /// How many there are in all.
    pub of: u64,
}

impl Vault {
    /// Opens the vault with the master key from `source`, or makes a key on the very first start.
    pub(crate) fn open(
        database: Arc<Database>,
        source: MasterKeySource,
        data_dir: &std::path::Path,
    ) -> Result<(Self, Option<VaultNotice>), StoreError> {
        let proof = database.write_blocking(|connection| sqlite::secrets::proof(connection))?;
        let found = master::find(source, data_dir, proof.as_ref())?;
        if proof.is_none() {
            let proof = envelope::prove(&found.key)?;
            database.write_blocking(move |connection| sqlite::secrets::found(connection, &proof))?;
        }
        let ring = Arc::new(Keys::new(found.key, found.next, found.file));
        let rotation = Arc::new(watch::Sender::new(None));
        Ok((Self { database, ring, rotation }, found.notice))
    }

    /// Whether the master key from `source` is the one that `proof` asks for.
    pub(crate) fn fits(
        source: MasterKeySource,
        data_dir: &std::path::Path,
        proof: Option<&Proof>,
    ) -> Result<(), VaultError> {
        master::find(source, data_dir, proof).map(drop)
    }

    /// The id of the master key in use. It says nothing about the key.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.ring.current().id())
    }

    /// The secret stored under `id`.
    pub async fn get(&self, id: &str) -> Result<Option<Secret>, StoreError> {
        let (ring, id) = (Arc::clone(&self.ring), id.to_owned());
        self.database.read(move |connection| sqlite::secrets::get(connection, &ring, &id)).await
    }

    /// Stores a secret under `id`, in place of any before.
    pub async fn put(&self, id: &str, secret: Secret) -> Result<(), StoreError> {
        let (ring, id) = (Arc::clone(&self.ring), id.to_owned());
        self.database
            .write(move |connection| {
                let transaction = connection.transaction()?;
                sqlite::secrets::put(&transaction, &ring, &id, &secret)?;
                Ok(transaction.commit()?)
            })
            .await
    }

    /// Forgets the secret under `id`, if there is one.
    pub async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.database
            .write(move |connection| {
                let transaction = connection.transaction()?;
                sqlite::secrets::remove(&transaction, &id)?;
                Ok(transaction.commit()?)
            })
            .await
    }

    /// The key for [`policy::Digester`]: made at first use, the same ever after.
    pub fn digest_key(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        self.minted_key(DIGEST_KEY)
    }

    /// The data key that kept responses are sealed under.
    pub(crate) fn kept_key(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        self.minted_key(KEPT_KEY)
    }

    /// The data key that captures are sealed under.
    pub(crate) fn capture_key(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        self.minted_key(CAPTURE_KEY)
    }

    /// A key of the vault's own: made at first use, the same ever after.
    fn minted_key(&self, id: &'static str) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let ring = Arc::clone(&self.ring);
        self.database.write_blocking(move |connection| {
            let transaction = connection.transaction()?;
            let stored = match sqlite::secrets::get(&transaction, &ring, id)? {
                Some(stored) => stored,
                None => {
                    let minted = Secret::new(hex::encode(*envelope::random::<32>()?));
                    sqlite::secrets::put(&transaction, &ring, id, &minted)?;
                    minted
                }
            };
            transaction.commit()?;
            let mut key = Zeroizing::new([0; 32]);
            hex::decode_to_slice(stored.expose(), key.as_mut_slice())
                .map_err(|_| VaultError::Altered(id.to_owned()))?;
            Ok(key)
        })
    }

    /// How it stands.
    pub async fn status(&self) -> Result<VaultStatus, StoreError> {
        let (ring, rotation) = (Arc::clone(&self.ring), *self.rotation.borrow());
        self.database
            .read(move |connection| {
                let (key_id, secrets, under_key) = sqlite::secrets::counts(connection)?;
                let file = ring.file().map(|file| file.path().to_owned());
                let source = if file.is_some() { "file" } else { "environment" };
                Ok(VaultStatus { key_id: hex::encode(key_id), source, file, secrets, under_key, rotation })
            })
            .await
    }

    /// Puts all data keys under a new master key in one transaction; killed at any point, either all secrets
    /// open under the old key or all under the new one, and both keys are kept until that is settled.
    ///
    /// A key file gets a key that is made here. Where the key is a value, the operator makes the next one and keeps
    /// it beforehand; it is `new`, or the one that the vault was opened with. `progress` hears (done, of all).
    pub async fn rotate(
        &self,
        author: Author,
        new: Option<MasterKey>,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Rotated, StoreError> {
        let (ring, rotation) = (Arc::clone(&self.ring), Arc::clone(&self.rotation));
        // All of it on the writing thread: rotations cannot overlap, and one whose caller left still ends.
        self.database
            .write(move |connection| {
                let rotated = Rotation { ring: &ring, author: &author }.run(connection, new, |done, of| {
                    rotation.send_replace(Some(RotationProgress { done, of }));
                    progress(done, of);
                });
                rotation.send_replace(None);
                rotated
            })
            .await
    }

    /// Follows how far a rotation of this process has come; none while none is on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Option<RotationProgress>> {
        self.rotation.subscribe()
    }

    pub(crate) fn ring(&self) -> Ring {
        Arc::clone(&self.ring)
    }
}
