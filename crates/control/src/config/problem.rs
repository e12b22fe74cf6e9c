//! Says what is wrong with a configuration, where, and what to write instead; it never repeats a value that may be a secret.

use std::fmt;

use super::tree::{Origin, Path};

/// More problems than this help nobody; the report says how many were left out.
const PROBLEMS_MAX: usize = 200;

/// One thing wrong, at the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the offending value came from.
    pub origin: Origin,
    /// Which setting, as in `backends[1].limits.rpm`; empty for the file as a whole.
    pub path: Path,
    /// What is wrong.
    pub message: String,
    /// What to write instead, when that is known.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_root() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " ({suggestion})"),
            None => Ok(()),
        }
    }
}

/// Something that works but that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about: a variable's or a setting's name.
    pub subject: String,
    /// The whole sentence.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

/// Every problem of a configuration at once, in reading order; never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
    left_out: usize,
}

impl Report {
    /// The report of a configuration file that could not even be read.
    pub fn unreadable(message: &str) -> Self {
        let problem = Problem {
            origin: Origin::CommandLine("--config".into()),
            path: Path::default(),
            message: message.to_owned(),
            suggestion: None,
        };
        Self { problems: vec![problem], left_out: 0 }
    }

    /// Adds one problem; beyond the limit it is only counted.
    pub(crate) fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Takes over another report's problems.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.left_out += other.left_out;
        for problem in other.problems {
            self.add(problem);
        }
    }

    /// Sorts by place, so that the report reads as the file does.
    pub(crate) fn sort(&mut self) {
        self.problems.sort_by(|a, b| a.origin.cmp(&b.origin));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// What is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl std::error::Error for Report {}

/// The one of `known` that was probably meant by `typed`.
pub(crate) fn closest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    if typed.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|name| (distance(&typed, &name.to_ascii_lowercase().replace('-', "_")), name))
        .filter(|(distance, name)| *distance <= (name.len().max(typed.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean ..?`, or the whole list when nothing is near and the list is short enough to read.
pub(crate) fn did_you_mean(typed: &str, known: &[&str]) -> Option<String> {
    match closest(typed, known.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() || known.len() > 40 => None,
        None => Some(format!("known: {}", known.join(", "))),
    }
}

/// Text from outside made fit for one line of a report: short, and without control characters.
pub(crate) fn quoted(typed: &str) -> String {
    let mut shown: String = typed.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect();
    if typed.chars().nth(40).is_some() {
        shown.push_str("..");
    }
    format!("`{shown}`")
}

/// Edits (insert, delete, replace, swap of neighbours) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(left != right);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_finds_none() {
        let known = ["listen", "limits", "backends", "queue_max"];
        for (typed, expected) in [
            ("limts", Some("limits")),
            ("backend", Some("backends")),
            ("queue-max", Some("queue_max")),
            ("quuee_max", Some("queue_max")),
            ("LISTEN", Some("listen")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(closest(typed, known), expected, "{typed}");
        }
    }
}
