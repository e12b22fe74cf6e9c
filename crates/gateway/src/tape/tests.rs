//! What is kept of a body is its beginning, up to its cap and to the room there is, and what is missing is told.

use store::{Store, StoreOptions};

use super::*;

fn kept(parts: &[&str], bytes_max: usize) -> (String, u64, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), StoreOptions::default()).expect("the store opens");
    let mut room = store.recorder.begin().expect("room");
    let mut side = Side::new(bytes_max);
    match parts {
        [whole] => side.whole(&Bytes::copy_from_slice(whole.as_bytes()), &mut room),
        parts => parts.iter().for_each(|part| side.add(part.as_bytes(), &mut room)),
    }
    let (bytes, is_cut) = (side.bytes, side.is_cut);
    (String::from_utf8(side.into_body().to_vec()).expect("text"), bytes, is_cut)
}

#[test]
fn what_is_kept_of_a_body_is_its_beginning() {
    for (parts, bytes_max, want) in [
        (&["whole"][..], 5, ("whole", 5, false)),
        (&["whole"], 4, ("whol", 5, true)),
        (&["two", "parts"], 8, ("twoparts", 8, false)),
        (&["two", "parts"], 7, ("twopart", 8, true)),
        (&["two", "parts", "", "more"], 3, ("two", 12, true)),
        (&["two", "parts", ""], 8, ("twoparts", 8, false)),
        (&[], 8, ("", 0, false)),
    ] {
        let (text, bytes, is_cut) = want;
        assert_eq!(kept(parts, bytes_max), (text.to_owned(), bytes, is_cut), "{parts:?} up to {bytes_max}");
    }
}

#[test]
fn where_there_is_no_room_a_body_is_cut_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), StoreOptions::default()).expect("the store opens");
    let mut other = store.recorder.begin().expect("room");
    let mut room = store.recorder.begin().expect("room");
    // All but a little.
    assert!((0..64).filter(|_| other.take(1 << 20)).count() < 64, "the rest of all room is taken");
    while other.take(1 << 10) {}
    let large = Bytes::from(vec![b'x'; SHARED_BYTES_MIN]);
    let (mut whole, mut parts) = (Side::new(1 << 20), Side::new(1 << 20));
    whole.whole(&large, &mut room);
    parts.add(&large, &mut room);
    drop(other);
    // After a gap nothing follows.
    parts.add(b"more", &mut room);
    for side in [whole, parts] {
        assert!(side.is_cut && side.bytes >= SHARED_BYTES_MIN as u64);
        assert_eq!(side.into_body(), Bytes::new());
    }
}
