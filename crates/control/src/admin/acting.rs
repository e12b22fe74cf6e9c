//! Decides in whose hands a change is: the audit log tells every change under its author; it never decides what they may do.

#[cfg(test)]
mod tests;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use store::audit::{AuditLog, Author};
use store::{Backlog, Backups, Captures, EventLog, Store, Vault};

use super::AdminState;
use super::actor::Actor;
use super::refusal::Refusal;

/// What is kept of changes, and beside the ledger.
#[derive(Clone)]
pub struct Records {
    /// Who changed what.
    pub audit: AuditLog,
    /// Copies of the database.
    pub backups: Backups,
    /// What happened.
    pub events: EventLog,
    /// Requests that were captured.
    pub captures: Captures,
    /// Secrets.
    pub vault: Vault,
    /// How far the ledger is behind; none where nobody moves what the journal has.
    pub backlog: Option<Backlog>,
    /// In whose hands every call is, where the API is called by function and not over a network.
    pub operator: Option<Author>,
}

impl Records {
    /// What an open store keeps, in the hands of whoever calls.
    pub fn of(store: &Store) -> Self {
        Self {
            audit: store.audit.clone(),
            backups: store.backups.clone(),
            events: store.events.clone(),
            captures: store.captures.clone(),
            vault: store.vault.clone(),
            backlog: Some(store.mover.backlog()),
            operator: None,
        }
    }
}

/// The state in the hands of whoever calls: every handler that changes something takes this one.
pub(crate) struct Acting(pub(crate) AdminState);

impl FromRequestParts<AdminState> for Acting {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, Refusal> {
        let author = match &state.records.operator {
            Some(operator) => operator.clone(),
            None => Actor::from_request_parts(parts, state).await?.author(),
        };
        let mut state = state.clone();
        state.directory = state.directory.by(author);
        Ok(Self(state))
    }
}

impl AdminState {
    /// Who acts, for what is entered apart from the directory.
    pub(super) fn author(&self) -> Author {
        self.directory.author().clone()
    }
}
