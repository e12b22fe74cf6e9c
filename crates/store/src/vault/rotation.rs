//! Leads from one master key to the next; it never leaves a moment at which the key of a stored secret is known to nobody.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde_json::json;

use super::envelope;
use super::{Keys, MasterKey, Rotated, VaultError};
use crate::audit::{Author, Deed};
use crate::error::StoreError;
use crate::sqlite;

/// One rotation, on the writing thread.
pub(super) struct Rotation<'a> {
    pub(super) ring: &'a Keys,
    pub(super) author: &'a Author,
}

impl Rotation<'_> {
    /// The steps, after each of which the process may be killed: the next key is written beside the present one (or was
    /// kept by the operator), all rows change in one transaction, the files are put in order.
    pub(super) fn run(
        &self,
        connection: &mut Connection,
        new: Option<MasterKey>,
        progress: impl FnMut(u64, u64),
    ) -> Result<Rotated, StoreError> {
        let file = self.ring.file();
        // Held to the end: a second process must not announce a key over ours.
        let _lock = file.map(super::master::KeyFile::lock).transpose()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let current = self.ring.adopt(&sqlite::secrets::key_in_force(&transaction)?)?;
        let new = self.next(&current, new)?;
        if let Some(file) = file {
            file.announce(&current, &new)?;
        }
        // Readers meet rows of both keys from the commit on.
        self.ring.expect(new.clone());
        let secrets = self.rewrap(&transaction, (&current, &new), progress)?;
        transaction.commit()?;
        let key_id = hex::encode(new.id());
        self.ring.adopt(&new.id())?;
        if let Some(file) = file {
            file.replace()?;
        }
        Ok(Rotated { secrets, key_id, file: file.map(|file| file.path().to_owned()) })
    }

    /// A key is made here only where there is a file to keep it in before it is used.
    fn next(&self, current: &MasterKey, new: Option<MasterKey>) -> Result<MasterKey, VaultError> {
        let given = match (new, self.ring.file()) {
            (Some(_), Some(_)) => return Err(VaultError::Unwanted),
            (None, Some(_)) => return MasterKey::generate(),
            (given, None) => given.or_else(|| self.ring.next()),
        };
        match given {
            Some(key) if key.id() == current.id() => Err(VaultError::Same),
            Some(key) => Ok(key),
            None => Err(VaultError::NextMissing),
        }
    }

    /// All data keys, the proof and the entry in the audit log.
    fn rewrap(
        &self,
        transaction: &Transaction<'_>,
        (current, new): (&MasterKey, &MasterKey),
        progress: impl FnMut(u64, u64),
    ) -> Result<u64, StoreError> {
        let secrets = sqlite::secrets::rewrap(transaction, self.ring, new, progress)?;
        sqlite::secrets::prove(transaction, &envelope::prove(new)?)?;
        let told = |key: &MasterKey| json!({ "key_id": hex::encode(key.id()) });
        let deed = Deed::of("rotate", "vault", "master key").before(told(current)).after(told(new));
        sqlite::audit::append(transaction, self.author, &deed)?;
        Ok(secrets)
    }
}
