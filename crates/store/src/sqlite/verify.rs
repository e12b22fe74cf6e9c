//! Holds the roll-ups against the lines that they were made from; it never mends a difference.

use policy::{DAY_MS, HOUR_MS};
use rusqlite::Connection;

use super::ledger::uint;
use super::rollups::{COLUMNS, EVER, TAG_KEYS, USAGE_KEYS};
use crate::error::StoreError;
use crate::ledger::Verdict;

/// Sums every line again, in SQL and not by the code that keeps the roll-ups, and counts the rows that differ.
pub(crate) fn verify(connection: &mut Connection) -> Result<Verdict, StoreError> {
    // One read transaction, so that all queries see one state.
    let snapshot = connection.transaction()?;
    let count =
        |sql: &str| -> Result<u64, StoreError> { Ok(uint(snapshot.query_row(sql, [], |row| row.get(0))?)) };
    let mut verdict = Verdict {
        receipts: count("SELECT count(*) FROM receipts")?,
        attempts: count("SELECT count(*) FROM attempts")?,
        differences: 0,
    };
    for (table, width, keys, join) in [
        ("usage_hourly", HOUR_MS, USAGE_KEYS, ""),
        ("usage_daily", DAY_MS, USAGE_KEYS, ""),
        ("tags_hourly", HOUR_MS, TAG_KEYS, TAGS_JOIN),
        ("tags_daily", DAY_MS, TAG_KEYS, TAGS_JOIN),
    ] {
        let (fresh, columns) = (recomputed(width, keys, join), COLUMNS.join(", "));
        let kept = format!("SELECT bucket, {}, {columns} FROM {table}", keys.join(", "));
        // Lines that retention removed cannot be added up again: only what began after them is compared.
        let whole = |rows: String| {
            format!("SELECT * FROM ({rows}) WHERE bucket > (SELECT up_to FROM retention WHERE id = 1)")
        };
        let (fresh, kept) = (whole(fresh), whole(kept));
        verdict.differences += count(&differing(&fresh, &kept))?;
    }
    for (kept, fresh) in summed_alone() {
        verdict.differences += count(&differing(&fresh, &kept))?;
    }
    Ok(verdict)
}

/// The sums by one dimension alone, and the same out of those by all. Retention touches neither, so they are compared whole.
fn summed_alone() -> [(String, String); 3] {
    let (columns, summed) = (COLUMNS.join(", "), summed());
    let alone = |from: &str| {
        let one = |dimension: &&str| {
            format!(
                "SELECT '{dimension}' AS dimension, bucket, {dimension} AS value, {summed} FROM {from} \
                 GROUP BY bucket, {dimension}"
            )
        };
        USAGE_KEYS.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    };
    let kept = |table: &str| format!("SELECT dimension, bucket, value, {columns} FROM {table}");
    let ever = format!(
        "SELECT dimension, {EVER} AS bucket, value, {summed} FROM sums_daily GROUP BY dimension, value \
         UNION ALL SELECT 'tag:' || tag, {EVER}, value, {summed} FROM tags_daily GROUP BY tag, value"
    );
    [
        (kept("sums_hourly"), alone("usage_hourly")),
        (kept("sums_daily"), alone("usage_daily")),
        (kept("sums_ever"), ever),
    ]
}

/// How many rows there are in one and not in the other.
fn differing(one: &str, other: &str) -> String {
    format!(
        "SELECT (SELECT count(*) FROM (SELECT * FROM ({one}) EXCEPT SELECT * FROM ({other}))) + \
         (SELECT count(*) FROM (SELECT * FROM ({other}) EXCEPT SELECT * FROM ({one})))"
    )
}

/// One row for each tag pair of a line.
const TAGS_JOIN: &str = ", json_each(line.tags) AS pair";
const TAG_PAIR: &str = "json_extract(pair.value, '$[0]') AS tag, json_extract(pair.value, '$[1]') AS value";

fn recomputed(width: i64, keys: &[&str], join: &str) -> String {
    let keyed = |names: [&str; 4]| if join.is_empty() { names.join(", ") } else { TAG_PAIR.to_owned() };
    let from_receipts = keyed([
        "coalesce(backend, '') AS backend",
        "coalesce(model_served, '') AS model",
        "coalesce(key, '') AS key",
        "coalesce(team, '') AS team",
    ]);
    let from_attempts = keyed(["backend", "model", "key", "team"]);
    let keys = keys.join(", ");
    format!(
        "SELECT bucket, {keys}, {summed} FROM ( \
         SELECT at - at % {width} AS bucket, {from_receipts}, 1 AS requests, outcome = 'completed' AS completed, \
         outcome = 'failed' AS failed, outcome = 'cancelled' AS cancelled, outcome = 'interrupted' AS interrupted, \
         queue_ms, total_ms, coalesce(first_event_ms, 0) AS first_event_ms, \
         first_event_ms IS NOT NULL AS first_events, bytes_in, bytes_out, 0 AS attempts, 0 AS attempts_failed, \
         0 AS input, 0 AS cached_input, 0 AS cache_write, 0 AS cache_write_1h, 0 AS output, 0 AS reasoning, \
         0 AS audio_input, 0 AS audio_output, 0 AS cost_micros, 0 AS cost_picos, 0 AS unpriced, 0 AS images \
         FROM receipts AS line{join} \
         UNION ALL \
         SELECT at - at % {width}, {from_attempts}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, outcome = 'failed', input, \
         cached_input, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output, cost_micros, \
         cost_picos, unpriced, images FROM attempts AS line{join}) GROUP BY bucket, {keys}",
        summed = summed()
    )
}

fn summed() -> String {
    let sums: Vec<_> = COLUMNS.iter().map(|name| format!("coalesce(sum({name}), 0) AS {name}")).collect();
    sums.join(", ")
}
