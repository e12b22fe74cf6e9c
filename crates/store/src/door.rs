//! Who may come in through the admin API: tokens with a role, and sessions that began with one, each kept as a digest.
//! It never decides what a role may do or how long a session lasts.

#[cfg(test)]
mod tests;

use policy::{Digest, Timestamp};

use crate::directory::Directory;
use crate::error::StoreError;
use crate::sqlite::door as rows;

/// A token as it is stored: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Its own id; never changes.
    pub id: String,
    /// What people call it; unique.
    pub name: String,
    /// The word of its role.
    pub role: String,
    /// What may be shown of it.
    pub masked: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it does not count.
    pub expires: Option<Timestamp>,
    /// When it was last shown, to the minute.
    pub last_used: Option<Timestamp>,
}

/// A token to add.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// A fresh id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The word of its role.
    pub role: String,
    /// Its keyed digest.
    pub digest: Digest,
    /// What may be shown of it.
    pub masked: String,
    /// From when on it does not count.
    pub expires: Option<Timestamp>,
}

/// Somebody who showed a token and was given a session for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The keyed digest of its id.
    pub digest: Digest,
    /// The keyed digest of the token that was shown.
    pub token: Digest,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used, to the minute.
    pub seen: Timestamp,
}

/// Which sessions are forgotten when another one begins.
#[derive(Debug, Clone, Copy)]
pub struct SessionBounds {
    /// Those that began before.
    pub created_since: Timestamp,
    /// Those that were not used since.
    pub seen_since: Timestamp,
    /// Those used longest ago, beyond so many.
    pub count_max: u32,
}

impl Directory {
    /// All tokens by name.
    pub async fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        self.database().read(|connection| rows::tokens(connection)).await
    }

    /// The token with that digest.
    pub async fn token_of(&self, digest: Digest) -> Result<Option<StoredToken>, StoreError> {
        self.database().read(move |connection| rows::token_of(connection, &digest)).await
    }

    /// Adds a token, unless there are `count_max` already.
    pub async fn add_token(
        &self,
        new: NewToken,
        count_max: u32,
        now: Timestamp,
    ) -> Result<StoredToken, StoreError> {
        let author = self.author().clone();
        self.database()
            .write(move |connection| rows::add_token(connection, &author, &new, count_max, now))
            .await
    }

    /// Removes a token, and with it every session that began with it.
    pub async fn remove_token(&self, id: &str) -> Result<(), StoreError> {
        let (author, id) = (self.author().clone(), id.to_owned());
        self.database().write(move |connection| rows::remove_token(connection, &author, &id)).await
    }

    /// Notes that a token was shown.
    pub async fn token_used(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.database().write(move |connection| rows::token_used(connection, &id, now)).await
    }

    /// The session with that digest.
    pub async fn session(&self, digest: Digest) -> Result<Option<StoredSession>, StoreError> {
        self.database().read(move |connection| rows::session(connection, &digest)).await
    }

    /// Begins a session, and forgets those beyond `bounds`.
    pub async fn add_session(&self, new: StoredSession, bounds: SessionBounds) -> Result<(), StoreError> {
        let author = self.author().clone();
        self.database().write(move |connection| rows::add_session(connection, &author, &new, bounds)).await
    }

    /// Notes that a session was used.
    pub async fn session_used(&self, digest: Digest, now: Timestamp) -> Result<(), StoreError> {
        self.database().write(move |connection| rows::session_used(connection, &digest, now)).await
    }

    /// Ends a session.
    pub async fn remove_session(&self, digest: Digest) -> Result<(), StoreError> {
        self.database().write(move |connection| rows::remove_session(connection, &digest)).await
    }
}
