//! Names the words that may stand in no file, whatever its language; never judges Rust code, which `rust` does.

use super::Finding;

/// Words that may not be written, by rule, and why. They are put together so that this file passes its own rules.
const BANNED: &[(&str, &str, &[&str])] = &[
    (
        "registry-host",
        "package registries are named by their clients, not by us",
        &[
            concat!("registry.npmjs", ".org"),
            concat!("index.crates", ".io"),
            concat!("static.crates", ".io"),
            concat!("pypi", ".org"),
            concat!("files.python", "hosted.org"),
            concat!("deb.debian", ".org"),
        ],
    ),
    (
        "local-path",
        "a path of one machine means nothing on another",
        &[concat!("/tmp", "/lg"), concat!("/work", "/"), concat!("/root", "/.")],
    ),
    (
        "provenance",
        "the tree says what it is, not how it was made",
        &[
            concat!("AI", "-generated"),
            concat!("sub", "agent"),
            concat!("contract", ".md"),
            concat!("the first mile", "stone"),
        ],
    ),
];

/// Written by tools, or the licence's own text.
const NOT_OURS: &[&str] = &["Cargo.lock", "package-lock.json", "LICENSE"];
/// Where others' files lie as they came.
const VENDORED: &str = "/vendor/";

/// Reports each banned word, and each to-do note that nobody can look up.
pub(crate) fn inspect(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if path.contains(VENDORED) || NOT_OURS.iter().any(|name| path.ends_with(name)) {
        return;
    }
    for (index, line) in text.lines().enumerate() {
        for (rule, why, words) in BANNED {
            for word in words.iter().filter(|word| line.contains(**word)) {
                findings.push(Finding::new(path, index + 1, rule, format!("{word:?}: {why}")));
            }
        }
        if let Some(says) = loose_end(line) {
            findings.push(Finding::new(path, index + 1, "todo", says));
        }
    }
}

/// A note for later must carry a number under which it can be found: `TODO(#12)`. Quoted in backticks it is a word.
fn loose_end(line: &str) -> Option<String> {
    for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
        for (at, _) in line.match_indices(word) {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "`_\"'".contains(c));
            let numbered = line[at + word.len()..].strip_prefix("(#").is_some_and(|n| {
                n.split_once(')').is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            });
            if !inside(before) && !inside(after) && !numbered {
                return Some(format!("{word} without a number: write {word}(#12), or do it"));
            }
        }
    }
    None
}
