//! Says which crate may know which, and why; never looks inside a source file.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Finding, Tree};

/// Every arrow of the house: from, to, and what it is for. A new one is a commit of its own.
const ARROWS: &[(&str, &str, &str)] = &[
    ("policy", "protocol", "needs and usage of an ask are said in protocol's words"),
    (
        "upstream",
        "protocol",
        "a failed call is a protocol::Failure; nothing else of an attempt is known here",
    ),
    ("store", "policy", "receipts, keys and amounts are policy's; the store keeps them and decides nothing"),
    ("store", "protocol", "the usage inside a receipt is protocol's"),
    ("gateway", "protocol", "decodes asks, relays answers, words errors"),
    ("gateway", "policy", "asks who may, where to, at what cost"),
    ("gateway", "upstream", "sends attempts"),
    ("gateway", "store", "writes the journal before and after each attempt"),
    ("control", "policy", "publishes snapshots, shows what the data plane learned"),
    ("control", "store", "reads and edits the directory, reads the ledger"),
    ("server", "protocol", "assembly"),
    ("server", "policy", "assembly"),
    ("server", "upstream", "assembly"),
    ("server", "store", "assembly"),
    ("server", "gateway", "assembly"),
    ("server", "control", "assembly"),
];

/// Crates that serve tests, and whose, in `[dev-dependencies]` only; xtask may use them too.
const FOR_TESTS: &[(&str, &[&str])] = &[
    ("testkit", &["upstream", "gateway", "control", "server", "store"]),
    ("simulator", &["policy", "gateway"]),
    ("fake-lingma", &[]),
];

/// Outside crates that only some may name, and why. An empty list means nobody.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["store"], "SQL is spoken under store only"),
    ("sqlx", &[], "one SQLite in one binary, and that is rusqlite's"),
    ("redis", &["store"], "network stores are reached under store only"),
    ("tokio-postgres", &["store"], "SQL is spoken under store only"),
    ("hyper-rustls", &[], "one HTTP stack: hyper under upstream"),
    ("rustls-native-certs", &["upstream"], "HTTP clients live under upstream"),
    ("webpki-roots", &["upstream"], "HTTP clients live under upstream"),
    (
        "tokio-tungstenite",
        &["upstream", "fake-lingma"],
        "sockets to local processes are opened under upstream",
    ),
    ("reqwest", &[], "one HTTP stack: hyper under upstream"),
    ("ureq", &[], "one HTTP stack: hyper under upstream"),
    ("axum", &["control", "server"], "the data plane's path is one function, not a router"),
    ("genai-prices", &["control"], "the built-in price table enters through control's settings"),
    ("rust-embed", &["control"], "pages are the control plane's"),
    ("anyhow", &["server", "xtask", "fake-lingma"], "libraries name their errors"),
    ("insta", &["dev"], "tests only"),
    ("allocation-counter", &["dev"], "replaces the allocator: tests only"),
    ("proptest", &["dev"], "tests only"),
    ("shuttle", &["dev"], "tests only"),
];

/// The pure crates may not even link these.
const IMPURE: &[&str] = &["tokio", "hyper", "hyper-util", "tracing", "rustix", "reqwest", "futures-util"];
const PURE: &[&str] = &["protocol", "policy"];

/// Reports arrows that are not in the table, and table rows that no manifest uses.
pub(crate) fn inspect(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifests: BTreeMap<&str, (&str, Table)> = tree
        .texts()
        .filter(|(path, _)| path.ends_with("/Cargo.toml") && !path.contains("/fuzz/"))
        .filter_map(|(path, text)| {
            let name = path.strip_suffix("/Cargo.toml")?.rsplit('/').next()?;
            match text.parse::<Table>() {
                Ok(manifest) => Some((name, (path, manifest))),
                Err(e) => {
                    findings.push(Finding::new(path, 0, "arrow", e.to_string()));
                    None
                }
            }
        })
        .collect();
    for (name, (path, manifest)) in &manifests {
        for (kind, outside) in dependencies(manifest) {
            let judged = if manifests.contains_key(outside) {
                inner(name, kind, outside)
            } else {
                outer(name, kind, outside)
            };
            findings
                .extend(judged.map(|says| Finding::new(path, line_of(tree, path, outside), "arrow", says)));
        }
    }
    for (from, to, _) in ARROWS {
        let Some((path, manifest)) = manifests.get(from) else { continue };
        if !dependencies(manifest).any(|(kind, name)| kind == "dependencies" && name == *to) {
            let says = format!("{from} -> {to} is allowed but not used: take it out of the table of arrows");
            findings.push(Finding::new(path, 0, "arrow", says));
        }
    }
    findings
}

fn dependencies(manifest: &Table) -> impl Iterator<Item = (&'static str, &str)> {
    ["dependencies", "dev-dependencies", "build-dependencies"].into_iter().flat_map(|kind| {
        let table = manifest.get(kind).and_then(Value::as_table);
        table.into_iter().flat_map(move |t| t.keys().map(move |name| (kind, name.as_str())))
    })
}

/// An arrow between two rooms of the house.
fn inner(from: &str, kind: &str, to: &str) -> Option<String> {
    if let Some((_, whose)) = FOR_TESTS.iter().find(|(name, _)| *name == to) {
        let fits = from == "xtask" || (kind == "dev-dependencies" && whose.contains(&from));
        return (!fits).then(|| format!("{from} -> {to}: it serves the tests of {} only", whose.join(", ")));
    }
    // Tests may make values of the pure crates, whatever the crate itself may see.
    let in_tests = kind == "dev-dependencies" && PURE.contains(&to);
    let known = in_tests || is_tool(from) || ARROWS.iter().any(|(a, b, _)| *a == from && *b == to);
    (!known).then(|| format!("{from} -> {to}: no such arrow in the house; see ARCHITECTURE.md"))
}

/// An arrow out of the house.
fn outer(from: &str, kind: &str, to: &str) -> Option<String> {
    if PURE.contains(&from) && kind == "dependencies" && IMPURE.contains(&to) {
        return Some(format!("{from} is pure: it does no IO and reads no clock, so it cannot use {to}"));
    }
    let (_, under, why) = RESERVED.iter().find(|(name, ..)| *name == to)?;
    let in_tests = under.contains(&"dev") && (kind == "dev-dependencies" || is_tool(from));
    let fits = under.contains(&from) || in_tests || (from == "testkit" && !under.is_empty());
    (!fits).then(|| format!("{from} -> {to}: {why}"))
}

fn is_tool(krate: &str) -> bool {
    krate == "xtask" || FOR_TESTS.iter().any(|(name, _)| *name == krate)
}

fn line_of(tree: &Tree, path: &str, name: &str) -> usize {
    let text = tree.text(path).unwrap_or_default();
    text.lines().position(|line| line.starts_with(name)).map_or(0, |index| index + 1)
}
