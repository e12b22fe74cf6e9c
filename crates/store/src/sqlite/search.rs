//! Finds receipts newest first by the shortest way there is, and never looks at more of them than a bound, so that an
//! answer comes in time however little it finds; it never sums.

use policy::{Receipt, RequestOutcome, TicketId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::ledger::{before, first_ticket, receipt, ticket_blob};
use crate::error::StoreError;
use crate::ledger::Cursor;
use crate::search::{FoundRequests, RequestFilter};

/// Rows of the table that one look reads, one after the other.
const ROWS_MAX: u32 = 20_000;
/// Rows that one look fetches from all over the table, as an index names them.
const FETCHED_MAX: u32 = 2_000;
/// Rows of an index that one look judges without the table.
const JUDGED_MAX: u32 = 50_000;

/// The table itself, in its own order.
const ALL: &str = "receipts NOT INDEXED";
/// The very words of the index on models.
const MODEL: &str = "coalesce(model_served, model_asked) = ?";
/// The very words of the index on troubles: SQLite uses it for nothing else.
const IN_TROUBLE: &str = "(outcome <> 'completed' OR status >= 400)";

/// Conditions with the values they name, in order, and the columns that they ask for.
#[derive(Debug, Default, Clone)]
struct Terms {
    sql: Vec<&'static str>,
    values: Vec<Value>,
    columns: Vec<&'static str>,
}

impl Terms {
    fn of(column: &'static str, sql: &'static str, values: impl IntoIterator<Item = Value>) -> Self {
        Self { sql: vec![sql], values: values.into_iter().collect(), columns: vec![column] }
    }

    fn add(&mut self, more: &Self) {
        self.sql.extend(&more.sql);
        self.values.extend(more.values.iter().cloned());
        self.columns.extend(&more.columns);
    }
}

/// A way to the receipts, in the order of time: which of them it leads to, and what it says of them by itself.
#[derive(Debug, Clone)]
struct Way {
    source: &'static str,
    terms: Terms,
    columns: &'static [&'static str],
}

impl Way {
    fn by(source: &'static str, column: &'static str, sql: &'static str, value: &str) -> Self {
        let terms = Terms::of(column, sql, [Value::Text(value.to_owned())]);
        Self { source, terms, columns: &[] }
    }

    /// Whether the index alone can judge all that is asked.
    fn judges(&self, asked: &Terms) -> bool {
        asked.columns.iter().all(|column| self.columns.contains(column))
    }

    /// How many receipts on it one look goes over.
    fn reach(&self, asked: &Terms) -> u32 {
        match (self.source == ALL, self.judges(asked)) {
            (true, _) => ROWS_MAX,
            (false, true) => JUDGED_MAX,
            (false, false) => FETCHED_MAX,
        }
    }
}

/// From the first ticket up to but without the second.
#[derive(Clone, Copy)]
struct Span {
    from: [u8; 16],
    before: [u8; 16],
}

/// One look.
pub(crate) fn find(
    connection: &mut Connection,
    filter: &RequestFilter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<FoundRequests, StoreError> {
    // One read transaction: what is measured is what is read.
    let snapshot = connection.transaction()?;
    let from = first_ticket(filter.range.from);
    let span = Span { from, before: before(after).min(first_ticket(filter.range.to)) };
    let way = shortest(&snapshot, ways(&snapshot, filter)?, span)?;
    let asked = asked(filter);
    let edge = if asked.sql.is_empty() { None } else { edge(&snapshot, &way, (&asked, span))? };
    let looked = Span { from: edge.unwrap_or(from), ..span };
    let receipts = page(&snapshot, &way, (&asked, looked), limit)?;
    let full = receipts.len() >= limit as usize;
    let last = receipts.last().map(|receipt| receipt.ticket).filter(|_| full);
    let edge = edge.map(|ticket| TicketId(u128::from_be_bytes(ticket)));
    let next = last.or(edge);
    Ok(FoundRequests { receipts, next: next.map(Cursor), looked_back_to: made_at(next, filter.range.from) })
}

fn made_at(ticket: Option<TicketId>, otherwise: Timestamp) -> Timestamp {
    let millis = ticket.and_then(|ticket| i64::try_from(ticket.0 >> 80).ok());
    millis.map_or(otherwise, Timestamp)
}

/// Every way that misses nothing of what is wanted.
fn ways(connection: &Connection, filter: &RequestFilter) -> Result<Vec<Way>, StoreError> {
    if let Some(way) = filter.text.as_deref().map(|text| whole_id(connection, text)).transpose()?.flatten() {
        return Ok(vec![way]);
    }
    let texts = [
        ("receipts INDEXED BY receipts_by_key", "key", "key = ?", &filter.key),
        ("receipts INDEXED BY receipts_by_team", "team", "team = ?", &filter.team),
        ("receipts INDEXED BY receipts_by_backend", "backend", "backend = ?", &filter.backend),
        ("receipts INDEXED BY receipts_by_model", "model", MODEL, &filter.model),
    ];
    let by_text = |(source, column, sql, wanted): (_, _, _, &Option<String>)| {
        Some(Way::by(source, column, sql, wanted.as_deref()?))
    };
    let mut ways: Vec<Way> = texts.into_iter().filter_map(by_text).collect();
    let is_trouble = filter.outcome.is_some_and(|outcome| outcome != RequestOutcome::Completed)
        || filter.status.as_ref().is_some_and(|status| *status.start() >= 400);
    if is_trouble {
        let terms = Terms::of("outcome", IN_TROUBLE, []);
        ways.push(Way {
            source: "receipts INDEXED BY receipts_in_trouble",
            terms,
            columns: &["status", "outcome"],
        });
    }
    if filter.tag.is_some() {
        let terms = Terms::of("tags", "tags IS NOT NULL", []);
        ways.push(Way { source: "receipts INDEXED BY receipts_with_tags", terms, columns: &["tags"] });
    }
    Ok(ways)
}

/// The way to the requests of that very id, where there are any.
fn whole_id(connection: &Connection, text: &str) -> Result<Option<Way>, StoreError> {
    let mut given = connection
        .prepare_cached("SELECT 1 FROM receipts WHERE request_id = ?1 AND request_id_given LIMIT 1")?;
    if given.exists([text])? {
        let source = "receipts INDEXED BY receipts_by_given_id";
        return Ok(Some(Way::by(source, "text", "request_id_given AND request_id = ?", text)));
    }
    let Some(ticket) = TicketId::of_request_id(text).map(ticket_blob) else { return Ok(None) };
    let mut made =
        connection.prepare_cached("SELECT 1 FROM receipts WHERE ticket = ?1 AND request_id = ?2")?;
    let terms = Terms::of("text", "ticket = ?", [Value::Blob(ticket.to_vec())]);
    let way = Way { source: ALL, terms, columns: &[] };
    Ok(made.exists(params![ticket, text])?.then_some(way))
}

/// The way with the fewest receipts on it, as far as one look goes.
fn shortest(connection: &Connection, ways: Vec<Way>, span: Span) -> Result<Way, StoreError> {
    let all = || Way { source: ALL, terms: Terms::default(), columns: &[] };
    if ways.len() < 2 {
        return Ok(ways.into_iter().next().unwrap_or_else(all));
    }
    let mut measured = Vec::with_capacity(ways.len());
    for way in ways {
        let (terms, values) = spanned(&way.terms, span);
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {terms} LIMIT {})",
            way.source,
            FETCHED_MAX + 1
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let length: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
        measured.push((length, way));
    }
    let shortest = measured.into_iter().min_by_key(|(length, _)| *length);
    Ok(shortest.map_or_else(all, |(_, way)| way))
}

fn spanned(terms: &Terms, span: Span) -> (String, Vec<Value>) {
    let mut all = Terms::of("ticket", "ticket >= ?", [Value::Blob(span.from.to_vec())]);
    all.add(&Terms::of("ticket", "ticket < ?", [Value::Blob(span.before.to_vec())]));
    all.add(terms);
    (all.sql.join(" AND "), all.values)
}

/// The last receipt that one look reaches; none when it reaches the end.
fn edge(
    connection: &Connection,
    way: &Way,
    (asked, span): (&Terms, Span),
) -> Result<Option<[u8; 16]>, StoreError> {
    let (terms, values) = spanned(&way.terms, span);
    let reach = way.reach(asked);
    let sql = format!(
        "SELECT ticket FROM {} WHERE {terms} ORDER BY ticket DESC LIMIT 1 OFFSET {reach}",
        way.source
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row(params_from_iter(values), |row| row.get(0)).optional()?)
}

fn page(
    connection: &Connection,
    way: &Way,
    (asked, span): (&Terms, Span),
    limit: u32,
) -> Result<Vec<Receipt>, StoreError> {
    let mut terms = way.terms.clone();
    terms.add(asked);
    let (terms, mut values) = spanned(&terms, span);
    values.push(Value::Integer(i64::from(limit)));
    // A row is fetched before its conditions are judged: where the index judges, it is asked for tickets alone.
    let sql = if way.judges(asked) && !way.columns.is_empty() {
        format!(
            "SELECT * FROM receipts WHERE ticket IN \
             (SELECT ticket FROM {} WHERE {terms} ORDER BY ticket DESC LIMIT ?) ORDER BY ticket DESC",
            way.source
        )
    } else {
        format!("SELECT * FROM {} WHERE {terms} ORDER BY ticket DESC LIMIT ?", way.source)
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| Ok(receipt(row)))?;
    rows.map(|row| row?).collect()
}

/// Everything that is asked, whichever way leads there: a way's own condition costs nothing to ask twice.
fn asked(filter: &RequestFilter) -> Terms {
    let mut asked = Terms::default();
    let texts = [
        ("key", "key = ?", &filter.key),
        ("team", "team = ?", &filter.team),
        ("backend", "backend = ?", &filter.backend),
        ("model", MODEL, &filter.model),
        ("text", "instr(request_id, ?) > 0", &filter.text),
    ];
    for (column, sql, wanted) in texts {
        if let Some(wanted) = wanted {
            asked.add(&Terms::of(column, sql, [Value::Text(wanted.clone())]));
        }
    }
    if let Some(status) = &filter.status {
        let ends = [i64::from(*status.start()), i64::from(*status.end())];
        asked.add(&Terms::of("status", "status BETWEEN ? AND ?", ends.map(Value::Integer)));
    }
    if let Some(outcome) = filter.outcome {
        let outcome = Value::Text(outcome.name().to_owned());
        asked.add(&Terms::of("outcome", "outcome = ?", [outcome]));
    }
    if let Some(pair) = &filter.tag {
        // Tags are kept as compact JSON, where no text can look like a pair: its quotes would be escaped.
        let pair = serde_json::to_string(pair).expect("a pair of texts is always JSON");
        asked.add(&Terms::of("tags", "instr(tags, ?) > 0", [Value::Text(pair)]));
    }
    asked
}
