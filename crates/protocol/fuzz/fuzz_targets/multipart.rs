//! What is known of a form's field does not change when more of the form arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::multipart::{Found, boundary, field};

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else { return };
    let (content_type, form) = rest.split_at(rest.len().min(usize::from(cut)));
    let named = boundary(content_type).unwrap_or("X");
    assert!(!named.is_empty() && named.len() <= 70);
    let whole = field(form, named, "model");
    for end in 0..form.len() {
        match field(&form[..end], named, "model") {
            Found::NeedMore => {}
            known => assert_eq!(known, whole, "after {end} bytes"),
        }
    }
});
