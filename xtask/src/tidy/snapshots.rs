//! Finds recorded answers that no test reads any more; never compares their content.

use super::{Finding, Tree};

/// Reports orphaned `.snap` files, new ones nobody reviewed, and goldens whose folder no test names.
pub(crate) fn inspect(tree: &Tree, findings: &mut Vec<Finding>) {
    for path in tree.paths() {
        let says = if path.ends_with(".snap.new") {
            Some("a snapshot waits for review: accept or delete it".to_owned())
        } else if path.ends_with(".snap") {
            orphan_snapshot(tree, path)
        } else if path.contains("/tests/golden/") {
            orphan_golden(tree, path)
        } else {
            None
        };
        findings.extend(says.map(|says| Finding::new(path, 0, "orphan", says)));
    }
}

/// A snapshot names its source in its head, and itself after the last `__` of its file name; `@case` is an input's name.
fn orphan_snapshot(tree: &Tree, path: &str) -> Option<String> {
    let text = tree.text(path)?;
    let source = text.lines().find_map(|line| line.strip_prefix("source: "))?.trim().trim_matches('"');
    let Some(code) = tree.text(source) else {
        return Some(format!("its source {source} is gone"));
    };
    let stem = path.rsplit('/').next()?.strip_suffix(".snap")?;
    let (stem, case) = stem.split_once('@').unwrap_or((stem, ""));
    let name = stem.rsplit("__").next()?;
    let unnumbered = name.rsplit_once('-').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
    let name = unnumbered.map_or(name, |(name, _)| name);
    if !code.contains(name) {
        return Some(format!("{source} makes no snapshot named {name}"));
    }
    let input = case.split('.').next().unwrap_or_default();
    let fed = input.is_empty()
        || code.contains(input)
        || tree.paths().any(|p| !p.ends_with(".snap") && p.contains(input));
    (!fed).then(|| format!("no input named {input} feeds it"))
}

/// A golden is read by a test of its own crate: by its name, its stem, or a walk over its folder.
fn orphan_golden(tree: &Tree, path: &str) -> Option<String> {
    let (krate, rest) = path.split_once("/tests/golden/")?;
    let folder = rest.split('/').next()?;
    let stem = rest.rsplit('/').next()?.split('.').next()?;
    let code = tree.texts().filter(|(p, _)| p.starts_with(krate) && p.ends_with(".rs"));
    let read = code
        .into_iter()
        .any(|(_, text)| text.contains("golden") && (text.contains(folder) || text.contains(stem)));
    (!read).then(|| format!("no test of {krate} reads golden/{folder} or names {stem}"))
}
