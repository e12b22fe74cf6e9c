//! Decides with what a program is started: its folder, its ports, its arguments and what it sees of the environment; never
//! when.

use std::io;
use std::net::Ipv4Addr;

use super::child::{self, Child};
use super::instance::Shared;
use super::launch::{self, Spawner};

/// Starts the process.
pub(super) async fn start(shared: &Shared, spawner: &Spawner) -> io::Result<Child> {
    let settings = &shared.settings;
    if settings.program.components().count() > 1 {
        // What starts it could say so only in what it prints.
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", settings.program.display()))
        };
        tokio::fs::metadata(&settings.program).await.map_err(named)?;
    }
    tokio::fs::create_dir_all(&shared.work_dir).await?;
    if child::end_stale(&shared.work_dir).await {
        tracing::warn!(
            instance = &*shared.name,
            "a process of an earlier gateway was still running; it was ended"
        );
    }
    let ports = ports(shared.fixed_ports)?;
    let mut command = launch::through(settings.launcher.as_deref(), &settings.program);
    let work_dir = shared.work_dir.to_string_lossy();
    for template in settings.profile.arguments {
        let argument = template
            .replace("{work_dir}", &work_dir)
            .replace("{socket_port}", &ports.0.to_string())
            .replace("{http_port}", &ports.1.to_string());
        command.arg(argument);
    }
    // What the gateway itself was given, keys of providers above all, is none of its business.
    command.env_clear().current_dir(&shared.work_dir);
    command.envs(PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
    command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
    let child = Child::spawn(spawner, command, &shared.work_dir, &shared.ring).await?;
    shared.show(|picture| {
        picture.ports = Some(ports);
        picture.process = Some(child.id());
    });
    Ok(child)
}

/// What every program needs to find its way.
const PASSED_ON: &[&str] = &[
    "HOME",
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Ports that nobody else has now, where none are fixed.
fn ports((socket, http): (u16, u16)) -> io::Result<(u16, u16)> {
    // Held together, so that they differ.
    let held = [socket, http].map(|port| {
        std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, if port == 0 { 0 } else { return Ok(None) }))
            .map(Some)
    });
    let [first, second] = held;
    let port = |held: &Option<std::net::TcpListener>, fixed: u16| match held {
        Some(listener) => listener.local_addr().map(|address| address.port()),
        None => Ok(fixed),
    };
    let (first, second) = (first?, second?);
    Ok((port(&first, socket)?, port(&second, http)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_fixed_ones_stay() {
        let (socket, http) = ports((0, 0)).expect("there are some");
        assert!(socket != http && socket != 0 && http != 0);
        assert_eq!(ports((7, 8)).expect("they are fixed"), (7, 8));
    }
}
