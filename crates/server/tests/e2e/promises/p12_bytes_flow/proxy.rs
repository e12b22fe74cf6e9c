//! Runs a real nginx that cuts what is silent; never knows what passes through it.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use testkit::TestClient;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// How long streams, and plain answers, may be silent behind it. The former is twice the interval of the gateway; the
/// latter leaves room beside an interval that is five seconds at least.
const IDLE_SECONDS: [u32; 2] = [2, 8];

/// nginx in front of two gateways. Ends with the test.
pub(super) struct Nginx {
    kept: [SocketAddr; 2],
    silent: [SocketAddr; 2],
    said: Arc<Mutex<String>>,
    _child: Child,
    _reader: JoinSet<()>,
    _home: TempDir,
}

impl Nginx {
    /// In front of a gateway that says when it is alive, and of one that never does.
    pub(super) async fn before(kept: SocketAddr, silent: SocketAddr) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let servers = [kept, silent].map(|gateway| IDLE_SECONDS.map(|idle| (free_address(), gateway, idle)));
        let config = config(home.path(), servers.as_flattened());
        let path = home.path().join("nginx.conf");
        std::fs::write(&path, config).expect("a configuration");
        let program =
            if std::path::Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-p"]).arg(home.path()).arg("-c").arg(&path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("nginx is missing: run `cargo xtask testenv`");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let said = Arc::new(Mutex::new(String::new()));
        // It says this when it has bound its addresses.
        loop {
            let line = lines.next_line().await.expect("text");
            let line = line.unwrap_or_else(|| panic!("nginx ended: {}", text(&said)));
            note(&said, &line);
            if line.contains("OS: ") {
                break;
            }
        }
        let mut reader = JoinSet::new();
        let noted = Arc::clone(&said);
        reader.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                note(&noted, &line);
            }
        });
        let [kept, silent] = servers.map(|pair| pair.map(|(address, ..)| address));
        Self { kept, silent, said, _child: child, _reader: reader, _home: home }
    }

    /// The address before the kept gateway where streams, or plain answers, are to go.
    pub(super) fn address(&self, is_stream: bool) -> SocketAddr {
        self.kept[usize::from(!is_stream)]
    }

    /// A client of the kept gateway.
    pub(super) fn to_kept(&self, is_stream: bool) -> TestClient {
        TestClient::new(self.address(is_stream))
    }

    /// A client of the gateway whose silence is cut.
    pub(super) fn to_silent(&self, is_stream: bool) -> TestClient {
        TestClient::new(self.silent[usize::from(!is_stream)])
    }

    /// What it has written so far.
    pub(super) fn said(&self) -> String {
        text(&self.said)
    }
}

fn note(said: &Mutex<String>, line: &str) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.push_str(line);
    said.push('\n');
}

fn text(said: &Mutex<String>) -> String {
    said.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|held| held.local_addr()).expect("a free port")
}

/// As a person would write it who knows nothing of streams: buffering is on, as it is by default.
fn config(home: &std::path::Path, servers: &[(SocketAddr, SocketAddr, u32)]) -> String {
    let home = home.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {home}/{what};\n"))
        .concat();
    let servers: String = servers
        .iter()
        .map(|(address, gateway, idle)| {
            format!(
                "  server {{ listen {address}; location / {{ proxy_pass http://{gateway}; proxy_read_timeout {idle}s; }} }}\n"
            )
        })
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {home}/nginx.pid;\nerror_log stderr notice;\nevents {{ worker_connections 256; }}\nhttp {{\n  access_log off;\n{temporary}{servers}}}\n"
    )
}
