//! Keeps dashboards' live streams open and counts what they are told, all on one thread, so that listening costs the load
//! next to nothing; never looks at what a picture says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Open dashboards.
pub(crate) struct Watchers {
    pictures: Arc<AtomicU64>,
    /// Dropped, it ends them.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Watchers {
    /// Opens so many, who show `credential`, a header line.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn open(address: SocketAddr, count: usize, credential: &str) -> Result<Self> {
        let request =
            format!("GET /api/dashboard/stream HTTP/1.1\r\nhost: {address}\r\n{credential}\r\n\r\n");
        let pictures = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::clone(&pictures);
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut open = JoinSet::new();
                for _ in 0..count {
                    open.spawn(watch(address, request.clone(), Arc::clone(&seen)));
                }
                tokio::select! {
                    _ = stopped => Ok(()),
                    Some(ended) = open.join_next() => ended?,
                }
            })
        };
        let thread = std::thread::Builder::new().name("dashboards".to_owned()).spawn(body)?;
        Ok(Self { pictures, stop, thread })
    }

    /// Closes them; how many pictures they were told, all together.
    ///
    /// # Errors
    /// When one of them ended by itself.
    pub(crate) fn close(self) -> Result<u64> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow!("the dashboards' thread panicked"))??;
        Ok(self.pictures.load(Ordering::Relaxed))
    }
}

/// One stream, for as long as it goes on.
async fn watch(address: SocketAddr, request: String, pictures: Arc<AtomicU64>) -> Result<()> {
    let mut stream = TcpStream::connect(address).await.context("a dashboard")?;
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            bail!("a dashboard's stream ended");
        }
        // A picture goes out in one write: its name is hardly ever cut in two, and this count need not be exact.
        let told = memmem::find_iter(&buffer[..length], b"event: picture").count();
        pictures.fetch_add(u64::try_from(told)?, Ordering::Relaxed);
    }
}
