//! What a checked file means for silent and for lost connections, and for what is kept of answers; it never decides what
//! becomes of them.

use std::time::Duration;

use policy::{CaptureLimits, CorsRules, KeepaliveRules, KeptRules, ResumeRules};

use super::{bind::List, file};

/// Intervals of what is sent while nothing else is; zero is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    /// In a silent stream.
    pub stream: Duration,
    /// Before a plain answer.
    pub nonstream: Duration,
    /// Before plain answers of single endpoints.
    pub endpoints: Vec<(String, Duration)>,
}

impl Keepalive {
    /// The same, as the data plane reads it.
    pub(crate) fn rules(&self) -> KeepaliveRules {
        let on = |interval: Duration| Some(interval).filter(|interval| !interval.is_zero());
        let behind_v1 = |path: &str| path.strip_prefix("/v1").unwrap_or(path).into();
        KeepaliveRules {
            stream: on(self.stream),
            plain: on(self.nonstream),
            endpoints: self
                .endpoints
                .iter()
                .map(|(path, interval)| (behind_v1(path), on(*interval)))
                .collect(),
        }
    }
}

/// How streams outlive their clients' connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Whether they do.
    pub resumable: bool,
    /// With what limits.
    pub resume: ResumeRules,
}

pub(crate) fn keepalive(typed: Option<&file::Keepalive>) -> Keepalive {
    Keepalive {
        stream: typed.and_then(|k| k.stream).map_or(Duration::from_secs(15), |interval| interval.0),
        nonstream: typed.and_then(|k| k.nonstream).map_or(Duration::ZERO, |interval| interval.0),
        endpoints: typed
            .and_then(|k| k.endpoints.as_ref())
            .map(|table| table.0.iter().map(|(name, interval)| (name.clone(), interval.0)).collect())
            .unwrap_or_default(),
    }
}

pub(crate) fn kept(typed: Option<&file::Responses>) -> KeptRules {
    let default = KeptRules::default();
    KeptRules {
        time: typed.and_then(|r| r.kept_for).map_or(default.time, |span| span.0),
        bytes_max: typed
            .and_then(|r| r.kept_bytes)
            .map_or(default.bytes_max, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
    }
}

pub(crate) fn cors(typed: Option<&file::Cors>) -> CorsRules {
    let Some(typed) = typed else { return CorsRules::default() };
    CorsRules {
        origins: typed
            .origins
            .iter()
            .flat_map(List::iter)
            .map(|(_, origin)| origin.0.as_str().into())
            .collect(),
        headers: typed.headers.iter().flat_map(List::iter).map(|(_, name)| name.0.as_str().into()).collect(),
        methods: typed.methods.iter().flat_map(List::iter).map(|(_, name)| name.0.as_str().into()).collect(),
    }
}

pub(crate) fn captures(typed: Option<&file::Captures>) -> CaptureLimits {
    let default = CaptureLimits::default();
    CaptureLimits {
        body_bytes_max: typed
            .and_then(|c| c.body_max)
            .map_or(default.body_bytes_max, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
        age_max: typed.and_then(|c| c.keep_for).map_or(default.age_max, |span| span.0),
        bytes_max: typed.and_then(|c| c.bytes_max).map_or(default.bytes_max, |size| size.0),
    }
}

pub(crate) fn streams(typed: Option<&file::Streams>) -> Streams {
    let default = ResumeRules::default();
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Streams {
        resumable: typed.and_then(|s| s.resumable).unwrap_or(false),
        resume: ResumeRules {
            buffer_bytes: typed.and_then(|s| s.buffer).map_or(default.buffer_bytes, |size| count(size.0)),
            grace: typed.and_then(|s| s.grace).map_or(default.grace, |span| span.0),
            streams_max: typed
                .and_then(|s| s.resumable_max)
                .map_or(default.streams_max, |number| count(number.0)),
        },
    }
}
