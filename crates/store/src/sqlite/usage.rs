//! Keeps the roll-ups in step with the lines, and answers sums from them; it never sums by floating point.

use std::collections::HashMap;
use std::sync::Arc;

use policy::{AttemptOutcome, Receipt, RequestOutcome, Timestamp};
use protocol::Usage;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter, types::Value};

use super::ledger::{distinct, int, joined, split, uint};
use crate::error::StoreError;
use crate::ledger::{
    AttemptLine, Dimension, Grain, Range, UsageLine, UsagePlace, UsageRow, UsageSums, Verdict,
};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The summed columns, in the order of [`Sums`].
const COLUMNS: [&str; 24] = [
    "requests",
    "completed",
    "failed",
    "cancelled",
    "interrupted",
    "queue_ms",
    "total_ms",
    "first_event_ms",
    "first_events",
    "bytes_in",
    "bytes_out",
    "attempts",
    "attempts_failed",
    "input",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "cost_micros",
    "cost_picos",
    "unpriced",
];

/// One value for each of [`COLUMNS`].
type Sums = [i64; COLUMNS.len()];

fn of_receipt(r: &Receipt) -> Sums {
    let is = |outcome: RequestOutcome| i64::from(r.outcome == outcome);
    let mut sums = [0; COLUMNS.len()];
    let (own, _) = sums.split_at_mut(11);
    own.copy_from_slice(&[
        1,
        is(RequestOutcome::Completed),
        is(RequestOutcome::Failed),
        is(RequestOutcome::Cancelled),
        is(RequestOutcome::Interrupted),
        int(r.queue_ms),
        int(r.total_ms),
        int(r.first_event_ms.unwrap_or(0)),
        i64::from(r.first_event_ms.is_some()),
        int(r.bytes_in),
        int(r.bytes_out),
    ]);
    sums
}

fn of_attempt(a: &AttemptLine) -> Sums {
    let (micros, picos) = split(a.cost);
    let mut sums = [0; COLUMNS.len()];
    let (_, own) = sums.split_at_mut(11);
    own.copy_from_slice(&[
        1,
        i64::from(a.outcome == AttemptOutcome::Failed),
        int(a.usage.input),
        int(a.usage.cached_input),
        int(a.usage.cache_write),
        int(a.usage.cache_write_1h),
        int(a.usage.output),
        int(a.usage.reasoning),
        int(a.usage.audio_input),
        int(a.usage.audio_output),
        micros,
        picos,
        i64::from(a.unpriced),
    ]);
    sums
}

fn add(to: &mut Sums, more: &Sums) {
    for (to, more) in to.iter_mut().zip(more) {
        *to = to.saturating_add(*more);
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    hour: i64,
    backend: Option<Arc<str>>,
    model: Option<Arc<str>>,
    key: Option<Arc<str>>,
    team: Option<Arc<str>>,
}

/// What a batch adds to the roll-ups, gathered in memory first.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    usage: HashMap<Place, Sums>,
    tags: HashMap<(i64, String, String), Sums>,
}

impl Gathered {
    pub(crate) fn receipt(&mut self, r: &Receipt) {
        let sums = of_receipt(r);
        let hour = r.at.0.div_euclid(HOUR_MS) * HOUR_MS;
        let place = Place {
            hour,
            backend: r.backend.clone(),
            model: r.model_served.clone(),
            key: r.key.clone(),
            team: r.team.clone(),
        };
        self.put(place, &r.tags, &sums);
    }

    pub(crate) fn attempt(&mut self, a: &AttemptLine) {
        let sums = of_attempt(a);
        let hour = a.at.0.div_euclid(HOUR_MS) * HOUR_MS;
        let known = |text: &Arc<str>| (!text.is_empty()).then(|| Arc::clone(text));
        let place = Place {
            hour,
            backend: known(&a.backend),
            model: known(&a.model),
            key: a.key.clone(),
            team: a.team.clone(),
        };
        self.put(place, &a.tags, &sums);
    }

    fn put(&mut self, place: Place, tags: &[(String, String)], sums: &Sums) {
        for (tag, value) in distinct(tags) {
            let at = (place.hour, tag.clone(), value.clone());
            add(self.tags.entry(at).or_insert([0; COLUMNS.len()]), sums);
        }
        add(self.usage.entry(place).or_insert([0; COLUMNS.len()]), sums);
    }

    /// Adds everything to the hours and days in the caller's transaction.
    pub(crate) fn store(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("").to_owned();
        let mut days: HashMap<(i64, [String; 4]), Sums> = HashMap::new();
        let mut hourly = transaction.prepare_cached(&upsert("usage_hourly", USAGE_KEYS))?;
        for (place, sums) in &self.usage {
            let keys = [text(&place.backend), text(&place.model), text(&place.key), text(&place.team)];
            hourly.execute(params_from_iter(row(place.hour, &keys, sums)))?;
            let day = place.hour.div_euclid(DAY_MS) * DAY_MS;
            add(days.entry((day, keys)).or_insert([0; COLUMNS.len()]), sums);
        }
        let mut daily = transaction.prepare_cached(&upsert("usage_daily", USAGE_KEYS))?;
        for ((day, keys), sums) in &days {
            daily.execute(params_from_iter(row(*day, keys, sums)))?;
        }
        self.store_tags(transaction)
    }

    fn store_tags(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut hourly = transaction.prepare_cached(&upsert("tags_hourly", TAG_KEYS))?;
        let mut daily = transaction.prepare_cached(&upsert("tags_daily", TAG_KEYS))?;
        for ((hour, tag, value), sums) in &self.tags {
            let keys = [tag.clone(), value.clone()];
            hourly.execute(params_from_iter(row(*hour, &keys, sums)))?;
            daily.execute(params_from_iter(row(hour.div_euclid(DAY_MS) * DAY_MS, &keys, sums)))?;
        }
        Ok(())
    }
}

const USAGE_KEYS: &[&str] = &["backend", "model", "key", "team"];
const TAG_KEYS: &[&str] = &["tag", "value"];

fn upsert(table: &str, keys: &[&str]) -> String {
    let keys = keys.join(", ");
    let columns = COLUMNS.join(", ");
    let adds: Vec<_> = COLUMNS.iter().map(|name| format!("{name} = {name} + excluded.{name}")).collect();
    let marks = vec!["?"; 1 + keys.split(", ").count() + COLUMNS.len()].join(", ");
    format!(
        "INSERT INTO {table} (bucket, {keys}, {columns}) VALUES ({marks}) \
         ON CONFLICT (bucket, {keys}) DO UPDATE SET {}",
        adds.join(", ")
    )
}

fn row<'a>(bucket: i64, keys: &'a [String], sums: &'a Sums) -> impl Iterator<Item = Value> + 'a {
    let keys = keys.iter().map(|key| Value::Text(key.clone()));
    let sums = sums.iter().map(|sum| Value::Integer(*sum));
    std::iter::once(Value::Integer(bucket)).chain(keys).chain(sums)
}

fn summed() -> String {
    let sums: Vec<_> = COLUMNS.iter().map(|name| format!("coalesce(sum({name}), 0) AS {name}")).collect();
    sums.join(", ")
}

fn sums(row: &Row<'_>) -> Result<UsageSums, rusqlite::Error> {
    let count = |name: &str| row.get(name).map(uint);
    Ok(UsageSums {
        requests: count("requests")?,
        completed: count("completed")?,
        failed: count("failed")?,
        cancelled: count("cancelled")?,
        interrupted: count("interrupted")?,
        queue_ms: count("queue_ms")?,
        total_ms: count("total_ms")?,
        first_event_ms: count("first_event_ms")?,
        first_events: count("first_events")?,
        bytes_in: count("bytes_in")?,
        bytes_out: count("bytes_out")?,
        attempts: count("attempts")?,
        attempts_failed: count("attempts_failed")?,
        usage: Usage {
            input: count("input")?,
            cached_input: count("cached_input")?,
            cache_write: count("cache_write")?,
            cache_write_1h: count("cache_write_1h")?,
            output: count("output")?,
            reasoning: count("reasoning")?,
            audio_input: count("audio_input")?,
            audio_output: count("audio_output")?,
            is_contradicted: false,
        },
        cost: joined(row.get("cost_micros")?, row.get("cost_picos")?),
        unpriced: count("unpriced")?,
    })
}

/// The sums of all days that begin in `range`.
pub(crate) fn totals(connection: &mut Connection, range: Range) -> Result<UsageSums, StoreError> {
    let sql = format!("SELECT {} FROM usage_daily WHERE bucket >= ?1 AND bucket < ?2", summed());
    Ok(connection.prepare_cached(&sql)?.query_row([range.from.0, range.to.0], sums)?)
}

fn table(grain: Grain, by: &Dimension) -> (&'static str, &'static str) {
    match (grain, by) {
        (Grain::Hour, Dimension::Tag(_)) => ("tags_hourly", "value"),
        (Grain::Day, Dimension::Tag(_)) => ("tags_daily", "value"),
        (Grain::Hour, by) => ("usage_hourly", column(by)),
        (Grain::Day, by) => ("usage_daily", column(by)),
    }
}

fn column(by: &Dimension) -> &'static str {
    match by {
        Dimension::Backend => "backend",
        Dimension::Model => "model",
        Dimension::Key => "key",
        Dimension::Team => "team",
        Dimension::Tag(_) => "value",
    }
}

/// One row a bucket.
pub(crate) fn by_time(
    connection: &mut Connection,
    grain: Grain,
    range: Range,
) -> Result<Vec<UsageRow>, StoreError> {
    let (table, _) = table(grain, &Dimension::Backend);
    let sql = format!(
        "SELECT bucket, NULL AS value, {} FROM {table} WHERE bucket >= ?1 AND bucket < ?2 \
         GROUP BY bucket ORDER BY bucket",
        summed()
    );
    rows(connection, &sql, range, None)
}

/// One row a value of the dimension, the dearest first.
pub(crate) fn grouped(
    connection: &mut Connection,
    grain: Grain,
    by: &Dimension,
    range: Range,
) -> Result<Vec<UsageRow>, StoreError> {
    let (table, column) = table(grain, by);
    let sql = format!(
        "SELECT NULL AS bucket, {column} AS value, {} FROM {table} WHERE bucket >= ?1 AND bucket < ?2 {} \
         GROUP BY {column} ORDER BY sum(cost_micros) DESC, sum(requests) DESC, {column}",
        summed(),
        only(by)
    );
    rows(connection, &sql, range, Some(by))
}

/// One row a bucket and value of the dimension, oldest first.
pub(crate) fn series(
    connection: &mut Connection,
    grain: Grain,
    by: &Dimension,
    range: Range,
) -> Result<Vec<UsageRow>, StoreError> {
    let (table, column) = table(grain, by);
    let sql = format!(
        "SELECT bucket, {column} AS value, {} FROM {table} WHERE bucket >= ?1 AND bucket < ?2 {} \
         GROUP BY bucket, {column} ORDER BY bucket, {column}",
        summed(),
        only(by)
    );
    rows(connection, &sql, range, Some(by))
}

/// The same for the dearest values; all others together are rows without a value.
pub(crate) fn top_series(
    connection: &mut Connection,
    grain: Grain,
    by: &Dimension,
    (range, count): (Range, u8),
) -> Result<Vec<UsageRow>, StoreError> {
    let (table, column) = table(grain, by);
    let (summed, only) = (summed(), only(by));
    let sql = format!(
        "WITH kept AS MATERIALIZED (SELECT {column} AS name FROM {table} WHERE bucket >= ?1 AND bucket < ?2 {only} \
         GROUP BY {column} ORDER BY sum(cost_micros) DESC, sum(requests) DESC, {column} LIMIT {count}) \
         SELECT bucket, CASE WHEN {column} IN (SELECT name FROM kept) THEN {column} END AS value, {summed} FROM {table} \
         WHERE bucket >= ?1 AND bucket < ?2 {only} GROUP BY bucket, 2 ORDER BY bucket, 2"
    );
    rows(connection, &sql, range, Some(by))
}

fn only(by: &Dimension) -> &'static str {
    match by {
        Dimension::Tag(_) => "AND tag = ?3",
        Dimension::Backend | Dimension::Model | Dimension::Key | Dimension::Team => "",
    }
}

fn rows(
    connection: &mut Connection,
    sql: &str,
    range: Range,
    by: Option<&Dimension>,
) -> Result<Vec<UsageRow>, StoreError> {
    let mut bound = vec![Value::Integer(range.from.0), Value::Integer(range.to.0)];
    if let Some(Dimension::Tag(tag)) = by {
        bound.push(Value::Text(tag.clone()));
    }
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params_from_iter(bound), |row| {
        Ok(UsageRow {
            bucket: row.get::<_, Option<i64>>("bucket")?.map(Timestamp),
            group: row.get("value")?,
            sums: sums(row)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One page of a roll-up, in the order of its key.
pub(crate) fn lines(
    connection: &mut Connection,
    (grain, range): (Grain, Range),
    after: Option<UsagePlace>,
    limit: u32,
) -> Result<Vec<UsageLine>, StoreError> {
    let (table, _) = table(grain, &Dimension::Backend);
    let keys = USAGE_KEYS.join(", ");
    // No place has a bucket before all time: that is where the first page begins.
    let sql = format!(
        "SELECT bucket, {keys}, {} FROM {table} WHERE bucket >= ?1 AND bucket < ?2 \
         AND (bucket, {keys}) > (?3, ?4, ?5, ?6, ?7) ORDER BY bucket, {keys} LIMIT ?8",
        COLUMNS.join(", ")
    );
    let after = after.unwrap_or_else(|| UsagePlace {
        bucket: Timestamp(i64::MIN),
        backend: String::new(),
        model: String::new(),
        key: String::new(),
        team: String::new(),
    });
    let from = range.from.0.max(after.bucket.0);
    let mut statement = connection.prepare_cached(&sql)?;
    let bound =
        params![from, range.to.0, after.bucket.0, after.backend, after.model, after.key, after.team, limit];
    let rows = statement.query_map(bound, |row| {
        let place = UsagePlace {
            bucket: Timestamp(row.get("bucket")?),
            backend: row.get("backend")?,
            model: row.get("model")?,
            key: row.get("key")?,
            team: row.get("team")?,
        };
        Ok(UsageLine { place, sums: sums(row)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

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
        verdict.differences += count(&format!("SELECT count(*) FROM ({fresh} EXCEPT {kept})"))?;
        verdict.differences += count(&format!("SELECT count(*) FROM ({kept} EXCEPT {fresh})"))?;
    }
    Ok(verdict)
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
         0 AS audio_input, 0 AS audio_output, 0 AS cost_micros, 0 AS cost_picos, 0 AS unpriced \
         FROM receipts AS line{join} \
         UNION ALL \
         SELECT at - at % {width}, {from_attempts}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, outcome = 'failed', input, \
         cached_input, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output, cost_micros, \
         cost_picos, unpriced FROM attempts AS line{join}) GROUP BY bucket, {keys}",
        summed = summed()
    )
}
