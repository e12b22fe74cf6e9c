//! Any values of the variables that are read: none panics, no problem or notice shows a secret, and what is in force hides it.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use control::config::{Inputs, Overrides, Surroundings, load};
use control_fuzz::{CANARY, check_report};
use libfuzzer_sys::fuzz_target;

/// Variables with a grammar of their own, of ours and of the gateways that came before.
const NAMES: &[&str] = &[
    "LOCKGATE_LIMITS_QUEUE_TIMEOUT",
    "LOCKGATE_LIMITS_MAX_IN_FLIGHT",
    "LOCKGATE_LIMITS_QUEUE_POLICY",
    "LOCKGATE_DEADLINES_FIRST_EVENT",
    "LOCKGATE_COOLDOWN_BASE",
    "LOCKGATE_DATA_DIR",
    "LOCKGATE_PORT",
    "SIDECAR_UPSTREAM",
    "SIDECAR_RATE_RPM",
    "SIDECAR_TIMEOUT",
    "SIDECAR_HOST",
    "SIDECAR_PORT",
    "SIDECAR_DB_PATH",
    "GATEWAY_QUEUE_TIMEOUT_SEC",
    "GATEWAY_OPENAI_COMPACT_NONSTREAM_KEEPALIVE_INTERVAL",
    "LINGMA_BIN",
    "LINGMA_INSTANCE_COUNT",
    "LINGMA_STARTUP_TIMEOUT",
    "LINGMA_ACCOUNTS",
    "LINGMA_USERNAME",
    "DEDICATED_DOMAIN_URL",
    "AUTO_LOGIN_ENABLED",
    "API_KEYS",
    "LOG_LEVEL",
];

fn read_secret(_: &Path) -> io::Result<String> {
    Ok(CANARY.to_owned())
}

fuzz_target!(|input: &str| {
    if input.contains(CANARY) {
        // The fuzzer reads our comparisons and writes the canary as a name, which is shown.
        return;
    }
    let mut variables: BTreeMap<String, String> = ["SIDECAR_API_KEY", "LINGMA_PASSWORD", "OPENAI_API_KEY", "METRICS_TOKEN"]
        .map(|name| (name.to_owned(), CANARY.to_owned()))
        .into();
    for line in input.split('\0') {
        let mut letters = line.chars();
        let Some(choice) = letters.next() else { continue };
        let name = NAMES[choice as usize % NAMES.len()];
        let mut value = letters.as_str().to_owned();
        if name == "LINGMA_ACCOUNTS" {
            // Behind its first colon an entry is a password.
            value.push(':');
            value.push_str(CANARY);
        }
        variables.insert(name.to_owned(), value);
    }
    let outcome = load(&Inputs {
        file: None,
        overrides: &Overrides::default(),
        surroundings: Surroundings { variables: &variables, read_file: &read_secret },
        stored: &[],
    });
    match outcome {
        Err(report) => check_report(&report),
        Ok(loaded) => {
            let shown = format!("{loaded:?} {:?} {:?}", loaded.effective(), loaded.notices);
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
});
