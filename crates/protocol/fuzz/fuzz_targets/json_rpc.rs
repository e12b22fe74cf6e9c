//! Frames are found however they are cut, never beyond the limit, and no message harms the reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::json_rpc::{FrameError, Unframer, read};

const BYTES_MAX: usize = 300;

fn unframed(bytes: &[u8], size: usize) -> Result<Vec<String>, (Vec<String>, FrameError)> {
    let mut unframer = Unframer::new(BYTES_MAX);
    let mut found = Vec::new();
    for chunk in bytes.chunks(size) {
        unframer.push(chunk);
        loop {
            match unframer.next_message() {
                Ok(Some(message)) => found.push(message.to_owned()),
                Ok(None) => break,
                Err(error) => return Err((found, error)),
            }
        }
    }
    Ok(found)
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, bytes)) = input.split_first() else { return };
    let whole = unframed(bytes, bytes.len().max(1));
    let cut = unframed(bytes, usize::from(size) + 1);
    let messages = |result: &Result<Vec<String>, (Vec<String>, FrameError)>| match result {
        Ok(found) | Err((found, _)) => found.clone(),
    };
    assert_eq!(messages(&whole), messages(&cut));
    assert_eq!(whole.is_ok(), cut.is_ok());
    for message in messages(&whole) {
        assert!(message.len() <= BYTES_MAX);
        let _ = read(&message);
    }
});
