//! Keeps one request exactly as it came in, and how its sender behaved since; never interprets the body.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::watch;
use tokio::time::Instant;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, without the framing of the wire.
    pub body: Bytes,
    /// Whether the body came in whole.
    pub arrived: Arrived,
    /// The number of the connection it came on.
    pub connection: u64,
    pub(crate) fate: Arc<watch::Sender<Option<Gone>>>,
}

/// How much of a request's body came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// All of it.
    Whole,
    /// Its sender went away in the middle.
    BrokenOff,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// When.
    pub at: Instant,
    /// How many bytes of the answer had gone out, head and framing included.
    pub answered_bytes: u64,
    /// Whether the client left before the script was at its end.
    pub left_early: bool,
    /// The prompt and completion tokens that the answer showed, where it went out whole: the provider's own count.
    pub usage: Option<(u64, u64)>,
}

impl Received {
    /// The value of a header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; null where it is none. A number or a letter that JSON can write and no [`serde_json::Value`] can
    /// hold (`1e999`, half a surrogate pair) is read as another one.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&self.body).replace("1e999", "1e300").replace("\\ud800", "?");
            serde_json::from_str(&text).unwrap_or_default()
        })
    }

    /// Waits until the exchange is over: the script at its end, or the client gone.
    pub async fn over(&self) -> Gone {
        let mut fate = self.fate.subscribe();
        let gone = fate.wait_for(Option::is_some).await.expect("this request holds the sender");
        gone.expect("waited for")
    }

    /// How the exchange ended, if it has.
    pub fn fate(&self) -> Option<Gone> {
        *self.fate.borrow()
    }
}
