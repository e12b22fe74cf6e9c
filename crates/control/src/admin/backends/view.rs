//! Decides what is shown of a backend, under the names of the configuration file; secrets only masked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::live::BackendStatus;
use policy::{Amount, BackendLimits, BackendSpec, Dialect, ModelSpec, PriceSpec, Secret};
use serde::Serialize;
use store::directory::StoredBackend;
use utoipa::ToSchema;

use super::super::resource::Provenance;
use super::super::{AdminState, shape};
use crate::config::{Loaded, body, duration_of};
use crate::publish::moment;

/// A backend.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackendView {
    #[serde(flatten)]
    provenance: Provenance,
    enabled: bool,
    #[serde(flatten)]
    spec: Option<SpecView>,
    /// What the data plane has learned of it.
    #[schema(value_type = Option<shape::BackendStatus>)]
    status: Option<BackendStatus>,
}

/// What a backend was given, under the names of the configuration file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackendSpec)]
struct SpecView {
    kind: &'static str,
    label: Option<String>,
    base_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    dialects: Option<Vec<Dialect>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
    api_key: Option<String>,
    pool: String,
    weight: u32,
    #[schema(value_type = shape::Limits)]
    limits: BackendLimits,
    #[schema(value_type = BTreeMap<String, String>)]
    deadlines: BTreeMap<&'static str, String>,
    headers: HeadersView,
    drain_on_disconnect: bool,
    /// Whether it keeps the responses it gives, when it says so itself.
    keeps_responses: Option<bool>,
    /// Where it is asked how it is, when it says so itself.
    health_path: Option<String>,
    models: Option<BTreeMap<String, ModelView>>,
}

/// Which headers cross.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackendHeaders)]
struct HeadersView {
    /// Names only: the values may be credentials.
    set: Vec<String>,
    allow: Vec<String>,
    deny: Vec<String>,
}

/// What a backend calls a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackendModel)]
struct ModelView {
    native: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    price: Option<BTreeMap<&'static str, Amount>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output: Option<u64>,
}

/// What the views of backends tell beside them.
pub(super) struct Beside {
    loaded: Arc<Loaded>,
    status: Vec<BackendStatus>,
}

impl Beside {
    pub(super) fn of(state: &AdminState) -> Self {
        Self { loaded: state.publisher.loaded(), status: state.live.status(moment()).backends }
    }

    fn status(&self, name: &str) -> Option<BackendStatus> {
        self.status.iter().find(|backend| &*backend.name == name).cloned()
    }

    pub(super) fn given(&self, spec: &BackendSpec) -> BackendView {
        BackendView {
            provenance: Provenance::given(&spec.name, spec.source),
            enabled: spec.enabled,
            spec: Some(SpecView::of(spec)),
            status: self.status(&spec.name),
        }
    }

    /// Also when what is stored does not hold any more.
    pub(super) fn stored(&self, stored: &StoredBackend) -> BackendView {
        let settings = &self.loaded.settings;
        let pools: Vec<&str> = settings.pools.iter().map(|pool| pool.name.as_str()).collect();
        let read = body::stored_backend(stored, &pools, settings.deadlines);
        BackendView {
            provenance: Provenance::stored(stored, &read),
            enabled: stored.enabled,
            spec: read.ok().as_ref().map(SpecView::of),
            status: self.status(&stored.name),
        }
    }
}

impl SpecView {
    fn of(spec: &BackendSpec) -> Self {
        let deadlines = [
            ("connect", spec.deadlines.connect),
            ("first_event", spec.deadlines.first_event),
            ("answer", spec.deadlines.answer),
            ("idle", spec.deadlines.idle),
            ("total", spec.deadlines.total),
        ];
        Self {
            kind: spec.kind.name(),
            label: spec.label.clone(),
            base_url: spec.base_url.clone(),
            dialects: spec.dialects.clone(),
            api_version: spec.api_version.clone(),
            api_key: spec.credential.as_ref().map(Secret::masked),
            pool: spec.pool.clone(),
            weight: spec.weight,
            limits: spec.limits,
            deadlines: deadlines.map(|(name, wait): (_, Duration)| (name, duration_of(wait))).into(),
            headers: HeadersView {
                set: spec.headers.set.iter().map(|(name, _)| name.clone()).collect(),
                allow: spec.headers.allow.clone(),
                deny: spec.headers.deny.clone(),
            },
            drain_on_disconnect: spec.drain_on_disconnect,
            keeps_responses: spec.keeps_responses,
            health_path: spec.health_path.clone(),
            models: spec.models.as_ref().map(|models| {
                models.iter().map(|(name, model)| (name.clone(), ModelView::of(name, model))).collect()
            }),
        }
    }
}

impl ModelView {
    fn of(name: &str, model: &ModelSpec) -> Self {
        Self {
            native: model.native.clone().unwrap_or_else(|| name.to_owned()),
            price: model.price.as_ref().map(price),
            context: model.context,
            max_output: model.max_output,
        }
    }
}

/// As in the file: dollars per million tokens, and per call.
fn price(spec: &PriceSpec) -> BTreeMap<&'static str, Amount> {
    spec.amounts()
        .map(|(kind, amount)| (kind, if kind == "request" { amount } else { amount.times(1_000_000) }))
        .collect()
}
