//! Decides how what a command found is written: plain columns for people, JSON for programs; never what is found.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Eighths of a block, for charts that fit a line.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    colours: bool,
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Doubtful,
    Bad,
}

impl Screen {
    /// Colours only where a person reads them and has not said no; see <https://no-color.org>.
    pub(crate) fn of(environment: &BTreeMap<String, String>) -> Self {
        let refused = environment.get("NO_COLOR").is_some_and(|text| !text.is_empty());
        let dumb = environment.get("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { colours: io::stdout().is_terminal() && !refused && !dumb }
    }

    /// A word in the colour of its meaning.
    pub(crate) fn paint(self, tone: Tone, word: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Doubtful => 33,
            Tone::Bad => 31,
        };
        if self.colours { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match write(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes to standard output, and tells when nobody reads it any more.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes one line to standard output.
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// Writes a value for programs.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

/// Says something beside the data, on standard error.
pub(crate) fn remark(text: &str) {
    // Where standard error is closed, nobody can be told.
    drop(writeln!(io::stderr(), "{text}"));
}

/// A sign of life while somebody waits; nothing where nobody watches.
pub(crate) fn watching(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Lines up rows under a header, without any frame, so that other tools can cut them.
pub(crate) fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell).into_owned()).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Text of others without what could move a cursor or start a colour.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control();
    if text.contains(harmful) {
        return Cow::Owned(text.chars().map(|c| if harmful(c) { ' ' } else { c }).collect());
    }
    Cow::Borrowed(text)
}

/// The same for text of several lines.
pub(crate) fn printable_lines(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(harmful) {
        return Cow::Owned(text.chars().filter(|c| !harmful(*c)).collect());
    }
    Cow::Borrowed(text)
}

/// A bar of `part` against `whole`, at most `width` characters long. Something is never shown as nothing.
pub(crate) fn bar(part: u64, whole: u64, width: u64) -> String {
    if part == 0 || whole == 0 {
        return String::new();
    }
    let eighths = u128::from(part.min(whole)) * u128::from(width) * 8 / u128::from(whole);
    let eighths = usize::try_from(eighths).unwrap_or(usize::MAX).max(1);
    "█".repeat(eighths / 8) + EIGHTHS.get(eighths % 8).copied().unwrap_or_default()
}

/// A count with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 key`, `2 keys`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `600 rpm, 50 at once`.
pub(crate) fn limits<const COUNT: usize>(limits: [(&str, Option<u64>); COUNT]) -> String {
    let set = limits.iter().filter_map(|(unit, limit)| Some(format!("{} {unit}", count((*limit)?))));
    let text = set.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_longer_than_its_room() {
        for (part, whole, expected) in [
            (0, 10, ""),
            (10, 10, "████"),
            (5, 10, "██"),
            (1, 1_000_000, "▏"),
            (11, 10, "████"),
            (3, 16, "▊"),
            (u64::MAX, u64::MAX, "████"),
            (1, 0, ""),
        ] {
            assert_eq!(bar(part, whole, 4), expected, "{part} of {whole}");
        }
    }

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), expected);
        }
        assert_eq!(counted(1, "key"), "1 key");
        assert_eq!(counted(0, "key"), "0 keys");
    }

    #[test]
    fn columns_line_up_and_what_others_wrote_stays_text() {
        let rows = vec![vec!["a\x1b[31m".to_owned(), "1".to_owned()], vec!["bcd".to_owned(), String::new()]];
        assert_eq!(columns(&["NAME", "N"], rows), "NAME    N\na [31m  1\nbcd\n");
    }
}
