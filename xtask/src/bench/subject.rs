//! Starts what is measured, alike for all, and reads what it cost from the kernel; never sends it anything.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::load::{KEY, Target};
use crate::clock::Stopwatch;

/// The core that only the measured program may use; load and origin have the next one.
pub(crate) const CORE: &str = "0";

/// One thing between load and origin; or nothing, for the floor.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) plain: Target,
    pub(crate) streamed: Target,
    child: Option<Child>,
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            for pid in family(child.id()) {
                // Ended by the kernel's own means: what is measured has no say in it.
                drop(Command::new("kill").arg(pid.to_string()).stderr(Stdio::null()).status());
            }
            drop(child.wait());
        }
    }
}

impl Subject {
    /// Straight to the origin.
    pub(crate) fn direct(origin: SocketAddr) -> Self {
        let target = Target { address: origin, prefix: "" };
        Self { name: "direct", plain: target.clone(), streamed: target, child: None }
    }

    /// nginx as a plain proxy: no log, bodies in memory, connections kept; buffers answers, but not streams.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn nginx(home: &Path, origin: SocketAddr) -> Result<Self> {
        let address = free_port()?;
        let (config, pid) = (home.join("nginx.conf"), home.join("nginx.pid"));
        fs::write(&config, nginx_config(home, address, origin))?;
        let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let child = pinned(program).arg("-c").arg(&config).arg("-p").arg(home).spawn().context("nginx")?;
        let subject = Self {
            name: "nginx",
            plain: Target { address, prefix: "" },
            streamed: Target { address, prefix: "/streamed" },
            child: Some(child),
        };
        subject.wait_until(|| pid.exists() && std::net::TcpStream::connect(address).is_ok())?;
        Ok(subject)
    }

    /// Lockgate with keys, limits, routing, ledger and metrics on; a line a request in the log is off, as nginx's is.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn lockgate(home: &Path, binary: &Path, origin: SocketAddr) -> Result<Self> {
        let own = home.join("lockgate");
        fs::create_dir_all(&own)?;
        let (config, ready) = (own.join("lockgate.yaml"), home.join("ready.json"));
        fs::write(&config, lockgate_config(home, origin))?;
        let log = fs::File::create(home.join("lockgate.log"))?;
        let child = pinned(&binary.display().to_string())
            .args(["serve", "--config"])
            .arg(&config)
            .arg("--ready-file")
            .arg(&ready)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("lockgate")?;
        let unknown = Target { address: origin, prefix: "" };
        let mut subject =
            Self { name: "lockgate", plain: unknown.clone(), streamed: unknown, child: Some(child) };
        let started =
            subject.wait_until(|| fs::read_to_string(&ready).is_ok_and(|line| line.contains("address")));
        started.with_context(|| fs::read_to_string(home.join("lockgate.log")).unwrap_or_default())?;
        let line: serde_json::Value = serde_json::from_str(&fs::read_to_string(&ready)?)?;
        let address = line["address"].as_str().context("the ready line names its address")?.parse()?;
        subject.plain = Target { address, prefix: "" };
        subject.streamed = subject.plain.clone();
        Ok(subject)
    }

    /// The measured program's first process, if there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        let pids = self.pid().map(family).unwrap_or_default();
        Duration::from_nanos(pids.into_iter().flat_map(thread_times).sum())
    }

    /// Memory that is resident now, in bytes, over all its processes.
    pub(crate) fn resident(&self) -> u64 {
        let pids = self.pid().map(family).unwrap_or_default();
        let kilobytes = |pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?
                .trim()
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        };
        pids.into_iter().filter_map(kilobytes).sum::<u64>() * 1024
    }

    fn wait_until(&self, ready: impl Fn() -> bool) -> Result<()> {
        let watch = Stopwatch::start();
        while !ready() {
            if watch.elapsed() > Duration::from_secs(20) {
                bail!("{} is not ready after 20 s", self.name);
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE, program]).stdin(Stdio::null());
    command
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid).chain(children.split_whitespace().filter_map(|child| child.parse().ok())).collect()
}

/// Nanoseconds that each thread of a process has run.
fn thread_times(pid: u32) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let time = |task: fs::DirEntry| {
        let file = fs::File::open(task.path().join("schedstat")).ok()?;
        let line = BufReader::new(file).lines().next()?.ok()?;
        line.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(time).collect()
}

fn nginx_config(home: &Path, address: SocketAddr, origin: SocketAddr) -> String {
    let home = home.display();
    format!(
        "user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {home}/nginx.pid;
error_log {home}/nginx.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_buffer_size 1m;
  client_max_body_size 64m;
  client_body_temp_path {home}/nginx-body;
  proxy_temp_path {home}/nginx-proxy;
  keepalive_requests 1000000000;
  upstream origin {{ server {origin}; keepalive 2048; keepalive_requests 1000000000; }}
  server {{
    listen {address};
    proxy_http_version 1.1;
    proxy_set_header Connection \"\";
    location / {{ proxy_pass http://origin; }}
    location /streamed/ {{ proxy_pass http://origin/; proxy_buffering off; }}
  }}
}}
"
    )
}

fn lockgate_config(home: &Path, origin: SocketAddr) -> String {
    let home = home.display();
    format!(
        "listen: 127.0.0.1:0
metrics_listen: 127.0.0.1:0
data_dir: {home}/data
admin: {{token: bench-admin-token-0123456789abcdef}}
limits: {{max_in_flight: 4000, queue_max: 1000, queue_timeout: 30s}}
ledger: {{durability: process}}
log: {{level: warn}}
keys:
  - {{name: bench, key: {KEY}, rpm: 10000000, tpm: 100000000000, concurrency: 4000}}
backends:
  - name: origin
    kind: openai_compatible
    base_url: http://{origin}/v1
    api_key: sk-bench-upstream
    pool: primary
    limits: {{rpm: 10000000, tpm: 100000000000, concurrency: 4000}}
    models:
      bench: {{native: bench, price: {{input: 1.00, cached_input: 0.25, output: 4.00}}}}
"
    )
}
