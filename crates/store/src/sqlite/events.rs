//! Keeps events in rows, the newest of them; it never reads a clock: ages count from the newest event.

use std::sync::Arc;

use policy::{EventFields, EventKind, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, TransactionBehavior, params, params_from_iter};

use super::ledger::{int, uint};
use crate::error::StoreError;
use crate::events::{AGE_MS_MAX, EVENTS_MAX, EventFilter, StoredEvent};

/// Writes events, each in place of what was told of it before, and forgets the oldest.
pub(crate) fn keep(connection: &mut Connection, events: &[StoredEvent]) -> Result<(), StoreError> {
    let Some(newest) = events.iter().map(|event| event.at.0).max() else { return Ok(()) };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut write = transaction.prepare_cached(
            "INSERT OR REPLACE INTO events (first, number, at, kind, backend, fields, text, times) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for event in events {
            let StoredEvent { number, first, at, kind, backend, fields, text, times } = event;
            let (first, number, times) = (int(*first), int(*number), int(*times));
            let fields = serde_json::to_string(fields).expect("texts and numbers are always JSON");
            let (kind, backend) = (word(*kind), backend.as_deref());
            write.execute(params![first, number, at.0, kind, backend, fields, &**text, times])?;
        }
        transaction
            .prepare_cached("DELETE FROM events WHERE at < ?1")?
            .execute([newest.saturating_sub(AGE_MS_MAX)])?;
        transaction
            .prepare_cached(
                "DELETE FROM events WHERE number <= \
                 (SELECT number FROM events ORDER BY number DESC LIMIT 1 OFFSET ?1)",
            )?
            .execute([EVENTS_MAX])?;
    }
    transaction.commit()?;
    Ok(())
}

/// One page, the newest first.
pub(crate) fn find(
    connection: &Connection,
    filter: &EventFilter,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut terms = vec!["number < ?"];
    let mut values = vec![Value::Integer(filter.before.map_or(i64::MAX, int))];
    if let Some(kind) = filter.kind {
        terms.push("kind = ?");
        values.push(Value::Text(word(kind)));
    }
    if let Some(backend) = &filter.backend {
        terms.push("backend = ?");
        values.push(Value::Text(backend.clone()));
    }
    values.push(Value::Integer(i64::from(limit)));
    let sql = format!("SELECT * FROM events WHERE {} ORDER BY number DESC LIMIT ?", terms.join(" AND "));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| Ok(event(row)))?;
    rows.map(|row| row?).collect()
}

/// The newest number ever given, also where its event was forgotten since.
pub(crate) fn last(connection: &Connection) -> Result<u64, StoreError> {
    let last: i64 =
        connection.query_row("SELECT coalesce(max(number), 0) FROM events", [], |row| row.get(0))?;
    Ok(uint(last))
}

fn event(row: &Row<'_>) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        number: uint(row.get("number")?),
        first: uint(row.get("first")?),
        at: Timestamp(row.get("at")?),
        kind: kind(row.get("kind")?)?,
        backend: row.get::<_, Option<String>>("backend")?.map(Arc::from),
        fields: fields(&row.get::<_, String>("fields")?)?,
        text: row.get::<_, String>("text")?.into(),
        times: uint(row.get("times")?),
    })
}

/// As the API and the dashboard spell it.
fn word(kind: EventKind) -> String {
    let word = serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned));
    word.expect("a kind without fields is always a word")
}

fn fields(stored: &str) -> Result<EventFields, StoreError> {
    serde_json::from_str(stored).map_err(|_| StoreError::Unreadable("event"))
}

fn kind(word: String) -> Result<EventKind, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|_| StoreError::Unreadable("event"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrate;

    fn told(number: u64, first: u64, at: i64) -> StoredEvent {
        let kind = if first.is_multiple_of(2) { EventKind::CooldownStarted } else { EventKind::Refused };
        let backend = first.is_multiple_of(3).then(|| Arc::from("main"));
        StoredEvent {
            number,
            first,
            at: Timestamp(at),
            kind,
            backend,
            fields: EventFields { lasts_ms: Some(first), ..EventFields::default() },
            text: format!("event {first}").into(),
            times: 1,
        }
    }

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate::run(&mut connection).expect("a schema");
        connection
    }

    fn check(connection: &Connection, filter: &EventFilter, limit: u32, expected: &[u64]) {
        let found = find(connection, filter, limit).expect("found");
        let numbers: Vec<u64> = found.iter().map(|event| event.number).collect();
        assert_eq!(numbers, expected, "{filter:?}");
        for event in &found {
            assert!(filter.wants(event.number, event.kind, event.backend.as_deref()), "{event:?}");
        }
    }

    #[test]
    fn what_repeats_itself_is_one_event_and_pages_go_back_in_time() {
        let mut connection = database();
        assert_eq!(last(&connection).expect("none"), 0);
        keep(&mut connection, &(1..=6).map(|n| told(n, n, 100)).collect::<Vec<_>>()).expect("kept");
        keep(&mut connection, &[StoredEvent { times: 2, ..told(7, 3, 200) }]).expect("kept");
        keep(&mut connection, &[]).expect("nothing to keep");
        assert_eq!(last(&connection).expect("some"), 7);
        let all = EventFilter::default();
        check(&connection, &all, 10, &[7, 6, 5, 4, 2, 1]);
        check(&connection, &all, 2, &[7, 6]);
        check(&connection, &EventFilter { before: Some(6), ..all.clone() }, 2, &[5, 4]);
        let cooldowns = EventFilter { kind: Some(EventKind::CooldownStarted), ..all.clone() };
        check(&connection, &cooldowns, 10, &[6, 4, 2]);
        check(&connection, &EventFilter { backend: Some("main".to_owned()), ..all }, 10, &[7, 6]);
        let newest = find(&connection, &EventFilter::default(), 1).expect("found");
        assert_eq!(newest, [StoredEvent { times: 2, ..told(7, 3, 200) }]);
    }

    #[test]
    fn what_an_earlier_release_wrote_down_has_words_and_no_fields() {
        let connection = database();
        connection
            .execute_batch(
                "INSERT INTO events (first, number, at, kind, text, times) VALUES (1, 1, 5, 'alert', '23 %', 1)",
            )
            .expect("a row");
        let found = find(&connection, &EventFilter::default(), 1).expect("found");
        assert_eq!((&found[0].fields, &*found[0].text), (&EventFields::default(), "23 %"));
    }

    #[test]
    fn the_oldest_are_forgotten_by_number_and_by_age() {
        let mut connection = database();
        let many = u64::from(EVENTS_MAX) + 5;
        keep(&mut connection, &(1..=many).map(|n| told(n, n, 100)).collect::<Vec<_>>()).expect("kept");
        let kept = find(&connection, &EventFilter::default(), u32::MAX).expect("found");
        assert_eq!((kept.len(), kept.last().map(|event| event.number)), (EVENTS_MAX as usize, Some(6)));
        keep(&mut connection, &[told(many + 1, many + 1, 101 + AGE_MS_MAX)]).expect("kept");
        check(&connection, &EventFilter::default(), u32::MAX, &[many + 1]);
    }
}
