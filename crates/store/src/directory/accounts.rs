//! Accounts that local processes are signed in with: each is sealed whole under the place it is for; it never looks inside of
//! one.

use std::sync::Arc;

use policy::{Secret, Timestamp};

use super::Directory;
use crate::error::StoreError;
use crate::sqlite::accounts as rows;

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAccount {
    /// Whose it is: the pool of local processes and the number of the instance in it, as in `lingma/1`.
    pub place: String,
    /// All of it, opened: what the admin API was given.
    pub account: Secret,
}

/// An account to store.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Whose it is.
    pub place: String,
    /// What it signs in with, in a word: all that the audit log tells of it.
    pub kind: &'static str,
    /// All of it.
    pub account: Secret,
}

impl Directory {
    /// All accounts, by their place.
    pub async fn accounts(&self) -> Result<Vec<StoredAccount>, StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.read(move |c| rows::all(c, &editor.ring)).await
    }

    /// Stores an account, in place of any before.
    pub async fn put_account(&self, new: NewAccount, now: Timestamp) -> Result<(), StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| rows::put(c, &editor, &new, now)).await
    }

    /// Forgets the account of a place.
    pub async fn remove_account(&self, place: &str) -> Result<(), StoreError> {
        let (editor, place) = (Arc::clone(&self.editor), place.to_owned());
        self.database.write(move |c| rows::remove(c, &editor, &place)).await
    }
}
