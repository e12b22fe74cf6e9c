//! Shows the configuration in force and reads it again on request; it never shows a secret in clear.

use axum::Json;
use axum::extract::State;

use super::AdminState;
use super::refusal::Refusal;
use crate::publish::{Reloaded, Standing, Trigger};

pub(crate) async fn show(State(state): State<AdminState>) -> Json<Standing> {
    Json(state.publisher.standing())
}

pub(crate) async fn reload(State(state): State<AdminState>) -> Result<Json<Reloaded>, Refusal> {
    Ok(Json(state.reloader.reload(Trigger::Request).await?))
}
