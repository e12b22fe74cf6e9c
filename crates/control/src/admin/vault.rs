//! Shows how the vault stands, and rotates its master key; it never shows a key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use store::vault::{Rotated, VaultStatus};
use store::{MasterKey, StoreError, VaultError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::Text;
use super::refusal::Refusal;
use super::role::Role;
use super::shape;

/// What may be said of a rotation.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VaultRotation {
    /// 64 hex characters that the operator has kept already. Only where the master key comes from the environment, and
    /// then needed unless `LOCKGATE_MASTER_KEY_NEXT` was set at the start.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9A-Fa-f]{64}$")]
    new_key: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    Role::Admin.may(OpenApiRouter::default().routes(routes!(show)).routes(routes!(rotate)))
}

/// Shows which master key is in force, by its id, and how far a rotation has come.
#[utoipa::path(
    get, path = "/api/admin/vault",
    responses((status = 200, description = "How the vault stands.", body = shape::VaultStatus)),
)]
pub(crate) async fn show(State(state): State<AdminState>) -> Result<Json<VaultStatus>, Refusal> {
    Ok(Json(state.records.vault.status().await?))
}

/// Puts all secrets under a new master key while everything goes on. Killed at any moment, nothing is lost.
#[utoipa::path(
    post, path = "/api/admin/vault/rotate",
    request_body = VaultRotation,
    responses((status = 200, description = "The new key is in force; its id, and the file that has it.", body = shape::Rotated)),
)]
pub(crate) async fn rotate(Acting(state): Acting, Text(text): Text) -> Result<Json<Rotated>, Refusal> {
    let asked: VaultRotation = match text.trim() {
        "" => VaultRotation::default(),
        // What was sent is never quoted: it may be a key.
        text => serde_json::from_str(text).map_err(|_| {
            let detail = "the body must be an object with at most `new_key`, a text";
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
        })?,
    };
    let unusable = |error: VaultError| Refusal::field("new_key", error.to_string());
    let new = asked.new_key.as_deref().map(MasterKey::from_hex).transpose().map_err(unusable)?;
    let rotated = state.records.vault.rotate(state.author(), new, |_, _| {}).await;
    rotated.map(Json).map_err(|error| match error {
        StoreError::Vault(error @ (VaultError::NextMissing | VaultError::Same | VaultError::Unwanted)) => {
            Refusal::field("new_key", error.to_string())
        }
        StoreError::Vault(VaultError::Rotating) => {
            Refusal::new(StatusCode::CONFLICT, "rotating", "another rotation of the master key is on")
        }
        error => error.into(),
    })
}
