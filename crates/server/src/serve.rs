//! Decides the life of `lockgate serve`: start, run, reload, stop; how the parts fit together is `assemble`'s business.

mod greeting;
mod local;
mod reload;
mod stop;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use control::config::Overrides;
use gateway::{ConnectionLimits, listen};
use tokio::net::TcpListener;

use crate::{
    assemble::{self, Assembled, Demo},
    front::Front,
    logging,
    settings::Sources,
    site::Site,
};

/// What `lockgate serve` was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServeOptions {
    /// The configuration file, where there is one.
    pub(crate) config: Option<PathBuf>,
    /// Whether the simulated provider is added.
    pub(crate) demo: Demo,
    /// Where to write the bound addresses once serving, for programs that start this one. May be a named pipe.
    pub(crate) ready_file: Option<PathBuf>,
    /// Settings of the command line.
    pub(crate) overrides: Overrides,
}

/// Serves until a signal, and gives the exit code.
pub(crate) async fn run(
    options: ServeOptions,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<ExitCode> {
    let sources = Arc::new(Sources::new(options.config, options.overrides, environment));
    let loaded = sources.load(&[])?;
    let level = logging::start(loaded.settings.log_format, loaded.settings.log_level)?;
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
    // Bound first: a start that fails for want of a port has made no token that nobody saw.
    let main = bind(loaded.settings.listen, "listen").await?;
    let metrics = bind(loaded.settings.metrics_listen, "metrics_listen").await?;
    let assembled = assemble::assemble(sources, loaded, options.demo).await?;
    level.set(assembled.settings.log_level)?;
    let ready = Ready::of(&main, &metrics, &assembled)?;
    let own_port = main.local_addr()?.port();

    let limits = connection_limits(&assembled);
    let front = Arc::new(Front::new(assembled.gateway.clone(), Site::new(assembled.site.clone())));
    let metrics_site = Arc::new(Site::new(assembled.metrics_site.clone()));
    // Before anybody knows of this process: a signal that finds no listener ends it where it stands.
    let mut requests = stop::Requests::listen()?;
    reload::watch(&assembled, level)?;
    let (tasks, stopping) = (&assembled.tasks, assembled.stop.subscribe());
    tasks.spawn("listener", listen(main, front, limits, tasks.clone(), stopping.clone()));
    tasks.spawn("metrics listener", listen(metrics, metrics_site, limits, tasks.clone(), stopping));

    ready.announce(options.ready_file.as_deref())?;
    greeting::print(&ready, &assembled, options.demo);
    let candidates = local::candidates(&assembled.gateway.view().snapshot, own_port);
    assembled.tasks.spawn("local servers", local::offer(candidates));
    requests.next().await;
    stop::drain(assembled, requests).await
}

/// Listens where `setting` says. A port of 0 takes a free one.
async fn bind(address: std::net::SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).with_context(|| {
        let flag = setting.replace('_', "-");
        format!("{address} cannot be listened on. Is another program using it? Choose another with --{flag} or `{setting}:`")
    })?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into())?)
}

/// Connections that the kernel holds while the gateway is busy accepting others.
const BACKLOG: i32 = 4096;

fn connection_limits(assembled: &Assembled) -> ConnectionLimits {
    let timeouts = assembled.settings.client_timeouts;
    ConnectionLimits {
        connections_max: assembled.settings.limits.connections_max as usize,
        first_byte: timeouts.first_byte,
        header: timeouts.headers,
        idle: timeouts.idle,
        ..ConnectionLimits::default()
    }
}

/// The bound addresses.
#[derive(serde::Serialize)]
pub(super) struct Ready {
    address: String,
    metrics_address: String,
    /// Only when it was minted by this start: it is shown once.
    admin_token: Option<String>,
}

impl Ready {
    fn of(main: &TcpListener, metrics: &TcpListener, assembled: &Assembled) -> anyhow::Result<Self> {
        Ok(Self {
            address: main.local_addr()?.to_string(),
            metrics_address: metrics.local_addr()?.to_string(),
            admin_token: assembled.minted_admin_token.clone(),
        })
    }

    fn announce(&self, ready_file: Option<&std::path::Path>) -> anyhow::Result<()> {
        tracing::info!(address = self.address, metrics_address = self.metrics_address, "listening");
        if let Some(path) = ready_file {
            let line = serde_json::to_string(self)? + "\n";
            std::fs::write(path, line).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }
}
