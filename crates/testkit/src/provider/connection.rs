//! Decides how a connection is read and how the steps of an answer are carried out on it; never what the answer is.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::behaviour::{Behaviour, Step};
use super::received::{Arrived, Gone, Received};
use super::{Met, Stage, control};

const HEADERS_MAX: usize = 128;

/// What stands between TCP and HTTP.
#[derive(Clone)]
pub(super) enum Door {
    Plain,
    Tls(TlsAcceptor),
    Garbage,
}

/// A stream over TCP that can be cut off hard.
trait Line: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Line for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Line for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Accepts connections for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, door: Door, stage: Arc<Stage>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        // A failed accept is the client's loss; the next one may work.
        let Ok((tcp, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        number += 1;
        stage.connected();
        connections.spawn(open(tcp, door.clone(), Arc::clone(&stage), number));
    }
}

async fn open(mut tcp: TcpStream, door: Door, stage: Arc<Stage>, number: u64) {
    // Every outcome of a connection is the client's to judge: errors end it and say nothing.
    let _ = tcp.set_nodelay(true);
    match door {
        Door::Plain => {
            let _ = Talk::new(tcp, stage, number).run().await;
        }
        Door::Tls(acceptor) => {
            if let Ok(tls) = acceptor.accept(tcp).await {
                let _ = Talk::new(tls, stage, number).run().await;
            }
        }
        Door::Garbage => {
            let _ = tcp.write_all(b"220 this is not the protocol you are looking for\r\n").await;
            let _ = tcp.shutdown().await;
        }
    }
}

/// One connection in use.
struct Talk<L> {
    line: L,
    stage: Arc<Stage>,
    number: u64,
    inbox: BytesMut,
}

/// How far an answer has come.
#[derive(Default)]
struct Told {
    bytes: u64,
    usage: Option<(u64, u64)>,
}

#[derive(PartialEq, Eq)]
enum Leaving {
    Early,
    AtTheEnd,
}

impl Told {
    fn gone(&self, leaving: Leaving) -> Gone {
        let left_early = leaving == Leaving::Early;
        Gone { at: Instant::now(), answered_bytes: self.bytes, left_early, usage: self.usage }
    }
}

/// What becomes of the connection after an answer.
enum Next {
    Another,
    Nothing,
}

impl<L: Line> Talk<L> {
    fn new(line: L, stage: Arc<Stage>, number: u64) -> Self {
        Self { line, stage, number, inbox: BytesMut::new() }
    }

    async fn run(mut self) -> io::Result<()> {
        while let Some(request) = self.request().await? {
            if request.path.starts_with(control::PREFIX) {
                let answer = control::answer(&self.stage, &request);
                self.line.write_all(&answer).await?;
                continue;
            }
            let met = self.stage.meet(&request);
            let broken = request.arrived == Arrived::BrokenOff;
            let mut told = Told::default();
            if broken {
                request.fate.send_replace(Some(told.gone(Leaving::Early)));
                return Ok(());
            }
            let next = match self.behaviour(met).await {
                Ok(behaviour) => self.act(&behaviour, &request, &mut told).await,
                Err(gone) => Err(gone),
            };
            let leaving = if next.is_err() { Leaving::Early } else { Leaving::AtTheEnd };
            request.fate.send_replace(Some(told.gone(leaving)));
            match next? {
                Next::Another => {}
                Next::Nothing => return Ok(()),
            }
        }
        Ok(())
    }

    /// How a request is met, once that is known.
    async fn behaviour(&mut self, met: Met) -> io::Result<Behaviour> {
        let waits = match met {
            Met::By(behaviour) => return Ok(*behaviour),
            Met::ByHand(waits) => waits,
        };
        let mut said = None;
        self.unless_gone(async { said = waits.await.ok() }).await?;
        Ok(said.unwrap_or_else(|| Behaviour::error(500, "Nobody says how this is met")))
    }

    /// The next request, whole or broken off; `None` when the client is done.
    async fn request(&mut self) -> io::Result<Option<Received>> {
        let (mut request, framing) = loop {
            if let Some(head) = parse_head(&mut self.inbox)? {
                break head;
            }
            if self.line.read_buf(&mut self.inbox).await? == 0 {
                return Ok(None);
            }
        };
        request.connection = self.number;
        if request.header("expect").is_some() {
            self.line.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut body = BytesMut::new();
        let whole = match framing {
            BodyFraming::Length(length) => self.read_exactly(length, &mut body).await,
            BodyFraming::Chunked => self.read_chunks(&mut body).await,
        };
        request.body = body.freeze();
        request.arrived = if whole.is_ok() { Arrived::Whole } else { Arrived::BrokenOff };
        Ok(Some(request))
    }

    async fn read_exactly(&mut self, length: usize, body: &mut BytesMut) -> io::Result<()> {
        while body.len() < length {
            if self.inbox.is_empty() && self.line.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let part = self.inbox.len().min(length - body.len());
            body.extend_from_slice(&self.inbox.split_to(part));
        }
        Ok(())
    }

    async fn read_chunks(&mut self, body: &mut BytesMut) -> io::Result<()> {
        loop {
            let line = self.read_line().await?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let length =
                std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
            let length = length.ok_or(io::ErrorKind::InvalidData)?;
            self.read_exactly(body.len() + length, body).await?;
            self.read_line().await?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    async fn read_line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                return Ok(self.inbox.split_to(end + 1).freeze());
            }
            if self.line.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Carries out the steps of an answer, with an eye on the client: an error is its leaving.
    async fn act(&mut self, behaviour: &Behaviour, request: &Received, told: &mut Told) -> io::Result<Next> {
        let (steps, usage) = behaviour.play(request);
        let gate = behaviour.gate.as_ref().unwrap_or(&self.stage.pace).clone();
        for step in steps {
            match step {
                Step::Write(bytes) => {
                    self.line.write_all(&bytes).await?;
                    self.line.flush().await?;
                    told.bytes += bytes.len() as u64;
                }
                Step::Gate => self.unless_gone(gate.pass()).await?,
                Step::Pause(time) => self.unless_gone(tokio::time::sleep(time)).await?,
                Step::Close => {
                    // Unread bytes would turn the closing into a reset.
                    self.line.shutdown().await?;
                    return Ok(Next::Nothing);
                }
                Step::Reset => {
                    self.line.tcp().set_zero_linger()?;
                    return Ok(Next::Nothing);
                }
                Step::Hang => self.unless_gone(std::future::pending()).await?,
            }
        }
        told.usage = usage;
        self.stage.completed(usage);
        Ok(Next::Another)
    }

    /// Waits for `event`, unless the client leaves first.
    async fn unless_gone(&mut self, event: impl Future<Output = ()>) -> io::Result<()> {
        let mut event = std::pin::pin!(event);
        loop {
            tokio::select! {
                biased;
                () = &mut event => return Ok(()),
                // `read_buf` is safe to drop: bytes are either in the buffer or still in the socket.
                read = self.line.read_buf(&mut self.inbox) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}

enum BodyFraming {
    Length(usize),
    Chunked,
}

/// Takes the head of a request off the inbox, once it is all there.
fn parse_head(inbox: &mut BytesMut) -> io::Result<Option<(Received, BodyFraming)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    let httparse::Status::Complete(length) = head.parse(inbox).map_err(|_| io::ErrorKind::InvalidData)?
    else {
        return Ok(None);
    };
    let mut map = HeaderMap::with_capacity(head.headers.len());
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| io::ErrorKind::InvalidData)?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| io::ErrorKind::InvalidData)?;
        map.append(name, value);
    }
    let framing = if map.contains_key("transfer-encoding") {
        BodyFraming::Chunked
    } else {
        let length = map.get("content-length").and_then(|value| value.to_str().ok());
        BodyFraming::Length(length.map_or(Ok(0), |text| text.parse().map_err(invalid))?)
    };
    let request = Received {
        method: Method::from_bytes(head.method.unwrap_or_default().as_bytes())
            .map_err(|_| io::ErrorKind::InvalidData)?,
        path: head.path.unwrap_or_default().to_owned(),
        headers: map,
        body: Bytes::new(),
        arrived: Arrived::BrokenOff,
        connection: 0,
        fate: Arc::new(watch::Sender::new(None)),
    };
    inbox.advance(length);
    Ok(Some((request, framing)))
}
