//! Shows what requests used and cost, as the ledger has summed it; never computes a cost.

use std::process::ExitCode;

use gateway::{Clock, SystemClock};
use policy::{Amount, DAY_MS, Timestamp};
use serde::Serialize;
use store::ledger::{Dimension, Grain, Range, UsageRow, UsageSums};
use store::{Ledger, has_database};

use super::desk::Desk;
use super::moment;
use super::place::Place;
use crate::args::{UsageArguments, UsageBy};
use crate::output;

/// A range this short is summed from hours, so that "the last two hours" is not a whole day.
const HOURLY_UNTIL_MS: i64 = 2 * DAY_MS;
const BAR_CHARS: u64 = 24;
/// Money is shown to the hundredth of a cent; the ledger and `--json` keep all of it.
const UNITS_SHOWN: i128 = 100_000_000;

/// What was asked for.
struct Question {
    grain: Grain,
    range: Range,
    by: UsageBy,
}

#[derive(Debug, Serialize)]
struct Usage {
    since: String,
    by: String,
    total: Sums,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    sums: Sums,
}

/// What is shown of sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Sums {
    requests: u64,
    failed: u64,
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
    cost: Amount,
    unpriced: u64,
}

pub(super) async fn run(place: &Place, arguments: UsageArguments) -> anyhow::Result<ExitCode> {
    let now = SystemClock.wall();
    let tag = if let UsageBy::Tag(tag) = &arguments.by { Some(tag.clone()) } else { None };
    let question = Question::new(arguments.by, moment::past(&arguments.since, now)?, now);
    let loaded = place.load()?;
    let usage = if has_database(&loaded.settings.data_dir) {
        question.answer(&Desk::look(place)?.ledger).await?
    } else {
        question.shape(Vec::new())
    };
    if arguments.shape.json {
        output::print_json(&usage)?;
    } else if usage.rows.is_empty() {
        let (since, folder) = (&usage.since, loaded.settings.data_dir.display());
        output::remark(&match tag {
            Some(tag) => format!("No request since {since} has the tag `{tag}` ({folder})."),
            None => format!("Nothing was used since {since} ({folder})."),
        });
    } else {
        output::print(&chart(&usage))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Question {
    /// Buckets are counted whole: the first is the one that `since` lies in.
    fn new(by: UsageBy, since: Timestamp, now: Timestamp) -> Self {
        let is_short = now.0.saturating_sub(since.0) <= HOURLY_UNTIL_MS;
        let grain = match by {
            UsageBy::Hour => Grain::Hour,
            UsageBy::Day => Grain::Day,
            UsageBy::Model | UsageBy::Backend | UsageBy::Key | UsageBy::Team | UsageBy::Tag(_)
                if is_short =>
            {
                Grain::Hour
            }
            UsageBy::Model | UsageBy::Backend | UsageBy::Key | UsageBy::Team | UsageBy::Tag(_) => Grain::Day,
        };
        Self { grain, range: Range { from: grain.begins(since), to: Timestamp(i64::MAX) }, by }
    }

    async fn answer(&self, ledger: &Ledger) -> anyhow::Result<Usage> {
        let dimension = match &self.by {
            UsageBy::Day | UsageBy::Hour => None,
            UsageBy::Model => Some(Dimension::Model),
            UsageBy::Backend => Some(Dimension::Backend),
            UsageBy::Key => Some(Dimension::Key),
            UsageBy::Team => Some(Dimension::Team),
            UsageBy::Tag(name) => Some(Dimension::Tag(name.clone())),
        };
        let by_time = match self.grain {
            Grain::Hour => ledger.hourly(self.range).await?,
            Grain::Day => ledger.daily(self.range).await?,
        };
        let Some(dimension) = dimension else { return Ok(self.shape(by_time)) };
        let grouped = ledger.grouped(self.grain, dimension, self.range).await?;
        // A request with several tags or backends counts in several groups; the total counts it once.
        Ok(Usage { total: self.shape(by_time).total, ..self.shape(grouped) })
    }

    fn shape(&self, rows: Vec<UsageRow>) -> Usage {
        let rows: Vec<Row> =
            rows.into_iter().map(|row| Row { name: self.name(&row), sums: Sums::of(&row.sums) }).collect();
        let total = rows.iter().fold(Sums::default(), |total, row| total.with(&row.sums));
        Usage { since: moment::minute(self.range.from) + " UTC", by: self.column().to_owned(), total, rows }
    }

    fn name(&self, row: &UsageRow) -> String {
        match (&row.group, row.bucket, self.grain) {
            (Some(group), _, _) if group.is_empty() => "-".to_owned(),
            (Some(group), _, _) => group.clone(),
            (None, Some(bucket), Grain::Hour) => moment::minute(bucket),
            (None, Some(bucket), Grain::Day) => moment::day(bucket),
            (None, None, _) => "all".to_owned(),
        }
    }

    fn column(&self) -> &str {
        match &self.by {
            UsageBy::Day => "day",
            UsageBy::Hour => "hour",
            UsageBy::Model => "model",
            UsageBy::Backend => "backend",
            UsageBy::Key => "key",
            UsageBy::Team => "team",
            UsageBy::Tag(name) => name,
        }
    }
}

impl Sums {
    fn of(sums: &UsageSums) -> Self {
        Self {
            requests: sums.requests,
            failed: sums.failed + sums.interrupted,
            input_tokens: sums.usage.input_total(),
            cached_tokens: sums.usage.cached_input,
            output_tokens: sums.usage.output,
            cost: sums.cost,
            unpriced: sums.unpriced,
        }
    }

    fn with(self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            failed: self.failed.saturating_add(other.failed),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost: self.cost.saturating_add(other.cost),
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }

    fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    fn cells(&self, name: String, bar: String) -> Vec<String> {
        vec![
            name,
            output::count(self.requests),
            output::count(self.failed),
            output::count(self.input_tokens),
            output::count(self.output_tokens),
            cost(self),
            bar,
        ]
    }
}

fn chart(usage: &Usage) -> String {
    let most = usage.rows.iter().map(|row| row.sums.tokens()).max().unwrap_or(0);
    let rows = usage
        .rows
        .iter()
        .map(|row| row.sums.cells(row.name.clone(), output::bar(row.sums.tokens(), most, BAR_CHARS)));
    let total = usage.total.cells("total".to_owned(), String::new());
    let first = usage.by.to_uppercase();
    let header = [first.as_str(), "REQUESTS", "FAILED", "TOKENS IN", "TOKENS OUT", "COST USD", "TOKENS"];
    let table = output::columns(&header, rows.chain([total]));
    let unpriced = match usage.total.unpriced {
        0 => String::new(),
        calls => format!(
            "+ {} without a known price: their cost is not in these sums. Give the model a `price` in the configuration.\n",
            output::counted(usize::try_from(calls).unwrap_or(usize::MAX), "call")
        ),
    };
    format!("Since {}:\n{table}{unpriced}", usage.since)
}

/// Rounded up: what was charged is never shown as nothing.
fn cost(sums: &Sums) -> String {
    let rounded = sums.cost.0.div_euclid(UNITS_SHOWN) + i128::from(sums.cost.0.rem_euclid(UNITS_SHOWN) > 0);
    let mark = if sums.unpriced > 0 { "+" } else { "" };
    format!("{}.{:04}{mark}", rounded / 10_000, rounded % 10_000)
}

#[cfg(test)]
mod tests {
    use policy::HOUR_MS;

    use super::*;

    /// 2026-11-21T12:30:00Z
    const NOW: Timestamp = Timestamp(1_795_264_200_000);

    fn row(group: &str, requests: u64, tokens: u64) -> UsageRow {
        let mut row = UsageRow { group: Some(group.to_owned()), ..UsageRow::default() };
        row.sums.requests = requests;
        row.sums.usage.input = tokens;
        row.sums.cost = Amount(i128::from(tokens) * 1_000_000);
        row
    }

    #[test]
    fn a_short_range_is_read_by_the_hour_and_begins_at_a_whole_bucket() {
        for (by, back_ms, from) in [
            (UsageBy::Day, HOUR_MS, "2026-11-21 00:00"),
            (UsageBy::Hour, HOUR_MS, "2026-11-21 11:00"),
            (UsageBy::Model, HOUR_MS, "2026-11-21 11:00"),
            (UsageBy::Model, 7 * DAY_MS, "2026-11-14 00:00"),
        ] {
            let question = Question::new(by.clone(), Timestamp(NOW.0 - back_ms), NOW);
            assert_eq!(moment::minute(question.range.from), from, "{by:?}");
        }
    }

    #[test]
    fn a_chart_has_rows_bars_a_total_and_says_what_it_does_not_know() {
        let question = Question::new(UsageBy::Model, Timestamp(NOW.0 - 7 * DAY_MS), NOW);
        let mut unpriced = row("new-model", 3, 500);
        unpriced.sums.unpriced = 2;
        insta::assert_snapshot!(chart(&question.shape(vec![row("gpt-4o", 1200, 2_000_000), unpriced])));
    }

    #[test]
    fn a_cost_is_never_shown_as_nothing() {
        for (units, expected) in
            [(0, "0.0000"), (1, "0.0001"), (1_500_000_000_000, "1.5000"), (1_500_000_000_001, "1.5001")]
        {
            assert_eq!(cost(&Sums { cost: Amount(units), ..Sums::default() }), expected);
        }
    }
}
