//! Any text as a configuration: it never panics, every problem has a place and fits a line, and no secret shows.

#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use control::config::{FileText, Inputs, Origin, Overrides, Surroundings, load};
use libfuzzer_sys::fuzz_target;

/// What the environment and every secret file hold; it must never be shown.
const CANARY: &str = "sk-canary-7f3a9b2c4d5e6f7a8b9c";

fn read_secret(_: &Path) -> io::Result<String> {
    Ok(CANARY.to_owned())
}

fuzz_target!(|input: (u8, &str)| {
    let (format, text) = input;
    if text.contains(CANARY) {
        // The fuzzer reads our comparisons and writes the canary as a name, which is shown.
        return;
    }
    let name = ["lockgate.yaml", "lockgate.toml", "lockgate.json"][usize::from(format % 3)];
    let variables = BTreeMap::from([("KEY".to_owned(), CANARY.to_owned())]);
    let overrides = Overrides::default();
    let outcome = load(&Inputs {
        file: Some(FileText { name, text }),
        overrides: &overrides,
        surroundings: Surroundings { variables: &variables, read_file: &read_secret },
        stored: &[],
    });
    match outcome {
        Err(report) => {
            assert!(!report.is_empty(), "refused without a reason");
            for problem in report.problems() {
                match &problem.origin {
                    // The TOML parser gives no place for text nested too deeply for it.
                    Origin::File { line: 0, .. } => assert!(format % 3 == 1 && problem.path.is_root(), "{problem}"),
                    Origin::File { line, column, .. } => assert!(*line > 0 && *column > 0, "{problem}"),
                    other => assert_eq!(*other, Origin::Default, "{problem}"),
                }
                let shown = problem.to_string();
                assert!(!shown.chars().any(char::is_control), "{shown:?}");
                assert!(!shown.contains(CANARY), "{shown}");
            }
        }
        Ok(loaded) => {
            let shown = format!("{loaded:?} {:?} {:?}", loaded.effective(), loaded.notices);
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
});
