//! Measures what the live state costs a request.
fn main() {}
