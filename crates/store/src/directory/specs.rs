//! Teams, budgets, prices and the like as they are stored: a name and what the admin API was given; it never decides what that means.

use std::sync::Arc;

use policy::Timestamp;
use serde_json::Value;

use super::{Directory, Target};
use crate::error::StoreError;
use crate::sqlite::specs as rows;

/// What a stored spec is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Keys that share ceilings.
    Team,
    /// What may be spent.
    Budget,
    /// What a model costs.
    Price,
    /// Another name for models.
    Alias,
    /// Who a local process is signed in as; all but the word for how is in the vault.
    Account,
    /// Which requests to capture.
    CaptureRule,
}

impl Kind {
    /// The word for it, in rows and to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Budget => "budget",
            Self::Price => "price",
            Self::Alias => "alias",
            Self::Account => "account",
            Self::CaptureRule => "capture_rule",
        }
    }
}

/// A team, a budget or a price as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSpec {
    /// Its own id; never changes.
    pub id: String,
    /// Its name; unique among its kind.
    pub name: String,
    /// What the admin API was given.
    pub spec: Value,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Grows with every change: the `ETag`.
    pub revision: u64,
}

/// One to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSpec {
    /// A fresh id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub spec: Value,
}

/// What one shall be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecChange {
    /// Its name.
    pub name: String,
    /// What it says, whole.
    pub spec: Value,
}

impl Directory {
    /// All of a kind, by name.
    pub async fn specs(&self, kind: Kind) -> Result<Vec<StoredSpec>, StoreError> {
        self.database.read(move |c| rows::all(c, kind)).await
    }

    /// Adds one.
    pub async fn add_spec(&self, kind: Kind, new: NewSpec, now: Timestamp) -> Result<StoredSpec, StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| rows::add(c, &editor.author, kind, &new, now)).await
    }

    /// Changes one.
    pub async fn change_spec(
        &self,
        kind: Kind,
        target: Target<'_>,
        change: SpecChange,
        now: Timestamp,
    ) -> Result<StoredSpec, StoreError> {
        let (editor, id, revision) = (Arc::clone(&self.editor), target.id.to_owned(), target.revision);
        self.database
            .write(move |c| {
                let place = rows::Place { kind, target: Target { id: &id, revision } };
                rows::edit(c, &editor.author, place, &change, now)
            })
            .await
    }

    /// Removes one.
    pub async fn remove_spec(&self, kind: Kind, target: Target<'_>) -> Result<(), StoreError> {
        let (editor, id, revision) = (Arc::clone(&self.editor), target.id.to_owned(), target.revision);
        self.database
            .write(move |c| {
                let place = rows::Place { kind, target: Target { id: &id, revision } };
                rows::remove(c, &editor.author, place)
            })
            .await
    }

    /// Adds them, in place of those of the same name; all or none. Gives how many that changed.
    pub async fn put_specs(
        &self,
        kind: Kind,
        all: Vec<NewSpec>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let editor = Arc::clone(&self.editor);
        self.database.write(move |c| rows::put(c, &editor.author, kind, &all, now)).await
    }
}
