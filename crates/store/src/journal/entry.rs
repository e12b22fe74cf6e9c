//! Writes an entry as the payload of one line and reads it back; it never decides what an entry means.
//!
//! A compact form of our own: written as JSON, the two lines of a request cost three times the processor time
//! and four times the bytes. Numbers are varints (money zigzag), texts carry their length, and nothing is named:
//! the first byte says which form it is, and a form is never changed once released, only followed by another.

mod read;
#[cfg(test)]
mod tests;
mod write;

use policy::{Amount, Bound, Entry, Progress, Reasoned};

use read::In;
use write::Out;

/// The first form, in which no usage and no price knows of pictures. What has none is still written in it.
const FORM: u8 = 1;
/// The same with pictures: their number behind each usage, what one costs in each price.
const FORM_WITH_IMAGES: u8 = 2;
const OPENED: u8 = 1;
const PROGRESS: u8 = 2;
const CLOSED: u8 = 3;
const SETTLED: u8 = 4;
const BOUND: u8 = 5;
const REASONED: u8 = 6;

/// Appends the entry to `out`.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let form = form_of(entry);
    let mut out = Out { bytes: out, has_images: form == FORM_WITH_IMAGES };
    out.byte(form);
    match entry {
        Entry::Opened(opened) => {
            out.byte(OPENED);
            out.opened(opened);
        }
        Entry::Progress(Progress { attempt, at, usage }) => {
            out.byte(PROGRESS);
            out.attempt(*attempt);
            out.time(*at);
            out.usage(usage);
        }
        Entry::Closed(closed) => {
            out.byte(CLOSED);
            out.closed(closed);
        }
        Entry::Settled { last, receipt } => {
            out.byte(SETTLED);
            out.byte(last.is_some());
            if let Some(last) = last {
                out.closed(last);
            }
            out.receipt(receipt);
        }
        Entry::Bound(Bound { id, backend, at }) => {
            out.byte(BOUND);
            out.text(id);
            out.text(backend);
            out.time(*at);
        }
        Entry::Reasoned(Reasoned { ticket, text }) => {
            out.byte(REASONED);
            out.ticket(*ticket);
            out.text(text);
        }
    }
}

/// Each entry has one form: what says nothing of pictures has no room for them.
fn form_of(entry: &Entry) -> u8 {
    let has_images = match entry {
        Entry::Opened(opened) => {
            let image = opened.price.as_ref().map_or(Amount::ZERO, |price| price.image);
            opened.estimate.images > 0 || image != Amount::ZERO
        }
        Entry::Progress(progress) => progress.usage.images > 0,
        Entry::Closed(closed) => closed.usage.images > 0,
        Entry::Settled { last, receipt } => {
            receipt.usage.images > 0 || last.as_ref().is_some_and(|last| last.usage.images > 0)
        }
        Entry::Bound(_) | Entry::Reasoned(_) => false,
    };
    if has_images { FORM_WITH_IMAGES } else { FORM }
}

/// Reads an entry if it is a binding, without a look at any other.
pub(crate) fn decode_bound(payload: &[u8]) -> Option<Bound> {
    match payload {
        [FORM, BOUND, ..] => match decode(payload)? {
            Entry::Bound(bound) => Some(bound),
            Entry::Opened(_)
            | Entry::Progress(_)
            | Entry::Closed(_)
            | Entry::Settled { .. }
            | Entry::Reasoned(_) => None,
        },
        _ => None,
    }
}

/// Reads an entry; none when the bytes are not exactly one entry of a form known here.
#[must_use]
pub fn decode(payload: &[u8]) -> Option<Entry> {
    let [form @ (FORM | FORM_WITH_IMAGES), kind, rest @ ..] = payload else { return None };
    let mut bytes = In { rest, has_images: *form == FORM_WITH_IMAGES };
    let entry = match *kind {
        OPENED => Entry::Opened(bytes.opened()?),
        PROGRESS => {
            let (attempt, at, usage) = (bytes.attempt()?, bytes.time()?, bytes.usage()?);
            Entry::Progress(Progress { attempt, at, usage })
        }
        CLOSED => Entry::Closed(bytes.closed()?),
        SETTLED => {
            let last = if bytes.flag()? { Some(bytes.closed()?) } else { None };
            Entry::Settled { last, receipt: bytes.receipt()? }
        }
        BOUND => {
            let (id, backend, at) = (bytes.shared()?, bytes.shared()?, bytes.time()?);
            Entry::Bound(Bound { id, backend, at })
        }
        REASONED => Entry::Reasoned(Reasoned { ticket: bytes.ticket()?, text: bytes.text()?.into() }),
        _ => return None,
    };
    (bytes.rest.is_empty() && form_of(&entry) == *form).then_some(entry)
}
