//! Decides whether a caller may come in and may use a model; never who the caller is or what it costs.

use std::net::IpAddr;
use std::sync::Arc;

use crate::catalog::Route;
use crate::identity::{Endpoint, Key};
use crate::timestamp::Timestamp;

/// Why a known caller is turned away. `Display` is written for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The key's models do not include this one.
    #[error("This API key may not use the model `{model}`.")]
    ModelNotAllowed {
        /// The name that was asked for.
        model: Arc<str>,
    },
    /// The key's endpoints do not include this one.
    #[error("This API key may not be used for {}.", .endpoint.name())]
    EndpointNotAllowed {
        /// What was asked for.
        endpoint: Endpoint,
    },
    /// The caller's address is not on the key's list.
    #[error("This API key may not be used from your address.")]
    IpNotAllowed,
    /// The key's time is over.
    #[error("This API key has expired.")]
    KeyExpired,
    /// The key was switched off.
    #[error("This API key is disabled.")]
    KeyDisabled,
}

impl Denial {
    /// The stable code of the error table.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ModelNotAllowed { .. } => "model_not_allowed",
            Self::EndpointNotAllowed { .. } => "endpoint_not_allowed",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::KeyExpired => "key_expired",
            Self::KeyDisabled => "key_disabled",
        }
    }
}

/// Whether a key is good here and now.
pub fn may_enter(key: &Key, ip: IpAddr, now: Timestamp) -> Result<(), Denial> {
    if !key.enabled {
        return Err(Denial::KeyDisabled);
    }
    if key.expires.is_some_and(|expires| expires <= now) {
        return Err(Denial::KeyExpired);
    }
    if !key.ip_allow.holds(ip) {
        return Err(Denial::IpNotAllowed);
    }
    Ok(())
}

/// Whether a key may be used for this.
pub fn may_call(key: &Key, endpoint: Endpoint) -> Result<(), Denial> {
    if key.endpoints.holds(endpoint) { Ok(()) } else { Err(Denial::EndpointNotAllowed { endpoint }) }
}

/// Whether a key's models include this name.
pub fn may_use(key: &Key, model: &str) -> Result<(), Denial> {
    if key.models.holds(model) {
        return Ok(());
    }
    Err(Denial::ModelNotAllowed { model: Arc::from(model) })
}

/// Whether a key may take a route: by the name it asked for, or because it may use every model behind it.
pub fn may_take(key: &Key, route: &Route) -> Result<(), Denial> {
    let by_models =
        || !route.tiers.is_empty() && route.tiers.iter().all(|tier| key.models.holds(&tier.model));
    if key.models.is_all() || key.models.holds(&route.asked) || by_models() {
        return Ok(());
    }
    Err(Denial::ModelNotAllowed { model: Arc::clone(&route.asked) })
}
