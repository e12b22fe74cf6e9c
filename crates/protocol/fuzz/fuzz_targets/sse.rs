//! A framer neither loses nor adds a byte, holds no more than it may, and reads the same events however they are cut.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::sse::{Event, EventTooLarge, Framer};

const BYTES_MAX: usize = 500;

fn frames(text: &[u8], size: usize) -> Result<(Vec<Vec<u8>>, Vec<u8>), EventTooLarge> {
    let mut framer = Framer::new(BYTES_MAX);
    let mut events = Vec::new();
    for chunk in text.chunks(size) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        events.extend(framer.resume(&mut chunk)?.map(|event| event.to_vec()));
        while !chunk.is_empty() {
            let Some(length) = framer.next_len(&chunk)? else { break };
            events.push(chunk.split_to(length).to_vec());
        }
    }
    Ok((events, framer.take_rest().to_vec()))
}

/// The name and data of each event that has any.
fn meaning(events: &[Vec<u8>]) -> Vec<(Option<Vec<u8>>, Option<Vec<u8>>)> {
    let read = events.iter().map(|event| Event::read(event));
    let read = read.map(|event| (event.name.map(<[u8]>::to_vec), event.data.map(|data| data.to_vec())));
    read.filter(|event| *event != (None, None)).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, text)) = input.split_first() else { return };
    let whole = frames(text, text.len().max(1));
    let cut = frames(text, usize::from(size) + 1);
    // Half a CRLF more or less may make an event one byte too long.
    let (Ok((whole, rest)), Ok((cut, cut_rest))) = (whole, cut) else { return };
    assert_eq!([whole.concat(), rest.clone()].concat(), text);
    assert_eq!([cut.concat(), cut_rest].concat(), text);
    assert!(rest.len() <= BYTES_MAX && whole.iter().all(|event| event.len() <= BYTES_MAX));
    assert_eq!(meaning(&whole), meaning(&cut));
    for event in &whole {
        let read = Event::read(event);
        for at in 0..read.data.as_ref().map_or(0, |data| data.len()) {
            let data = read.data.as_deref().expect("it was counted");
            assert!(data[at] == b'\n' || event[read.place(at)] == data[at]);
        }
    }
});
