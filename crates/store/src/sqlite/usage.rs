//! Answers sums from the roll-ups, each from the smallest that has it; it never sums lines, nor by floating point.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use policy::Timestamp;
use protocol::Usage;
use rusqlite::{Connection, Row, params};

use super::ledger::{joined, uint};
use super::rollups::{COLUMNS, NOTHING, Sums, USAGE_KEYS, add, tag_dimension};
use crate::error::StoreError;
use crate::ledger::{Dimension, Grain, Range, TopSeries, UsageLine, UsagePlace, UsageRow, UsageSums};

/// Where the sums by one dimension alone are.
struct Source {
    table: &'static str,
    /// The column that says by which dimension.
    by: &'static str,
    dimension: String,
}

impl Source {
    fn in_time(grain: Grain, by: &Dimension) -> Self {
        let (sums, tags) = match grain {
            Grain::Hour => ("sums_hourly", "tags_hourly"),
            Grain::Day => ("sums_daily", "tags_daily"),
        };
        match by {
            Dimension::Tag(tag) => Self { table: tags, by: "tag", dimension: tag.clone() },
            Dimension::Backend | Dimension::Model | Dimension::Key | Dimension::Team => {
                Self { table: sums, by: "dimension", dimension: ever(by) }
            }
        }
    }

    /// For sums that no bucket parts: all time needs no walk over its days.
    fn in_sum(grain: Grain, by: &Dimension, range: Range) -> Self {
        if range == Range::ALL {
            return Self { table: "sums_ever", by: "dimension", dimension: ever(by) };
        }
        Self::in_time(grain, by)
    }

    /// Hands over some columns of each row with its bucket and value, in the order of both.
    fn each<const N: usize>(
        &self,
        connection: &Connection,
        (columns, range): ([&str; N], Range),
        mut see: impl FnMut(i64, &str, &[i64; N]),
    ) -> Result<(), StoreError> {
        let Self { table, by, dimension } = self;
        let sql = format!(
            "SELECT bucket, value, {} FROM {table} WHERE {by} = ?1 AND bucket >= ?2 AND bucket < ?3 \
             ORDER BY bucket, value",
            columns.join(", ")
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![dimension, range.from.0, range.to.0])?;
        while let Some(row) = rows.next()? {
            let value = row.get_ref(1)?.as_str().map_err(|_| StoreError::Unreadable("sum"))?;
            see(row.get(0)?, value, &read(row, 2)?);
        }
        Ok(())
    }
}

/// How a dimension is called among those of all time.
fn ever(by: &Dimension) -> String {
    match by {
        Dimension::Backend => "backend".to_owned(),
        Dimension::Model => "model".to_owned(),
        Dimension::Key => "key".to_owned(),
        Dimension::Team => "team".to_owned(),
        Dimension::Tag(tag) => tag_dimension(tag),
    }
}

/// The columns from `first` on.
fn read<const N: usize>(row: &Row<'_>, first: usize) -> Result<[i64; N], rusqlite::Error> {
    let mut sums = [0; N];
    for (index, sum) in sums.iter_mut().enumerate() {
        *sum = row.get(first + index)?;
    }
    Ok(sums)
}

fn told(sums: &Sums) -> UsageSums {
    let [
        requests,
        completed,
        failed,
        cancelled,
        interrupted,
        queue_ms,
        total_ms,
        first_event_ms,
        first_events,
        bytes_in,
        bytes_out,
        attempts,
        attempts_failed,
        input,
        cached_input,
        cache_write,
        cache_write_1h,
        output,
        reasoning,
        audio_input,
        audio_output,
        cost_micros,
        cost_picos,
        unpriced,
        images,
    ] = *sums;
    UsageSums {
        requests: uint(requests),
        completed: uint(completed),
        failed: uint(failed),
        cancelled: uint(cancelled),
        interrupted: uint(interrupted),
        queue_ms: uint(queue_ms),
        total_ms: uint(total_ms),
        first_event_ms: uint(first_event_ms),
        first_events: uint(first_events),
        bytes_in: uint(bytes_in),
        bytes_out: uint(bytes_out),
        attempts: uint(attempts),
        attempts_failed: uint(attempts_failed),
        usage: Usage {
            input: uint(input),
            cached_input: uint(cached_input),
            cache_write: uint(cache_write),
            cache_write_1h: uint(cache_write_1h),
            output: uint(output),
            reasoning: uint(reasoning),
            audio_input: uint(audio_input),
            audio_output: uint(audio_output),
            images: uint(images),
            is_contradicted: false,
        },
        cost: joined(cost_micros, cost_picos),
        unpriced: uint(unpriced),
    }
}

/// The sums of all days that begin in `range`.
pub(crate) fn totals(connection: &mut Connection, range: Range) -> Result<UsageSums, StoreError> {
    let mut total = NOTHING;
    // Every line has a backend, if only none: any dimension would do, and this one has the fewest rows.
    let source = Source::in_sum(Grain::Day, &Dimension::Backend, range);
    source.each(connection, (COLUMNS, range), |_, _, sums| add(&mut total, sums))?;
    Ok(told(&total))
}

/// One row a bucket.
pub(crate) fn by_time(
    connection: &mut Connection,
    grain: Grain,
    range: Range,
) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows: Vec<(i64, Sums)> = Vec::new();
    let source = Source::in_time(grain, &Dimension::Backend);
    source.each(connection, (COLUMNS, range), |bucket, _, sums| match rows.last_mut() {
        Some((last, total)) if *last == bucket => add(total, sums),
        Some(_) | None => rows.push((bucket, *sums)),
    })?;
    Ok(rows.into_iter().map(|(bucket, sums)| row(Some(bucket), None, &sums)).collect())
}

/// One row a value of the dimension, the dearest first.
pub(crate) fn grouped(
    connection: &mut Connection,
    grain: Grain,
    by: &Dimension,
    range: Range,
) -> Result<Vec<UsageRow>, StoreError> {
    let mut values: HashMap<String, Sums> = HashMap::new();
    Source::in_sum(grain, by, range)
        .each(connection, (COLUMNS, range), |_, value, sums| gather(&mut values, value, sums))?;
    Ok(ranked(values))
}

/// Adds to what a value has.
fn gather(values: &mut HashMap<String, Sums>, value: &str, sums: &Sums) {
    match values.get_mut(value) {
        Some(total) => add(total, sums),
        None => drop(values.insert(value.to_owned(), *sums)),
    }
}

/// The dearest first, then the busiest.
fn ranked(values: HashMap<String, Sums>) -> Vec<UsageRow> {
    let mut rows: Vec<UsageRow> =
        values.into_iter().map(|(value, sums)| row(None, Some(value), &sums)).collect();
    rows.sort_by(|one, other| {
        let rank = |row: &UsageRow| Reverse((row.sums.cost, row.sums.requests));
        rank(one).cmp(&rank(other)).then_with(|| one.group.cmp(&other.group))
    });
    rows
}

/// The `count` first of these, found without their other sums: a row has many.
fn dearest(
    connection: &Connection,
    (source, range): (&Source, Range),
    count: usize,
) -> Result<HashSet<String>, StoreError> {
    let mut values: HashMap<String, [i64; 3]> = HashMap::new();
    let columns = ["cost_micros", "cost_picos", "requests"];
    source.each(connection, (columns, range), |_, value, own| match values.get_mut(value) {
        Some(total) => total.iter_mut().zip(own).for_each(|(to, more)| *to = to.saturating_add(*more)),
        None => drop(values.insert(value.to_owned(), *own)),
    })?;
    let mut all: Vec<_> = values
        .into_iter()
        .map(|(value, [micros, picos, requests])| (Reverse((joined(micros, picos), requests)), value))
        .collect();
    all.sort();
    Ok(all.into_iter().take(count).map(|(_, value)| value).collect())
}

/// One row a bucket and value of the dimension, oldest first.
pub(crate) fn series(
    connection: &mut Connection,
    grain: Grain,
    by: &Dimension,
    range: Range,
) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows = Vec::new();
    Source::in_time(grain, by).each(connection, (COLUMNS, range), |bucket, value, sums| {
        rows.push(row(Some(bucket), Some(value.to_owned()), sums));
    })?;
    Ok(rows)
}

/// The same for the dearest values; all others together are rows without a value, each before those of its bucket.
pub(crate) fn top_series(
    connection: &mut Connection,
    grain: Grain,
    by: &Dimension,
    (range, count): (Range, u8),
) -> Result<TopSeries, StoreError> {
    // Walked twice rather than kept: a long range of many values is more than memory should hold.
    let source = Source::in_time(grain, by);
    let kept = dearest(connection, (&source, range), usize::from(count))?;
    let mut values: HashMap<String, Sums> = HashMap::new();
    let mut rows: Vec<UsageRow> = Vec::new();
    let mut others: Option<(i64, Sums)> = None;
    let mut own: Vec<UsageRow> = Vec::new();
    let mut present = None;
    let mut close = |others: &mut Option<(i64, Sums)>, own: &mut Vec<UsageRow>| {
        rows.extend(others.take().map(|(bucket, sums)| row(Some(bucket), None, &sums)));
        rows.append(own);
    };
    source.each(connection, (COLUMNS, range), |bucket, value, sums| {
        gather(&mut values, value, sums);
        if present.replace(bucket).is_some_and(|before| before != bucket) {
            close(&mut others, &mut own);
        }
        if kept.contains(value) {
            own.push(row(Some(bucket), Some(value.to_owned()), sums));
        } else {
            add(&mut others.get_or_insert((bucket, NOTHING)).1, sums);
        }
    })?;
    close(&mut others, &mut own);
    Ok(TopSeries { rows, groups: ranked(values) })
}

fn row(bucket: Option<i64>, group: Option<String>, sums: &Sums) -> UsageRow {
    UsageRow { bucket: bucket.map(Timestamp), group, sums: told(sums) }
}

/// One page of a roll-up, in the order of its key.
pub(crate) fn lines(
    connection: &mut Connection,
    (grain, range): (Grain, Range),
    after: Option<UsagePlace>,
    limit: u32,
) -> Result<Vec<UsageLine>, StoreError> {
    let table = match grain {
        Grain::Hour => "usage_hourly",
        Grain::Day => "usage_daily",
    };
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
        Ok(UsageLine { place, sums: told(&read(row, 1 + USAGE_KEYS.len())?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
