//! Frames one journal line and finds whole lines again in bytes that a crash may have torn; it never
//! interprets what a line says and never touches a file.
//!
//! ```text
//! 0xFE | crc32c (u32 LE) | length (u24 LE) | payload | '\n'
//! ```
//! The checksum covers the length and the payload. The first byte never occurs in UTF-8: the next line behind a
//! damaged region is found by it, and no text that a caller sends can pose as a line.

use std::ops::Range;

/// The first byte of every line.
const MARK: u8 = 0xFE;
/// Bytes in front of the payload.
pub const HEADER_BYTES: usize = 8;
/// The longest line, header and line end included. Longer entries are refused when written.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// What a line needs besides its payload.
const FRAME_BYTES: usize = HEADER_BYTES + 1;

/// The entry does not fit into one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTooLong;

/// Starts a line in `line`: whatever is appended next is its payload.
pub fn begin(line: &mut Vec<u8>) {
    line.clear();
    line.extend_from_slice(&[0; HEADER_BYTES]);
}

/// Ends the line that [`begin`] started.
pub fn finish(line: &mut Vec<u8>) -> Result<(), LineTooLong> {
    let payload = line.len().checked_sub(HEADER_BYTES).ok_or(LineTooLong)?;
    if line.len() >= LINE_BYTES_MAX {
        return Err(LineTooLong);
    }
    let length = u32::try_from(payload).map_err(|_| LineTooLong)?.to_le_bytes();
    let Some(covered) = line.get_mut(5..) else { return Err(LineTooLong) };
    covered[..3].copy_from_slice(&length[..3]);
    let sum = crc32c::crc32c(covered).to_le_bytes();
    line[0] = MARK;
    line[1..5].copy_from_slice(&sum);
    line.push(b'\n');
    Ok(())
}

/// What [`Lines`] finds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole line whose checksum holds.
    Line {
        /// What was written.
        payload: &'a [u8],
        /// Where the line lies, frame included.
        span: Range<usize>,
    },
    /// Bytes that are no line, up to the next whole line or the end. At the end of the last segment this is
    /// the torn tail of a crash, anywhere else it is damage.
    Damage(Range<usize>),
}

/// Walks the lines in `bytes`. Zeros to the end (room that was prepared and not used) end the walk silently.
///
/// The spans follow one another without overlap; no byte outside of zeros at the end is passed over silently.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// A walk over `bytes`, which start where a line may start.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn line_at(&self, at: usize) -> Option<Found<'a>> {
        let rest = self.bytes.get(at..)?;
        let (header, _) = rest.split_first_chunk::<HEADER_BYTES>()?;
        let [MARK, c0, c1, c2, c3, l0, l1, l2] = *header else { return None };
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, 0])).ok()?;
        if length + FRAME_BYTES > LINE_BYTES_MAX {
            return None;
        }
        let end = HEADER_BYTES + length;
        if *rest.get(end)? != b'\n'
            || crc32c::crc32c(rest.get(5..end)?) != u32::from_le_bytes([c0, c1, c2, c3])
        {
            return None;
        }
        Some(Found::Line { payload: rest.get(HEADER_BYTES..end)?, span: at..at + end + 1 })
    }

    fn next_line_after(&self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at..)?;
        memchr::memchr_iter(MARK, rest).map(|mark| at + mark).find(|start| self.line_at(*start).is_some())
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let rest = self.bytes.get(self.at..)?;
        if rest.is_empty() {
            return None;
        }
        if let Some(found) = self.line_at(self.at) {
            if let Found::Line { span, .. } = &found {
                self.at = span.end;
            }
            return Some(found);
        }
        let start = self.at;
        let next = self.next_line_after(start);
        if next.is_none() && rest.iter().all(|byte| *byte == 0) {
            self.at = self.bytes.len();
            return None;
        }
        self.at = next.unwrap_or(self.bytes.len());
        Some(Found::Damage(start..self.at))
    }
}

/// Where the last whole line ends, and how many whole lines there are.
#[must_use]
pub fn extent(bytes: &[u8]) -> (usize, u64) {
    Lines::new(bytes).fold((0, 0), |(end, count), found| match found {
        Found::Line { span, .. } => (span.end, count + 1),
        Found::Damage(_) => (end, count),
    })
}
