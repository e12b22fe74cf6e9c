//! Decides how far an export is, from where its rows are and where the last of them is; never what is exported.

use policy::TicketId;
use serde_json::Value;

use crate::args::{ExportFormat, Exported};

/// How far an export is.
#[derive(Debug)]
pub(super) struct Progress {
    what: Exported,
    format: ExportFormat,
    /// Where its last row is at most.
    last: Option<i64>,
    first: Option<i64>,
    percent: u64,
    rows: u64,
    /// Of the last whole row.
    cursor: Option<String>,
}

impl Progress {
    pub(super) fn new(what: Exported, format: ExportFormat, last: Option<i64>) -> Self {
        Self { what, format, last, first: None, percent: 0, rows: 0, cursor: None }
    }

    /// Rows came, whole ones.
    pub(super) fn take(&mut self, rows: &[u8]) {
        let mut lines = rows.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        self.rows += rows.iter().filter(|byte| **byte == b'\n').count() as u64;
        let first = lines.next().and_then(|line| self.place(line));
        let last = lines.next_back().and_then(|line| self.place(line)).or_else(|| first.clone());
        let Some((cursor, at)) = last else { return };
        self.first = self.first.or(first.map(|(_, at)| at)).or(Some(at));
        self.cursor = Some(cursor);
        if let (Some(first), Some(last)) = (self.first, self.last) {
            let (way, whole) = (first.abs_diff(at), first.abs_diff(last).max(1));
            // It never goes back, and is at its end only when that has come.
            self.percent = (way.saturating_mul(100) / whole).clamp(self.percent, 99);
        }
    }

    pub(super) fn percent(&self) -> u64 {
        self.percent
    }

    /// How many rows came, the table's head not counted.
    pub(super) fn rows(&self) -> u64 {
        match self.format {
            ExportFormat::Csv => self.rows.saturating_sub(1),
            ExportFormat::Ndjson => self.rows,
        }
    }

    /// What takes the export up behind the last whole row.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// A row's cursor, and where that is; none where it cannot be told, as of the table's head.
    fn place(&self, line: &[u8]) -> Option<(String, i64)> {
        let text = std::str::from_utf8(line).ok()?;
        let (cursor, second) = match self.format {
            ExportFormat::Csv => {
                let mut cells = text.split(',');
                (cells.next()?.to_owned(), cells.next().and_then(|cell| cell.parse().ok()))
            }
            ExportFormat::Ndjson => {
                let row: Value = serde_json::from_str(text).ok()?;
                (row["cursor"].as_str()?.to_owned(), row["bucket"].as_i64())
            }
        };
        let at = match self.what {
            Exported::Requests => cursor.parse::<TicketId>().ok()?.minted_at().0,
            Exported::Usage => second?,
            Exported::Audit => cursor.parse().ok()?,
        };
        Some((cursor, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: Exported, format: ExportFormat, last: Option<i64>, pages: &[(&str, u64, u64)]) {
        let mut progress = Progress::new(what, format, last);
        for (page, percent, rows) in pages {
            progress.take(page.as_bytes());
            assert_eq!((progress.percent(), progress.rows()), (*percent, *rows), "{what:?} {page:?}");
        }
    }

    #[test]
    fn an_export_is_as_far_as_its_rows_are_from_the_last() {
        let (csv, ndjson) = (ExportFormat::Csv, ExportFormat::Ndjson);
        check(
            Exported::Audit,
            csv,
            Some(1),
            &[
                ("cursor,number\r\n", 0, 0),
                ("101,101\r\n", 0, 1),
                ("100,100\r\n51,51\r\n", 50, 3),
                ("1,1\r\n", 99, 4),
            ],
        );
        check(
            Exported::Usage,
            ndjson,
            Some(200),
            &[
                ("{\"cursor\":\"ab\",\"bucket\":100}\n{\"cursor\":\"ac\",\"bucket\":150}\n", 50, 2),
                ("not a row\n", 50, 3),
            ],
        );
        check(Exported::Usage, csv, Some(100), &[("cursor,bucket\r\nab,100,x\r\nac,100,y\r\n", 0, 2)]);
        check(Exported::Audit, ndjson, None, &[("{\"cursor\":\"9\"}\n", 0, 1)]);
        let at = |millis: u128| TicketId(millis << 80 | 7).to_string();
        let page = |millis| format!("{{\"cursor\":\"{}\"}}\n", at(millis));
        let pages = [page(1_000), page(400), page(700), page(0)];
        let expected = [0, 60, 60, 99];
        let pages: Vec<(&str, u64, u64)> = pages
            .iter()
            .zip(expected)
            .zip(1..)
            .map(|((page, percent), rows)| (page.as_str(), percent, rows))
            .collect();
        check(Exported::Requests, ndjson, Some(0), &pages);
    }

    #[test]
    fn the_last_whole_row_is_where_it_is_taken_up() {
        let mut progress = Progress::new(Exported::Audit, ExportFormat::Csv, Some(1));
        assert_eq!(progress.cursor(), None);
        progress.take(b"cursor,number\r\n");
        assert_eq!(progress.cursor(), None);
        progress.take(b"7,7\r\n6,6\r\n");
        assert_eq!(progress.cursor(), Some("6"));
    }
}
