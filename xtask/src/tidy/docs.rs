//! Checks that what a page points at is there: links between pages, and the proof of each promise; never a web address.

use super::{Finding, Tree};
use crate::prove::{PROMISES, Promise};

/// Reports links that lead nowhere, and promises without a proof.
pub(crate) fn inspect(tree: &Tree, path: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for target in links(line) {
            if let Some(says) = dangling(tree, path, target) {
                findings.push(Finding::new(path, index + 1, "link", says));
            }
        }
        if let Some(promise) = Promise::read(line).filter(|_| path == PROMISES) {
            findings
                .extend(unproved(tree, &promise).map(|says| Finding::new(path, index + 1, "promise", says)));
        }
    }
}

/// The targets of `[text](target)` in one line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

fn dangling(tree: &Tree, path: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let place = if file.is_empty() { path.to_owned() } else { resolve(folder, file) };
    if !tree.holds(&place) {
        return Some(format!("{target} points at {place}, which is not there"));
    }
    let missing = !anchor.is_empty()
        && place.ends_with(".md")
        && !tree.text(&place).unwrap_or_default().lines().any(|l| l.starts_with('#') && slug(l) == anchor);
    missing.then(|| format!("{place} has no heading #{anchor}"))
}

fn resolve(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = if file.starts_with('/') { vec![] } else { folder.split('/').collect() };
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

/// How a heading is addressed on the usual code hosts.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars();
    let kept = kept.filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Each proof must name a test, in a file that holds it, and the long form must know how long it is.
fn unproved(tree: &Tree, promise: &Promise<'_>) -> Option<String> {
    let number = promise.number;
    if promise.proofs.is_empty() || promise.rounds.is_none() {
        return Some(format!(
            "{number} must name its proofs as `path::test`, and the rounds of the long form"
        ));
    }
    promise.proofs.iter().find_map(|(file, test)| match tree.text(file) {
        None => Some(format!("{number}: {file} is not there")),
        Some(text) if !text.contains(&function(test)) => {
            Some(format!("{number}: {file} has no test named {test}"))
        }
        Some(_) => None,
    })
}

/// How a test begins in its file: `name`, or `prefix_*` for all that begin so.
fn function(test: &str) -> String {
    match test.strip_suffix('*') {
        Some(prefix) => format!("fn {prefix}"),
        None => format!("fn {test}("),
    }
}
