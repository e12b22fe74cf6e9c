//! Decides how a connection is opened: name, TCP, TLS; never what is said on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use protocol::{Failure, FailureKind};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::ServiceExt as _;

use super::endpoint::{Origin, Speaks};
use super::fault;

/// Opens connections to one origin.
pub(super) struct Connector {
    tcp: HttpConnector,
    address: http::Uri,
    /// `None` where nothing is encrypted.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    speaks: Speaks,
}

impl Connector {
    /// A connector to `origin`, on the terms of `terms` where it is a secure one.
    pub(super) fn new(origin: &Origin, terms: Option<ClientConfig>) -> Result<Self, Failure> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(std::time::Duration::from_secs(30)));
        // The connector wants a URI, and reads a host and a port from it.
        let address = http::Uri::builder()
            .scheme("http")
            .authority(format!("{}:{}", origin.host, origin.port))
            .path_and_query("/")
            .build()
            .map_err(|error| Failure::new(FailureKind::Connect, error.to_string()))?;
        let tls = match terms {
            Some(terms) => Some((TlsConnector::from(Arc::new(terms)), server_name(&origin.host)?)),
            None => None,
        };
        Ok(Self { tcp, address, tls, speaks: origin.speaks })
    }

    /// An open connection.
    pub(super) async fn open(&self) -> Result<Io, Failure> {
        let tcp = self.tcp.clone().oneshot(self.address.clone()).await;
        let tcp = tcp.map_err(|error| fault::connecting(&error))?.into_inner();
        let Some((connector, name)) = &self.tls else {
            return Ok(TokioIo::new(Stream::Plain(tcp)));
        };
        let tls = connector.connect(name.clone(), tcp).await;
        let tls = tls.map_err(|error| fault::handshaking(&error))?;
        // A server that knows nothing of the negotiation would take our HTTP/2 for noise.
        if self.speaks == Speaks::Http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Failure::new(FailureKind::Tls, "the other side does not speak HTTP/2"));
        }
        Ok(TokioIo::new(Stream::Tls(Box::new(tls))))
    }
}

/// A host as a certificate names it. The brackets around an IPv6 address belong to the URL.
fn server_name(host: &str) -> Result<ServerName<'static>, Failure> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|error| Failure::new(FailureKind::Tls, error.to_string()))
}

/// An open connection, as hyper takes it.
pub(super) type Io = TokioIo<Stream>;

/// An open connection, encrypted or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(context, slices),
        }
    }
}
