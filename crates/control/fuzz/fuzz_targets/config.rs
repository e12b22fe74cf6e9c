//! Any text as a configuration: it never panics, every problem has a place and fits a line, and no secret shows.

#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use control::config::{FileText, Inputs, Origin, Overrides, Surroundings, load};
use control_fuzz::{CANARY, check_report};
use libfuzzer_sys::fuzz_target;

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
            check_report(&report);
            for problem in report.problems() {
                match &problem.origin {
                    // The TOML parser gives no place for text nested too deeply for it.
                    Origin::File { line: 0, .. } => assert!(format % 3 == 1 && problem.path.is_root(), "{problem}"),
                    Origin::File { line, column, .. } => assert!(*line > 0 && *column > 0, "{problem}"),
                    other => assert_eq!(*other, Origin::Default, "{problem}"),
                }
            }
        }
        Ok(loaded) => {
            let shown = format!("{loaded:?} {:?} {:?}", loaded.effective(), loaded.notices);
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
});
