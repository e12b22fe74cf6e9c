//! Decides what a broken exchange is called; never whether another attempt is made.

use std::error::Error;
use std::io;

use protocol::{Failure, FailureKind};

use super::body::Upload;

/// The connection could not be made at all.
pub(super) fn connecting(error: &(dyn Error + 'static)) -> Failure {
    Failure::new(FailureKind::Connect, told(error))
}

/// The connection was made, its encryption was not.
pub(super) fn handshaking(error: &io::Error) -> Failure {
    Failure::new(FailureKind::Tls, told(error))
}

/// The caller's own body failed while it was passed on: nobody upstream is to blame, and no status came back.
pub(super) fn caller_left() -> Failure {
    Failure::new(FailureKind::Rejected, "the caller's body broke off")
}

/// The exchange ended before the head of an answer was read.
pub(super) fn before_head(error: &hyper::Error, upload: Option<&Upload>) -> Failure {
    if upload.is_some_and(Upload::is_broken) {
        return caller_left();
    }
    let kind = match cause(error) {
        Some(FailureKind::Truncated) | None => FailureKind::Reset,
        Some(kind) => kind,
    };
    Failure::new(kind, told(error))
}

/// The exchange ended inside the body of an answer.
pub(super) fn within_body(error: &hyper::Error, upload: Option<&Upload>) -> Failure {
    if upload.is_some_and(Upload::is_broken) {
        return caller_left();
    }
    let kind = cause(error).unwrap_or(FailureKind::Truncated);
    Failure::new(kind, told(error))
}

/// The kind that an error names by itself; `Truncated` stands for an end of file.
fn cause(error: &hyper::Error) -> Option<FailureKind> {
    if error.is_parse_too_large() {
        return Some(FailureKind::TooLarge);
    }
    if error.is_parse() {
        return Some(FailureKind::Malformed);
    }
    if error.is_incomplete_message() {
        return Some(FailureKind::Truncated);
    }
    let mut inner = error.source();
    while let Some(error) = inner {
        if error.is::<rustls::Error>() {
            return Some(FailureKind::Tls);
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                return Some(FailureKind::Tls);
            }
            return Some(of_io(error.kind()));
        }
        inner = error.source();
    }
    None
}

fn of_io(kind: io::ErrorKind) -> FailureKind {
    match kind {
        io::ErrorKind::UnexpectedEof => FailureKind::Truncated,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => FailureKind::Malformed,
        _ => FailureKind::Reset,
    }
}

/// An error and its causes in one line. Errors of this layer name addresses and states, never headers.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        inner = error.source();
    }
    text
}
