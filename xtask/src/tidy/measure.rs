//! Holds sizes against their limits and the exception list, which can only shrink; never measures anything itself.

use std::collections::BTreeMap;

use super::{Finding, Tree};

/// Where the exceptions are kept: `[rule]` tables of `"path[::function]" = size`.
pub(crate) const EXCEPTIONS: &str = "xtask/tidy.toml";

/// A rule with a number in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) rule: &'static str,
    pub(crate) max: usize,
    pub(crate) what: &'static str,
}

/// One thing measured under one limit.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) limit: Limit,
    /// Path, with `::function` where one is meant.
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) size: usize,
}

type Exceptions = BTreeMap<String, BTreeMap<String, usize>>;

/// Reports what is over its limit without a matching exception, and every exception that is too wide or not needed.
pub(crate) fn ratchet(tree: &Tree, measures: Vec<Measure>, findings: &mut Vec<Finding>) {
    let mut exceptions: Exceptions = match toml::from_str(tree.text(EXCEPTIONS).unwrap_or_default()) {
        Ok(exceptions) => exceptions,
        Err(e) => return findings.push(Finding::new(EXCEPTIONS, 0, "exceptions", e.to_string())),
    };
    for measure in measures {
        let Limit { rule, max, what } = measure.limit;
        if measure.size <= max {
            continue;
        }
        let allowed = exceptions.get_mut(rule).and_then(|table| table.remove(&measure.key));
        let path = measure.key.split("::").next().unwrap_or_default();
        let says = match allowed {
            Some(size) if size == measure.size => continue,
            Some(size) if size > measure.size => {
                format!("shrank from {size} to {}: lower its number in {EXCEPTIONS}", measure.size)
            }
            _ => format!("{}: {} {what}, {max} allowed", measure.key, measure.size),
        };
        findings.push(Finding::new(path, measure.line, rule, says));
    }
    for (rule, table) in exceptions {
        for key in table.into_keys() {
            let says = format!("[{rule}] {key:?} is no longer over its limit: remove the exception");
            findings.push(Finding::new(EXCEPTIONS, 0, "exceptions", says));
        }
    }
}
