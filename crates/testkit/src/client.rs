//! A small HTTP client for tests, which shows the bytes as they came; never retries, decodes or follows anything.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What can go wrong in a test's call.
pub type ClientError = Box<dyn std::error::Error + Send + Sync>;

/// Makes calls to one address, each on a connection of its own.
#[derive(Debug, Clone)]
pub struct TestClient {
    address: SocketAddr,
    headers: HeaderMap,
    speaks: Speaks,
}

#[derive(Debug, Clone, Copy)]
enum Speaks {
    Http1,
    Http2,
}

/// An answer whose body is still arriving. Dropping it closes the connection at once.
pub struct TestAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    buffered: Vec<u8>,
    _connection: JoinSet<()>,
}

impl TestClient {
    /// A client of `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: HeaderMap::new(), speaks: Speaks::Http1 }
    }

    /// Presenting this key.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {key}"))
    }

    /// Sending this header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = header::HeaderName::try_from(name).expect("a test's header name");
        self.headers.insert(name, header::HeaderValue::from_str(value).expect("a test's header value"));
        self
    }

    /// Speaking HTTP/2, with prior knowledge.
    #[must_use]
    pub fn with_http2(self) -> Self {
        Self { speaks: Speaks::Http2, ..self }
    }

    /// Asks for `path`.
    pub async fn get(&self, path: &str) -> Result<TestAnswer, ClientError> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Posts JSON to `path`.
    pub async fn post(&self, path: &str, body: &Value) -> Result<TestAnswer, ClientError> {
        self.send(Method::POST, path, Bytes::from(body.to_string())).await
    }

    /// Sends these bytes to `path`, as JSON unless a header says otherwise.
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<TestAnswer, ClientError> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let mut tasks = JoinSet::new();
        let request = self.request(method, path, body)?;
        // What ends the connection is told to the exchange on it.
        let response = match self.speaks {
            Speaks::Http1 => {
                let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
                tasks.spawn(async move { drop(connection.await) });
                sender.send_request(request).await?
            }
            Speaks::Http2 => {
                let (mut sender, connection) =
                    http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await?;
                tasks.spawn(async move { drop(connection.await) });
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(TestAnswer {
            status: head.status,
            headers: head.headers,
            body,
            buffered: Vec::new(),
            _connection: tasks,
        })
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.headers_mut() = self.headers.clone();
        match self.speaks {
            Speaks::Http1 => {
                *request.uri_mut() = path.parse()?;
                request.headers_mut().insert(header::HOST, self.address.to_string().parse()?);
            }
            Speaks::Http2 => *request.uri_mut() = format!("http://{}{path}", self.address).parse()?,
        }
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().entry(header::CONTENT_TYPE).or_insert(json);
        Ok(request)
    }
}

impl TestAnswer {
    /// The value of a header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The next bytes as they came; `None` at an honest end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, ClientError>> {
        if !self.buffered.is_empty() {
            return Some(Ok(Bytes::from(std::mem::take(&mut self.buffered))));
        }
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Some(Ok(chunk));
                    }
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    /// The next event of a stream, as raw bytes with its blank line. `None` at the end; bytes after the last blank line
    /// are an error, as they are a cut event.
    pub async fn event(&mut self) -> Option<Result<Bytes, ClientError>> {
        loop {
            if let Some(end) = event_end(&self.buffered) {
                let rest = self.buffered.split_off(end);
                return Some(Ok(Bytes::from(std::mem::replace(&mut self.buffered, rest))));
            }
            let had = std::mem::take(&mut self.buffered);
            match self.chunk().await {
                Some(Ok(chunk)) => {
                    self.buffered = had;
                    self.buffered.extend_from_slice(&chunk);
                }
                Some(Err(error)) => return Some(Err(error)),
                None if had.is_empty() => return None,
                None => return Some(Err("the stream ended inside an event".into())),
            }
        }
    }

    /// The whole body.
    pub async fn body(&mut self) -> Result<Bytes, ClientError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await {
            whole.extend_from_slice(&chunk?);
        }
        Ok(Bytes::from(whole))
    }

    /// The whole body as JSON.
    pub async fn json(&mut self) -> Result<Value, ClientError> {
        Ok(serde_json::from_slice(&self.body().await?)?)
    }

    /// Leaves in the middle: the connection is closed without reading on.
    pub fn abort(self) {
        drop(self);
    }
}

/// Where the first event ends, its blank line included.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
    ends.iter()
        .filter_map(|end| bytes.windows(end.len()).position(|window| window == *end).map(|at| at + end.len()))
        .min()
}
