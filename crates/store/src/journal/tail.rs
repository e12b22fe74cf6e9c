//! Reads the journal from where the ledger stands to where writers stand; it never deletes and never reads a
//! line that is still being written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::append::{Core, Position};
use super::line::{Found, LINE_BYTES_MAX, Lines};
use super::segment::{self, SEGMENT_HEADER_BYTES};

/// Read at once; at least two of the longest lines.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What the tail met, in order.
#[derive(Debug)]
pub(crate) enum Met<'a> {
    /// One line's payload and its length in the file.
    Line { payload: &'a [u8], bytes: u64 },
    /// Bytes in the middle of a segment that are no line: what they said is lost.
    Damage { bytes: u64 },
    /// Reading goes on in this segment.
    Segment(u64),
}

/// A reader's place in the journal.
#[derive(Debug)]
pub(crate) struct Tail {
    core: Arc<Core>,
    position: Position,
    file: Option<File>,
    chunk: Vec<u8>,
}

impl Tail {
    /// Starts at the oldest segment that still exists.
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, position: Position::default(), file: None, chunk: Vec::new() }
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Tells `each` what comes next, up to about one chunk. Returns false when nothing was left to read.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Position, Met<'_>)) -> io::Result<bool> {
        let end = self.core.end();
        let Some(limit) = self.find_segment(end, &mut each)? else { return Ok(false) };
        let room = usize::try_from(limit - self.position.offset).unwrap_or(usize::MAX);
        let wanted = room.min(CHUNK_BYTES);
        self.chunk.resize(wanted, 0);
        let Some(file) = &self.file else { return Ok(false) };
        file.read_exact_at(&mut self.chunk, self.position.offset)?;
        // Where more follows, a line may be cut by the end of the chunk: it is read again as the next chunk's first.
        let settled = if wanted < room { wanted - LINE_BYTES_MAX } else { wanted };
        let start = self.position.offset;
        for found in Lines::new(&self.chunk) {
            let (span, met) = match found {
                Found::Line { payload, span } => {
                    let bytes = span.len() as u64;
                    (span, Met::Line { payload, bytes })
                }
                Found::Damage(span) if span.end <= settled || wanted == room => {
                    let bytes = span.len() as u64;
                    (span, Met::Damage { bytes })
                }
                Found::Damage(span) => {
                    let bytes = settled.saturating_sub(span.start) as u64;
                    self.position.offset = start + span.start as u64 + bytes;
                    if bytes > 0 {
                        each(self.position, Met::Damage { bytes });
                    }
                    return Ok(true);
                }
            };
            self.position.offset = start + span.end as u64;
            each(self.position, met);
        }
        if wanted == room {
            self.position.offset = limit;
        }
        Ok(true)
    }

    /// Moves to the next segment when this one is used up. Returns where reading must stop in the one it is at.
    fn find_segment(
        &mut self,
        end: Position,
        each: &mut impl FnMut(Position, Met<'_>),
    ) -> io::Result<Option<u64>> {
        loop {
            if let Some(file) = &self.file {
                let limit =
                    if self.position.segment == end.segment { end.offset } else { file.metadata()?.len() };
                if self.position.offset < limit {
                    return Ok(Some(limit));
                }
                if self.position.segment >= end.segment {
                    return Ok(None);
                }
            }
            let next = segment::list(&self.core.dir)?
                .into_iter()
                .find(|sequence| *sequence > self.position.segment && *sequence <= end.segment);
            let Some(next) = next else { return Ok(None) };
            self.file = Some(segment::open(&self.core.dir, next)?);
            self.position = Position { segment: next, offset: SEGMENT_HEADER_BYTES };
            each(self.position, Met::Segment(next));
        }
    }
}
