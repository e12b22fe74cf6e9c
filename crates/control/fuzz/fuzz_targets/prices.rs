//! Any text as a file of prices: it never panics, and every problem is one line.
#![no_main]

use control::config::written_prices;
use control_fuzz::{CANARY, check_report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (format, text) = input;
    if text.contains(CANARY) {
        // The fuzzer reads our comparisons and writes the canary as a name, which is shown.
        return;
    }
    let name = ["prices.yaml", "prices.toml", "prices.json"][usize::from(format % 3)];
    match written_prices(name, text) {
        Err(report) => check_report(&report),
        Ok(prices) => assert!(prices.is_null() || prices.is_array() || prices.is_object(), "{prices}"),
    }
});
