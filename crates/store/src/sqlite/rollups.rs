//! Keeps the roll-ups in step with the lines: by all dimensions at once, and by each alone, where sums are looked up. It never
//! sums by floating point.

use std::collections::HashMap;
use std::sync::Arc;

use policy::{AttemptOutcome, Receipt, RequestOutcome, Timestamp};
use rusqlite::{Transaction, params_from_iter, types::Value};

use super::ledger::{distinct, int, split};
use crate::error::StoreError;
use crate::ledger::AttemptLine;

/// The one bucket of the sums of all time.
pub(super) const EVER: i64 = 0;

/// The summed columns, in the order of [`Sums`].
pub(super) const COLUMNS: [&str; 25] = [
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
    "images",
];

/// How many of them are of receipts; those of attempts follow.
const OF_RECEIPT: usize = 11;

/// One value for each of [`COLUMNS`].
pub(super) type Sums = [i64; COLUMNS.len()];

fn of_receipt(r: &Receipt) -> Sums {
    let is = |outcome: RequestOutcome| i64::from(r.outcome == outcome);
    let mut sums = [0; COLUMNS.len()];
    let (own, _) = sums.split_at_mut(OF_RECEIPT);
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
    let (_, own) = sums.split_at_mut(OF_RECEIPT);
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
        int(a.usage.images),
    ]);
    sums
}

pub(super) fn add(to: &mut Sums, more: &Sums) {
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

fn day_of(hour: i64) -> i64 {
    Timestamp(hour).day_begins().0
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
        let hour = r.at.hour_begins().0;
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
        let hour = a.at.hour_begins().0;
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
            add(self.tags.entry(at).or_insert(NOTHING), sums);
        }
        add(self.usage.entry(place).or_insert(NOTHING), sums);
    }

    /// Adds everything to all roll-ups in the caller's transaction.
    pub(crate) fn store(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("").to_owned();
        let mut days: HashMap<(i64, [String; 4]), Sums> = HashMap::new();
        let mut alone = Alone::default();
        let mut hourly = transaction.prepare_cached(&upsert("usage_hourly", USAGE_KEYS))?;
        for (place, sums) in &self.usage {
            let keys = [text(&place.backend), text(&place.model), text(&place.key), text(&place.team)];
            hourly.execute(params_from_iter(row(place.hour, &keys, sums)))?;
            for (dimension, value) in USAGE_KEYS.iter().zip(&keys) {
                alone.add((place.hour, dimension, value), sums);
            }
            let day = day_of(place.hour);
            add(days.entry((day, keys)).or_insert(NOTHING), sums);
        }
        let mut daily = transaction.prepare_cached(&upsert("usage_daily", USAGE_KEYS))?;
        for ((day, keys), sums) in &days {
            daily.execute(params_from_iter(row(*day, keys, sums)))?;
        }
        self.store_tags(transaction, &mut alone)?;
        alone.store(transaction)
    }

    fn store_tags(&self, transaction: &Transaction<'_>, alone: &mut Alone) -> Result<(), StoreError> {
        let mut hourly = transaction.prepare_cached(&upsert("tags_hourly", TAG_KEYS))?;
        let mut daily = transaction.prepare_cached(&upsert("tags_daily", TAG_KEYS))?;
        for ((hour, tag, value), sums) in &self.tags {
            let keys = [tag.clone(), value.clone()];
            hourly.execute(params_from_iter(row(*hour, &keys, sums)))?;
            daily.execute(params_from_iter(row(day_of(*hour), &keys, sums)))?;
            alone.add_ever(&tag_dimension(tag), value, sums);
        }
        Ok(())
    }
}

/// What a batch adds to the sums by one dimension alone: some hundred rows where all dimensions together make thousands.
#[derive(Debug, Default)]
struct Alone {
    hours: HashMap<(i64, [String; 2]), Sums>,
    ever: HashMap<[String; 2], Sums>,
}

impl Alone {
    fn add(&mut self, (hour, dimension, value): (i64, &str, &str), sums: &Sums) {
        let keys = [dimension.to_owned(), value.to_owned()];
        add(self.hours.entry((hour, keys)).or_insert(NOTHING), sums);
        self.add_ever(dimension, value, sums);
    }

    fn add_ever(&mut self, dimension: &str, value: &str, sums: &Sums) {
        let keys = [dimension.to_owned(), value.to_owned()];
        add(self.ever.entry(keys).or_insert(NOTHING), sums);
    }

    fn store(self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut days: HashMap<(i64, [String; 2]), Sums> = HashMap::new();
        let mut hourly = transaction.prepare_cached(&upsert("sums_hourly", SUM_KEYS))?;
        for ((hour, keys), sums) in self.hours {
            hourly.execute(params_from_iter(row(hour, &keys, &sums)))?;
            add(days.entry((day_of(hour), keys)).or_insert(NOTHING), &sums);
        }
        let mut daily = transaction.prepare_cached(&upsert("sums_daily", SUM_KEYS))?;
        for ((day, keys), sums) in &days {
            daily.execute(params_from_iter(row(*day, keys, sums)))?;
        }
        let mut ever = transaction.prepare_cached(&upsert("sums_ever", SUM_KEYS))?;
        for (keys, sums) in &self.ever {
            ever.execute(params_from_iter(row(EVER, keys, sums)))?;
        }
        Ok(())
    }
}

/// How a tag is called among the dimensions of all time; none of the others has a colon.
pub(super) fn tag_dimension(tag: &str) -> String {
    format!("tag:{tag}")
}

pub(super) const USAGE_KEYS: &[&str] = &["backend", "model", "key", "team"];
pub(super) const TAG_KEYS: &[&str] = &["tag", "value"];
const SUM_KEYS: &[&str] = &["dimension", "value"];
/// Where sums begin.
pub(super) const NOTHING: Sums = [0; COLUMNS.len()];

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
