//! Decides whether the tree keeps the house rules that neither rustc nor clippy can see; never changes a file.

mod arrows;
mod docs;
mod measure;
mod rust;
mod snapshots;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

pub(crate) use tree::Tree;

/// One broken rule: where, which, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the root of the tree.
    pub(crate) path: String,
    /// Line from 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    /// Stable name of the rule.
    pub(crate) rule: &'static str,
    /// What is wrong, in words a newcomer can act on.
    pub(crate) says: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, says: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, says: says.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.path, self.line, self.rule, self.says)
    }
}

/// Checks the working tree at `root` and prints every finding.
///
/// # Errors
/// When a rule is broken, or the tree cannot be read.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let findings = inspect(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} broken rules in {} files looked at", findings.len(), tree.paths().count());
    }
    println!("tidy: {} files, nothing to say", tree.paths().count());
    Ok(())
}

/// Every broken rule in the tree, in the order of paths.
pub(crate) fn inspect(tree: &Tree) -> Vec<Finding> {
    let mut findings = arrows::inspect(tree);
    let mut measures = Vec::new();
    for (path, text) in tree.texts() {
        words::inspect(path, text, &mut findings);
        if path.ends_with(".rs") {
            measures.extend(rust::inspect(path, text, &mut findings));
        }
        if path.ends_with(".md") {
            docs::inspect(tree, path, text, &mut findings);
        }
    }
    snapshots::inspect(tree, &mut findings);
    measure::ratchet(tree, measures, &mut findings);
    findings.sort();
    findings
}
