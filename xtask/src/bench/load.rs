//! Sends the load, bounded in count and time, and times it from when it should have been sent; judges nothing.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::origin::{STAMP, STAMP_DIGITS};
use super::wire::Reading;
use crate::clock;

/// Where to send, and which key to show.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// In front of `/v1/chat/completions`.
    pub(crate) prefix: &'static str,
}

/// A stream's shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) chunks: u64,
    pub(crate) every: Duration,
}

/// The key that the measured gateway knows.
pub(crate) const KEY: &str = "lk-bench-0123456789abcdef0123456789abcdef";

impl Target {
    fn request(&self, body: &str) -> Vec<u8> {
        let (prefix, address, length) = (self.prefix, self.address, body.len());
        format!(
            "POST {prefix}/v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\n\
             user-agent: bench\r\naccept: application/json\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// A plain chat whose whole body has this size.
    pub(crate) fn plain(&self, body_bytes: usize) -> Vec<u8> {
        let start = r#"{"model":"bench","max_tokens":64,"messages":[{"role":"user","content":""#;
        let end = r#""}],"temperature":0.2}"#;
        // About as many escaped characters as code or prose in Markdown has: one in fifty.
        let text = r#"Tell me of the colours of the rainbow in the order in which Newton named them,\n- first the \"warm\" ones, which are red and orange and yellow, as far as he could see;\n- then the cold ones, which are green and blue and indigo and violet."#;
        let room = body_bytes.saturating_sub(start.len() + end.len());
        let prose = text.repeat(room / text.len()) + &"x".repeat(room % text.len());
        self.request(&format!("{start}{prose}{end}"))
    }

    /// A streamed chat of about one kilobyte.
    pub(crate) fn streamed(&self, pace: Pace) -> Vec<u8> {
        let (chunks, every) = (pace.chunks, pace.every.as_millis());
        let prose = "Tell me of the colours. ".repeat(36);
        self.request(&format!(
            r#"{{"model":"bench","stream":true,"max_tokens":{chunks},"seed":{every},"messages":[{{"role":"user","content":"{prose}"}}]}}"#
        ))
    }
}

/// As many requests as `connections` can make one after another, for this long. Gives how many were answered.
///
/// # Errors
/// When one is answered with anything but a whole 200.
pub(crate) async fn closed_loop(
    target: &Target,
    request: Vec<u8>,
    connections: usize,
    lasting: Duration,
) -> Result<u64> {
    let until = clock::now() + lasting;
    let (request, address) = (Rc::new(request), target.address);
    let tasks = LocalSet::new();
    let running: Vec<_> = (0..connections)
        .map(|_| {
            let request = Rc::clone(&request);
            tasks.spawn_local(async move {
                let mut stream = connect(address).await?;
                let mut answered = 0u64;
                while clock::now() < until {
                    exchange(&mut stream, &request, |_| {}).await?;
                    answered += 1;
                }
                anyhow::Ok(answered)
            })
        })
        .collect();
    let mut answered = 0;
    tasks
        .run_until(async {
            for task in running {
                answered += task.await??;
            }
            anyhow::Ok(())
        })
        .await?;
    Ok(answered)
}

/// What arrived on the streams: the delay of each chunk from its sending to its reading, in nanoseconds.
pub(crate) async fn streams(
    target: &Target,
    count: usize,
    pace: Pace,
    epoch: Instant,
) -> Result<Histogram<u64>> {
    let (request, address) = (Rc::new(target.streamed(pace)), target.address);
    let ramp = pace.every / u32::try_from(count)?;
    let tasks = LocalSet::new();
    let running: Vec<_> = (0..count)
        .map(|number| {
            let request = Rc::clone(&request);
            tasks.spawn_local(async move {
                tokio::time::sleep(ramp * u32::try_from(number)?).await;
                let mut stream = connect(address).await?;
                let mut stamps = Stamps { carry: Vec::new(), epoch, delays: histogram()? };
                exchange(&mut stream, &request, |data| stamps.read(data)).await?;
                let seen = stamps.delays.len();
                ensure!(seen == pace.chunks, "{seen} of {} chunks came", pace.chunks);
                anyhow::Ok(stamps.delays)
            })
        })
        .collect();
    let mut delays = histogram()?;
    tasks
        .run_until(async {
            for task in running {
                delays.add(task.await??)?;
            }
            anyhow::Ok(())
        })
        .await?;
    Ok(delays)
}

/// So many requests a second, each timed from when it was due, however late it could be sent.
pub(crate) fn open_loop(
    target: &Target,
    request: &[u8],
    rate: u32,
    lasting: Duration,
) -> Result<Histogram<u64>> {
    const SENDERS: u32 = 32;
    let start = clock::now() + Duration::from_millis(50);
    let total = (f64::from(rate) * lasting.as_secs_f64()).round();
    let due = |number: u32| start + Duration::from_secs(1) * number / rate;
    let mut delays = histogram()?;
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                scope.spawn(move || {
                    let mut stream = std::net::TcpStream::connect(target.address)?;
                    stream.set_nodelay(true)?;
                    let (mut delays, mut number) = (histogram()?, sender);
                    while f64::from(number) < total {
                        wait_until(due(number));
                        exchange_now(&mut stream, request)?;
                        delays.record(nanoseconds(clock::now() - due(number)))?;
                        number += SENDERS;
                    }
                    anyhow::Ok(delays)
                })
            })
            .collect();
        for sender in senders {
            delays.add(sender.join().expect("a sender does not panic")?)?;
        }
        anyhow::Ok(())
    })?;
    Ok(delays)
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an open loop is driven by time itself; tokio's timers tick only once a millisecond"
)]
fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(clock::now()));
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(stream: &mut TcpStream, request: &[u8], mut sink: impl FnMut(&[u8])) -> Result<()> {
    stream.write_all(request).await.context("send")?;
    let (mut reading, mut buffer) = (Reading::default(), [0; 4096]);
    loop {
        match stream.read(&mut buffer).await.context("receive")? {
            0 => bail!("closed within an answer"),
            n if reading.feed(&buffer[..n], &mut sink)? => return Ok(()),
            _ => {}
        }
    }
}

fn exchange_now(stream: &mut std::net::TcpStream, request: &[u8]) -> Result<()> {
    stream.write_all(request).context("send")?;
    let (mut reading, mut buffer) = (Reading::default(), [0; 4096]);
    loop {
        match stream.read(&mut buffer).context("receive")? {
            0 => bail!("closed within an answer"),
            n if reading.feed(&buffer[..n], |_| {})? => return Ok(()),
            _ => {}
        }
    }
}

/// Finds the send times in the body of one stream, however it is cut.
struct Stamps {
    carry: Vec<u8>,
    epoch: Instant,
    delays: Histogram<u64>,
}

impl Stamps {
    fn read(&mut self, data: &[u8]) {
        let now = nanoseconds(clock::now() - self.epoch);
        self.carry.extend_from_slice(data);
        let mut at = 0;
        while let Some(found) = memmem::find(&self.carry[at..], STAMP) {
            let from = at + found + STAMP.len();
            let Some(digits) = self.carry.get(from..from + STAMP_DIGITS) else { break };
            let sent = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).unwrap_or(0);
            self.delays.saturating_record(now.saturating_sub(sent));
            at = from + STAMP_DIGITS;
        }
        // Keep what may be the start of a stamp that goes on in the next piece.
        let keep = self.carry.len().saturating_sub(STAMP.len() + STAMP_DIGITS).max(at);
        self.carry.drain(..keep);
    }
}
