//! Names what can go wrong when remembering; never carries a row, a statement or a secret.

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("there is no {what} named {name:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// It is not what the caller saw any more.
    #[error("the {what} {name:?} was changed by somebody else meanwhile")]
    Changed {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// It exists already, or something else stands against it.
    #[error("the {what} {name:?} {why}")]
    Conflict {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        name: String,
        /// What stands against it.
        why: &'static str,
    },
    /// The database cannot be reached or used now; it may be later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database was written by a newer release. It was not touched.
    #[error(
        "the database has schema {found}, and this release knows schemas up to {known}: use a newer release"
    )]
    Newer {
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// An applied migration is not the one this release carries.
    #[error("the database was migrated by a different release line (migration {0} differs)")]
    Foreign(i64),
    /// The database is damaged.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// The bundled SQLite has a known corruption bug.
    #[error("SQLite {0} is too old to be safe (3.51.3 or newer is needed)")]
    Unsafe(String),
    /// A stored value cannot be read back.
    #[error("the stored {0} cannot be read")]
    Unreadable(&'static str),
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] crate::vault::VaultError),
    /// The journal could not be opened.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// A file of the data folder cannot be used.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
}
