//! What must outlive the process: the directory that people edit, the vault, the journal and the ledger. It
//! keeps and finds; it never decides what anything means or costs.
//!
//! ```text
//! request path ── Reservation::write ──> journal (local file) ── Mover ──> ledger (SQLite) ──> Ledger queries
//! ```

pub mod audit;
pub mod backup;
mod bindings;
pub mod captures;
pub mod directory;
pub mod door;
mod error;
pub mod events;
pub mod journal;
pub mod ledger;
pub mod mover;
mod open;
pub mod search;
mod shelf;
mod sqlite;
pub mod vault;

pub use audit::AuditLog;
pub use backup::Backups;
pub use bindings::BINDINGS_MAX;
pub use captures::{Captures, Recorder};
pub use directory::Directory;
pub use error::StoreError;
pub use events::EventLog;
pub use journal::{Durability, Journal, JournalError, JournalFull, JournalLag, JournalSettings, Reservation};
pub use ledger::Ledger;
pub use mover::{Backlog, Lag, Mover, MoverSettings, Retention, RetentionDial};
pub use open::{Store, StoreOptions, Tools, has_database};
pub use shelf::{KeptResponse, KeptResponses, Shelf, Shelved};
pub use sqlite::inspection::{Checkup, Inspection, Soundness};
pub use vault::{MasterKey, MasterKeySource, Vault, VaultError, VaultNotice};
