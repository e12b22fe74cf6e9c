//! Any text as another gateway's configuration: each setting is reported in one line, what is in clear there is never repeated,
//! and what is written can be read as YAML.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use control::config::{FileText, Inputs, Overrides, Surroundings, load};
use control::import::litellm;
use control_fuzz::{CANARY, check_report};
use libfuzzer_sys::fuzz_target;

/// Where LiteLLM's proxy has its secrets.
const PREFIX: &str = "general_settings: {master_key: sk-canary-7f3a9b2c4d5e6f7a8b9c}\n";

fn read_secret(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fuzz_target!(|text: &str| {
    if text.contains(CANARY) {
        // The fuzzer reads our comparisons and writes the canary as a name, which is shown.
        return;
    }
    let text = format!("{PREFIX}{text}");
    let imported = match litellm("config.yaml", &text) {
        Err(report) => return check_report(&report),
        Ok(imported) => imported,
    };
    assert!(!imported.yaml.contains(CANARY), "{}", imported.yaml);
    for item in &imported.items {
        let shown = format!("{} {} {}", item.at, item.setting, item.note);
        assert!(!shown.contains(CANARY) && !shown.chars().any(char::is_control), "{shown:?}");
    }
    let read = load(&Inputs {
        file: Some(FileText { name: "lockgate.yaml", text: &imported.yaml }),
        overrides: &Overrides::default(),
        surroundings: Surroundings { variables: &BTreeMap::new(), read_file: &read_secret },
        stored: &[],
    });
    // Names and numbers may be beyond what we take, and variables unset: the place of each is told.
    if let Err(report) = read {
        let unreadable = report.problems().iter().find(|problem| problem.path.is_root());
        assert!(unreadable.is_none(), "{unreadable:?}:\n{}", imported.yaml);
    }
});
