//! Feeds arbitrary bytes to what reads a journal after a crash, and holds it to what it promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::journal::entry::{decode, encode};
use store::journal::line::{self, Found, Lines};

fuzz_target!(|data: &[u8]| {
    walk(data);
    read_entry(data);
    let Some((choice, texts)) = data.split_first_chunk::<4>() else { return };
    damage_one_line(u32::from_le_bytes(*choice), texts);
});

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    line::begin(&mut line);
    line.extend_from_slice(payload);
    line::finish(&mut line).expect("inputs are shorter than a line may be");
    line
}

/// No byte is passed over, and what is called a line is one.
fn walk(bytes: &[u8]) {
    let mut at = 0;
    for found in Lines::new(bytes) {
        let span = match found {
            Found::Line { payload, span } => {
                assert_eq!(&bytes[span.clone()], framed(payload), "a line is what would be written");
                span
            }
            Found::Damage(span) => span,
        };
        assert_eq!(span.start, at, "no gap and no overlap");
        assert!(span.end > at, "always forward");
        at = span.end;
    }
    assert!(bytes[at..].iter().all(|byte| *byte == 0), "only unused room is silent");
    assert!(line::extent(bytes).0 <= bytes.len());
}

/// What is taken for an entry is exactly what would be written for it.
fn read_entry(payload: &[u8]) {
    if let Some(entry) = decode(payload) {
        let mut again = Vec::new();
        encode(&entry, &mut again);
        assert_eq!(again, payload);
    }
}

/// One damaged byte costs the line it is in and no other; a torn end costs the last line only.
fn damage_one_line(choice: u32, texts: &[u8]) {
    // Text never holds the byte that lines begin with.
    let payloads: Vec<Vec<u8>> = texts
        .split(|byte| *byte == b'\n')
        .map(|text| text.iter().map(|byte| byte & 0x7F).collect())
        .collect();
    let lines: Vec<Vec<u8>> = payloads.iter().map(|payload| framed(payload)).collect();
    let whole = lines.concat();
    let found = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let payload = |found| match found {
            Found::Line { payload, .. } => Some(payload.to_vec()),
            Found::Damage(_) => None,
        };
        Lines::new(bytes).filter_map(payload).collect()
    };
    assert_eq!(found(&whole), payloads);
    let at = (choice >> 8) as usize % whole.len();
    let mut end = 0;
    let hit = lines.iter().position(|line| {
        end += line.len();
        at < end
    });
    let hit = hit.expect("inside one of the lines");
    assert_eq!(found(&whole[..at]), payloads[..hit], "torn at {at}");
    let mut damaged = whole;
    damaged[at] ^= (choice & 0xFF) as u8 | 1;
    let mut rest = payloads;
    rest.remove(hit);
    assert_eq!(found(&damaged), rest, "damaged at {at}");
}
