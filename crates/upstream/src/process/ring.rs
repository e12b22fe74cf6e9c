//! Keeps the last lines that a program has printed, without what looks like a secret; never more than a few.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

const LINES_MAX: usize = 200;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 1024;
/// Secrets that are looked for in every line; of more, the oldest are forgotten.
const HIDDEN_MAX: usize = 32;
/// A shorter one is too likely to be a word of its own.
const HIDDEN_BYTES_MIN: usize = 4;

/// The last lines of one instance. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Ring {
    lines: Arc<Mutex<VecDeque<Box<str>>>>,
    /// What the program was told, and must not be repeated whatever it looks like.
    hidden: Arc<Mutex<VecDeque<Box<str>>>>,
}

impl Ring {
    /// Keeps these out of every line from now on.
    pub(super) fn hide<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let mut hidden = locked(&self.hidden);
        for secret in secrets.into_iter().filter(|secret| secret.len() >= HIDDEN_BYTES_MIN) {
            // Programs like to print what they were sent as it came.
            let in_json = serde_json::Value::from(secret).to_string();
            for form in [secret, in_json.trim_matches('"')] {
                if hidden.len() == HIDDEN_MAX {
                    hidden.pop_front();
                }
                hidden.push_back(form.into());
            }
        }
    }

    pub(super) fn push(&self, line: &str) {
        let mut line = Cow::Borrowed(line);
        for secret in &*locked(&self.hidden) {
            if line.contains(&**secret) {
                line = Cow::Owned(line.replace(&**secret, "[hidden]"));
            }
        }
        let line = protocol::without_secrets(&line);
        let mut lines = locked(&self.lines);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(super) fn lines(&self) -> Vec<Box<str>> {
        locked(&self.lines).iter().cloned().collect()
    }

    /// Reads a stream to its end, so that its writer never waits.
    pub(super) async fn follow(self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; 8 * 1024];
        let mut line = Vec::new();
        while let Ok(length) = stream.read(&mut chunk).await {
            let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                let room = LINE_BYTES_MAX.saturating_sub(line.len());
                line.extend(part.iter().take(room).filter(|byte| **byte != b'\n'));
                if part.ends_with(b"\n") {
                    self.push(&String::from_utf8_lossy(&line));
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.push(&String::from_utf8_lossy(&line));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_last_lines_are_kept_and_none_is_long() {
        let check = async |text: String, count: usize, last: &str| {
            let ring = Ring::default();
            ring.clone().follow(text.as_bytes()).await;
            let lines = ring.lines();
            assert_eq!((lines.len(), lines.last().map_or("", |line| line)), (count, last));
        };
        check(String::new(), 0, "").await;
        check("a\nb".to_owned(), 2, "b").await;
        check("x\n".repeat(10_000) + "y\n", LINES_MAX, "y").await;
        check("token=CANARY-TOKEN-0123456789abcdef0123\n".to_owned(), 1, "token=[hidden]").await;
        let ring = Ring::default();
        ring.hide(["my \"dog's\" name", "abc"]);
        ring.push("signing in with my \"dog's\" name, {\"password\":\"my \\\"dog's\\\" name\"}, as abc");
        let hidden = "signing in with [hidden], {\"password\":\"[hidden]\"}, as abc";
        assert_eq!(ring.lines().first().map(|line| &**line), Some(hidden));
        ring.clone().follow("word ".repeat(100_000).as_bytes()).await;
        assert!(ring.lines().iter().all(|line| line.len() <= LINE_BYTES_MAX));
    }
}
