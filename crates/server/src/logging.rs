//! Decides how log lines look and which are written; never what they say.

use std::io::{IsTerminal, stderr};

use control::config::{LogFormat, LogLevel};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Changes the level of a running program.
#[derive(Clone)]
pub(crate) struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Level {
    /// Sets the level of everything that is logged from now on.
    pub(crate) fn set(&self, level: LogLevel) -> anyhow::Result<()> {
        Ok(self.filter.reload(EnvFilter::try_new(level.name())?)?)
    }
}

/// Starts logging to standard error. Without a given format, JSON is written unless a person is reading.
pub(crate) fn start(format: Option<LogFormat>, level: LogLevel) -> anyhow::Result<Level> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(level.name())?);
    let format = format.unwrap_or(if stderr().is_terminal() { LogFormat::Human } else { LogFormat::Json });
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(stderr),
            )
            .try_init()?,
        LogFormat::Human => {
            registry.with(fmt::layer().compact().with_target(false).with_writer(stderr)).try_init()?
        }
    }
    Ok(Level { filter: handle })
}
