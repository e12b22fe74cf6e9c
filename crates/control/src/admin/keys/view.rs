//! Decides what is shown of a gateway key; never its secret, but in the one answer that gives it out.

use std::collections::BTreeMap;

use policy::{KeySecret, KeySpec, Timestamp};
use serde::Serialize;
use store::directory::StoredKey;
use utoipa::ToSchema;

use super::super::resource::Provenance;
use crate::config::body;
use crate::publish::split_former;

/// A gateway key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    #[serde(flatten)]
    provenance: Provenance,
    /// Masked, or in clear in the one answer that gives it out.
    pub(super) key: String,
    enabled: bool,
    team: Option<String>,
    expires: Option<String>,
    #[serde(flatten)]
    limits: Option<LimitsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    former_valid_until: Option<String>,
    #[schema(value_type = Option<i64>)]
    last_used: Option<Timestamp>,
}

/// What a key may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyLimits)]
struct LimitsView {
    rpm: Option<u32>,
    tpm: Option<u64>,
    concurrency: Option<u32>,
    models: Vec<String>,
    endpoints: Vec<&'static str>,
    ip_allow: Vec<String>,
    priority_max: &'static str,
    weight: u32,
    strict: bool,
    default_model: Option<String>,
    aliases: BTreeMap<String, Vec<String>>,
    body_max: Option<u64>,
    metadata: BTreeMap<String, String>,
    note: Option<String>,
}

impl KeyView {
    pub(super) fn given(spec: &KeySpec) -> Self {
        let masked = spec.secrets.iter().find_map(|secret| match secret {
            KeySecret::Plain(secret) => Some(secret.masked()),
            KeySecret::Digest(_) => None,
        });
        Self {
            provenance: Provenance::given(&spec.name, spec.source),
            key: masked.unwrap_or_default(),
            enabled: spec.enabled,
            team: spec.team.clone(),
            expires: spec.expires.map(Timestamp::to_utc),
            limits: Some(LimitsView::of(spec)),
            former_valid_until: None,
            last_used: None,
        }
    }

    pub(super) fn stored(stored: &StoredKey) -> Self {
        let (limits, former) = split_former(&stored.limits);
        let spec = body::stored_key(stored, &limits, Vec::new());
        Self {
            provenance: Provenance::stored(stored, &spec),
            key: stored.masked.clone(),
            enabled: stored.enabled,
            team: stored.team.clone(),
            expires: stored.expires.map(Timestamp::to_utc),
            limits: spec.ok().as_ref().map(LimitsView::of),
            former_valid_until: former.map(|former| former.until.to_utc()),
            last_used: stored.last_used,
        }
    }
}

impl LimitsView {
    fn of(spec: &KeySpec) -> Self {
        Self {
            rpm: spec.limits.rpm,
            tpm: spec.limits.tpm,
            concurrency: spec.limits.concurrency,
            models: spec.models.clone(),
            endpoints: spec.endpoints.iter().map(|endpoint| endpoint.name()).collect(),
            ip_allow: spec.ip_allow.iter().map(ToString::to_string).collect(),
            priority_max: spec.priority_max.name(),
            weight: spec.weight,
            strict: spec.strict,
            default_model: spec.default_model.clone(),
            aliases: spec.aliases.clone(),
            body_max: spec.body_bytes_max,
            metadata: spec.metadata.clone(),
            note: spec.note.clone(),
        }
    }
}
