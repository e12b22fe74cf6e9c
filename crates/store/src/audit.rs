//! What was changed, by whom and from where: a chain in which each entry vouches for the one before. It never
//! decides who may change what, never holds a secret in clear, and never forgets.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use policy::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StoreError;
use crate::ledger::Range;
use crate::sqlite::{self, Database};

/// The longest page.
const PAGE_MAX: u32 = 1000;
/// Fields whose texts are masked, however they got into an entry.
const SENSITIVE: [&str; 8] =
    ["api_key", "credential", "token", "secret", "password", "authorization", "digest", "new_key"];

/// Which way a change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The admin API or the dashboard.
    Api,
    /// The command line, in a process of its own.
    Cli,
    /// The configuration was read again.
    Reload,
    /// The gateway did it by itself.
    Gateway,
}

impl Via {
    pub(crate) const ALL: &[Self] = &[Self::Api, Self::Cli, Self::Reload, Self::Gateway];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
            Self::Reload => "reload",
            Self::Gateway => "gateway",
        }
    }
}

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// What the actor is called: a token's name, a user of the host, the gateway itself.
    pub name: Arc<str>,
    /// Which way the change came.
    pub via: Via,
    /// From where, when it came over a network.
    pub address: Option<IpAddr>,
}

impl Author {
    /// The gateway, doing what nobody asked for just now.
    #[must_use]
    pub fn gateway() -> Self {
        Self { name: Arc::from("gateway"), via: Via::Gateway, address: None }
    }
}

/// What was done to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// What was done, as in `create`.
    pub action: &'static str,
    /// To what kind of thing, as in `backend`.
    pub kind: &'static str,
    /// Which one, by the name that people know.
    pub subject: String,
    /// What it was; none when it was not.
    pub before: Option<Value>,
    /// What it is; none when it is no more.
    pub after: Option<Value>,
}

impl Deed {
    /// What was done, of which nothing before or after is told yet.
    pub fn of(action: &'static str, kind: &'static str, subject: impl Into<String>) -> Self {
        Self { action, kind, subject: subject.into(), before: None, after: None }
    }

    /// What it was.
    #[must_use]
    pub fn before(self, before: Value) -> Self {
        Self { before: Some(before), ..self }
    }

    /// What it is now.
    #[must_use]
    pub fn after(self, after: Value) -> Self {
        Self { after: Some(after), ..self }
    }
}

/// One entry of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its place, from 1, without gaps.
    pub number: u64,
    /// When, by the database's clock.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Which way.
    pub via: Via,
    /// From where.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub kind: String,
    /// Which one.
    pub subject: String,
    /// What it was; secrets masked.
    pub before: Option<Value>,
    /// What it is; secrets masked.
    pub after: Option<Value>,
    /// Over this entry and the hash before, in hex.
    pub hash: String,
}

/// Which entries are wanted; what is left out is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// When.
    pub range: Range,
    /// By whom.
    pub actor: Option<String>,
    /// Which way.
    pub via: Option<Via>,
    /// What was done.
    pub action: Option<String>,
    /// To what kind of thing.
    pub kind: Option<String>,
    /// To which one.
    pub subject: Option<String>,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self { range: Range::ALL, actor: None, via: None, action: None, kind: None, subject: None }
    }
}

/// Where the chain ends. Kept elsewhere, it also shows a chain that was rewritten as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainHead {
    /// The number of the last entry; 0 before the first.
    pub number: u64,
    /// Its hash, in hex.
    pub hash: String,
}

/// Where a chain does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "break", rename_all = "snake_case")]
pub enum ChainBreak {
    /// An entry is missing: the one with this number.
    Gap {
        /// Which.
        number: u64,
    },
    /// An entry is not what its hash covers, or does not follow the one before.
    Altered {
        /// Which.
        number: u64,
    },
    /// The chain ends elsewhere than its head says.
    Cut {
        /// The last entry there is.
        number: u64,
    },
    /// An entry that is known from elsewhere has another hash now.
    Rewritten {
        /// Which.
        number: u64,
    },
}

/// Whether the chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditVerdict {
    /// Entries looked at.
    pub entries: u64,
    /// Where it ends.
    pub head: ChainHead,
    /// Every place where it does not hold; the first hundred.
    pub breaks: Vec<ChainBreak>,
}

/// The audit log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditLog {
    database: Arc<Database>,
}

impl AuditLog {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Enters a deed that is no change of the database; one that is, is entered by the change itself.
    pub async fn record(&self, author: Author, deed: Deed) -> Result<(), StoreError> {
        self.database.write(move |connection| sqlite::audit::record(connection, &author, &deed)).await
    }

    /// Entries, newest first, with numbers below `before`; at most 1,000.
    pub async fn list(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        self.database.read(move |connection| sqlite::audit::list(connection, &filter, before, limit)).await
    }

    /// Walks the whole chain. `known` is a head that was kept elsewhere: it must still be part of the chain.
    pub async fn verify(&self, known: Option<ChainHead>) -> Result<AuditVerdict, StoreError> {
        self.database.read(move |connection| sqlite::audit::verify(connection, known.as_ref())).await
    }
}

/// Whatever is called like a secret is masked, at any depth: an entry outlives what it tells of.
pub(crate) fn masked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let value = match value {
                    Value::String(text) if SENSITIVE.contains(&name.as_str()) => {
                        Value::String(policy::masked(text))
                    }
                    other => masked(other),
                };
                (name.clone(), value)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
