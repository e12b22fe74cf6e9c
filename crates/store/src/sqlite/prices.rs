//! Keeps every price that was in force in rows, so that a charge can be done again; it never decides which price holds.

use policy::{Price, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::error::StoreError;
use crate::ledger::{Charge, NamedPrice};

/// The most rows kept; those that have been there for longest go first.
const PRICES_MAX: u32 = 100_000;

/// Writes prices that differ from what is known under their name.
pub(crate) fn remember(
    connection: &mut Connection,
    prices: &[NamedPrice],
    since: Timestamp,
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut newest = transaction.prepare_cached(
            "SELECT price FROM charged_prices WHERE version = ?1 AND name = ?2 ORDER BY since DESC LIMIT 1",
        )?;
        let mut write = transaction.prepare_cached(
            "INSERT OR REPLACE INTO charged_prices (version, name, since, price) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for NamedPrice { name, price } in prices {
            let text = serde_json::to_string(&**price).expect("amounts and a version are always JSON");
            let known: Option<String> =
                newest.query_row(params![price.version, name], |row| row.get(0)).optional()?;
            if known.as_deref() != Some(text.as_str()) {
                write.execute(params![price.version, name, since.0, text])?;
            }
        }
        transaction
            .prepare_cached(
                "DELETE FROM charged_prices WHERE since < \
                 (SELECT since FROM charged_prices ORDER BY since DESC LIMIT 1 OFFSET ?1)",
            )?
            .execute([PRICES_MAX])?;
    }
    transaction.commit()?;
    Ok(())
}

/// The price behind each charge, as it was at that time; the nearest one where none is as old.
pub(crate) fn charged(
    connection: &Connection,
    charges: &[Option<Charge>],
) -> Result<Vec<Option<Price>>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT price FROM charged_prices WHERE version = ?1 AND name IN ('', ?2) \
         ORDER BY since <= ?3 DESC, abs(since - ?3) LIMIT 1",
    )?;
    let mut price = |charge: &Option<Charge>| {
        let Some(Charge { version, name, at }) = charge else { return Ok(None) };
        let text: Option<String> =
            find.query_row(params![version, name, at.0], |row| row.get(0)).optional()?;
        let read = |text: String| serde_json::from_str(&text).map_err(|_| StoreError::Unreadable("price"));
        text.map(read).transpose()
    };
    charges.iter().map(&mut price).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policy::{Amount, PriceSpec};

    use super::*;
    use crate::sqlite::migrate;

    fn named(name: &str, version: &str, input: i128) -> NamedPrice {
        let spec = PriceSpec { version: version.to_owned(), input: Amount(input), ..PriceSpec::default() };
        NamedPrice { name: name.to_owned(), price: Arc::new(spec.price()) }
    }

    #[test]
    fn a_charge_finds_the_price_of_its_time() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate::run(&mut connection).expect("a schema");
        for (since, price) in [
            (10, named("", "config-1", 1)),
            (10, named("openai/m", "table", 2)),
            (10, named("groq/m", "table", 3)),
            // What is known already changes nothing.
            (20, named("openai/m", "table", 2)),
            (30, named("openai/m", "table", 4)),
        ] {
            remember(&mut connection, &[price], Timestamp(since)).expect("remembered");
        }
        let rows: i64 = connection
            .query_row("SELECT count(*) FROM charged_prices", [], |row| row.get(0))
            .expect("a count");
        assert_eq!(rows, 4);
        for (version, name, at, expected) in [
            ("config-1", "openai/m", 15, Some(1)),
            ("table", "openai/m", 29, Some(2)),
            ("table", "openai/m", 30, Some(4)),
            ("table", "openai/m", 99, Some(4)),
            ("table", "openai/m", 5, Some(2)),
            ("table", "groq/m", 99, Some(3)),
            ("table", "other/m", 99, None),
            ("other", "openai/m", 99, None),
        ] {
            let charge = Charge { version: version.into(), name: name.to_owned(), at: Timestamp(at) };
            let found = charged(&connection, &[None, Some(charge)]).expect("found");
            let inputs: Vec<_> =
                found.iter().map(|price| price.as_ref().map(|price| price.input.0)).collect();
            assert_eq!(inputs, [None, expected], "{version} of {name} at {at}");
        }
    }
}
