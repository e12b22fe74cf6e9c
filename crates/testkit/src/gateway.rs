//! Runs the gateway as the binary it is, in a directory of its own; never looks inside it.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::TestClient;

/// What a gateway is started with. Its environment is empty but for what is named here.
#[derive(Debug, Clone, Default)]
pub struct GatewaySettings {
    /// The binary.
    pub binary: PathBuf,
    /// The configuration file, as YAML text; `None` starts without one.
    pub config: Option<String>,
    /// Further arguments of `serve`.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub environment: Vec<(String, String)>,
}

impl GatewaySettings {
    /// Starts `binary` without a configuration.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), ..Self::default() }
    }

    /// With this configuration.
    #[must_use]
    pub fn config(mut self, yaml: impl Into<String>) -> Self {
        self.config = Some(yaml.into());
        self
    }

    /// With this argument of `serve`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With this variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, in a new directory.
    pub async fn start(self) -> io::Result<TestGateway> {
        TestGateway::start(self).await
    }
}

/// What the gateway writes, as one line, to the file that `--ready-file` names, when it listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ready {
    /// Where it takes requests.
    pub address: SocketAddr,
    /// Where it shows its metrics.
    #[serde(default)]
    pub metrics_address: Option<SocketAddr>,
    /// What opens the admin API.
    #[serde(default)]
    pub admin_token: Option<String>,
}

/// A running gateway. Dropping it kills the process and removes its directory.
pub struct TestGateway {
    settings: GatewaySettings,
    directory: TempDir,
    child: Child,
    ready: Ready,
    output: Output,
}

impl TestGateway {
    /// Starts a gateway on free ports in a new directory, and waits until it listens.
    pub async fn start(settings: GatewaySettings) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("lockgate-test-").tempdir()?;
        if let Some(config) = &settings.config {
            std::fs::write(directory.path().join("lockgate.yaml"), config)?;
        }
        let output = Output::default();
        let mut launched = launch(&settings, directory.path(), &output)?;
        let ready = launched.ready(&output).await?.map_err(|ended| ended_early(ended, &output))?;
        Ok(Self { settings, directory, child: launched.child, ready, output })
    }

    /// Where it takes requests.
    pub fn address(&self) -> SocketAddr {
        self.ready.address
    }

    /// What it said when it was ready.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Its base URL, as an OpenAI SDK takes it.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.ready.address)
    }

    /// A client of it, without a key.
    pub fn client(&self) -> TestClient {
        TestClient::new(self.ready.address)
    }

    /// A client of its admin API.
    pub fn admin(&self) -> TestClient {
        let client = self.client();
        match &self.ready.admin_token {
            Some(token) => client.with_key(token),
            None => client,
        }
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.directory.path().join("lockgate.yaml")
    }

    /// Its process.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything written to stdout and stderr so far, over all starts.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Waits for a line of output that `wanted` accepts.
    pub async fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.output.line(wanted).await
    }

    /// Sends a signal, such as TERM or HUP.
    pub fn signal(&self, signal: rustix::process::Signal) -> io::Result<()> {
        let id =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("the gateway has ended"))?;
        Ok(rustix::process::kill_process(id, signal)?)
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> io::Result<ExitStatus> {
        self.signal(rustix::process::Signal::TERM)?;
        self.ended().await
    }

    /// Kills it where it stands.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Starts it again on the same directory, after it has ended.
    pub async fn restart(&mut self) -> io::Result<()> {
        match self.restart_doomed(|_| ()).await? {
            Ok(()) => Ok(()),
            Err(ended) => Err(ended_early(ended, &self.output)),
        }
    }

    /// Starts it again, and tells `spawned` its process before it is ready: that it ends first is foreseen here.
    pub async fn restart_doomed(&mut self, spawned: impl FnOnce(u32)) -> io::Result<Result<(), ExitStatus>> {
        self.kill().await?;
        let mut launched = launch(&self.settings, self.directory.path(), &self.output)?;
        if let Some(process) = launched.child.id() {
            spawned(process);
        }
        let ready = launched.ready(&self.output).await;
        self.child = launched.child;
        Ok(ready?.map(|ready| self.ready = ready))
    }

    /// Replaces the configuration file. The gateway sees it at a reload or at its next start.
    pub fn reconfigure(&mut self, yaml: &str) -> io::Result<()> {
        self.settings.config = Some(yaml.to_owned());
        let next = self.directory.path().join("lockgate.yaml.next");
        std::fs::write(&next, yaml)?;
        std::fs::rename(next, self.config_path())
    }
}

/// A process that may not be ready yet.
struct Launched {
    child: Child,
    ready_pipe: BufReader<pipe::Receiver>,
    readers: [Option<Reader>; 2],
}

/// Starts the process.
fn launch(settings: &GatewaySettings, directory: &Path, output: &Output) -> io::Result<Launched> {
    // A named pipe wakes us when the line comes. Held open for writing by us too, it never reads as ended.
    let ready_path = directory.join("ready");
    match rustix::fs::mkfifoat(rustix::fs::CWD, &ready_path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
    {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let ready_pipe = pipe::OpenOptions::new().read_write(true).open_receiver(&ready_path)?;
    let mut command = Command::new(&settings.binary);
    command.arg("serve").arg("--ready-file").arg(&ready_path);
    command.arg("--data-dir").arg(directory.join("data"));
    command.args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
    if settings.config.is_some() {
        command.arg("--config").arg(directory.join("lockgate.yaml"));
    }
    command.args(&settings.arguments).current_dir(directory).env_clear();
    command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let readers = [
        child.stdout.take().map(|out| output.follow(out)),
        child.stderr.take().map(|errors| output.follow(errors)),
    ];
    Ok(Launched { child, ready_pipe: BufReader::new(ready_pipe), readers })
}

impl Launched {
    /// Waits for its ready line, or for its end.
    async fn ready(&mut self, output: &Output) -> io::Result<Result<Ready, ExitStatus>> {
        let mut line = String::new();
        tokio::select! {
            read = self.ready_pipe.read_line(&mut line) => { read?; }
            ended = self.child.wait() => {
                for reader in self.readers.iter_mut().filter_map(Option::take) {
                    reader.done().await;
                }
                return ended.map(Err);
            }
        }
        let ready = serde_json::from_str(&line).map_err(|error| {
            let said = output.text();
            io::Error::other(format!("the ready line {line:?} cannot be read: {error}\n{said}"))
        })?;
        Ok(Ok(ready))
    }
}

fn ended_early(ended: ExitStatus, output: &Output) -> io::Error {
    io::Error::other(format!("the gateway ended ({ended}) before it was ready:\n{}", output.text()))
}

/// What a process writes, kept line by line.
#[derive(Clone)]
struct Output {
    lines: Arc<watch::Sender<Vec<String>>>,
    readers: Arc<Mutex<JoinSet<()>>>,
}

impl Default for Output {
    fn default() -> Self {
        Self { lines: Arc::new(watch::Sender::new(Vec::new())), readers: Arc::default() }
    }
}

/// One stream being read; done when the process has closed it.
struct Reader(tokio::sync::oneshot::Receiver<()>);

impl Reader {
    async fn done(self) {
        // A dropped sender is a reader that has ended, too.
        let _ = self.0.await;
    }
}

impl Output {
    fn follow(&self, stream: impl AsyncRead + Unpin + Send + 'static) -> Reader {
        let (done, waits) = tokio::sync::oneshot::channel();
        let lines = Arc::clone(&self.lines);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line).await, Ok(length) if length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.send_modify(|lines| lines.push(text));
                line.clear();
            }
            // Nobody may be waiting.
            let _ = done.send(());
        });
        Reader(waits)
    }

    fn text(&self) -> String {
        self.lines.borrow().join("\n")
    }

    async fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut lines = self.lines.subscribe();
        let found = lines.wait_for(|lines| lines.iter().any(|line| wanted(line))).await;
        let found = found.expect("this output holds the sender");
        found.iter().find(|line| wanted(line)).cloned().unwrap_or_default()
    }
}
