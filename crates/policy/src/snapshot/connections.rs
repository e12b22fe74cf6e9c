//! Decides what clients' connections are allowed beyond requests: pages from elsewhere, streams that outlive them; never who
//! the clients are.

use std::time::Duration;

/// How a stream outlives the connection of its client, so that it can be continued on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeRules {
    /// What is kept of one stream.
    pub buffer_bytes: usize,
    /// How long a stream goes on, and is kept, while nobody reads it.
    pub grace: Duration,
    /// How many streams are kept at once.
    pub streams_max: usize,
}

impl Default for ResumeRules {
    fn default() -> Self {
        Self { buffer_bytes: 1024 * 1024, grace: Duration::from_secs(30), streams_max: 256 }
    }
}

/// Which pages in browsers may call the data plane, and with what; none, unless it is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorsRules {
    /// Where they come from, such as `https://app.example.com`; `*` is anywhere.
    pub origins: Vec<Box<str>>,
    /// Headers that they may send; none: those that they ask for.
    pub headers: Vec<Box<str>>,
    /// Methods that they may use; none: those that are served.
    pub methods: Vec<Box<str>>,
}

impl CorsRules {
    /// Whether a page from there may call.
    #[must_use]
    pub fn admit(&self, origin: &str) -> bool {
        self.origins.iter().any(|known| **known == *"*" || known.eq_ignore_ascii_case(origin))
    }
}
