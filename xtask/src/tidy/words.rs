//! Names the words that may stand in no file, whatever its language; never judges Rust code, which `rust` does.

use super::Finding;

/// A word that may not be written, and why. They are put together so that this file passes its own rule.
const BANNED: &[(&str, &str, &str)] = &[
    (
        "registry-host",
        concat!("registry.npmjs", ".org"),
        "package registries are named by their clients, not by us",
    ),
    (
        "registry-host",
        concat!("index.crates", ".io"),
        "package registries are named by their clients, not by us",
    ),
    (
        "registry-host",
        concat!("static.crates", ".io"),
        "package registries are named by their clients, not by us",
    ),
    ("registry-host", concat!("pypi", ".org"), "package registries are named by their clients, not by us"),
    (
        "registry-host",
        concat!("files.python", "hosted.org"),
        "package registries are named by their clients, not by us",
    ),
    (
        "registry-host",
        concat!("deb.debian", ".org"),
        "package registries are named by their clients, not by us",
    ),
    ("local-path", concat!("/tmp", "/lg"), "a path of one machine means nothing on another"),
    ("local-path", concat!("/work", "/"), "a path of one machine means nothing on another"),
    ("local-path", concat!("/root", "/."), "a path of one machine means nothing on another"),
    ("provenance", concat!("AI", "-generated"), "the tree says what it is, not how it was made"),
    ("provenance", concat!("sub", "agent"), "the tree says what it is, not how it was made"),
    ("provenance", concat!("contract", ".md"), "the tree says what it is, not how it was made"),
    ("provenance", concat!("the first mile", "stone"), "the tree says what it is, not how it was made"),
    ("provenance", concat!("placeholder", "\nfn main"), "a file that does nothing has no place"),
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
        for (rule, word, why) in BANNED {
            if line.contains(word) {
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
