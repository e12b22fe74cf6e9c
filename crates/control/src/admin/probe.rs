//! What the control plane asks of whoever can reach backends; it never opens a connection itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use policy::Backend;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A test that is running.
pub type Testing<'a> = Pin<Box<dyn Future<Output = TestReport> + Send + 'a>>;

/// Reaches backends without spending tokens; the server plugs it in.
pub trait Prober: Send + Sync {
    /// Asks a backend for its models, within its own deadlines.
    fn test(&self, backend: Arc<Backend>) -> Testing<'_>;
}

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestReport {
    /// Whether the backend answered as it should.
    pub ok: bool,
    /// How long it took.
    pub latency_ms: u64,
    /// The status it answered, if it did.
    pub status: Option<u16>,
    /// The models it lists.
    pub models: Vec<String>,
    /// What went wrong, in a stable word: `connect`, `tls`, `unauthorized`.
    pub code: Option<String>,
    /// What went wrong, fit for operators.
    pub error: Option<String>,
}
