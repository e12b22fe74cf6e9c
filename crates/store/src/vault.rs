//! Keeps secrets encrypted, each under its own data key and each data key under the master key; it never falls
//! back to plaintext and never shows what it holds.

pub(crate) mod envelope;
mod master;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use policy::Secret;
use rusqlite::{Connection, TransactionBehavior};
use zeroize::Zeroizing;

pub(crate) use envelope::{Proof, Sealed};
pub use master::{MasterKey, MasterKeySource};

use crate::audit::{Author, Deed};
use crate::error::StoreError;
use crate::sqlite::{self, Database};
use master::KeyFile;

/// Where the key of gateway-key digests is kept.
const DIGEST_KEY: &str = "vault/digest-key";

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
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// What the caller should tell the user once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultNotice {
    /// There was no master key and no secret: this key file was made. Losing it loses the stored secrets.
    Created(PathBuf),
}

/// How a rotation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Data keys that were wrapped anew.
    pub secrets: u64,
    /// The new master key's id.
    pub key_id: String,
    /// The key file that has the new key; none when the key comes from a value that only the operator can change.
    pub file: Option<PathBuf>,
}

/// The master keys that are accepted now: the one that new secrets are put under, and the other one of the
/// latest rotation, as a reader may hold a row from before it.
pub(crate) struct KeyRing {
    pub(crate) current: MasterKey,
    other: Option<MasterKey>,
}

/// The ring, swapped whole. Load it after the row was read, never before.
pub(crate) type Ring = Arc<ArcSwap<KeyRing>>;

impl KeyRing {
    pub(crate) fn find(&self, key_id: &[u8]) -> Option<&MasterKey> {
        [Some(&self.current), self.other.as_ref()].into_iter().flatten().find(|key| key.id() == key_id)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyRing(***)")
    }
}

/// The vault. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vault {
    database: Arc<Database>,
    ring: Ring,
    file: Arc<Option<KeyFile>>,
}

impl Vault {
    /// Opens the vault with the master key from `source`, or makes a key on the very first start.
    pub(crate) fn open(
        database: Arc<Database>,
        source: MasterKeySource,
        data_dir: &std::path::Path,
    ) -> Result<(Self, Option<VaultNotice>), StoreError> {
        let proof = database.write_blocking(|connection| sqlite::secrets::proof(connection))?;
        let (key, file, notice) = master::find(source, data_dir, proof.as_ref())?;
        if proof.is_none() {
            let proof = envelope::prove(&key)?;
            database.write_blocking(move |connection| sqlite::secrets::found(connection, &proof))?;
        }
        let ring = KeyRing { current: key, other: None };
        let vault = Self { database, ring: Arc::new(ArcSwap::from_pointee(ring)), file: Arc::new(file) };
        Ok((vault, notice))
    }

    /// The id of the master key in use. It says nothing about the key.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.ring.load().current.id())
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
        let ring = Arc::clone(&self.ring);
        self.database.write_blocking(move |connection| {
            let transaction = connection.transaction()?;
            let stored = match sqlite::secrets::get(&transaction, &ring, DIGEST_KEY)? {
                Some(stored) => stored,
                None => {
                    let minted = Secret::new(hex::encode(*envelope::random::<32>()?));
                    sqlite::secrets::put(&transaction, &ring, DIGEST_KEY, &minted)?;
                    minted
                }
            };
            transaction.commit()?;
            let mut key = Zeroizing::new([0; 32]);
            hex::decode_to_slice(stored.expose(), key.as_mut_slice())
                .map_err(|_| VaultError::Altered(DIGEST_KEY.to_owned()))?;
            Ok(key)
        })
    }

    /// Puts all data keys under a new master key in one transaction; killed at any point, either all secrets
    /// open under the old key or all under the new one, and the key file has both until that is settled.
    ///
    /// Without `new` a key is made; that needs a key file to keep it in. `progress` hears (done, of all).
    pub async fn rotate(
        &self,
        author: Author,
        new: Option<MasterKey>,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Rotated, StoreError> {
        let (ring, file) = (Arc::clone(&self.ring), Arc::clone(&self.file));
        // All of it on the writing thread: rotations cannot overlap, and one whose caller left still ends.
        self.database
            .write(move |connection| {
                let rotation = Rotation { ring: &ring, file: file.as_ref().as_ref(), author: &author };
                rotation.run(connection, new, progress)
            })
            .await
    }

    pub(crate) fn ring(&self) -> Ring {
        Arc::clone(&self.ring)
    }
}

/// One rotation, on the writing thread.
struct Rotation<'a> {
    ring: &'a Ring,
    file: Option<&'a KeyFile>,
    author: &'a Author,
}

impl Rotation<'_> {
    fn run(
        &self,
        connection: &mut Connection,
        new: Option<MasterKey>,
        progress: impl FnMut(u64, u64),
    ) -> Result<Rotated, StoreError> {
        let new = match (new, self.file) {
            (Some(new), _) => new,
            (None, Some(_)) => MasterKey::generate()?,
            (None, None) => return Err(VaultError::Missing("the new one must be given".to_owned()).into()),
        };
        let current = self.ring.load().current.clone();
        if let Some(file) = self.file {
            file.announce(&current, &new)?;
        }
        // Readers meet rows of both keys from now on.
        self.ring.store(Arc::new(KeyRing { current: current.clone(), other: Some(new.clone()) }));
        let secrets = self.rewrap(connection, (&current, &new), progress)?;
        let key_id = hex::encode(new.id());
        self.ring.store(Arc::new(KeyRing { current: new, other: Some(current) }));
        if let Some(file) = self.file {
            file.replace()?;
        }
        Ok(Rotated { secrets, key_id, file: self.file.map(|file| file.path().to_owned()) })
    }

    /// All data keys, the proof and the entry in the audit log, or nothing.
    fn rewrap(
        &self,
        connection: &mut Connection,
        (current, new): (&MasterKey, &MasterKey),
        progress: impl FnMut(u64, u64),
    ) -> Result<u64, StoreError> {
        let proof = envelope::prove(new)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let secrets = sqlite::secrets::rewrap(&transaction, self.ring, new, progress)?;
        sqlite::secrets::prove(&transaction, &proof)?;
        let told = |key: &MasterKey| serde_json::json!({ "key_id": hex::encode(key.id()) });
        let deed = Deed::of("rotate", "vault", "master key").before(told(current)).after(told(new));
        sqlite::audit::append(&transaction, self.author, &deed)?;
        transaction.commit()?;
        Ok(secrets)
    }
}
