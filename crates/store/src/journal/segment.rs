//! Keeps the journal's files: makes them with all their room in advance, lists, cuts and deletes them; it never
//! decides when.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::line;

const MAGIC: &[u8; 7] = b"lgwal\x01\n";
/// Bytes in front of the first line: the magic, the sequence number, a line end.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 16;

/// One file of the journal, with its room already taken from the disk.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) file: Arc<File>,
    /// How large the file was made.
    pub(crate) size: u64,
}

impl Segment {
    /// Makes the file and takes all its room now, so that a full disk shows here and never in a later write.
    pub(crate) fn make(dir: &Path, sequence: u64, size: u64) -> io::Result<Self> {
        let path = path(dir, sequence);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = Self::fill(&file, sequence, size) {
            // A file without its room is worth nothing; if it cannot be removed the next start will.
            drop(std::fs::remove_file(&path));
            return Err(error);
        }
        Ok(Self { sequence, file: Arc::new(file), size })
    }

    fn fill(file: &File, sequence: u64, size: u64) -> io::Result<()> {
        match fallocate(file, FallocateFlags::empty(), 0, size) {
            Ok(()) => {}
            // A file system without fallocate: writing zeros takes the room as well.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, size)?,
            Err(errno) => return Err(errno.into()),
        }
        file.write_all_at(&header(sequence), 0)
    }

    /// Makes the file itself, and its name, survive a loss of power.
    pub(crate) fn settle_on_disk(&self, dir: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        File::open(dir)?.sync_all()
    }
}

fn header(sequence: u64) -> [u8; 16] {
    let mut header = [b'\n'; 16];
    header[..7].copy_from_slice(MAGIC);
    header[7..15].copy_from_slice(&sequence.to_le_bytes());
    header
}

fn write_zeros(file: &File, size: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    let mut at = 0;
    while at < size {
        let rest = usize::try_from(size - at).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        file.write_all_at(&zeros[..rest], at)?;
        at += rest as u64;
    }
    Ok(())
}

fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:08}.wal"))
}

/// The sequence numbers of all segments in `dir`, oldest first.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            found.extend(
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok()),
            );
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What an earlier process left behind in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) sequence: u64,
    /// The file's length, after the torn tail and unused room were cut off.
    pub(crate) size: u64,
    /// Whole lines.
    pub(crate) entries: u64,
    /// Bytes of a torn tail, now gone. They were never acknowledged.
    pub(crate) torn_bytes: u64,
}

/// Cuts an earlier process's segment to its last whole line; deletes it when it holds none.
pub(crate) fn cut(dir: &Path, sequence: u64) -> io::Result<Option<Leftover>> {
    let path = path(dir, sequence);
    let bytes = std::fs::read(&path)?;
    let lines =
        usize::try_from(SEGMENT_HEADER_BYTES).ok().and_then(|start| bytes.get(start..)).unwrap_or(&[]);
    let (end, entries) = line::extent(lines);
    if entries == 0 {
        std::fs::remove_file(&path)?;
        return Ok(None);
    }
    let torn = lines.get(end..).unwrap_or(&[]);
    let torn_bytes = torn.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let size = SEGMENT_HEADER_BYTES + end as u64;
    if size != bytes.len() as u64 {
        OpenOptions::new().write(true).open(&path)?.set_len(size)?;
    }
    Ok(Some(Leftover { sequence, size, entries, torn_bytes }))
}

/// Bytes and number of the whole lines of a segment from `start` on.
pub(crate) fn extent(dir: &Path, sequence: u64, start: u64) -> io::Result<(u64, u64)> {
    let bytes = std::fs::read(path(dir, sequence))?;
    let start = usize::try_from(start.max(SEGMENT_HEADER_BYTES)).unwrap_or(usize::MAX);
    let (end, entries) = line::extent(bytes.get(start..).unwrap_or(&[]));
    Ok((end as u64, entries))
}

/// Opens a segment for reading.
pub(crate) fn open(dir: &Path, sequence: u64) -> io::Result<File> {
    File::open(path(dir, sequence))
}

/// Deletes a segment; one that is gone already is fine. Tells its length.
pub(crate) fn delete(dir: &Path, sequence: u64) -> io::Result<u64> {
    let path = path(dir, sequence);
    let size = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    std::fs::remove_file(&path)?;
    Ok(size)
}
