//! Decides what one request sees of the configuration: a snapshot and the endpoints made from it; never changes.

use std::sync::Arc;

use http::HeaderValue;
use policy::{Backend, BackendId, Dialects, Secret, Shown, Snapshot, Spoken};
use protocol::Dialect;
use upstream::{Auth, Endpoint, EndpointError};

use crate::metrics::{BackendMetrics, Metrics};

/// A snapshot with everything that calls need ready made. Loaded once per request and kept to its end.
pub struct View {
    /// What control published.
    pub snapshot: Arc<Snapshot>,
    serving: Vec<Option<Arc<Serving>>>,
}

/// One backend, ready to be called.
pub(crate) struct Serving {
    pub(crate) backend: Arc<Backend>,
    /// One for each dialect that it speaks, in their order.
    endpoints: Vec<Endpoint>,
    /// What no answer of this backend may quote to a client.
    pub(crate) secrets: Vec<Secret>,
    pub(crate) name: HeaderValue,
    pub(crate) metrics: BackendMetrics,
}

impl View {
    /// Makes the endpoints of `snapshot`. A backend whose address or credential cannot be used is an error: nothing
    /// half-usable is published.
    pub(crate) fn new(snapshot: Arc<Snapshot>, metrics: &Metrics) -> Result<Self, UnusableBackend> {
        let mut serving = Vec::new();
        for backend in &snapshot.backends {
            let index = backend.id.0 as usize;
            if serving.len() <= index {
                serving.resize_with(index + 1, || None);
            }
            serving[index] = Some(Arc::new(Serving::new(backend.clone(), metrics)?));
        }
        Ok(Self { snapshot, serving })
    }

    /// The backend `id`, unless it is not part of this view.
    pub(crate) fn serving(&self, id: BackendId) -> Option<&Arc<Serving>> {
        self.serving.get(id.0 as usize)?.as_ref()
    }
}

impl Serving {
    fn new(backend: Arc<Backend>, metrics: &Metrics) -> Result<Self, UnusableBackend> {
        let endpoints =
            endpoints(&backend).map_err(|reason| UnusableBackend { name: backend.name.clone(), reason })?;
        let name = HeaderValue::try_from(&*backend.name).unwrap_or(HeaderValue::from_static("unprintable"));
        let metrics = metrics.backend(&backend.name, &backend.label);
        Ok(Self { secrets: secrets(&backend), backend, endpoints, name, metrics })
    }
}

impl Serving {
    /// Where it is asked how it is: at the place of its best dialect.
    pub(crate) fn first_endpoint(&self) -> Option<&Endpoint> {
        self.endpoints.first()
    }

    /// How and where it is called for a client of `dialect`: in that, else in the best of `others`.
    pub(crate) fn place_for(&self, dialect: Dialect, others: Dialects) -> Option<(Dialect, Endpoint)> {
        let spoken = &self.backend.spoken;
        let own = spoken.iter().position(|one| one.dialect == dialect);
        let index = own.or_else(|| spoken.iter().position(|one| others.holds(one.dialect)))?;
        Some((spoken.get(index)?.dialect, self.endpoints.get(index)?.clone()))
    }
}

/// Words of fixed headers up to this long are versions and flags; to hide them would only mangle what an error says.
const FLAG_BYTES_MAX: usize = 12;

/// The credential, and each word of a fixed header that may be one.
fn secrets(backend: &Backend) -> Vec<Secret> {
    let words = backend.headers.set.iter().flat_map(|(_name, value)| value.expose().split_whitespace());
    let credential = backend.credential.iter().filter(|secret| !secret.expose().is_empty()).cloned();
    credential.chain(words.filter(|word| word.len() > FLAG_BYTES_MAX).map(Secret::from)).collect()
}

/// An endpoint for each dialect of a backend: its address there, its credential, its certificates.
fn endpoints(backend: &Backend) -> Result<Vec<Endpoint>, Unusable> {
    let certificates = match &backend.ca_file {
        Some(path) => Some(std::fs::read(&**path).map_err(Unusable::CaFile)?),
        None => None,
    };
    let endpoint = |spoken: &Spoken| {
        let secret = backend.credential.as_ref().map(Secret::expose);
        let auth = match (secret, spoken.shown) {
            (None, _) => Auth::None,
            (Some(secret), Shown::Bearer) => Auth::Bearer(secret),
            (Some(value), Shown::Header(name)) => Auth::Header { name, value },
        };
        let endpoint = Endpoint::new(&spoken.base_url, auth)?;
        Ok(match &certificates {
            Some(pem) => endpoint.with_certificates(pem)?,
            None => endpoint,
        })
    };
    backend.spoken.iter().map(endpoint).collect()
}

/// The endpoint at which a backend is asked what it serves: that of its best dialect.
pub(crate) fn endpoint(backend: &Backend) -> Result<Endpoint, Unusable> {
    endpoints(backend)?.into_iter().next().ok_or(Unusable::Mute)
}

/// A backend that no endpoint can be made of.
#[derive(Debug, thiserror::Error)]
#[error("backend `{name}` cannot be used: {reason}")]
pub struct UnusableBackend {
    /// The backend's name.
    pub name: Arc<str>,
    /// What is wrong with it.
    pub reason: Unusable,
}

/// What is wrong with a backend.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its address, its credential or its certificates.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// It speaks nothing.
    #[error("it speaks no dialect")]
    Mute,
    /// Its `ca_file` cannot be read.
    #[error("its ca_file cannot be read: {0}")]
    CaFile(std::io::Error),
}
