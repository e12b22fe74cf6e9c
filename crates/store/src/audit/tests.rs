//! Holds the audit log to its promises: whatever is done to its rows shows, and no secret is in them.

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::sqlite::{audit as rows, migrate};

fn author(name: &str) -> Author {
    Author { name: Arc::from(name), via: Via::Api, address: Some(IpAddr::from([192, 0, 2, 1])) }
}

/// A log of `length` entries, some without a before, some without an after.
fn log(length: u64) -> Connection {
    let mut connection = Connection::open_in_memory().expect("a database");
    migrate::run(&mut connection).expect("a schema");
    for n in 1..=length {
        let deed = Deed::of("change", "setting", format!("s{}", n % 3));
        let deed = if n % 2 == 0 { deed.before(json!({ "n": n })) } else { deed };
        let deed = if n % 5 == 0 { deed } else { deed.after(json!({ "n": n + 1 })) };
        rows::record(&mut connection, &author("ops"), &deed).expect("entered");
    }
    connection
}

fn verdict(connection: &mut Connection) -> AuditVerdict {
    rows::verify(connection, None).expect("a verdict")
}

/// What somebody may do to the rows behind our back.
#[derive(Debug, Clone)]
enum Tampering {
    Edit { number: u64, column: &'static str },
    Remove { from: u64, count: u64 },
    Swap { one: u64, other: u64 },
    Forge { number: u64 },
    Resealed { number: u64 },
}

const COLUMNS: &[&str] =
    &["at", "actor", "via", "address", "action", "kind", "subject", "before", "after", "hash"];

fn tampering(length: u64) -> impl Strategy<Value = Tampering> {
    prop_oneof![
        (1..=length, prop::sample::select(COLUMNS))
            .prop_map(|(number, column)| Tampering::Edit { number, column }),
        (1..=length, 1..=length).prop_map(|(from, count)| Tampering::Remove { from, count }),
        (1..=length, 1..=length)
            .prop_filter("two entries", |(one, other)| one != other)
            .prop_map(|(one, other)| Tampering::Swap { one, other }),
        (1..=length + 3).prop_map(|number| Tampering::Forge { number }),
        (1..length).prop_map(|number| Tampering::Resealed { number }),
    ]
}

fn tamper(connection: &Connection, tampering: &Tampering) {
    let run = |sql: &str| connection.execute_batch(sql).expect("an edit");
    match tampering {
        Tampering::Edit { number, column } => {
            let value = match *column {
                "at" => "at + 1".to_owned(),
                "hash" => "zeroblob(32)".to_owned(),
                other => format!("coalesce({other}, '') || 'x'"),
            };
            run(&format!("UPDATE audit SET {column} = {value} WHERE number = {number}"));
        }
        Tampering::Remove { from, count } => {
            run(&format!("DELETE FROM audit WHERE number BETWEEN {from} AND {}", from + count - 1));
        }
        Tampering::Swap { one, other } => run(&format!(
            "UPDATE audit SET number = -1 WHERE number = {one}; \
             UPDATE audit SET number = {one} WHERE number = {other}; \
             UPDATE audit SET number = {other} WHERE number = -1;"
        )),
        Tampering::Forge { number } => run(&format!(
            "INSERT OR REPLACE INTO audit SELECT {number}, at, 'forger', via, address, action, kind, subject, \
             before, after, hash FROM audit WHERE number = 1"
        )),
        // An entry taken out, and those behind it moved up, as if it had never been.
        Tampering::Resealed { number } => run(&format!(
            "DELETE FROM audit WHERE number = {number}; \
             UPDATE audit SET number = -number WHERE number > {number}; \
             UPDATE audit SET number = -number - 1 WHERE number < 0;"
        )),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_the_rows_shows(
        (length, tampering) in (2_u64..12).prop_flat_map(|length| (Just(length), tampering(length)))
    ) {
        let mut connection = log(length);
        let whole = verdict(&mut connection);
        prop_assert_eq!((whole.entries, whole.breaks), (length, Vec::new()));
        tamper(&connection, &tampering);
        prop_assert!(!verdict(&mut connection).breaks.is_empty(), "{:?} does not show", tampering);
    }
}

#[test]
fn breaks_are_told_by_what_was_done() {
    for (tampering, expected) in [
        (Tampering::Edit { number: 3, column: "after" }, vec![ChainBreak::Altered { number: 3 }]),
        (Tampering::Remove { from: 2, count: 2 }, vec![ChainBreak::Gap { number: 2 }]),
        (Tampering::Remove { from: 4, count: 9 }, vec![ChainBreak::Cut { number: 3 }]),
    ] {
        let mut connection = log(6);
        tamper(&connection, &tampering);
        assert_eq!(verdict(&mut connection).breaks, expected, "{tampering:?}");
    }
}

#[test]
fn a_head_kept_elsewhere_shows_a_chain_that_was_written_anew() {
    let known = verdict(&mut log(5)).head;
    let verify = |connection: &mut Connection| rows::verify(connection, Some(&known)).expect("a verdict");
    let mut anew = log(7);
    anew.execute_batch("DELETE FROM audit; UPDATE audit_head SET number = 0, hash = zeroblob(32)")
        .expect("an edit");
    assert_eq!(verify(&mut anew).breaks, [ChainBreak::Cut { number: 5 }]);
    for n in 0..8 {
        let deed = Deed::of("change", "setting", format!("other {n}"));
        rows::record(&mut anew, &author("ops"), &deed).expect("entered");
    }
    assert_eq!(verify(&mut anew).breaks, [ChainBreak::Rewritten { number: 5 }]);
}

#[test]
fn what_is_called_like_a_secret_is_masked_at_any_depth() {
    let canary = "sk-canary-audit-0123456789";
    let mut connection = log(0);
    let told = json!({"spec": {"api_key": canary, "more": [{"password": canary}]}, "secret": canary});
    let deed = Deed::of("create", "backend", "b").before(told.clone()).after(told);
    rows::record(&mut connection, &author("ops"), &deed).expect("entered");
    let entries = rows::list(&connection, &AuditFilter::default(), None, 10).expect("a page");
    let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
    let after = entry.after.as_ref().expect("an after");
    assert_eq!(after["spec"]["more"][0]["password"], "sk-can***6789");
    let stored: String =
        connection.query_row("SELECT before || after FROM audit", [], |row| row.get(0)).expect("a row");
    assert!(!stored.contains("canary-audit"), "{stored}");
}

#[test]
fn pages_are_filtered_and_newest_first() {
    let mut connection = log(9);
    let other = Author { name: Arc::from("night shift"), via: Via::Cli, address: None };
    rows::record(&mut connection, &other, &Deed::of("delete", "key", "app")).expect("entered");
    let check = |filter: AuditFilter, before: Option<u64>, expected: &[u64]| {
        let page = rows::list(&connection, &filter, before, 3).expect("a page");
        assert_eq!(page.iter().map(|entry| entry.number).collect::<Vec<_>>(), expected, "{filter:?}");
    };
    let text = |text: &str| Some(text.to_owned());
    check(AuditFilter::default(), None, &[10, 9, 8]);
    check(AuditFilter::default(), Some(3), &[2, 1]);
    check(AuditFilter { actor: text("night shift"), ..AuditFilter::default() }, None, &[10]);
    check(AuditFilter { via: Some(Via::Cli), ..AuditFilter::default() }, None, &[10]);
    check(
        AuditFilter { kind: text("setting"), subject: text("s0"), ..AuditFilter::default() },
        None,
        &[9, 6, 3],
    );
    check(AuditFilter { action: text("delete"), kind: text("setting"), ..AuditFilter::default() }, None, &[]);
    let nothing = Range { from: Timestamp(0), to: Timestamp(1) };
    check(AuditFilter { range: nothing, ..AuditFilter::default() }, None, &[]);
}
