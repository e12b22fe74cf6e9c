//! The server behind everything measured: answers chats at once or by the clock; never the slowest part.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::wire::content_length;
use crate::clock;

/// What a stream's chunk carries in front of its send time, in nanoseconds since the run's epoch, twenty digits.
pub(crate) const STAMP: &[u8] = br#""content":""#;
pub(crate) const STAMP_DIGITS: usize = 20;

const PLAIN: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1790000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"A rainbow shows red, orange, yellow, green, blue, indigo and violet, always in that order."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":250,"completion_tokens":22,"total_tokens":272,"prompt_tokens_details":{"cached_tokens":128,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"system_fingerprint":"fp_bench"}"#;
const USAGE: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench","choices":[],"usage":{"prompt_tokens":250,"completion_tokens":400,"total_tokens":650}}"#;

/// Serves on a thread of its own until the process ends.
///
/// # Errors
/// When no port can be had.
pub(crate) fn start(epoch: Instant) -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("origin".to_owned()).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(serve(listener, epoch)).expect("the origin serves");
    })?;
    Ok(address)
}

async fn serve(listener: std::net::TcpListener, epoch: Instant) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(connection(stream, epoch));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection to its end; what goes wrong on it shows on the measuring side.
async fn connection(mut stream: TcpStream, epoch: Instant) -> Result<()> {
    let mut unread = Vec::with_capacity(64 * 1024);
    loop {
        let head = loop {
            if let Some(end) = memmem::find(&unread, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
        };
        let length = content_length(&std::str::from_utf8(&unread[..head])?.to_ascii_lowercase())?;
        while unread.len() < head + length {
            ensure!(stream.read_buf(&mut unread).await? > 0, "cut in a body");
        }
        let ask = Ask::read(&unread[head..head + length]);
        unread.drain(..head + length);
        match ask.chunks {
            None => answer(&mut stream).await?,
            Some(chunks) => answer_in_chunks(&mut stream, &ask, chunks, epoch).await?,
        }
    }
}

/// What the request wants, in the fields a chat request has for it.
struct Ask {
    chunks: Option<u64>,
    every: Duration,
    usage: bool,
}

impl Ask {
    /// The load's own bodies start with these fields, so the start and the end are enough to look at.
    fn read(body: &[u8]) -> Self {
        let start = &body[..body.len().min(160)];
        let end = &body[body.len().saturating_sub(160)..];
        let number = |name: &str| {
            let at = memmem::find(start, name.as_bytes())? + name.len();
            let digits = start[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            std::str::from_utf8(&start[at..at + digits]).ok()?.parse().ok()
        };
        let streamed = memmem::find(start, br#""stream":true"#).is_some();
        let asks_usage = |part| memmem::find(part, br#""include_usage":true"#).is_some();
        Self {
            chunks: number(r#""max_tokens":"#).filter(|_| streamed),
            every: Duration::from_millis(number(r#""seed":"#).unwrap_or_default()),
            usage: asks_usage(start) || asks_usage(end),
        }
    }
}

async fn answer(stream: &mut TcpStream) -> Result<()> {
    let length = PLAIN.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{PLAIN}"
    );
    stream.write_all(head.as_bytes()).await.context("answer")
}

async fn answer_in_chunks(stream: &mut TcpStream, ask: &Ask, chunks: u64, epoch: Instant) -> Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let start = tokio::time::Instant::now();
    let (mut data, mut frame) = (String::new(), String::new());
    for number in 1..=chunks {
        tokio::time::sleep_until(start + ask.every * u32::try_from(number)?).await;
        data.clear();
        let sent = (clock::now() - epoch).as_nanos();
        write!(
            data,
            r#"data: {{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench","system_fingerprint":"fp_bench","choices":[{{"index":0,"delta":{{"content":"{sent:020}"}},"logprobs":null,"finish_reason":null}}]}}"#
        )?;
        data.push_str("\n\n");
        send(stream, &data, &mut frame).await?;
    }
    data.clear();
    data.push_str(r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#);
    data.push_str("\n\n");
    if ask.usage {
        write!(data, "data: {USAGE}\n\n")?;
    }
    data.push_str("data: [DONE]\n\n");
    send(stream, &data, &mut frame).await?;
    stream.write_all(b"0\r\n\r\n").await.context("end")
}

async fn send(stream: &mut TcpStream, data: &str, frame: &mut String) -> Result<()> {
    frame.clear();
    write!(frame, "{:x}\r\n{data}\r\n", data.len())?;
    stream.write_all(frame.as_bytes()).await.context("chunk")
}
