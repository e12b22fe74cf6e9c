//! Ids, cursors, amounts and other words of queries: what is taken is written as it is read again.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use policy::{Amount, AttemptId, Class, Dialect, Endpoint, Period, TicketId};

/// What was read says the same when it is written and read again.
fn check<T: FromStr + PartialEq>(text: &str, write: impl Fn(&T) -> String) {
    let Ok(read) = text.parse::<T>() else { return };
    let written = write(&read);
    assert!(written.parse::<T>().is_ok_and(|again| again == read), "{text:?} became {written:?}");
}

fn shown<T: Display>(read: &T) -> String {
    read.to_string()
}

fuzz_target!(|text: &str| {
    check::<TicketId>(text, shown);
    check::<AttemptId>(text, shown);
    check::<Amount>(text, shown);
    check::<Dialect>(text, shown);
    check::<Class>(text, |class| class.name().to_owned());
    check::<Endpoint>(text, |endpoint| endpoint.name().to_owned());
    check::<Period>(text, shown);
});
