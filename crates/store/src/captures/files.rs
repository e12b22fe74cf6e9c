//! Keeps captures in files, sealed, one for each in a folder for each day; it never overwrites one, and never leaves half of
//! one under its name.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use policy::{TicketId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{CaptureContent, CapturedAttempt};
use crate::error::StoreError;
use crate::vault::{VaultError, envelope};

/// The time of a ticket stands above its random bits.
const TICKET_TIME_SHIFT: u32 = 80;
const ENDING: &str = "sealed";
/// The ending of a file that is being written.
const UNFINISHED: &str = "part";

/// The folder of all captures.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

/// All of a capture but its bodies, which stand behind it.
#[derive(Serialize, Deserialize)]
struct Preface {
    method: String,
    path: String,
    request_headers: Vec<(String, String)>,
    attempts: Vec<CapturedAttempt>,
    response_headers: Vec<(String, String)>,
    request_body_bytes: usize,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where a capture is: its day, then its name.
    fn place(&self, id: TicketId) -> PathBuf {
        let millis = i64::try_from(id.0 >> TICKET_TIME_SHIFT).unwrap_or(i64::MAX);
        let moment = Timestamp(millis).to_utc();
        let day = moment.split('T').next().unwrap_or_default();
        self.0.join(day).join(format!("{id}.{ENDING}"))
    }

    /// Seals and writes one. Gives what its file takes.
    pub(super) fn write(
        &self,
        id: TicketId,
        content: &CaptureContent,
        key: &[u8; 32],
    ) -> Result<u64, StoreError> {
        let sealed = envelope::encrypt(key, &context(id), &bound(content))?;
        let place = self.place(id);
        let unfinished = place.with_extension(UNFINISHED);
        put(&place, &unfinished, &sealed).map_err(|error| {
            // What cannot be written can often not be removed either; the next start will.
            drop(fs::remove_file(&unfinished));
            StoreError::File { path: place.display().to_string(), error }
        })?;
        Ok(sealed.len() as u64)
    }

    /// Reads and opens one; none where there is no such file.
    pub(super) fn read(&self, id: TicketId, key: &[u8; 32]) -> Result<Option<CaptureContent>, StoreError> {
        let place = self.place(id);
        let sealed = match fs::read(&place) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::File { path: place.display().to_string(), error }),
        };
        let altered = || VaultError::Altered(format!("capture {id}"));
        let plain = envelope::decrypt(key, &context(id), &sealed).ok_or_else(altered)?;
        Ok(Some(unbound(&plain).ok_or_else(altered)?))
    }

    /// Removes files. One that cannot be removed is told of; it has no row any more, so the next start tries again.
    pub(super) fn remove(&self, ids: &[TicketId]) {
        for id in ids {
            let place = self.place(*id);
            match fs::remove_file(&place) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %place.display(), %error, "a capture's file stays for now")
                }
            }
        }
    }

    /// Removes every file that no row speaks of, and what was left half written. Gives those that rows may speak of: files
    /// that are there.
    pub(super) fn sweep(&self, known: &HashSet<TicketId>) -> HashSet<TicketId> {
        let mut there = HashSet::new();
        for day in entries(&self.0) {
            for file in entries(&day) {
                let id = id_of(&file).filter(|id| known.contains(id) && self.place(*id) == file);
                match id {
                    Some(id) => drop(there.insert(id)),
                    None => {
                        if let Err(error) = fs::remove_file(&file) {
                            tracing::warn!(path = %file.display(), %error, "a file that belongs to nothing stays");
                        }
                    }
                }
            }
            // Only an empty one goes.
            drop(fs::remove_dir(&day));
        }
        there
    }

    /// Removes the folders of days of which nothing is left.
    pub(super) fn tidy(&self) {
        for day in entries(&self.0) {
            drop(fs::remove_dir(&day));
        }
    }
}

fn put(place: &Path, unfinished: &Path, sealed: &[u8]) -> io::Result<()> {
    if let Some(day) = place.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(day)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
    file.write_all(sealed)?;
    fs::rename(unfinished, place)
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten();
    found.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn id_of(file: &Path) -> Option<TicketId> {
    (file.extension()? == ENDING).then(|| file.file_stem()?.to_str()?.parse().ok())?
}

/// A file opens under its own name only.
fn context(id: TicketId) -> Vec<u8> {
    envelope::context("capture", &id.to_string())
}

/// The preface's length, the preface, the request's body, the answer's body.
fn bound(content: &CaptureContent) -> Vec<u8> {
    let preface = Preface {
        method: content.method.clone(),
        path: content.path.clone(),
        request_headers: content.request_headers.clone(),
        attempts: content.attempts.clone(),
        response_headers: content.response_headers.clone(),
        request_body_bytes: content.request_body.len(),
    };
    let preface = serde_json::to_vec(&preface).expect("texts and numbers are always JSON");
    let mut whole =
        Vec::with_capacity(8 + preface.len() + content.request_body.len() + content.response_body.len());
    whole.extend_from_slice(&(preface.len() as u64).to_le_bytes());
    whole.extend_from_slice(&preface);
    whole.extend_from_slice(&content.request_body);
    whole.extend_from_slice(&content.response_body);
    whole
}

fn unbound(whole: &[u8]) -> Option<CaptureContent> {
    let (length, rest) = whole.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (preface, bodies) = rest.split_at_checked(length)?;
    let preface: Preface = serde_json::from_slice(preface).ok()?;
    let (request, response) = bodies.split_at_checked(preface.request_body_bytes)?;
    Some(CaptureContent {
        method: preface.method,
        path: preface.path,
        request_headers: preface.request_headers,
        request_body: Bytes::copy_from_slice(request),
        attempts: preface.attempts,
        response_headers: preface.response_headers,
        response_body: Bytes::copy_from_slice(response),
    })
}
