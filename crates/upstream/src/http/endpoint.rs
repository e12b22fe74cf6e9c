//! Decides what an endpoint is: where it listens, how we show who we are, and what every call to it carries; never
//! calls it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request};
use protocol::{Failure, FailureKind};

use super::tls;

/// How a call shows who it comes from. Never printed.
#[derive(Clone, Copy)]
pub enum Auth<'a> {
    /// Not at all.
    None,
    /// `Authorization: Bearer <secret>`.
    Bearer(&'a str),
    /// A header of the vendor's own, such as `x-api-key`.
    Header {
        /// Its name.
        name: &'a str,
        /// The secret.
        value: &'a str,
    },
}

impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(..)",
            Self::Header { .. } => "Header(..)",
        })
    }
}

/// Why a set of values is no endpoint. The texts name what is wrong, and never repeat a value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL.
    #[error("the base URL is not a URL of the form https://host/v1")]
    NotAUrl,
    /// Neither `http` nor `https`.
    #[error("the base URL must begin with http:// or https://")]
    Scheme,
    /// A user name or password inside the URL.
    #[error("the base URL must not carry a user name or a password")]
    UserInfo,
    /// A query or a fragment.
    #[error("the base URL must not carry a query")]
    Query,
    /// A credential with bytes that no header can carry.
    #[error("the credential has characters that no HTTP header can carry")]
    Credential,
    /// A header name of the vendor's that is none.
    #[error("`{0}` is not a header name")]
    HeaderName(String),
    /// A certificate file with nothing in it that can be used.
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
}

/// One place that calls go to. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    origin: Arc<Origin>,
    authority: Authority,
    /// The path of the base URL without a slash at its end.
    base_path: String,
    host: HeaderValue,
    credential: Option<(HeaderName, HeaderValue)>,
}

/// What two endpoints must share for a connection of one to serve the other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) speaks: Speaks,
    /// The only certificates to be trusted, as PEM; `None` trusts those of the machine.
    pub(super) trusted: Option<Bytes>,
}

/// The version of HTTP to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Speaks {
    Http1,
    Http2,
    /// None: the host is the name of an instance of a local process.
    Process,
}

impl Endpoint {
    /// An endpoint at `base_url`, as the OpenAI SDKs take it: `https://host/v1`. Without a path, `/v1` is appended. What
    /// `process://name` leads to is an instance of a local process.
    pub fn new(base_url: &str, auth: Auth<'_>) -> Result<Self, EndpointError> {
        let base: Uri = base_url.trim().parse().map_err(|_| EndpointError::NotAUrl)?;
        let secure = match base.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if scheme.as_str() == "process" => false,
            Some(_) => return Err(EndpointError::Scheme),
            None => return Err(EndpointError::NotAUrl),
        };
        let authority = base.authority().ok_or(EndpointError::NotAUrl)?.clone();
        if authority.as_str().contains('@') {
            return Err(EndpointError::UserInfo);
        }
        if base.query().is_some() || base_url.contains('#') {
            return Err(EndpointError::Query);
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let base_path = match base.path().trim_end_matches('/') {
            "" => "/v1",
            path => path,
        };
        let is_process = base.scheme_str() == Some("process");
        let origin = Origin {
            secure,
            host: if is_process {
                authority.host().to_owned()
            } else {
                authority.host().to_ascii_lowercase()
            },
            port,
            speaks: if is_process { Speaks::Process } else { Speaks::Http1 },
            trusted: None,
        };
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| EndpointError::NotAUrl)?;
        Ok(Self {
            inner: Arc::new(Inner {
                origin: Arc::new(origin),
                base_path: base_path.to_owned(),
                host,
                credential: credential(auth)?,
                authority,
            }),
        })
    }

    /// With its paths counted from the root of the host, not from the base URL.
    #[must_use]
    pub fn at_root(mut self) -> Self {
        self.edit().base_path.clear();
        self
    }

    /// Trusting these certificates (PEM) and no others.
    pub fn with_certificates(mut self, pem: &[u8]) -> Result<Self, EndpointError> {
        tls::roots_of(pem).map_err(EndpointError::Certificates)?;
        let mut origin = Origin::clone(&self.inner.origin);
        origin.trusted = Some(Bytes::copy_from_slice(pem));
        self.edit().origin = Arc::new(origin);
        Ok(self)
    }

    /// Over HTTP/2: offered in the TLS handshake of an `https` endpoint, taken for granted at an `http` one.
    #[must_use]
    pub fn with_http2(mut self) -> Self {
        let mut origin = Origin::clone(&self.inner.origin);
        origin.speaks = Speaks::Http2;
        self.edit().origin = Arc::new(origin);
        self
    }

    /// The address that `path` (with its query, relative to the base URL) stands for.
    pub fn join(&self, path: &str) -> Result<Uri, Failure> {
        Uri::builder()
            .scheme(if self.inner.origin.secure { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(self.inner.authority.clone())
            .path_and_query(self.target(path)?)
            .build()
            .map_err(|_| no_path())
    }

    pub(super) fn origin(&self) -> &Arc<Origin> {
        &self.inner.origin
    }

    /// The head of a request to this endpoint, as HTTP/1.1 writes it.
    pub(super) fn head(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Request<()>, Failure> {
        let target = match self.inner.origin.speaks {
            Speaks::Http1 | Speaks::Process => Uri::from(self.target(path)?),
            Speaks::Http2 => self.join(path)?,
        };
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = target;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        // The length and the framing are the wire's to tell; two opinions about them are how requests get smuggled.
        for framing in
            [&header::CONTENT_LENGTH, &header::TRANSFER_ENCODING, &header::CONNECTION, &header::EXPECT]
        {
            headers.remove(framing);
        }
        if let Some((name, value)) = &self.inner.credential {
            headers.insert(name.clone(), value.clone());
        }
        match self.inner.origin.speaks {
            Speaks::Http1 | Speaks::Process => headers.insert(header::HOST, self.inner.host.clone()),
            Speaks::Http2 => headers.remove(header::HOST),
        };
        Ok(request)
    }

    fn target(&self, path: &str) -> Result<PathAndQuery, Failure> {
        let slash = if path.is_empty() || path.starts_with(['/', '?']) { "" } else { "/" };
        let whole = [self.inner.base_path.as_str(), slash, path].concat();
        PathAndQuery::from_maybe_shared(Bytes::from(whole)).map_err(|_| no_path())
    }

    fn edit(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.inner.origin.secure { "https" } else { "http" };
        write!(f, "Endpoint({scheme}://{}{})", self.inner.authority, self.inner.base_path)
    }
}

/// Only the caller's own bytes can make a path unusable.
fn no_path() -> Failure {
    Failure::new(FailureKind::Rejected, "the path of the call is not one that a URL can have")
}

fn credential(auth: Auth<'_>) -> Result<Option<(HeaderName, HeaderValue)>, EndpointError> {
    let (name, value) = match auth {
        Auth::None => return Ok(None),
        Auth::Bearer(secret) => (header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {secret}"))),
        Auth::Header { name, value } => (
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| EndpointError::HeaderName(name.to_owned()))?,
            HeaderValue::from_str(value),
        ),
    };
    let mut value = value.map_err(|_| EndpointError::Credential)?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}
