//! Keeps the audit log in rows, each sealed to the one before in the transaction of the change it tells of; it never
//! changes or removes a row.

use aws_lc_rs::digest::{Context, SHA256};
use policy::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params, params_from_iter};
use serde_json::Value;

use super::ledger::{int, uint};
use crate::audit::{AuditEntry, AuditFilter, AuditVerdict, Author, ChainBreak, ChainHead, Deed, Via, masked};
use crate::error::StoreError;

/// Breaks that one verdict tells; more say nothing new.
const BREAKS_MAX: usize = 100;

type Hash = [u8; 32];

/// A row as it is stored: what its hash covers.
struct Sealed {
    number: i64,
    at: i64,
    actor: String,
    via: String,
    address: Option<String>,
    action: String,
    kind: String,
    subject: String,
    before: Option<String>,
    after: Option<String>,
}

impl Sealed {
    fn hash(&self, previous: &Hash) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(previous);
        context.update(&self.number.to_le_bytes());
        context.update(&self.at.to_le_bytes());
        let texts = [
            Some(self.actor.as_str()),
            Some(self.via.as_str()),
            self.address.as_deref(),
            Some(self.action.as_str()),
            Some(self.kind.as_str()),
            Some(self.subject.as_str()),
            self.before.as_deref(),
            self.after.as_deref(),
        ];
        for text in texts {
            // Lengths first, and "none" unlike "empty": no two rows have the same bytes.
            context.update(&[u8::from(text.is_some())]);
            let text = text.unwrap_or_default();
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text.as_bytes());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }

    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            number: row.get("number")?,
            at: row.get("at")?,
            actor: row.get("actor")?,
            via: row.get("via")?,
            address: row.get("address")?,
            action: row.get("action")?,
            kind: row.get("kind")?,
            subject: row.get("subject")?,
            before: row.get("before")?,
            after: row.get("after")?,
        })
    }

    fn entry(self, hash: Hash) -> Result<AuditEntry, StoreError> {
        let json = |text: Option<String>| -> Result<Option<Value>, StoreError> {
            let Some(text) = text else { return Ok(None) };
            serde_json::from_str(&text).map(Some).map_err(|_| StoreError::Unreadable("audit entry"))
        };
        let via = Via::ALL.iter().copied().find(|via| via.name() == self.via);
        Ok(AuditEntry {
            number: uint(self.number),
            at: Timestamp(self.at),
            actor: self.actor,
            via: via.ok_or(StoreError::Unreadable("audit entry"))?,
            address: self.address,
            action: self.action,
            kind: self.kind,
            subject: self.subject,
            before: json(self.before)?,
            after: json(self.after)?,
            hash: hex::encode(hash),
        })
    }
}

/// Enters a deed in a transaction of its own.
pub(crate) fn record(connection: &mut Connection, author: &Author, deed: &Deed) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    append(&transaction, author, deed)?;
    Ok(transaction.commit()?)
}

/// Enters a deed in the transaction that does it.
pub(crate) fn append(transaction: &Transaction<'_>, author: &Author, deed: &Deed) -> Result<(), StoreError> {
    // The time is the database's: who writes cannot choose it.
    let (number, previous, at): (i64, Hash, i64) = transaction
        .prepare_cached(
            "SELECT number, hash, CAST(round(unixepoch('subsec') * 1000) AS INTEGER) FROM audit_head WHERE id = 1",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let written = |value: &Option<Value>| value.as_ref().map(|value| masked(value).to_string());
    let sealed = Sealed {
        number: number + 1,
        at,
        actor: author.name.as_ref().to_owned(),
        via: author.via.name().to_owned(),
        address: author.address.map(|address| address.to_string()),
        action: deed.action.to_owned(),
        kind: deed.kind.to_owned(),
        subject: deed.subject.clone(),
        before: written(&deed.before),
        after: written(&deed.after),
    };
    let hash = sealed.hash(&previous);
    transaction
        .prepare_cached(
            "INSERT INTO audit (number, at, actor, via, address, action, kind, subject, before, after, hash) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            sealed.number,
            sealed.at,
            sealed.actor,
            sealed.via,
            sealed.address,
            sealed.action,
            sealed.kind,
            sealed.subject,
            sealed.before,
            sealed.after,
            hash
        ])?;
    transaction
        .prepare_cached("UPDATE audit_head SET number = ?1, hash = ?2 WHERE id = 1")?
        .execute(params![sealed.number, hash])?;
    Ok(())
}

/// One page, newest first.
pub(crate) fn list(
    connection: &Connection,
    filter: &AuditFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<AuditEntry>, StoreError> {
    let mut sql = "SELECT * FROM audit WHERE number < ?1 AND at >= ?2 AND at < ?3".to_owned();
    let mut bound = vec![
        Sql::Integer(before.map_or(i64::MAX, int)),
        Sql::Integer(filter.range.from.0),
        Sql::Integer(filter.range.to.0),
    ];
    let equal = [
        ("actor", filter.actor.as_deref()),
        ("via", filter.via.map(Via::name)),
        ("action", filter.action.as_deref()),
        ("kind", filter.kind.as_deref()),
        ("subject", filter.subject.as_deref()),
    ];
    for (column, wanted) in equal {
        if let Some(wanted) = wanted {
            bound.push(Sql::Text(wanted.to_owned()));
            sql.push_str(&format!(" AND {column} = ?{}", bound.len()));
        }
    }
    bound.push(Sql::Integer(i64::from(limit)));
    sql.push_str(&format!(" ORDER BY number DESC LIMIT ?{}", bound.len()));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows =
        statement.query_map(params_from_iter(bound), |row| Ok((Sealed::read(row)?, row.get("hash")?)))?;
    rows.map(|row| row.map_err(StoreError::from).and_then(|(sealed, hash)| sealed.entry(hash))).collect()
}

/// Walks the chain from its first entry to its head.
pub(crate) fn verify(
    connection: &mut Connection,
    known: Option<&ChainHead>,
) -> Result<AuditVerdict, StoreError> {
    // One read transaction: rows and head are of the same moment.
    let snapshot = connection.transaction()?;
    let mut walk = Walk { number: 0, hash: [0; 32], entries: 0, breaks: Vec::new(), known };
    {
        let mut statement = snapshot.prepare("SELECT * FROM audit ORDER BY number")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let stored: Vec<u8> = row.get("hash")?;
            // A row that cannot be read is one that was altered.
            walk.meet(row.get("number")?, Sealed::read(row).ok(), stored.try_into().ok());
        }
    }
    let head: (i64, Hash) =
        snapshot.query_row("SELECT number, hash FROM audit_head WHERE id = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if head != (walk.number, walk.hash) {
        walk.broken(ChainBreak::Cut { number: uint(walk.number) });
    }
    if let Some(known) = known.filter(|known| known.number > uint(walk.number)) {
        walk.broken(ChainBreak::Cut { number: known.number });
    }
    Ok(AuditVerdict {
        entries: walk.entries,
        head: ChainHead { number: uint(head.0), hash: hex::encode(head.1) },
        breaks: walk.breaks,
    })
}

/// How far a walk along the chain has come.
struct Walk<'a> {
    number: i64,
    hash: Hash,
    entries: u64,
    breaks: Vec<ChainBreak>,
    known: Option<&'a ChainHead>,
}

impl Walk<'_> {
    fn meet(&mut self, at: i64, sealed: Option<Sealed>, stored: Option<Hash>) {
        let number = uint(at);
        if at != self.number + 1 {
            self.broken(ChainBreak::Gap { number: uint(self.number + 1) });
        } else if stored.is_none() || sealed.map(|sealed| sealed.hash(&self.hash)) != stored {
            self.broken(ChainBreak::Altered { number });
        }
        let stored = stored.unwrap_or_default();
        if self.known.is_some_and(|known| known.number == number && known.hash != hex::encode(stored)) {
            self.broken(ChainBreak::Rewritten { number });
        }
        // Goes on from what is stored, so that one break is told once.
        (self.number, self.hash, self.entries) = (at, stored, self.entries + 1);
    }

    fn broken(&mut self, found: ChainBreak) {
        if self.breaks.len() < BREAKS_MAX {
            self.breaks.push(found);
        }
    }
}
