//! Puts receipts and attempts into rows and takes them out again; it never sums.

use std::borrow::Cow;
use std::sync::Arc;

use policy::{Amount, AttemptId, AttemptOutcome, Receipt, RequestOutcome, TicketId, Timestamp};
use protocol::{Dialect, Usage, UsageSource};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, params};

use crate::error::StoreError;
use crate::ledger::{AttemptLine, Cursor, Glimpse, Range, ReceiptDetail};

/// Picodollars in a microdollar: money is kept as both, so that SQL adds it up exactly.
const PICOS: i128 = 1_000_000;
/// A ULID's time stands above this many random bits.
const ULID_RANDOM_BITS: u32 = 80;

/// A count as SQL keeps it; nothing real exceeds 63 bits.
pub(crate) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn uint(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Microdollars and the picodollars beyond them.
pub(crate) fn split(amount: Amount) -> (i64, i64) {
    let micros =
        i64::try_from(amount.0.div_euclid(PICOS)).unwrap_or(if amount.0 < 0 { i64::MIN } else { i64::MAX });
    (micros, i64::try_from(amount.0.rem_euclid(PICOS)).unwrap_or(0))
}

/// The amount that sums of [`split`] parts stand for.
pub(crate) fn joined(micros: i64, picos: i64) -> Amount {
    Amount(i128::from(micros) * PICOS + i128::from(picos))
}

pub(crate) fn ticket_blob(ticket: TicketId) -> [u8; 16] {
    ticket.0.to_be_bytes()
}

/// The pairs, each once: a pair that a caller gives twice counts once.
pub(crate) fn distinct(tags: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    let is_first =
        |(index, tag): &(usize, &(String, String))| tags.iter().take(*index).all(|other| other != *tag);
    tags.iter().enumerate().filter(is_first).map(|(_, tag)| tag)
}

fn tags_text(tags: &[(String, String)]) -> Option<String> {
    let pairs: Vec<_> = distinct(tags).collect();
    let text = || serde_json::to_string(&pairs).expect("pairs of texts are always JSON");
    (!tags.is_empty()).then(text)
}

const INSERT_RECEIPT: &str = "INSERT OR IGNORE INTO receipts (ticket, request_id, request_id_given, at, key, team, tags, client_addr, \
     model_asked, model_served, backend, pool, dialect_in, dialect_out, stream, status, outcome, error_code, \
     attempts, queue_ms, first_event_ms, total_ms, bytes_in, bytes_out, input, cached_input, cache_write, \
     cache_write_1h, output, reasoning, audio_input, audio_output, usage_source, cost_micros, cost_picos, \
     unpriced, price_version, keepalive_committed, images) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
     ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, \
     ?34, ?35, ?36, ?37, ?38, ?39)";

/// Prepares for [`insert_receipt`]: once for a batch.
pub(crate) fn receipt_inserter<'a>(
    transaction: &'a Transaction<'_>,
) -> Result<CachedStatement<'a>, StoreError> {
    Ok(transaction.prepare_cached(INSERT_RECEIPT)?)
}

/// Inserts a receipt. Returns false when the ledger has it already.
pub(crate) fn insert_receipt(statement: &mut CachedStatement<'_>, r: &Receipt) -> Result<bool, StoreError> {
    let (micros, picos) = split(r.cost);
    let inserted = statement.execute(params![
        ticket_blob(r.ticket),
        &*r.request_id,
        *r.request_id != *r.ticket.request_id(),
        r.at.0,
        r.key.as_deref(),
        r.team.as_deref(),
        tags_text(&r.tags),
        r.client_addr.as_deref(),
        &*r.model_asked,
        r.model_served.as_deref(),
        r.backend.as_deref(),
        r.pool.as_deref(),
        r.dialect_in.name(),
        r.dialect_out.map(Dialect::name),
        r.stream,
        r.status,
        r.outcome.name(),
        r.error_code.as_deref(),
        r.attempts,
        int(r.queue_ms),
        r.first_event_ms.map(int),
        int(r.total_ms),
        int(r.bytes_in),
        int(r.bytes_out),
        int(r.usage.input),
        int(r.usage.cached_input),
        int(r.usage.cache_write),
        int(r.usage.cache_write_1h),
        int(r.usage.output),
        int(r.usage.reasoning),
        int(r.usage.audio_input),
        int(r.usage.audio_output),
        r.usage_source.name(),
        micros,
        picos,
        r.unpriced,
        r.price_version.as_deref(),
        r.keepalive_committed,
        int(r.usage.images),
    ])?;
    Ok(inserted == 1)
}

const INSERT_ATTEMPT: &str = "INSERT OR IGNORE INTO attempts (ticket, number, at, key, team, tags, backend, pool, \
     label, model, native, outcome, status, error_code, first_event_ms, total_ms, input, cached_input, \
     cache_write, cache_write_1h, output, reasoning, audio_input, audio_output, usage_source, cost_micros, \
     cost_picos, unpriced, price_version, images) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
     ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)";

/// Prepares for [`insert_attempt`]: once for a batch.
pub(crate) fn attempt_inserter<'a>(
    transaction: &'a Transaction<'_>,
) -> Result<CachedStatement<'a>, StoreError> {
    Ok(transaction.prepare_cached(INSERT_ATTEMPT)?)
}

/// Inserts an attempt. Returns false when the ledger has it already.
pub(crate) fn insert_attempt(
    statement: &mut CachedStatement<'_>,
    a: &AttemptLine,
) -> Result<bool, StoreError> {
    let (micros, picos) = split(a.cost);
    let inserted = statement.execute(params![
        ticket_blob(a.attempt.ticket),
        a.attempt.number,
        a.at.0,
        a.key.as_deref().unwrap_or(""),
        a.team.as_deref().unwrap_or(""),
        tags_text(&a.tags),
        &*a.backend,
        &*a.pool,
        &*a.label,
        &*a.model,
        &*a.native,
        a.outcome.name(),
        a.status,
        a.error_code.as_deref(),
        a.first_event_ms.map(int),
        int(a.total_ms),
        int(a.usage.input),
        int(a.usage.cached_input),
        int(a.usage.cache_write),
        int(a.usage.cache_write_1h),
        int(a.usage.output),
        int(a.usage.reasoning),
        int(a.usage.audio_input),
        int(a.usage.audio_output),
        a.usage_source.name(),
        micros,
        picos,
        a.unpriced,
        a.price_version.as_deref(),
        int(a.usage.images),
    ])?;
    Ok(inserted == 1)
}

/// A client may give the same id to several requests, and one that looks made here.
const NEWEST_OF_ID: &str = "SELECT * FROM (\
     SELECT * FROM receipts WHERE ticket = ?1 AND request_id = ?2 \
     UNION ALL SELECT * FROM receipts WHERE request_id = ?2 AND request_id_given) \
     ORDER BY ticket DESC LIMIT 1";

/// The newest request of that id with its attempts.
pub(crate) fn detail(connection: &Connection, request_id: &str) -> Result<Option<ReceiptDetail>, StoreError> {
    let made = TicketId::of_request_id(request_id).map(ticket_blob);
    let mut statement = connection.prepare_cached(NEWEST_OF_ID)?;
    let Some(receipt) = statement.query_row(params![made, request_id], |row| Ok(receipt(row))).optional()?
    else {
        return Ok(None);
    };
    let receipt = receipt?;
    let mut statement =
        connection.prepare_cached("SELECT * FROM attempts WHERE ticket = ?1 ORDER BY number")?;
    let rows = statement.query_map([ticket_blob(receipt.ticket)], |row| Ok(attempt(row)))?;
    let attempts = rows.map(|row| row?).collect::<Result<_, _>>()?;
    let reasons = connection
        .prepare_cached("SELECT told FROM reasons WHERE ticket = ?1")?
        .query_row([ticket_blob(receipt.ticket)], |row| row.get(0))
        .optional()?;
    Ok(Some(ReceiptDetail { receipt, attempts, reasons }))
}

/// When the oldest receipt's ticket was made.
pub(crate) fn oldest(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let ticket: Option<[u8; 16]> =
        connection.query_row("SELECT min(ticket) FROM receipts", [], |row| row.get(0))?;
    Ok(ticket.map(|ticket| TicketId(u128::from_be_bytes(ticket)).minted_at()))
}

/// One page of receipts, newest first.
pub(crate) fn recent(
    connection: &Connection,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<Receipt>, StoreError> {
    page(connection, [0; 16], before(after), limit)
}

/// A little of the newest receipts, newest first.
pub(crate) fn glimpses(connection: &Connection, limit: u32) -> Result<Vec<Glimpse>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT at, outcome, first_event_ms, total_ms, output, input, cached_input, cache_write, cache_write_1h \
         FROM receipts ORDER BY ticket DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([limit])?;
    let mut glimpses = Vec::new();
    while let Some(row) = rows.next()? {
        let outcome = row.get_ref(1)?.as_str().map_err(|_| StoreError::Unreadable("word"))?;
        glimpses.push(Glimpse {
            at: Timestamp(row.get(0)?),
            outcome: word(&RequestOutcome::ALL, RequestOutcome::name, outcome)?,
            first_event_ms: row.get::<_, Option<i64>>(2)?.map(uint),
            total_ms: uint(row.get(3)?),
            tokens_in: (5..=8)
                .try_fold(0_u64, |sum, at| Ok::<_, StoreError>(sum.saturating_add(uint(row.get(at)?))))?,
            tokens_out: uint(row.get(4)?),
        });
    }
    Ok(glimpses)
}

/// One page of receipts of tickets made in `range`, newest first.
pub(crate) fn between(
    connection: &Connection,
    range: Range,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<Receipt>, StoreError> {
    page(connection, first_ticket(range.from), before(after).min(first_ticket(range.to)), limit)
}

pub(super) fn before(after: Option<Cursor>) -> [u8; 16] {
    after.map_or([u8::MAX; 16], |Cursor(ticket)| ticket_blob(ticket))
}

/// The smallest ticket that can have been made at that time.
pub(super) fn first_ticket(at: Timestamp) -> [u8; 16] {
    let millis = u128::from(uint(at.0)).min(u128::MAX >> ULID_RANDOM_BITS);
    (millis << ULID_RANDOM_BITS).to_be_bytes()
}

fn page(
    connection: &Connection,
    from: [u8; 16],
    before: [u8; 16],
    limit: u32,
) -> Result<Vec<Receipt>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM receipts WHERE ticket >= ?1 AND ticket < ?2 ORDER BY ticket DESC LIMIT ?3",
    )?;
    let rows = statement.query_map(params![from, before, limit], |row| Ok(receipt(row)))?;
    rows.map(|row| row?).collect()
}

/// One of our own words back from its text.
fn word<T: Copy>(all: &[T], text: fn(T) -> &'static str, stored: &str) -> Result<T, StoreError> {
    all.iter().copied().find(|one| text(*one) == stored).ok_or(StoreError::Unreadable("word"))
}

fn usage(row: &Row<'_>) -> Result<Usage, StoreError> {
    let count = |name: &str| -> Result<u64, StoreError> { Ok(uint(row.get(name)?)) };
    Ok(Usage {
        input: count("input")?,
        cached_input: count("cached_input")?,
        cache_write: count("cache_write")?,
        cache_write_1h: count("cache_write_1h")?,
        output: count("output")?,
        reasoning: count("reasoning")?,
        audio_input: count("audio_input")?,
        audio_output: count("audio_output")?,
        images: count("images")?,
        is_contradicted: false,
    })
}

fn text(row: &Row<'_>, name: &str) -> Result<Arc<str>, StoreError> {
    Ok(row.get::<_, String>(name)?.into())
}

fn text_or_none(row: &Row<'_>, name: &str) -> Result<Option<Arc<str>>, StoreError> {
    Ok(row.get::<_, Option<String>>(name)?.map(Arc::from))
}

fn tags(row: &Row<'_>) -> Result<Vec<(String, String)>, StoreError> {
    let text: Option<String> = row.get("tags")?;
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&text).map_err(|_| StoreError::Unreadable("tags"))
}

fn ticket(row: &Row<'_>) -> Result<TicketId, StoreError> {
    Ok(TicketId(u128::from_be_bytes(row.get("ticket")?)))
}

pub(super) fn receipt(row: &Row<'_>) -> Result<Receipt, StoreError> {
    let dialect_out: Option<String> = row.get("dialect_out")?;
    Ok(Receipt {
        ticket: ticket(row)?,
        request_id: text(row, "request_id")?,
        key: text_or_none(row, "key")?,
        team: text_or_none(row, "team")?,
        tags: tags(row)?,
        client_addr: row.get("client_addr")?,
        model_asked: text(row, "model_asked")?,
        model_served: text_or_none(row, "model_served")?,
        backend: text_or_none(row, "backend")?,
        pool: text_or_none(row, "pool")?,
        dialect_in: word(Dialect::ALL, Dialect::name, &row.get::<_, String>("dialect_in")?)?,
        dialect_out: dialect_out.map(|stored| word(Dialect::ALL, Dialect::name, &stored)).transpose()?,
        stream: row.get("stream")?,
        status: row.get("status")?,
        outcome: word(&RequestOutcome::ALL, RequestOutcome::name, &row.get::<_, String>("outcome")?)?,
        error_code: row.get::<_, Option<String>>("error_code")?.map(Cow::Owned),
        attempts: row.get("attempts")?,
        at: Timestamp(row.get("at")?),
        queue_ms: uint(row.get("queue_ms")?),
        first_event_ms: row.get::<_, Option<i64>>("first_event_ms")?.map(uint),
        total_ms: uint(row.get("total_ms")?),
        bytes_in: uint(row.get("bytes_in")?),
        bytes_out: uint(row.get("bytes_out")?),
        usage: usage(row)?,
        usage_source: word(&UsageSource::ALL, UsageSource::name, &row.get::<_, String>("usage_source")?)?,
        cost: joined(row.get("cost_micros")?, row.get("cost_picos")?),
        unpriced: row.get("unpriced")?,
        price_version: text_or_none(row, "price_version")?,
        keepalive_committed: row.get("keepalive_committed")?,
    })
}

fn attempt(row: &Row<'_>) -> Result<AttemptLine, StoreError> {
    let named = |name: &str| Ok::<_, StoreError>(Some(text(row, name)?).filter(|text| !text.is_empty()));
    Ok(AttemptLine {
        attempt: AttemptId { ticket: ticket(row)?, number: row.get("number")? },
        at: Timestamp(row.get("at")?),
        key: named("key")?,
        team: named("team")?,
        tags: tags(row)?,
        backend: text(row, "backend")?,
        pool: text(row, "pool")?,
        label: text(row, "label")?,
        model: text(row, "model")?,
        native: text(row, "native")?,
        outcome: word(&AttemptOutcome::ALL, AttemptOutcome::name, &row.get::<_, String>("outcome")?)?,
        status: row.get("status")?,
        error_code: row.get::<_, Option<String>>("error_code")?.map(String::into_boxed_str),
        first_event_ms: row.get::<_, Option<i64>>("first_event_ms")?.map(uint),
        total_ms: uint(row.get("total_ms")?),
        usage: usage(row)?,
        usage_source: word(&UsageSource::ALL, UsageSource::name, &row.get::<_, String>("usage_source")?)?,
        cost: joined(row.get("cost_micros")?, row.get("cost_picos")?),
        unpriced: row.get("unpriced")?,
        price_version: text_or_none(row, "price_version")?,
    })
}
