//! What people edit through the API: backends, gateway keys, teams, budgets, prices, accounts, settings; it never decides what an entry means, and
//! hands credentials to the vault.

mod accounts;
mod specs;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use policy::{Digest, Secret, Timestamp};
use serde_json::Value;

use crate::audit::{Author, Deed};
use crate::error::StoreError;
use crate::sqlite::{Database, backends, directory, keys, settings};
use crate::vault::{Ring, Vault};

pub use accounts::{NewAccount, StoredAccount};
pub use specs::{Kind, NewSpec, SpecChange, StoredSpec};

/// A backend as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBackend {
    /// Its own id; never changes.
    pub id: String,
    /// Its name; unique.
    pub name: String,
    /// What the admin API was given, without the credential.
    pub spec: Value,
    /// The credential, opened.
    pub credential: Option<Secret>,
    /// What may be shown of the credential.
    pub masked: Option<String>,
    /// Whether it takes part.
    pub enabled: bool,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Grows with every change: the `ETag`.
    pub revision: u64,
}

/// A backend to add.
#[derive(Debug, Clone)]
pub struct NewBackend {
    /// A fresh id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// All but the credential.
    pub spec: Value,
    /// The credential.
    pub credential: Option<Secret>,
    /// Whether it takes part.
    pub enabled: bool,
}

/// What to do with a stored credential.
#[derive(Debug, Clone, Default)]
pub enum CredentialChange {
    /// Leave it.
    #[default]
    Keep,
    /// Put this one in its place.
    Set(Secret),
    /// Forget it.
    Clear,
}

/// What to change of a backend; what is left out stays.
#[derive(Debug, Clone, Default)]
pub struct BackendChange {
    /// A new name.
    pub name: Option<String>,
    /// A new spec, whole.
    pub spec: Option<Value>,
    /// The credential.
    pub credential: CredentialChange,
    /// Whether it takes part.
    pub enabled: Option<bool>,
}

/// A gateway key as it is stored: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its own id; never changes.
    pub id: String,
    /// Its name; unique.
    pub name: String,
    /// The keyed digest that a presented key is compared with.
    pub digest: Digest,
    /// What may be shown of the key.
    pub masked: String,
    /// Its team.
    pub team: Option<String>,
    /// Its limits, as the admin API was given them.
    pub limits: Value,
    /// Whether it is accepted.
    pub enabled: bool,
    /// From when on it is not.
    pub expires: Option<Timestamp>,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// When its last settled request arrived.
    pub last_used: Option<Timestamp>,
    /// Grows with every change: the `ETag`.
    pub revision: u64,
}

/// A gateway key to add.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// A fresh id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its keyed digest.
    pub digest: Digest,
    /// What may be shown of it.
    pub masked: String,
    /// Its team.
    pub team: Option<String>,
    /// Its limits.
    pub limits: Value,
    /// Whether it is accepted.
    pub enabled: bool,
    /// From when on it is not.
    pub expires: Option<Timestamp>,
}

/// What to change of a key; what is left out stays.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// A new name.
    pub name: Option<String>,
    /// A new secret: its digest and what may be shown of it.
    pub secret: Option<(Digest, String)>,
    /// A new team, or none.
    pub team: Option<Option<String>>,
    /// New limits, whole.
    pub limits: Option<Value>,
    /// Whether it is accepted.
    pub enabled: Option<bool>,
    /// A new end, or none.
    pub expires: Option<Option<Timestamp>>,
}

/// Which row, and in which state the caller saw it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its id.
    pub id: &'a str,
    /// Refuse when it has changed since (`If-Match`).
    pub revision: Option<u64>,
}

/// Who edits, and the keys that credentials go under.
#[derive(Debug)]
pub(crate) struct Editor {
    pub(crate) ring: Ring,
    pub(crate) author: Author,
}

/// The directory, in the hands of somebody: every change is entered in the audit log under its author. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    database: Arc<Database>,
    editor: Arc<Editor>,
}

impl Directory {
    pub(crate) fn new(database: Arc<Database>, vault: &Vault) -> Self {
        Self { database, editor: Arc::new(Editor { ring: vault.ring(), author: Author::gateway() }) }
    }

    /// The same directory in the hands of `author`. Until then it is in the gateway's own.
    #[must_use]
    pub fn by(&self, author: Author) -> Self {
        let ring = Arc::clone(&self.editor.ring);
        Self { database: Arc::clone(&self.database), editor: Arc::new(Editor { ring, author }) }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Enters a deed that changes nothing here under its author: a reload, a reset.
    pub async fn note(&self, deed: Deed) -> Result<(), StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| crate::sqlite::audit::record(c, &editor.author, &deed)).await
    }

    /// In whose hands it is.
    #[must_use]
    pub fn author(&self) -> &Author {
        &self.editor.author
    }

    /// How often the directory was changed, ever. Whoever saw the same number has seen the same content.
    pub async fn changes(&self) -> Result<u64, StoreError> {
        self.database.read(|c| directory::changes(c)).await
    }

    /// All backends by name, with their credentials.
    pub async fn backends(&self) -> Result<Vec<StoredBackend>, StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.read(move |c| backends::all(c, &editor.ring)).await
    }

    /// Adds a backend.
    pub async fn add_backend(&self, new: NewBackend, now: Timestamp) -> Result<StoredBackend, StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| backends::add(c, &editor, &new, now)).await
    }

    /// Changes a backend.
    pub async fn change_backend(
        &self,
        target: Target<'_>,
        change: BackendChange,
        now: Timestamp,
    ) -> Result<StoredBackend, StoreError> {
        let (editor, id, revision) = (Arc::clone(&self.editor), target.id.to_owned(), target.revision);
        self.database
            .write(move |c| backends::edit(c, &editor, Target { id: &id, revision }, change, now))
            .await
    }

    /// Removes a backend and its credential.
    pub async fn remove_backend(&self, target: Target<'_>) -> Result<(), StoreError> {
        let (editor, id, revision) = (Arc::clone(&self.editor), target.id.to_owned(), target.revision);
        self.database.write(move |c| backends::remove(c, &editor, Target { id: &id, revision })).await
    }

    /// All keys by name.
    pub async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.database.read(|c| keys::all(c)).await
    }

    /// Adds a key.
    pub async fn add_key(&self, new: NewKey, now: Timestamp) -> Result<StoredKey, StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| keys::add(c, &editor.author, &new, now)).await
    }

    /// Changes a key.
    pub async fn change_key(
        &self,
        target: Target<'_>,
        change: KeyChange,
        now: Timestamp,
    ) -> Result<StoredKey, StoreError> {
        let (editor, id, revision) = (Arc::clone(&self.editor), target.id.to_owned(), target.revision);
        self.database
            .write(move |c| keys::edit(c, &editor.author, Target { id: &id, revision }, change, now))
            .await
    }

    /// Removes a key. Its receipts stay.
    pub async fn remove_key(&self, target: Target<'_>) -> Result<(), StoreError> {
        let (editor, id, revision) = (Arc::clone(&self.editor), target.id.to_owned(), target.revision);
        self.database.write(move |c| keys::remove(c, &editor.author, Target { id: &id, revision })).await
    }

    /// All settings that were changed through the API, by name.
    pub async fn settings(&self) -> Result<Vec<(String, Value)>, StoreError> {
        self.database.read(|c| settings::all(c)).await
    }

    /// Sets or forgets several settings, all or none; where one is forgotten, the file or the default rules again. One that
    /// was not set is forgotten already.
    pub async fn change_settings(&self, changes: Vec<(String, Option<Value>)>) -> Result<(), StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| settings::edit(c, &editor.author, &changes)).await
    }

    /// The digest of the admin token that was minted at first start.
    pub async fn admin_token_digest(&self) -> Result<Option<Digest>, StoreError> {
        self.database.read(|c| settings::admin_token_digest(c)).await
    }

    /// Keeps the digest of a new admin token.
    pub async fn set_admin_token_digest(&self, digest: Digest) -> Result<(), StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| settings::set_admin_token_digest(c, &editor.author, &digest)).await
    }
}
